//! `ListShards`, with its filters and pages.
//!
//! It does not know of records.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ferrokinesis::types::{Shard, Stream};
use serde_json::{Value, json};

use super::clock::{made, millis, retained_since};
use super::cursor::{LIFETIME, text};
use super::sequence::{Origin, closed, is_open};
use super::{Desk, invalid, refused};
use crate::local::{Answer, Fault, Outcome};

/// Shards of one page, which is also the most that a caller can ask for.
const PAGE: usize = 1000;

/// Where a listing goes on.
struct Token {
    issued: i64,
    stream: String,
    made: i64,
    /// Identifier of the last shard that was listed.
    after: String,
    filter: Value,
}

impl Token {
    fn encode(&self) -> String {
        let Self { issued, stream, made, after, filter } = self;
        URL_SAFE_NO_PAD.encode(json!([issued, stream, made, after, filter]).to_string())
    }

    fn decode(text: &str) -> Option<Self> {
        let parts: (i64, String, i64, String, Value) =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (issued, stream, made, after, filter) = parts;
        Some(Self { issued, stream, made, after, filter })
    }
}

/// Returns the stream that a token of `ListShards` is about.
pub(super) fn stream_of(token: &str) -> Option<String> {
    Token::decode(token).map(|token| token.stream)
}

impl Desk<'_> {
    /// Answers `ListShards`.
    pub(super) async fn list_shards(&self) -> Outcome {
        self.checked(&self.body)?;
        let token = self.token()?;
        let name = token.as_ref().map_or(self.name(), |token| &token.stream);
        if name.is_empty() {
            return Err(invalid("Either NextToken or StreamName should be provided."));
        }
        let stream = self.engine.get_stream(name).await.map_err(refused)?;
        if token.as_ref().is_some_and(|token| token.made != made(&stream)) {
            return Err(invalid("The NextToken is of a stream that is no longer there."));
        }
        let filter = token.as_ref().map_or(&self.body["ShardFilter"], |token| &token.filter);
        let after = match &token {
            Some(token) => Some(token.after.as_str()),
            None => text(&self.body, "ExclusiveStartShardId"),
        };
        let filter = Filter::read(filter)?;
        let now = self.call.now;
        let found = stream.shards.iter().filter(|shard| after.is_none_or(|after| shard.shard_id.as_str() > after));
        let found: Vec<&Shard> = found.filter(|shard| filter.takes(&stream, shard, now)).collect();
        Ok(Answer::json(self.page_of_shards(&stream, &found, token.as_ref())))
    }

    fn page_of_shards(&self, stream: &Stream, found: &[&Shard], token: Option<&Token>) -> Value {
        let limit = self.body["MaxResults"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(PAGE);
        let page = found.get(..limit.min(PAGE)).unwrap_or(found);
        let mut answer = json!({"Shards": page});
        if let Some(last) = page.last().filter(|_| page.len() < found.len()) {
            let next = Token {
                issued: self.call.now,
                stream: stream.stream_name.clone(),
                made: made(stream),
                after: last.shard_id.clone(),
                filter: token.map_or(&self.body["ShardFilter"], |token| &token.filter).clone(),
            };
            answer["NextToken"] = json!(next.encode());
        }
        answer
    }

    fn token(&self) -> Result<Option<Token>, Fault> {
        let Some(sent) = text(&self.body, "NextToken") else { return Ok(None) };
        if !self.name().is_empty() {
            return Err(invalid("NextToken and StreamName cannot be provided together."));
        }
        if text(&self.body, "ExclusiveStartShardId").is_some() {
            return Err(invalid("NextToken and ExclusiveStartShardId cannot be provided together."));
        }
        let token = Token::decode(sent).ok_or_else(|| invalid("Invalid NextToken."))?;
        if self.call.now.saturating_sub(token.issued) > LIFETIME {
            return Err(Fault::new("ExpiredNextTokenException", "The NextToken has expired; list the shards anew."));
        }
        Ok(Some(token))
    }
}

/// Which shards a caller wants.
enum Filter {
    All,
    After(String),
    Open,
    /// Shards that were open at the start of the retention period.
    AtHorizon,
    FromHorizon,
    At(i64),
    From(i64),
}

impl Filter {
    fn read(filter: &Value) -> Result<Self, Fault> {
        if filter.is_null() {
            return Ok(Self::All);
        }
        let time = || {
            let time = filter["Timestamp"].as_f64().map(millis);
            time.ok_or_else(|| invalid("Timestamp must be specified in ShardFilter for this type."))
        };
        match filter["Type"].as_str() {
            Some("AFTER_SHARD_ID") => match filter["ShardId"].as_str() {
                Some(id) => Ok(Self::After(id.to_owned())),
                None => Err(invalid("ShardId must be specified in ShardFilter for type AFTER_SHARD_ID.")),
            },
            Some("AT_LATEST") => Ok(Self::Open),
            Some("AT_TRIM_HORIZON") => Ok(Self::AtHorizon),
            Some("FROM_TRIM_HORIZON") => Ok(Self::FromHorizon),
            Some("AT_TIMESTAMP") => Ok(Self::At(time()?)),
            Some("FROM_TIMESTAMP") => Ok(Self::From(time()?)),
            other => Err(invalid(format!("ShardFilter has no type {}.", other.unwrap_or("null")))),
        }
    }

    fn takes(&self, stream: &Stream, shard: &Shard, now: i64) -> bool {
        // Closing times are known to the second.
        let since = |time: i64| closed(shard).is_none_or(|closed| closed + 999 >= time);
        let at = |time: i64| opened(stream, shard) <= time && since(time);
        match self {
            Self::All => true,
            Self::After(id) => shard.shard_id > *id,
            Self::Open => is_open(shard),
            Self::AtHorizon => match retained_since(stream, now) {
                horizon if horizon <= made(stream) => shard.parent_shard_id.is_none(),
                horizon => at(horizon),
            },
            Self::FromHorizon => since(retained_since(stream, now)),
            Self::At(time) => at(*time),
            Self::From(time) => since(*time),
        }
    }
}

/// Returns when a shard was opened: when its parent was closed, or with the stream.
fn opened(stream: &Stream, shard: &Shard) -> i64 {
    let parent = shard.parent_shard_id.as_ref();
    let parent = parent.and_then(|id| stream.shards.iter().find(|one| one.shard_id == *id));
    match parent {
        Some(parent) => closed(parent).unwrap_or_default(),
        None => Origin::of(shard).map_or(0, |origin| origin.made()).min(made(stream)),
    }
}

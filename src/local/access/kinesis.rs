//! What calls to Kinesis need: nearly all name one stream, some only by an iterator or a token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::local::Call;

use super::needs::Need;

pub(super) fn needs(call: &Call) -> Vec<Need> {
    vec![Need::new("kinesis", &call.operation, resource(call))]
}

fn resource(call: &Call) -> String {
    let field = |names: &[&str]| names.iter().find_map(|name| call.json().get(name).and_then(Value::as_str));
    if let Some(arn) = field(&["StreamARN", "ConsumerARN", "ResourceARN"]) {
        return arn.to_owned();
    }
    // `NextToken` of `ListStreams` is the name of a stream that is not asked about.
    let token = if call.operation == "ListStreams" { None } else { field(&["ShardIterator", "NextToken"]) };
    let stream = field(&["StreamName"]).map(str::to_owned).or_else(|| token.and_then(stream_in));
    stream.map_or_else(|| "*".to_owned(), |name| call.arn("kinesis", &format!("stream/{name}")))
}

/// Reads the stream out of an iterator or a token. One that cannot be read is refused by the service itself.
fn stream_in(token: &str) -> Option<String> {
    if let Ok((_, stream, _, _)) = ferrokinesis::shard_iterator::decode_shard_iterator(token) {
        return Some(stream);
    }
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    match serde_json::from_str::<Value>(&text) {
        Ok(parts) => parts.get(1)?.as_str().map(str::to_owned),
        Err(_) => text.split('/').nth(2).map(str::to_owned),
    }
}

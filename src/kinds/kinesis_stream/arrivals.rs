//! Whether records have come in lately. Metrics would tell late and need a permission of their own; the shards tell now.

use std::time::Duration;

use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::ShardIteratorType;
use jiff::Timestamp;

use crate::aws::Cx;
use crate::aws::error::failed;
use crate::kind::{Check, Result};

/// How far back is looked.
const BACK: Duration = Duration::from_mins(15);

/// Most shards that are looked at, and most pages of each: readers share five reads a second with the consumers.
const SHARDS: i32 = 8;
const PAGES: usize = 5;

/// What one shard has of the last minutes.
enum Seen {
    Records,
    Nothing,
    /// There was more to read than was read.
    Unsure,
}

/// Looks for records of the last minutes.
pub(super) async fn look(cx: &Cx) -> Result<Vec<Check>> {
    let stream = cx.key.handle();
    let request = cx.aws.kinesis().list_shards().stream_name(stream).max_results(SHARDS);
    let answer = request.send().await.map_err(failed("ListShards"))?;
    let mut unsure = answer.next_token.is_some();
    for shard in answer.shards.unwrap_or_default() {
        match shard_since(cx, stream, &shard.shard_id).await? {
            Seen::Records => return Ok(vec![Check::ok(format!("records came in during the last {}", minutes()))]),
            Seen::Unsure => unsure = true,
            Seen::Nothing => {}
        }
    }
    let text = if unsure {
        "no record of the last {} was found where it was looked for"
    } else {
        "no record came in during the last {}"
    };
    Ok(vec![Check::unknown(text.replace("{}", &minutes()))])
}

fn minutes() -> String {
    format!("{} minutes", BACK.as_secs() / 60)
}

async fn shard_since(cx: &Cx, stream: &str, shard: &str) -> Result<Seen> {
    let since = Timestamp::now().as_second() - i64::try_from(BACK.as_secs()).unwrap_or_default();
    let request = cx.aws.kinesis().get_shard_iterator().stream_name(stream).shard_id(shard);
    let request = request.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(DateTime::from_secs(since));
    let mut iterator = request.send().await.map_err(failed("GetShardIterator"))?.shard_iterator;
    for _ in 0..PAGES {
        let Some(next) = iterator else { return Ok(Seen::Nothing) };
        let request = cx.aws.kinesis().get_records().shard_iterator(next).limit(1);
        let answer = request.send().await.map_err(failed("GetRecords"))?;
        if !answer.records.is_empty() {
            return Ok(Seen::Records);
        }
        // An empty page before the end of the shard is nothing unusual.
        if answer.millis_behind_latest == Some(0) {
            return Ok(Seen::Nothing);
        }
        iterator = answer.next_shard_iterator;
    }
    Ok(Seen::Unsure)
}

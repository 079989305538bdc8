//! One batch into a stream: what the stream did not take is tried again with back-off, and nothing else.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::aws::error::failed;
use crate::kind::{Class, KindError, Result};

/// First pause after a refusal, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Gives up when a stream has taken nothing for so long.
const PATIENCE: Duration = Duration::from_mins(2);

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Done {
    /// Records that the stream took.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that had to be sent again, each time counted.
    pub retries: u64,
    /// Why the rest was given up.
    pub error: Option<KindError>,
}

/// What one call left to do, and why.
struct Left {
    entries: Vec<PutRecordsRequestEntry>,
    reason: KindError,
}

/// Puts a batch with random partition keys, as the agent does with `partitionKeyOption` RANDOM.
pub async fn put(client: &Client, stream: &str, batch: Vec<Vec<u8>>) -> Done {
    let mut done = Done::default();
    let mut entries = match batch.into_iter().map(entry).collect::<Result<Vec<_>>>() {
        Ok(entries) => entries,
        Err(error) => return Done { error: Some(error), ..done },
    };
    let (mut pause, mut last) = (FIRST_PAUSE, Instant::now());
    loop {
        let (records, bytes) = size(&entries);
        let left = match call(client, stream, entries).await {
            Ok(left) => left,
            Err(error) => return Done { error: Some(error), ..done },
        };
        let (left_records, left_bytes) = left.as_ref().map_or((0, 0), |left| size(&left.entries));
        done.records += records - left_records;
        done.bytes += bytes - left_bytes;
        let Some(left) = left else { return done };
        if left_records < records {
            (pause, last) = (FIRST_PAUSE, Instant::now());
        }
        if last.elapsed() > PATIENCE {
            return Done { error: Some(left.reason), ..done };
        }
        done.retries += left_records;
        entries = left.entries;
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn entry(record: Vec<u8>) -> Result<PutRecordsRequestEntry> {
    let entry = PutRecordsRequestEntry::builder().data(Blob::new(record)).partition_key(Uuid::new_v4().to_string());
    entry.build().map_err(|error| KindError::invalid(error.to_string()))
}

fn size(entries: &[PutRecordsRequestEntry]) -> (u64, u64) {
    let bytes: usize = entries.iter().map(|entry| entry.data.as_ref().len()).sum();
    (entries.len() as u64, bytes as u64)
}

/// Makes one call; returns what the stream did not take but may take later.
async fn call(client: &Client, stream: &str, entries: Vec<PutRecordsRequestEntry>) -> Result<Option<Left>> {
    let request = client.put_records().stream_name(stream).set_records(Some(entries.clone()));
    let answer = match request.send().await.map_err(failed("PutRecords")) {
        Ok(answer) => answer,
        Err(reason) if may_pass(&reason) => return Ok(Some(Left { entries, reason })),
        Err(error) => return Err(error),
    };
    let refused = |(entry, result): (PutRecordsRequestEntry, &aws_sdk_kinesis::types::PutRecordsResultEntry)| {
        result.error_code.is_some().then_some(entry)
    };
    let reason = answer.records.iter().find_map(|result| {
        let code = result.error_code.clone()?;
        let message = result.error_message.clone().unwrap_or_default();
        Some(KindError { code, operation: "PutRecords".to_owned(), ..KindError::new(Class::Throttled, message) })
    });
    let entries = entries.into_iter().zip(&answer.records).filter_map(refused).collect();
    Ok(reason.map(|reason| Left { entries, reason }))
}

/// The SDK itself has tried again, but a throttled shard can stay so for longer.
fn may_pass(error: &KindError) -> bool {
    let throttled = ["ProvisionedThroughputExceededException", "KMSThrottlingException", "LimitExceededException"];
    error.class == Class::Throttled || error.class == Class::Unreachable || throttled.contains(&error.code.as_str())
}

/// Returns the size of the largest record that a stream takes, or the usual one where that may not be read.
///
/// # Errors
/// Returns an error when there is no such stream, or AWS cannot be asked.
pub async fn largest_record(client: &Client, stream: &str) -> Result<usize> {
    let answer = client.describe_stream_summary().stream_name(stream).send().await;
    let most = match answer.map_err(failed("DescribeStreamSummary")) {
        Ok(answer) => answer.stream_description_summary.and_then(|stream| stream.max_record_size_in_kib),
        // The agent's own policy has no more than PutRecords, and that is enough to send.
        Err(error) if error.class == Class::Denied && error.code.starts_with("AccessDenied") => None,
        Err(error) => return Err(error),
    };
    Ok(usize::try_from(most.unwrap_or(1024)).unwrap_or(1024) << 10)
}

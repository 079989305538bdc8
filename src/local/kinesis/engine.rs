//! Opens a Kinesis engine with its state on disk.
//!
//! It does not know which operations there are.

use std::path::{Path, PathBuf};

use ferrokinesis::store::{DurableStateOptions, Store as Engine, StoreOptions};

use crate::local::{Call, Fault};

/// Opens the engine of one account and region; without a folder it lives in memory.
pub(super) fn open(home: Option<PathBuf>, call: &Call) -> Result<Engine, Fault> {
    if let Some(home) = &home {
        mend_log(home).map_err(|cause| broken(&cause))?;
    }
    let durable =
        home.map(|state_dir| DurableStateOptions { state_dir, snapshot_interval_secs: 1, max_retained_bytes: None });
    let engine = Engine::new(StoreOptions {
        shard_limit: shard_limit(&call.region),
        durable,
        aws_account_id: call.account.clone(),
        aws_region: call.region.clone(),
        ..StoreOptions::default()
    });
    engine.check_ready().map_err(|cause| broken(&cause))?;
    Ok(engine)
}

/// Makes what a call changes take its time.
pub(super) fn paced(mut engine: Engine, call: &Call) -> Engine {
    let delay = u64::try_from(call.delay).unwrap_or_default();
    let options = &mut engine.options;
    (options.create_stream_ms, options.update_stream_ms, options.delete_stream_ms) = (delay, delay, delay);
    engine
}

/// Default quotas of open shards (`facts/aws.md` 1.6).
fn shard_limit(region: &str) -> u32 {
    if ["us-east-1", "us-west-2", "eu-west-1"].contains(&region) { 20_000 } else { 1_000 }
}

/// Cuts off the entry that a killed process left half written: the engine would append behind it and then
/// could not read its log any more. The log is a magic of 8 bytes, then entries led by their length.
fn mend_log(home: &Path) -> std::io::Result<()> {
    let path = home.join("wal.log");
    let bytes = match fs_err::read(&path) {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(cause),
    };
    let whole = whole_entries(&bytes);
    if whole < bytes.len() {
        fs_err::OpenOptions::new().write(true).open(&path)?.set_len(whole as u64)?;
    }
    Ok(())
}

fn whole_entries(bytes: &[u8]) -> usize {
    let mut end = 8;
    if bytes.len() < end {
        return 0;
    }
    while let Some(head) = bytes.get(end..end + 8) {
        let length = head.try_into().map(u64::from_le_bytes).ok().and_then(|length| usize::try_from(length).ok());
        match length.and_then(|length| (end + 8).checked_add(length)) {
            Some(next) if next <= bytes.len() => end = next,
            _ => break,
        }
    }
    end
}

pub(super) fn broken(cause: &dyn std::fmt::Display) -> Fault {
    let hint = "`stackctl local reset` starts afresh";
    Fault::with_status(
        500,
        "InternalFailure",
        format!("the local cloud's Kinesis state cannot be used: {cause}; {hint}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(entries: &[&[u8]]) -> Vec<u8> {
        let mut bytes = b"FKWALv2\n".to_vec();
        for entry in entries {
            bytes.extend_from_slice(&(entry.len() as u64).to_le_bytes());
            bytes.extend_from_slice(entry);
        }
        bytes
    }

    #[test]
    fn a_log_is_cut_after_its_last_whole_entry() {
        let whole = log(&[b"one", b"", b"three"]);
        assert_eq!(whole_entries(&whole), whole.len());
        let second = log(&[b"one", b""]).len();
        for cut in second..whole.len() {
            assert_eq!(whole_entries(&whole[..cut]), second, "cut at {cut}");
        }
    }

    #[test]
    fn impossible_lengths_end_the_log() {
        let mut bytes = log(&[b"one"]);
        let end = bytes.len();
        bytes.extend_from_slice(&u64::MAX.to_le_bytes());
        assert_eq!(whole_entries(&bytes), end);
        assert_eq!(whole_entries(b"FK"), 0);
    }
}

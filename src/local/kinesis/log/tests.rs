//! The log alone, with a clock that the tests set.

use std::collections::BTreeMap;

use ferrokinesis::sequence::{SeqObj, stringify_sequence};
use ferrokinesis::types::{HashKeyRange, SequenceNumberRange, Shard};

use super::*;

const MADE: i64 = 1_795_000_000_000;
const ALL: Portion = Portion { records: 10_000, size: usize::MAX, since: 0 };

fn origin(shard: i64) -> Origin {
    let start = SeqObj {
        shard_create_time: MADE.unsigned_abs(),
        seq_ix: None,
        byte1: None,
        seq_time: None,
        seq_rand: None,
        shard_ix: shard,
        version: 2,
    };
    let range =
        SequenceNumberRange { starting_sequence_number: stringify_sequence(&start), ending_sequence_number: None };
    Origin::of(&Shard {
        shard_id: String::new(),
        hash_key_range: HashKeyRange::new("0".to_owned(), "1".to_owned()),
        sequence_number_range: range,
        parent_shard_id: None,
        adjacent_parent_shard_id: None,
    })
    .unwrap()
}

fn key(stream: &str, shard: usize) -> ShardKey {
    ShardKey { stream: stream.to_owned(), made: MADE, shard }
}

fn put(log: &Log, stream: &str, shard: usize, now: i64, data: &[&str]) -> Result<Vec<String>, Unwritten> {
    let drafts = data.iter().map(|data| Draft { shard, key: "k", data }).collect();
    let shards = BTreeMap::from([(shard, origin(i64::try_from(shard).unwrap()))]);
    log.append(&Batch { stream, made: MADE, shards, drafts, encrypted: false, now })
}

fn read(log: &Log, stream: &str, shard: usize, from: i64) -> Vec<String> {
    log.read(&key(stream, shard), from, ALL).unwrap().records.into_iter().map(|record| record.data).collect()
}

#[test]
fn records_come_back_in_order_by_shard_and_page() {
    let log = Log::open(None).unwrap();
    put(&log, "jobs", 0, 10, &["a", "b", "c"]).unwrap();
    put(&log, "jobs", 1, 10, &["x"]).unwrap();
    put(&log, "jobs", 0, 11, &["d"]).unwrap();
    assert_eq!(read(&log, "jobs", 0, 0), ["a", "b", "c", "d"]);
    assert_eq!(read(&log, "jobs", 1, 0), ["x"]);
    assert_eq!(read(&log, "jobs", 2, 0), Vec::<String>::new());
    let page = log.read(&key("jobs", 0), 0, Portion { records: 3, ..ALL }).unwrap();
    assert_eq!((page.records.len(), page.next, page.more), (3, 4, true));
    let page = log.read(&key("jobs", 0), 1, Portion { size: 1, ..ALL }).unwrap();
    assert_eq!((page.records.len(), page.next, page.more), (1, 2, true));
}

#[test]
fn numbers_grow_even_when_the_clock_goes_back() {
    let log = Log::open(None).unwrap();
    let mut numbers = put(&log, "jobs", 0, MADE + 50_000, &["a", "b"]).unwrap();
    numbers.extend(put(&log, "jobs", 0, MADE + 10_000, &["c"]).unwrap());
    let page = log.read(&key("jobs", 0), 0, ALL).unwrap();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    assert!(page.records.is_sorted_by_key(|record| record.arrived));
}

#[test]
fn times_find_the_first_record_that_is_not_older() {
    let log = Log::open(None).unwrap();
    for (now, data) in [(10, "a"), (20, "b"), (30, "c")] {
        put(&log, "jobs", 0, now, &[data]).unwrap();
    }
    for (time, position) in [(0, 1), (10, 1), (11, 2), (20, 2), (30, 3), (31, 4)] {
        assert_eq!(log.at_time(&key("jobs", 0), time).unwrap(), position, "{time}");
    }
    assert_eq!(log.at_time(&key("none", 0), 5).unwrap(), 1);
}

#[test]
fn trimmed_records_are_gone_and_their_positions_are_not_given_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("records.sqlite");
    let log = Log::open(Some(&path)).unwrap();
    put(&log, "jobs", 0, 10, &["a", "b"]).unwrap();
    let late = log.read(&key("jobs", 0), 0, Portion { since: 11, ..ALL }).unwrap();
    assert_eq!((late.records.len(), late.next, late.more), (0, 3, false));
    log.trim(&key("jobs", 0), 11).unwrap();
    assert_eq!(read(&log, "jobs", 0, 0), Vec::<String>::new());
    drop(log);
    let log = Log::open(Some(&path)).unwrap();
    assert_eq!(log.end(&key("jobs", 0)), 3);
    put(&log, "jobs", 0, 12, &["c"]).unwrap();
    assert_eq!(read(&log, "jobs", 0, 0), ["c"]);
}

#[test]
fn a_forgotten_stream_leaves_the_others() {
    let log = Log::open(None).unwrap();
    put(&log, "jobs", 0, 10, &["a"]).unwrap();
    put(&log, "jobs", 1, 10, &["b"]).unwrap();
    put(&log, "other", 0, 10, &["c"]).unwrap();
    log.forget("jobs", Some(MADE)).unwrap();
    assert_eq!(read(&log, "jobs", 0, 0), ["a"]);
    log.forget("jobs", None).unwrap();
    assert_eq!(log.shards(), [key("other", 0)]);
    put(&log, "jobs", 0, 11, &["d"]).unwrap();
    assert_eq!(read(&log, "jobs", 0, 0), ["d"]);
}

#[test]
fn nothing_comes_into_a_sealed_shard() {
    let log = Log::open(None).unwrap();
    put(&log, "jobs", 0, 10, &["a"]).unwrap();
    assert!(!log.seal(&key("jobs", 0), 1));
    put(&log, "jobs", 0, 10, &["b"]).unwrap();
    assert!(log.seal(&key("jobs", 0), 3));
    assert!(matches!(put(&log, "jobs", 0, 10, &["c"]), Err(Unwritten::Sealed)));
    assert_eq!(read(&log, "jobs", 0, 0), ["a", "b"]);
}

#[test]
fn a_process_killed_at_any_moment_loses_no_acknowledged_record() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(Some(&home.path().join("records.sqlite"))).unwrap();
    for round in 1..=3 {
        put(&log, "jobs", 0, 10, &["a", "b"]).unwrap();
        // What the files hold now is what a killed process leaves.
        let left = tempfile::tempdir().unwrap();
        for entry in fs_err::read_dir(home.path()).unwrap() {
            let entry = entry.unwrap();
            fs_err::copy(entry.path(), left.path().join(entry.file_name())).unwrap();
        }
        let found = Log::open(Some(&left.path().join("records.sqlite"))).unwrap();
        assert_eq!(read(&found, "jobs", 0, 0).len(), 2 * round);
        let next = put(&found, "jobs", 0, 10, &["c"]).unwrap();
        assert_eq!(next, put_number(&log, 2 * i64::try_from(round).unwrap() + 1));
    }
}

fn put_number(log: &Log, position: i64) -> Vec<String> {
    assert_eq!(log.end(&key("jobs", 0)), position);
    vec![origin(0).number(position, 10)]
}

//! No record is lost or moved out of order while shards are split and merged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Bench, children, data, encode, plain, text};

/// Splits and merges shards.
async fn reshard(bench: Arc<Bench>) {
    for _ in 0..5 {
        for step in [Step::Split(0), Step::Split(1), Step::Merge(0), Step::Merge(0)] {
            take(&bench, step, &mut 0, &mut BTreeMap::new()).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn write(bench: Arc<Bench>, writer: usize) {
    for round in 0..100 {
        let record =
            |key: usize| json!({"PartitionKey": key.to_string(), "Data": encode(&format!("{writer}/{round}/{key}"))});
        let records: Vec<Value> = (0..4).map(record).collect();
        bench.ask("PutRecords", json!({"StreamName": "jobs", "Records": records})).await.unwrap();
        tokio::task::yield_now().await;
    }
}

/// Reads on from all iterators once; the children of shards that ended follow.
async fn follow(
    bench: &Bench,
    iterators: Vec<String>,
    known: &mut BTreeSet<usize>,
    found: &mut Vec<String>,
) -> Vec<String> {
    let mut next = Vec::new();
    for iterator in iterators {
        let answer = bench.get(&iterator).await;
        found.extend(data(&answer));
        let Some(on) = answer["NextShardIterator"].as_str() else {
            for child in children(&answer) {
                if known.insert(child) {
                    next.push(bench.iterator(child, "TRIM_HORIZON", Value::Null).await);
                }
            }
            continue;
        };
        next.push(on.to_owned());
    }
    next
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_record_is_lost_when_shards_change_under_writers_and_a_reader() {
    let bench = Arc::new(Bench::with_stream(1).await);
    let mut tasks: Vec<_> = (0..2).map(|writer| tokio::spawn(write(Arc::clone(&bench), writer))).collect();
    tasks.push(tokio::spawn(reshard(Arc::clone(&bench))));
    let (mut known, mut found) = (BTreeSet::new(), Vec::new());
    let mut iterators = vec![bench.iterator(0, "TRIM_HORIZON", Value::Null).await];
    loop {
        let done = tasks.iter().all(tokio::task::JoinHandle::is_finished);
        let before = (found.len(), known.len());
        iterators = follow(&bench, iterators, &mut known, &mut found).await;
        if done && before == (found.len(), known.len()) {
            break;
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert!(known.len() >= 20, "{known:?}");
    let unique: BTreeSet<&String> = found.iter().collect();
    assert_eq!((found.len(), unique.len()), (800, 800));
}

/// One step of a stream's life; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Put(Vec<u8>),
    Split(usize),
    Merge(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 1..12).prop_map(Step::Put),
        1 => any::<usize>().prop_map(Step::Split),
        1 => any::<usize>().prop_map(Step::Merge),
    ]
}

/// Identifier and hash range of the open shards, in the order of the ranges.
async fn open(bench: &Bench) -> Vec<(String, u128, u128)> {
    let listed =
        bench.ask("ListShards", json!({"StreamName": "jobs", "ShardFilter": {"Type": "AT_LATEST"}})).await.unwrap();
    let bound = |shard: &Value, name: &str| text(&shard["HashKeyRange"][name]).parse::<u128>().unwrap();
    let range =
        |shard: &Value| (text(&shard["ShardId"]), bound(shard, "StartingHashKey"), bound(shard, "EndingHashKey"));
    let mut found: Vec<_> = listed["Shards"].as_array().unwrap().iter().map(range).collect();
    found.sort_by_key(|(_, start, _)| *start);
    found
}

async fn take(bench: &Bench, step: Step, next: &mut u32, put: &mut BTreeMap<String, Vec<String>>) {
    match step {
        Step::Put(keys) => {
            let mut records = Vec::new();
            for key in keys {
                let (key, value) = (format!("key-{}", key % 16), next.to_string());
                *next += 1;
                records.push(json!({"PartitionKey": key, "Data": encode(&value)}));
                put.entry(key).or_default().push(value);
            }
            bench.ask("PutRecords", json!({"StreamName": "jobs", "Records": records})).await.unwrap();
        }
        Step::Split(choice) => {
            let open = open(bench).await;
            let (shard, start, end) = &open[choice % open.len()];
            let middle = (start + (end - start) / 2).to_string();
            let body = json!({"StreamName": "jobs", "ShardToSplit": shard, "NewStartingHashKey": middle});
            bench.ask("SplitShard", body).await.unwrap();
        }
        Step::Merge(choice) => {
            let open = open(bench).await;
            if let [one, other] = open.windows(2).nth(choice % open.len().max(1)).unwrap_or_default() {
                let body = json!({"StreamName": "jobs", "ShardToMerge": one.0, "AdjacentShardToMerge": other.0});
                bench.ask("MergeShards", body).await.unwrap();
            }
        }
    }
}

/// Reads all shards, parents before their children, and returns the data by partition key.
async fn read_all(bench: &Bench) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // Children are made after their parents, so the order of the numbers is one of parents first.
    for shard in 0..bench.shards(Value::Null).await.len() {
        let (records, _) = bench.drain(shard).await;
        let numbers: Vec<String> = records.iter().map(|record| text(&record["SequenceNumber"])).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        for record in &records {
            found.entry(text(&record["PartitionKey"])).or_default().push(plain(record));
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn all_records_are_there_in_order_however_the_shards_change(steps in prop::collection::vec(step(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::with_stream(2).await;
            let (mut next, mut put) = (0, BTreeMap::new());
            for step in steps {
                take(&bench, step, &mut next, &mut put).await;
            }
            assert_eq!(read_all(&bench).await, put);
        });
    }
}

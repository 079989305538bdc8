//! Random files, faults and changes by hand, against a model of what must be there in the end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::bench::{Bench, Recorder};
use super::cloud::{Cloud, Fault};
use crate::apply::run::Stop;
use crate::aws::marks;
use crate::kind::Tags;
use crate::plan::Goal;

const KINDS: [&str; 3] = ["base", "thing", "part"];

/// One resource of a random file.
#[derive(Debug, Clone)]
struct Entry {
    kind: usize,
    name: u8,
    value: u8,
    fixed: u8,
    refs: BTreeSet<usize>,
    pin: Option<usize>,
}

/// What is done after a file was changed.
#[derive(Debug, Clone)]
struct Round {
    file: BTreeMap<usize, Entry>,
    faults: Vec<(usize, usize, usize)>,
    stop: Option<(usize, bool)>,
    by_hand: Option<(usize, bool)>,
    limit: usize,
}

fn entry() -> impl Strategy<Value = Entry> {
    let refs = prop::collection::btree_set(0..7_usize, 0..3);
    (0..3_usize, 0..2_u8, 0..2_u8, 0..4_u8, refs, prop::option::weighted(0.2, 0..7_usize))
        .prop_map(|(kind, name, value, fixed, refs, pin)| Entry { kind, name, value, fixed: fixed / 3, refs, pin })
}

fn round() -> impl Strategy<Value = Round> {
    (
        prop::collection::btree_map(0..7_usize, entry(), 0..7),
        prop::collection::vec((0..4_usize, 0..7_usize, 0..3_usize), 0..3),
        prop::option::weighted(0.3, (1..12_usize, any::<bool>())),
        prop::option::weighted(0.3, (0..7_usize, any::<bool>())),
        1..5_usize,
    )
        .prop_map(|(file, faults, stop, by_hand, limit)| Round { file, faults, stop, by_hand, limit })
}

/// Returns what an entry refers to: only earlier ones that are in the file.
fn refs<'a>(file: &'a BTreeMap<usize, Entry>, at: usize, entry: &'a Entry) -> impl Iterator<Item = usize> + 'a {
    entry.refs.iter().copied().filter(move |other| *other < at && file.contains_key(other))
}

fn pin(file: &BTreeMap<usize, Entry>, at: usize, entry: &Entry) -> Option<usize> {
    entry.pin.filter(|other| *other < at && file.contains_key(other))
}

fn text(file: &BTreeMap<usize, Entry>) -> String {
    let mut out = if file.is_empty() { "{}".to_owned() } else { String::new() };
    for (at, entry) in file {
        let refs: Vec<_> = refs(file, *at, entry).map(|other| format!("'${{r{other}.id}}'")).collect();
        let pin = pin(file, *at, entry).map(|other| format!("${{r{other}.id}}")).unwrap_or_default();
        out.push_str(&format!(
            "r{at}: {{type: {}, name: r{at}-{}, value: v{}, fixed: f{}, refs: [{}], pin: '{pin}'}}\n",
            KINDS[entry.kind],
            entry.name,
            entry.value,
            entry.fixed,
            refs.join(", ")
        ));
    }
    out
}

/// Checks that exactly the file's objects are there, with its values and each other's identifiers.
fn check(cloud: &Cloud, file: &BTreeMap<usize, Entry>) -> Result<(), TestCaseError> {
    cloud.with(|contents| {
        let ours: Vec<_> =
            contents.objects.iter().filter(|(_, object)| marks::stack_of(&object.tags) == Some("s")).collect();
        prop_assert_eq!(ours.len(), file.len());
        let mut found = BTreeMap::new();
        for ((kind, _), object) in ours {
            let id = marks::resource_of(&object.tags).unwrap_or_default().to_owned();
            prop_assert!(found.insert(id, (*kind, object)).is_none());
        }
        let id_of = |at: usize| {
            let (kind, object) = found[&format!("r{at}")];
            format!("{kind}-{}", object.serial)
        };
        for (at, entry) in file {
            let (kind, object) = found[&format!("r{at}")];
            prop_assert_eq!(kind, KINDS[entry.kind]);
            if kind != "part" {
                prop_assert_eq!(&object.name, &format!("r{at}-{}", entry.name));
            }
            let refs: Vec<Value> = refs(file, *at, entry).map(|other| json!(id_of(other))).collect();
            prop_assert_eq!(&object.spec["refs"], &json!(refs));
            prop_assert_eq!(&object.spec["value"], &json!(format!("v{}", entry.value)));
            prop_assert_eq!(&object.spec["fixed"], &json!(format!("f{}", entry.fixed)));
            prop_assert_eq!(&object.spec["pin"], &json!(pin(file, *at, entry).map(id_of).unwrap_or_default()));
        }
        prop_assert!(contents.objects.contains_key(&("thing", "foreign".to_owned())));
        Ok(())
    })
}

fn by_hand(cloud: &Cloud, which: usize, removes: bool) {
    cloud.with(|contents| {
        let ours = contents.objects.iter().filter(|(_, object)| marks::stack_of(&object.tags) == Some("s"));
        let Some(key) = ours.map(|(key, _)| key.clone()).nth(which) else { return };
        if removes {
            contents.objects.remove(&key);
        } else if let Some(object) = contents.objects.get_mut(&key) {
            object.spec["value"] = json!("by hand");
        }
    });
}

fn script(cloud: &Cloud, faults: &[(usize, usize, usize)]) {
    let verbs = ["create", "update", "delete", "retag"];
    let what = [Fault::Fail, Fault::LoseAnswer, Fault::Panic];
    for (verb, at, fault) in faults {
        cloud.fault(verbs[*verb], &format!("r{at}"), what[*fault].clone());
    }
}

async fn play(rounds: &[Round]) -> Result<(), TestCaseError> {
    let bench = Bench::new();
    let foreign = super::cloud::Object {
        name: "foreign".into(),
        spec: json!({"refs": []}),
        tags: Tags::new(),
        serial: 1_000_000,
    };
    bench.cloud.with(|contents| contents.objects.insert(("thing", "foreign".to_owned()), foreign));
    let mut last = bench.stack("{}");
    for round in rounds {
        last = bench.stack(&text(&round.file));
        if let Some((which, removes)) = round.by_hand {
            by_hand(&bench.cloud, which, removes);
        }
        script(&bench.cloud, &round.faults);
        let plan = bench.plan(&last, &Goal::default()).await;
        prop_assert_eq!(&plan.blocked, &[]);
        let stops = round.stop.iter().map(|(at, now)| (*at, if *now { Stop::Now } else { Stop::Gently })).collect();
        let mut recorder = Recorder { stops, ..Recorder::default() };
        let summary = bench.carry_out(&last, &plan, round.limit, &mut recorder).await;
        let ended = summary.done.len() + summary.failed.len() + summary.skipped.len();
        let jobs: usize =
            plan.steps.iter().map(|step| usize::from(step.action.creates()) + usize::from(step.action.deletes())).sum();
        let changed = plan.counts().change + plan.counts().leave;
        prop_assert_eq!(ended + summary.not_started.len() + summary.unknown.len(), jobs + changed);
        prop_assert!(bench.cloud.with(|contents| contents.peak) <= 4);
        bench.cloud.with(|contents| contents.faults.clear());
        let repaired = bench.apply(&last).await;
        prop_assert!(repaired.is_complete(), "{:?}", repaired);
        check(&bench.cloud, &round.file)?;
        let again = bench.plan(&last, &Goal::default()).await;
        prop_assert!(again.is_empty(), "{:?}", super::bench::actions(&again));
    }
    bench.cloud.with(|contents| contents.strict = true);
    let summary = bench.destroy(&last).await;
    prop_assert!(summary.is_complete(), "{:?}", summary);
    check(&bench.cloud, &BTreeMap::new())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Whatever happened before, an undisturbed apply ends with exactly what the file says, and destroy with nothing.
    #[test]
    fn converges_to_the_file(rounds in prop::collection::vec(round(), 1..4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(&rounds))?;
    }
}

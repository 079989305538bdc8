//! What is the stack's and what is not: conflicts, adoption, marks, drift.

use super::bench::{Bench, actions};
use super::cloud::Object;
use crate::aws::marks;
use crate::kind::Tags;
use crate::plan::{Action, Adopt, Goal, Reason};
use serde_json::json;

fn place(bench: &Bench, name: &str, tags: Tags) {
    let spec = json!({"value": "theirs", "fixed": "", "secret": "", "refs": [], "pin": "", "nested": {}});
    let object = Object { name: name.to_owned(), spec, tags, serial: 900 };
    bench.cloud.with(|contents| contents.objects.insert(("thing", name.to_owned()), object));
}

#[tokio::test]
async fn a_foreign_object_is_in_the_way_until_it_is_adopted() {
    let bench = Bench::new();
    place(&bench, "a", Tags::from([("team".into(), "x".into())]));
    let stack = bench.stack("a: {type: thing, value: ours}");
    let plan = bench.plan(&stack, &Goal::default()).await;
    assert!(plan.is_empty());
    assert!(plan.blocked[0].message.contains("does not belong to this stack"));
    assert!(plan.blocked[0].help.contains("--adopt a"));
    let goal = Goal { adopt: Adopt::All, ..Goal::default() };
    let plan = bench.plan(&stack, &goal).await;
    assert_eq!(plan.steps[0].reasons[0], Reason::Adopted);
    assert!(bench.run_with(&stack, &goal).await.is_complete());
    assert_eq!(bench.owned(), ["thing a as a"]);
    bench.assert_settled(&stack).await;
}

#[tokio::test]
async fn another_stacks_object_is_never_adopted_nor_destroyed() {
    let bench = Bench::new();
    place(&bench, "a", Tags::from([(marks::STACK.into(), "other".into())]));
    let stack = bench.stack("a: {type: thing}");
    let plan = bench.plan(&stack, &Goal { adopt: Adopt::All, ..Goal::default() }).await;
    assert!(plan.is_empty() && plan.blocked[0].message.contains("belongs to the stack `other`"));
    let plan = bench.plan(&stack, &Goal { destroy: true, ..Goal::default() }).await;
    assert!(plan.is_empty() && plan.blocked.is_empty());
}

#[tokio::test]
async fn another_logical_id_for_the_same_name_is_only_a_tag() {
    let bench = Bench::new();
    bench.converge(&bench.stack("a: {type: thing, name: n}")).await;
    let next = bench.stack("b: {type: thing, name: n}");
    let plan = bench.plan(&next, &Goal::default()).await;
    assert_eq!(actions(&plan), [("b", Action::Update)]);
    assert_eq!(plan.steps[0].reasons, [Reason::Tags]);
    bench.converge(&next).await;
    assert_eq!(bench.owned(), ["thing n as b"]);
}

#[tokio::test]
async fn drift_is_told_from_a_pending_change() {
    let bench = Bench::new();
    let stack = bench.stack("a: {type: thing, value: x}");
    bench.converge(&stack).await;
    let pending = bench.plan(&bench.stack("a: {type: thing, value: y}"), &Goal::default()).await;
    assert_eq!(pending.steps[0].reasons, [Reason::Pending]);
    bench.cloud.with(|contents| {
        contents.objects.values_mut().for_each(|object| object.spec["value"] = json!("by hand"));
    });
    assert_eq!(bench.plan(&stack, &Goal::default()).await.steps[0].reasons, [Reason::Drift]);
    bench.converge(&stack).await;
    bench.cloud.with(|contents| contents.objects.clear());
    assert_eq!(bench.plan(&stack, &Goal::default()).await.steps[0].reasons, [Reason::Missing]);
    bench.converge(&stack).await;
}

#[tokio::test]
async fn ignored_paths_stay_as_they_are() {
    let bench = Bench::new();
    let stack = bench.stack("a: {type: thing, value: x, ignore_changes: [value]}");
    bench.converge(&stack).await;
    bench.cloud.with(|contents| {
        contents.objects.values_mut().for_each(|object| object.spec["value"] = json!("by hand"));
    });
    bench.assert_settled(&stack).await;
    bench.converge(&bench.stack("a: {type: thing, value: x, secret: y, ignore_changes: [value]}")).await;
    let spec = bench.cloud.with(|contents| contents.objects[&("thing", "a".to_owned())].spec.clone());
    assert_eq!((&spec["value"], &spec["secret"]), (&json!("by hand"), &json!("y")));
}

#[tokio::test]
async fn what_is_protected_is_not_deleted_even_after_it_left_the_file() {
    let bench = Bench::new();
    let stack = bench.stack("a: {type: thing, fixed: x, protect: true}");
    bench.converge(&stack).await;
    let all = Goal { destroy: true, ..Goal::default() };
    for (next, goal) in [
        (stack.clone(), &all),
        (bench.stack("a: {type: thing, fixed: y, protect: true}"), &Goal::default()),
        (bench.stack("a: {type: thing, name: n, protect: true}"), &Goal::default()),
        (bench.stack("{}"), &Goal::default()),
        (bench.stack("{}"), &all),
    ] {
        let plan = bench.plan(&next, goal).await;
        assert!(plan.blocked[0].message.contains("it is protected"), "{:?}", plan.blocked);
    }
    bench.converge(&bench.stack("a: {type: thing, fixed: x}")).await;
    bench.converge(&bench.stack("{}")).await;
    assert!(bench.owned().is_empty());
}

#[tokio::test]
async fn what_is_retained_is_left_without_our_marks() {
    for next in ["{}", "a: {type: thing, retain: true}"] {
        let bench = Bench::new();
        bench.converge(&bench.stack("a: {type: thing, retain: true, tags: {team: x}}")).await;
        let next = bench.stack(next);
        let goal = Goal { destroy: !next.resources.is_empty(), ..Goal::default() };
        let plan = bench.plan(&next, &goal).await;
        assert_eq!(actions(&plan), [("a", Action::Leave)]);
        assert!(bench.run_with(&next, &goal).await.is_complete());
        assert!(bench.owned().is_empty());
        let tags = bench.cloud.with(|contents| contents.objects[&("thing", "a".to_owned())].tags.clone());
        assert_eq!(tags, Tags::from([("team".into(), "x".into())]));
    }
}

/// A look at what has no name waits for the sweep only when nothing else tells which object it is.
#[tokio::test]
async fn what_is_known_from_the_file_is_looked_at_in_one_round() {
    let bench = Bench::new();
    let round = std::time::Duration::from_millis(400);
    bench.cloud.with(|contents| (contents.latency, contents.found_by_spec) = (round, true));
    let stack = bench.stack("a: {type: thing}\nb: {type: part, refs: ['${a.arn}']}");
    let took = async || {
        let start = std::time::Instant::now();
        bench.live(&stack).await;
        start.elapsed()
    };
    assert!(took().await < 2 * round);
    bench.converge(&stack).await;
    assert!(took().await < 2 * round);
    // A twin with the same marks: which of them it is takes another look.
    bench.cloud.with(|contents| {
        let (at, twin) = contents.objects.iter().next().map(|(at, object)| (at.clone(), object.clone())).unwrap();
        contents.objects.insert((at.0, format!("{}-twin", at.1)), twin);
    });
    assert!(took().await >= 2 * round);
    assert_eq!(bench.live(&stack).await.found["b"].physical, "part-2");
}

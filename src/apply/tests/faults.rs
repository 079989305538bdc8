//! What failing, slow, panicking and interrupted steps leave behind.

use std::time::Duration;

use super::bench::{Bench, Recorder, ids};
use super::cloud::Fault;
use crate::apply::event::Event;
use crate::apply::run::Stop;
use crate::plan::{Goal, Reason};

const CHAIN: &str = "a: {type: thing}\nb: {type: part, refs: ['${a.id}']}\nc: {type: part, refs: ['${b.id}']}\n\
    d: {type: thing, depends_on: [a]}\ne: {type: base}";

#[tokio::test]
async fn a_failed_step_loses_its_dependents_and_nothing_else() {
    let bench = Bench::new();
    let stack = bench.stack(CHAIN);
    bench.cloud.fault("create", "b", Fault::Fail);
    let summary = bench.apply(&stack).await;
    assert_eq!(ids(&summary.done), ["a", "d", "e"]);
    assert_eq!(ids(summary.failed.iter().map(|(subject, _)| subject)), ["b"]);
    assert_eq!(ids(&summary.skipped), ["c"]);
    assert!(summary.not_started.is_empty() && summary.unknown.is_empty() && !summary.is_complete());
    bench.cloud.log();
    bench.converge(&stack).await;
    assert_eq!(bench.cloud.log().iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>(), ["b", "c"]);
}

#[tokio::test]
async fn a_failed_deletion_keeps_what_it_needs() {
    let bench = Bench::new();
    let stack = bench.stack(CHAIN);
    bench.converge(&stack).await;
    bench.cloud.fault("delete", "b", Fault::Fail);
    let summary = bench.destroy(&stack).await;
    assert_eq!(ids(&summary.skipped), ["a"]);
    assert_eq!(ids(&summary.done), ["c", "d", "e"]);
    assert!(bench.destroy(&stack).await.is_complete());
    assert!(bench.owned().is_empty());
}

#[tokio::test]
async fn a_lost_answer_doubles_nothing() {
    let bench = Bench::new();
    let stack = bench.stack(CHAIN);
    for id in ["a", "b", "c"] {
        bench.cloud.fault("create", id, Fault::LoseAnswer);
        assert!(!bench.apply(&stack).await.is_complete());
    }
    bench.converge(&stack).await;
    assert_eq!(bench.owned().len(), 5, "{:?}", bench.owned());
}

#[tokio::test]
async fn an_interrupted_replacement_is_finished_without_a_third_object() {
    let bench = Bench::new();
    bench.converge(&bench.stack("s: {type: part}\na: {type: part, fixed: x, refs: ['${s.id}']}")).await;
    let next = bench.stack("s: {type: part}\na: {type: part, fixed: y, refs: ['${s.id}']}");
    bench.cloud.fault("delete", "a", Fault::Fail);
    assert!(!bench.apply(&next).await.is_complete());
    assert_eq!(bench.owned().len(), 3);
    bench.cloud.log();
    bench.converge(&next).await;
    assert_eq!(bench.cloud.log(), [("delete", "a".to_owned())]);
    assert_eq!(bench.owned(), ["part part-1 as s", "part part-3 as a"]);
}

/// Without its mark, what is later changed by hand would pass for a change of the file.
#[tokio::test]
async fn an_update_that_breaks_off_before_its_mark_is_finished() {
    let bench = Bench::new();
    bench.converge(&bench.stack("a: {type: thing, value: x}")).await;
    let next = bench.stack("a: {type: thing, value: y}");
    bench.cloud.fault("retag", "a", Fault::Fail);
    assert!(!bench.apply(&next).await.is_complete());
    bench.cloud.log();
    bench.converge(&next).await;
    assert_eq!(bench.cloud.log(), [("retag", "a".to_owned())]);
    bench.cloud.with(|contents| contents.objects.values_mut().for_each(|object| object.spec["value"] = "z".into()));
    assert_eq!(bench.plan(&next, &Goal::default()).await.steps[0].reasons, [Reason::Drift]);
}

/// The marks on the old object are from before: the file alone says whether it may go, as if nothing had broken off.
#[tokio::test]
async fn an_interrupted_replacement_of_what_is_retained_or_was_protected_is_finished() {
    for (before, now) in [("retain: true", "retain: true"), ("protect: true", "protect: false")] {
        let bench = Bench::new();
        bench.converge(&bench.stack(&format!("a: {{type: part, fixed: x, {before}}}"))).await;
        let next = bench.stack(&format!("a: {{type: part, fixed: y, {now}}}"));
        bench.cloud.fault("delete", "a", Fault::Fail);
        assert!(!bench.apply(&next).await.is_complete());
        bench.converge(&next).await;
        assert_eq!(bench.cloud.with(|contents| contents.objects.len()), 1, "{before}");
        assert_eq!(bench.owned(), ["part part-2 as a"]);
    }
}

#[tokio::test]
async fn an_interrupted_renaming_is_finished() {
    let bench = Bench::new();
    bench.converge(&bench.stack("a: {type: thing, name: old}")).await;
    let next = bench.stack("a: {type: thing, name: new}");
    bench.cloud.fault("delete", "a", Fault::Fail);
    assert!(!bench.apply(&next).await.is_complete());
    bench.converge(&next).await;
    assert_eq!(bench.owned(), ["thing new as a"]);
}

#[tokio::test]
async fn a_panicking_step_is_a_failed_step() {
    let bench = Bench::new();
    let stack = bench.stack(CHAIN);
    bench.cloud.fault("create", "b", Fault::Panic);
    let summary = bench.apply(&stack).await;
    assert_eq!(ids(summary.failed.iter().map(|(subject, _)| subject)), ["b"]);
    assert!(summary.failed[0].1.message.contains("broke off"), "{}", summary.failed[0].1);
    assert_eq!(ids(&summary.done), ["a", "d", "e"]);
    bench.converge(&stack).await;
}

#[tokio::test]
async fn an_output_that_never_came_is_not_sent_on() {
    let bench = Bench::new();
    let stack = bench.stack("a: {type: thing}\nb: {type: part, refs: ['${a.id}']}");
    bench.cloud.fault("create", "a", Fault::Forget);
    let summary = bench.apply(&stack).await;
    let (subject, error) = &summary.failed[0];
    assert_eq!(subject.id, "b");
    assert!(error.message.contains("${a.id} has no value"), "{error}");
    bench.converge(&stack).await;
}

#[tokio::test]
async fn a_known_value_may_not_change() {
    let bench = Bench::new();
    let stack = bench.stack("a: {type: thing}\nb: {type: part, value: '${a.arn}'}");
    bench.cloud.fault("create", "a", Fault::Surprise);
    let summary = bench.apply(&stack).await;
    let (subject, error) = &summary.failed[0];
    assert_eq!(subject.id, "b");
    assert!(error.message.contains("value would become something that the plan did not show"), "{error}");
    bench.converge(&stack).await;
}

#[tokio::test]
async fn a_known_value_may_not_change_in_an_update_either() {
    let bench = Bench::new();
    bench.converge(&bench.stack("a: {type: thing, fixed: x}\nb: {type: part, value: '${a.arn}'}")).await;
    let next = bench.stack("a: {type: thing, fixed: y}\nb: {type: part, value: '${a.arn}', refs: ['${a.id}']}");
    bench.cloud.fault("create", "a", Fault::Surprise);
    let summary = bench.apply(&next).await;
    assert!(summary.failed[0].1.message.contains("the plan did not show"), "{:?}", summary.failed);
    bench.converge(&next).await;
}

#[tokio::test]
async fn never_more_at_once_than_allowed() {
    for limit in [1, 3] {
        let bench = Bench::new();
        let resources: String = (0..12).map(|number| format!("r{number}: {{type: thing}}\n")).collect();
        let stack = bench.stack(&resources);
        let plan = bench.plan(&stack, &Goal::default()).await;
        assert!(bench.carry_out(&stack, &plan, limit, &mut Recorder::default()).await.is_complete());
        assert_eq!(bench.cloud.with(|contents| contents.peak), limit);
    }
}

#[tokio::test]
async fn a_gentle_stop_finishes_what_runs_and_starts_nothing() {
    let bench = Bench::new();
    let stack = bench.stack(CHAIN);
    bench.cloud.fault("create", "a", Fault::Delay(Duration::from_millis(80)));
    let plan = bench.plan(&stack, &Goal::default()).await;
    let mut recorder = Recorder { stops: vec![(1, Stop::Gently)], ..Recorder::default() };
    let summary = bench.carry_out(&stack, &plan, 2, &mut recorder).await;
    assert!(recorder.events.iter().any(|event| matches!(event, Event::Stopping { running: 1 | 2 })));
    assert!(ids(&summary.done).contains(&"a"), "{summary:?}");
    assert_eq!(ids(&summary.not_started), ["b", "c", "d"]);
    assert!(summary.unknown.is_empty() && summary.failed.is_empty() && summary.skipped.is_empty());
    bench.converge(&stack).await;
}

#[tokio::test]
async fn a_second_stop_cuts_off_and_says_what_is_unknown() {
    let bench = Bench::new();
    let stack = bench.stack(CHAIN);
    bench.cloud.fault("create", "a", Fault::Delay(Duration::from_mins(10)));
    let plan = bench.plan(&stack, &Goal::default()).await;
    let mut recorder =
        Recorder { stops: vec![(1, Stop::Gently), (2, Stop::Now), (3, Stop::Now)], ..Recorder::default() };
    let summary = bench.carry_out(&stack, &plan, 2, &mut recorder).await;
    assert!(ids(&summary.unknown).contains(&"a"), "{summary:?}");
    assert!(summary.failed.is_empty());
    // A step that was cut off before its first move has not met its fault.
    bench.cloud.with(|contents| contents.faults.clear());
    bench.converge(&stack).await;
}

#[tokio::test]
async fn progress_is_reported() {
    let bench = Bench::new();
    let stack = bench.stack("a: {type: thing}\nb: {type: part, refs: ['${a.id}']}");
    let plan = bench.plan(&stack, &Goal::default()).await;
    let mut recorder = Recorder::default();
    assert!(bench.carry_out(&stack, &plan, 1, &mut recorder).await.is_complete());
    let shape: Vec<String> = recorder
        .events
        .iter()
        .map(|event| match event {
            Event::Started(subject) => format!("started {}", subject.id),
            Event::Finished { subject, physical, .. } => format!("finished {} as {physical}", subject.id),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(shape, ["started a", "finished a as a", "started b", "finished b as part-2"]);
}

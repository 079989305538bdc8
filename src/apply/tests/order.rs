//! In which order things are made, changed, replaced and deleted.

use std::collections::BTreeSet;
use std::time::Duration;

use super::bench::{Bench, actions};
use super::cloud::Fault;
use crate::plan::{Action, Goal, Reason};

fn log(bench: &Bench) -> Vec<String> {
    bench.cloud.log().into_iter().map(|(verb, id)| format!("{verb} {id}")).collect()
}

#[tokio::test]
async fn makes_in_order_and_destroys_in_reverse() {
    let bench = Bench::new();
    bench.cloud.with(|contents| contents.strict = true);
    let stack = bench.stack(
        "a: {type: thing}\nb: {type: part, refs: ['${a.id}']}\nc: {type: base, refs: ['${b.id}', '${a.arn}']}\nd: {type: thing, depends_on: [c]}",
    );
    bench.converge(&stack).await;
    assert_eq!(log(&bench), ["create a", "create b", "create c", "create d"]);
    assert!(bench.destroy(&stack).await.is_complete());
    assert_eq!(log(&bench), ["delete d", "delete c", "delete b", "delete a"]);
    assert!(bench.owned().is_empty());
}

#[tokio::test]
async fn a_second_apply_writes_nothing() {
    let bench = Bench::new();
    let stack = bench.stack("a: {type: thing, value: x}\nb: {type: part, refs: ['${a.id}']}");
    bench.converge(&stack).await;
    log(&bench);
    bench.converge(&stack).await;
    assert_eq!(log(&bench), Vec::<String>::new());
}

#[tokio::test]
async fn what_collides_goes_before_its_successor_comes() {
    let bench = Bench::new();
    bench.converge(&bench.stack("a: {type: thing, fixed: x}\nb: {type: part, refs: ['${a.id}']}")).await;
    log(&bench);
    let next = bench.stack("a: {type: thing, fixed: y}\nb: {type: part, refs: ['${a.id}']}");
    let plan = bench.plan(&next, &Goal::default()).await;
    assert_eq!(actions(&plan), [("a", Action::DeleteCreate), ("b", Action::Update)]);
    assert_eq!(plan.steps[0].reasons, [Reason::CannotUpdate { paths: vec!["fixed".into()] }]);
    bench.converge(&next).await;
    assert_eq!(log(&bench), ["delete a", "create a", "update b", "retag b"]);
}

#[tokio::test]
async fn what_does_not_collide_is_made_first_and_its_users_move_in_between() {
    let bench = Bench::new();
    bench.cloud.with(|contents| contents.strict = true);
    bench.converge(&bench.stack("a: {type: part, fixed: x}\nb: {type: thing, refs: ['${a.id}']}")).await;
    log(&bench);
    let next = bench.stack("a: {type: part, fixed: y}\nb: {type: thing, refs: ['${a.id}']}");
    assert_eq!(
        actions(&bench.plan(&next, &Goal::default()).await),
        [("a", Action::CreateDelete), ("b", Action::Update)]
    );
    bench.converge(&next).await;
    assert_eq!(log(&bench), ["create a", "update b", "retag b", "delete a"]);
    assert_eq!(bench.owned(), ["part part-3 as a", "thing b as b"]);
}

#[tokio::test]
async fn a_new_name_is_made_before_the_old_one_goes() {
    let bench = Bench::new();
    bench.cloud.with(|contents| contents.strict = true);
    bench.converge(&bench.stack("a: {type: thing, name: old}\nb: {type: thing, refs: ['${a.id}']}")).await;
    log(&bench);
    let next = bench.stack("a: {type: thing, name: new}\nb: {type: thing, refs: ['${a.id}']}");
    let plan = bench.plan(&next, &Goal::default()).await;
    assert_eq!(actions(&plan), [("a", Action::CreateDelete), ("b", Action::Update)]);
    assert_eq!(plan.steps[0].reasons, [Reason::Renamed { from: "old".into() }]);
    bench.converge(&next).await;
    assert_eq!(log(&bench), ["create a", "update b", "retag b", "delete a"]);
    assert_eq!(bench.owned(), ["thing b as b", "thing new as a"]);
}

/// Made first and deleted last would wait for each other for ever: the whole chain goes and comes back.
#[tokio::test]
async fn a_new_name_below_a_colliding_replacement_is_made_after_both_are_gone() {
    let bench = Bench::new();
    bench.converge(&bench.stack("a: {type: thing, fixed: x}\nb: {type: thing, name: old, pin: '${a.id}'}")).await;
    log(&bench);
    let next = bench.stack("a: {type: thing, fixed: y}\nb: {type: thing, name: new, pin: '${a.id}'}");
    bench.converge(&next).await;
    assert_eq!(log(&bench), ["delete b", "delete a", "create a", "create b"]);
}

#[tokio::test]
async fn a_replacement_that_forces_another_one_takes_it_along() {
    let bench = Bench::new();
    bench.converge(&bench.stack("a: {type: thing, fixed: x}\nb: {type: part, pin: '${a.id}'}")).await;
    log(&bench);
    let next = bench.stack("a: {type: thing, fixed: y}\nb: {type: part, pin: '${a.id}'}");
    assert_eq!(
        actions(&bench.plan(&next, &Goal::default()).await),
        [("a", Action::DeleteCreate), ("b", Action::DeleteCreate)]
    );
    bench.converge(&next).await;
    assert_eq!(log(&bench), ["delete b", "delete a", "create a", "create b"]);
}

#[tokio::test]
async fn a_wish_alone_replaces() {
    let bench = Bench::new();
    let stack = bench.stack("a: {type: thing}");
    bench.converge(&stack).await;
    log(&bench);
    let goal = Goal { replace: BTreeSet::from(["a".to_owned()]), ..Goal::default() };
    assert_eq!(bench.plan(&stack, &goal).await.steps[0].reasons, [Reason::Requested]);
    assert!(bench.run_with(&stack, &goal).await.is_complete());
    assert_eq!(log(&bench), ["delete a", "create a"]);
}

#[tokio::test]
async fn what_left_the_file_goes_last_and_in_rank_order() {
    let bench = Bench::new();
    bench.cloud.with(|contents| contents.strict = true);
    let first = "x: {type: base}\ny: {type: thing, refs: ['${x.id}']}\nz: {type: part, refs: ['${y.id}', '${x.id}']}";
    bench.converge(&bench.stack(first)).await;
    log(&bench);
    let next = bench.stack("n: {type: thing}");
    let plan = bench.plan(&next, &Goal::default()).await;
    assert!(plan.steps.iter().all(|step| step.in_file || step.reasons == [Reason::Removed]));
    bench.converge(&next).await;
    assert_eq!(log(&bench), ["create n", "delete z", "delete y", "delete x"]);
}

#[tokio::test]
async fn what_left_the_file_stays_until_the_old_one_of_its_user_is_gone() {
    let bench = Bench::new();
    bench.cloud.with(|contents| contents.strict = true);
    bench.converge(&bench.stack("old: {type: base}\nuser: {type: part, fixed: x, refs: ['${old.id}']}")).await;
    log(&bench);
    bench.cloud.fault("delete", "user", Fault::Delay(Duration::from_millis(50)));
    bench.converge(&bench.stack("user: {type: part, fixed: y}")).await;
    assert_eq!(log(&bench), ["create user", "delete user", "delete old"]);
}

/// The file moved `user` from `old` to `new` and was never applied: `old` is still in use.
#[tokio::test]
async fn destroy_keeps_what_left_the_file_until_its_users_are_gone() {
    let bench = Bench::new();
    bench.cloud.with(|contents| contents.strict = true);
    bench.converge(&bench.stack("old: {type: base}\nuser: {type: part, refs: ['${old.id}']}")).await;
    log(&bench);
    let next = bench.stack("new: {type: base}\nuser: {type: part, refs: ['${new.id}']}");
    assert!(bench.destroy(&next).await.is_complete());
    assert_eq!(log(&bench), ["delete user", "delete old"]);
}

#[tokio::test]
async fn one_name_of_two_kinds_is_two_objects() {
    let bench = Bench::new();
    bench.converge(&bench.stack("a: {type: thing, name: same}\nb: {type: base, name: same}")).await;
    let next = bench.stack("a: {type: thing, name: same}");
    assert!(bench.destroy(&next).await.is_complete());
    assert!(bench.owned().is_empty(), "{:?}", bench.owned());
}

#[tokio::test]
async fn targets_take_what_they_need_and_excludes_what_needs_them() {
    let bench = Bench::new();
    let stack = bench.stack(
        "a: {type: thing}\nb: {type: part, refs: ['${a.id}']}\nc: {type: part, refs: ['${b.id}']}\nd: {type: thing}",
    );
    let set = |id: &str| BTreeSet::from([id.to_owned()]);
    let target = Goal { targets: set("b"), ..Goal::default() };
    assert_eq!(actions(&bench.plan(&stack, &target).await), [("a", Action::Create), ("b", Action::Create)]);
    let exclude = Goal { excludes: set("b"), ..Goal::default() };
    let left = bench.plan(&stack, &exclude).await;
    let mut left = actions(&left);
    left.sort_by_key(|(id, _)| *id);
    assert_eq!(left, [("a", Action::Create), ("d", Action::Create)]);
    bench.converge(&stack).await;
    let destroy = Goal { destroy: true, targets: set("b"), ..Goal::default() };
    assert!(bench.run_with(&stack, &destroy).await.is_complete());
    assert_eq!(bench.owned(), ["thing a as a", "thing d as d"]);
}

#[tokio::test]
async fn excluding_keeps_the_old_name_of_what_depends_on_it() {
    let bench = Bench::new();
    bench.converge(&bench.stack("a: {type: thing}\nb: {type: thing, name: old, refs: ['${a.id}']}")).await;
    let next = bench.stack("a: {type: thing}\nb: {type: thing, name: new, refs: ['${a.id}']}");
    let goal = Goal { excludes: BTreeSet::from(["a".to_owned()]), ..Goal::default() };
    assert_eq!(actions(&bench.plan(&next, &goal).await), []);
}

/// The old one cannot go while it is used, and the user can change only when the new one is there.
#[tokio::test]
async fn what_is_held_on_to_cannot_be_made_anew_under_its_name() {
    let bench = Bench::new();
    let users = "b: {type: part, held: '${a.id}'}\nc: {type: base, held: '${a.id}', refs: ['${b.id}']}";
    bench.converge(&bench.stack(&format!("a: {{type: thing, fixed: x}}\n{users}"))).await;
    let next = bench.stack(&format!("a: {{type: thing, fixed: y}}\n{users}"));
    let plan = bench.plan(&next, &Goal::default()).await;
    insta::assert_snapshot!(format!("{}: {}\n{}", plan.blocked[0].id, plan.blocked[0].message, plan.blocked[0].help));
    assert_eq!(plan.blocked.len(), 1);
    log(&bench);
    bench.converge(&bench.stack(&format!("a: {{type: thing, fixed: y, name: new}}\n{users}"))).await;
    assert_eq!(log(&bench), ["create a", "update b", "retag b", "update c", "retag c", "delete a"]);
}

#[tokio::test]
async fn who_lets_go_or_goes_along_holds_nothing_up() {
    let bench = Bench::new();
    bench.converge(&bench.stack("a: {type: thing, fixed: x}\nb: {type: part, held: '${a.id}'}")).await;
    let next = bench.stack("a: {type: thing, fixed: y}\nb: {type: part, held: '${a.id}', fixed: z}");
    bench.converge(&next).await;
    bench.converge(&bench.stack("a: {type: thing, fixed: y}\nb: {type: part, fixed: z}")).await;
    // What the file no longer lists goes only when everything is made: too late for what it holds on to.
    bench.converge(&next).await;
    let plan = bench.plan(&bench.stack("a: {type: thing, fixed: q}"), &Goal::default()).await;
    assert_eq!(plan.blocked.len(), 1);
    let destroy = Goal { destroy: true, ..Goal::default() };
    assert_eq!(bench.plan(&next, &destroy).await.blocked, []);
}

#[tokio::test]
async fn what_goes_with_a_replacement_is_given_back_in_the_same_run() {
    let bench = Bench::new();
    let text = "a: {type: thing}\nb: {type: base, lent: '${a.arn}'}\nc: {type: base, value: x}";
    let stack = bench.stack(text);
    bench.converge(&stack).await;
    log(&bench);
    let goal = Goal { replace: BTreeSet::from(["a".to_owned()]), ..Goal::default() };
    let plan = bench.plan(&stack, &goal).await;
    assert_eq!(actions(&plan), [("a", Action::DeleteCreate), ("b", Action::Update)]);
    assert_eq!(plan.steps[1].reasons, [Reason::Undone { by: "a".into() }]);
    assert!(bench.run_with(&stack, &goal).await.is_complete());
    assert_eq!(log(&bench), ["delete a", "create a", "update b"]);
    bench.assert_settled(&stack).await;
}

#[tokio::test]
async fn what_a_kind_refuses_to_change_stops_the_plan() {
    let bench = Bench::new();
    bench.converge(&bench.stack("a: {type: thing, value: late}")).await;
    let next = bench.stack("a: {type: thing, value: early}");
    let plan = bench.plan(&next, &Goal::default()).await;
    assert_eq!(
        (plan.blocked[0].message.as_str(), plan.blocked[0].help.as_str()),
        ("value: nothing gets younger", "leave it")
    );
    let goal = Goal { replace: BTreeSet::from(["a".to_owned()]), ..Goal::default() };
    assert_eq!(bench.plan(&next, &goal).await.blocked, []);
    let ignoring = bench.stack("a: {type: thing, value: early, fixed: '', nested: {x: y}, ignore_changes: [value]}");
    assert_eq!(bench.plan(&ignoring, &Goal::default()).await.blocked, []);
}

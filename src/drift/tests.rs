//! Classes: who changed what, by the hash of what was last applied.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Class, Entry, Report, assess};
use crate::aws::marks;
use crate::graph::Graph;
use crate::kind::{Found, Halt, KindError, Place};
use crate::live::{self, Extra, Live, Orphan, Unreadable};
use crate::stack::Stack;
use crate::stack::fake;

fn place() -> Place {
    Place { partition: "aws".into(), region: "us-east-1".into(), account: "123456789012".into() }
}

/// A stack with one stream.
fn stack(shards: u32) -> Stack {
    let text = format!(
        "stack: s\nregion: us-east-1\nresources:\n  jobs: {{type: fake_stream, shard_count: {shards}, tags: {{env: dev}}}}\n"
    );
    match fake::load(&text) {
        Ok(loaded) => loaded.stack,
        Err(report) => panic!("{}", report.render(false, 100)),
    }
}

/// What AWS has after a stack was applied.
fn applied(stack: &Stack) -> Found {
    let resource = &stack.resources["jobs"];
    let want = live::wanted(stack, &place(), resource, &BTreeMap::new());
    let mut tags = live::tags(stack, resource);
    tags.insert(marks::SPEC.to_owned(), live::hash(stack, resource, &want));
    Found { physical: "jobs".into(), spec: want, tags, ..Found::default() }
}

fn report(stack: &Stack, live: &Live) -> Report {
    assess(stack, &Graph::of(stack).unwrap(), live, &place(), "stackctl apply stack.yaml")
}

fn entry(stack: &Stack, found: Found) -> Entry {
    let live = Live { found: BTreeMap::from([("jobs".to_owned(), found)]), ..Live::default() };
    report(stack, &live).entries.remove(0)
}

fn with_shards(mut found: Found, shards: u32) -> Found {
    found.spec["shard_count"] = shards.into();
    found
}

#[test]
fn what_was_applied_is_in_sync() {
    let told = entry(&stack(1), applied(&stack(1)));
    assert_eq!((told.class, told.findings, told.mend), (Class::InSync, Vec::new(), None));
}

#[test]
fn a_field_has_both_sides_and_the_way_back() {
    let told = entry(&stack(1), with_shards(applied(&stack(1)), 3));
    let finding = &told.findings[0];
    assert_eq!((told.class, finding.path.as_str()), (Class::Drifted, "shard_count"));
    assert_eq!((&finding.wanted, &finding.live), (&json!(1), &json!(3)));
    assert_eq!(told.mend.as_deref(), Some("stackctl apply stack.yaml --target jobs"));
}

#[test]
fn tags_and_marks_are_told_apart() {
    let with = |key: &str, value: Option<&str>| {
        let mut found = applied(&stack(1));
        found.tags.remove(key);
        found.tags.extend(value.map(|value| (key.to_owned(), value.to_owned())));
        let told = entry(&stack(1), found);
        let finding = told.findings[0].clone();
        (finding.class, finding.path, finding.live)
    };
    assert_eq!(with("env", Some("prod")), (Class::Drifted, "tags.env".into(), json!("prod")));
    assert_eq!(with("env", None), (Class::Drifted, "tags.env".into(), Value::Null));
    assert_eq!(with("owner", Some("me")), (Class::Drifted, "tags.owner".into(), json!("me")));
    assert_eq!(with(marks::SPEC, None), (Class::Drifted, "tags.stackctl:spec".into(), Value::Null));
    assert_eq!(with(marks::STACK, None), (Class::LookAlike, String::new(), Value::Null));
    assert_eq!(with(marks::STACK, Some("other")), (Class::LookAlike, String::new(), Value::Null));
}

#[test]
fn a_look_alike_is_taken_over_and_a_stranger_is_pruned() {
    let mut lost = applied(&stack(1));
    lost.tags.clear();
    assert_eq!(entry(&stack(1), lost).mend.unwrap(), "stackctl apply stack.yaml --target jobs --adopt jobs");
    let stack = stack(1);
    let found = Found { physical: "stranger".into(), ..Found::default() };
    let extras = vec![Extra { parent: "jobs".into(), kind: stack.resources["jobs"].kind, found }];
    let live = Live { found: BTreeMap::from([("jobs".to_owned(), applied(&stack))]), extras, ..Live::default() };
    let told = report(&stack, &live).entries.remove(0);
    assert_eq!((told.class, &told.findings[0].live), (Class::Undeclared, &json!("stranger")));
    assert_eq!(told.mend.unwrap(), "stackctl apply stack.yaml --target jobs --prune jobs");
}

#[test]
fn what_is_gone_says_why_where_aws_knows() {
    let stack = stack(1);
    let halt = Halt { since: Some("2026-11-22".into()), reason: Some("Spot instance reclaimed".into()) };
    let live = Live { remains: BTreeMap::from([("jobs".to_owned(), halt)]), ..Live::default() };
    let told = report(&stack, &live).entries.remove(0);
    assert_eq!(told.class, Class::Missing);
    assert_eq!(told.findings[0].note.as_deref(), Some("gone since 2026-11-22: Spot instance reclaimed"));
    assert_eq!(report(&stack, &Live::default()).entries[0].findings[0].note, None);
}

#[test]
fn what_has_failed_is_made_anew() {
    let halt = Some(Halt { since: None, reason: Some("no memory".into()) });
    let told = entry(&stack(1), Found { halt, ..applied(&stack(1)) });
    assert_eq!((told.class, told.findings[0].note.as_deref()), (Class::Stopped, Some("no memory")));
    assert_eq!(told.mend.unwrap(), "stackctl apply stack.yaml --target jobs --replace jobs");
}

#[test]
fn what_cannot_be_read_makes_the_check_incomplete() {
    let stack = stack(1);
    let unreadable = |what: &str| Unreadable { what: what.into(), error: KindError::invalid("AccessDenied") };
    let whole = Live { unreadable: vec![unreadable("jobs")], ..Live::default() };
    let told = report(&stack, &whole);
    assert_eq!(
        (told.entries[0].class, told.entries[0].mend.clone(), told.is_complete()),
        (Class::Unreadable, None, false)
    );
    let found = BTreeMap::from([("jobs".to_owned(), applied(&stack))]);
    let listing = Live { found, unreadable: vec![unreadable("the tagging API")], ..Live::default() };
    let told = report(&stack, &listing);
    assert_eq!((told.entries[0].class, told.unread.len(), told.is_complete()), (Class::InSync, 1, false));
}

#[test]
fn what_left_the_file_is_an_orphan() {
    let stack = stack(1);
    let mut found = applied(&stack);
    found.physical = "old".into();
    let orphan = Orphan { kind: stack.resources["jobs"].kind, id: "gone".into(), found };
    let found = BTreeMap::from([("jobs".to_owned(), applied(&stack))]);
    let told = report(&stack, &Live { found, orphans: vec![orphan], ..Live::default() });
    assert_eq!(
        (told.entries[1].class, told.entries[1].mend.as_deref()),
        (Class::Orphan, Some("stackctl apply stack.yaml"))
    );
}

proptest! {
    /// Pending never hides a drift: whoever changed a field, and however, is told.
    #[test]
    fn pending_never_hides_a_drift(applied_with in 1..4_u32, file in 1..4_u32, live in 1..4_u32, tag in 0..2_u32) {
        let mut found = with_shards(applied(&stack(applied_with)), live);
        if tag == 1 {
            found.tags.insert("env".into(), "prod".into());
        }
        let told = entry(&stack(file), found);
        let (file_moved, live_moved) = (file != applied_with, live != applied_with || tag == 1);
        // Nothing to tell where AWS already has what the file now says.
        let expected = match (file != live || tag == 1, file_moved, live_moved) {
            (false, _, _) => Class::InSync,
            (true, true, true) => Class::Both,
            (true, true, false) => Class::Pending,
            (true, false, _) => Class::Drifted,
        };
        prop_assert_eq!(told.class, expected);
    }
}

//! Every kind through its fixture on the local cloud: set, unset, changed and replaced, with an empty plan in between.

use std::collections::BTreeSet;

use stackctl::kinds::KINDS;

use crate::support::account::{Account, LOCAL_ACCOUNT, REGION};
use crate::support::fixture::Fixture;
use crate::support::listener::Listener;
use crate::support::sandbox::Sandbox;

const FILE: &str = "stack.yaml";

/// Takes a kind through its variants and down again; apply ends in an empty plan, and apply again writes nothing.
fn round_trip(kind: &str) {
    let sandbox = Sandbox::with_fixture_files().local();
    let listener = Listener::start(&sandbox);
    let account = Account::at(listener.url(), LOCAL_ACCOUNT, REGION);
    let fixture = Fixture::of(kind).with(account.variables());
    let empty = account.contents();
    for variant in &fixture.variants {
        sandbox.write(FILE, &fixture.file(Some(variant)));
        sandbox.ok(&["apply", "-y"]);
        listener.reading(|| {
            sandbox.ok(&["plan", "--detailed-exitcode"]).has("No changes.");
            sandbox.ok(&["apply", "-y"]).has("No changes.");
        });
    }
    sandbox.ok(&["destroy", "-y"]).has("nothing is left");
    assert_eq!(account.contents(), empty);
    assert!(account.applications().is_empty());
    assert_eq!(account.tagged(), BTreeSet::new());
}

#[test]
fn every_property_of_every_kind_is_in_a_variant() {
    let missing = KINDS.iter().map(|kind| (kind.type_name(), Fixture::of(kind.type_name()).missing(*kind)));
    let missing: Vec<_> = missing.filter(|(_, paths)| !paths.is_empty()).collect();
    assert!(missing.is_empty(), "the fixtures in tests/kinds never set {missing:#?}");
}

#[test]
fn every_kind_has_its_test() {
    let source = include_str!("round_trip.rs");
    for kind in KINDS {
        let name = kind.type_name();
        assert!(source.contains(&format!("round_trip(\"{name}\")")), "{name} has no test in tests/round_trip.rs");
    }
}

#[test]
fn kinesis_stream() {
    round_trip("kinesis_stream");
}

#[test]
fn kinesis_analytics_application() {
    round_trip("kinesis_analytics_application");
}

#[test]
fn iam_role() {
    round_trip("iam_role");
}

#[test]
fn iam_policy() {
    round_trip("iam_policy");
}

#[test]
fn iam_instance_profile() {
    round_trip("iam_instance_profile");
}

#[test]
fn dynamodb_table() {
    round_trip("dynamodb_table");
}

#[test]
fn sns_topic() {
    round_trip("sns_topic");
}

#[test]
fn sns_subscription() {
    round_trip("sns_subscription");
}

#[test]
fn lambda_function() {
    round_trip("lambda_function");
}

#[test]
fn lambda_event_source_mapping() {
    round_trip("lambda_event_source_mapping");
}

#[test]
fn cloudwatch_log_group() {
    round_trip("cloudwatch_log_group");
}

#[test]
fn ssm_parameter() {
    round_trip("ssm_parameter");
}

#[test]
fn ec2_security_group() {
    round_trip("ec2_security_group");
}

#[test]
fn ec2_instance() {
    round_trip("ec2_instance");
}

//! The examples for CI: valid workflows that ask for no more than they need, and call the program as it can be called.

use std::collections::BTreeSet;

use clap::Parser;
use serde_json::{Value, json};
use stackctl::cli::{Cli, Command, DriftFormat};

use crate::support::sandbox::project;
use crate::support::schemas;

fn text(path: &str) -> String {
    fs_err::read_to_string(project().join(path)).unwrap()
}

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&text(path)).unwrap()
}

#[track_caller]
fn fits(value: &Value, schema: &Value) {
    let validator = jsonschema::validator_for(schema).unwrap();
    let found: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Returns the program's command lines in a script, without the path of the program.
fn calls(script: &str) -> Vec<Vec<String>> {
    let lines = script.lines().map(str::trim).filter(|line| line.split(' ').next().is_some_and(is_program));
    lines.map(|line| line.split(' ').map(|word| word.trim_matches('\'').to_owned()).collect()).collect()
}

fn is_program(word: &str) -> bool {
    word.rsplit('/').next() == Some("stackctl")
}

/// Parses a command line as the program does; returns the formats that it writes.
fn formats(call: &[String]) -> BTreeSet<String> {
    let Command::Drift(args) = Cli::try_parse_from(call).unwrap_or_else(|error| panic!("{call:?}: {error}")).command
    else {
        panic!("{call:?}")
    };
    assert!(!args.report_only && args.stacks == ["stacks/*.yaml"], "{args:?}");
    let mut formats: BTreeSet<String> = args.writes.iter().map(|text| text.split_once('=').unwrap().0.into()).collect();
    formats.extend((args.format == DriftFormat::Github).then(|| "github".to_owned()));
    formats
}

#[test]
fn the_github_workflow_is_one() {
    let schema = schemas::github_workflow();
    fits(&yaml("examples/ci/github-drift.yml"), &schema);
    let mut wrong = yaml("examples/ci/github-drift.yml");
    wrong["jobs"]["drift"]["permissions"]["id-tokn"] = json!("write");
    assert!(!jsonschema::validator_for(&schema).unwrap().is_valid(&wrong), "the schema refuses nothing");
}

#[test]
fn the_github_workflow_keeps_aws_and_the_repository_apart() {
    let workflow = yaml("examples/ci/github-drift.yml");
    assert_eq!(workflow["permissions"], json!({}));
    let jobs = &workflow["jobs"];
    assert_eq!(jobs["drift"]["permissions"], json!({"contents": "read", "id-token": "write"}));
    let writes = json!({"contents": "read", "pull-requests": "write", "security-events": "write"});
    assert_eq!(jobs["tell"]["permissions"], writes);
    let steps: Vec<&Value> = jobs["drift"]["steps"].as_array().unwrap().iter().collect();
    let told = jobs["tell"]["steps"].as_array().unwrap();
    for uses in steps.iter().copied().chain(told).filter_map(|step| step["uses"].as_str()) {
        let version = uses.split_once("@v").unwrap_or_else(|| panic!("{uses} has no version")).1;
        assert!(version.parse::<u32>().is_ok(), "{uses}");
    }
    let assume = steps.iter().find(|step| step["uses"].as_str().is_some_and(|uses| uses.starts_with("aws-actions/")));
    let given = assume.unwrap()["with"].as_object().unwrap();
    assert!(given["role-to-assume"].as_str().unwrap().contains("vars."));
    assert!(given.keys().all(|name| !name.contains("key")), "{given:?}");
    assert!(told.iter().all(|step| !step.to_string().contains("aws-actions")));
    for event in ["schedule", "pull_request"] {
        assert!(workflow["on"].get(event).is_some(), "{event}");
    }
}

#[test]
fn the_github_workflow_calls_the_program_as_it_can_be_called() {
    let workflow = yaml("examples/ci/github-drift.yml");
    let steps = workflow["jobs"]["drift"]["steps"].as_array().unwrap();
    let scripts = steps.iter().filter_map(|step| step["run"].as_str());
    let calls: Vec<_> = scripts.flat_map(calls).collect();
    let [call] = &calls[..] else { panic!("{calls:?}") };
    let want = ["github", "markdown", "sarif"].map(str::to_owned);
    assert_eq!(formats(call), want.into());
    let outputs = workflow["jobs"]["drift"]["outputs"].as_object().unwrap();
    let names: BTreeSet<&str> = outputs.keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["drifted", "incomplete", "resources"]));
}

#[test]
fn the_gitlab_job_is_one() {
    let pipeline = yaml("examples/ci/gitlab-drift.yml");
    fits(&pipeline, &schemas::gitlab_pipeline());
    let drift = &pipeline["drift"];
    assert_eq!(drift["id_tokens"]["AWS_ID_TOKEN"]["aud"], "https://gitlab.com");
    let variables = drift["variables"].as_object().unwrap();
    assert!(variables.contains_key("AWS_ROLE_ARN") && variables.contains_key("AWS_WEB_IDENTITY_TOKEN_FILE"));
    let line = |name: &str| -> Vec<Vec<String>> {
        drift[name].as_array().unwrap().iter().flat_map(|line| calls(line.as_str().unwrap())).collect()
    };
    let script = line("script");
    let [call] = &script[..] else { panic!("{script:?}") };
    assert_eq!(formats(call), ["json", "junit"].map(str::to_owned).into());
    let report = drift["artifacts"]["reports"]["junit"].as_str().unwrap();
    assert!(call.contains(&format!("junit={report}")), "{call:?}");
}

#[test]
fn the_trust_policy_lets_one_repository_in() {
    let policy: Value = serde_json::from_str(&text("examples/ci/aws-trust-policy.json")).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    assert_eq!(statements.len(), 1);
    assert_eq!(statements[0]["Action"], "sts:AssumeRoleWithWebIdentity");
    let condition = statements[0]["Condition"].as_object().unwrap();
    assert_eq!(condition.keys().collect::<Vec<_>>(), ["StringEquals"]);
    let equal = condition["StringEquals"].as_object().unwrap();
    assert_eq!(equal["token.actions.githubusercontent.com:aud"], "sts.amazonaws.com");
    let subjects = equal["token.actions.githubusercontent.com:sub"].as_array().unwrap();
    assert!(subjects.iter().all(|subject| subject.as_str().unwrap().starts_with("repo:OWNER/REPOSITORY:")));
}

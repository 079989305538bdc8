//! `drift` from outside: exit codes, several stacks, ignore rules, every format against its schema, and who did it.

use std::collections::BTreeSet;

use aws_credential_types::Credentials;
use serde_json::Value;
use stackctl::aws::Aws;

use crate::support::account::{self, ACCOUNT, Account, REGION};
use crate::support::listener::Listener;
use crate::support::sandbox::{Output, Sandbox, project};
use crate::support::schemas;

const SECRET: &str = "hunter2-hunter2";

const STACK: &str = "stack: demo
region: us-east-1
variables:
  token: {type: string, sensitive: true}
resources:
  orders:
    type: kinesis_stream
    shard_count: 1
  alerts: {type: sns_topic, display_name: Alerts}
  token: {type: ssm_parameter, name: /demo/token, parameter_type: SecureString, value: '${var.token}'}
";

const FORMATS: [&str; 6] = ["text", "json", "markdown", "junit", "sarif", "github"];

/// An applied stack in a local cloud of its own.
struct World {
    sandbox: Sandbox,
    account: Account,
    listener: Listener,
}

impl World {
    fn new() -> Self {
        let home = Sandbox::new();
        let listener = Listener::start(&home);
        let sandbox = home.remote(listener.url()).set("STACKCTL_VAR_token", SECRET);
        sandbox.write("stack.yaml", STACK);
        sandbox.ok(&["apply", "-y"]);
        Self { sandbox, account: Account::at(listener.url(), ACCOUNT, REGION), listener }
    }

    /// Lets every run use a session of a role with these policies.
    fn with_role(self, statements: &str) -> Self {
        let iam = self.account.aws.iam();
        let allow = |more: &str, what: &str| {
            format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow",{more}"Action":"{what}"}}{}]}}"#, "")
        };
        let trust = allow(&format!(r#""Principal":{{"AWS":"arn:aws:iam::{ACCOUNT}:root"}},"#), "sts:AssumeRole");
        let role = iam.create_role().role_name("ci").assume_role_policy_document(trust).send();
        let arn = self.account.call(role).role.unwrap().arn;
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"*","Resource":"*"}},{statements}]}}"#
        );
        self.account.call(iam.put_role_policy().role_name("ci").policy_name("p").policy_document(policy).send());
        let keys = Credentials::from_keys(ACCOUNT, "none", None);
        let sts = aws_sdk_sts::Client::new(&account::config(self.listener.url(), keys, REGION));
        let session = self.account.call(sts.assume_role().role_arn(arn).role_session_name("nightly").send());
        let given = session.credentials.unwrap();
        let sandbox = self.sandbox.set("AWS_ACCESS_KEY_ID", &given.access_key_id);
        let sandbox = sandbox.set("AWS_SECRET_ACCESS_KEY", &given.secret_access_key);
        Self { sandbox: sandbox.set("AWS_SESSION_TOKEN", &given.session_token), ..self }
    }

    fn aws(&self) -> &Aws {
        &self.account.aws
    }

    fn drift(&self, args: &[&str]) -> Output {
        let args = [&["drift"], args].concat();
        self.listener.reading(|| self.sandbox.run(&args)).lacks(SECRET)
    }

    /// Changes the topic's name as somebody would in the console.
    fn rename_topic(&self) {
        let topic = format!("arn:aws:sns:{REGION}:{ACCOUNT}:alerts");
        let change = self.aws().sns().set_topic_attributes().topic_arn(topic);
        self.account.call(change.attribute_name("DisplayName").attribute_value("By hand").send());
    }

    fn spoil_token(&self) {
        let put = self.aws().ssm().put_parameter().name("/demo/token").overwrite(true);
        self.account.call(put.value("another-secret-value").send());
    }
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"))
}

/// Returns the program's own schema.
fn own_schema() -> Value {
    serde_json::from_str(&fs_err::read_to_string(project().join("stacks/drift.schema.json")).unwrap()).unwrap()
}

/// Returns SARIF's schema without a pattern that has a bracket too many; the field is not used here.
fn sarif_schema() -> Value {
    let mut schema = schemas::sarif();
    for owner in ["run", "toolComponent"] {
        let language = schema.pointer_mut(&format!("/definitions/{owner}/properties/language"));
        language.unwrap().as_object_mut().unwrap().remove("pattern").unwrap();
    }
    schema
}

#[track_caller]
fn fits(value: &Value, schema: &Value) {
    let validator = jsonschema::validator_for(schema).unwrap();
    let found: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(found.is_empty(), "{}\n{value:#}", found.join("\n"));
}

#[test]
fn exit_codes_tell_what_was_found() {
    let world = World::new();
    let codes = |table: &[(&[&str], i32)]| {
        for (args, code) in table {
            world.drift(args).code(*code);
        }
    };
    codes(&[(&[], 0), (&["--fail-on", "pending,drifted"], 0), (&["--report-only"], 0)]);
    world.sandbox.edit("stack.yaml", "Alerts", "Alarms");
    codes(&[(&[], 0), (&["--fail-on", "pending"], 2), (&["--fail-on", "pending", "--report-only"], 0)]);
    world.sandbox.edit("stack.yaml", "Alarms", "Alerts");
    world.rename_topic();
    codes(&[(&[], 2), (&["--report-only"], 0), (&["--fail-on", "missing,stopped"], 0), (&["--fail-on", "drifted"], 2)]);
    for wrong in [["--fail-on", "nonsense"], ["--format", "xml"], ["--write", "json"], ["--write", "yaml=x"]] {
        world.sandbox.run(&[&["drift"], &wrong[..]].concat()).code(64);
    }
    world.sandbox.ok(&["apply", "-y"]);
    codes(&[(&[], 0)]);
}

#[test]
fn what_cannot_be_read_makes_the_check_incomplete() {
    let deny = r#"{"Effect":"Deny","Action":"sns:GetTopicAttributes","Resource":"*"}"#;
    let world = World::new().with_role(deny);
    world.drift(&[]).code(3).has("The check is incomplete").has("unreadable");
    world.drift(&["--report-only"]).code(0).has("The check is incomplete");
    let document = json(&world.drift(&["--format", "json"]).code(3));
    assert_eq!((&document["complete"], &document["drifted"]), (&false.into(), &false.into()));
    world.drift(&["--format", "github"]).code(3).has("::error file=stack.yaml,line=9,title=unreadable%3A alerts::");
    world.drift(&["--format", "junit"]).code(3).has("errors=\"1\"");
    world.spoil_token();
    world.drift(&[]).code(2).has("ssm_parameter.token").has("The check is incomplete");
}

#[test]
fn several_stacks_are_checked_although_one_does_not_load() {
    let world = World::new();
    let (quiet, bad) = (STACK.replace("stack: demo", "stack: quiet"), STACK.replace("shard_count", "shard_cuont"));
    fs_err::create_dir(world.sandbox.dir().join("stacks")).unwrap();
    world.sandbox.write(
        "stacks/b_quiet.yaml",
        &quiet.replace("/demo/", "/quiet/").replace("alerts:", "news:").replace("orders:", "sales:"),
    );
    world.sandbox.ok(&["apply", "-y", "stacks/b_quiet.yaml"]);
    world.sandbox.write("stacks/c_demo.yaml", STACK);
    world.drift(&["stacks/*.yaml"]).code(0).has("no drift in 2 stacks");
    world.sandbox.write("stacks/a_bad.yaml", &bad);
    let output = world.drift(&["stacks/*.yaml"]).code(1).has("did you mean `shard_count`?");
    assert_eq!(output.stdout.matches("No drift: 3 resources in sync.").count(), 2, "{output}");
    assert!(output.stdout.ends_with("\n1 could not be checked\n"), "{output}");
    let document = json(&world.drift(&["stacks/*.yaml", "--format", "json", "--report-only"]).code(1));
    assert_eq!(document["failures"][0]["file"], "stacks/a_bad.yaml");
    assert_eq!(document["stacks"].as_array().unwrap().len(), 2);
    world.rename_topic();
    world.drift(&["stacks/*.yaml"]).code(1).has("drift in 1 of 3 stacks, 1 could not be checked");
    world.drift(&["stacks/b*.yaml", "stacks/c*.yaml", "stacks/c_demo.yaml"]).code(2).has("drift in 1 of 2 stacks");
    world.sandbox.run(&["drift", "stacks/z*.yaml"]).code(64).has("no file matches");
    world.sandbox.run(&["drift", "stacks/a*.yaml"]).code(1).has("stacks/a_bad.yaml:8:5");
}

#[test]
fn ignore_rules_are_for_the_check_alone() {
    let world = World::new();
    world.rename_topic();
    world.drift(&[]).code(2);
    let rule = |rest: &str| world.sandbox.write("stack.yaml", &format!("{STACK}drift:\n  ignore:\n    - {{{rest}}}\n"));
    rule("resource: al*, path: display_name, reason: named by hand, expires: 2999-12-31");
    let shown = world.drift(&[]).code(0).has("No drift: 3 resources in sync; 1 finding ignored.");
    let shown = shown.has("ignored: sns_topic.alerts display_name (drifted): named by hand; until 2999-12-31");
    assert!(shown.stderr.is_empty(), "{shown}");
    let document = json(&world.drift(&["--format", "json"]).code(0));
    assert_eq!(document["stacks"][0]["resources"][1]["ignored"][0]["reason"], "named by hand");
    fits(&document, &own_schema());
    for format in FORMATS {
        let output = world.drift(&["--format", format]).code(0);
        assert!(format == "github" || output.stdout.contains("ignored"), "{output}");
    }
    world.sandbox.run(&["plan", "--detailed-exitcode"]).code(2).has("display_name");
    rule("resource: alerts, classes: [pending], reason: other");
    world.drift(&[]).code(2).has("ignore rule that covers nothing: alerts: other");
    rule("resource: alerts, reason: until the move, expires: 2020-01-31");
    world.drift(&[]).code(2).has("ignore rule of alerts: expired on 2020-01-31: until the move");
    rule("resource: alerts, path: display_nam, reason: x");
    world.sandbox.run(&["drift"]).code(1).has("did you mean `display_name`?");
    rule("resource: alerts, raeson: x");
    world.sandbox.run(&["drift"]).code(1).has("did you mean `reason`?");
}

#[test]
fn every_format_fits_its_schema_and_none_tells_a_secret() {
    let world = World::new();
    world.rename_topic();
    world.spoil_token();
    let files: Vec<String> = FORMATS.iter().map(|format| format!("{format}={format}.out")).collect();
    let mut args = vec!["--format", "github"];
    args.extend(files.iter().flat_map(|file| ["--write", file.as_str()]));
    world.drift(&args).code(2);
    let read = |name: &str| fs_err::read_to_string(world.sandbox.dir().join(format!("{name}.out"))).unwrap();
    for format in FORMATS {
        let text = read(format);
        assert!(!text.contains(SECRET) && !text.contains("another-secret-value"), "{text}");
        assert!(text.contains("alerts") && !text.contains('\u{1b}'), "{text}");
        let printed = world.drift(&["--format", format]).code(2).stdout;
        assert!(format == "text" || printed == text, "{printed}\n=====\n{text}");
    }
    fits(&serde_json::from_str(&read("json")).unwrap(), &own_schema());
    let sarif: Value = serde_json::from_str(&read("sarif")).unwrap();
    fits(&sarif, &sarif_schema());
    as_github_takes_it(&sarif);
    assert!(read("github").contains("::error file=stack.yaml,line=9,title=drifted%3A alerts::"), "{}", read("github"));
    assert!(
        read("junit").contains("<testcase classname=\"demo.sns_topic\" name=\"alerts\" file=\"stack.yaml\" line=\"9\"")
    );
}

/// What GitHub's documentation asks of SARIF beyond the schema.
fn as_github_takes_it(sarif: &Value) {
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let rules: BTreeSet<&str> =
        run["tool"]["driver"]["rules"].as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(rules.len(), 9);
    for rule in run["tool"]["driver"]["rules"].as_array().unwrap() {
        for field in ["shortDescription", "fullDescription", "help"] {
            let text = rule[field]["text"].as_str().unwrap();
            assert!(!text.is_empty() && text.len() <= 1024, "{rule}");
        }
    }
    let results = run["results"].as_array().unwrap();
    assert!(!results.is_empty());
    for result in results {
        assert!(rules.contains(result["ruleId"].as_str().unwrap()), "{result}");
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(!uri.starts_with('/') && !uri.contains("://"), "{uri}");
        assert!(place["region"]["startLine"].as_u64().unwrap() > 0);
        assert!(result["partialFingerprints"]["primaryLocationLineHash"].is_string());
    }
}

#[test]
fn the_files_of_a_github_step_are_written_and_needed_for_nothing() {
    let world = World::new();
    world.rename_topic();
    let dir = world.sandbox.dir().to_owned();
    let path = |name: &str| dir.join(name).display().to_string();
    let root = dir.parent().unwrap().canonicalize().unwrap().display().to_string();
    fs_err::write(dir.join("output"), "before=1\n").unwrap();
    let World { sandbox, listener: _listener, .. } = world;
    let sandbox = sandbox.set("GITHUB_STEP_SUMMARY", &path("summary")).set("GITHUB_OUTPUT", &path("output"));
    let sandbox = sandbox.set("GITHUB_WORKSPACE", &root);
    let folder = dir.file_name().unwrap().to_str().unwrap();
    sandbox.run(&["drift", "--format", "github"]).code(2).has(&format!("::error file={folder}/stack.yaml,line=9,"));
    let read = |name: &str| fs_err::read_to_string(dir.join(name)).unwrap();
    assert_eq!(read("output"), "before=1\ndrifted=true\nincomplete=false\nresources=1\n");
    assert!(read("summary").starts_with("<!-- stackctl drift -->\n### stackctl drift: drift in 1 of 1 stack\n"));
    sandbox.run(&["drift"]).code(2);
    assert_eq!(read("output").lines().count(), 4, "only the format of GitHub writes there");
    let nowhere = sandbox.set("GITHUB_OUTPUT", &path("no/such/folder")).set("GITHUB_STEP_SUMMARY", &path("."));
    let output = nowhere.run(&["drift", "--format", "github"]).code(2);
    assert_eq!(output.stderr.matches("note: the step's file was not written").count(), 2, "{output}");
}

#[test]
fn cloudtrail_tells_who_made_a_change() {
    let world = World::new();
    world.rename_topic();
    let shown = world.drift(&["--who"]).code(2).has("last change: SetTopicAttributes by root at 20");
    assert!(shown.stderr.is_empty(), "{shown}");
    world.drift(&[]).code(2).lacks("last change");
    let document = json(&world.drift(&["--who", "--format", "json"]).code(2));
    fits(&document, &own_schema());
    let authors: Vec<&Value> =
        document["stacks"][0]["resources"].as_array().unwrap().iter().map(|resource| &resource["author"]).collect();
    assert_eq!(authors.iter().filter(|author| !author.is_null()).count(), 1, "{authors:?}");
    let deny = r#"{"Effect":"Deny","Action":"cloudtrail:*","Resource":"*"}"#;
    let world = world.with_role(deny);
    let output = world.drift(&["--who"]).code(2).has("CloudTrail did not say who made the changes");
    assert_eq!(output.stderr.matches("note: ").count(), 1, "{output}");
}

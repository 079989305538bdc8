//! The command line from outside: flags, exit codes, streams, formats, signals, secrets.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::sandbox::{Output, Sandbox};

const SECRET: &str = "+79991234567";

const STACK: &str = "stack: demo
region: us-east-1
variables:
  phone: {type: string, default: null, sensitive: true}
  shards: {type: number, default: 1}
resources:
  orders: {type: kinesis_stream, shard_count: '${var.shards}'}
  alerts: {type: sns_topic, display_name: Alerts}
  number: {type: ssm_parameter, name: /demo/number, parameter_type: String, value: '${var.phone}', when: '${var.phone}'}
  sms: {type: sns_subscription, when: '${var.phone}', topic_arn: '${alerts.arn}', protocol: sms, endpoint: '${var.phone}'}
outputs: {topic: '${alerts.arn}', stream: '${orders.arn}'}
";

fn demo() -> Sandbox {
    let sandbox = Sandbox::new().local();
    sandbox.write("stack.yaml", STACK);
    sandbox
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"))
}

fn lines(output: &Output) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
    output.stdout.lines().map(parse).collect()
}

#[test]
fn help_and_version_are_no_errors() {
    let sandbox = Sandbox::new();
    for args in [&["--help"][..], &["--version"], &["help", "apply"], &["plan", "--help"]] {
        let output = sandbox.ok(args);
        assert!(output.stderr.is_empty() && output.stdout.len() > 10, "{output}");
    }
    sandbox.ok(&["--help"]).has("Exit codes: 0 done");
}

#[test]
fn wrong_usage_is_64() {
    let sandbox = demo();
    for args in [
        &["--nonsense"][..],
        &["frobnicate"],
        &[],
        &["apply", "--parallelism", "many"],
        &["plan", "--format", "xml"],
        &["plan", "--target", "nobody"],
        &["plan", "--var", "shards"],
        &["plan", "--endpoint-url", "http://127.0.0.1:1"],
    ] {
        let output = sandbox.run(args).code(64);
        assert!(output.stdout.is_empty(), "{output}");
    }
    sandbox.run(&["plan", "--target", "order"]).code(64).has("did you mean `orders`?");
    sandbox.run(&["apply", "-auto-approve"]).code(64).has("hint: options have two dashes here: --auto-approve");
    sandbox.run(&["plan", "-json"]).code(64).has("--format json");
}

#[test]
fn a_place_that_cannot_be_reached_is_told_with_the_way_out() {
    let stack = "stack: far\nregion: us-east-1\nresources: {jobs: {type: kinesis_stream}}\n";
    let nowhere = Sandbox::new().remote("http://127.0.0.1:1").set("AWS_MAX_ATTEMPTS", "1");
    nowhere.write("stack.yaml", stack);
    let output = nowhere.run(&["apply", "-y"]).code(1).has("error: GetCallerIdentity: ").has("help: ");
    assert!(output.stdout.is_empty(), "{output}");
    let nobody = Sandbox::new().set("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    nobody.write("stack.yaml", stack);
    nobody.run(&["plan"]).code(1).has("no AWS credentials were found").has("AWS_PROFILE");
}

#[test]
fn nothing_is_written_when_nobody_can_be_asked() {
    let sandbox = demo();
    let output = sandbox.run(&["apply"]).code(1).has("pass --auto-approve");
    assert!(output.stdout.is_empty(), "{output}");
    sandbox.run(&["destroy"]).code(1).has("standard input is not a terminal");
    sandbox.run(&["plan", "--detailed-exitcode"]).code(2).has("Plan: 2 to add");
}

#[test]
fn a_plan_has_exit_codes_and_the_right_streams() {
    let sandbox = demo();
    let plan = sandbox.ok(&["plan"]);
    assert!(plan.stdout.ends_with("Plan: 2 to add, 0 to change, 0 to destroy.\n"), "{plan}");
    assert!(plan.stderr.contains("Plan for stack demo in us-east-1, account 000000000000 (local cloud)"), "{plan}");
    sandbox.run(&["plan", "--detailed-exitcode"]).code(2);
    let apply = sandbox.ok(&["apply", "-y"]);
    assert!(apply.stdout.contains("Apply complete! Resources: 2 added, 0 changed, 0 destroyed."), "{apply}");
    assert!(apply.stderr.contains("kinesis_stream.orders: creating…"), "{apply}");
    assert!(!apply.stdout.contains("creating"), "{apply}");
    sandbox.run(&["plan", "--detailed-exitcode"]).code(0).has("No changes.");
    sandbox.run(&["plan", "--detailed-exitcode", "--var", "shards=2"]).code(2).has("shard_count: 1 -> 2");
    sandbox.run(&["plan", "--detailed-exitcode", "--destroy"]).code(2).has("2 to destroy");
    sandbox.ok(&["destroy", "-y"]).has("nothing is left of stack demo");
}

#[test]
fn variables_of_the_environment_stand_for_flags() {
    let sandbox = Sandbox::new().set("STACKCTL_LOCAL", "true").set("STACKCTL_AUTO_APPROVE", "true");
    let sandbox = sandbox.set("STACKCTL_FORMAT", "json").set("STACKCTL_VAR_shards", "3");
    let sandbox = sandbox.set("STACKCTL_REGION", "eu-west-1").set("STACKCTL_STACK", "other.yaml");
    sandbox.write("other.yaml", STACK);
    let output = sandbox.ok(&["apply"]);
    assert!(lines(&output).iter().any(|event| event["type"] == "change_summary"), "{output}");
    let plan = json(&sandbox.ok(&["plan"]));
    assert_eq!((&plan["region"], &plan["summary"]["add"]), (&Value::from("eu-west-1"), &Value::from(0)));
}

#[test]
fn switches_of_the_environment_are_1_or_true_and_nothing_vague() {
    let plan = |value: &str| {
        let sandbox = Sandbox::new().local().set("STACKCTL_DETAILED_EXITCODE", value);
        sandbox.write("stack.yaml", STACK);
        sandbox.run(&["plan", "--var", "shards=1"])
    };
    for (value, code) in [("1", 2), ("true", 2), ("0", 0), ("false", 0), ("perhaps", 64)] {
        plan(value).code(code);
    }
}

#[test]
fn stack_files_are_found() {
    let sandbox = Sandbox::new().local();
    sandbox.run(&["validate"]).code(1).has("there is no stack file here");
    fs_err::create_dir_all(sandbox.dir().join("inner/stacks")).unwrap();
    sandbox.write("inner/stacks/only.yaml", STACK);
    sandbox.ok(&["-C", "inner", "validate"]).has("stacks/only.yaml is valid");
    sandbox.write("inner/stacks/second.yaml", STACK);
    sandbox.run(&["-C", "inner", "validate"]).code(1).has("name one of stacks/only.yaml, stacks/second.yaml");
    sandbox.write("inner/stack.yaml", STACK);
    sandbox.ok(&["-C", "inner", "validate"]).has("stack.yaml is valid");
    sandbox.run(&["-C", "nowhere", "validate"]).code(1).has("nowhere");
    sandbox.run(&["validate", "missing.yaml"]).code(1).has("there is no such file");
}

#[test]
fn validate_tells_programs_where() {
    let sandbox = demo();
    let good = json(&sandbox.ok(&["validate", "--format", "json"]));
    assert_eq!((&good["valid"], &good["format_version"]), (&Value::Bool(true), &Value::from("1.0")));
    sandbox.edit("stack.yaml", "shard_count", "shard_cuont");
    let output = sandbox.run(&["validate", "--format", "json"]).code(1);
    let place = &json(&output)["diagnostics"][0];
    assert_eq!((&place["line"], &place["severity"]), (&Value::from(7), &Value::from("error")), "{output}");
    assert!(output.stderr.is_empty(), "{output}");
    let text = sandbox.run(&["validate"]).code(1).has("did you mean").has("[stack.yaml:7:");
    assert!(text.stdout.is_empty() && !text.stderr.starts_with("error: error"), "{text}");
}

#[test]
fn plans_are_documents() {
    let sandbox = demo();
    let plan = json(&sandbox.ok(&["plan", "--format", "json"]));
    assert_eq!(plan["summary"]["add"], 2);
    assert_eq!(plan["resource_changes"][0]["action"], "create");
    let text = sandbox.ok(&["plan", "--format", "markdown"]).stdout;
    assert!(text.starts_with("### stackctl plan: `demo`") && text.contains("| `+` | `sns_topic.alerts` | create |"));
}

#[test]
fn runs_are_events_of_a_fixed_vocabulary() {
    let sandbox = demo();
    let words = [
        "planned_change",
        "apply_start",
        "apply_progress",
        "apply_complete",
        "apply_errored",
        "diagnostic",
        "change_summary",
        "outputs",
    ];
    let kinds = |output: &Output| {
        let events = lines(output);
        assert!(events.iter().all(|event| event["format_version"] == "1.0" && event["@timestamp"].is_string()));
        let kinds: Vec<String> = events.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
        assert!(kinds.iter().all(|kind| words.contains(&kind.as_str())), "{kinds:?}");
        kinds
    };
    let first = kinds(&sandbox.ok(&["apply", "-y", "--format", "json"]));
    let count = |word: &str| first.iter().filter(|kind| *kind == word).count();
    assert_eq!((count("planned_change"), count("apply_start"), count("apply_complete")), (2, 2, 2), "{first:?}");
    assert_eq!(first.last().map(String::as_str), Some("outputs"));
    let again = kinds(&sandbox.ok(&["apply", "-y", "--format", "json"]));
    assert_eq!(again, ["change_summary", "outputs"]);
    let end = sandbox.ok(&["destroy", "-y", "--format", "json"]).has("Destroy complete!");
    assert_eq!(kinds(&end).last().map(String::as_str), Some("diagnostic"));
}

#[test]
fn warnings_are_events_where_a_run_is_told_in_events() {
    let sandbox = Sandbox::new().local();
    let role = "{type: iam_role, name: r, service: ec2.amazonaws.com, description: \"${var.pin}\"}";
    let function =
        "{type: lambda_function, name: f, role: \"${r.arn}\", runtime: python3.13, handler: m.h, code: code}";
    let head = "stack: demo\nregion: us-east-1\nvariables: {pin: {sensitive: true, default: ab}}";
    sandbox.write("stack.yaml", &format!("{head}\nresources:\n  r: {role}\n  f: {function}\n"));
    fs_err::create_dir_all(sandbox.dir().join("code")).unwrap();
    sandbox.write("code/m.py", "def h(event, context):\n    return None\n");
    let apply = sandbox.run(&["apply", "-y", "--format", "json"]).code(1);
    assert!(!apply.stderr.contains("warning"), "{apply}");
    let warnings: Vec<_> = lines(&apply).into_iter().filter(|event| event["severity"] == "warning").collect();
    let texts: Vec<_> = warnings.iter().map(|event| event["@message"].as_str().unwrap()).collect();
    assert_eq!(warnings.len(), 2, "{apply}");
    assert!(texts[0].contains("fewer than"), "{apply}");
    assert!(texts[1].contains("lambda_function.f: AWS will refuse this: role r does not let"), "{apply}");
    assert_eq!((&warnings[0]["diagnostic"]["line"], &warnings[0]["type"]), (&3.into(), &"diagnostic".into()));
    assert!(warnings[1]["help"].as_str().unwrap().contains("`service:` of `r`"), "{apply}");
}

#[test]
fn outputs_and_live_resources_are_shown() {
    let sandbox = demo();
    sandbox.run(&["output", "topic"]).code(1).has("has no value yet");
    sandbox.ok(&["apply", "-y"]);
    let arn = "arn:aws:sns:us-east-1:000000000000:alerts";
    assert_eq!(sandbox.ok(&["output", "topic"]).stdout, format!("{arn}\n"));
    assert_eq!(sandbox.ok(&["output", "topic", "--format", "json"]).stdout, format!("\"{arn}\"\n"));
    assert_eq!(json(&sandbox.ok(&["output", "--format", "json"]))["topic"], arn);
    sandbox.ok(&["output"]).has(&format!("topic = \"{arn}\""));
    sandbox.run(&["output", "nothing"]).code(1).has("no output `nothing`");
    let show = json(&sandbox.ok(&["show", "--format", "json"]));
    assert_eq!((&show["resources"][0]["id"], &show["resources"][0]["status"]), (&"orders".into(), &"ACTIVE".into()));
    sandbox.ok(&["show"]).has("kinesis_stream.orders  ACTIVE");
}

#[test]
fn the_program_describes_itself() {
    let sandbox = demo();
    sandbox.ok(&["graph"]).has("digraph \"demo\"");
    sandbox.ok(&["graph", "--format", "mermaid", "--var", "phone=+79991234567"]).has("sms --> alerts");
    assert!(json(&sandbox.ok(&["schema"]))["properties"]["resources"].is_object());
    for shell in ["bash", "zsh", "fish"] {
        assert!(sandbox.ok(&["completions", shell]).stdout.contains("detailed-exitcode"), "{shell}");
    }
    assert!(sandbox.ok(&["man"]).stdout.contains(".TH stackctl"));
}

#[test]
fn colours_follow_the_environment() {
    let plain = demo();
    assert!(!plain.ok(&["plan"]).stdout.contains('\x1b'));
    let forced = demo().set("NO_COLOR", "").set("CLICOLOR_FORCE", "1");
    assert!(forced.ok(&["plan"]).stdout.contains('\x1b'));
    assert!(!forced.ok(&["plan", "--no-color"]).stdout.contains('\x1b'));
    let neither = demo().set("NO_COLOR", "");
    assert!(!neither.ok(&["plan"]).stdout.contains('\x1b'), "a pipe is no terminal");
}

#[test]
fn a_closed_pipe_is_no_panic() {
    let sandbox = demo();
    for args in [&["schema"][..], &["plan"], &["man"]] {
        let mut child = spawn(&sandbox, args);
        drop(child.stdout.take());
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        child.wait().unwrap();
        assert!(!text.contains("panicked") && !text.contains("Broken pipe"), "{args:?}: {text}");
    }
}

fn spawn(sandbox: &Sandbox, args: &[&str]) -> Child {
    let mut command = sandbox.command();
    command.arg("--local").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn secrets_are_in_no_output() {
    let sandbox = demo();
    let var = format!("phone={SECRET}");
    for args in [
        &["validate"][..],
        &["plan"],
        &["plan", "--format", "json"],
        &["plan", "--format", "markdown"],
        &["-v", "apply", "-y"],
        &["plan"],
        &["show", "--format", "json"],
        &["output"],
        &["-vv", "plan", "--destroy"],
        &["destroy", "-y", "--format", "json"],
        &["apply", "-y", "--format", "json"],
    ] {
        sandbox.ok(&[args, &["--var", &var]].concat()).lacks(&SECRET[1..]);
    }
    sandbox.ok(&["plan", "--var", "phone=+79995550123"]).lacks("79995550123").lacks(&SECRET[1..]);
    // The service refuses a message that long, and quotes it.
    let long = format!("phone={SECRET}{}", "0".repeat(5_000));
    let refused = sandbox.run(&["-v", "apply", "-y", "--var", &long]);
    assert!(!refused.stdout.contains(&SECRET[1..]) && !refused.stderr.contains(&SECRET[1..]), "{refused}");
}

#[test]
fn a_secret_too_short_to_be_found_is_told_and_its_fields_are_hidden() {
    let sandbox = Sandbox::new().local();
    let text = "stack: pins\nregion: us-east-1\nvariables: {pin: {sensitive: true}}\ntags: {pin: \"${var.pin}\"}\n\
                resources:\n  a: {type: ssm_parameter, value: hello, description: \"pin ${var.pin}\"}\n  b: {type: sns_topic, \
                display_name: q7q}\noutputs: {pin: \"${var.pin}\", name: \"${b.name}\"}\n";
    sandbox.write("stack.yaml", text);
    let told = "the sensitive variable `pin` has a value of fewer than 3 characters";
    sandbox.ok(&["validate", "--var", "pin=7"]).has(told);
    for args in [&["plan"][..], &["plan", "--format", "json"], &["apply", "-y"], &["output"]] {
        sandbox.ok(&[args, &["--var", "pin=7"]].concat()).has(told).lacks("pin 7").lacks("\"7\"");
    }
    sandbox
        .ok(&["plan", "--var", "pin=8"])
        .lacks("pin 8")
        .lacks("pin 7")
        .lacks("\"8\"")
        .lacks("\"7\"")
        .has("description:");
    sandbox.edit("stack.yaml", "q7q", "r7r");
    sandbox.ok(&["plan", "--var", "pin=7"]).has("\"q7q\" -> \"r7r\"");
}

/// What was asked for is done by then; only the last look is left out.
#[test]
fn the_last_look_of_destroy_can_be_stopped() {
    let sandbox = demo();
    sandbox.ok(&["apply", "-y"]);
    let sandbox = sandbox.set("STACKCTL_LOCAL_LATENCY_MS", "1500");
    let mut child = spawn(&sandbox, &["destroy", "-y"]);
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("Destroy complete!") {
        assert_ne!(reader.read_line(&mut text).unwrap(), 0, "{text}");
    }
    std::thread::sleep(Duration::from_millis(100));
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");
    assert!(text.contains("stopped while looking whether anything is left"), "{text}");
    reader.read_to_string(&mut text).unwrap();
    assert!(!text.contains("Looked again"), "{text}");
}

#[test]
fn calls_are_logged_one_by_one() {
    let sandbox = demo();
    let output = sandbox.ok(&["-v", "apply", "-y"]);
    let calls: Vec<_> = output.stderr.lines().filter(|line| line.contains("CreateStream")).collect();
    assert_eq!(calls.len(), 1, "{output}");
    assert!(calls[0].contains("Kinesis CreateStream: 200, ") && calls[0].contains(" ms"), "{calls:?}");
    assert!(output.stderr.contains("STS GetCallerIdentity: 200"), "{output}");
    sandbox.ok(&["plan"]).lacks("GetCallerIdentity");
}

/// Starts a slow apply, sends signals once it is at work, and returns what it printed.
fn interrupted(sandbox: &Sandbox, signals: &[&str]) -> (Option<i32>, String) {
    let mut child = spawn(sandbox, &["apply", "-y", "--parallelism", "1"]);
    let mut reader = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains("creating") {
        assert_ne!(reader.read_line(&mut text).unwrap(), 0, "{text}");
    }
    for signal in signals {
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
        std::thread::sleep(Duration::from_millis(150));
    }
    reader.read_to_string(&mut text).unwrap();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

#[test]
fn an_interrupted_apply_says_what_is_left_and_goes_on_later() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let sandbox = demo().set("STACKCTL_LOCAL_DELAY_MS", "900");
        let (ended, text) = interrupted(&sandbox, &[signal]);
        assert_eq!(ended, Some(code), "{text}");
        assert!(text.contains("Stopping: nothing new is started; waiting for 1 step"), "{text}");
        assert!(text.contains("Not started: sns_topic.alerts (creating)"), "{text}");
        assert!(text.contains("kinesis_stream.orders: created"), "{text}");
        assert!(text.contains("Run the same command again to go on"), "{text}");
        sandbox.ok(&["apply", "-y"]).has("1 added");
        sandbox.run(&["plan", "--detailed-exitcode"]).code(0);
    }
}

#[test]
fn a_second_signal_cuts_off_and_names_what_is_unknown() {
    let sandbox = demo().set("STACKCTL_LOCAL_DELAY_MS", "3000");
    let (ended, text) = interrupted(&sandbox, &["INT", "INT"]);
    assert_eq!(ended, Some(130), "{text}");
    assert!(text.contains("Cut off, result unknown: kinesis_stream.orders (creating)"), "{text}");
    sandbox.ok(&["apply", "-y"]);
    sandbox.run(&["plan", "--detailed-exitcode"]).code(0);
}

/// CI systems kill a job soon after SIGTERM, however long its last step may take.
#[test]
fn after_a_termination_signal_nothing_is_waited_for_long() {
    let sandbox = demo().set("STACKCTL_LOCAL_DELAY_MS", "60000");
    let start = Instant::now();
    let (ended, text) = interrupted(&sandbox, &["TERM"]);
    assert!(start.elapsed() < Duration::from_secs(30), "{text}");
    assert_eq!(ended, Some(143), "{text}");
    assert!(text.contains("Cut off, result unknown: kinesis_stream.orders (creating)"), "{text}");
}

#[test]
fn a_failed_step_is_exit_1_with_its_cause() {
    let sandbox = demo();
    sandbox.write(
        "bad.yaml",
        "stack: bad\nregion: us-east-1\nresources:\n  f: {type: iam_role, service: lambda.amazonaws.com, managed_policy_arns: ['arn:aws:iam::aws:policy/Nowhere']}\n",
    );
    let output = sandbox.run(&["apply", "bad.yaml", "-y"]).code(1);
    assert!(output.stderr.contains("error: iam_role.f: AttachRolePolicy"), "{output}");
    assert!(output.stdout.contains("Apply incomplete."), "{output}");
    let events = lines(&sandbox.run(&["apply", "bad.yaml", "-y", "--format", "json"]).code(1));
    assert!(
        events
            .iter()
            .any(|event| event["type"] == "apply_errored" && event["error"]["operation"] == "AttachRolePolicy")
    );
}

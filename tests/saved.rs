//! Saved plans from outside: kept in a file, carried out once, shown, and refused as soon as anything has moved.

use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};

use crate::support::account::{Account, LOCAL_ACCOUNT};
use crate::support::listener::Listener;
use crate::support::sandbox::{Output, Sandbox};

const STACK: &str = "\
stack: kept
region: us-east-1
variables:
  days: {type: number, default: 7}
  token: {default: null, sensitive: true}
resources:
  jobs: {type: kinesis_stream, retention_period_hours: 48}
  news: {type: sns_topic, display_name: News}
  logs: {type: cloudwatch_log_group, name: kept/logs, retention_in_days: '${var.days}'}
  secret: {type: ssm_parameter, name: /kept/secret, parameter_type: String, value: '${var.token}', when: '${var.token}'}
outputs: {topic: '${news.arn}'}
";

const PLAN: &str = "kept.json";

/// A sandbox with its listener and the account behind it.
struct World {
    sandbox: Sandbox,
    listener: Listener,
    account: Account,
}

impl World {
    fn of(sandbox: Sandbox) -> Self {
        let sandbox = sandbox.local();
        let listener = Listener::start(&sandbox);
        let account = Account::at(listener.url(), LOCAL_ACCOUNT, "us-east-1");
        Self { sandbox, listener, account }
    }

    fn new() -> Self {
        let world = Self::of(Sandbox::new());
        world.sandbox.write("stack.yaml", STACK);
        world
    }

    /// A world with a saved plan.
    fn planned(args: &[&str]) -> Self {
        let world = Self::new();
        world.save(args).code(0).has("Saved to kept.json.");
        world
    }

    fn run(&self, args: &[&str]) -> Output {
        self.sandbox.run(args)
    }

    fn save(&self, args: &[&str]) -> Output {
        self.listener.reading(|| self.run(&[&["plan", "--out", PLAN], args].concat()))
    }

    fn apply(&self, args: &[&str]) -> Output {
        self.run(&[&["apply", PLAN], args].concat())
    }

    /// Applies the saved plan, which must be refused without writing anything.
    #[track_caller]
    fn refused(&self, args: &[&str]) -> Output {
        let before = self.account.contents();
        let output = self.apply(args).code(1).has("nothing was changed");
        assert_eq!(self.account.contents(), before);
        output
    }

    fn in_sync(&self) {
        self.run(&["plan", "--detailed-exitcode"]).code(0).has("No changes.");
    }

    fn text(&self) -> String {
        fs_err::read_to_string(self.sandbox.dir().join(PLAN)).unwrap()
    }

    fn alter(&self, pointer: &str, value: Value) {
        let mut plan: Value = serde_json::from_str(&self.text()).unwrap();
        *plan.pointer_mut(pointer).unwrap() = value;
        self.sandbox.write(PLAN, &plan.to_string());
    }

    fn retain(&self, hours: i32) {
        let call = self.account.aws.kinesis().increase_stream_retention_period().stream_name("jobs");
        self.account.call(call.retention_period_hours(hours).send());
    }
}

#[test]
fn a_saved_plan_is_carried_out_once() {
    let world = World::planned(&[]);
    let mode = fs_err::metadata(world.sandbox.dir().join(PLAN)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Nobody is asked, although there is no terminal.
    world.apply(&[]).code(0).has("Apply complete").has("topic = ");
    world.in_sync();
    let again = world.listener.reading(|| world.refused(&[]));
    again.has("AWS: jobs: it is there now").has("AWS: news: it is there now").has("run plan again");
    world.save(&[]).code(0).has("No changes.");
    world.listener.reading(|| world.apply(&[]).code(0)).has("No changes.");
    world.listener.reading(|| world.apply(&[]).code(0)).has("No changes.");
}

#[test]
fn a_destruction_is_saved_and_carried_out() {
    let world = World::new();
    let before = world.account.contents();
    world.run(&["apply", "-y"]).code(0);
    world.save(&["--destroy", "--detailed-exitcode"]).code(2).has("3 to destroy.");
    world.run(&["show", PLAN]).code(0).has("3 to destroy.");
    world.apply(&[]).code(0).has("nothing is left of stack kept");
    assert_eq!(world.account.contents(), before);
    world.refused(&[]).has("AWS: jobs: it is gone");
}

#[test]
fn what_moved_in_the_file_is_named() {
    let world = World::planned(&[]);
    world.sandbox.edit("stack.yaml", "display_name: News", "display_name: Latest");
    world.sandbox.edit("stack.yaml", "outputs:", "  more: {type: sns_topic}\noutputs:");
    let output = world.listener.reading(|| world.refused(&[]));
    output.has("file: news: display_name").has("file: more: new, as a sns_topic").lacks("jobs:");
    let lines = world.apply(&["--format", "json"]).code(1).stdout;
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["type"], "diagnostic");
    assert!(first["moved"]["side"] == "file" && lines.contains("display_name"), "{lines}");
}

#[test]
fn what_moved_in_aws_is_named() {
    let world = World::new();
    world.run(&["apply", "-y"]).code(0);
    world.sandbox.edit("stack.yaml", "display_name: News", "display_name: Latest");
    world.save(&[]).code(0).has("1 to change");
    world.retain(72);
    world.listener.reading(|| world.refused(&[])).has("AWS: jobs: retention_period_hours").lacks("news:");
    world.save(&[]).code(0).has("2 to change");
    world.apply(&[]).code(0).has("Apply complete");
    world.in_sync();
    world.sandbox.edit("stack.yaml", "display_name: Latest", "display_name: News");
    world.save(&[]).code(0);
    world.account.call(world.account.aws.kinesis().delete_stream().stream_name("jobs").send());
    world.refused(&[]).has("AWS: jobs: it is gone");
}

#[test]
fn code_of_functions_counts() {
    let world = World::of(Sandbox::with_stacks());
    world.save(&["stacks/airline_tickets.yaml"]).code(0);
    let source = world.sandbox.dir().join("lambdas");
    let folder = fs_err::read_dir(source).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir());
    let folder = folder.unwrap();
    let file =
        fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_file()).unwrap();
    let text = fs_err::read_to_string(&file).unwrap();
    fs_err::write(&file, format!("{text}\n# changed\n")).unwrap();
    world.refused(&[]).has("file: ").has("code_sha256");
}

#[test]
fn another_place_or_tool_is_refused() {
    let world = World::planned(&[]);
    world.refused(&["--region", "eu-west-1"]).has("region: the plan is for us-east-1, this would go to eu-west-1");
    let saved = world.text();
    world.alter("/place/account", json!("111111111111"));
    world.refused(&[]).has("account: the plan is for 111111111111, this would go to 000000000000");
    world.sandbox.write(PLAN, &saved);
    world.alter("/place/endpoint", json!("aws"));
    world.refused(&[]).has("endpoint: the plan is for AWS, this would go to the local cloud (--local)");
    world.sandbox.write(PLAN, &saved);
    world.alter("/tool_version", json!("0.0.7"));
    world.refused(&[]).has("stackctl: the plan was made by version 0.0.7");
    world.sandbox.write(PLAN, &saved);
    world.apply(&[]).code(0);
}

#[test]
fn variables_are_those_of_the_plan() {
    let world = World::planned(&["--var", "days=14"]);
    world.apply(&["--var", "days=14"]).code(64).has("--var days cannot be used with a saved plan");
    world.sandbox.write("vars.yaml", "days: 30\n");
    world.refused(&["--var-file", "vars.yaml"]).has("variables: `days` was 14, and is 30");
    world.sandbox.write("vars.yaml", "days: 14\n");
    world.apply(&["--var-file", "vars.yaml"]).code(0);
    world.run(&["plan", "--detailed-exitcode", "--var", "days=14"]).code(0);
    for flag in [&["--target", "jobs"][..], &["--exclude", "jobs"], &["--replace", "jobs"], &["--adopt", "all"]] {
        world.apply(flag).code(64).has(&format!("{} cannot be used with a saved plan", flag[0]));
    }
}

#[test]
fn sensitive_variables_are_given_again() {
    let secret = "token=Zxcvbnm9";
    let world = World::planned(&["--var", secret]);
    assert!(!world.text().contains("Zxcvbnm9"));
    world.run(&["show", PLAN]).code(0).has("/kept/secret").lacks("Zxcvbnm9");
    let output = world.apply(&[]).code(1).has("the sensitive variable `token`, whose value is not in the plan");
    output.has("STACKCTL_VAR_token");
    assert!(world.account.contents().iter().all(|name| !name.contains("jobs")));
    world.apply(&["--var", secret]).code(0).has("Apply complete").lacks("Zxcvbnm9");
    world.run(&["plan", "--detailed-exitcode", "--var", secret]).code(0);
    let plain = World::planned(&[]);
    plain.sandbox.write("vars.yaml", "token: Zxcvbnm9\n");
    plain.refused(&["--var-file", "vars.yaml"]).has("variables: `token` was not given, and is given").lacks("Zxcvbnm9");
}

#[test]
fn the_ticket_stack_is_kept_without_its_telephone_number() {
    let world = World::of(Sandbox::with_stacks());
    let stack = ["stacks/airline_tickets.yaml", "--var", "phone=+79990001122"];
    let plan = world.save(&stack).code(0).has("20 to add").lacks("9990001122");
    assert!(!world.text().contains("9990001122"));
    let shown = world.run(&["show", PLAN]).code(0);
    assert_eq!(shown.stdout, plan.stdout);
    insta::assert_snapshot!(shown.stdout);
    world.apply(&stack[1..]).code(0).has("Apply complete").lacks("9990001122");
    // Nothing moves by itself, not even what AWS fills in.
    world.save(&stack).code(0).has("No changes.");
    world.listener.reading(|| world.apply(&stack[1..]).code(0)).has("No changes.");
    // What is there now is known by the number, too.
    world.save(&[&stack[..], &["--destroy"]].concat()).code(0).lacks("9990001122");
    world.save(&stack[..1]).code(0).lacks("9990001122").has("phone_subscription");
    assert!(!world.text().contains("9990001122"));
}

#[test]
fn every_format_can_be_saved_and_shown() {
    let world = World::new();
    let plan = world.save(&["--format", "json"]).code(0);
    let document: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(document["summary"]["add"], 3);
    let shown = world.run(&["show", PLAN, "--format", "json"]).code(0);
    assert_eq!(shown.stdout, plan.stdout);
    assert_eq!(shown.stdout, world.run(&["plan", "--format", "json"]).code(0).stdout);
    let text = world.run(&["plan"]).code(0).stdout;
    assert_eq!(world.run(&["show", PLAN]).code(0).has("Plan for stack kept in us-east-1").stdout, text);
    world.save(&["--format", "markdown"]).code(0).has("### stackctl plan: `kept`");
    world.run(&["show", PLAN, "--var", "days=1"]).code(64);
    world.run(&["validate", PLAN]).code(1);
    world.run(&["plan", PLAN]).code(64).has("kept.json is a saved plan");
}

#[test]
fn what_cannot_be_done_is_not_saved() {
    let world = World::new();
    world.account.call(world.account.aws.kinesis().create_stream().stream_name("jobs").shard_count(1).send());
    world.save(&[]).code(1).has("--adopt jobs").has("was not saved to kept.json");
    assert!(!world.sandbox.dir().join(PLAN).exists());
    world.save(&["--adopt", "jobs"]).code(0).has("is taken over");
    world.apply(&[]).code(0);
    world.in_sync();
}

#[test]
fn no_other_file_is_replaced() {
    let world = World::planned(&[]);
    let dir = world.sandbox.dir();
    world.save(&[]).code(0);
    world.sandbox.write("notes.txt", "mine");
    symlink(dir.join("notes.txt"), dir.join("link")).unwrap();
    symlink(dir.join(PLAN), dir.join("other")).unwrap();
    for (name, why) in [
        ("notes.txt", "not a saved plan"),
        ("stack.yaml", "not a saved plan"),
        ("link", "symbolic link"),
        ("other", "symbolic link"),
        (".", "folder"),
        ("none/plan.json", "could not write"),
    ] {
        let output = world.run(&["plan", "--out", name]).code(1).has(why);
        assert!(name == "none/plan.json" || output.stdout.is_empty(), "{output}");
    }
    assert_eq!(fs_err::read_to_string(dir.join("notes.txt")).unwrap(), "mine");
    assert_eq!(fs_err::read_to_string(dir.join("stack.yaml")).unwrap(), STACK);
    let left = fs_err::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.into_iter().all(|name| !name.contains("stackctl-plan")));
    // A reader through a link, or from elsewhere, still gets the plan that it names.
    world.run(&["show", "other"]).code(0).has("3 to add");
    world.run(&["apply", "other"]).code(0).has("Apply complete");
}

#[test]
fn a_damaged_plan_is_refused() {
    let world = World::planned(&[]);
    let saved = world.text();
    let write = |text: String| world.sandbox.write(PLAN, &text);
    let both = |why: &str| {
        for command in [&["show", PLAN][..], &["apply", PLAN]] {
            world.run(command).code(1).has("could not use the saved plan kept.json").has(why).lacks("\u{1b}");
        }
    };
    write(saved[..saved.len() / 2].to_owned());
    both("cut off or damaged");
    write(saved.replacen("\"format_version\": \"1.0\"", "\"format_version\": \"2.0\"", 1));
    both("it has format 2.0, and this stackctl reads format 1.0");
    write(saved.replacen("\"action\": \"create\"", "\"action\": \"\\u001b[2J\"", 1));
    both("resources[0].step.action");
    let deep = format!("\"outputs\": {{\"deep\": {}{},", "[".repeat(100_000), "]".repeat(100_000));
    write(saved.replacen("\"outputs\": {", &deep, 1));
    both("recursion limit");
    write(saved.clone() + &" ".repeat(33_000_000));
    both("it has more than 32 MB");
    write(saved.replacen("kinesis_stream", "kinesis_\\u001b[2Jstream", 1));
    world.run(&["show", PLAN]).code(1).has("is no type of resource").lacks("\u{1b}");
    world.refused(&[]).lacks("\u{1b}");
    write(saved.replacen("stack.yaml", "elsewhere.yaml", 1));
    world.apply(&[]).code(1).has("the stack file of the plan, elsewhere.yaml, is not there").has("--chdir");
    assert!(world.account.contents().iter().all(|name| !name.contains("jobs")));
    fs_err::remove_file(world.sandbox.dir().join(PLAN)).unwrap();
    world.apply(&["-y"]).code(1).has("there is no such file");
}

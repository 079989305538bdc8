//! Coming from Terraform: what it made is described, taken over and left as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::account::{ACCOUNT, Account, LOCAL_ACCOUNT, REGION};
use crate::support::listener::Listener;
use crate::support::moto::{Moto, python};
use crate::support::sandbox::{Output, Sandbox, project};

const STATE: &str = "tests/terraform/airline_tickets.tfstate";
const PHONE: &str = "+79990001122";
const TOKEN: &str = "hunter2-token";

/// A sandbox with the state file of a stack that is really there.
struct World {
    sandbox: Sandbox,
    account: Account,
}

impl World {
    fn of(sandbox: Sandbox, account: Account, url: &str, key: &str, features: &[&str]) -> Self {
        let mut command = Command::new(python());
        command.arg(project().join("tests/terraform/make.py")).arg(url).arg(project().join(STATE)).arg(sandbox.dir());
        command.args(features).env("AWS_DEFAULT_REGION", REGION);
        let keys = [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", "none")];
        let output = command.envs(keys).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let values = [("phone_endpoint", PHONE), ("token_value", TOKEN), ("extra_plain_value", "hello")];
        let set = |sandbox: Sandbox, (name, value): (&str, &str)| sandbox.set(&format!("STACKCTL_VAR_{name}"), value);
        Self { sandbox: values.into_iter().fold(sandbox, set), account }
    }

    fn run(&self, args: &[&str]) -> Output {
        self.sandbox.run(args).lacks(PHONE).lacks(TOKEN)
    }

    /// Writes the stack file and returns what comes after the printed command's `apply`.
    fn import(&self) -> Vec<String> {
        let output = self.run(&["import-terraform", "terraform.tfstate", "--write", "stack.yaml", "--name", "tickets"]);
        let output = output.code(0);
        let line = output.stderr.lines().find_map(|line| line.trim().strip_prefix("stackctl apply ")).unwrap();
        line.split(' ').map(|word| word.trim_matches('\'').to_owned()).collect()
    }

    /// Returns what tells an object from one that was made anew.
    fn ages(&self) -> BTreeMap<String, String> {
        let (account, aws) = (&self.account, &self.account.aws);
        let mut ages = BTreeMap::new();
        for role in account.call(aws.iam().list_roles().send()).roles {
            ages.insert(format!("role {}", role.role_name), format!("{} {}", role.role_id, role.create_date));
        }
        for name in account.call(aws.kinesis().list_streams().send()).stream_names {
            let stream = account.call(aws.kinesis().describe_stream_summary().stream_name(&name).send());
            let at = stream.stream_description_summary.unwrap().stream_creation_timestamp;
            ages.insert(format!("stream {name}"), at.to_string());
        }
        for name in account.call(aws.dynamodb().list_tables().send()).table_names.unwrap_or_default() {
            let table = account.call(aws.dynamodb().describe_table().table_name(&name).send()).table.unwrap();
            ages.insert(format!("table {name}"), format!("{:?} {:?}", table.table_id, table.latest_stream_arn));
        }
        for reservation in account.call(aws.ec2().describe_instances().send()).reservations.unwrap_or_default() {
            for instance in reservation.instances.unwrap_or_default() {
                let age = format!("{:?} {:?}", instance.launch_time, instance.state);
                ages.insert(instance.instance_id.unwrap_or_default(), age);
            }
        }
        ages
    }

    /// Takes everything over: only tags change, nothing is made or deleted, and afterwards there is nothing to do.
    fn adopts(&self) {
        let args = self.import();
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        self.run(&["validate"]).code(0);
        let (before, ages) = (self.account.contents(), self.ages());
        let refused = self.run(&["plan"]).code(1);
        assert!(refused.stdout.contains("does not belong to this stack"), "{refused}");
        let planned = self.run(&[&["plan", "--format", "json"], &words[..]].concat()).code(0);
        let plan: Value = serde_json::from_str(&planned.stdout).unwrap();
        let steps = plan["resource_changes"].as_array().unwrap();
        for step in steps.iter().filter(|step| step["action"] != "no_op") {
            assert_eq!((&step["action"], &step["changes"]), (&json!("update"), &json!([])), "{step:#}");
        }
        assert!(steps.iter().filter(|step| step["action"] == "update").count() + 2 >= steps.len(), "{plan:#}");
        self.run(&[&["apply", "-y"], &words[..]].concat()).code(0).has("Apply complete");
        self.run(&["plan", "--detailed-exitcode"]).code(0).has("No changes.");
        assert_eq!((self.account.contents(), self.ages()), (before, ages));
    }
}

#[test]
fn what_terraform_made_is_taken_over_on_the_local_cloud() {
    let sandbox = Sandbox::new().local();
    let listener = Listener::start(&sandbox);
    let account = Account::at(listener.url(), LOCAL_ACCOUNT, REGION);
    let world = World::of(sandbox, account, listener.url(), LOCAL_ACCOUNT, &["analytics"]);
    let applications = world.account.applications();
    world.adopts();
    assert_eq!(world.account.applications(), applications);
    let text = fs_err::read_to_string(world.sandbox.dir().join("stack.yaml")).unwrap();
    assert!(!text.contains(PHONE) && !text.contains(TOKEN), "{text}");
}

#[test]
fn what_terraform_made_is_taken_over_on_moto() {
    let moto = Moto::start();
    let sandbox = Sandbox::new().remote(moto.url());
    let account = Account::at(moto.url(), ACCOUNT, REGION);
    World::of(sandbox, account, moto.url(), ACCOUNT, &[]).adopts();
}

#[test]
fn the_written_file_says_it_all() {
    let sandbox = Sandbox::new();
    let state = project().join(STATE).display().to_string();
    let output = sandbox.ok(&["import-terraform", &state, "--name", "tickets"]).lacks(PHONE).lacks(TOKEN);
    let folder = project().join("tests/terraform").display().to_string();
    insta::assert_snapshot!(output.stdout.replace(&folder, "DIR"));
    insta::assert_snapshot!(output.stderr);
}

#[test]
fn a_file_is_written_once() {
    let sandbox = Sandbox::new();
    let state = project().join(STATE).display().to_string();
    let args = ["import-terraform", &state, "--write", "stack.yaml"];
    sandbox.ok(&args).has("stack.yaml is written.");
    let first = fs_err::read(sandbox.dir().join("stack.yaml")).unwrap();
    sandbox.run(&args).code(1).has("exists already");
    assert_eq!(fs_err::read(sandbox.dir().join("stack.yaml")).unwrap(), first);
    sandbox.run(&["import-terraform", &state, "--write", "none/stack.yaml"]).code(1).has("could not write");
}

#[test]
fn what_is_no_state_file_is_refused() {
    let sandbox = Sandbox::new();
    let texts = [
        ("{\"version\": 3, \"modules\": []}", "version 3"),
        ("version: 4", "not JSON"),
        ("{\"version\": 4, \"encrypted_data\": \"x\"}", "encrypted"),
        ("[1]", "no state file"),
    ];
    for (text, told) in texts {
        sandbox.write("terraform.tfstate", text);
        sandbox.run(&["import-terraform", "terraform.tfstate"]).code(1).has(told).has("help");
    }
    sandbox.run(&["import-terraform", "none.tfstate"]).code(1).has("could not read none.tfstate");
    sandbox.run(&["import-terraform", "terraform.tfstate", "--name", "A B"]).code(64).has("--name A B");
    fs_err::write(sandbox.dir().join("terraform.tfstate"), [0xff, 0xfe]).unwrap();
    sandbox.run(&["import-terraform", "terraform.tfstate"]).code(1).has("could not read");
}

#[test]
fn hostile_names_make_a_file_that_can_be_read() {
    let sandbox = Sandbox::new();
    let instance = |key: &str, name: &str| json!({"index_key": key, "attributes": {"name": name, "arn": format!("arn:aws:sns:us-east-1:1:{name}")}});
    let instances = [
        instance("\n  evil: {type: iam_role}\n#", "a"),
        instance("${var.x}", "b"),
        instance(&"x".repeat(5000), "c"),
        instance("\u{1b}[31m", "d"),
    ];
    let resource = json!({"mode": "managed", "type": "aws_sns_topic", "name": "t\"]", "instances": instances});
    sandbox.write("terraform.tfstate", &json!({"version": 4, "resources": [resource]}).to_string());
    let output = sandbox.ok(&["import-terraform", "terraform.tfstate", "--write", "stack.yaml", "--name", "s"]);
    assert!(!output.stderr.contains('\u{1b}'), "{output}");
    sandbox.ok(&["validate"]).has("4 resources");
}

#[test]
fn objects_are_taken_over_by_their_identifiers() {
    let sandbox = Sandbox::new().local();
    let listener = Listener::start(&sandbox);
    let account = Account::at(listener.url(), LOCAL_ACCOUNT, REGION);
    let image = account.image();
    let machine = || {
        let request = account.aws.ec2().run_instances().image_id(&image).min_count(1).max_count(1);
        let request = request.instance_type(aws_sdk_ec2::types::InstanceType::T3Micro);
        let answer = account.call(request.send());
        answer.instances.unwrap().remove(0).instance_id.unwrap()
    };
    let (one, other) = (machine(), machine());
    account.call(account.aws.sns().create_topic().name("there").send());
    let file = format!(
        "stack: s\nregion: {REGION}\nresources:\n  box: {{type: ec2_instance, image_id: {image}, instance_type: t3.micro, ignore_changes: [metadata_options]}}\n  \
         topic: {{type: sns_topic, name: there}}\n"
    );
    sandbox.write("stack.yaml", &file);
    let plan = |adopt: &str| sandbox.run(&["plan", "--adopt", adopt]);
    plan("box").code(1).has("topic").has("exists already");
    plan("box=i-0123456789abcdef0,topic").code(1).has("there is no EC2 instance `i-0123456789abcdef0`");
    plan("box=,topic").code(64).has("expected ID, ID=PHYSICAL or all");
    plan("bix=i-0,topic").code(64).has("did you mean `box`?");
    plan(&format!("box={other},topic=elsewhere")).code(1).has("and not `elsewhere`");
    let args = format!("box={other},topic=arn:aws:sns:{REGION}:{LOCAL_ACCOUNT}:there");
    plan(&args).code(0).has("0 to add, 2 to change, 0 to destroy").has(&other).lacks(&one);
    sandbox.ok(&["apply", "-y", "--adopt", &args]);
    sandbox.ok(&["plan", "--detailed-exitcode"]).has("No changes.");
    plan(&format!("box={one}")).code(1).has(&format!("`{other}`, and not `{one}`"));
    sandbox.ok(&["destroy", "-y"]).has("nothing is left");
    let left: BTreeSet<String> = account.contents();
    assert!(left.contains(&one) && !left.contains(&other), "{left:?}");
}

/// Resources of every way to be found, by their former ids.
const OLD: &str = "\
stack: s
region: us-east-1
resources:
  topic: {type: sns_topic, name: news}
  old_box: {type: ec2_instance, image_id: IMAGE, instance_type: t3.micro}
  old_phone: {type: sns_subscription, topic_arn: '${topic.arn}', protocol: sms, endpoint: '+79990001122'}
  old_stream: {type: kinesis_stream, name: jobs}
  plain: {type: kinesis_stream}
";

#[test]
fn moved_resources_keep_their_objects() {
    let sandbox = Sandbox::new().local();
    let listener = Listener::start(&sandbox);
    let account = Account::at(listener.url(), LOCAL_ACCOUNT, REGION);
    let old = OLD.replace("IMAGE", &account.image());
    sandbox.write("stack.yaml", &old);
    sandbox.ok(&["apply", "-y"]);
    let before = account.contents();
    let moved = "moved: {old_box: box, old_phone: phone, old_stream: stream}\n";
    let today = old.replace("old_", "").replace("resources:\n", &format!("{moved}resources:\n"));
    sandbox.write("stack.yaml", &today);
    let plan = sandbox.run(&["plan", "--detailed-exitcode"]).code(2).has("0 to add, 3 to change, 0 to destroy");
    let plan = plan.has("moved from old_box").has("moved from old_phone").has("moved from old_stream");
    assert!(
        plan.stdout
            .lines()
            .filter(|line| line.contains("tags."))
            .all(|line| line.contains("stackctl:resource") || line.contains("tags.Name")),
        "{plan}"
    );
    sandbox.ok(&["apply", "-y"]);
    assert_eq!(account.contents(), before);
    sandbox.run(&["plan", "--detailed-exitcode"]).code(0).has("No changes.").has("its entry in `moved:` can go");
    // A name that follows the id is another name: that is told, and then the object is made anew.
    let renamed = today.replace("plain:", "flat:").replace("old_stream: stream", "plain: flat");
    sandbox.write("stack.yaml", &renamed);
    sandbox.ok(&["validate"]).has("its name changes with its id");
    sandbox.run(&["plan"]).code(0).has("renamed from plain").has("1 to add, 0 to change, 1 to destroy");
    sandbox.write("stack.yaml", &today.replace(moved, ""));
    sandbox.run(&["plan", "--detailed-exitcode"]).code(0).has("No changes.");
    sandbox.ok(&["destroy", "-y"]).has("nothing is left");
}

#[test]
fn a_stack_is_exported_for_other_tools() {
    let sandbox = Sandbox::with_stacks().local();
    let file = "stacks/airline_tickets.yaml";
    let run =
        |command: &[&str]| sandbox.run(&[command, &[file, "--var", &format!("phone={PHONE}")]].concat()).lacks(PHONE);
    run(&["apply", "-y"]).code(0);
    let blocks = run(&["export", "--format", "terraform-import"]).code(0).has("20 resources exported");
    for (to, id) in [
        ("aws_kinesis_stream.airline_tickets", "airline_tickets"),
        ("aws_iam_role_policy.collector_role_grants", "Lambda-TicketsProcessingRole:grants"),
        ("aws_sns_topic.airlines", "arn:aws:sns:us-east-1:000000000000:Airlines"),
    ] {
        assert!(blocks.stdout.contains(&format!("import {{\n  to = {to}\n  id = \"{id}\"\n}}\n")), "{blocks}");
    }
    let out = run(&["export", "--format", "cloudformation", "--write", "out"]).code(0);
    let out =
        out.has("analytics: CloudFormation cannot import this type").has("producer: CloudFormation describes spot");
    assert!(out.stderr.contains("CollectorCodeBucket") && out.stderr.contains("PhoneSubscriptionEndpoint"), "{out}");
    let read = |name: &str| fs_err::read_to_string(sandbox.dir().join("out").join(name)).unwrap();
    let (template, list) = (read("template.json"), read("resources-to-import.json"));
    assert!(!template.contains(PHONE) && !template.contains("stackctl:"), "{template}");
    let template: Value = serde_json::from_str(&template).unwrap();
    let resources = template["Resources"].as_object().unwrap();
    assert!(resources.values().all(|resource| resource["DeletionPolicy"] == "Retain"));
    let list: Vec<Value> = serde_json::from_str(&list).unwrap();
    assert_eq!((list.len(), resources.len()), (18, 18));
    for import in &list {
        let resource = &resources[import["LogicalResourceId"].as_str().unwrap()];
        assert_eq!(resource["Type"], import["ResourceType"]);
        let identifier = import["ResourceIdentifier"].as_object().unwrap().values().next().unwrap();
        assert!(identifier.as_str().is_some_and(|text| !text.is_empty()), "{import}");
    }
    assert_eq!(
        resources["Tickets"]["Properties"]["KeySchema"],
        json!([{"AttributeName": "record_id", "KeyType": "HASH"}])
    );
    assert_eq!(resources["PhoneSubscription"]["Properties"]["Endpoint"], json!({"Ref": "PhoneSubscriptionEndpoint"}));
    run(&["export", "--format", "cloudformation", "--write", "out"]).code(1).has("exists already");
}

//! The policies that `policy` prints are enough, and no more than enough: role sessions on the local cloud, which asks
//! the policies of a role about each of its calls.

use aws_credential_types::Credentials;
use serde_json::{Value, json};

use crate::support::account::{self, ACCOUNT, Account, REGION};
use crate::support::listener::Listener;
use crate::support::sandbox::{Output, Sandbox, project};

const ROLE: &str = "ci";

/// A local cloud, a sandbox of its account, and one in which everything runs as a role.
struct World {
    account: Account,
    owner: Sandbox,
    session: Sandbox,
    _listener: Listener,
    _home: Sandbox,
}

impl World {
    /// Makes the role without any rights.
    fn new(make: fn() -> Sandbox) -> Self {
        let home = Sandbox::new();
        let listener = Listener::start(&home);
        let account = Account::at(listener.url(), ACCOUNT, REGION);
        let trust = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "AWS": ACCOUNT } },
        ]});
        let request = account.aws.iam().create_role().role_name(ROLE).assume_role_policy_document(trust.to_string());
        let arn = account.call(request.send()).role.unwrap().arn;
        let sts = aws_sdk_sts::Client::new(&account::config(
            listener.url(),
            Credentials::from_keys(ACCOUNT, "none", None),
            REGION,
        ));
        let given = account.call(sts.assume_role().role_arn(arn).role_session_name("ci").send()).credentials.unwrap();
        let keys = [
            ("AWS_ACCESS_KEY_ID", &given.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", &given.secret_access_key),
            ("AWS_SESSION_TOKEN", &given.session_token),
        ];
        let session =
            keys.into_iter().fold(make().remote(listener.url()), |sandbox, (name, key)| sandbox.set(name, key));
        Self { account, owner: make().remote(listener.url()), session, _listener: listener, _home: home }
    }

    fn allow(&self, policy: &Value) {
        let request = self.account.aws.iam().put_role_policy().role_name(ROLE).policy_name("all");
        self.account.call(request.policy_document(policy.to_string()).send());
    }

    fn policy(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.owner.ok(&[&["policy"], args].concat()).stdout).unwrap()
    }
}

fn fixtures() -> Sandbox {
    let sandbox = Sandbox::with_fixture_files();
    sandbox.write("stack.yaml", &fs_err::read_to_string(project().join("tests/drift/stack.yaml")).unwrap());
    sandbox
}

/// What the table's stack on this emulator never asks: who one is needs no right; the tagging API, which an emulator is
/// not asked, goes with Kinesis's newer list of tags; a mapping is asked by its id only when it is somebody else's; and
/// all of an account's roles and policies are read at once only for a stack with many, which does without where it must.
const ELSEWHERE: [&str; 5] = [
    "iam:GetAccountAuthorizationDetails",
    "kinesis:ListTagsForResource",
    "lambda:GetEventSourceMapping",
    "sts:GetCallerIdentity",
    "tag:GetResources",
];

#[test]
fn drift_needs_all_of_its_policy_and_nothing_else() {
    let world = World::new(fixtures);
    world.owner.ok(&["apply", "-y"]);
    let policy = world.policy(&["--drift"]);
    world.allow(&policy);
    world.session.run(&["drift"]).code(0).has("No drift");
    let actions: Vec<Value> = policy["Statement"][0]["Action"].as_array().unwrap().clone();
    let used = actions.iter().filter(|action| !ELSEWHERE.contains(&action.as_str().unwrap()));
    let mut idle = Vec::new();
    for action in used {
        let mut less = policy.clone();
        less["Statement"][0]["Action"].as_array_mut().unwrap().retain(|other| other != action);
        world.allow(&less);
        let output = world.session.run(&["drift"]);
        if !(is_incomplete(&output) && output.stdout.contains("is not authorized to perform")) {
            idle.push(format!("without {action}: {output}"));
            continue;
        }
        output.code(3);
    }
    assert!(idle.is_empty(), "{}", idle.join("\n"));
}

fn is_incomplete(output: &Output) -> bool {
    output.stdout.contains("The check is incomplete")
}

#[test]
fn the_policy_of_drift_is_told_without_a_stack_and_without_aws() {
    let output = Sandbox::new().ok(&["policy", "--drift"]).stdout;
    let policy: Value = serde_json::from_str(&output).unwrap();
    let actions = policy["Statement"][0]["Action"].as_array().unwrap();
    // On AWS the tagging API tells what is the stack's, so these are never listed.
    assert!(!actions.contains(&"kinesis:ListStreams".into()) && actions.contains(&"tag:GetResources".into()));
    Sandbox::new().run(&["policy"]).code(64);
    let who: Value = serde_json::from_str(&Sandbox::new().ok(&["policy", "--drift", "--who"]).stdout).unwrap();
    assert!(who["Statement"][0]["Action"].as_array().unwrap().contains(&"cloudtrail:LookupEvents".into()));
}

#[test]
fn a_stack_lives_its_life_with_the_policy_of_its_deployer() {
    let file = "stacks/airline_tickets.yaml";
    let world = World::new(Sandbox::with_stacks);
    let policy = world.policy(&["--deployer", file, "--var", "phone=+79990001122"]);
    for statement in policy["Statement"].as_array().unwrap() {
        let passes = statement["Action"] == "iam:PassRole";
        assert_eq!(passes, statement["Condition"]["StringEquals"]["iam:PassedToService"].is_string(), "{statement}");
        assert!(!passes || !statement["Resource"].to_string().contains('*'), "{statement}");
    }
    world.allow(&policy);
    let run = |command: &[&str]| world.session.run(&[command, &[file, "--var", "phone=+79990001122"]].concat());
    run(&["apply", "-y"]).code(0).has("Apply complete");
    world.session.edit(file, "retention_in_days: 14", "retention_in_days: 30");
    world.session.edit(file, "timeout: 15", "timeout: 20");
    run(&["apply", "-y"]).code(0).has("Apply complete");
    run(&["drift"]).code(0).has("No drift");
    run(&["destroy", "-y"]).code(0).has("nothing is left");
    // Another stack's things are out of its reach.
    world.session.edit(file, "stack: airline", "stack: other-airline");
    world.session.edit(file, "name: airline_collector\n", "name: other_collector\n");
    run(&["apply", "-y"]).code(1).has("is not authorized to perform");
}

//! The program against the faults of AWS: throttling, failures, lost and late answers, garbage, quotas.

use serde_json::{Value, json};

use crate::support::account::{Account, LOCAL_ACCOUNT, REGION};
use crate::support::listener::Listener;
use crate::support::sandbox::{Output, Sandbox};

/// One of each kind that is made by one call or a few.
const SMALL: &str = "\
stack: small
region: us-east-1
resources:
  jobs: {type: kinesis_stream, retention_period_hours: 48}
  news: {type: sns_topic, display_name: News}
  reader:
    type: iam_role
    service: lambda.amazonaws.com
    grants: [{read: jobs}]
  logs: {type: cloudwatch_log_group, name: small/logs, retention_in_days: 7}
";

/// A sandbox, its listener, and the account behind it.
struct World {
    sandbox: Sandbox,
    listener: Listener,
    account: Account,
}

impl World {
    fn new(file: &str) -> Self {
        let sandbox = Sandbox::new().local().set("STACKCTL_READ_TIMEOUT_MS", "500");
        sandbox.write("stack.yaml", file);
        let listener = Listener::start(&sandbox);
        let account = Account::at(listener.url(), LOCAL_ACCOUNT, REGION);
        Self { sandbox, listener, account }
    }

    fn apply(&self) -> Output {
        self.sandbox.run(&["apply", "-y"])
    }

    #[track_caller]
    fn in_sync(&self) {
        self.listener.peace();
        self.sandbox.run(&["plan", "--detailed-exitcode"]).code(0).has("No changes.");
    }
}

/// Runs the small stack's apply under one rule.
fn applied_under(rule: &Value) -> (World, Output) {
    let world = World::new(SMALL);
    world.listener.trouble(&json!({"seed": 1, "rules": [rule]}));
    let output = world.apply();
    let struck = &world.listener.troubled()["rules"][0]["injected"];
    assert!(struck.as_u64().unwrap() > 0, "{rule} struck nothing: {output}");
    (world, output)
}

#[test]
fn faults_that_pass_are_waited_out() {
    for what in ["throttle", "internal", "unavailable", "reset-before", "reset-after", "slow"] {
        let (world, output) = applied_under(&json!({"what": what, "only": "writes", "times": 3}));
        output.code(0).has("Apply complete");
        world.in_sync();
    }
}

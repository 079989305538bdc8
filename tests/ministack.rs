//! Records through the ticket stack on ministack: streams, functions, table and topic are not ours.
//!
//! ministack has no Kinesis Analytics for SQL. The application alone is the local cloud's, which reads and writes
//! ministack's streams; what the application refers to is made there too, since AWS looks at it when it makes one.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::account::{ACCOUNT, Account, REGION};
use crate::support::listener::Listener;
use crate::support::ministack::Ministack;
use crate::support::moto::python;
use crate::support::sandbox::{Sandbox, project};

const STACK: &str = "stacks/airline_tickets.yaml";
const SAMPLES: &str = "stacks/samples/airline_tickets.csv";

/// Its EC2 keeps no user data and has no spot requests: what it shows of the producer is not what was asked for.
const NOT_THERE: &str = "producer,producer_group,producer_profile,producer_role";

/// It fixes where a mapping with LATEST begins only at its first poll, some seconds after it has made it.
const FIRST_POLL: Duration = Duration::from_secs(8);

const LIMIT: Duration = Duration::from_mins(2);

struct Queue<'a> {
    endpoint: &'a str,
    topic: String,
}

impl Queue<'_> {
    fn run(&self, verb: &str) -> String {
        let script = project().join("tests/ministack/heard.py");
        let output = Command::new(python()).arg(script).args([verb, self.endpoint, &self.topic]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns how many tickets the messages since the last look told of, by their subjects.
    fn tickets(&self) -> usize {
        let subjects: Vec<String> = serde_json::from_str(&self.run("read")).unwrap();
        subjects.iter().map(|subject| subject.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum()
    }
}

fn items(account: &Account) -> usize {
    let pages = account.aws.dynamodb().scan().table_name("airline_tickets").into_paginator().items().send();
    account.call(pages.collect::<Result<Vec<_>, _>>()).len()
}

#[test]
fn a_month_of_tickets() {
    let ministack = Ministack::start();
    let twin = Sandbox::with_stacks().set("STACKCTL_LOCAL_STREAMS_URL", ministack.url());
    let listener = Listener::start(&twin);
    let twin = twin.remote(listener.url());
    twin.ok(&["apply", "-y", STACK, "--target", "analytics_role"]);
    let analytics = "AWS_ENDPOINT_URL_KINESIS_ANALYTICS";
    let sandbox = Sandbox::with_stacks().remote(ministack.url()).set(analytics, listener.url());
    let account = Account::at(ministack.url(), ACCOUNT, REGION);
    sandbox.ok(&["apply", "-y", STACK, "--exclude", NOT_THERE]);
    sandbox.ok(&["plan", "--detailed-exitcode", STACK, "--exclude", NOT_THERE]).has("No changes.");
    let queue = Queue { endpoint: ministack.url(), topic: format!("arn:aws:sns:{REGION}:{ACCOUNT}:Airlines") };
    queue.run("open");
    std::thread::sleep(FIRST_POLL);
    sandbox.ok(&["send", "airline_tickets", SAMPLES, "--stack", STACK]).has("1000 records");
    let (start, mut heard) = (Instant::now(), 0);
    while items(&account) < 1000 || heard < 110 {
        assert!(start.elapsed() < LIMIT, "{} items in the table, {heard} tickets told of", items(&account));
        std::thread::sleep(Duration::from_millis(500));
        heard += queue.tickets();
    }
    assert_eq!((items(&account), heard + queue.tickets()), (1000, 110));
    sandbox.ok(&["destroy", "-y", STACK]).has("nothing is left");
}

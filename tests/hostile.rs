//! The program against an endpoint that means harm: texts made to take over a terminal or a CI system, answers without
//! an end, of any depth, or of no form at all.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::hostile::{Endpoint, JSON, Reply, XML, whole};
use crate::support::listener::Listener;
use crate::support::sandbox::{Output, Sandbox};

/// Escape sequences, links, the clipboard, commands, markup, line breaks, and letters that are not seen or turn a line
/// round.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]8;;http://x\u{7}l\u{1b}]52;c;eA==\u{7}\u{9b}31m\r\n::set-env name=A::b\n\
                       ##[set-output name=A]b\n| <script>`@all` ```\u{8}\u{202e}\u{2066}\u{200b}\u{0}";

/// Fields of answers that are shown, in groups whose poison does not keep the others from being read.
const SHOWN: &[&[&str]] = &[
    &["ApplicationStatus", "StreamStatus", "TableStatus", "State", "LastUpdateStatus", "Status"],
    &[
        "Description",
        "DisplayName",
        "ApplicationDescription",
        "ApplicationCode",
        "Variables",
        "Value",
        "value",
        "Handler",
    ],
    &["Key", "key", "Name", "Tags", "AttributeName", "ApplicationName", "RequestId", "requestId"],
    &["Arn", "ARN", "StreamARN", "TableArn", "TopicArn", "FunctionArn", "ApplicationARN", "instanceId", "groupId"],
    &["PolicyDocument", "AssumeRolePolicyDocument", "Endpoint", "RoleName", "PolicyName", "UUID", "userData"],
];

const STACK: &str = "\
stack: small
region: us-east-1
resources:
  jobs: {type: kinesis_stream}
  reader: {type: iam_role, service: lambda.amazonaws.com, grants: [{read: jobs}]}
  group: {type: ec2_security_group, description: x}
  worker:
    type: lambda_function
    role: ${reader.arn}
    runtime: python3.13
    handler: main.handler
    code: main.py
  news: {type: sns_topic}
";

/// A sandbox without patience and its local cloud.
struct World {
    sandbox: Sandbox,
    listener: Listener,
    args: &'static [&'static str],
}

impl World {
    fn of(sandbox: Sandbox, args: &'static [&'static str]) -> Self {
        let sandbox = sandbox.set("STACKCTL_READ_TIMEOUT_MS", "1000").set("AWS_MAX_ATTEMPTS", "2");
        let listener = Listener::start(&sandbox);
        let sandbox = sandbox.remote(listener.url());
        Self { sandbox, listener, args }
    }

    fn small() -> Self {
        let sandbox = Sandbox::new();
        sandbox.write("stack.yaml", STACK);
        sandbox.write("main.py", "def handler(event, context):\n    return None\n");
        Self::of(sandbox, &[])
    }

    fn tickets() -> Self {
        let world = Self::of(Sandbox::with_stacks(), &["stacks/airline_tickets.yaml", "--var", "phone=+15550100"]);
        world.sandbox.run(&[&["apply", "-y"], world.args].concat()).code(0);
        world
    }

    fn run(&self, endpoint: &Endpoint, command: &[&str]) -> Output {
        self.sandbox.run(&[&["--endpoint-url", endpoint.url()], command, self.args].concat())
    }

    /// Plans while one operation is answered otherwise, which must be told within a time.
    #[track_caller]
    fn plan(&self, operation: &'static str, reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Output, Endpoint) {
        let hits = Arc::new(AtomicU64::new(0));
        let seen = hits.clone();
        let endpoint = Endpoint::before(self.listener.url(), move |asked| {
            if !asked.operation.contains(operation) {
                return Reply::Pass;
            }
            seen.fetch_add(1, Ordering::SeqCst);
            reply()
        });
        let start = Instant::now();
        let output = self.run(&endpoint, &["plan"]);
        assert!(start.elapsed() < Duration::from_mins(1), "{operation}: {:?}", start.elapsed());
        harmless(&output.to_string());
        assert!(hits.load(Ordering::SeqCst) > 0, "{operation} was not asked for: {output}");
        (output, endpoint)
    }

    #[track_caller]
    fn refused(&self, operation: &'static str, reply: impl Fn() -> Reply + Send + Sync + 'static) -> Output {
        let (output, _) = self.plan(operation, reply);
        assert_eq!(output.exit(), Some(1), "{operation}: {output}");
        output
    }
}

/// Checks that a text does nothing to a terminal or to GitHub's runner.
#[track_caller]
fn harmless(text: &str) {
    for line in text.lines() {
        let bad = |letter: char| {
            letter.is_control()
                || matches!(letter, '\u{200b}'..='\u{200c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        assert!(!line.contains(bad), "{line:?}");
        assert!(!line.trim_start().starts_with("::set-env") && !line.contains("##["), "{line:?}");
    }
}

/// Puts the hostile text behind every value of some names, in JSON and in XML.
fn poisoned(body: &str, names: &[&str]) -> String {
    if let Ok(mut value) = serde_json::from_str::<Value>(body) {
        poison(&mut value, names, false);
        return value.to_string();
    }
    // XML has no way to write the others.
    let has = |letter: &char| !letter.is_control() || "\r\n\u{9b}".contains(*letter);
    let text: String = HOSTILE.chars().filter(has).map(|letter| format!("&#{};", u32::from(letter))).collect();
    names.iter().fold(body.to_owned(), |body, name| body.replace(&format!("</{name}>"), &format!("{text}</{name}>")))
}

fn poison(value: &mut Value, names: &[&str], here: bool) {
    match value {
        Value::String(text) if here => text.push_str(HOSTILE),
        Value::Array(items) => items.iter_mut().for_each(|item| poison(item, names, here)),
        Value::Object(map) => {
            map.iter_mut().for_each(|(name, value)| poison(value, names, here || names.contains(&name.as_str())));
        }
        _ => {}
    }
}

#[test]
fn texts_of_answers_do_nothing_but_show() {
    let world = World::tickets();
    let drift = ["text", "json", "markdown", "junit", "sarif", "github"].map(|format| format!("{format}=d.{format}"));
    let drift = format!("--write={}", drift.join(","));
    for names in SHOWN {
        let rewrite = || Reply::Rewrite(Box::new(|body| poisoned(body, names)));
        let endpoint = Endpoint::before(world.listener.url(), move |_| rewrite());
        for command in [
            &["-vv", "plan"][..],
            &["plan", "--format", "markdown"],
            &["show"],
            &["show", "--format", "json"],
            &["verify"],
            &["drift", &drift],
        ] {
            let output = world.run(&endpoint, command);
            assert!(matches!(output.exit(), Some(0..=3)), "{output}");
            harmless(&output.to_string());
        }
        for format in ["text", "json", "markdown", "junit", "sarif"] {
            let path = world.sandbox.dir().join(format!("d.{format}"));
            harmless(&fs_err::read_to_string(&path).unwrap().replace("##[", ""));
        }
        let github = fs_err::read_to_string(world.sandbox.dir().join("d.github")).unwrap();
        let is_ours = |line: &str| {
            ["::error ", "::warning ", "::notice ", "stackctl drift: "].iter().any(|start| line.starts_with(start))
        };
        assert!(github.lines().all(is_ours), "{github}");
    }
}

#[test]
fn accounts_are_numbers() {
    let world = World::small();
    for account in ["123456789012\u{9b}2J", "../../x", "12345678901", ""] {
        let body = format!(
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
        );
        let reply = move || Reply::Answer(200, XML, body.clone().into_bytes());
        let _ = world.refused("GetCallerIdentity", reply).has("names no account");
    }
}

#[test]
fn errors_are_told_and_do_nothing_else() {
    let world = World::small();
    let text: String = HOSTILE.replace(['\u{0}', '\u{8}'], "");
    let json = serde_json::json!({"__type": format!("Bad{text}"), "message": text, "Type": "User"}).to_string();
    let escaped: String = text
        .chars()
        .filter(|letter| !letter.is_control() || *letter == '\n')
        .map(|letter| format!("&#{};", u32::from(letter)))
        .collect();
    let error = format!("<Error><Code>Bad{escaped}</Code><Message>{escaped}</Message></Error>");
    let (query, ec2) = (
        format!("<ErrorResponse>{error}<RequestId>{escaped}</RequestId></ErrorResponse>"),
        format!("<Response><Errors>{error}</Errors><RequestID>{escaped}</RequestID></Response>"),
    );
    let cases = [
        ("CreateStream", JSON, &json),
        ("CreateRole", XML, &query),
        ("CreateTopic", XML, &query),
        ("CreateSecurityGroup", XML, &ec2),
        ("POST /2015-03-31/functions", "application/json", &json),
    ];
    for (operation, kind, body) in cases {
        let (kind, body) = (kind.to_owned(), body.clone());
        let endpoint = Endpoint::before(world.listener.url(), move |asked| {
            // A head may have letters beyond ASCII.
            let head = format!("{kind}\r\nx-amzn-requestid: a\u{9b}2J\u{202e}\r\nx-amzn-errortype: Bad\u{9b}\u{202e}");
            if asked.operation == operation { Reply::Bytes(whole(400, &head, body.as_bytes())) } else { Reply::Pass }
        });
        for flags in [&["--format", "text"][..], &["--format", "json"]] {
            let output = world.run(&endpoint, &[&["-vv", "apply", "-y"], flags].concat());
            harmless(&output.to_string());
            assert_eq!(output.exit(), Some(1), "{output}");
        }
        let _ = world.sandbox.run(&["destroy", "-y"]).code(0);
    }
}

#[test]
fn depth_does_not_break_the_stack() {
    const DEEP: usize = 100_000;
    let world = World::small();
    let (arrays, objects) = ("[".repeat(DEEP), "{\"a\":".repeat(DEEP));
    let elements = "<a>".repeat(DEEP);
    for json in [arrays.clone() + &"]".repeat(DEEP), arrays, objects.clone() + "1" + &"}".repeat(DEEP), objects] {
        for field in ["Unknown", "StreamDescriptionSummary", "Configuration", "Tags"] {
            for (operation, kind) in
                [("DescribeStreamSummary", JSON), ("GET /2015-03-31/functions/", "application/json")]
            {
                for status in [200, 400] {
                    let body = format!("{{\"{field}\":{json}}}").into_bytes();
                    let (output, _) = world.plan(operation, move || Reply::Answer(status, kind, body.clone()));
                    assert!(matches!(output.exit(), Some(0 | 1)), "{operation}: {output}");
                }
            }
        }
    }
    for xml in [elements.clone() + &"</a>".repeat(DEEP), elements] {
        for operation in ["ListRoles", "ListTopics", "DescribeSecurityGroups"] {
            for status in [200, 400] {
                let body =
                    format!("<{operation}Response><{operation}Result>{xml}</{operation}Result></{operation}Response>");
                let (output, _) = world.plan(operation, move || Reply::Answer(status, XML, body.clone().into_bytes()));
                assert!(matches!(output.exit(), Some(0 | 1)), "{operation}: {output}");
            }
        }
    }
}

#[test]
fn documents_in_answers_may_be_of_any_depth() {
    let world = World::small();
    world.sandbox.run(&["apply", "-y"]).code(0);
    let deep = "%5B".repeat(100_000);
    let (output, _) = world.plan("GetRole", move || {
        let deep = deep.clone();
        Reply::Rewrite(Box::new(move |body| {
            body.replace("</AssumeRolePolicyDocument>", &format!("{deep}</AssumeRolePolicyDocument>"))
        }))
    });
    assert!(matches!(output.exit(), Some(0 | 1)), "{output}");
}

#[test]
fn answers_have_an_end() {
    let world = World::small();
    let head = |rest: &str| format!("HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\n{rest}\r\n").into_bytes();
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    let endless = move || Reply::Endless(head("transfer-encoding: chunked\r\n"), chunk.clone(), Duration::ZERO);
    let (output, endpoint) = world.plan("DescribeStreamSummary", endless);
    let _ = output.code(1).has("the answer has more than 32 MB");
    assert!(endpoint.sent() < 80_000_000, "{} bytes were taken, or they were taken twice", endpoint.sent());
    let large = move || Reply::Endless(head("content-length: 200000000\r\n"), vec![b' '; 0x10000], Duration::ZERO);
    let (output, endpoint) = world.plan("DescribeStreamSummary", large);
    let _ = output.code(1).has("the answer has more than 32 MB");
    assert!(endpoint.sent() < 20_000_000, "{} bytes were taken", endpoint.sent());
    let slow = move || Reply::Endless(head("content-length: 1000\r\n"), vec![b' '], Duration::from_millis(100));
    let (output, _) = world.plan("DescribeStreamSummary", slow);
    let _ = output.code(1).has("the answer is not complete after 4 s");
}

#[test]
fn answers_of_no_form_are_told() {
    let world = World::small();
    let head = |rest: &str, body: &[u8]| {
        [format!("HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\n{rest}\r\n").as_bytes(), body].concat()
    };
    let many: String = (0..200).map(|at| format!("x-{at}: {at}\r\n")).collect();
    let large = format!("x-large: {}\r\n", "a".repeat(2_000_000));
    let zip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a length that is too long", head("content-length: 100\r\n", b"{}")),
        ("a length that is too short", head("content-length: 1\r\n", b"{}")),
        ("a length that is none", head("content-length: x\r\n", b"{}")),
        ("two lengths", head("content-length: 2\r\ncontent-length: 3\r\n", b"{}")),
        ("chunks without a length", head("transfer-encoding: chunked\r\n", b"zz\r\n{}\r\n0\r\n\r\n")),
        ("a chunk that is cut", head("transfer-encoding: chunked\r\n", b"ff\r\n{}")),
        ("many headers", head(&many, b"{}")),
        ("a large header", head(&large, b"{}")),
        ("no header", b"\x00\x01\x02".to_vec()),
        ("nothing", Vec::new()),
        ("no text", whole(200, JSON, b"{\"StreamDescriptionSummary\":{\"StreamName\":\"\xff\xfe\"}}")),
        ("an error that is none", whole(200, JSON, b"{\"__type\":\"X\",\"message\":\"m\"}")),
        ("something zipped", whole(200, &format!("{JSON}\r\ncontent-encoding: gzip"), &zip)),
    ];
    for (what, bytes) in cases {
        let (output, _) = world.plan("DescribeStreamSummary", move || Reply::Bytes(bytes.clone()));
        assert_eq!(output.exit(), Some(1), "{what}: {output}");
        assert!(output.to_string().contains("DescribeStreamSummary"), "{what}: {output}");
    }
}

#[test]
fn an_answer_without_the_thing_does_not_say_that_there_is_none() {
    let world = World::small();
    for (operation, kind, body, says) in [
        ("DescribeStreamSummary", JSON, "", "the answer cannot be read (HTTP 200)"),
        ("DescribeLogGroups", JSON, "", "the answer cannot be read (HTTP 200)"),
        ("DescribeStreamSummary", JSON, "{}", "the answer has no"),
        ("GET /2015-03-31/functions/", "application/json", "{}", "the answer has no"),
    ] {
        let _ = world.refused(operation, move || Reply::Answer(200, kind, body.into())).has(says);
    }
}

#[test]
fn redirects_are_not_followed() {
    let world = World::small();
    let (elsewhere, asked) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::new(AtomicU64::new(0)));
    let (to, count) = (elsewhere.local_addr().unwrap(), asked.clone());
    std::thread::spawn(move || {
        for _ in elsewhere.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    for status in [301, 302, 307, 308] {
        let head = format!("{JSON}\r\nlocation: http://{to}/");
        let _ = world.refused("DescribeStreamSummary", move || Reply::Bytes(whole(status, &head, b"{}")));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0, "credentials went elsewhere");
}

#[test]
fn listings_have_an_end() {
    let world = World::small();
    let count = Arc::new(AtomicU64::new(0));
    for (operation, kind, page) in [
        ("ListStreams", JSON, r#"{"StreamNames":["a"],"HasMoreStreams":true,"NextToken":"TOKEN"}"#),
        (
            "ListRoles",
            XML,
            "<ListRolesResponse><ListRolesResult><IsTruncated>true</IsTruncated><Marker>TOKEN</Marker><Roles/></ListRolesResult></ListRolesResponse>",
        ),
        (
            "DescribeSecurityGroups",
            XML,
            "<DescribeSecurityGroupsResponse><securityGroupInfo/><nextToken>TOKEN</nextToken></DescribeSecurityGroupsResponse>",
        ),
        (
            "ListTopics",
            XML,
            "<ListTopicsResponse><ListTopicsResult><Topics/><NextToken>TOKEN</NextToken></ListTopicsResult></ListTopicsResponse>",
        ),
        ("GET /2015-03-31/functions", "application/json", r#"{"Functions":[],"NextMarker":"TOKEN"}"#),
    ] {
        let same = page.replace("TOKEN", "a/b&#38;".trim_end_matches(if kind == XML { "" } else { "&#38;" }));
        let (output, endpoint) = world.plan(operation, move || Reply::Answer(200, kind, same.clone().into_bytes()));
        assert!(
            output.exit() == Some(1) && output.to_string().contains("names itself as the next one"),
            "{operation}: {output}"
        );
        assert!(endpoint.calls() < 100, "{operation}: {} calls", endpoint.calls());
    }
    // One that gives a new token each time takes some seconds.
    let page = r#"{"StreamNames":[],"HasMoreStreams":true,"NextToken":"TOKEN"}"#;
    let output = world.refused("ListStreams", move || {
        let number = count.fetch_add(1, Ordering::SeqCst).to_string();
        Reply::Answer(200, JSON, page.replace("TOKEN", &number).into_bytes())
    });
    assert!(output.to_string().contains("the listing has no end: 5000 pages"), "{output}");
}

#[test]
fn files_of_others_do_nothing_but_show() {
    let sandbox = Sandbox::new();
    for deep in ["[".repeat(100_000), "{\"a\":".repeat(100_000)] {
        sandbox.write("deep.tfstate", &format!("{{\"version\": 4, \"resources\": {deep}"));
        let _ = sandbox.run(&["import-terraform", "deep.tfstate"]).code(1).has("could not read deep.tfstate");
    }
    let instance =
        |at: &str| serde_json::json!({"index_key": at, "attributes": {"name": HOSTILE, "id": HOSTILE, "arn": HOSTILE}});
    let resource = |kind: &str| serde_json::json!({"mode": "managed", "type": kind, "name": HOSTILE, "module": HOSTILE, "instances": [instance(HOSTILE)]});
    let kinds = ["aws_sns_topic", "aws_kinesis_stream", HOSTILE].map(resource);
    sandbox.write("h.tfstate", &serde_json::json!({"version": 4, "resources": kinds}).to_string());
    let output = sandbox.run(&["import-terraform", "h.tfstate", "--name", "s"]).code(0);
    harmless(&output.stderr);
    harmless(&output.stdout.replace("##[", "").replace("::set-env", ""));
    sandbox.write("stack.yaml", "stack: s\nregion: us-east-1\nresources:\n  jobs: {type: kinesis_stream}\n");
    let _ = sandbox.run(&["--local", "apply", "-y"]).code(0);
    sandbox.write("h.csv", &format!("\"{HOSTILE}\",\"{HOSTILE}\"\n"));
    let output = sandbox.run(&["--local", "send", "jobs", "h.csv"]).code(1).has("occurs twice");
    harmless(&output.to_string());
    sandbox.write("deep.json", &("[".repeat(100_000) + "\n"));
    let _ = sandbox.run(&["--local", "send", "jobs", "deep.json"]).code(1).has("deep.json:1");
}

#[test]
fn leases_of_others_do_nothing_but_show() {
    let world = World::small();
    world.sandbox.edit("stack.yaml", "resources:", "lock: {table: locks}\nresources:");
    let texts = ["owner", "who", "host", "operation", "version", "job", "released_by"];
    for number in ["9223372036854775807", "-9223372036854775808", "0"] {
        let numbers = ["token", "beat", "pid", "since", "length", "expires", "released"];
        let mut item: serde_json::Map<String, Value> =
            texts.iter().map(|name| ((*name).to_owned(), serde_json::json!({"S": HOSTILE}))).collect();
        item.extend(numbers.iter().map(|name| ((*name).to_owned(), serde_json::json!({"N": number}))));
        let taken = serde_json::json!({"__type": "ConditionalCheckFailedException", "message": "m", "Item": item});
        let item = serde_json::json!({"Item": item});
        let endpoint = Endpoint::before(world.listener.url(), move |asked| match asked.operation.as_str() {
            "GetItem" => Reply::Answer(200, JSON, item.to_string().into_bytes()),
            "UpdateItem" => Reply::Answer(400, JSON, taken.to_string().into_bytes()),
            _ => Reply::Pass,
        });
        for command in [
            &["lock", "show"][..],
            &["lock", "show", "--format", "json"],
            &["apply", "-y"],
            &["apply", "-y", "--lock-timeout", "2s"],
        ] {
            let output = world.run(&endpoint, command);
            harmless(&output.to_string());
            assert!(matches!(output.exit(), Some(0 | 1)), "{output}");
        }
    }
}

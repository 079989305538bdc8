//! Saved plans of a small stack, moved in every way there is.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::graph::Graph;
use crate::live::{Live, Orphan};
use crate::plan::make;
use crate::report::{Paint, plan as report};
use crate::stack::fake;

const FILE: &str = "stack: small
variables:
  shards: {type: number, default: 1}
  key: {default: Zdefault, sensitive: true}
resources:
  orders: {type: fake_stream, shard_count: '${var.shards}', kms_key: '${var.key}', tags: {owner: me, key: 'k-${var.key}'}}
  news: {type: fake_stream, mode: ON_DEMAND}
  reader:
    type: fake_role
    service: '${orders.arn}'
    inline_policies: {main: {Statement: [{Action: ['s:Get', 'x ${var.key} y']}, {Effect: Allow}]}}
outputs: {stream: '${orders.arn}', url: 'https://x/${var.key}'}
";

/// A small world: its file, what was given, and what AWS has.
#[derive(Clone)]
struct World {
    file: String,
    vars: Vec<(String, String)>,
    live: Live,
    goal: Goal,
    place: kind::Place,
    tool: &'static str,
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

impl World {
    fn new() -> Self {
        let marks = [pair("stackctl:stack", "small"), pair("stackctl:resource", "orders"), pair("stackctl:spec", "0")];
        let orders = Found {
            physical: "orders".to_owned(),
            spec: json!({"shard_count": 3, "mode": "PROVISIONED", "kms_key": "Zformer", "hash": "hash in small"}),
            outputs: json!({"arn": "arn:orders"}).as_object().unwrap().clone(),
            tags: marks.into_iter().chain([pair("owner", "you"), pair("key", "k-Zformer"), pair("old", "x")]).collect(),
            ..Found::default()
        };
        let gone = Found {
            physical: "topic|sms|01ef".to_owned(),
            spec: json!({"endpoint": "Zformer"}),
            tags: [pair("stackctl:stack", "small"), pair("stackctl:resource", "gone"), pair("n", "Zformer")].into(),
            ..Found::default()
        };
        let orphan = Orphan { kind: fake::kind("fake_role"), id: "gone".to_owned(), found: gone };
        let live = Live { found: [("orders".to_owned(), orders)].into(), orphans: vec![orphan], ..Live::default() };
        let place = kind::Place { partition: "aws".into(), region: "us-east-1".into(), account: "111111111111".into() };
        let vars = vec![pair("key", "Zsecret")];
        Self { file: FILE.to_owned(), vars, live, goal: Goal::default(), place, tool: "1.2.3" }
    }

    fn orders(&mut self) -> &mut Found {
        self.live.found.get_mut("orders").unwrap()
    }

    fn edit(&mut self, from: &str, to: &str) {
        assert!(self.file.contains(from));
        self.file = self.file.replace(from, to);
    }

    fn saved(&self) -> Saved {
        let vars: Vec<_> = self.vars.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let stack = fake::load_with(&self.file, &vars).unwrap().stack;
        let graph = Graph::of(&stack).unwrap();
        let plan = make(&stack, &graph, &self.live, &self.place, &self.goal);
        let from =
            Sources { stack: &stack, goal: &self.goal, place: &self.place, endpoint: Endpoint::Aws, tool: self.tool };
        Saved::of(&plan, from)
    }
}

fn find(name: &str) -> Option<&'static dyn AnyKind> {
    fake::KINDS.iter().copied().find(|kind| kind.type_name() == name)
}

fn text(saved: &Saved) -> String {
    saved.plan(&find).map(|plan| report::text(&plan, Paint::default())).unwrap()
}

fn moves(change: impl Fn(&mut World)) -> String {
    let (then, mut now) = (World::new(), World::new());
    change(&mut now);
    compare(&then.saved(), &now.saved()).iter().map(|moved| format!("{moved}\n")).collect()
}

#[test]
fn shows_what_the_plan_showed() {
    insta::assert_snapshot!(text(&World::new().saved()));
}

#[test]
fn nothing_moves_by_itself() {
    assert_eq!(moves(|_| ()), "");
    assert_eq!(moves(|world| world.orders().status = Some("BUSY".to_owned())), "");
}

type Edit = fn(&mut World);

#[test]
fn what_has_moved_is_named() {
    let table: &[(&str, Edit)] = &[
        ("field", |world| world.edit("ON_DEMAND", "PROVISIONED")),
        ("tag of the file", |world| world.edit("owner: me", "owner: us")),
        ("protect", |world| world.edit("mode: ON_DEMAND", "mode: ON_DEMAND, protect: true")),
        ("text around a secret", |world| world.edit("x ${var.key} y", "x ${var.key} z")),
        ("new resource", |world| world.edit("  news:", "  more: {type: fake_stream}\n  news:")),
        ("resource left", |world| world.edit("  news: {type: fake_stream, mode: ON_DEMAND}\n", "")),
        ("other kind", |world| world.edit("{type: fake_stream, mode: ON_DEMAND}", "{type: fake_role, service: s}")),
        ("output", |world| world.edit("stream: '${orders.arn}'", "stream: '${news.arn}'")),
        ("name", |world| world.edit("mode: ON_DEMAND", "mode: ON_DEMAND, name: latest")),
        ("variable", |world| world.vars.push(pair("shards", "2"))),
        ("secret not given", |world| world.vars.clear()),
        ("changed", |world| world.orders().spec["shard_count"] = json!(4)),
        ("changed tag", |world| drop(world.orders().tags.insert("owner".into(), "them".into()))),
        ("more and less tags", |world| {
            world.orders().tags.remove("old");
            world.orders().tags.insert("new".into(), "x".into());
        }),
        ("made anew", |world| world.orders().physical = "orders-2".into()),
        ("gone", |world| world.live.found.clear()),
        ("appeared", |world| {
            let found = Found { tags: world.orders().tags.clone(), spec: json!({}), ..Found::default() };
            world.live.found.insert("news".into(), found);
        }),
        ("no orphan", |world| world.live.orphans.clear()),
        ("other output", |world| drop(world.orders().outputs.insert("arn".into(), json!("arn:other")))),
        ("place", |world| {
            world.place = kind::Place { partition: "aws".into(), region: "eu-1".into(), account: "2".into() };
        }),
        ("tool", |world| world.tool = "1.2.4"),
    ];
    let lines: String = table.iter().map(|(name, change)| format!("{name}\n{}\n", moves(change))).collect();
    insta::assert_snapshot!(lines);
}

#[test]
fn nothing_is_told_of_secrets() {
    let with = |secret: &str, former: &str| {
        let mut world = World::new();
        world.vars[0].1 = secret.to_owned();
        world.live = with_former(&world.live, former);
        world.saved().text().unwrap()
    };
    let one = with("Zsecret", "Zformer");
    assert!(!one.contains("Zsecret") && !one.contains("Zformer") && !one.contains("0123456789abcdef"), "{one}");
    // Nor anything that depends on them, such as a hash.
    assert_eq!(one, with("Zanother9", "Zthat was"));
}

/// Puts another former secret into what was found.
fn with_former(live: &Live, former: &str) -> Live {
    let mut live = live.clone();
    let orphans = live.orphans.iter_mut().map(|orphan| &mut orphan.found);
    for found in live.found.values_mut().chain(orphans) {
        found.spec = serde_json::from_str(&found.spec.to_string().replace("Zformer", former)).unwrap();
        found.tags.values_mut().for_each(|value| *value = value.replace("Zformer", former));
    }
    live
}

#[test]
fn a_destruction_can_be_kept() {
    let mut world = World::new();
    world.goal = Goal { destroy: true, excludes: BTreeSet::from(["news".to_owned()]), ..Goal::default() };
    let saved = world.saved();
    assert!(saved.goal.destroy && !saved.is_empty());
    assert_eq!(Saved::parse(&saved.text().unwrap()).unwrap(), saved);
    assert!(text(&saved).ends_with("Plan: 0 to add, 0 to change, 2 to destroy.\n"), "{}", text(&saved));
}

/// Lists the places of all texts, numbers and flags of a document.
fn leaves(value: &Value, path: &str, out: &mut Vec<String>) {
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(name, value)| leaves(value, &format!("{path}/{}", escaped(name)), out));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| leaves(item, &format!("{path}/{at}"), out));
        }
        Value::Null => {}
        _ => out.push(path.to_owned()),
    }
}

#[test]
fn whatever_is_altered_in_a_file_is_seen() {
    let saved = World::new().saved();
    let whole = serde_json::to_value(&saved).unwrap();
    let mut paths = Vec::new();
    leaves(&whole, "", &mut paths);
    assert!(paths.len() > 60);
    // These say how to make the plan anew, or are only shown.
    let others = ["/type", "/format_version", "/stack", "/file", "/goal", "/outputs"];
    for path in paths.iter().filter(|path| !others.iter().any(|other| path.starts_with(other))) {
        let mut altered = whole.clone();
        let place = altered.pointer_mut(path).unwrap();
        *place = match place.clone() {
            Value::Bool(flag) => (!flag).into(),
            Value::Number(_) => json!(77),
            other => format!("{}x", other.as_str().unwrap()).into(),
        };
        if let Ok(altered) = Saved::parse(&altered.to_string()) {
            assert!(!compare(&altered, &saved).is_empty(), "{path}");
        }
    }
}

#[test]
fn what_is_no_plan_is_refused() {
    let whole = World::new().saved().text().unwrap();
    let deep = format!("{{\"type\": \"{MARKER}\", \"format_version\": \"1.0\", \"x\": {}", "[".repeat(5_000));
    let bad = [
        String::new(),
        "{}".to_owned(),
        whole[..whole.len() / 2].to_owned(),
        whole.replacen("\"1.0\"", "\"2.1\"", 1),
        whole.replacen(MARKER, "note", 1),
        whole.replacen("\"resources\": [", "\"resources\": [{\"id\": 7},", 1),
        whole.replacen("\"action\": \"update\"", "\"action\": \"explode\"", 1),
        whole.replacen("\"account\"", "\"accounts\"", 1),
        deep,
    ];
    let lines: Vec<String> = bad.iter().map(|text| Saved::parse(text).unwrap_err()).collect();
    insta::assert_snapshot!(lines.join("\n"));
    let unknown = Saved::parse(&whole.replace("fake_stream", "fake_\\u001b[31m")).unwrap();
    assert_eq!(unknown.plan(&find).unwrap_err(), "`fake_\u{fffd}[31m` is no type of resource");
}

#[test]
fn a_later_minor_version_is_read() {
    let whole = World::new().saved().text().unwrap();
    let later = whole.replacen("\"1.0\",", "\"1.7\", \"mood\": \"good\",", 1);
    assert!(Saved::parse(&later).is_ok());
}

#[test]
fn texts_do_not_take_over_the_terminal() {
    let mut whole = serde_json::to_value(World::new().saved()).unwrap();
    for (path, text) in [
        ("/resources/0/id", "a\u{1b}[2J\nPlan: nothing"),
        ("/resources/0/step/name", "b\u{1b}]0;x\u{7}"),
        ("/resources/0/step/changes/0/path", "c\r\u{1b}[1A"),
        ("/resources/0/step/changes/0/after", "d\u{1b}[2J\u{9b}31m"),
        ("/resources/0/step/set_tags/owner", "e\u{1b}c"),
        ("/outputs/stream", "f\u{1b}[2J"),
        ("/stack", "g\u{1b}[2J"),
    ] {
        *whole.pointer_mut(path).unwrap() = text.into();
    }
    let saved = Saved::parse(&whole.to_string()).unwrap();
    let shown = text(&saved) + &saved.plan(&find).unwrap().stack;
    assert!(!shown.chars().any(|letter| letter.is_control() && letter != '\n'), "{shown:?}");
    assert!(!shown.contains("\nPlan: nothing"), "{shown}");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("a number", |number| serde_json::Number::from_f64(number).map(Value::Number)),
        ".{0,12}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(before in value(), after in value(), want in value(), word in ".{0,20}") {
        let mut saved = World::new().saved();
        saved.variables.insert(word.clone(), Given::Value(want.clone()));
        saved.goal.adopt = crate::plan::Adopt::Some(BTreeSet::from([word.clone()]));
        saved.outputs.insert(word.clone(), after.clone());
        let record = &mut saved.resources[0];
        record.step.physical = Some(word.clone());
        record.step.reasons = vec![Reason::Renamed { from: word.clone() }, Reason::CannotUpdate { paths: vec![word] }];
        record.step.changes = vec![Change { path: "p".into(), before, after, forces_replacement: true, sensitive: false }];
        record.step.want = want;
        let again = Saved::parse(&saved.text().unwrap()).unwrap();
        prop_assert_eq!(&again, &saved);
        prop_assert!(compare(&saved, &again).is_empty());
    }

    #[test]
    fn any_cut_and_change_of_a_plan_is_shown_or_refused(from in 0_usize..20_000, length in 0_usize..40, with in "[\\[\\]{}\",:0-9a-z\\\\ ]{0,8}") {
        let mut bytes = World::new().saved().text().unwrap().into_bytes();
        let from = from % bytes.len();
        let end = (from + length).min(bytes.len());
        bytes.splice(from..end, with.bytes());
        if let Ok(saved) = Saved::parse(&String::from_utf8_lossy(&bytes)) {
            let _ = saved.plan(&find).map(|plan| report::text(&plan, Paint::default()));
            let _ = compare(&saved, &World::new().saved());
        }
    }
}

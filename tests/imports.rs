//! The directions of imports: who may use whom inside the crate (one crate, so nothing else enforces it).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::sandbox::project;

/// Modules of the program and what each may import. Longest match first; a `::` names a part of a module.
const MAY_USE: &[(&str, &[&str])] = &[
    ("aws", &["diff", "kind"]),
    ("apply::event", &["apply::jobs", "kind"]),
    ("apply::jobs", &["graph", "plan"]),
    ("apply::queue", &[]),
    ("apply", &["apply", "aws", "diff", "graph", "kind", "live", "plan", "stack"]),
    ("checks", &["stack"]),
    ("cli", &[]),
    (
        "commands",
        &[
            "apply",
            "aws",
            "cli",
            "diff",
            "drift",
            "export",
            "failure",
            "graph",
            "kind",
            "kinds",
            "lease",
            "live",
            "local",
            "plan",
            "policy",
            "report",
            "send",
            "session",
            "stack",
            "terraform",
            "verify",
        ],
    ),
    ("diff", &["stack::reference"]),
    ("drift::who", &["aws", "drift", "kind"]),
    ("drift", &["aws::marks", "diff", "graph", "kind", "live", "plan", "stack"]),
    ("entry", &["cli", "commands", "failure", "report"]),
    ("export", &["aws::marks", "kind", "live", "stack"]),
    ("failure", &["kind"]),
    ("graph", &["stack"]),
    ("kind", &["aws", "diff"]),
    ("kinds", &["aws", "checks::sql", "kind", "kinds", "package"]),
    ("lease", &["aws", "kind"]),
    ("live", &["aws", "diff", "kind", "stack"]),
    ("local", &["local"]),
    ("package", &["stack::reference"]),
    ("plan::permits", &["kind", "kinds::policy", "live", "stack"]),
    ("plan", &["aws::marks", "diff", "graph", "kind", "live", "stack"]),
    ("policy", &["kind", "live", "stack"]),
    (
        "report",
        &[
            "apply::event",
            "apply::jobs",
            "aws::marks",
            "diff",
            "drift",
            "export",
            "kind",
            "lease::item",
            "plan",
            "stack::harmless",
            "stack::reference",
            "stack::secrets",
            "terraform",
            "verify",
        ],
    ),
    ("send", &["aws", "kind"]),
    ("session", &["aws", "failure", "kind", "local"]),
    ("stack::load", &["checks", "kind", "kinds"]),
    ("terraform", &["kind", "stack"]),
    ("verify", &["aws", "kind", "live", "stack"]),
    ("stack", &["diff", "kind"]),
];

/// Modules that touch AWS or wait; all others stay pure.
const IMPURE: &[&str] = &[
    "apply::run",
    "apply::step",
    "aws",
    "commands",
    "drift::who",
    "entry",
    "kinds",
    "lease::keep",
    "lease::store",
    "live",
    "local",
    "send::put",
    "session",
    "verify::canary",
    "verify::probe",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// Returns a source file's module, such as `apply::queue`, and its text without tests.
fn module(path: &Path) -> Option<(String, String)> {
    let inside = path.strip_prefix(project().join("src")).unwrap().with_extension("");
    let steps: Vec<&str> = inside.iter().map(|step| step.to_str().unwrap()).filter(|step| *step != "mod").collect();
    if steps.iter().any(|step| ["tests", "testing", "samples", "fake", "lib", "main"].contains(step)) {
        return None;
    }
    let text = fs_err::read_to_string(path).unwrap();
    let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = program.lines().filter(|line| !line.trim_start().starts_with("//"));
    Some((steps.join("::"), lines.collect::<Vec<_>>().join("\n")))
}

fn modules() -> Vec<(String, String)> {
    let mut files = Vec::new();
    sources(&project().join("src"), &mut files);
    assert!(files.len() > 100);
    files.iter().filter_map(|path| module(path)).collect()
}

/// Tells whether a path is a module or lies in it.
fn within(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Lists what a text takes from the crate: `apply::event`, or `live` for `crate::live::{self, Live}`.
fn imports(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        let path: String =
            rest.chars().take_while(|letter| letter.is_alphanumeric() || ":_".contains(*letter)).collect();
        let path = path.trim_end_matches(':').to_owned();
        let group = rest[path.len()..].strip_prefix("::{").and_then(|rest| rest.split('}').next());
        let members = group.into_iter().flat_map(|group| group.split(','));
        let mut members: Vec<_> = members.map(|member| format!("{path}::{}", member.trim())).collect();
        if members.is_empty() {
            members.push(path);
        }
        found.extend(members);
    }
    found
}

#[test]
fn imports_follow_the_table() {
    let mut wrong = Vec::new();
    for (name, text) in modules() {
        let row = MAY_USE.iter().filter(|(module, _)| within(&name, module)).max_by_key(|(module, _)| module.len());
        let Some((own, allowed)) = row else {
            wrong.push(format!("{name} is not in the table"));
            continue;
        };
        let top = own.split("::").next().unwrap_or_default();
        for used in imports(&text) {
            let inside = !own.contains("::") && within(&used, top);
            if !inside && !allowed.iter().any(|allowed| within(&used, allowed)) {
                wrong.push(format!("{name} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_the_edges_touch_aws_and_clocks() {
    let outside = ["tokio::", "aws_sdk_", "aws_config", "aws_smithy", "aws_types", "futures::", "async fn", "reqwest"];
    let mut wrong = Vec::new();
    for (name, text) in modules().iter().filter(|(name, _)| !IMPURE.iter().any(|module| within(name, module))) {
        // The traits of kinds are async; they wait for nothing themselves.
        let used = outside.iter().filter(|word| text.contains(**word)).filter(|_| !within(name, "kind"));
        wrong.extend(used.map(|word| format!("{name} uses {word}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_reports_write() {
    for (name, text) in modules() {
        let writes = ["stdout()", "stderr()"].iter().any(|word| text.contains(word));
        let checks_only = ["stdout().is_terminal", "stderr().is_terminal"].iter().any(|word| text.contains(word));
        assert!(!writes || checks_only || within(&name, "report"), "{name} writes by itself");
    }
}

//! How the program is built: one build of its dependencies has to serve the program and its tests.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::support::sandbox::project;

/// Returns the features of each package, once for each way in which it is built.
fn features(edges: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p}|{f}", "--edges", edges]);
    let output = command.current_dir(project()).output().unwrap();
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (package, features) = line.trim_end_matches(" (*)").split_once('|').unwrap();
        found.entry(package.to_owned()).or_default().insert(features.to_owned());
    }
    found
}

#[test]
fn tests_turn_on_no_features() {
    let (program, tests) = (features("normal,build"), features("normal,build,dev"));
    let differ = |(package, own): (&String, &BTreeSet<String>)| {
        let other = tests.get(package).filter(|other| *other != own)?;
        Some(format!("{package} has {own:?}, in tests {other:?}"))
    };
    let wrong: Vec<_> = program.iter().filter_map(differ).collect();
    assert!(program.len() > 200, "{}", program.len());
    let help = "add each to [dependencies] of Cargo.toml, under \"Not used by name\", with the features of the tests";
    assert!(wrong.is_empty(), "the AWS clients would be built twice; {help}:\n{}", wrong.join("\n"));
}

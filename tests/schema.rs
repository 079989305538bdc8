//! The published schema of stack files: current, itself valid, and of one mind with the loader.

use std::path::PathBuf;

use assert_cmd::Command;
use serde_json::Value;

const SCHEMA: &str = "stacks/stack.schema.json";

const REPORT: &str = "stacks/drift.schema.json";

fn printed(of: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stackctl"));
    let output = command.env_clear().args(["schema", "--of", of]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn committed() -> Value {
    serde_json::from_str(&fs_err::read_to_string(SCHEMA).unwrap()).unwrap()
}

fn stack_files() -> Vec<PathBuf> {
    let entries = fs_err::read_dir("stacks").unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    files.sort();
    files
}

fn problems(text: &str) -> Vec<String> {
    let value: Value = serde_yaml::from_str(text).unwrap();
    let validator = jsonschema::validator_for(&committed()).unwrap();
    validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn the_committed_schema_is_what_the_program_prints() {
    for (file, of) in [(SCHEMA, "stack"), (REPORT, "drift")] {
        let same = fs_err::read_to_string(file).unwrap() == printed(of);
        assert!(same, "{file} is not what the program prints; refresh it with: cargo run -- schema --of {of} > {file}");
    }
}

#[test]
fn the_schema_is_valid_draft_2020_12() {
    for file in [SCHEMA, REPORT] {
        let schema: Value = serde_json::from_str(&fs_err::read_to_string(file).unwrap()).unwrap();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        is_valid(&schema);
    }
}

fn is_valid(schema: &Value) {
    if let Err(error) = jsonschema::draft202012::meta::validate(schema) {
        panic!("{}: {error}", error.instance_path());
    }
}

#[test]
fn every_kind_has_a_schema() {
    let schema = committed();
    let text = schema.to_string();
    for kind in stackctl::kinds::KINDS {
        assert!(text.contains(&format!("\"const\":\"{}\"", kind.type_name())), "{}", kind.type_name());
    }
}

#[test]
fn the_stacks_of_this_repository_fit() {
    let files = stack_files();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let found = problems(&fs_err::read_to_string(&file).unwrap());
        assert!(found.is_empty(), "{}: {found:#?}", file.display());
    }
}

#[test]
fn an_unknown_field_does_not_fit() {
    let good = "stack: s\nresources:\n  a: {type: kinesis_stream, shard_count: 1}\n";
    assert_eq!(problems(good), Vec::<String>::new());
    for bad in [
        good.replace("shard_count", "shard_cuont"),
        good.replace("kinesis_stream", "kinesis_steam"),
        format!("{good}owner: me\n"),
    ] {
        assert!(!problems(&bad).is_empty(), "{bad}");
    }
}

//! JSON Schemas of other people's formats, read out of packages that carry them: nothing of them is kept here.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Says which package of the registry has SARIF's schema.
const MANIFEST: &str = "\
[package]
name = \"schemas\"
version = \"0.0.0\"
edition = \"2024\"

[dependencies]
serde-sarif = { version = \"=0.8.0\", default-features = false }

[workspace]
";

/// Returns the schema of GitHub's workflows.
pub(crate) fn github_workflow() -> Value {
    of_check_jsonschema("github-workflows")
}

/// Returns the schema of GitLab's pipelines.
pub(crate) fn gitlab_pipeline() -> Value {
    of_check_jsonschema("gitlab-ci")
}

fn of_check_jsonschema(name: &str) -> Value {
    let path = format!("builtin_schemas/vendor/{name}.json");
    let script = format!(
        "from importlib.resources import files\nprint((files('check_jsonschema') / '{path}').read_text(encoding='utf-8'))"
    );
    let output = Command::new(super::moto::python()).args(["-c", &script]).env("PYTHONUTF8", "1").output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns the schema of SARIF 2.1.0; the package is fetched once and not built.
pub(crate) fn sarif() -> Value {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemas");
    fs_err::create_dir_all(folder.join("src")).unwrap();
    fs_err::write(folder.join("Cargo.toml"), MANIFEST).unwrap();
    fs_err::write(folder.join("src/lib.rs"), "").unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ask = |flags: &[&str]| {
        Command::new(&cargo).args(["metadata", "--format-version", "1"]).args(flags).current_dir(&folder).output()
    };
    let known = ask(&["--offline"]).unwrap();
    let output = if known.status.success() { known } else { ask(&[]).unwrap() };
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "serde-sarif").unwrap();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    serde_json::from_str(&fs_err::read_to_string(manifest.with_file_name("src/schema.json")).unwrap()).unwrap()
}

//! What the documents name is there: tests, files and folders.

use regex::Regex;

use crate::support::sandbox::project;

const DOCUMENTS: [&str; 4] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];

fn text(path: &str) -> String {
    fs_err::read_to_string(project().join(path)).unwrap()
}

/// Tells whether an integration test of this name exists, in a module's file or folder.
fn is_test(path: &str) -> bool {
    let (module, name) = path.rsplit_once("::").unwrap();
    let module = module.replace("::", "/");
    let files = [format!("tests/{module}.rs"), format!("tests/{module}/mod.rs")];
    let files = files.iter().filter_map(|file| fs_err::read_to_string(project().join(file)).ok());
    let test = Regex::new(&format!(r"#\[test\]\n(?:#.*\n)*fn {name}\(")).unwrap();
    files.into_iter().any(|source| test.is_match(&source))
}

#[test]
fn every_test_that_a_promise_names_exists() {
    let readme = text("README.md");
    let table = readme.split("## What happens when").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 10, "{rows:?}");
    let name = Regex::new(r"`([a-z_]+(?:::[a-z_0-9]+)+)`").unwrap();
    for row in rows {
        let shown_by = row.rsplit('|').nth(1).unwrap();
        let names: Vec<&str> = name.captures_iter(shown_by).map(|found| found.get(1).unwrap().as_str()).collect();
        assert!(!names.is_empty(), "no test shows {row}");
        for name in names {
            assert!(is_test(name), "there is no test {name}");
        }
    }
}

#[test]
fn every_link_leads_somewhere() {
    let link = Regex::new(r"\]\(([^)#]+)(?:#[^)]*)?\)").unwrap();
    for document in DOCUMENTS {
        let text = text(document);
        let targets = link.captures_iter(&text).map(|found| found.get(1).unwrap().as_str().to_owned());
        for target in targets.filter(|target| !target.starts_with("http")) {
            assert!(project().join(&target).exists(), "{document} leads to {target}, which is not there");
        }
    }
}

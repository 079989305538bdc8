//! Bad stack files: each is refused with its places, quickly, without a panic.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use stackctl::stack::Report;
use stackctl::stack::load::{Inputs, load};

const FOLDER: &str = "tests/cli/bad_files";

/// Loads a file that must be refused; returns the report and the time it took.
fn refused(path: &Path) -> (Report, Duration) {
    let start = Instant::now();
    let report = load(path, &Inputs::default()).expect_err(&path.display().to_string());
    (report, start.elapsed())
}

fn files() -> Vec<PathBuf> {
    let entries = fs_err::read_dir(FOLDER).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| PathBuf::from(FOLDER).join(entry.file_name())).collect();
    files.sort();
    assert!(files.len() >= 30, "{} files in {FOLDER}", files.len());
    files
}

/// Files that are too large or too odd to be kept: their contents by name.
fn generated() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("two_megabytes.yaml", format!("stack: s\n{}", "# filler\n".repeat(250_000)).into_bytes()),
        ("brackets.yaml", "[".repeat(100_000).into_bytes()),
        ("closed_brackets.yaml", format!("stack: {}{}\n", "[".repeat(100_000), "]".repeat(100_000)).into_bytes()),
        ("braces.yaml", format!("stack: s\na: {}", "{a: ".repeat(100_000)).into_bytes()),
        ("dashes.yaml", "- ".repeat(100_000).into_bytes()),
        ("quotes.yaml", "\"".repeat(100_001).into_bytes()),
        ("questions.yaml", "? ".repeat(100_000).into_bytes()),
        ("junk.yaml", (0..50_000_u32).map(|seed| (seed.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
        ("nul.yaml", b"stack: s\nregion: a\0b\n".to_vec()),
        ("half_letter.yaml", b"stack: s\nregion: \xc3\n".to_vec()),
        ("one_long_line.yaml", format!("stack: {}\n", "x".repeat(900_000)).into_bytes()),
    ]
}

/// How long a refusal may take.
const LIMIT: Duration = Duration::from_secs(1);

#[test]
fn every_bad_file_is_told_with_its_places() {
    for path in files() {
        let (report, time) = refused(&path);
        assert!(time < Duration::from_secs(1), "{} took {time:?}", path.display());
        assert!(report.has_errors());
        let drawn = report.render(false, 110);
        for place in report.diagnostics() {
            assert!(place.line > 0 && place.column > 0 && place.file == path.to_string_lossy());
            let shown = format!("[{}:{}:{}]", place.file, place.line, place.column);
            assert!(drawn.contains(&shown), "{shown} is missing in\n{drawn}");
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        // The list of types grows with the registry.
        insta::with_settings!({filters => vec![(r"the types are (.|\n)*?\n\n", "the types are …\n\n")]}, {
            insta::assert_snapshot!(name, drawn);
        });
    }
}

#[test]
fn large_and_odd_files_are_refused_quickly() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for (name, bytes) in generated() {
        let path = dir.path().join(name);
        fs_err::write(&path, bytes).unwrap();
        let (report, first) = refused(&path);
        // A machine that is busy with other tests may be slow once, not every time.
        let again = || (0..4).map(|_| refused(&path).1).find(|time| *time < LIMIT);
        assert!(first < LIMIT || again().is_some(), "{name} took {first:?}");
        let drawn = report.render(false, 110);
        assert!(drawn.len() < 4_000, "{name}: {} bytes", drawn.len());
        assert!(!drawn.contains('\0'));
        for place in report.diagnostics() {
            all.push(format!("{name}:{}:{}: {}", place.line, place.column, place.message));
        }
    }
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn a_missing_file_and_a_folder_are_refused() {
    for (path, reason) in [("tests/no_such.yaml", "there is no such file"), ("tests", "it is a folder")] {
        let (report, _) = refused(Path::new(path));
        assert!(report.problems[0].message.contains(reason), "{}", report.problems[0].message);
    }
}

#[test]
fn the_command_exits_with_1_and_shows_the_place() {
    for path in files() {
        let output =
            Command::cargo_bin("stackctl").unwrap().arg("validate").arg(&path).env("NO_COLOR", "1").output().unwrap();
        let shown = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{}: {shown}", path.display());
        assert!(shown.contains(&format!("[{}:", path.display())), "{shown}");
        assert!(output.stdout.is_empty());
    }
}

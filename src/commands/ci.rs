//! What a report leaves behind for the CI system that runs the program. Knows where such things go, not what they say.

use std::io::Write;
use std::path::{Component, Path, PathBuf};

use crate::drift::Outcome;
use crate::report::{Screen, drift as report};

/// Variables by which CI systems tell where the repository is.
const ROOTS: [&str; 2] = ["GITHUB_WORKSPACE", "CI_PROJECT_DIR"];

/// Appends the summary and the outputs to the files of the GitHub Actions step, where there are any. A file that cannot
/// be written fails nothing: the check is what counts.
pub(super) fn leave(outcome: &Outcome, screen: &Screen) {
    if let Some(path) = file("GITHUB_STEP_SUMMARY") {
        let taken = fs_err::metadata(&path).map_or(0, |data| usize::try_from(data.len()).unwrap_or(usize::MAX));
        let text = report::markdown(outcome, report::SUMMARY.saturating_sub(taken));
        append(&path, &text, screen);
    }
    if let Some(path) = file("GITHUB_OUTPUT") {
        append(&path, &report::outputs(outcome), screen);
    }
}

fn file(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn append(path: &Path, text: &str, screen: &Screen) {
    let open = fs_err::OpenOptions::new().create(true).append(true).open(path);
    if let Err(error) = open.and_then(|mut file| file.write_all(screen.fit(text).as_bytes())) {
        screen.note(&format!("note: the step's file was not written: {error}\n"));
    }
}

/// Returns a file's path as the repository knows it, where a CI system tells which that is; else as it is.
pub(super) fn in_repository(path: &Path) -> PathBuf {
    let Ok(here) = std::env::current_dir() else { return path.to_owned() };
    let full = tidy(&here.join(path));
    let roots = ROOTS.iter().filter_map(|variable| file(variable));
    let mut inside = roots.chain([here]).filter_map(|root| full.strip_prefix(tidy(&root)).ok().map(Path::to_owned));
    inside.next().unwrap_or(full)
}

/// Takes `.` and `..` out of a path, without looking at the disk.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(tidy.pop()),
            other => tidy.push(other),
        }
    }
    tidy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_tidied() {
        assert_eq!(tidy(Path::new("/a/./b/../c.yaml")), Path::new("/a/c.yaml"));
        assert_eq!(in_repository(Path::new("./x/../stack.yaml")), Path::new("stack.yaml"));
        assert_eq!(in_repository(Path::new("/nowhere/stack.yaml")), Path::new("/nowhere/stack.yaml"));
    }
}

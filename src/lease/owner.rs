//! Which run this is, for people who find its lease: user, machine, process, job. Nothing of the stack's values.

use std::process::Command;

use super::item::Run;

/// Describes this process.
#[must_use]
pub fn this_run(operation: &str) -> Run {
    describe(operation, i64::from(std::process::id()), &host(), |name| std::env::var(name).ok())
}

fn describe(operation: &str, pid: i64, host: &str, environment: impl Fn(&str) -> Option<String>) -> Run {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    let user = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(set);
    Run {
        who: user.map_or_else(|| host.to_owned(), |user| format!("{user}@{host}")),
        host: host.to_owned(),
        pid,
        operation: operation.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        job: job(set),
    }
}

/// Returns the page of the CI job: GitHub's, GitLab's, or Jenkins's.
fn job(set: impl Fn(&str) -> Option<String>) -> Option<String> {
    let github = || {
        let (server, repository, run) = (set("GITHUB_SERVER_URL")?, set("GITHUB_REPOSITORY")?, set("GITHUB_RUN_ID")?);
        Some(format!("{server}/{repository}/actions/runs/{run}"))
    };
    github().or_else(|| set("CI_JOB_URL")).or_else(|| set("BUILD_URL"))
}

/// Returns the name of this machine.
fn host() -> String {
    let linux = || fs_err::read_to_string("/proc/sys/kernel/hostname").ok();
    let other = || {
        let printed = Command::new("uname").arg("-n").output().ok()?;
        String::from_utf8(printed.stdout).ok()
    };
    let name = linux().or_else(other).map(|name| name.trim().to_owned());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "an unknown machine".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(variables: &[(&str, &str)]) -> Run {
        describe("apply", 7, "ci-7", |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_run_is_known_by_user_machine_and_job() {
        let plain = on(&[("USER", ""), ("LOGNAME", "ann")]);
        assert_eq!((plain.who.as_str(), plain.pid, plain.job), ("ann@ci-7", 7, None));
        assert_eq!(on(&[]).who, "ci-7");
        let github = [
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "a/b"),
            ("GITHUB_RUN_ID", "12"),
            ("CI_JOB_URL", "https://ci/1"),
        ];
        assert_eq!(on(&github).job.as_deref(), Some("https://github.com/a/b/actions/runs/12"));
        assert_eq!(on(&github[3..]).job.as_deref(), Some("https://ci/1"));
        assert!(!host().contains('\n'));
    }
}

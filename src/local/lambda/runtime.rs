//! Which runtimes can be used for new functions in late 2026 (`facts/aws.md` 16.3).

use super::super::Fault;
use super::{constraint, invalid};

/// Runtimes that are accepted. Those deprecated on 30 June 2026 are among them: their block dates have been moved before.
const CURRENT: [&str; 25] = [
    "python3.10",
    "python3.11",
    "python3.12",
    "python3.13",
    "python3.14",
    "python3.15",
    "nodejs22.x",
    "nodejs24.x",
    "nodejs26.x",
    "java8.al2",
    "java8.al2023",
    "java11",
    "java11.al2023",
    "java17",
    "java17.al2023",
    "java21",
    "java25",
    "ruby3.2",
    "ruby3.3",
    "ruby3.4",
    "ruby4.0",
    "dotnet8",
    "dotnet10",
    "provided.al2",
    "provided.al2023",
];

/// Runtimes that can no longer be used, with what AWS recommends in their place.
const RETIRED: [(&str, &str); 28] = [
    ("python2.7", "python3.13"),
    ("python3.6", "python3.13"),
    ("python3.7", "python3.13"),
    ("python3.8", "python3.13"),
    ("python3.9", "python3.13"),
    ("nodejs", "nodejs22.x"),
    ("nodejs4.3", "nodejs22.x"),
    ("nodejs4.3-edge", "nodejs22.x"),
    ("nodejs6.10", "nodejs22.x"),
    ("nodejs8.10", "nodejs22.x"),
    ("nodejs10.x", "nodejs22.x"),
    ("nodejs12.x", "nodejs22.x"),
    ("nodejs14.x", "nodejs22.x"),
    ("nodejs16.x", "nodejs22.x"),
    ("nodejs18.x", "nodejs22.x"),
    ("nodejs20.x", "nodejs22.x"),
    ("java8", "java21"),
    ("dotnetcore1.0", "dotnet8"),
    ("dotnetcore2.0", "dotnet8"),
    ("dotnetcore2.1", "dotnet8"),
    ("dotnetcore3.1", "dotnet8"),
    ("dotnet5.0", "dotnet8"),
    ("dotnet6", "dotnet8"),
    ("dotnet7", "dotnet8"),
    ("go1.x", "provided.al2023"),
    ("ruby2.5", "ruby3.4"),
    ("ruby2.7", "ruby3.4"),
    ("provided", "provided.al2023"),
];

/// Refuses a runtime that is retired or unknown.
pub(super) fn check(name: &str) -> Result<(), Fault> {
    if let Some((_, better)) = RETIRED.iter().find(|(retired, _)| *retired == name) {
        return Err(invalid(format!(
            "The runtime parameter of {name} is no longer supported for creating or updating AWS Lambda functions. We recommend you use {better} while creating or updating functions."
        )));
    }
    if CURRENT.contains(&name) {
        return Ok(());
    }
    let rule = format!("Member must satisfy enum value set: [{}] or be a valid ARN", CURRENT.join(", "));
    let fault = constraint(&format!("Value {name} at 'runtime'"), &rule);
    Err(invalid(fault.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retired_runtimes_name_what_to_use() {
        let fault = check("python3.7").unwrap_err();
        assert_eq!(fault.code, "InvalidParameterValueException");
        let start = "The runtime parameter of python3.7 is no longer supported for creating or updating AWS Lambda functions. We recommend you use ";
        assert!(fault.message.starts_with(start), "{}", fault.message);
        assert!(check("nodejs18.x").is_err() && check("go1.x").is_err());
    }

    #[test]
    fn current_runtimes_pass_and_unknown_ones_do_not() {
        for name in ["python3.10", "python3.13", "nodejs22.x", "provided.al2023"] {
            assert!(check(name).is_ok(), "{name}");
        }
        assert!(check("python4").unwrap_err().message.contains("enum value set"));
    }
}

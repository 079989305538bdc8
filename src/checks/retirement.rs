//! The retirement of Kinesis Data Analytics for SQL, said plainly (`facts/aws.md` 15).

use crate::stack::{Problem, Stack};

use super::{of_kind, path_of};

/// Warns once, at the first application.
pub(super) fn check(stack: &Stack) -> Vec<Problem> {
    let first = of_kind(stack, "kinesis_analytics_application").next();
    first.map(|application| notice(&path_of(application, "type"))).into_iter().collect()
}

fn notice(path: &str) -> Problem {
    Problem::warning(
        path,
        "AWS has retired Kinesis Data Analytics for SQL: no new applications since 15 October 2025, and existing ones \
         are deleted since 27 January 2026",
    )
    .label("expect AWS to refuse this")
    .help(
        "the local cloud (`--local`) runs it in full; on AWS, move to Managed Service for Apache Flink, or, for a query \
         that only filters, to a filter on a Lambda event source mapping or an EventBridge pipe",
    )
}

#[cfg(test)]
mod tests {
    use crate::stack::fake;

    #[test]
    fn warns_once_and_only_when_there_is_an_application() {
        let two = "stack: s\nresources:\n  a: {type: kinesis_analytics_application}\n  b: {type: kinesis_analytics_application}\n";
        let warnings = fake::load(two).unwrap().warnings;
        assert_eq!(warnings.problems.len(), 1);
        assert!(!warnings.has_errors());
        insta::assert_snapshot!(warnings.render(false, 100));
        assert!(fake::load("stack: s\nresources: {a: {type: fake_stream}}\n").unwrap().warnings.is_empty());
    }
}

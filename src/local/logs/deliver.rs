//! Logs that a service writes in the name of a role: group and stream are made when the role may make them.

use crate::local::{Call, Fault, Tx, iam};

use super::event;
use super::group::{self, Group};
use super::stream::{self, Stream};

/// Writes lines with their times to a log stream; without the role's permission nothing is written, as on AWS.
/// Tells whether it was.
pub(crate) fn deliver(
    tx: &mut Tx<'_>,
    call: &Call,
    role: &str,
    (group, stream): (&str, &str),
    lines: &[(i64, String)],
) -> Result<bool, Fault> {
    let arn = call.arn("logs", &format!("log-group:{group}:log-stream:{stream}"));
    let may = |tx: &Tx<'_>, action: &str, arn: &str| iam::role_allows(tx, role, &format!("logs:{action}"), arn);
    if !group::exists(tx, group)? {
        let of_group = call.arn("logs", &format!("log-group:{group}:log-stream:"));
        if !may(tx, "CreateLogGroup", &of_group)? {
            return Ok(false);
        }
        Group::new(call, group).save(tx)?;
    }
    let mut into = match stream::find(tx, group, stream)? {
        Some(found) => found,
        None if may(tx, "CreateLogStream", &arn)? => Stream::new(call, group, stream),
        None => return Ok(false),
    };
    let allowed = may(tx, "PutLogEvents", &arn)?;
    if allowed && !lines.is_empty() {
        event::append(tx, &mut into, call.now, lines.iter().cloned())?;
    }
    into.save(tx)?;
    Ok(allowed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::local::logs::Logs;
    use crate::local::testing::Bench;

    fn delivered(actions: &[&str]) -> (bool, usize) {
        let bench = Bench::new();
        let role = bench.role("r", "lambda.amazonaws.com", actions);
        let line = [(bench.now.get(), "one".to_owned())];
        let done = bench.inside(|tx, call| deliver(tx, call, &role, ("/aws/lambda/f", "s"), &line));
        let groups = bench.json(&Logs, "DescribeLogGroups", json!({})).unwrap();
        (done, groups["logGroups"].as_array().unwrap().len())
    }

    #[test]
    fn a_role_needs_each_of_the_three_permissions() {
        let (group, stream, events) = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents");
        assert_eq!(delivered(&[group, stream, events]), (true, 1));
        assert_eq!(delivered(&[stream, events]), (false, 0));
        assert_eq!(delivered(&[group, events]), (false, 1));
        assert_eq!(delivered(&[group, stream]), (false, 1));
    }
}

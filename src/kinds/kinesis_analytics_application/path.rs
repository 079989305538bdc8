//! The hops of an application, and whether each output is bound to a stream that the SQL makes.

use super::spec::{Endpoint, Spec};
use crate::checks::sql::{Name, read};
use crate::kind::{Check, Demand, End, Holder, Hop, Side};

/// The stream in which the service itself puts records that cannot be processed.
const ERROR_STREAM: &str = "error_stream";

const OUTPUT: &str = "output ";

/// What reading a stream takes of the application's role (developer guide, "Granting access to streaming sources").
const READ: &[&str] = &["kinesis:DescribeStream", "kinesis:GetShardIterator", "kinesis:GetRecords"];

/// Of what delivers rows, whatever the destination is, one will do.
const DELIVER: &[&str] = &[
    "kinesis:PutRecord",
    "kinesis:PutRecords",
    "firehose:PutRecord",
    "firehose:PutRecordBatch",
    "lambda:InvokeFunction",
];

/// Who takes on an application's roles.
pub(super) const SERVICE: &str = "kinesisanalytics.amazonaws.com";

/// Lists where rows come from and where they go.
pub(super) fn hops(spec: &Spec) -> Vec<Hop> {
    let named = |endpoint: &Endpoint| Holder::Named(endpoint.role_arn.clone());
    let inputs = spec.inputs.iter().flat_map(|input| {
        let by = format!("input {}", input.name_prefix);
        let stream = input.kinesis_streams_input.iter();
        stream.map(move |from| {
            Hop::new(End::other(&from.resource_arn), End::Own, by.clone()).needs(named(from), Side::From, READ)
        })
    });
    let outputs = spec.outputs.iter().flat_map(|output| {
        let by = format!("{OUTPUT}{}", output.name);
        output
            .destinations()
            .into_iter()
            .map(move |to| Hop::new(End::Own, End::other(&to.resource_arn), by.clone()).needs(named(to), Side::To, &[]))
    });
    inputs.chain(outputs).collect()
}

/// Lists what AWS tries with the roles that it is given.
pub(super) fn demands(spec: &Spec) -> Vec<Demand> {
    let sources = spec.inputs.iter().filter_map(|input| input.kinesis_streams_input.as_ref());
    let read = sources.flat_map(|from| {
        let access = |action| Demand::access(&from.role_arn, std::slice::from_ref(action), &from.resource_arn);
        std::iter::once(Demand::trust(&from.role_arn, SERVICE)).chain(READ.iter().map(access))
    });
    let written =
        spec.outputs.iter().flat_map(|output| output.destinations()).flat_map(|to| {
            [Demand::trust(&to.role_arn, SERVICE), Demand::access(&to.role_arn, DELIVER, &to.resource_arn)]
        });
    read.chain(written).collect()
}

/// Checks the name of an output: AWS accepts any, and delivers nothing from a stream that is not there
/// (`facts/aws.md` 2.8).
pub(super) fn binding(hop: &Hop, spec: &Spec) -> Option<Check> {
    let name = hop.by.strip_prefix(OUTPUT).filter(|name| *name != ERROR_STREAM)?;
    let script = read(&spec.application_code);
    let has = |names: &[Name]| names.iter().any(|found| found.text == name);
    if !has(&script.streams) {
        let made: Vec<String> = script.streams.iter().map(|stream| format!("`{}`", stream.text)).collect();
        let made = if made.is_empty() { "no stream".to_owned() } else { made.join(", ") };
        let text = format!("the output is named `{name}`, which the SQL does not create: it creates {made}");
        let help = "name the output after the in-application stream, and run `stackctl apply`";
        return Some(Check::failed(text).help(help));
    }
    if !has(&script.targets) {
        let text = format!("nothing fills `{name}`: the SQL creates it, but no pump inserts into it");
        return Some(Check::failed(text).help(format!("add a pump with `INSERT INTO \"{name}\"`")));
    }
    Some(Check::ok(format!("`{name}` is a stream that the SQL creates and fills")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::State;

    fn bound(name: &str) -> Check {
        let code = "CREATE STREAM \"A\" (x INT);\nCREATE STREAM \"B\" (x INT);\n\
                    CREATE PUMP p AS INSERT INTO \"A\" SELECT STREAM x FROM \"IN_001\";";
        let spec = Spec { application_code: code.to_owned(), ..Spec::default() };
        binding(&Hop::new(End::Own, End::other("x"), format!("output {name}")), &spec).unwrap()
    }

    #[test]
    fn an_output_delivers_what_the_sql_makes() {
        assert_eq!(bound("A").state, State::Ok);
        let unbound = bound("IN_APP_STREAM");
        assert_eq!(unbound.state, State::Failed);
        assert!(unbound.reason.contains("it creates `A`, `B`"), "{}", unbound.reason);
        assert!(bound("B").reason.starts_with("nothing fills `B`"));
        assert_eq!(binding(&Hop::new(End::other("x"), End::Own, "input IN"), &Spec::default()), None);
        assert_eq!(binding(&Hop::new(End::Own, End::other("x"), "output error_stream"), &Spec::default()), None);
    }
}

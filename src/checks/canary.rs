//! Whether the canary of `verify:` names resources that can carry it.

use crate::stack::{Problem, Stack, suggest};

/// What each field names.
const KINDS: [(&str, &str); 4] = [
    ("verify.canary.stream", "kinesis_stream"),
    ("verify.canary.table.id", "dynamodb_table"),
    ("verify.canary.output.id", "kinesis_stream"),
    ("verify.canary.message.id", "lambda_function"),
];

/// Checks every id of the section.
pub(super) fn check(stack: &Stack) -> Vec<Problem> {
    let ids = stack.canary.iter().flat_map(|canary| canary.ids());
    ids.filter_map(|(path, id)| problem(stack, path, id)).collect()
}

fn problem(stack: &Stack, path: &str, id: &str) -> Option<Problem> {
    let wanted = KINDS.iter().find(|(field, _)| *field == path).map_or("", |(_, kind)| kind);
    let kind = stack.resources.get(id).map(|resource| resource.kind.type_name());
    if kind == Some(wanted) {
        return None;
    }
    let fitting = stack.resources.values().filter(|resource| resource.kind.type_name() == wanted);
    let problem = match kind {
        Some(kind) => Problem::error(path, format!("`{id}` has type {kind}, and this takes type {wanted}")),
        None => Problem::error(path, format!("there is no resource `{id}`")).label("unknown resource"),
    };
    Some(problem.maybe_help(suggest::help(id, fitting.map(|resource| resource.id.as_str()))))
}

#[cfg(test)]
mod tests {
    use crate::stack::fake;

    fn file(canary: &str) -> String {
        format!(
            "stack: s\nresources: {{orders: {{type: kinesis_stream}}, app: {{type: ec2_instance}}}}\nverify: {{canary: {canary}}}\n"
        )
    }

    #[test]
    fn a_canary_names_what_can_carry_it() {
        let good = file(
            "{stream: orders, record: {id: '${canary.id}', cost: '1.${canary.digits}'}, output: {id: orders, record: {}}}",
        );
        let stack = fake::load(&good).unwrap().stack;
        assert_eq!(stack.canary.unwrap().stream, "orders");
        let bad = [
            "{stream: order, record: {}}",
            "{stream: app, record: {}}",
            "{stream: orders, record: {a: '${canary.idd}'}}",
            "{stream: orders, record: {a: '${orders.arn}'}}",
            "{stream: orders}",
            "{stream: orders, record: {}, tabel: {}}",
        ];
        let told: Vec<String> = bad.iter().map(|canary| fake::messages(&file(canary))).collect();
        insta::assert_snapshot!(told.join("\n"));
    }
}

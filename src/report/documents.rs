//! Plans as JSON and Markdown documents.

use serde_json::{Value, json};

use super::drift::code;
use super::values::tags_of;
use super::{MASK, Paint, plan as text_report};
use crate::diff::{Change, Fields, is_unknown};
use crate::plan::{Action, Plan, Step};

/// Version of the JSON documents. A new minor number adds fields; a new major number changes or removes some.
pub const FORMAT_VERSION: &str = "1.0";

/// Longest Markdown that fits a comment of the usual code hosts.
const MARKDOWN_LIMIT: usize = 65_000;

/// Returns a plan as a JSON document.
#[must_use]
pub fn plan_json(plan: &Plan) -> Value {
    json!({
        "format_version": FORMAT_VERSION,
        "stack": plan.stack,
        "region": plan.region,
        "account": plan.account,
        "resource_changes": plan.steps.iter().map(step_json).collect::<Vec<_>>(),
        "summary": plan.counts(),
        "blocked": plan.blocked,
        "outputs": plan.outputs,
    })
}

/// Returns one step as JSON, as plan documents and `planned_change` events show it.
#[must_use]
pub fn step_json(step: &Step) -> Value {
    json!({
        "id": step.id,
        "type": step.kind.type_name(),
        "name": step.name,
        "physical_id": step.physical,
        "action": step.action,
        "reasons": step.reasons,
        "changes": step.changes.iter().map(|change| change_json(change, step.kind.fields())).collect::<Vec<_>>(),
        "set_tags": tags_of(step),
        "remove_tags": step.remove_tags,
    })
}

fn change_json(change: &Change, facts: &Fields) -> Value {
    let unknown = is_unknown(&change.after);
    let shown = |value: &Value| match change.sensitive && !value.is_null() {
        true => MASK.into(),
        false => facts.masked(&change.path, value),
    };
    json!({
        "path": change.path,
        "before": shown(&change.before),
        "after": if unknown { Value::Null } else { shown(&change.after) },
        "after_unknown": unknown,
        "forces_replacement": change.forces_replacement,
        "sensitive": change.sensitive,
    })
}

/// Returns a plan as Markdown for a pull request: a table, and the whole text folded away.
#[must_use]
pub fn plan_markdown(plan: &Plan) -> String {
    let closing = text_report::closing(plan, Paint::default());
    let mut out =
        format!("### stackctl plan: {} in {}\n\n**{}**\n", code(&plan.stack), plan.region, closing.trim_end());
    for blocked in &plan.blocked {
        let said = [&blocked.id, &blocked.message, &blocked.help].map(|text| code(text));
        out.push_str(&format!("\n> **Error** {}: {} ({})\n", said[0], said[1], said[2]));
    }
    if plan.is_empty() {
        return out;
    }
    out.push_str("\n| | resource | action |\n|---|---|---|\n");
    for step in plan.active() {
        out.push_str(&format!(
            "| `{}` | {} | {} |\n",
            step.action.symbol(),
            code(&format!("{}.{}", step.kind.type_name(), step.id)),
            action_word(step.action)
        ));
    }
    let details = text_report::text(plan, Paint::default()).replace("```", "'''");
    let room = MARKDOWN_LIMIT.saturating_sub(out.len() + 200);
    let mut used = 0;
    let fits = |line: &&str| {
        used += line.len();
        used <= room
    };
    let cut: String = details.split_inclusive('\n').take_while(fits).collect();
    let note = if cut.len() < details.len() { "… cut: run `stackctl plan` to see the rest" } else { "" };
    out.push_str(&format!("\n<details><summary>Details</summary>\n\n```diff\n{cut}{note}\n```\n\n</details>\n"));
    out
}

/// Names an action in words.
#[must_use]
pub fn action_word(action: Action) -> &'static str {
    match action {
        Action::NoOp => "none",
        Action::Create => "create",
        Action::Update => "update in place",
        Action::DeleteCreate | Action::CreateDelete => "replace",
        Action::Delete => "destroy",
        Action::Leave => "leave in AWS",
    }
}

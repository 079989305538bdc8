//! A plan as text, in the words and signs that Terraform's users know.

use super::values::{change, fields, tags_of};
use super::{MASK, Paint, line, safe};
use crate::plan::{Action, Blocked, Plan, Reason, Step};

/// Shows a plan: every step that does something, then the counts.
#[must_use]
pub fn text(plan: &Plan, paint: Paint) -> String {
    let mut out = String::new();
    for step in plan.active() {
        out.push_str(&step_text(step, paint));
        out.push('\n');
    }
    out.push_str(&outputs(plan, paint));
    out.push_str(&blocked(&plan.blocked, paint));
    if plan.blocked.is_empty() {
        out.push_str(&closing(plan, paint));
    }
    out
}

/// Returns the last line: `Plan: …` or `No changes.`
#[must_use]
pub fn closing(plan: &Plan, paint: Paint) -> String {
    if plan.is_empty() {
        return paint.bold("No changes.") + "\n";
    }
    let counts = plan.counts();
    let leave = if counts.leave == 0 { String::new() } else { format!(" {} left in AWS.", counts.leave) };
    format!(
        "{} {} to add, {} to change, {} to destroy.{leave}\n",
        paint.bold("Plan:"),
        counts.add,
        counts.change,
        counts.destroy
    )
}

/// Shows what is in the way of a plan.
#[must_use]
pub fn blocked(blocked: &[Blocked], paint: Paint) -> String {
    let one = |blocked: &Blocked| {
        format!(
            "{} {}: {}\n  help: {}\n",
            paint.red("error:"),
            line(&blocked.id),
            safe(&blocked.message),
            safe(&blocked.help)
        )
    };
    blocked.iter().map(one).collect()
}

fn step_text(step: &Step, paint: Paint) -> String {
    let sign = colored(step.action, paint);
    let title = paint.bold(&line(&format!("{}.{}", step.kind.type_name(), step.id)));
    let mut out = format!("  {sign} {title}{}{}\n", name(step), why(step));
    match step.action {
        Action::Create => out.push_str(&body(step, paint)),
        Action::Delete | Action::Leave | Action::NoOp => {}
        _ => step.changes.iter().for_each(|item| out.push_str(&change(item, step.kind.fields(), 6, paint))),
    }
    if step.action == Action::Update {
        out.push_str(&tags(step, paint));
    }
    out
}

fn colored(action: Action, paint: Paint) -> String {
    let symbol = action.symbol();
    match action {
        Action::Create => paint.green(symbol),
        Action::Update => paint.yellow(symbol),
        Action::Delete | Action::DeleteCreate | Action::CreateDelete => paint.red(symbol),
        Action::NoOp | Action::Leave => symbol.to_owned(),
    }
}

fn name(step: &Step) -> String {
    match &step.physical {
        Some(physical) if *physical != step.id => format!(" [{}]", line(physical)),
        None if step.name != step.id => format!(" [{}]", line(&step.name)),
        _ => String::new(),
    }
}

fn why(step: &Step) -> String {
    let texts: Vec<_> = step.reasons.iter().filter_map(|reason| reason_text(reason, step.action)).collect();
    if texts.is_empty() { String::new() } else { format!("  # {}", line(&texts.join("; "))) }
}

fn reason_text(reason: &Reason, action: Action) -> Option<String> {
    Some(match reason {
        Reason::Missing | Reason::Pending | Reason::Destroyed => return None,
        Reason::Drift => "drift: changed in AWS since the last apply".to_owned(),
        Reason::Tags => "tags only".to_owned(),
        Reason::CannotUpdate { paths } => {
            format!("{} cannot be changed in place; {}", paths.join(", "), order(action))
        }
        Reason::Renamed { from } => format!("renamed from {from}; {}", order(action)),
        Reason::Moved { from } => format!("moved from {from}"),
        Reason::Undone { by } => format!("undone by the replacement of {by}"),
        Reason::Requested => "replacement requested".to_owned(),
        Reason::Adopted => "exists already; is taken over".to_owned(),
        Reason::Astray => {
            "not on the stack's IAM path: once it leaves the file it will not be found, so destroy or delete it first"
                .to_owned()
        }
        Reason::Undeclared { parent } => format!("not in the file, and hangs on {parent}"),
        Reason::Removed => "no longer in the file".to_owned(),
        Reason::Retained => "retained: stays in AWS, no longer part of the stack".to_owned(),
    })
}

fn order(action: Action) -> &'static str {
    if action == Action::CreateDelete { "the new one is made first" } else { "the old one is deleted first" }
}

fn body(step: &Step, paint: Paint) -> String {
    let facts = &step.kind.fields().hiding(&step.hidden);
    let mut want = facts.masked("", &step.want);
    if let Some(map) = want.as_object_mut() {
        map.retain(|name, _| !facts.is_source(name));
    }
    let mut out = fields(&want, 6, &paint.green("+"));
    let user = |key: &&String| !key.starts_with(crate::aws::marks::PREFIX);
    let tags: Vec<_> = tags_of(step)
        .into_iter()
        .filter(|(key, _)| user(&key))
        .map(|(key, value)| format!("{}: {:?}", line(&key), safe(&value)))
        .collect();
    if !tags.is_empty() {
        out.push_str(&format!("      {} tags = {{{}}}\n", paint.green("+"), tags.join(", ")));
    }
    out
}

fn tags(step: &Step, paint: Paint) -> String {
    let before = |key: &String| step.found.as_ref().and_then(|found| found.tags.get(key));
    let mut out = String::new();
    for (key, value) in &tags_of(step) {
        let (name, value) = (line(key), safe(value));
        out.push_str(&match before(key).map(|before| if value == MASK { MASK } else { before }) {
            Some(before) => format!("      {} tags.{name}: {:?} -> {value:?}\n", paint.yellow("~"), safe(before)),
            None => format!("      {} tags.{name} = {value:?}\n", paint.green("+")),
        });
    }
    for key in &step.remove_tags {
        out.push_str(&format!("      {} tags.{}\n", paint.red("-"), line(key)));
    }
    out
}

fn outputs(plan: &Plan, paint: Paint) -> String {
    if plan.outputs.is_empty() || plan.is_empty() {
        return String::new();
    }
    let shown =
        |(name, value): (&String, &serde_json::Value)| format!("  {} = {}\n", line(name), super::values::short(value));
    format!("{}\n{}\n", paint.bold("Outputs:"), plan.outputs.iter().map(shown).collect::<String>())
}

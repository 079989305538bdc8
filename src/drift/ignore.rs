//! Takes out of a report what the stack file tells the drift check to overlook. Nothing is lost: what is covered stays
//! in the report with the rule's reason, and rules that no longer hold or cover nothing are named.

use jiff::civil::Date;

use super::{Class, Entry, Finding, Ignored, Report};
use crate::stack::ignore::Rule;

/// Applies rules; `today` decides which of them still hold.
pub fn apply(report: &mut Report, rules: &[Rule], today: Date) {
    for rule in rules {
        if let Some(last) = rule.expires.filter(|last| *last < today) {
            report.expired.push(format!("{}: expired on {last}: {}", rule.subject(), rule.reason));
            continue;
        }
        let covered: usize = report.entries.iter_mut().map(|entry| cover(entry, rule)).sum();
        if covered == 0 {
            report.unused.push(format!("{}: {}", rule.subject(), rule.reason));
        }
    }
}

/// Sets aside what a rule covers of a resource, and counts it.
fn cover(entry: &mut Entry, rule: &Rule) -> usize {
    let is_covered = |finding: &Finding| rule.covers(&entry.id, finding.class.name(), &finding.path);
    let (covered, left): (Vec<_>, Vec<_>) = std::mem::take(&mut entry.findings).into_iter().partition(is_covered);
    let count = covered.len();
    entry.ignored.extend(covered.into_iter().map(|finding| Ignored {
        finding,
        reason: rule.reason.clone(),
        expires: rule.expires.map(|date| date.to_string()),
    }));
    entry.findings = left;
    // Findings stand with the most pressing first.
    entry.class = entry.findings.first().map_or(Class::InSync, |finding| finding.class);
    if entry.class == Class::InSync {
        entry.mend = None;
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::stack::ignore::CLASSES;

    fn finding(class: Class, path: &str) -> Finding {
        Finding { class, path: path.into(), wanted: Value::Null, live: 1.into(), note: None, line: Some(3) }
    }

    fn entry(id: &str, findings: Vec<Finding>) -> Entry {
        let class = findings.first().map_or(Class::InSync, |finding| finding.class);
        Entry {
            id: id.into(),
            kind: "kinesis_stream".into(),
            name: id.into(),
            physical_id: Some(id.into()),
            line: Some(2),
            class,
            findings,
            ignored: Vec::new(),
            halt: None,
            mend: Some("stackctl apply".into()),
            author: None,
        }
    }

    fn report(entries: Vec<Entry>) -> Report {
        Report {
            stack: "s".into(),
            file: "stack.yaml".into(),
            region: "us-east-1".into(),
            account: "123456789012".into(),
            entries,
            unread: Vec::new(),
            expired: Vec::new(),
            unused: Vec::new(),
        }
    }

    fn rule(resource: &str, path: Option<&str>, classes: &[&str], expires: Option<&str>) -> Rule {
        Rule {
            resource: resource.parse().unwrap(),
            path: path.map(Into::into),
            classes: classes.iter().map(|class| (*class).to_owned()).collect(),
            reason: "by hand".into(),
            expires: expires.map(|date| date.parse().unwrap()),
        }
    }

    fn today() -> Date {
        "2026-06-15".parse().unwrap()
    }

    fn sample() -> Report {
        let orders = vec![finding(Class::Drifted, "shard_count"), finding(Class::Pending, "tags.owner")];
        report(vec![
            entry("orders", orders),
            entry("audit", vec![finding(Class::Undeclared, "sns_subscription")]),
            entry("hidden", vec![finding(Class::Unreadable, "")]),
            entry("idle", Vec::new()),
        ])
    }

    #[test]
    fn what_is_covered_is_set_aside_and_the_class_is_that_of_the_rest() {
        let mut found = sample();
        apply(&mut found, &[rule("ord*", Some("shard_count"), &[], Some("2026-06-15"))], today());
        let orders = &found.entries[0];
        assert_eq!((orders.class, orders.findings.len(), orders.ignored.len()), (Class::Pending, 1, 1));
        assert_eq!(orders.ignored[0].expires.as_deref(), Some("2026-06-15"));
        assert!(orders.mend.is_some() && found.expired.is_empty() && found.unused.is_empty());
        apply(&mut found, &[rule("orders", Some("tags"), &["pending"], None)], today());
        assert_eq!((found.entries[0].class, found.entries[0].mend.as_deref()), (Class::InSync, None));
        assert_eq!(found.ignored(), 2);
    }

    #[test]
    fn expired_and_idle_rules_are_told_and_cover_nothing() {
        let mut found = sample();
        let rules = [
            rule("orders", None, &[], Some("2026-06-14")),
            rule("orders", Some("retention_hours"), &[], None),
            rule("audit", None, &["drifted"], None),
            rule("hidden", None, &[], None),
        ];
        apply(&mut found, &rules, today());
        assert_eq!(found.expired, ["orders: expired on 2026-06-14: by hand"]);
        assert_eq!(found.unused, ["orders retention_hours: by hand", "audit: by hand", "hidden: by hand"]);
        assert_eq!((found.ignored(), found.is_complete()), (0, false));
    }

    #[test]
    fn rules_know_the_classes_there_are() {
        let known: Vec<&str> = Class::ALL.iter().map(|class| class.name()).collect();
        let kept: Vec<&str> = known.into_iter().filter(|name| !["unreadable", "in_sync"].contains(name)).collect();
        assert_eq!(kept, CLASSES);
    }

    proptest! {
        #[test]
        fn findings_are_moved_and_never_lost(
            resource in "[*]?[a-z]{1,2}[*?]?", path in proptest::option::of("[a-c*]"), class in 0..10_usize, before in 0..28_i8,
        ) {
            let mut found = sample();
            let count = |report: &Report| report.entries.iter().map(|entry| entry.findings.len()).sum::<usize>();
            let all = count(&found);
            let expires = format!("2026-06-{:02}", before + 1);
            let classes: Vec<&str> = CLASSES.get(class).copied().into_iter().collect();
            apply(&mut found, &[rule(&resource, path.as_deref(), &classes, Some(&expires))], today());
            prop_assert_eq!(count(&found) + found.ignored(), all);
            prop_assert!(!found.is_complete());
        }
    }
}

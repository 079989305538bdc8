//! What a policy document lacks for its use, told offline.
//!
//! Documents may still hold `${…}`; nothing here rejects a text that does.

use serde_json::{Map, Value};

use super::{ELEMENTS, PolicyDocument};
use crate::kind::Fault;

/// What a document is for: decides which elements a statement needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Attached to a role: says what its bearer may do, so it names no principal.
    Identity,
    /// Trust policy of a role: says who may take it on, so it names no resource.
    Trust,
    /// Attached to a resource: says who may do what with it.
    Resource,
}

impl PolicyDocument {
    /// Returns what is wrong with the document, at paths below `path`. Statements have no paths of their own, since
    /// they are no longer in the order of the file; they are told by their `Sid` or action.
    #[must_use]
    pub fn faults(&self, path: &str, purpose: Use) -> Vec<Fault> {
        let Value::Object(document) = self.value() else { return Vec::new() };
        let mut faults = Faults { purpose, found: Vec::new() };
        faults.document(path, document);
        faults.found
    }
}

struct Faults {
    purpose: Use,
    found: Vec<Fault>,
}

impl Faults {
    fn add(&mut self, path: &str, message: impl Into<String>, help: &str) {
        self.found.push(Fault::new(path, message).help(help));
    }

    fn document(&mut self, path: &str, document: &Map<String, Value>) {
        self.names(path, document, &["Version", "Id", "Statement"]);
        let version = document.get("Version").and_then(Value::as_str).unwrap_or_default();
        if !version.contains("${") && !["2012-10-17", "2008-10-17"].contains(&version) {
            let message = format!("there is no policy language of version {version:?}");
            self.add(&format!("{path}.Version"), message, "write Version: \"2012-10-17\"");
        }
        if self.purpose == Use::Identity && version == super::OLD_VERSION {
            let message = "IAM accepts a role's policy in version 2012-10-17 only";
            self.add(&format!("{path}.Version"), message, "write Version: \"2012-10-17\"");
        }
        self.letters(path, document);
        match document.get("Statement").and_then(Value::as_array) {
            Some(statements) if !statements.is_empty() => {
                for statement in statements {
                    self.statement(&format!("{path}.Statement"), statement);
                }
            }
            _ => self.add(path, "the policy has no statement", "add Statement: with at least one statement"),
        }
    }

    fn names(&mut self, path: &str, fields: &Map<String, Value>, known: &[&str]) {
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            let near = known.iter().find(|known| known.eq_ignore_ascii_case(name));
            let help = near.map_or_else(|| format!("one of {}", known.join(", ")), |near| format!("write {near}"));
            self.add(path, format!("unknown element {name}"), &help);
        }
    }

    /// IAM takes tab, line feed, carriage return and U+0020 to U+00FF (`facts/aws.md` 5.3).
    fn letters(&mut self, path: &str, document: &Map<String, Value>) {
        let text = Value::Object(document.clone()).to_string();
        let foreign = |letter: &char| !matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{ff}');
        if let Some(letter) = text.chars().find(foreign) {
            let message = format!("IAM does not accept the character {letter:?} in a policy");
            self.add(path, message, "use characters up to U+00FF only");
        }
    }

    fn statement(&mut self, path: &str, statement: &Value) {
        let Value::Object(fields) = statement else {
            return self.add(path, "a statement is a mapping", "write Effect, Action and so on below it");
        };
        let first = self.found.len();
        self.elements(path, fields);
        let label = label(fields);
        self.found[first..].iter_mut().for_each(|fault| fault.message = format!("{label}: {}", fault.message));
    }

    fn elements(&mut self, path: &str, fields: &Map<String, Value>) {
        self.names(path, fields, &ELEMENTS);
        self.effect(path, fields);
        self.one_of(path, fields, "Action", "NotAction");
        if self.purpose == Use::Identity {
            self.none_of(path, fields, &["Principal", "NotPrincipal"], "a policy of a role names no principal");
        } else {
            self.one_of(path, fields, "Principal", "NotPrincipal");
        }
        if self.purpose == Use::Trust {
            self.none_of(path, fields, &["Resource", "NotResource"], "a trust policy names no resource");
        } else {
            self.one_of(path, fields, "Resource", "NotResource");
        }
    }

    fn effect(&mut self, path: &str, fields: &Map<String, Value>) {
        let effect = fields.get("Effect").and_then(Value::as_str).unwrap_or_default();
        if !effect.contains("${") && !["Allow", "Deny"].contains(&effect) {
            let message = format!("Effect is {effect:?}, which is neither Allow nor Deny");
            self.add(path, message, "write Effect: Allow");
        }
    }

    fn one_of(&mut self, path: &str, fields: &Map<String, Value>, one: &str, other: &str) {
        match (fields.contains_key(one), fields.contains_key(other)) {
            (false, false) => self.add(path, format!("the statement has no {one}"), &format!("add {one}:")),
            (true, true) => {
                self.add(
                    path,
                    format!("the statement has both {one} and {other}"),
                    &format!("keep one of {one}, {other}"),
                );
            }
            _ => {}
        }
    }

    fn none_of(&mut self, path: &str, fields: &Map<String, Value>, names: &[&str], why: &str) {
        for name in names.iter().filter(|name| fields.contains_key(**name)) {
            self.add(path, format!("{name} is there, but {why}"), &format!("remove {name}"));
        }
    }
}

/// Names a statement as its author would look for it.
fn label(fields: &Map<String, Value>) -> String {
    let words = ["Sid", "Action", "NotAction", "Resource"].iter().find_map(|name| fields.get(*name));
    let words = match words {
        Some(Value::Array(several)) => several.first(),
        other => other,
    };
    words.and_then(Value::as_str).map_or_else(|| "a statement".to_owned(), |words| format!("statement {words}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn messages(purpose: Use, document: &Value) -> Vec<String> {
        let faults = PolicyDocument::from_value(document).unwrap().faults("policy", purpose);
        faults.into_iter().map(|fault| format!("{}: {}", fault.path, fault.message)).collect()
    }

    #[test]
    fn sound_documents_have_no_faults() {
        let identity = json!({"Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "${b.arn}"}});
        assert_eq!(messages(Use::Identity, &identity), [""; 0]);
        let trust = PolicyDocument::trusting(&["lambda.amazonaws.com".to_owned()].into());
        assert_eq!(trust.faults("", Use::Trust), []);
        assert_eq!(messages(Use::Identity, &json!("${x.policy}")), [""; 0]);
    }

    #[test]
    fn each_use_has_its_elements() {
        let both = json!({"Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": "*"}});
        assert_eq!(
            messages(Use::Identity, &both),
            ["policy.Statement: statement s3:*: Principal is there, but a policy of a role names no principal"]
        );
        assert_eq!(
            messages(Use::Trust, &both),
            ["policy.Statement: statement s3:*: Resource is there, but a trust policy names no resource"]
        );
        assert_eq!(messages(Use::Resource, &both), [""; 0]);
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let broken =
            json!({"version": "x", "Statement": [{"Effect": "allow", "NotAction": "s3:*", "Action": "ö€"}, 1]});
        let found = messages(Use::Identity, &broken);
        assert_eq!(found.len(), 7, "{found:#?}");
        assert!(found[0].ends_with("unknown element version"));
        assert!(found[1].contains("2012-10-17 only"));
        assert!(found[2].contains("'€'"));
    }

    #[test]
    fn empty_documents_and_versions_are_refused() {
        assert_eq!(messages(Use::Trust, &json!({})), ["policy: the policy has no statement"]);
        let found = messages(Use::Trust, &json!({"Version": "2020-01-01", "Statement": []}));
        assert!(found[0].contains("no policy language"), "{found:?}");
    }
}

//! A CloudFormation template and the list of what is to be imported into it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Export, Missing, own};
use crate::aws::marks;
use crate::kind::{Found, PARAMETER, TagForm, Tags, pascal_word};
use crate::live::Live;
use crate::stack::{Resource, Stack};

/// Template and list for `aws cloudformation create-change-set --change-set-type IMPORT`.
#[must_use]
pub fn cloudformation(stack: &Stack, live: &Live) -> Export {
    let mut export = Export::default();
    let mut template = Template::new(stack);
    for resource in stack.resources.values() {
        match template.add(live, resource) {
            Ok(()) => export.count += 1,
            Err(missing) => export.missing.push(missing),
        }
    }
    export.parameters = template.parameters.keys().cloned().collect();
    let list = format!("{:#}\n", Value::Array(std::mem::take(&mut template.imports)));
    export.files = vec![("template.json", format!("{:#}\n", template.document())), ("resources-to-import.json", list)];
    export
}

struct Template<'a> {
    stack: &'a Stack,
    taken: BTreeSet<String>,
    parameters: Map<String, Value>,
    resources: Map<String, Value>,
    imports: Vec<Value>,
}

impl<'a> Template<'a> {
    fn new(stack: &'a Stack) -> Self {
        Self { stack, taken: BTreeSet::new(), parameters: Map::new(), resources: Map::new(), imports: Vec::new() }
    }

    fn document(self) -> Value {
        let mut document = json!({
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": format!("What the stack {} of stackctl has in AWS", self.stack.name),
        });
        if !self.parameters.is_empty() {
            document["Parameters"] = self.parameters.into();
        }
        document["Resources"] = self.resources.into();
        document
    }

    fn add(&mut self, live: &Live, resource: &Resource) -> Result<(), Missing> {
        let found = own(self.stack, live, resource)?;
        let peer = resource.kind.peers().cloudformation;
        let peer = peer.ok_or_else(|| Missing::new(resource, "CloudFormation cannot import this type"))?;
        if let Some(reason) = (peer.refuses)(found) {
            return Err(Missing::new(resource, reason));
        }
        let mut properties = (peer.properties)(found);
        let (property, output) = peer.identifier;
        let identifier = match output {
            "" => Some(found.physical.clone()),
            output => found.outputs.get(output).and_then(Value::as_str).map(str::to_owned),
        };
        let identifier = identifier.ok_or_else(|| Missing::new(resource, "it has no identifier yet"))?;
        let id = self.logical_id(&resource.id);
        properties.extend(tags(&found.tags, peer.tags).map(|tags| ("Tags".to_owned(), tags)));
        let secrets = self.secrets(resource, found);
        let properties = self.open(&id, "", Value::Object(properties), &secrets);
        self.imports.push(json!({
            "ResourceType": peer.kind, "LogicalResourceId": id, "ResourceIdentifier": {property: identifier},
        }));
        let entry = json!({
            "Type": peer.kind, "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": properties,
        });
        self.resources.insert(id, entry);
        Ok(())
    }

    /// Returns an id of letters and digits, which is all that CloudFormation takes.
    fn logical_id(&mut self, id: &str) -> String {
        let word: String = pascal_word(&id.replace('-', "_")).chars().filter(char::is_ascii_alphanumeric).collect();
        let mut fresh = word.clone();
        let mut number = 2;
        while !self.taken.insert(fresh.clone()) {
            fresh = format!("{word}{number}");
            number += 1;
        }
        fresh
    }

    /// Lists the texts of an object that must not be written.
    fn secrets(&self, resource: &Resource, found: &Found) -> Vec<String> {
        let hidden = |path: &str| resource.hidden.contains(path) || resource.kind.fields().is_sensitive(path);
        let mut secrets = self.stack.secrets.clone();
        texts(&found.spec, "", &mut |path, text| {
            if hidden(path) && !text.is_empty() {
                secrets.push(text.to_owned());
            }
        });
        secrets
    }

    /// Puts parameters in the place of what the template cannot tell: what AWS does not, and secrets.
    fn open(&mut self, id: &str, path: &str, value: Value, secrets: &[String]) -> Value {
        match value {
            Value::String(text) if text.starts_with(PARAMETER) => {
                self.reference(&format!("{id}{}", text.trim_start_matches(PARAMETER)), id)
            }
            Value::String(text) if secrets.iter().any(|secret| !secret.is_empty() && text.contains(secret)) => {
                self.reference(&format!("{id}{path}"), id)
            }
            Value::Array(items) => {
                let item = |(index, item): (usize, Value)| self.open(id, &format!("{path}{index}"), item, secrets);
                items.into_iter().enumerate().map(item).collect()
            }
            Value::Object(map) => {
                let word = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
                let member = |(name, value): (String, Value)| {
                    let value = self.open(id, &format!("{path}{}", word(&name)), value, secrets);
                    (name, value)
                };
                map.into_iter().map(member).collect()
            }
            other => other,
        }
    }

    fn reference(&mut self, name: &str, id: &str) -> Value {
        let description = format!("Not told by AWS, or a secret: part of {id}");
        let declaration = json!({"Type": "String", "NoEcho": true, "Description": description});
        self.parameters.insert(name.to_owned(), declaration);
        json!({"Ref": name})
    }
}

fn texts(value: &Value, path: &str, see: &mut impl FnMut(&str, &str)) {
    let below = |step: &str| if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") };
    match value {
        Value::String(text) => see(path, text),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| texts(item, &below(&at.to_string()), see));
        }
        Value::Object(map) => map.iter().for_each(|(name, value)| texts(value, &below(name), see)),
        _ => {}
    }
}

/// Writes the user's own tags; the marks of this program go when it no longer looks after the object.
fn tags(tags: &Tags, form: TagForm) -> Option<Value> {
    let own: Vec<_> =
        tags.iter().filter(|(key, _)| !key.starts_with(marks::PREFIX) && !key.starts_with("aws:")).collect();
    let value: Value = match form {
        TagForm::None => return None,
        TagForm::List => own.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect(),
        TagForm::Map => own.iter().map(|(key, value)| ((*key).clone(), json!(value))).collect(),
    };
    (!own.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::parameter;
    use crate::stack::fake;

    #[test]
    fn secrets_and_gaps_become_parameters() {
        let stack = fake::load("stack: s\n").unwrap().stack;
        let mut template = Template::new(&stack);
        let value = json!({"Code": {"Key": parameter("CodeKey")}, "Env": {"a-b": "x hunter2"}, "List": ["plain"]});
        let opened = template.open("Fn", "", value, &["hunter2".to_owned()]);
        let wanted =
            json!({"Code": {"Key": {"Ref": "FnCodeKey"}}, "Env": {"a-b": {"Ref": "FnEnvab"}}, "List": ["plain"]});
        assert_eq!(opened, wanted);
        assert_eq!(template.parameters.keys().collect::<Vec<_>>(), ["FnCodeKey", "FnEnvab"]);
    }

    #[test]
    fn logical_ids_are_letters_and_digits_and_unique() {
        let stack = fake::load("stack: s\n").unwrap().stack;
        let mut template = Template::new(&stack);
        assert_eq!(["a_b", "a-b", "c1"].map(|id| template.logical_id(id)), ["AB", "AB2", "C1"]);
    }

    #[test]
    fn only_the_users_own_tags_are_written() {
        let all = Tags::from([
            ("env".into(), "dev".into()),
            ("stackctl:stack".into(), "s".into()),
            ("aws:x".into(), "1".into()),
        ]);
        assert_eq!(tags(&all, TagForm::List), Some(json!([{"Key": "env", "Value": "dev"}])));
        assert_eq!(tags(&all, TagForm::Map), Some(json!({"env": "dev"})));
        assert_eq!(tags(&Tags::new(), TagForm::List), None);
    }
}

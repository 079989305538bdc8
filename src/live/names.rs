//! What texts of specs stand for: a reference, an ARN or a name, turned into the id of a resource.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;

use super::{Live, predictions, wanted};
use crate::kind::{Outputs, Place};
use crate::stack::reference::{Reference, Segment, parse};
use crate::stack::{Resource, Stack};

/// Deepest chain of things that hand on a role, such as an instance profile.
const HANDS: usize = 3;

/// The names of a stack's resources, as far as they are known.
#[derive(Debug)]
pub struct Names<'a> {
    stack: &'a Stack,
    outputs: Cow<'a, BTreeMap<String, Outputs>>,
}

impl<'a> Names<'a> {
    /// Takes what can be predicted, and what was found instead where something was.
    #[must_use]
    pub fn of(stack: &'a Stack, place: &Place, live: &Live) -> Self {
        let mut outputs = predictions(stack, place);
        outputs.extend(live.found.iter().map(|(id, found)| (id.clone(), found.outputs.clone())));
        Self { stack, outputs: Cow::Owned(outputs) }
    }

    /// Takes outputs as they are known.
    #[must_use]
    pub fn known(stack: &'a Stack, outputs: &'a BTreeMap<String, Outputs>) -> Self {
        Self { stack, outputs: Cow::Borrowed(outputs) }
    }

    /// Returns a resource of the stack.
    #[must_use]
    pub fn resource(&self, id: &str) -> Option<&'a Resource> {
        self.stack.resources.get(id)
    }

    /// Returns what the file wants of a resource, with all that is known filled in.
    #[must_use]
    pub fn wanted(&self, place: &Place, resource: &Resource) -> Value {
        wanted(self.stack, place, resource, &self.outputs)
    }

    /// Returns an output of a resource.
    #[must_use]
    pub fn output(&self, id: &str, name: &str) -> Option<&str> {
        self.outputs.get(id)?.get(name)?.as_str()
    }

    /// Returns the ARN of an end: of a resource, or the end itself where it is an ARN.
    #[must_use]
    pub fn arn<'b>(&'b self, end: &'b str) -> Option<&'b str> {
        self.output(end, "arn").or_else(|| end.starts_with("arn:").then_some(end))
    }

    /// Finds the resource that a text of the file refers to, or whose ARN it is.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<&'a Resource> {
        let referred = parse(text).ok()?.into_iter().find_map(|segment| match segment {
            Segment::Reference(Reference::Output { id, .. }, _) => Some(id),
            _ => None,
        });
        match referred {
            Some(id) => self.resource(&id),
            None => self.stack.resources.values().find(|resource| self.output(&resource.id, "arn") == Some(text)),
        }
    }

    /// Tells whether a text that AWS gave means a resource: by ARN or by name.
    #[must_use]
    pub fn same(&self, text: &str, end: &str) -> bool {
        text == end || ["arn", "name"].iter().any(|output| self.output(end, output) == Some(text))
    }

    /// Returns the ARN of the role that a text stands for, through whatever hands it on.
    #[must_use]
    pub fn role(&self, text: &str) -> Option<String> {
        let mut text = text.to_owned();
        for _ in 0..HANDS {
            if text.contains(":role/") && !text.contains("${") {
                return Some(text);
            }
            let resource = self.find(&text).or_else(|| self.holder(&text))?;
            match resource.kind.role(&resource.spec) {
                Some(handed) => text = handed,
                None => return self.output(&resource.id, "arn").map(str::to_owned),
            }
        }
        None
    }

    /// Finds what hands on a role by its name.
    fn holder(&self, name: &str) -> Option<&'a Resource> {
        let fits = |resource: &&Resource| self.output(&resource.id, "name") == Some(name);
        self.stack.resources.values().filter(fits).find(|resource| resource.kind.role(&resource.spec).is_some())
    }

    /// Returns the line of `grants:` that allows a role of the stack an action on a place, with the role's id.
    #[must_use]
    pub fn grant(&self, role: &str, place: &str, action: &str) -> Option<(&'a str, String)> {
        let holder = self.stack.resources.keys().find(|id| self.output(id, "arn") == Some(role))?;
        let grants = self.resource(place)?.kind.grants();
        let grant = grants.iter().find(|grant| grant.actions.contains(&action))?;
        Some((holder, format!("{{{}: {place}}}", grant.verb)))
    }
}

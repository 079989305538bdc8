//! What must be there after a run, and what may be there after a disturbed one: told from the file alone.
//!
//! Knows nothing of plans, diffs and queues. A file is a few numbers a resource, so that proptest can make it smaller.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::cloud::{At, Object, Objects};
use crate::aws::marks;
use crate::kind::Tags;

/// Types, in the order of their deletion. The objects of the first have no names.
pub(super) const KINDS: [&str; 3] = ["part", "thing", "base"];

/// What stands with a resource besides its spec.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Extra {
    Tag,
    Protect,
    Retain,
    /// `when: false`.
    Off,
}

/// One resource of a random file.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) kind: usize,
    pub(super) name: u8,
    pub(super) value: u8,
    pub(super) fixed: bool,
    pub(super) refs: BTreeSet<usize>,
    pub(super) pin: Option<usize>,
    pub(super) after: Option<usize>,
    pub(super) extras: Vec<Extra>,
}

/// A random file: resources by number.
#[derive(Debug, Clone, Default)]
pub(super) struct File {
    pub(super) entries: BTreeMap<usize, Entry>,
    /// Resources refer to later ones instead of earlier ones.
    pub(super) flipped: bool,
}

/// What a run was for.
#[derive(Clone, Copy)]
pub(super) struct Aim<'a> {
    pub(super) file: &'a File,
    pub(super) destroy: bool,
}

pub(super) fn id_of(number: usize) -> String {
    format!("r{number}")
}

impl Entry {
    fn has(&self, extra: Extra) -> bool {
        self.extras.contains(&extra)
    }
}

fn number_of(id: &str) -> Option<usize> {
    id.strip_prefix('r')?.parse().ok()
}

impl File {
    /// Returns the file with the resources of another one in it, some of them in place of its own.
    pub(super) fn with(&self, other: &Self) -> Self {
        let (mut entries, flipped) = (self.entries.clone(), self.flipped);
        entries.extend(other.entries.clone());
        Self { entries, flipped }
    }

    /// Returns the resources that are not left out.
    pub(super) fn present(&self) -> impl Iterator<Item = (usize, &Entry)> {
        self.entries.iter().filter(|(_, entry)| !entry.has(Extra::Off)).map(|(number, entry)| (*number, entry))
    }

    pub(super) fn entry(&self, id: &str) -> Option<(usize, &Entry)> {
        let number = number_of(id)?;
        Some((number, self.entries.get(&number).filter(|entry| !entry.has(Extra::Off))?))
    }

    /// Returns the resource that an object stands for, unless it has become another type.
    pub(super) fn of(&self, kind: &str, id: &str) -> Option<(usize, &Entry)> {
        self.entry(id).filter(|(_, entry)| KINDS[entry.kind] == kind)
    }

    fn leads(&self, from: usize, to: usize) -> bool {
        (if self.flipped { to > from } else { to < from })
            && self.entries.get(&to).is_some_and(|entry| !entry.has(Extra::Off))
    }

    fn refs(&self, number: usize, entry: &Entry) -> Vec<usize> {
        entry.refs.iter().copied().filter(|to| self.leads(number, *to)).collect()
    }

    fn pin(&self, number: usize, entry: &Entry) -> Option<usize> {
        entry.pin.filter(|to| self.leads(number, *to))
    }

    fn after(&self, number: usize, entry: &Entry) -> Option<usize> {
        entry.after.filter(|to| self.leads(number, *to))
    }

    /// Tells whether one resource needs another, directly or not.
    pub(super) fn needs(&self, id: &str, other: &str) -> bool {
        let (Some((number, _)), Some(other)) = (self.entry(id), number_of(other)) else { return false };
        self.reaches(number, other)
    }

    fn reaches(&self, number: usize, other: usize) -> bool {
        let Some(entry) = self.entries.get(&number) else { return false };
        let others = self.pin(number, entry).into_iter().chain(self.after(number, entry));
        let mut direct = self.refs(number, entry).into_iter().chain(others);
        direct.any(|need| need == other || self.reaches(need, other))
    }

    /// Returns the file as a user would write it.
    pub(super) fn text(&self) -> String {
        let lines: String = self.entries.iter().map(|(number, entry)| self.line(*number, entry)).collect();
        if lines.is_empty() { "{}".to_owned() } else { lines }
    }

    fn line(&self, number: usize, entry: &Entry) -> String {
        let output = |to: usize| format!("'${{r{to}.id}}'");
        let refs: Vec<_> = self.refs(number, entry).into_iter().map(output).collect();
        let mut line = format!(
            "r{number}: {{type: {}, name: {}, value: v{}, fixed: {}, refs: [{}]",
            KINDS[entry.kind],
            name(number, entry),
            entry.value,
            fixed(entry),
            refs.join(", ")
        );
        let after = self.after(number, entry).map(|to| format!(", depends_on: [r{to}]"));
        line.extend(self.pin(number, entry).map(|to| format!(", pin: {}", output(to))).into_iter().chain(after));
        for (extra, text) in [
            (Extra::Tag, ", tags: {team: x}"),
            (Extra::Protect, ", protect: true"),
            (Extra::Retain, ", retain: true"),
            (Extra::Off, ", when: false"),
        ] {
            line.push_str(if entry.has(extra) { text } else { "" });
        }
        line + "}\n"
    }

    /// Tells whether an object has the values that the file wants of its resource; `owner` tells whose an identifier is.
    fn fits(&self, kind: &str, object: &Object, owner: &dyn Fn(&str) -> Option<String>) -> bool {
        let Some((number, entry)) = self.of(kind, id(object)) else { return false };
        let whose = |value: &Value| owner(value.as_str().unwrap_or_default());
        let refs: Option<Vec<_>> = object.spec["refs"].as_array().into_iter().flatten().map(whose).collect();
        let pin = if object.spec["pin"] == json!("") { Some(None) } else { whose(&object.spec["pin"]).map(Some) };
        // What has no name of its own has only a label, and keeps its first one.
        (entry.kind == 0 || object.name == name(number, entry))
            && object.spec["value"] == json!(format!("v{}", entry.value))
            && object.spec["fixed"] == json!(fixed(entry))
            && refs == Some(self.refs(number, entry).into_iter().map(id_of).collect())
            && pin == Some(self.pin(number, entry).map(id_of))
    }
}

pub(super) fn name(number: usize, entry: &Entry) -> String {
    format!("r{number}-{}", entry.name)
}

fn fixed(entry: &Entry) -> &'static str {
    if entry.fixed { "yes" } else { "no" }
}

pub(super) fn id(object: &Object) -> &str {
    marks::resource_of(&object.tags).unwrap_or_default()
}

pub(super) fn is_ours(object: &Object) -> bool {
    marks::stack_of(&object.tags) == Some("s")
}

/// Returns the tags that an object must have, apart from the mark of its spec.
fn tags(entry: &Entry, id: &str) -> Tags {
    let optional =
        [(Extra::Tag, "team", "x"), (Extra::Protect, marks::PROTECT, "true"), (Extra::Retain, marks::RETAIN, "true")];
    let set = optional.into_iter().filter(|(extra, ..)| entry.has(*extra)).map(|(_, key, value)| (key, value));
    let all = set.chain([(marks::STACK, "s"), (marks::RESOURCE, id)]);
    all.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn is_tagged(entry: &Entry, object: &Object) -> bool {
    object.tags.contains_key(marks::SPEC) && without(&object.tags, &[marks::SPEC]) == tags(entry, id(object))
}

fn without(tags: &Tags, keys: &[&str]) -> Tags {
    tags.iter()
        .filter(|(key, _)| !keys.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn ours(objects: &Objects) -> impl Iterator<Item = (&At, &Object)> {
    objects.iter().filter(|(_, object)| is_ours(object))
}

/// Tells whose an identifier is, by the objects that are there.
fn owner_among(objects: &Objects) -> impl Fn(&str) -> Option<String> {
    let owned = ours(objects).map(|((kind, _), object)| (format!("{kind}-{}", object.serial), id(object).to_owned()));
    let owned: BTreeMap<_, _> = owned.collect();
    move |identifier| owned.get(identifier).cloned()
}

impl Aim<'_> {
    /// Tells whether a run must not delete an object.
    pub(super) fn protects(self, kind: &str, object: &Object) -> bool {
        let marked = || marks::is_set(&object.tags, marks::PROTECT);
        self.file.of(kind, id(object)).map_or_else(marked, |(_, entry)| entry.has(Extra::Protect))
    }

    /// Tells whether a run is to leave an object in place and take its marks off.
    pub(super) fn leaves(self, kind: &str, object: &Object) -> bool {
        match self.file.of(kind, id(object)) {
            Some((_, entry)) => self.destroy && entry.has(Extra::Retain),
            None => marks::is_set(&object.tags, marks::RETAIN),
        }
    }

    /// Lists resources whose place is taken by something that is not the stack's.
    pub(super) fn obstacles(self, objects: &Objects) -> BTreeMap<String, At> {
        let at = |(number, entry): (usize, &Entry)| (id_of(number), (KINDS[entry.kind], name(number, entry)));
        let taken = |(_, at): &(String, At)| objects.get(at).is_some_and(|object| !is_ours(object));
        self.file.present().filter(|_| !self.destroy).map(at).filter(taken).collect()
    }

    /// Says what is wrong with what is there after an undisturbed run.
    pub(super) fn fault_of_end(self, before: &Objects, after: &Objects) -> Option<String> {
        let owner = owner_among(after);
        for ((kind, physical), object) in ours(after) {
            let entry = self.file.of(kind, id(object)).filter(|_| !self.destroy);
            if !entry.is_some_and(|(_, entry)| is_tagged(entry, object)) || !self.file.fits(kind, object, &owner) {
                return Some(format!("{kind} {physical} is not as wanted: {object:?}"));
            }
        }
        let ids: BTreeSet<_> = ours(after).map(|(_, object)| id(object)).collect();
        let wanted = if self.destroy { 0 } else { self.file.present().count() };
        if ids.len() != wanted || ours(after).count() != wanted {
            return Some(format!("{wanted} objects wanted, and there are {:?}", ours(after).collect::<Vec<_>>()));
        }
        let lost = |(at, object): &(&At, &Object)| self.leaves(at.0, object) && !after.contains_key(*at);
        ours(before).find(lost).map(|(at, _)| format!("{at:?} was to be left in place"))
    }
}

/// What a run did, for whoever looks at the objects only.
pub(super) struct Trace<'a> {
    pub(super) before: &'a Objects,
    pub(super) after: &'a Objects,
    /// Logical ids by the identifiers of all objects ever made.
    pub(super) made: &'a BTreeMap<String, String>,
    /// Whether somebody changed something by hand between the plan and its run.
    pub(super) meddled: bool,
}

impl Trace<'_> {
    /// Says what a run did that it must not do, however it was disturbed.
    pub(super) fn fault(&self, aim: Aim<'_>) -> Option<String> {
        let say = |what: &str, at: &At, object: &Object| Some(format!("{what}: {at:?} {object:?}"));
        for (at, old) in self.before {
            match self.after.get(at).filter(|new| new.serial == old.serial) {
                Some(new) if !is_ours(old) && new != old => return say("what is foreign was changed", at, new),
                Some(new) if !self.may_become(aim, at.0, old, new) => {
                    return say("neither as before nor as wanted", at, new);
                }
                None if !is_ours(old) => return say("what is foreign was deleted", at, old),
                None if aim.protects(at.0, old) => return say("what is protected was deleted", at, old),
                None if aim.leaves(at.0, old) => return say("what is retained was deleted", at, old),
                None if self.is_settled(aim, at.0, old) => return say("what is as wanted was deleted", at, old),
                _ => {}
            }
        }
        let fresh =
            self.after.iter().filter(|(at, new)| self.before.get(*at).is_none_or(|old| old.serial != new.serial));
        for (at, new) in fresh {
            let count =
                |objects: &Objects| ours(objects).filter(|(at, other)| (at.0, id(other)) == (at.0, id(new))).count();
            let tagged = aim.file.of(at.0, id(new)).is_some_and(|(_, entry)| is_tagged(entry, new));
            if !is_ours(new) || !tagged || !self.has_wanted(aim, at.0, new) {
                return say("made, and not as wanted", at, new);
            }
            if count(self.after) > count(self.before) + 1 {
                return say("made twice", at, new);
            }
        }
        None
    }

    fn has_wanted(&self, aim: Aim<'_>, kind: &str, object: &Object) -> bool {
        !aim.destroy && aim.file.fits(kind, object, &|identifier| self.made.get(identifier).cloned())
    }

    fn may_become(&self, aim: Aim<'_>, kind: &str, old: &Object, new: &Object) -> bool {
        if old == new {
            return true;
        }
        if !is_ours(new) {
            return aim.leaves(kind, old) && new.tags == without(&old.tags, marks::MARKS) && new.spec == old.spec;
        }
        let marked_anew = old.tags.get(marks::SPEC) != new.tags.get(marks::SPEC);
        let entry = aim.file.of(kind, id(new)).filter(|_| !aim.destroy);
        let wanted = self.has_wanted(aim, kind, new);
        (wanted || (old.spec == new.spec && (!marked_anew || self.meddled)))
            && (old.tags == new.tags || self.meddled || entry.is_some_and(|(_, entry)| is_tagged(entry, new)))
    }

    /// Tells whether an object was as wanted, and all that it needs, so that there was no reason to touch it.
    fn is_settled(&self, aim: Aim<'_>, kind: &str, object: &Object) -> bool {
        let owner = owner_among(self.before);
        let settled = |number: usize, entry: &Entry| {
            let mut all = ours(self.before).filter(|(_, object)| id(object) == id_of(number));
            let only = all.next().filter(|_| all.next().is_none());
            only.is_some_and(|((kind, _), object)| *kind == KINDS[entry.kind] && aim.file.fits(kind, object, &owner))
        };
        let needed =
            |(number, _): &(usize, &Entry)| id_of(*number) == id(object) || aim.file.needs(id(object), &id_of(*number));
        !aim.destroy
            && aim.file.of(kind, id(object)).is_some()
            && aim.file.present().filter(needed).all(|(number, entry)| settled(number, entry))
    }
}

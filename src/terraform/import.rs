//! From the objects of a state file to the sections of a stack file.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::ids;
use super::links::Links;
use super::secrets::Secrets;
use super::state::{Object, State};
use crate::kind::{AnyKind, Attributes, Draft, Files, Piece, Tagging, Terraform};
use crate::stack::reference::escape;
use crate::stack::write::{Entry, Sheet};

/// What the user says about the file to be made.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Name of the stack.
    pub stack: String,
    /// Puts before relative paths in the state file what makes them relative to the stack file.
    pub base: Option<String>,
}

/// What became of a state file.
#[derive(Debug, Clone, Default)]
pub struct Imported {
    /// The stack file.
    pub sheet: Sheet,
    /// What is not in it.
    pub unknown: Vec<Unknown>,
    /// What the user should know, by logical id.
    pub notes: Vec<(String, String)>,
    /// Objects that a name does not find, by logical id.
    pub adopt: Vec<(String, String)>,
    /// Number of data sources.
    pub data: usize,
    /// Values to be masked wherever they would show.
    pub secrets: Vec<String>,
}

/// An object that is not in the stack file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Its address.
    pub address: String,
    /// Its type.
    pub kind: String,
    /// Why not.
    pub reason: String,
}

/// An object with its kind.
struct Main<'a> {
    object: Object,
    kind: &'static dyn AnyKind,
    peer: Terraform,
    id: String,
    pieces: Vec<&'a Object>,
}

/// Makes a stack file of what a state file describes.
#[must_use]
pub fn import(mut state: State, kinds: &[&'static dyn AnyKind], options: &Options) -> Imported {
    let mut secrets = Secrets::default();
    for object in &mut state.objects {
        secrets.take(&mut object.attributes, &object.sensitive);
    }
    let mut sorted = Sorted::of(state.objects, kinds);
    let region = sorted.keep_one_region();
    let (mains, mut lost) = sorted.joined();
    let (mains, drafts) = readable(mains, &mut lost);
    let mut import = Import { secrets, links: links(&mains), ids: BTreeMap::new(), options, out: Imported::default() };
    import.ids = mains.iter().enumerate().map(|(index, main)| (index, main.id.clone())).collect();
    for (index, (main, draft)) in mains.iter().zip(drafts).enumerate() {
        import.object(index, main, draft);
    }
    let mut out = import.outputs(&state.outputs);
    let deposed = state.deposed.into_iter().map(|(address, kind)| Unknown {
        address,
        kind,
        reason: "it is left over from a replacement: let Terraform destroy it".to_owned(),
    });
    out.unknown.extend(lost.into_iter().chain(deposed));
    out.unknown.sort_by(|one, other| one.address.cmp(&other.address));
    out.data = state.data;
    out.sheet.accounts = account(&mains).into_iter().collect();
    out.sheet.region = region;
    out.sheet.stack.clone_from(&options.stack);
    share_tags(&mut out.sheet, kinds);
    out
}

/// Objects by what they are.
struct Sorted {
    mains: Vec<(Object, &'static dyn AnyKind, Terraform)>,
    pieces: Vec<Object>,
    unknown: Vec<Unknown>,
    kinds: Vec<Terraform>,
}

impl Sorted {
    fn of(objects: Vec<Object>, kinds: &[&'static dyn AnyKind]) -> Self {
        let peers: Vec<(&'static dyn AnyKind, Terraform)> =
            kinds.iter().filter_map(|kind| Some((*kind, kind.peers().terraform?))).collect();
        let mut sorted = Self {
            mains: Vec::new(),
            pieces: Vec::new(),
            unknown: Vec::new(),
            kinds: peers.iter().map(|peer| peer.1).collect(),
        };
        for object in objects {
            let main = peers.iter().find(|(_, peer)| peer.types.contains(&object.kind.as_str()));
            let is_piece = peers.iter().any(|(_, peer)| peer.parts.iter().any(|(kind, _)| *kind == object.kind));
            match main {
                Some((kind, peer)) => sorted.mains.push((object, *kind, *peer)),
                None if is_piece => sorted.pieces.push(object),
                None => sorted.refuse(&object, "this type is not known here"),
            }
        }
        // The order of the registry, so that files of all states look alike.
        let place = |kind: &dyn AnyKind| kinds.iter().position(|known| known.type_name() == kind.type_name());
        sorted.mains.sort_by_key(|(_, kind, _)| place(*kind));
        sorted
    }

    fn refuse(&mut self, object: &Object, reason: impl Into<String>) {
        self.unknown.push(unknown(object, reason));
    }

    /// Keeps what lies in the region of most, since a stack has one.
    fn keep_one_region(&mut self) -> Option<String> {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for region in self.mains.iter().filter_map(|(object, ..)| region_of(object)) {
            *counts.entry(region).or_default() += 1;
        }
        let (main, _) = counts.into_iter().max_by_key(|(name, count)| (*count, std::cmp::Reverse(name.clone())))?;
        let is_far = |object: &Object| region_of(object).is_some_and(|region| region != main);
        let (far, near) = std::mem::take(&mut self.mains).into_iter().partition(|(object, ..)| is_far(object));
        self.mains = near;
        for (object, ..) in far {
            let region = region_of(&object).unwrap_or_default();
            self.refuse(&object, format!("it lies in {region}: a stack has one region, here {main}"));
        }
        Some(main)
    }

    /// Gives ids, and to each object its parts.
    fn joined(&mut self) -> (Vec<Main<'_>>, Vec<Unknown>) {
        let words: Vec<(&[String], &str)> =
            self.mains.iter().map(|(object, kind, _)| (object.words.as_slice(), kind.type_name())).collect();
        let ids = ids::assign(&words);
        let mains = std::mem::take(&mut self.mains).into_iter().zip(ids);
        let mut mains: Vec<Main<'_>> =
            mains.map(|((object, kind, peer), id)| Main { object, kind, peer, id, pieces: Vec::new() }).collect();
        let mut lost = std::mem::take(&mut self.unknown);
        for piece in &self.pieces {
            if !attach(piece, &mut mains, &self.kinds) {
                lost.push(unknown(piece, "what it belongs to is not among what is known of this state file"));
            }
        }
        (mains, lost)
    }
}

/// Gives a part to all objects that it belongs to; tells whether there is any.
fn attach<'a>(piece: &'a Object, mains: &mut [Main<'a>], kinds: &[Terraform]) -> bool {
    let parts = kinds.iter().flat_map(|peer| peer.parts.iter().map(move |part| (peer, part)));
    let Some((peer, (_, owner))) = parts.into_iter().find(|(_, (kind, _))| *kind == piece.kind) else { return false };
    let from = Attributes(&piece.attributes);
    let owners: Vec<&str> = from.text(owner).into_iter().chain(from.texts(owner)).collect();
    let mut found = false;
    for main in mains.iter_mut().filter(|main| peer.types.contains(&main.object.kind.as_str())) {
        let own = Attributes(&main.object.attributes);
        let mut names = main.peer.outputs.iter().filter_map(|(_, attribute)| own.text(attribute));
        if names.any(|name| owners.contains(&name)) {
            main.pieces.push(piece);
            found = true;
        }
    }
    found
}

/// Reads the fields of all objects; what cannot be read is unknown with all its parts, before anything refers to it.
fn readable<'a>(mains: Vec<Main<'a>>, lost: &mut Vec<Unknown>) -> (Vec<Main<'a>>, Vec<Draft>) {
    let (mut kept, mut drafts) = (Vec::new(), Vec::new());
    for main in mains {
        match draft_of(&main) {
            Ok(draft) => {
                kept.push(main);
                drafts.push(draft);
            }
            Err(reason) => {
                lost.extend(main.pieces.iter().map(|piece| unknown(piece, "what it belongs to is not taken over")));
                lost.push(unknown(&main.object, reason));
            }
        }
    }
    (kept, drafts)
}

fn unknown(object: &Object, reason: impl Into<String>) -> Unknown {
    Unknown { address: object.address.clone(), kind: object.kind.clone(), reason: reason.into() }
}

fn draft_of(main: &Main<'_>) -> Result<Draft, String> {
    let pieces = main.pieces.iter();
    let pieces: Vec<Piece<'_>> =
        pieces.map(|piece| Piece { kind: &piece.kind, attributes: Attributes(&piece.attributes) }).collect();
    let mut draft = Draft::default();
    (main.peer.read)(Attributes(&main.object.attributes), &pieces, &mut draft);
    match draft.refused.take() {
        Some(reason) => Err(reason),
        None => Ok(draft),
    }
}

fn arn_of(object: &Object) -> Option<Vec<&str>> {
    let own = Attributes(&object.attributes);
    let arn = ["arn", "event_source_arn", "topic_arn"].iter().find_map(|name| own.text(name))?;
    Some(arn.splitn(6, ':').collect()).filter(|parts: &Vec<&str>| parts.len() == 6)
}

fn region_of(object: &Object) -> Option<String> {
    let region = Attributes(&object.attributes).text("region").or_else(|| arn_of(object).map(|arn| arn[3]));
    region.filter(|region| !region.is_empty()).map(str::to_owned)
}

/// Returns the account when all objects lie in one.
fn account(mains: &[Main<'_>]) -> Option<String> {
    let accounts: BTreeSet<&str> = mains.iter().filter_map(|main| arn_of(&main.object).map(|arn| arn[4])).collect();
    let mut accounts = accounts.into_iter();
    let first = accounts.next().filter(|one| one.len() == 12 && one.bytes().all(|byte| byte.is_ascii_digit()));
    first.filter(|_| accounts.next().is_none()).map(str::to_owned)
}

fn links(mains: &[Main<'_>]) -> Links {
    let mut links = Links::default();
    for (index, main) in mains.iter().enumerate() {
        let own = Attributes(&main.object.attributes);
        let mut seen = BTreeSet::new();
        for (output, attribute) in main.peer.outputs {
            if let Some(value) = own.text(attribute).filter(|_| seen.insert(output)) {
                links.value(value, index, output);
            }
        }
        if let Some(name) = own.text(main.peer.name) {
            links.name(main.kind.type_name(), name, index);
        }
    }
    links
}

/// The work on one object after the other.
struct Import<'a> {
    secrets: Secrets,
    links: Links,
    ids: BTreeMap<usize, String>,
    options: &'a Options,
    out: Imported,
}

impl Import<'_> {
    fn object(&mut self, index: usize, main: &Main<'_>, mut draft: Draft) {
        let own = Attributes(&main.object.attributes);
        self.move_paths(main, &mut draft);
        prune(main.kind, &mut draft.fields);
        let fields = self.fields(index, main, own, draft.clone());
        let physical = main.peer.physical.iter().find_map(|name| own.text(name));
        self.out.adopt.extend(physical.map(|physical| (main.id.clone(), physical.to_owned())));
        self.out.notes.extend(draft.notes.iter().map(|note| (main.id.clone(), note.clone())));
        let mut comment = vec![main.object.address.clone()];
        comment.extend(draft.notes);
        self.out.sheet.resources.insert(main.id.clone(), Entry { comment, fields });
    }

    /// Makes paths of local files relative to the stack file.
    fn move_paths(&self, main: &Main<'_>, draft: &mut Draft) {
        let Some(base) = &self.options.base else { return };
        let is_path = main.kind.fields().is_source("code");
        if let Some(Value::String(path)) = draft.fields.get_mut("code").filter(|_| is_path)
            && !path.starts_with('/')
        {
            *path = format!("{base}/{}", path.trim_start_matches("./"));
        }
    }

    fn fields(&mut self, index: usize, main: &Main<'_>, own: Attributes<'_>, draft: Draft) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("type".to_owned(), main.kind.type_name().into());
        let name = own.text(main.peer.name).filter(|name| *name != main.id);
        fields.extend(name.map(|name| ("name".to_owned(), escape(name).into())));
        for (field, value) in draft.fields {
            let value = self.value(index, main, &draft.secrets, &field, value);
            fields.insert(field, value);
        }
        let tags = if main.kind.tagging() == Tagging::Full { tags(own) } else { BTreeMap::new() };
        let tags: Map<String, Value> =
            tags.into_iter().map(|(key, value)| (key, self.text(index, &value, None))).collect();
        fields.extend((!tags.is_empty()).then(|| ("tags".to_owned(), tags.into())));
        fields.extend(
            (!draft.ignore_changes.is_empty()).then(|| ("ignore_changes".to_owned(), json!(draft.ignore_changes))),
        );
        fields
    }

    fn value(&mut self, index: usize, main: &Main<'_>, hidden: &[String], path: &str, value: Value) -> Value {
        match value {
            Value::Object(map) => {
                let inner = |(name, value): (String, Value)| {
                    let value = self.value(index, main, hidden, &format!("{path}.{name}"), value);
                    (name, value)
                };
                map.into_iter().map(inner).collect()
            }
            Value::Array(items) => {
                items.into_iter().map(|item| self.value(index, main, hidden, &format!("{path}.*"), item)).collect()
            }
            Value::String(text) if hidden.iter().any(|hidden| hidden == path) && self.secrets.of(&text).is_none() => {
                let stand_in = self.secrets.stand_in(text.into());
                self.text(index, &stand_in, Some((&main.id, path)))
            }
            Value::String(text) => match self.name(index, main, path, &text) {
                Some(reference) => reference,
                None => self.text(index, &text, Some((&main.id, path))),
            },
            other => other,
        }
    }

    /// Returns the reference for the name of another object, in a field that holds such a name.
    fn name(&mut self, index: usize, main: &Main<'_>, path: &str, text: &str) -> Option<Value> {
        let (_, kind) = main.peer.names.iter().find(|(field, _)| *field == path)?;
        let to = self.links.named(index, kind, text)?;
        Some(format!("${{{}.name}}", self.ids.get(&to)?).into())
    }

    /// Writes a text: a variable for a secret, a reference for what is another object's, else itself.
    fn text(&mut self, index: usize, text: &str, place: Option<(&str, &str)>) -> Value {
        if let Some((number, secret)) = self.secrets.of(text) {
            let secret = secret.clone();
            return format!("${{var.{}}}", self.variable(number, &secret, place)).into();
        }
        if let Some((start, end, number)) = self.secrets.inside(text) {
            let name = self.variable(number, &Value::from(""), place);
            return format!("{}${{var.{name}}}{}", escape(&text[..start]), escape(&text[end..])).into();
        }
        if let Some(link) = self.links.find(index, text)
            && let Some(id) = self.ids.get(&link.to)
        {
            return format!("${{{id}.{}}}{}", link.output, escape(link.rest)).into();
        }
        escape(text).into()
    }

    /// Returns the variable of a secret, declared at its first use.
    fn variable(&mut self, number: usize, secret: &Value, place: Option<(&str, &str)>) -> String {
        let mark = format!("{number}");
        if let Some((name, _)) = self.out.sheet.variables.iter().find(|(_, fields)| fields["number"] == json!(mark)) {
            return name.clone();
        }
        let (id, path) = place.unwrap_or(("secret", ""));
        let last = path.rsplit('.').find(|step| *step != "*").unwrap_or_default();
        let mut taken: BTreeSet<String> = self.out.sheet.variables.keys().cloned().collect();
        let name = ids::free(&ids::word(&format!("{id}_{last}")), &mut taken);
        let kind = match secret {
            Value::Number(_) => "number",
            Value::Bool(_) => "bool",
            _ => "string",
        };
        let description = format!("{path} of {id}; its value is not written here");
        let fields = json!({"type": kind, "sensitive": true, "description": description, "number": mark});
        self.out.sheet.variables.insert(name.clone(), fields);
        name
    }

    /// Takes over outputs that are outputs of resources.
    fn outputs(mut self, outputs: &Map<String, Value>) -> Imported {
        let nobody = usize::MAX;
        for (name, value) in outputs {
            let link =
                value.as_str().and_then(|text| self.links.find(nobody, text).filter(|link| link.rest.is_empty()));
            let id = link
                .as_ref()
                .and_then(|link| self.ids.get(&link.to))
                .filter(|id| self.out.sheet.resources.contains_key(*id));
            if let (Some(link), Some(id)) = (&link, id) {
                self.out.sheet.outputs.insert(name.clone(), format!("${{{id}.{}}}", link.output));
            }
        }
        for fields in self.out.sheet.variables.values_mut() {
            fields.as_object_mut().map(|fields| fields.shift_remove("number"));
        }
        self.out.secrets = self.secrets.texts();
        self.out
    }
}

/// Returns the tags, those that the provider gives to everything included; not what AWS or this program sets.
fn tags(own: Attributes<'_>) -> BTreeMap<String, String> {
    let tags = own.value("tags_all").or_else(|| own.value("tags")).and_then(Value::as_object).into_iter().flatten();
    let foreign = |key: &str| ["aws:", "stackctl:"].iter().any(|prefix| key.to_lowercase().starts_with(prefix));
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    tags.filter_map(text).filter(|(key, _)| !foreign(key)).collect()
}

/// Drops fields without which the kind understands the same.
fn prune(kind: &dyn AnyKind, fields: &mut Map<String, Value>) {
    let normal = |fields: &Map<String, Value>| {
        let files = Files { dir: "/nonexistent".into(), stack: String::new() };
        let spec = kind.normal(&Value::Object(fields.clone())).ok()?;
        Some(kind.prepare(&spec, &files).unwrap_or(spec))
    };
    let Some(whole) = normal(fields) else { return };
    for name in fields.keys().cloned().collect::<Vec<_>>() {
        let mut rest = fields.clone();
        rest.shift_remove(&name);
        if normal(&rest).as_ref() == Some(&whole) {
            *fields = rest;
        }
    }
}

/// Moves tags that all resources have to the top of the file.
fn share_tags(sheet: &mut Sheet, kinds: &[&'static dyn AnyKind]) {
    let taggable = |entry: &&Entry| {
        let kind = kinds.iter().find(|kind| entry.fields.get("type").and_then(Value::as_str) == Some(kind.type_name()));
        kind.is_some_and(|kind| kind.tagging() == Tagging::Full)
    };
    let tags_of = |entry: &Entry| entry.fields.get("tags").and_then(Value::as_object).cloned().unwrap_or_default();
    let all: Vec<Map<String, Value>> = sheet.resources.values().filter(taggable).map(tags_of).collect();
    let Some(first) = all.first() else { return };
    let shared = first.iter().filter(|(key, value)| all.iter().all(|tags| tags.get(*key) == Some(value)));
    let shared: IndexMap<String, Value> = shared.map(|(key, value)| (key.clone(), value.clone())).collect();
    for entry in sheet.resources.values_mut() {
        let Some(Value::Object(tags)) = entry.fields.get_mut("tags") else { continue };
        tags.retain(|key, _| !shared.contains_key(key));
        if tags.is_empty() {
            entry.fields.shift_remove("tags");
        }
    }
    let text = |(key, value): (String, Value)| Some((key, value.as_str()?.to_owned()));
    sheet.tags = shared.into_iter().filter_map(text).collect();
}

//! Asks AWS what exists of a stack: its resources, and what it owns that the file no longer lists.
//!
//! Reads only. What it finds is data for [`crate::plan`].

mod beside;
pub mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt};
use serde_json::Value;

use crate::aws::memo::Memo;
use crate::aws::{Aws, Cx, index, marks};
use crate::diff::{diff, is_unknown, path_matches};
use crate::kind::{AnyKind, Found, Halt, Key, KindError, Naming, Outputs, Owned, Place, Tagging, Tags};
use crate::stack::reference::Reference;
use crate::stack::resolve::fill;
use crate::stack::{Resource, Stack};
pub use beside::{extras, remains};

/// How many questions are asked at once. They wait for the rates of different APIs, so none should hold up the others.
const CONCURRENCY: usize = 100;

/// What AWS has of a stack.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// What was found for each resource of the file; absent when nothing was.
    pub found: BTreeMap<String, Found>,
    /// What carries the stack's marks and is not what a resource of the file stands for.
    pub orphans: Vec<Orphan>,
    /// What could not be read.
    pub unreadable: Vec<Unreadable>,
    /// What hangs on the stack's objects and nobody says it owns; empty unless [`extras`] has looked.
    pub extras: Vec<Extra>,
    /// What AWS still shows of resources that are gone; empty unless [`remains`] has looked.
    pub remains: BTreeMap<String, Halt>,
}

/// An object of the stack that no resource of the file stands for.
#[derive(Debug, Clone)]
pub struct Orphan {
    /// Its kind.
    pub kind: &'static dyn AnyKind,
    /// Logical id in its marks.
    pub id: String,
    /// The object.
    pub found: Found,
}

/// An object that hangs on one of the stack's and that the file does not list.
#[derive(Debug, Clone)]
pub struct Extra {
    /// Logical id of what it hangs on.
    pub parent: String,
    /// Its kind.
    pub kind: &'static dyn AnyKind,
    /// The object.
    pub found: Found,
}

/// A question that AWS did not answer.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// What was asked about: a logical id or a type.
    pub what: String,
    /// Why there is no answer.
    pub error: KindError,
}

/// Returns the text of a reference that is known before anything is created: names of the place.
#[must_use]
pub fn place_value(place: &Place, stack: &str, name: &str) -> Option<Value> {
    match name {
        "region" => Some(place.region.clone().into()),
        "account" => Some(place.account.clone().into()),
        "stack" => Some(stack.into()),
        _ => None,
    }
}

/// Returns the wanted spec of a resource with everything filled in that `outputs` and the place tell.
#[must_use]
pub fn wanted(stack: &Stack, place: &Place, resource: &Resource, outputs: &BTreeMap<String, Outputs>) -> Value {
    let filled = fill(&resource.spec, &|reference| match reference {
        Reference::Place(name) => place_value(place, &stack.name, name),
        Reference::Output { id, output } => outputs.get(id).and_then(|outputs| outputs.get(output)).cloned(),
        _ => None,
    });
    resource.kind.normal(&filled).unwrap_or(filled)
}

/// One look at a stack: whom to ask, and what is asked once for all.
struct Look<'a> {
    aws: &'a Arc<Aws>,
    stack: &'a Stack,
    memo: Arc<Memo>,
    given: &'a Given,
}

impl Look<'_> {
    fn cx(&self, key: Key) -> Cx {
        Cx::new(self.aws.clone(), key).with_memo(&self.memo)
    }

    /// Returns the surroundings of a look at a resource; what is wanted of it tells its tags.
    fn at(&self, resource: &Resource, physical: Option<String>, want: Option<&Value>) -> Cx {
        let key = Key { physical, ..self.stack.key(resource) };
        let applied = |want| (marks::SPEC.to_owned(), hash(self.stack, resource, want));
        let expected = want.map(|want| tags(self.stack, resource).into_iter().chain([applied(want)]).collect());
        self.cx(key).expecting(expected)
    }
}

/// Returns the tags that a resource is to have, without the hash of its spec.
#[must_use]
pub fn tags(stack: &Stack, resource: &Resource) -> Tags {
    let mut tags = marks::marks(&stack.key(resource), "", resource.protect, resource.retain);
    tags.remove(marks::SPEC);
    match resource.kind.tagging() {
        Tagging::Full => tags.extend(resource.tags.clone()),
        Tagging::OwnershipOnly => tags.retain(|key, _| marks::MARKS.contains(&key.as_str())),
    }
    tags
}

/// Returns the hash that a resource's object carries once its wanted spec is applied.
#[must_use]
pub fn hash(stack: &Stack, resource: &Resource, want: &Value) -> String {
    marks::spec_hash(resource.kind.fields(), &stack.secrets, want, &tags(stack, resource))
}

/// Tells whether an object has lost the mark of what was last applied, without which nobody can tell whose doing a later
/// difference is. A kind whose marks are kept elsewhere may have no place for it.
#[must_use]
pub fn is_unmarked(resource: &Resource, found: &Found) -> bool {
    resource.kind.tagging() == Tagging::Full && !found.tags.contains_key(marks::SPEC)
}

/// Identifiers in AWS that the user gives, by logical id.
pub type Given = BTreeMap<String, String>;

/// Tells whether an object is the one that an identifier of the user's means: as its kind addresses it, or by an output.
#[must_use]
pub fn is_meant(found: &Found, given: &str) -> bool {
    found.physical == given || found.outputs.values().any(|value| value.as_str() == Some(given))
}

/// Observes all resources of a stack, and sweeps for what it owns besides.
pub async fn observe(aws: &Arc<Aws>, stack: &Stack, kinds: &[&'static dyn AnyKind]) -> Live {
    observe_given(aws, stack, kinds, &Given::new()).await
}

/// The same, with identifiers of objects that only the user can tell.
pub async fn observe_given(aws: &Arc<Aws>, stack: &Stack, kinds: &[&'static dyn AnyKind], given: &Given) -> Live {
    let mut live = Live::default();
    let look = &Look { aws, stack, memo: Arc::default(), given };
    let mut outputs = predictions(stack, &aws.place);
    let (assigned, named): (Vec<_>, Vec<_>) = stack.resources.values().partition(|resource| needs_want(resource));
    // What has a name needs nothing of the sweep, and what has none can mostly be found by what it refers to, so all of
    // that goes at once; the sweep then tells whether it was the right one.
    let (swept, answers, guesses) = futures::join!(
        sweep(look, kinds, &mut live.unreadable),
        look_all(look, named, &[], &outputs),
        guess_all(look, &assigned, &outputs)
    );
    keep_all(&mut live, &mut outputs, answers);
    let confirmed: Looks = guesses.into_iter().filter(|(id, answer)| is_confirmed(stack, id, answer, &swept)).collect();
    let assigned: Vec<_> =
        assigned.into_iter().filter(|resource| confirmed.iter().all(|(id, _)| *id != resource.id)).collect();
    keep_all(&mut live, &mut outputs, confirmed);
    let (late, early): (Vec<_>, Vec<_>) =
        assigned.into_iter().partition(|resource| candidates(stack, resource, &swept).len() != 1);
    // What has no name of its own is found, or told from its twins, by what it refers to: that is looked at before.
    for wave in [early, late] {
        let answers = look_all(look, wave, &swept, &outputs).await;
        keep_all(&mut live, &mut outputs, answers);
    }
    live.orphans = orphans(look, &swept, &live.found, &mut live.unreadable).await;
    live
}

type Looks = Vec<(String, Result<Option<Found>, KindError>)>;

async fn look_all(
    look: &Look<'_>,
    resources: Vec<&Resource>,
    swept: &[(&'static dyn AnyKind, Owned)],
    outputs: &BTreeMap<String, Outputs>,
) -> Looks {
    let looks = in_turns(resources).into_iter().map(|resource| look_at(look, resource, swept, outputs));
    stream::iter(looks).buffer_unordered(CONCURRENCY).collect().await
}

/// Orders resources so that kinds take turns: each waits for the rates of its own APIs, and not for a place to wait in.
fn in_turns(resources: Vec<&Resource>) -> Vec<&Resource> {
    let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ordered: Vec<_> = resources
        .into_iter()
        .map(|resource| {
            let turn = turns.entry(resource.kind.type_name()).or_default();
            *turn += 1;
            (*turn, resource)
        })
        .collect();
    ordered.sort_by_key(|(turn, _)| *turn);
    ordered.into_iter().map(|(_, resource)| resource).collect()
}

/// Looks for things without names by what is wanted of them, where that is known before anything is looked at.
async fn guess_all(look: &Look<'_>, resources: &[&Resource], outputs: &BTreeMap<String, Outputs>) -> Looks {
    let open = resources.iter().filter(|resource| !look.given.contains_key(&resource.id));
    let wants = open.map(|resource| (*resource, wanted(look.stack, &look.aws.place, resource, outputs)));
    let looks = wants.filter(|(_, want)| !is_unknown(want)).map(|(resource, want)| async move {
        let cx = look.at(resource, None, Some(&want));
        (resource.id.clone(), resource.kind.observe(&cx, Some(&want)).await)
    });
    stream::iter(looks).buffer_unordered(CONCURRENCY).collect().await
}

/// Tells whether the sweep has the same to say of a resource as the look that did not wait for it.
fn is_confirmed(
    stack: &Stack,
    id: &str,
    answer: &Result<Option<Found>, KindError>,
    swept: &[(&'static dyn AnyKind, Owned)],
) -> bool {
    let marked = stack.resources.get(id).map(|resource| candidates(stack, resource, swept)).unwrap_or_default();
    match (answer, &marked[..]) {
        (Ok(_), []) => true,
        (Ok(Some(found)), [only]) => only.physical == found.physical,
        _ => false,
    }
}

fn keep_all(live: &mut Live, outputs: &mut BTreeMap<String, Outputs>, answers: Looks) {
    for (id, answer) in answers {
        match answer {
            Ok(Some(found)) => {
                outputs.insert(id.clone(), found.outputs.clone());
                live.found.insert(id, found);
            }
            Ok(None) => {}
            Err(error) => live.unreadable.push(Unreadable { what: id, error }),
        }
    }
}

/// Returns the outputs that can be told without looking.
#[must_use]
pub fn predictions(stack: &Stack, place: &Place) -> BTreeMap<String, Outputs> {
    let predict = |resource: &Resource| resource.kind.predict(place, &stack.key(resource), &resource.spec);
    stack.resources.values().map(|resource| (resource.id.clone(), predict(resource))).collect()
}

fn needs_want(resource: &Resource) -> bool {
    resource.kind.naming() == Naming::Assigned
}

async fn look_at(
    look: &Look<'_>,
    resource: &Resource,
    swept: &[(&'static dyn AnyKind, Owned)],
    outputs: &BTreeMap<String, Outputs>,
) -> (String, Result<Option<Found>, KindError>) {
    let want = wanted(look.stack, &look.aws.place, resource, outputs);
    (resource.id.clone(), find(look, resource, swept, &want).await)
}

async fn find(
    look: &Look<'_>,
    resource: &Resource,
    swept: &[(&'static dyn AnyKind, Owned)],
    want: &Value,
) -> Result<Option<Found>, KindError> {
    // What is there is read by what is wanted even if some of that is still unknown, such as what refers to something
    // that is missing; only a search needs all of it.
    let known = resource.kind.normal(want).is_ok().then_some(want);
    let observe =
        async |physical: Option<String>| resource.kind.observe(&look.at(resource, physical, known), known).await;
    if !needs_want(resource) {
        return observe(None).await;
    }
    // The tagging API lists what was deleted, too, for a while: what is there counts, and of that the first one that need
    // not be replaced.
    let mut other = None;
    for physical in ranked(&candidates(look.stack, resource, swept), want, look.stack, resource) {
        match observe(Some(physical)).await? {
            Some(found) if fits(resource, want, &found) => return Ok(Some(found)),
            found => other = other.or(found),
        }
    }
    if other.is_some() {
        return Ok(other);
    }
    let alike = if is_unknown(want) { None } else { observe(None).await? };
    match (alike, look.given.get(&resource.id)) {
        (Some(found), Some(given)) if is_meant(&found, given) => Ok(Some(found)),
        (_, Some(given)) => observe(Some(given.clone())).await,
        (alike, None) => Ok(alike),
    }
}

/// Tells whether an object can become what is wanted without being replaced.
fn fits(resource: &Resource, want: &Value, found: &Found) -> bool {
    let changes = diff(resource.kind.fields(), &resource.ignore_changes, want, &found.spec);
    let forced = resource.kind.replaces(want, &found.spec);
    !changes
        .iter()
        .any(|change| change.forces_replacement || forced.iter().any(|path| path_matches(path, &change.path)))
}

fn candidates<'a>(stack: &Stack, resource: &Resource, swept: &'a [(&'static dyn AnyKind, Owned)]) -> Vec<&'a Owned> {
    let same = |kind: &dyn AnyKind, owned: &Owned| {
        let is_of = |id: &str| id == resource.id || stack.moved.get(id) == Some(&resource.id);
        kind.type_name() == resource.kind.type_name() && marks::resource_of(&owned.tags).is_some_and(is_of)
    };
    swept.iter().filter(|(kind, owned)| same(*kind, owned)).map(|(_, owned)| owned).collect()
}

/// Orders objects with the same marks, as an interrupted replacement leaves them: the one of today's spec comes first.
fn ranked(candidates: &[&Owned], want: &Value, stack: &Stack, resource: &Resource) -> Vec<String> {
    let hash = hash(stack, resource, want);
    let (current, others): (Vec<&Owned>, Vec<&Owned>) =
        candidates.iter().partition(|owned| owned.tags.get(marks::SPEC) == Some(&hash));
    current.into_iter().chain(others).map(|owned| owned.physical.clone()).collect()
}

/// Lists what carries the stack's marks: by the tagging API where it can be relied on, else kind by kind.
async fn sweep(
    look: &Look<'_>,
    kinds: &[&'static dyn AnyKind],
    unreadable: &mut Vec<Unreadable>,
) -> Vec<(&'static dyn AnyKind, Owned)> {
    let indexed = |kind: &&'static dyn AnyKind| look.aws.tag_index_complete && kind.tag_index().is_some();
    let (by_index, by_kind): (Vec<_>, Vec<_>) = kinds.iter().copied().partition(indexed);
    let listings = by_kind.into_iter().map(|kind| async move { (kind, kind.owned(&look.cx(stack_key(look))).await) });
    let (listed, index) = futures::join!(
        stream::iter(listings).buffer_unordered(CONCURRENCY).collect::<Vec<_>>(),
        tagged(look, &by_index)
    );
    let mut all = Vec::new();
    for (kind, answer) in listed {
        match answer {
            Ok(owned) => all.extend(owned.into_iter().map(|owned| (kind, owned))),
            Err(error) => unreadable.push(Unreadable { what: kind.type_name().to_owned(), error }),
        }
    }
    match index {
        Ok(found) => all.extend(found),
        Err(error) => unreadable.push(Unreadable { what: "the tagging API".to_owned(), error }),
    }
    all
}

fn stack_key(look: &Look<'_>) -> Key {
    Key { stack: look.stack.name.clone(), ..Key::default() }
}

async fn tagged(
    look: &Look<'_>,
    kinds: &[&'static dyn AnyKind],
) -> Result<Vec<(&'static dyn AnyKind, Owned)>, KindError> {
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let index = index::of_stack(&look.cx(stack_key(look))).await?;
    let index = index.as_ref().as_ref().map_err(Clone::clone)?;
    let owned = index.iter().filter_map(|(arn, tags)| {
        let kind = kinds.iter().find(|kind| kind.tag_index().is_some_and(|index| is_of_type(arn, index)))?;
        Some((*kind, Owned { physical: kind.physical_of_arn(arn)?, tags: tags.clone() }))
    });
    Ok(owned.collect())
}

/// Tells whether an ARN is of a type as the tagging API spells it: `service:type`, or a service alone.
fn is_of_type(arn: &str, index: &str) -> bool {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (service, resource) = (parts.next().unwrap_or_default(), parts.nth(2).unwrap_or_default());
    match index.split_once(':') {
        Some((wanted, kind)) => {
            service == wanted && resource.strip_prefix(kind).is_some_and(|rest| rest.starts_with(['/', ':']))
        }
        None => service == index,
    }
}

/// Confirms with each service what the sweep found and no resource of the file stands for.
async fn orphans(
    look: &Look<'_>,
    swept: &[(&'static dyn AnyKind, Owned)],
    found: &BTreeMap<String, Found>,
    unreadable: &mut Vec<Unreadable>,
) -> Vec<Orphan> {
    let stack = look.stack;
    let type_of = |id: &String| stack.resources.get(id).map(|resource| resource.kind.type_name());
    let claimed: BTreeSet<_> =
        found.iter().filter_map(|(id, found)| Some((type_of(id)?, found.physical.as_str()))).collect();
    let is_also = |kind: &dyn AnyKind, physical: &str| {
        let mut same = found.iter().filter(|(id, _)| type_of(id) == Some(kind.type_name()));
        same.any(|(_, found)| kind.is_also(&found.spec, physical))
    };
    let left = swept.iter().filter(|(kind, owned)| {
        !claimed.contains(&(kind.type_name(), owned.physical.as_str())) && !is_also(*kind, &owned.physical)
    });
    let looks = left.map(|(kind, owned)| async move {
        let id = marks::resource_of(&owned.tags).unwrap_or_default().to_owned();
        let key = Key {
            stack: stack.name.clone(),
            id: id.clone(),
            name: owned.physical.clone(),
            physical: Some(owned.physical.clone()),
        };
        (*kind, id, kind.observe(&look.cx(key), None).await)
    });
    let looks: Vec<_> = stream::iter(looks).buffer_unordered(CONCURRENCY).collect().await;
    let mut orphans = Vec::new();
    for (kind, id, answer) in looks {
        match answer {
            Ok(Some(found)) if marks::stack_of(&found.tags) == Some(&stack.name) => {
                orphans.push(Orphan { kind, id, found });
            }
            Ok(_) => {}
            Err(error) => unreadable.push(Unreadable { what: id, error }),
        }
    }
    orphans.sort_by(|one, other| {
        (one.kind.delete_rank(), &one.id, &one.found.physical).cmp(&(
            other.kind.delete_rank(),
            &other.id,
            &other.found.physical,
        ))
    });
    orphans
}

#[cfg(test)]
mod tests {
    use super::{in_turns, is_of_type};
    use crate::stack::fake;

    #[test]
    fn kinds_take_turns() {
        let streams = "a: {type: fake_stream}, b: {type: fake_stream}, c: {type: fake_stream}";
        let text = format!("stack: s\nresources: {{{streams}, d: {{type: fake_role, service: x}}}}\n");
        let stack = fake::load(&text).unwrap().stack;
        let ids: Vec<&str> = in_turns(stack.resources.values().collect()).iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["a", "d", "b", "c"]);
    }

    #[test]
    fn types_of_arns() {
        assert!(is_of_type("arn:aws:kinesis:us-east-1:1:stream/a", "kinesis:stream"));
        assert!(!is_of_type("arn:aws:kinesis:us-east-1:1:streamer/a", "kinesis:stream"));
        assert!(is_of_type("arn:aws:sns:us-east-1:1:topic", "sns"));
        assert!(is_of_type("arn:aws:logs:us-east-1:1:log-group:/a/b", "logs:log-group"));
        assert!(is_of_type("arn:aws:lambda:us-east-1:1:function:f", "lambda:function"));
    }
}

//! Asks AWS what exists of a stack: its resources, and what it owns that the file no longer lists.
//!
//! Reads only. What it finds is data for [`crate::plan`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::stream::{self, StreamExt};
use serde_json::Value;

use crate::aws::error::failed;
use crate::aws::{Aws, Cx, marks};
use crate::diff::is_unknown;
use crate::kind::{AnyKind, Child, Found, Halt, Key, KindError, Naming, Outputs, Owned, Place, Tagging, Tags};
use crate::stack::reference::Reference;
use crate::stack::resolve::fill;
use crate::stack::{Resource, Stack};

/// How many questions are asked at once.
const CONCURRENCY: usize = 24;

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

/// Observes all resources of a stack, and sweeps for what it owns besides.
pub async fn observe(aws: &Arc<Aws>, stack: &Stack, kinds: &[&'static dyn AnyKind]) -> Live {
    let mut live = Live::default();
    let mut outputs = predictions(stack, &aws.place);
    let (assigned, named): (Vec<_>, Vec<_>) = stack.resources.values().partition(|resource| needs_want(resource));
    // What has a name needs nothing of the sweep, and what has none can mostly be found by what it refers to, so all of
    // that goes at once; the sweep then tells whether it was the right one.
    let (swept, answers, guesses) = futures::join!(
        sweep(aws, &stack.name, kinds, &mut live.unreadable),
        look_all(aws, stack, named, &[], &outputs),
        guess_all(aws, stack, &assigned, &outputs)
    );
    keep_all(&mut live, &mut outputs, answers);
    let confirmed: Looks = guesses.into_iter().filter(|(id, answer)| is_confirmed(stack, id, answer, &swept)).collect();
    let assigned: Vec<_> =
        assigned.into_iter().filter(|resource| confirmed.iter().all(|(id, _)| *id != resource.id)).collect();
    keep_all(&mut live, &mut outputs, confirmed);
    let (late, early): (Vec<_>, Vec<_>) =
        assigned.into_iter().partition(|resource| candidates(resource, &swept).len() != 1);
    // What has no name of its own is found, or told from its twins, by what it refers to: that is looked at before.
    for wave in [early, late] {
        let answers = look_all(aws, stack, wave, &swept, &outputs).await;
        keep_all(&mut live, &mut outputs, answers);
    }
    live.orphans = orphans(aws, stack, &swept, &live.found, &mut live.unreadable).await;
    live
}

/// Lists what hangs on the stack's objects and is neither the stack's nor another's; what cannot be listed is noted.
/// Only what hangs on `parents` is asked for.
pub async fn extras(
    aws: &Arc<Aws>,
    stack: &Stack,
    live: &mut Live,
    kinds: &[&'static dyn AnyKind],
    parents: &(dyn Fn(&str) -> bool + Sync),
) {
    let owned = |found: &&Found| marks::stack_of(&found.tags) == Some(&stack.name);
    let asked = stack.resources.values().filter(|resource| parents(&resource.id));
    let objects = asked
        .filter_map(|resource| Some((resource, live.found.get(&resource.id).filter(owned)?.physical.clone())))
        .collect::<Vec<_>>();
    let listings = objects.into_iter().map(|(resource, physical)| async move {
        let key = Key { physical: Some(physical), ..stack.key(resource) };
        (resource.id.clone(), resource.kind.children(&Cx::new(aws.clone(), key)).await)
    });
    let listings: Vec<_> = stream::iter(listings).buffer_unordered(CONCURRENCY).collect().await;
    let mut children = Vec::new();
    for (parent, answer) in listings {
        match answer {
            Ok(all) => children.extend(all.into_iter().map(|child| (parent.clone(), child))),
            Err(error) => live.unreadable.push(hanging_on(&parent, error)),
        }
    }
    let claimed = claimed(stack, live);
    children.retain(|(_, child)| !claimed.contains(&(child.kind, child.physical.clone())));
    live.extras = strangers(aws, stack, live, kinds, children).await;
}

fn hanging_on(parent: &str, error: KindError) -> Unreadable {
    Unreadable { what: format!("{parent} (what hangs on it)"), error }
}

/// Looks at children that are not the stack's, and leaves out those that say that they are another's.
async fn strangers(
    aws: &Arc<Aws>,
    stack: &Stack,
    live: &mut Live,
    kinds: &[&'static dyn AnyKind],
    children: Vec<(String, Child)>,
) -> Vec<Extra> {
    let find = |child: &Child| kinds.iter().copied().find(|kind| kind.type_name() == child.kind);
    let known = children.into_iter().filter_map(|(parent, child)| Some((parent, find(&child)?, child.physical)));
    let looks = known.map(|(parent, kind, physical)| async move {
        let key = Key { stack: stack.name.clone(), physical: Some(physical), ..Key::default() };
        (parent, kind, kind.observe(&Cx::new(aws.clone(), key), None).await)
    });
    let looks: Vec<_> = stream::iter(looks).buffer_unordered(CONCURRENCY).collect().await;
    let mut extras = Vec::new();
    for (parent, kind, answer) in looks {
        match answer {
            Ok(Some(found)) if marks::stack_of(&found.tags).is_none() => extras.push(Extra { parent, kind, found }),
            Ok(_) => {}
            Err(error) => live.unreadable.push(hanging_on(&parent, error)),
        }
    }
    extras.sort_by(|one, other| (&one.parent, &one.found.physical).cmp(&(&other.parent, &other.found.physical)));
    extras
}

/// Looks for what AWS still shows of the resources that are gone: since when and why.
pub async fn remains(aws: &Arc<Aws>, stack: &Stack, live: &mut Live) {
    let is_gone = |resource: &&Resource| {
        let unreadable = live.unreadable.iter().any(|unreadable| unreadable.what == resource.id);
        !unreadable && !live.found.contains_key(&resource.id)
    };
    let gone: Vec<&Resource> = stack.resources.values().filter(is_gone).collect();
    let looks = gone.into_iter().map(|resource| async move {
        let answer = resource.kind.remains(&Cx::new(aws.clone(), stack.key(resource))).await;
        // It is missing whether or not AWS still has something to say of it.
        Some((resource.id.clone(), answer.ok().flatten()?))
    });
    let looks: Vec<_> = stream::iter(looks).buffer_unordered(CONCURRENCY).collect().await;
    live.remains = looks.into_iter().flatten().collect();
}

/// Returns type and identifier of everything that is the stack's.
fn claimed(stack: &Stack, live: &Live) -> BTreeSet<(&'static str, String)> {
    let type_of = |id: &String| stack.resources.get(id).map(|resource| resource.kind.type_name());
    let listed = live.found.iter().filter_map(|(id, found)| Some((type_of(id)?, found.physical.clone())));
    let orphans = live.orphans.iter().map(|orphan| (orphan.kind.type_name(), orphan.found.physical.clone()));
    listed.chain(orphans).collect()
}

type Looks = Vec<(String, Result<Option<Found>, KindError>)>;

async fn look_all(
    aws: &Arc<Aws>,
    stack: &Stack,
    resources: Vec<&Resource>,
    swept: &[(&'static dyn AnyKind, Owned)],
    outputs: &BTreeMap<String, Outputs>,
) -> Looks {
    let looks = resources.into_iter().map(|resource| look(aws, stack, resource, swept, outputs));
    stream::iter(looks).buffer_unordered(CONCURRENCY).collect().await
}

/// Looks for things without names by what is wanted of them, where that is known before anything is looked at.
async fn guess_all(
    aws: &Arc<Aws>,
    stack: &Stack,
    resources: &[&Resource],
    outputs: &BTreeMap<String, Outputs>,
) -> Looks {
    let wants = resources.iter().map(|resource| (*resource, wanted(stack, &aws.place, resource, outputs)));
    let looks = wants.filter(|(_, want)| !is_unknown(want)).map(|(resource, want)| async move {
        let cx = Cx::new(aws.clone(), stack.key(resource));
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
    let marked = stack.resources.get(id).map(|resource| candidates(resource, swept)).unwrap_or_default();
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

async fn look(
    aws: &Arc<Aws>,
    stack: &Stack,
    resource: &Resource,
    swept: &[(&'static dyn AnyKind, Owned)],
    outputs: &BTreeMap<String, Outputs>,
) -> (String, Result<Option<Found>, KindError>) {
    let want = wanted(stack, &aws.place, resource, outputs);
    (resource.id.clone(), find(aws, stack, resource, swept, &want).await)
}

async fn find(
    aws: &Arc<Aws>,
    stack: &Stack,
    resource: &Resource,
    swept: &[(&'static dyn AnyKind, Owned)],
    want: &Value,
) -> Result<Option<Found>, KindError> {
    // What is there is read by what is wanted even if some of that is still unknown, such as what refers to something
    // that is missing; only a search needs all of it.
    let known = resource.kind.normal(want).is_ok().then_some(want);
    let observe = async |physical: Option<String>| {
        let key = Key { physical, ..stack.key(resource) };
        resource.kind.observe(&Cx::new(aws.clone(), key), known).await
    };
    if !needs_want(resource) {
        return observe(None).await;
    }
    // The tagging API lists what was deleted, too, for a while: the first one that is there counts.
    for physical in ranked(&candidates(resource, swept), want, stack, resource) {
        if let Some(found) = observe(Some(physical)).await? {
            return Ok(Some(found));
        }
    }
    if is_unknown(want) { Ok(None) } else { observe(None).await }
}

fn candidates<'a>(resource: &Resource, swept: &'a [(&'static dyn AnyKind, Owned)]) -> Vec<&'a Owned> {
    let same = |kind: &dyn AnyKind, owned: &Owned| {
        kind.type_name() == resource.kind.type_name() && marks::resource_of(&owned.tags) == Some(&resource.id)
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
    aws: &Arc<Aws>,
    stack: &str,
    kinds: &[&'static dyn AnyKind],
    unreadable: &mut Vec<Unreadable>,
) -> Vec<(&'static dyn AnyKind, Owned)> {
    let indexed = |kind: &&'static dyn AnyKind| aws.tag_index_complete && kind.tag_index().is_some();
    let (by_index, by_kind): (Vec<_>, Vec<_>) = kinds.iter().copied().partition(indexed);
    let listings = by_kind.into_iter().map(|kind| async move {
        let key = Key { stack: stack.to_owned(), ..Key::default() };
        (kind, kind.owned(&Cx::new(aws.clone(), key)).await)
    });
    let (listed, index) = futures::join!(
        stream::iter(listings).buffer_unordered(CONCURRENCY).collect::<Vec<_>>(),
        tagged(aws, stack, &by_index)
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

async fn tagged(
    aws: &Aws,
    stack: &str,
    kinds: &[&'static dyn AnyKind],
) -> Result<Vec<(&'static dyn AnyKind, Owned)>, KindError> {
    use aws_sdk_resourcegroupstagging::types::TagFilter;
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let filter = TagFilter::builder().key(marks::STACK).values(stack).build();
    let types = kinds.iter().filter_map(|kind| kind.tag_index()).map(str::to_owned).collect();
    let request = aws
        .tagging()
        .get_resources()
        .tag_filters(filter)
        .set_resource_type_filters(Some(types))
        .resources_per_page(100);
    let mut pages = request.into_paginator().send();
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        for mapping in page.map_err(failed("GetResources"))?.resource_tag_mapping_list.unwrap_or_default() {
            let arn = mapping.resource_arn.unwrap_or_default();
            let tags = mapping.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)).collect();
            let kind = kinds.iter().find(|kind| kind.tag_index().is_some_and(|index| is_of_type(&arn, index)));
            if let Some((kind, physical)) = kind.and_then(|kind| Some((*kind, kind.physical_of_arn(&arn)?))) {
                all.push((kind, Owned { physical, tags }));
            }
        }
    }
    Ok(all)
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
    aws: &Arc<Aws>,
    stack: &Stack,
    swept: &[(&'static dyn AnyKind, Owned)],
    found: &BTreeMap<String, Found>,
    unreadable: &mut Vec<Unreadable>,
) -> Vec<Orphan> {
    let type_of = |id: &String| stack.resources.get(id).map(|resource| resource.kind.type_name());
    let claimed: BTreeSet<_> =
        found.iter().filter_map(|(id, found)| Some((type_of(id)?, found.physical.as_str()))).collect();
    let left = swept.iter().filter(|(kind, owned)| !claimed.contains(&(kind.type_name(), owned.physical.as_str())));
    let looks = left.map(|(kind, owned)| async move {
        let id = marks::resource_of(&owned.tags).unwrap_or_default().to_owned();
        let key = Key {
            stack: stack.name.clone(),
            id: id.clone(),
            name: owned.physical.clone(),
            physical: Some(owned.physical.clone()),
        };
        (*kind, id, kind.observe(&Cx::new(aws.clone(), key), None).await)
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
    use super::is_of_type;

    #[test]
    fn types_of_arns() {
        assert!(is_of_type("arn:aws:kinesis:us-east-1:1:stream/a", "kinesis:stream"));
        assert!(!is_of_type("arn:aws:kinesis:us-east-1:1:streamer/a", "kinesis:stream"));
        assert!(is_of_type("arn:aws:sns:us-east-1:1:topic", "sns"));
        assert!(is_of_type("arn:aws:logs:us-east-1:1:log-group:/a/b", "logs:log-group"));
        assert!(is_of_type("arn:aws:lambda:us-east-1:1:function:f", "lambda:function"));
    }
}

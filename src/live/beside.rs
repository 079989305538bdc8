//! What is beside the stack's resources: objects that hang on them, and what is left to see of those that are gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::stream::{self, StreamExt};

use super::{CONCURRENCY, Extra, Live, Unreadable};
use crate::aws::{Aws, Cx, marks};
use crate::kind::{AnyKind, Child, Found, Key, KindError};
use crate::stack::{Resource, Stack};

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

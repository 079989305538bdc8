//! The hops of a stack, in the order in which data takes them. Pure: the file tells them all.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::kind::{End, Hop};
use crate::live::names::Names;
use crate::stack::{Resource, Stack};

/// One hop between two ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    /// Id of the resource that makes it.
    pub owner: String,
    /// Where data comes from: an id, or an ARN outside the stack.
    pub from: String,
    /// Where data goes.
    pub to: String,
    /// The hop as the file has it.
    pub hop: Hop,
}

/// Lists the hops of a stack, those nearest to the sources first.
pub(super) fn legs(stack: &Stack, names: &Names<'_>) -> Vec<Leg> {
    let mut legs: Vec<Leg> = stack.resources.values().flat_map(|resource| of_resource(resource, names)).collect();
    let depths = depths(&legs.iter().map(|leg| (leg.from.as_str(), leg.to.as_str())).collect::<Vec<_>>());
    let order: Vec<usize> = legs.iter().map(|leg| depths.get(&leg.from).copied().unwrap_or(usize::MAX)).collect();
    let mut places: Vec<usize> = (0..legs.len()).collect();
    places.sort_by_key(|place| order[*place]);
    let mut taken: Vec<Option<Leg>> = legs.drain(..).map(Some).collect();
    places.into_iter().filter_map(|place| taken[place].take()).collect()
}

fn of_resource(resource: &Resource, names: &Names<'_>) -> Vec<Leg> {
    let end = |end: &End| match end {
        End::Own => Some(resource.id.clone()),
        End::Other(text) => names.find(text).map(|found| found.id.clone()).or_else(|| Some(text.clone())),
        End::Hint(text) => {
            let takes = |found: &&Resource| !found.kind.path().accepts.is_empty() && found.id != resource.id;
            names.find(text).filter(takes).map(|found| found.id.clone())
        }
    };
    let leg = |hop: Hop| Some(Leg { owner: resource.id.clone(), from: end(&hop.from)?, to: end(&hop.to)?, hop });
    let mut seen = BTreeSet::new();
    let legs = resource.kind.hops(&resource.spec).into_iter().filter_map(leg);
    legs.filter(|leg| seen.insert((leg.from.clone(), leg.to.clone(), leg.hop.by.clone()))).collect()
}

/// Returns how far each place is from the nearest source; of a circle without one, from its first place.
fn depths(legs: &[(&str, &str)]) -> BTreeMap<String, usize> {
    let fed: BTreeSet<&str> = legs.iter().map(|(_, to)| *to).collect();
    let mut depths: BTreeMap<String, usize> = BTreeMap::new();
    let (sources, others): (Vec<&str>, Vec<&str>) =
        legs.iter().map(|(from, _)| *from).partition(|from| !fed.contains(from));
    for start in sources {
        depths.insert(start.to_owned(), 0);
        spread(start, legs, &mut depths);
    }
    for start in others {
        if !depths.contains_key(start) {
            depths.insert(start.to_owned(), 0);
            spread(start, legs, &mut depths);
        }
    }
    depths
}

fn spread(start: &str, legs: &[(&str, &str)], depths: &mut BTreeMap<String, usize>) {
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        let next = depths.get(at).copied().unwrap_or_default() + 1;
        for (_, to) in legs.iter().filter(|(from, _)| *from == at) {
            if depths.get(*to).is_none_or(|depth| *depth > next) {
                depths.insert((*to).to_owned(), next);
                queue.push_back(to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    use crate::kind::Place;
    use crate::live::Live;
    use crate::stack::load::{Inputs, load};

    fn place() -> Place {
        Place { partition: "aws".into(), region: "us-east-1".into(), account: "123456789012".into() }
    }

    fn drawn(file: &str, vars: &[(&str, &str)]) -> String {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let stack = load(Path::new(file), &Inputs { vars, ..Inputs::default() }).unwrap().stack;
        let names = Names::of(&stack, &place(), &Live::default());
        let line = |leg: &Leg| format!("{} -> {} by {}, {}\n", leg.from, leg.to, leg.owner, leg.hop.by);
        legs(&stack, &names).iter().map(line).collect()
    }

    #[test]
    fn the_hops_of_the_ticket_stack() {
        insta::assert_snapshot!(drawn("stacks/airline_tickets.yaml", &[("phone", "+79990001122")]));
    }

    #[test]
    fn the_hops_of_the_second_stack() {
        insta::assert_snapshot!(drawn("stacks/clickstream.yaml", &[("email", "someone@example.com")]));
    }

    proptest! {
        #[test]
        fn every_place_has_a_depth_and_no_hop_skips_one(pairs in prop::collection::vec((0_u8..7, 0_u8..7), 0..14)) {
            let pairs: Vec<(String, String)> = pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
            let legs: Vec<_> = pairs.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
            let depths = depths(&legs);
            for (from, to) in legs {
                prop_assert!(depths[to] <= depths[from] + 1);
            }
        }
    }
}

//! What resources refer to: whether it is there, and whether it goes round in circles.
//!
//! Knows resources by id and the names of their outputs, nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use indexmap::IndexMap;
use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;
use serde_json::Value;

use super::problem::{Problem, Spot, join};
use super::reference::{Reference, Segment, parse};
use super::suggest;

/// One resource waits for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) from: String,
    pub(super) to: String,
    /// Where the file says so.
    pub(super) path: String,
    /// Text at that place, such as `${orders.arn}`.
    pub(super) text: Option<String>,
}

impl Link {
    pub(super) fn new(from: &str, to: &str, path: &str) -> Self {
        Self { from: from.to_owned(), to: to.to_owned(), path: path.to_owned(), text: None }
    }
}

/// What can be referred to.
#[derive(Debug, Default)]
pub(super) struct Targets<'a> {
    /// Names of outputs by resource; nothing where the type is unknown, which has been reported.
    pub(super) outputs: IndexMap<&'a str, Option<Vec<String>>>,
    /// Resources that `when:` leaves out.
    pub(super) left_out: BTreeSet<&'a str>,
}

impl Targets<'_> {
    fn ids(&self) -> impl Iterator<Item = &str> + Clone {
        self.outputs.keys().copied()
    }

    /// Checks the references of a value; `from` is the resource that it belongs to.
    pub(super) fn check(
        &self,
        from: Option<&str>,
        value: &Value,
        path: &str,
        problems: &mut Vec<Problem>,
    ) -> Vec<Link> {
        let mut links = Vec::new();
        each_text(value, path, &mut |text, path| {
            for (reference, written) in outputs_in(text) {
                let Reference::Output { id, output } = &reference else { continue };
                if let Some(problem) = self.problem(from, id, output) {
                    problems.push(Problem { path: path.to_owned(), spot: Spot::Text(written), ..problem });
                } else if let Some(from) = from {
                    links.push(Link { text: Some(written), ..Link::new(from, id, path) });
                }
            }
        });
        links
    }

    fn problem(&self, from: Option<&str>, id: &str, output: &str) -> Option<Problem> {
        if from == Some(id) {
            let problem = Problem::error("", format!("`{id}` refers to itself")).label("refers to itself");
            return Some(problem.help("a resource's own outputs are known only after it is made"));
        }
        let Some(outputs) = self.outputs.get(id) else {
            let problem = Problem::error("", format!("there is no resource `{id}`")).label("unknown resource");
            let near = suggest::nearest(id, self.ids()).map(|near| format!("did you mean `${{{near}.{output}}}`?"));
            return Some(problem.maybe_help(near.or_else(|| suggest::help(id, self.ids()))));
        };
        if self.left_out.contains(id) {
            return Some(left_out(id));
        }
        let outputs = outputs.as_ref()?;
        if outputs.iter().any(|known| known == output) {
            return None;
        }
        let problem = Problem::error("", format!("`{id}` has no output `{output}`")).label("unknown output");
        Some(problem.maybe_help(suggest::help(output, outputs.iter().map(String::as_str))))
    }

    /// Checks `depends_on`; what is left out need not be waited for.
    pub(super) fn depends(
        &self,
        from: &str,
        on: &[String],
        path: &str,
        problems: &mut Vec<Problem>,
    ) -> (Vec<String>, Vec<Link>) {
        let mut kept = Vec::new();
        let mut links = Vec::new();
        for (index, id) in on.iter().enumerate() {
            let at = join(path, &index.to_string());
            if id == from {
                problems.push(Problem::error(at, format!("`{id}` depends on itself")).label("depends on itself"));
            } else if !self.outputs.contains_key(id.as_str()) {
                let problem = Problem::error(at, format!("there is no resource `{id}`")).label("unknown resource");
                problems.push(problem.maybe_help(suggest::help(id, self.ids().filter(|known| *known != from))));
            } else if !self.left_out.contains(id.as_str()) && !kept.contains(id) {
                kept.push(id.clone());
                links.push(Link::new(from, id, &at));
            }
        }
        (kept, links)
    }
}

fn left_out(id: &str) -> Problem {
    Problem::error("", format!("`{id}` is left out, because its `when:` is not set"))
        .label("left out")
        .help("give this resource the same `when:`, or set what the other one waits for")
        .also(format!("resources.{id}.when"), Spot::Value, "this is null, false or empty")
}

/// Lists references to outputs in a text, as written.
fn outputs_in(text: &str) -> Vec<(Reference, String)> {
    let segments = parse(text).unwrap_or_default();
    let output = |segment| match segment {
        Segment::Reference(reference @ Reference::Output { .. }, at) => Some((reference, text[at].to_owned())),
        _ => None,
    };
    segments.into_iter().filter_map(output).collect()
}

/// Shows every text in a value with its path.
pub(super) fn each_text(value: &Value, path: &str, see: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => see(text, path),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                each_text(item, &join(path, &index.to_string()), see);
            }
        }
        Value::Object(map) => {
            for (name, value) in map {
                each_text(value, &join(path, name), see);
            }
        }
        _ => {}
    }
}

/// Reports one loop for every group of resources that wait for each other.
pub(super) fn cycles(links: &[Link], problems: &mut Vec<Problem>) {
    let mut edges: BTreeMap<&str, Vec<&Link>> = BTreeMap::new();
    for link in links {
        edges.entry(&link.from).or_default().push(link);
    }
    let graph = graph(links);
    for group in kosaraju_scc(&graph).iter().filter(|group| group.len() > 1) {
        let group: Vec<&str> = group.iter().map(|node| graph[*node]).collect();
        let start = links.iter().map(|link| link.from.as_str()).find(|id| group.contains(id));
        problems.extend(start.and_then(|start| shortest_loop(start, &edges)).map(|round| describe(&round)));
    }
}

fn graph(links: &[Link]) -> DiGraph<&str, ()> {
    let mut graph = DiGraph::new();
    let mut nodes = BTreeMap::new();
    for link in links {
        let mut node = |id| *nodes.entry(id).or_insert_with(|| graph.add_node(id));
        let (from, to) = (node(link.from.as_str()), node(link.to.as_str()));
        graph.add_edge(from, to, ());
    }
    graph
}

/// Finds the shortest way from a resource back to itself.
fn shortest_loop<'a>(start: &'a str, edges: &BTreeMap<&'a str, Vec<&'a Link>>) -> Option<Vec<&'a Link>> {
    let mut reached: BTreeMap<&str, &Link> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(id) = queue.pop_front() {
        for link in edges.get(id).into_iter().flatten() {
            if reached.contains_key(link.to.as_str()) {
                continue;
            }
            reached.insert(&link.to, link);
            if link.to == start {
                return Some(way_back(start, &reached));
            }
            queue.push_back(&link.to);
        }
    }
    None
}

fn way_back<'a>(start: &str, reached: &BTreeMap<&'a str, &'a Link>) -> Vec<&'a Link> {
    let mut way: Vec<&Link> = Vec::new();
    let mut at = start;
    while let Some(link) = reached.get(at) {
        way.push(link);
        at = &link.from;
        if at == start {
            break;
        }
    }
    way.reverse();
    way
}

fn describe(round: &[&Link]) -> Problem {
    let ids: Vec<&str> =
        round.iter().map(|link| link.from.as_str()).chain(round.first().map(|link| link.from.as_str())).collect();
    let spot = |link: &Link| link.text.clone().map_or(Spot::Value, Spot::Text);
    let problem = Problem::error("", format!("resources wait for each other: {}", ids.join(" → ")))
        .help("remove one of these references, or write out a name or ARN that is known beforehand");
    let [first, others @ ..] = round else { return problem };
    let problem = Problem { path: first.path.clone(), spot: spot(first), ..problem };
    let waits = |link: &Link| format!("{} waits for {}", link.from, link.to);
    let problem = problem.label(waits(first));
    others.iter().fold(problem, |problem, link| problem.also(&link.path, spot(link), waits(link)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn targets() -> Targets<'static> {
        let outputs = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        Targets {
            outputs: IndexMap::from([
                ("orders", outputs(&["arn", "name"])),
                ("gone", outputs(&["arn"])),
                ("odd", None),
            ]),
            left_out: BTreeSet::from(["gone"]),
        }
    }

    #[test]
    fn wrong_references_are_told() {
        let value = json!({
            "a": "x ${ordres.arn}", "b": ["${orders.arnn}"], "c": "${gone.arn}", "d": "${odd.any}", "e": "${me.arn}",
            "f": "$${orders.no}", "g": "${orders.arn}",
        });
        let mut problems = Vec::new();
        let links = targets().check(Some("me"), &value, "resources.me", &mut problems);
        assert_eq!(links.iter().map(|link| link.to.as_str()).collect::<Vec<_>>(), ["odd", "orders"]);
        let told: Vec<String> = problems
            .iter()
            .map(|problem| {
                format!("{}: {} ({})", problem.path, problem.message, problem.help.clone().unwrap_or_default())
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    fn loops(pairs: &[(&str, &str)]) -> Vec<String> {
        let links: Vec<Link> = pairs.iter().map(|(from, to)| Link::new(from, to, "")).collect();
        let mut problems = Vec::new();
        cycles(&links, &mut problems);
        problems.into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn loops_are_printed() {
        assert!(loops(&[("a", "b"), ("b", "c"), ("a", "c")]).is_empty());
        assert_eq!(loops(&[("x", "a"), ("a", "b"), ("b", "a")]), ["resources wait for each other: a → b → a"]);
        assert_eq!(loops(&[("a", "b"), ("b", "a"), ("c", "d"), ("d", "e"), ("e", "c")]).len(), 2);
    }

    proptest! {
        #[test]
        fn a_loop_is_found_exactly_when_there_is_one(pairs in prop::collection::vec((0_u8..6, 0_u8..6), 0..12)) {
            let pairs: Vec<(String, String)> =
                pairs.iter().filter(|(a, b)| a != b).map(|(a, b)| (a.to_string(), b.to_string())).collect();
            let links: Vec<Link> = pairs.iter().map(|(from, to)| Link::new(from, to, "")).collect();
            let mut problems = Vec::new();
            cycles(&links, &mut problems);
            prop_assert_eq!(!problems.is_empty(), petgraph::algo::is_cyclic_directed(&graph(&links)));
        }
    }
}

//! The order of a stack: which resource waits for which.

use std::collections::{BTreeSet, HashMap};

use petgraph::Direction;
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{Dfs, GraphBase, IntoNeighbors, Reversed, Visitable};

use crate::stack::Stack;
use crate::stack::reference::Reference;
use crate::stack::resolve::references;

/// Resources and their dependencies; an edge leads from what is needed to what needs it.
#[derive(Debug, Clone)]
pub struct Graph {
    dag: DiGraph<String, ()>,
    nodes: HashMap<String, NodeIndex>,
    order: Vec<String>,
}

/// Resources that wait for each other in a circle, in the order of the circle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("resources wait for each other: {}", .0.join(" → "))]
pub struct Cycle(pub Vec<String>);

impl Graph {
    /// Builds the graph from the references and `depends_on` of a stack.
    ///
    /// # Errors
    /// Returns a circle, if there is one.
    pub fn of(stack: &Stack) -> Result<Self, Cycle> {
        let needs = stack.resources.values().map(|resource| {
            let outputs = references(&resource.spec).into_iter().filter_map(|reference| match reference {
                Reference::Output { id, .. } => Some(id),
                _ => None,
            });
            (resource.id.clone(), outputs.chain(resource.depends_on.iter().cloned()).collect())
        });
        Self::from_needs(needs)
    }

    /// Builds a graph from names and what each needs; needs that are not among the names are left out.
    ///
    /// # Errors
    /// Returns a circle, if there is one.
    pub fn from_needs(needs: impl Iterator<Item = (String, BTreeSet<String>)>) -> Result<Self, Cycle> {
        let needs: Vec<_> = needs.collect();
        let mut dag = DiGraph::new();
        let nodes: HashMap<_, _> = needs.iter().map(|(id, _)| (id.clone(), dag.add_node(id.clone()))).collect();
        for (id, needed) in &needs {
            for source in needed.iter().filter_map(|need| nodes.get(need)) {
                dag.update_edge(*source, nodes[id], ());
            }
        }
        let order = stable_order(&dag).ok_or_else(|| circle(&dag))?;
        let order = order.into_iter().map(|node| dag[node].clone()).collect();
        Ok(Self { dag, nodes, order })
    }

    /// Returns all ids, each after what it needs.
    #[must_use]
    pub fn order(&self) -> &[String] {
        &self.order
    }

    /// Returns what a resource needs directly.
    #[must_use]
    pub fn needs(&self, id: &str) -> Vec<&str> {
        self.neighbours(id, Direction::Incoming)
    }

    /// Returns what needs a resource directly.
    #[must_use]
    pub fn needed_by(&self, id: &str) -> Vec<&str> {
        self.neighbours(id, Direction::Outgoing)
    }

    fn neighbours(&self, id: &str, direction: Direction) -> Vec<&str> {
        let Some(node) = self.nodes.get(id) else { return Vec::new() };
        let mut found: Vec<_> =
            self.dag.neighbors_directed(*node, direction).map(|node| self.dag[node].as_str()).collect();
        found.sort_unstable();
        found
    }

    /// Returns some resources and everything that they need.
    #[must_use]
    pub fn with_needs(&self, ids: &BTreeSet<String>) -> BTreeSet<String> {
        self.reach(Reversed(&self.dag), ids)
    }

    /// Returns some resources and everything that needs them.
    #[must_use]
    pub fn with_dependents(&self, ids: &BTreeSet<String>) -> BTreeSet<String> {
        self.reach(&self.dag, ids)
    }

    fn reach<D>(&self, dag: D, ids: &BTreeSet<String>) -> BTreeSet<String>
    where
        D: GraphBase<NodeId = NodeIndex> + IntoNeighbors + Visitable + Copy,
    {
        let mut seen = BTreeSet::new();
        let mut walk = Dfs::empty(dag);
        for start in ids.iter().filter_map(|id| self.nodes.get(id)) {
            walk.move_to(*start);
            while let Some(node) = walk.next(dag) {
                seen.insert(self.dag[node].clone());
            }
        }
        seen
    }
}

/// Puts each node after what it needs, and otherwise leaves the order as it was; nothing when there is a circle.
fn stable_order(dag: &DiGraph<String, ()>) -> Option<Vec<NodeIndex>> {
    let mut open: Vec<usize> =
        dag.node_indices().map(|node| dag.neighbors_directed(node, Direction::Incoming).count()).collect();
    let mut ready: BTreeSet<NodeIndex> = dag.node_indices().filter(|node| open[node.index()] == 0).collect();
    let mut order = Vec::with_capacity(open.len());
    while let Some(node) = ready.pop_first() {
        order.push(node);
        for next in dag.neighbors(node) {
            open[next.index()] -= 1;
            if open[next.index()] == 0 {
                ready.insert(next);
            }
        }
    }
    (order.len() == open.len()).then_some(order)
}

/// Finds a shortest-looking circle: one component of the graph, walked until it meets itself.
fn circle(dag: &DiGraph<String, ()>) -> Cycle {
    let parts = tarjan_scc(dag);
    let part = parts.iter().find(|part| part.len() > 1 || part.iter().any(|node| dag.contains_edge(*node, *node)));
    let Some(part) = part else { return Cycle(Vec::new()) };
    let mut path = vec![part[0]];
    loop {
        let here = path[path.len() - 1];
        let needs = dag.neighbors_directed(here, Direction::Incoming).filter(|node| part.contains(node));
        let Some(next) = needs.min_by_key(|node| dag[*node].clone()) else { return Cycle(Vec::new()) };
        if let Some(start) = path.iter().position(|node| *node == next) {
            path.push(next);
            return Cycle(path[start..].iter().map(|node| dag[*node].clone()).collect());
        }
        path.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn graph(edges: &[(&str, &[&str])]) -> Result<Graph, Cycle> {
        Graph::from_needs(
            edges.iter().map(|(id, needs)| ((*id).to_owned(), needs.iter().map(|need| (*need).to_owned()).collect())),
        )
    }

    #[test]
    fn a_circle_is_named() {
        let Err(Cycle(path)) = graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"]), ("d", &["a"])]) else { panic!() };
        assert_eq!(path.len(), 4);
        assert_eq!(path.first(), path.last());
    }

    #[test]
    fn the_order_is_that_of_the_file_where_needs_allow() {
        let graph = graph(&[("c", &[]), ("b", &["d"]), ("a", &[]), ("d", &[])]).unwrap();
        assert_eq!(graph.order(), ["c", "a", "d", "b"]);
    }

    #[test]
    fn reaches_both_ways() {
        let graph = graph(&[("a", &[]), ("b", &["a"]), ("c", &["b"])]).unwrap();
        let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(graph.with_needs(&set(&["b"])), set(&["a", "b"]));
        assert_eq!(graph.with_dependents(&set(&["b"])), set(&["b", "c"]));
    }

    proptest! {
        #[test]
        fn order_puts_needs_first(edges in prop::collection::vec((0..12_usize, 0..12_usize), 0..40)) {
            let needs = (0..12).map(|id| {
                let needed = edges.iter().filter(|(from, to)| *to == id && from < to).map(|(from, _)| from.to_string()).collect();
                (id.to_string(), needed)
            });
            let graph = Graph::from_needs(needs).unwrap();
            let place = |id: &str| graph.order().iter().position(|other| other == id).unwrap();
            for id in graph.order() {
                for need in graph.needs(id) {
                    prop_assert!(place(need) < place(id));
                }
            }
        }
    }
}

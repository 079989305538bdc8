//! `graph`: the stack's resources and what they need, as a drawing.

use std::fmt::Write as _;

use super::{DONE, graph_of, load_stack};
use crate::cli::{GraphArgs, GraphFormat};
use crate::failure::Failure;
use crate::graph::Graph;
use crate::report::Screen;
use crate::stack::Stack;

/// Runs the command.
pub(super) fn run(args: &GraphArgs, screen: &mut Screen) -> Result<u8, Failure> {
    let stack = load_stack(&args.stack, screen)?;
    let graph = graph_of(&stack)?;
    let text = match args.format {
        GraphFormat::Dot => dot(&stack, &graph),
        GraphFormat::Mermaid => mermaid(&stack, &graph),
    };
    screen.result(&text)?;
    Ok(DONE)
}

fn edges<'a>(stack: &'a Stack, graph: &'a Graph) -> impl Iterator<Item = (&'a str, &'a str)> {
    stack.resources.keys().flat_map(|id| graph.needs(id).into_iter().map(move |need| (id.as_str(), need)))
}

fn dot(stack: &Stack, graph: &Graph) -> String {
    let mut out =
        format!("digraph {:?} {{\n  rankdir = RL;\n  node [shape = box, fontname = \"sans-serif\"];\n", stack.name);
    for resource in stack.resources.values() {
        let _ = writeln!(
            out,
            "  {:?} [label = {:?}];",
            resource.id,
            format!("{}\n{}", resource.id, resource.kind.type_name())
        );
    }
    for (id, need) in edges(stack, graph) {
        let _ = writeln!(out, "  {id:?} -> {need:?};");
    }
    out + "}\n"
}

fn mermaid(stack: &Stack, graph: &Graph) -> String {
    let mut out = "flowchart RL\n".to_owned();
    for resource in stack.resources.values() {
        let _ = writeln!(out, "  {}[\"{}<br/>{}\"]", resource.id, resource.id, resource.kind.type_name());
    }
    for (id, need) in edges(stack, graph) {
        let _ = writeln!(out, "  {id} --> {need}");
    }
    out
}

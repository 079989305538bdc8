//! Where in the stack file a finding belongs. Knows paths and lines, not what the findings mean.

use super::Report;
use crate::stack::Stack;
use crate::stack::problem::Spot;

/// Fills in the lines of findings: of the field where the file has it, else of the nearest thing around it.
pub fn locate(report: &mut Report, stack: &Stack) {
    // What has no line is not in the file, even where its former id is.
    for entry in report.entries.iter_mut().filter(|entry| entry.line.is_some()) {
        for finding in &mut entry.findings {
            let path = format!("resources.{}.{}", entry.id, finding.path);
            let range = stack.source.range(path.trim_end_matches('.'), &Spot::Key);
            finding.line = Some(stack.source.position(range.start).0);
        }
    }
}

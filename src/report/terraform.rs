//! What became of a Terraform state file.

use super::{Paint, count, line};
use crate::terraform::Imported;

/// Says what was taken over, what was not, and what to do next.
#[must_use]
pub fn summary(imported: &Imported, next: &str, paint: Paint) -> String {
    let mut out = format!("\n{}", paint.bold(&count(imported.sheet.resources.len(), "resource")));
    out.push_str(&match imported.data {
        0 => " taken over.\n".to_owned(),
        data => format!(" taken over; {} left out, as they own nothing.\n", count(data, "data source")),
    });
    if !imported.unknown.is_empty() {
        out.push_str(&format!("\n{} Not taken over, and left alone:\n", paint.yellow("!")));
        for unknown in &imported.unknown {
            out.push_str(&format!(
                "  {} ({}): {}\n",
                line(&unknown.address),
                line(&unknown.kind),
                line(&unknown.reason)
            ));
        }
    }
    if !imported.notes.is_empty() {
        out.push_str(&format!("\n{} To know before you apply:\n", paint.yellow("!")));
        for (id, note) in &imported.notes {
            out.push_str(&format!("  {}: {}\n", line(id), line(note)));
        }
    }
    let variables: Vec<&str> = imported.sheet.variables.keys().map(String::as_str).collect();
    if !variables.is_empty() {
        let all = variables.join(", ");
        out.push_str(&format!("\nSecrets are not written: give {all} by --var, --var-file or STACKCTL_VAR_….\n"));
    }
    out.push_str(&format!("\nNext, see what would change, and take over what is there:\n  {}\n", line(next)));
    out
}

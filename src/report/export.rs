//! What an export holds, what it does not, and what to do with it.

use super::{Paint, count, line};
use crate::export::Export;

/// Says what was written, what was not, and what to do next.
#[must_use]
pub fn summary(export: &Export, next: &str, paint: Paint) -> String {
    let mut out = format!("\n{} exported.\n", paint.bold(&count(export.count, "resource")));
    if !export.missing.is_empty() {
        out.push_str(&format!("\n{} Not exported:\n", paint.yellow("!")));
        for missing in &export.missing {
            out.push_str(&format!(
                "  {}: {}\n",
                line(&format!("{}.{}", missing.kind, missing.id)),
                line(&missing.reason)
            ));
        }
    }
    if !export.parameters.is_empty() {
        out.push_str(&format!(
            "\nGive these parameters, which AWS does not tell or which are secret:\n  {}\n",
            export.parameters.join(", ")
        ));
    }
    out.push_str(&format!("\nNext:\n{next}"));
    out.push_str(
        "\nThe objects stay this stack's until its tags `stackctl:…` are gone: do not apply or destroy it any more.\n",
    );
    out
}

/// Returns files as one text: the only one as it is, several each below its name.
#[must_use]
pub fn files(export: &Export) -> String {
    match &export.files[..] {
        [(_, only)] => only.clone(),
        several => several.iter().map(|(name, text)| format!("--- {name}\n{text}")).collect(),
    }
}

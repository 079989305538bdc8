//! Drift reports, one file per format. Each is a pure function of the outcome, and fit for whatever AWS may hold: a value
//! that looks like markup, a command or an escape sequence is shown and does nothing.

mod github;
mod json;
mod junit;
mod lines;
mod markdown;
mod masked;
mod sarif;
mod text;

#[cfg(test)]
pub(super) mod samples;

pub use github::{annotations, outputs};
pub use json::{json, schema};
pub use junit::junit;
pub(super) use markdown::code;
pub use markdown::{COMMENT, SUMMARY, markdown};
pub use masked::masked;
pub use sarif::sarif;
pub use text::text;

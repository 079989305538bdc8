//! Places in a YAML text.

/// A text and where its values stand.
#[derive(Debug, Clone, Default)]
pub struct Source {}

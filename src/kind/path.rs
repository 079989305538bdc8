//! What a kind says of the ways that data takes, for `verify`: plain data, known before anything is asked.

use serde::Serialize;

/// What stands at one end of a hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The resource that tells of the hop.
    Own,
    /// Another resource, by a text of the spec: a reference, a name or an ARN.
    Other(String),
    /// What may be another resource, by such a text; where it is none that takes data, there is no hop.
    Hint(String),
}

/// Data goes from one resource to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Where it comes from.
    pub from: End,
    /// Where it goes.
    pub to: End,
    /// By what: words such as `output DESTINATION_SQL_STREAM`.
    pub by: String,
    /// What somebody must be allowed for it.
    pub needs: Vec<Need>,
}

/// Something that a role must be allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Whose role it is.
    pub role: Holder,
    /// On which end.
    pub on: Side,
    /// IAM actions, each of them needed; none stands for [`Path::accepts`] of the end, of which one may do.
    pub actions: &'static [&'static str],
}

/// Who holds a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A role by a text of the spec: a reference, or an ARN.
    Named(String),
    /// The resource at an end.
    At(Side),
}

/// One end of a hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where data comes from.
    From,
    /// Where data goes.
    To,
}

impl Hop {
    /// Makes a hop that needs nothing.
    pub fn new(from: End, to: End, by: impl Into<String>) -> Self {
        Self { from, to, by: by.into(), needs: Vec::new() }
    }

    /// Adds what a role must be allowed.
    #[must_use]
    pub fn needs(mut self, role: Holder, on: Side, actions: &'static [&'static str]) -> Self {
        self.needs.push(Need { role, on, actions });
        self
    }
}

impl End {
    /// Makes the end that a text of the spec stands for.
    pub fn other(text: impl Into<String>) -> Self {
        Self::Other(text.into())
    }
}

/// What a kind is on the way of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// First words of the statuses in which data gets through; none for any.
    pub ready: &'static [&'static str],
    /// What to do about any other status.
    pub mend: &'static str,
    /// IAM actions that put data into it; none when nothing can be put.
    pub accepts: &'static [&'static str],
}

impl Path {
    /// A kind that data does not pass through.
    pub const NONE: Self = Self { ready: &[], mend: "run `stackctl apply`", accepts: &[] };
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Data gets through, as far as this tells.
    Ok,
    /// It cannot be told.
    Unknown,
    /// Data does not get through.
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// How it came out.
    pub state: State,
    /// What was seen.
    pub reason: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Whether it may only be the effect of what another check tells, of this hop or of one that goes on from it.
    #[serde(skip)]
    pub symptom: bool,
}

impl Check {
    /// Makes a check that came out well.
    pub fn ok(reason: impl Into<String>) -> Self {
        Self { state: State::Ok, reason: reason.into(), help: None, symptom: false }
    }

    /// Makes a check that tells nothing.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self { state: State::Unknown, ..Self::ok(reason) }
    }

    /// Makes a check that failed.
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { state: State::Failed, ..Self::ok(reason) }
    }

    /// Adds advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says that it may only be the effect of what another check tells.
    #[must_use]
    pub fn symptom(mut self) -> Self {
        self.symptom = true;
        self
    }
}

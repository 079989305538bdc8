//! What AWS asks of a role before it takes an object that works with it: plain data, told by the spec alone.

/// Something that AWS checks of a role when an object is made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The role, by a text of the spec: a reference, an ARN, or what hands a role on.
    pub role: String,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// That a service, such as `lambda.amazonaws.com`, may take it on.
    Trust(&'static str),
    /// That it is allowed one of some actions.
    Access {
        /// IAM actions, of which one will do.
        any: Vec<&'static str>,
        /// On what, by a text of the spec.
        on: String,
    },
}

impl Demand {
    /// Asks that a service may take on a role.
    pub fn trust(role: impl Into<String>, service: &'static str) -> Self {
        Self { role: role.into(), ask: Ask::Trust(service) }
    }

    /// Asks that a role is allowed one of some actions.
    pub fn access(role: impl Into<String>, any: &[&'static str], on: impl Into<String>) -> Self {
        Self { role: role.into(), ask: Ask::Access { any: any.to_vec(), on: on.into() } }
    }
}

/// A demand that the stack's own policies can never meet, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// Who may not do what.
    pub text: String,
    /// What to write into the stack file.
    pub help: String,
}

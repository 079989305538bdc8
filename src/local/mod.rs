//! An AWS on the user's machine: the services that stack files use, strict, with their state on disk.
//!
//! The local cloud knows nothing of stack files or plans; it sees API calls only, in process through
//! [`connector`] or over a loopback socket through [`listener`]. Most services are a [`Service`], a function of the
//! stored rows and one call; Kinesis and DynamoDB have engines beside the rows, Lambda has the processes of its
//! functions. What moves records by itself is in [`flow`] and makes the same calls as everybody else. Rules come from
//! `facts/aws.md`; where AWS and a convenience conflict, AWS wins.

mod access;
pub(crate) mod amis;
mod analytics;
pub(crate) mod cloud;
mod cloudtrail;
pub(crate) mod connector;
pub(crate) mod constraint;
mod dynamodb;
mod ec2;
mod envelope;
pub(crate) mod flow;
mod happen;
pub(crate) mod iam;
mod kinesis;
mod lambda;
mod limits;
pub(crate) mod listener;
pub(crate) mod logs;
mod pattern;
mod private;
pub(crate) mod protocol;
pub(crate) mod registry;
mod router;
pub(crate) mod settings;
pub(crate) mod sns;
pub(crate) mod ssm;
mod stall;
pub(crate) mod store;
pub(crate) mod sts;
mod tag;
mod tagging;
#[cfg(test)]
mod testing;
pub(crate) mod trouble;

use serde_json::Value;

pub(crate) use cloud::{Cloud, OpenError, Who, reset};
pub(crate) use listener::serve;
pub(crate) use protocol::{Answer, Input, Params, Xml};
pub(crate) use settings::Settings;
pub(crate) use store::Tx;

/// The account number of a caller whose access key does not name one.
pub(crate) const DEFAULT_ACCOUNT: &str = "000000000000";

/// The region of a caller whose request is not signed for one.
pub(crate) const DEFAULT_REGION: &str = "us-east-1";

/// One API call, decoded from whichever wire protocol its service speaks.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Operation as AWS names it, such as `CreateRole`.
    pub(crate) operation: String,
    /// Twelve digits: those of the access key when it is such a number or a session's, else [`DEFAULT_ACCOUNT`].
    pub(crate) account: String,
    /// Region of the credential scope.
    pub(crate) region: String,
    /// Decoded parameters.
    pub(crate) input: Input,
    /// Milliseconds since the epoch at which the call arrived; services take time from here only.
    pub(crate) now: i64,
    /// Milliseconds that a state change takes: a resource made now is ready at `now + delay`.
    pub(crate) delay: i64,
    /// Milliseconds until others see what the call changes in IAM, or makes in EC2; zero: at once.
    pub(crate) lag: i64,
    /// Whether the service that is called takes no new customers.
    pub(crate) retired: bool,
    /// ARN of the role that calls; its policies decide. The account itself, which may do anything, has none.
    pub(crate) role: Option<String>,
    /// Name of the role's session; none when the cloud calls itself for the role.
    pub(crate) session: Option<String>,
    /// Where the caller reached the local cloud, such as `http://127.0.0.1:4566`, for URLs in answers.
    pub(crate) endpoint: String,
}

impl Call {
    /// Makes a call of the default account in us-east-1 that changes state without delay.
    pub(crate) fn new(operation: &str, input: Input, now: i64) -> Self {
        Self {
            operation: operation.to_owned(),
            account: DEFAULT_ACCOUNT.to_owned(),
            region: DEFAULT_REGION.to_owned(),
            input,
            now,
            delay: 0,
            lag: 0,
            retired: false,
            role: None,
            session: None,
            endpoint: "http://127.0.0.1".to_owned(),
        }
    }

    /// Builds the ARN of a regional resource of this caller.
    pub(crate) fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.region, self.account)
    }

    /// Returns the JSON body; a null for calls of the query protocols.
    pub(crate) fn json(&self) -> &Value {
        self.input.json()
    }

    /// Returns the form parameters; none for calls of the JSON protocols.
    pub(crate) fn params(&self) -> &Params {
        self.input.params()
    }
}

/// An error answer, with the code and text that AWS would give.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Fault {
    /// Makes a client error (HTTP 400).
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self::with_status(400, code, message)
    }

    /// Makes an error with another HTTP status.
    pub(crate) fn with_status(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }
}

/// What a service operation gives back.
pub(crate) type Outcome = Result<Answer, Fault>;

/// One AWS service of the local cloud.
///
/// `handle` runs inside one transaction: what it wrote is kept when it answers and dropped when it faults.
pub(crate) trait Service: Send + Sync {
    /// Answers one call; an operation it does not have is [`unknown_operation`].
    fn handle(&self, tx: &mut Tx<'_>, call: &Call) -> Outcome;
}

/// The fault for an operation that a service of the local cloud does not offer.
pub(crate) fn unknown_operation(call: &Call) -> Fault {
    Fault::new("UnknownOperationException", format!("the local cloud has no operation {}", call.operation))
}

#[cfg(test)]
mod tests;

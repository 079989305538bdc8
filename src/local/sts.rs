//! STS: who the caller is.

use super::{Answer, Call, Fault, Outcome, Service, Tx, Xml, unknown_operation};

/// The Security Token Service.
pub(crate) struct Sts;

impl Service for Sts {
    fn handle(&self, _: &mut Tx<'_>, call: &Call) -> Outcome {
        match call.operation.as_str() {
            "GetCallerIdentity" => Ok(Answer::Xml(identity(call))),
            "AssumeRole" => Err(Fault::with_status(403, "AccessDenied", "the local cloud assumes no roles")),
            _ => Err(unknown_operation(call)),
        }
    }
}

fn identity(call: &Call) -> Xml {
    Xml::new()
        .text("Arn", format!("arn:aws:iam::{}:root", call.account))
        .text("UserId", &call.account)
        .text("Account", &call.account)
}

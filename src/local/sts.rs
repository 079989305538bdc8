//! STS: who the caller is, and sessions of roles.
//!
//! Signatures are not verified, but temporary credentials must be ones that were issued here and still hold.

mod assume;
pub(crate) mod key;
pub(crate) mod session;
#[cfg(test)]
mod tests;

use super::constraint::Constraints;
use super::iam::Assumable;
use super::{Answer, Call, DEFAULT_ACCOUNT, Fault, Outcome, Service, Tx, Xml, unknown_operation};

/// The Security Token Service.
pub(crate) struct Sts;

impl Service for Sts {
    fn handle(&self, tx: &mut Tx<'_>, call: &Call) -> Outcome {
        match call.operation.as_str() {
            "GetCallerIdentity" => identity(tx, call),
            "AssumeRole" => assume::assume(tx, call),
            "GetAccessKeyInfo" => key_info(call),
            _ => return Err(unknown_operation(call)),
        }
        .map(Answer::Xml)
    }
}

/// Returns the ARN by which AWS calls the caller.
pub(crate) fn caller_arn(call: &Call) -> String {
    match &call.role {
        Some(role) => session::arn(role, call.session.as_deref().unwrap_or("local")),
        None => format!("arn:aws:iam::{}:root", call.account),
    }
}

fn identity(tx: &Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let role = call.role.as_ref().map(|role| Assumable::find(tx, role)).transpose()?.flatten();
    let id = role.map(|role| format!("{}:{}", role.id, call.session.as_deref().unwrap_or("local")));
    Ok(Xml::new()
        .text("Arn", caller_arn(call))
        .text("UserId", id.as_ref().unwrap_or(&call.account))
        .text("Account", &call.account))
}

fn key_info(call: &Call) -> Result<Xml, Fault> {
    let key = call.params().get("AccessKeyId");
    let mut check = Constraints::new();
    check.required("accessKeyId", key);
    check.length("accessKeyId", key, 16, 128);
    check.done("ValidationError")?;
    let account = key::account(key.unwrap_or_default());
    Ok(Xml::new().text("Account", account.as_deref().unwrap_or(DEFAULT_ACCOUNT)))
}

//! Sessions of roles: the temporary credentials that stand for a role, and who comes with them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::local::iam::{Assumable, account_of};
use crate::local::store::Table;
use crate::local::{Call, Fault, Tx, registry};

use super::key;

/// Sessions by access key.
const SESSIONS: Table = Table::global("sts.session");

/// How long an expired session is remembered, to tell expired credentials from wrong ones.
const REMEMBERED: i64 = 24 * 60 * 60 * 1000;

#[derive(Serialize, Deserialize)]
struct Row {
    role: String,
    /// Unique id of the role: another role of the same name is not the one that was assumed.
    role_id: String,
    name: String,
    token: String,
    /// Milliseconds since the epoch.
    expiration: i64,
}

/// Temporary credentials of a role.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: String,
    /// Milliseconds since the epoch.
    pub(crate) expiration: i64,
}

/// Makes credentials of a role for one of the cloud's own services, such as `lambda.amazonaws.com`, which the
/// role must trust. They end after some seconds.
pub(crate) fn session(
    tx: &mut Tx<'_>,
    call: &Call,
    role_arn: &str,
    service: &str,
    name: &str,
    seconds: i64,
) -> Result<Credentials, Fault> {
    tx.in_account(account_of(role_arn), |tx| {
        let role = Assumable::find(tx, role_arn)?.filter(|role| role.trusts(service));
        let role = role.ok_or_else(|| {
            let text =
                format!("The service {service} is not authorized to perform: sts:AssumeRole on resource: {role_arn}");
            Fault::with_status(403, "AccessDenied", text)
        })?;
        issue(tx, call.now, (role_arn, &role), name, seconds)
    })
}

/// Makes credentials of a role of the transaction's account, whoever asks.
pub(super) fn issue(
    tx: &mut Tx<'_>,
    now: i64,
    (role_arn, role): (&str, &Assumable),
    name: &str,
    seconds: i64,
) -> Result<Credentials, Fault> {
    forget(tx, now)?;
    let chance = || uuid::Uuid::new_v4().into_bytes();
    let credentials = Credentials {
        access_key_id: key::make(account_of(role_arn), u128::from_be_bytes(chance())),
        secret_access_key: STANDARD.encode(&[chance(), chance()].concat()[..30]),
        session_token: STANDARD.encode([chance(), chance(), chance(), chance(), chance(), chance()].concat()),
        expiration: now + seconds * 1000,
    };
    let row = Row {
        role: role_arn.to_owned(),
        role_id: role.id.clone(),
        name: name.to_owned(),
        token: credentials.session_token.clone(),
        expiration: credentials.expiration,
    };
    tx.put(SESSIONS, &credentials.access_key_id, &row)?;
    Ok(credentials)
}

fn forget(tx: &mut Tx<'_>, now: i64) -> Result<(), Fault> {
    let all: Vec<(String, Row)> = tx.list(SESSIONS)?;
    for (key, _) in all.into_iter().filter(|(_, row)| row.expiration + REMEMBERED < now) {
        tx.delete(SESSIONS, &key)?;
    }
    Ok(())
}

/// Who holds temporary credentials.
#[derive(Debug)]
pub(crate) struct Bearer {
    pub(crate) role: String,
    pub(crate) session: String,
}

/// Why temporary credentials are not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There are no such credentials, or their role is gone.
    Invalid,
    Expired,
}

impl Refusal {
    /// Writes the fault in the words of the service that was called.
    pub(crate) fn fault(self, wire: registry::Wire) -> Fault {
        let status = if wire == registry::Wire::Json { 400 } else { 403 };
        match (self, wire) {
            (Self::Invalid, registry::Wire::Ec2) => {
                Fault::with_status(401, "AuthFailure", "AWS was not able to validate the provided access credentials")
            }
            (Self::Expired, registry::Wire::Ec2) => Fault::new("RequestExpired", "Request has expired."),
            (Self::Invalid, _) => {
                let code = if is_query(wire) { "InvalidClientTokenId" } else { "UnrecognizedClientException" };
                Fault::with_status(status, code, "The security token included in the request is invalid.")
            }
            (Self::Expired, _) => {
                let code = if is_query(wire) { "ExpiredToken" } else { "ExpiredTokenException" };
                Fault::with_status(status, code, "The security token included in the request is expired")
            }
        }
    }
}

fn is_query(wire: registry::Wire) -> bool {
    matches!(wire, registry::Wire::Query(_))
}

/// Finds whose credentials these are, in the account that the access key names.
pub(crate) fn bearer(tx: &Tx<'_>, now: i64, key: &str, token: Option<&str>) -> Result<Result<Bearer, Refusal>, Fault> {
    let row: Option<Row> = tx.get(SESSIONS, key)?;
    let Some(row) = row.filter(|row| token == Some(row.token.as_str())) else { return Ok(Err(Refusal::Invalid)) };
    if row.expiration <= now {
        return Ok(Err(Refusal::Expired));
    }
    let role = Assumable::find(tx, &row.role)?.filter(|role| role.id == row.role_id);
    Ok(role.map(|_| Bearer { role: row.role, session: row.name }).ok_or(Refusal::Invalid))
}

/// Returns the ARN of a role's session.
pub(crate) fn arn(role_arn: &str, name: &str) -> String {
    let role = role_arn.rsplit('/').next().unwrap_or_default();
    format!("arn:aws:sts::{}:assumed-role/{role}/{name}", account_of(role_arn))
}

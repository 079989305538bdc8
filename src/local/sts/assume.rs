//! `AssumeRole`: the trust policy decides, and for a role of another account or by way of the account the caller's
//! own policies as well.

use jiff::Timestamp;

use crate::local::constraint::{Charset, Constraints};
use crate::local::iam::{self, Asker, Assumable, Context, Standing};
use crate::local::{Call, Fault, Tx, Xml};

use super::caller_arn;
use super::session::{self, Credentials};

const SESSION_NAME: Charset =
    Charset { pattern: "[\\w+=,.@-]*", allows: |letter| letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter) };

/// Seconds that a session may last which another session asked for.
const LONGEST_CHAINED: i64 = 3600;

/// `AssumeRole`.
pub(super) fn assume(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let wish = Wish::read(call)?;
    let home = iam::account_of(wish.role);
    let role = match tx.in_account(home, |tx| Assumable::find(tx, wish.role))? {
        Some(role) if is_let_in(tx, call, &wish, &role)? => role,
        _ => return Err(denied(call, wish.role)),
    };
    if wish.seconds > role.max_session {
        let text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
        return Err(Fault::new("ValidationError", text));
    }
    let issue = |tx: &mut Tx<'_>| session::issue(tx, call.now, (wish.role, &role), wish.name, wish.seconds);
    let issued = tx.in_account(home, issue)?;
    Ok(answer(&issued, &wish, &role))
}

struct Wish<'a> {
    role: &'a str,
    name: &'a str,
    seconds: i64,
    external: Option<&'a str>,
}

impl<'a> Wish<'a> {
    fn read(call: &'a Call) -> Result<Self, Fault> {
        let fields = call.params();
        let (role, name, external) = (fields.get("RoleArn"), fields.get("RoleSessionName"), fields.get("ExternalId"));
        let seconds = fields.get("DurationSeconds").map(str::parse::<i64>).transpose();
        let seconds = seconds.map_err(|_| Fault::new("ValidationError", "DurationSeconds must be a whole number"))?;
        let mut check = Constraints::new();
        check.required("roleArn", role);
        check.length("roleArn", role, 20, 2048);
        check.required("roleSessionName", name);
        check.length("roleSessionName", name, 2, 64);
        check.charset("roleSessionName", name, SESSION_NAME);
        check.length("externalId", external, 2, 1224);
        check.range("durationSeconds", seconds, 900, 43_200);
        check.done("ValidationError")?;
        refuse_narrowing(call)?;
        let (role, name) = (role.unwrap_or_default(), name.unwrap_or_default());
        if !role.starts_with("arn:aws:iam::") || !role.contains(":role/") {
            return Err(Fault::new("ValidationError", format!("{role} is invalid")));
        }
        let seconds = seconds.unwrap_or(3600);
        if call.role.is_some() && seconds > LONGEST_CHAINED {
            let text =
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
            return Err(Fault::new("ValidationError", text));
        }
        Ok(Self { role, name, seconds, external })
    }

    fn context(&self) -> Context {
        let mut context = Context::from([("sts:rolesessionname".to_owned(), vec![self.name.to_owned()])]);
        context.extend(self.external.map(|id| ("sts:externalid".to_owned(), vec![id.to_owned()])));
        context
    }
}

/// Session policies and tags would narrow or colour the session: to leave them out would give more than was asked for.
fn refuse_narrowing(call: &Call) -> Result<(), Fault> {
    let fields = call.params();
    let lists = ["PolicyArns", "Tags", "TransitiveTagKeys"];
    let used = fields.get("Policy").is_some() || lists.iter().any(|name| !fields.list(name).is_empty());
    match used {
        true => Err(Fault::new("ValidationError", "the local cloud has no session policies and no session tags")),
        false => Ok(()),
    }
}

fn is_let_in(tx: &Tx<'_>, call: &Call, wish: &Wish<'_>, role: &Assumable) -> Result<bool, Fault> {
    let context = wish.context();
    let Some(caller) = &call.role else {
        return Ok(role.standing(Asker::Account(&call.account), &context) == Standing::ByName);
    };
    let session = caller_arn(call);
    let asker = Asker::Role { arn: caller, session: &session };
    match role.standing(asker, &context) {
        Standing::ByName if iam::account_of(wish.role) == call.account => Ok(true),
        Standing::ByName | Standing::ByAccount => iam::role_allows(tx, caller, "sts:AssumeRole", wish.role),
        Standing::Silent | Standing::Denied => Ok(false),
    }
}

fn denied(call: &Call, role: &str) -> Fault {
    let text = format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {role}", caller_arn(call));
    Fault::with_status(403, "AccessDenied", text)
}

fn answer(issued: &Credentials, wish: &Wish<'_>, role: &Assumable) -> Xml {
    let expiration = Timestamp::from_second(issued.expiration.div_euclid(1000)).unwrap_or(Timestamp::UNIX_EPOCH);
    let credentials = Xml::new()
        .text("AccessKeyId", &issued.access_key_id)
        .text("SecretAccessKey", &issued.secret_access_key)
        .text("SessionToken", &issued.session_token)
        .text("Expiration", expiration);
    let user = Xml::new()
        .text("AssumedRoleId", format!("{}:{}", role.id, wish.name))
        .text("Arn", session::arn(wish.role, wish.name));
    Xml::new().node("Credentials", credentials).node("AssumedRoleUser", user)
}

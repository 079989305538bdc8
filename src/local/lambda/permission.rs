//! The resource policy of functions: who may invoke them.

use serde_json::{Value, json};

use super::super::{Answer, Call, Fault, Outcome, Tx};
use super::function::{FUNCTIONS, Function, load};
use super::{conflict, constraint, not_found, required, text};

const LARGEST_POLICY: usize = 20_480;

/// `AddPermission`.
pub(super) fn add(tx: &mut Tx<'_>, call: &Call, given: &str) -> Outcome {
    let mut function = load(tx, call, given)?;
    let id = required(call.json(), "StatementId")?;
    if id.is_empty() || id.len() > 100 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    {
        return Err(constraint(
            &format!("Value '{id}' at 'statementId'"),
            "Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)",
        ));
    }
    if function.statements.iter().any(|statement| text(statement, "Sid") == Some(id)) {
        return Err(conflict(format!(
            "The statement id ({id}) provided already exists. Please provide a new statement id, or remove the existing statement."
        )));
    }
    let statement = statement(call, &function, id)?;
    function.statements.push(statement.clone());
    if policy(&function).len() > LARGEST_POLICY {
        let text = format!("The final policy size is bigger than the limit ({LARGEST_POLICY}).");
        return Err(Fault::new("PolicyLengthExceededException", text));
    }
    save(tx, function)?;
    Ok(Answer::Json(201, json!({ "Statement": statement.to_string() })))
}

fn statement(call: &Call, function: &Function, id: &str) -> Result<Value, Fault> {
    let body = call.json();
    let (action, principal) = (required(body, "Action")?, required(body, "Principal")?);
    let known = action == "*" || action.strip_prefix("lambda:").is_some_and(|rest| !rest.is_empty());
    if !known {
        return Err(constraint(
            &format!("Value '{action}' at 'action'"),
            "Member must satisfy regular expression pattern: (lambda:[*]|lambda:[a-zA-Z]+|[*])",
        ));
    }
    let mut statement = json!({
        "Sid": id, "Effect": "Allow", "Principal": principal_of(principal), "Action": action, "Resource": function.arn,
    });
    let source = text(body, "SourceArn");
    for (field, operator, key) in [
        ("SourceAccount", "StringEquals", "AWS:SourceAccount"),
        ("SourceArn", "ArnLike", "AWS:SourceArn"),
        ("PrincipalOrgID", "StringEquals", "aws:PrincipalOrgID"),
        ("FunctionUrlAuthType", "StringEquals", "lambda:FunctionUrlAuthType"),
        ("EventSourceToken", "StringEquals", "lambda:EventSourceToken"),
    ] {
        if let Some(value) = text(body, field) {
            statement["Condition"][operator][key] = json!(value);
        }
    }
    if source.is_some_and(|source| !source.starts_with("arn:")) {
        return Err(constraint("Value at 'sourceArn'", "Member must be an ARN"));
    }
    Ok(statement)
}

/// Writes a principal as the policy shows it: a service, an account's root, an ARN, or everyone.
fn principal_of(principal: &str) -> Value {
    if principal == "*" {
        return json!("*");
    }
    if principal.len() == 12 && principal.bytes().all(|byte| byte.is_ascii_digit()) {
        return json!({ "AWS": format!("arn:aws:iam::{principal}:root") });
    }
    if principal.starts_with("arn:") { json!({ "AWS": principal }) } else { json!({ "Service": principal }) }
}

fn policy(function: &Function) -> String {
    json!({ "Version": "2012-10-17", "Id": "default", "Statement": function.statements }).to_string()
}

/// Returns the resource policy of a function; none when it has no statements or is not there.
pub(crate) fn of_function(tx: &Tx<'_>, name: &str) -> Result<Option<Value>, Fault> {
    let function: Option<Function> = tx.get(FUNCTIONS, name)?;
    let function = function.filter(|function| !function.statements.is_empty());
    Ok(function.map(|function| json!({ "Version": "2012-10-17", "Statement": function.statements })))
}

fn save(tx: &mut Tx<'_>, mut function: Function) -> Result<(), Fault> {
    function.policy_revision = uuid::Uuid::new_v4().to_string();
    function.save(tx)
}

/// `GetPolicy`: a function without statements has no policy.
pub(super) fn get(tx: &mut Tx<'_>, call: &Call, given: &str) -> Outcome {
    let function = load(tx, call, given)?;
    if function.statements.is_empty() {
        return Err(not_found("The resource you requested does not exist."));
    }
    Ok(Answer::json(json!({ "Policy": policy(&function), "RevisionId": function.policy_revision })))
}

/// `RemovePermission`.
pub(super) fn remove(tx: &mut Tx<'_>, call: &Call, given: &str, id: &str) -> Outcome {
    let mut function = load(tx, call, given)?;
    let before = function.statements.len();
    function.statements.retain(|statement| text(statement, "Sid") != Some(id));
    if function.statements.len() == before {
        return Err(not_found(format!("Statement {id} is not found in resource policy.")));
    }
    save(tx, function)?;
    Ok(Answer::Json(204, Value::Null))
}

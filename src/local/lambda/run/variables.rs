//! The environment of a function's process.

use std::path::Path;

use super::subject::Subject;
use crate::local::{Cloud, Fault, sts};

/// Where a function is sent that calls AWS while the cloud cannot be reached: botocore shows it in its error.
const NOWHERE: &str = "http://127.0.0.1:1/start-stackctl-local-serve-for-functions-that-call-AWS";

/// Seconds for which the keys are good: longer than any process and its last event live.
const LIFE: i64 = 3600 * 2;

/// Keys with which a function calls the cloud.
pub(super) struct Keys {
    id: String,
    secret: String,
    token: String,
}

/// Makes the keys of a function's role, which Lambda must be able to assume.
pub(super) fn keys(cloud: &Cloud, subject: &Subject) -> Result<Keys, Fault> {
    let call = subject.call("AssumeRole");
    let keys = cloud.rows().transaction(&call, |tx| {
        sts::session::session(tx, &call, &subject.role, "lambda.amazonaws.com", &subject.name, LIFE)
    });
    let keys = keys.map_err(|fault| match fault.code.as_str() {
        "AccessDenied" => {
            let text = "The role defined for the function cannot be assumed by Lambda.";
            Fault::with_status(403, "AccessDeniedException", text)
        }
        _ => fault,
    })?;
    Ok(Keys { id: keys.access_key_id, secret: keys.secret_access_key, token: keys.session_token })
}

/// Lists the variables; the function's own come last and win, as far as their names are not reserved.
pub(super) fn list(
    subject: &Subject,
    stream: &str,
    task: &Path,
    endpoint: Option<&str>,
    keys: Keys,
) -> Vec<(String, String)> {
    let mut all: Vec<(&str, String)> = vec![
        ("LANG", "en_US.UTF-8".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("PATH", std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned())),
        ("_HANDLER", subject.handler.clone()),
        ("LAMBDA_TASK_ROOT", task.display().to_string()),
        ("AWS_REGION", subject.region.clone()),
        ("AWS_DEFAULT_REGION", subject.region.clone()),
        ("AWS_EXECUTION_ENV", format!("AWS_Lambda_{}", subject.runtime)),
        ("AWS_ACCESS_KEY_ID", keys.id),
        ("AWS_SECRET_ACCESS_KEY", keys.secret),
        ("AWS_SESSION_TOKEN", keys.token),
        ("AWS_ENDPOINT_URL", endpoint.unwrap_or(NOWHERE).to_owned()),
        // Nothing of the user's own AWS configuration may reach the function.
        ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", subject.name.clone()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", subject.memory.to_string()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", subject.logging.group.clone()),
        ("AWS_LAMBDA_LOG_STREAM_NAME", stream.to_owned()),
        ("AWS_LAMBDA_LOG_FORMAT", if subject.logging.json { "JSON" } else { "Text" }.to_owned()),
    ];
    if endpoint.is_none() {
        all.push(("AWS_MAX_ATTEMPTS", "1".to_owned()));
    }
    if subject.logging.json {
        all.push(("AWS_LAMBDA_LOG_LEVEL", subject.logging.application.clone()));
    }
    let own = subject.variables.iter().cloned();
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(own).collect()
}

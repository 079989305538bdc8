//! Things that happen by themselves, on request through the page `/_local/happen`.
//!
//! `POST happen` takes `{"what": …, "to": …}`, with `account` and `region` where they are not the usual ones. `what` is
//! `spot-interruption` or `instance-failure` (to the id of an instance), `function-failure` or `function-idle` (to a
//! name), `application-stop` (to a name) or `mapping-disabled` (to the UUID of a mapping). It knows the services'
//! words for these things, not how they keep their rows.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, Cloud, DEFAULT_ACCOUNT, DEFAULT_REGION, Fault, Input, Tx, analytics, ec2, lambda};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    what: What,
    to: String,
    #[serde(default = "account")]
    account: String,
    #[serde(default = "region")]
    region: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    SpotInterruption,
    InstanceFailure,
    FunctionFailure,
    FunctionIdle,
    ApplicationStop,
    MappingDisabled,
}

fn account() -> String {
    DEFAULT_ACCOUNT.to_owned()
}

fn region() -> String {
    DEFAULT_REGION.to_owned()
}

impl What {
    fn service(self) -> &'static str {
        match self {
            Self::SpotInterruption | Self::InstanceFailure => "ec2",
            Self::FunctionFailure | Self::FunctionIdle | Self::MappingDisabled => "lambda",
            Self::ApplicationStop => "kinesisanalytics",
        }
    }

    fn happen(self, tx: &mut Tx<'_>, call: &Call, to: &str) -> Result<(), Fault> {
        match self {
            Self::SpotInterruption => ec2::reclaim(tx, call, to),
            Self::InstanceFailure => ec2::fail(tx, call, to),
            Self::FunctionFailure => lambda::fail(tx, call, to),
            Self::FunctionIdle => lambda::idle(tx, call, to),
            Self::ApplicationStop => analytics::halt(tx, call, to),
            Self::MappingDisabled => lambda::disable(tx, call, to),
        }
    }
}

/// Lets something happen, or says why it cannot.
pub(super) fn page(cloud: &Cloud, body: &[u8]) -> Result<Value, String> {
    let event: Event = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut call = Call::new("Happen", Input::Json(Value::Null), jiff::Timestamp::now().as_millisecond());
    (call.account, call.region) = (event.account, event.region);
    call.delay = cloud.delay_of(event.what.service());
    let happened = cloud.rows().transaction(&call, |tx| event.what.happen(tx, &call, &event.to));
    happened.map_err(|fault| format!("{}: {}", fault.code, fault.message))?;
    Ok(json!({ "happened": event.to }))
}

//! Messages on their way to functions: written down with the publication, and struck out when they have arrived.
//!
//! It does not deliver them itself; what moves records does (`flow::topic`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::local::store::Table;
use crate::local::{Call, Fault, Params, Tx};

use super::outbox::{self, Sent};
use super::subscription::Subscription;

/// Deliveries by their identifier, which begins with the time.
pub(crate) const DELIVERIES: Table = Table::regional("sns.delivery");

/// One message on its way to one function.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    pub(crate) topic: String,
    /// ARN of the function.
    pub(crate) function: String,
    /// What the function gets.
    pub(crate) event: Value,
    /// Attempts so far.
    pub(crate) attempts: u32,
    /// Milliseconds since the epoch before which it is not tried again.
    pub(crate) due: i64,
}

/// Notes a message for a function.
pub(super) fn note(
    tx: &mut Tx<'_>,
    call: &Call,
    subscription: &Subscription,
    fields: &Params,
    (id, text): (&str, &str),
) -> Result<(), Fault> {
    let delivery = Delivery {
        id: format!("{:015}-{}", call.now, uuid::Uuid::new_v4()),
        topic: subscription.topic.clone(),
        function: subscription.endpoint.clone(),
        event: event(call, subscription, fields, (id, text)),
        attempts: 0,
        due: call.now,
    };
    tx.put(DELIVERIES, &delivery.id, &delivery)
}

/// Builds what SNS hands to functions. Nobody signs here, so there is nothing true to say in the signature.
fn event(call: &Call, subscription: &Subscription, fields: &Params, (id, text): (&str, &str)) -> Value {
    let time = jiff::Timestamp::from_millisecond(call.now).unwrap_or_default();
    json!({ "Records": [{
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription.arn,
        "Sns": {
            "Type": "Notification",
            "MessageId": id,
            "TopicArn": subscription.topic,
            "Subject": fields.get("Subject"),
            "Message": text,
            "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
            "SignatureVersion": "1",
            "Signature": "",
            "SigningCertUrl": "",
            "UnsubscribeUrl":
                format!("{}/?Action=Unsubscribe&SubscriptionArn={}", call.endpoint, subscription.arn),
            "MessageAttributes": attributes(fields),
        },
    }]})
}

fn attributes(fields: &Params) -> Map<String, Value> {
    let all = fields.list("MessageAttributes").into_iter().filter_map(|entry| {
        let value = entry.get("Value.StringValue").or_else(|| entry.get("Value.BinaryValue"))?;
        let value = json!({ "Type": entry.get("Value.DataType")?, "Value": value });
        Some((entry.get("Name")?.to_owned(), value))
    });
    all.collect()
}

/// Strikes out a delivery that has arrived.
pub(crate) fn arrived(tx: &mut Tx<'_>, delivery: &Delivery) -> Result<(), Fault> {
    tx.delete(DELIVERIES, &delivery.id).map(|_| ())
}

/// Notes that a delivery has to be tried again later.
pub(crate) fn put_off(tx: &mut Tx<'_>, delivery: &Delivery, due: i64) -> Result<(), Fault> {
    let later = Delivery { attempts: delivery.attempts + 1, due, ..delivery.clone() };
    tx.put(DELIVERIES, &delivery.id, &later)
}

/// Gives a delivery up: its message goes to the outbox with the reason.
pub(crate) fn give_up(tx: &mut Tx<'_>, call: &Call, delivery: &Delivery, reason: &str) -> Result<(), Fault> {
    let message = &delivery.event["Records"][0]["Sns"];
    let text = message["Message"].as_str().unwrap_or_default();
    let sent = Sent::new(&delivery.topic, "lambda", &delivery.function, message["Subject"].as_str(), text);
    outbox::keep(tx, call, &Sent { undelivered: Some(reason.to_owned()), ..sent })?;
    arrived(tx, delivery)
}

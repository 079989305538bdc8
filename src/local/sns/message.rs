//! Publishing: messages are checked and filtered; those for functions are noted for delivery, all others are kept in
//! the outbox. Nothing leaves the machine.

use serde_json::{Map, Value};

use crate::local::{Call, Fault, Params, Tx, Xml};

use super::outbox::{Sent, keep};
use super::topic::{self, Topic};
use super::{Operation, delivery, endpoint, filter, invalid, subscription};

const MOST_BYTES: usize = 262_144;

pub(super) const OPERATIONS: &[(&str, Operation)] = &[("Publish", publish), ("PublishBatch", publish_batch)];

fn publish(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let fields = call.params();
    let targets: Vec<_> =
        ["TopicArn", "TargetArn", "PhoneNumber"].into_iter().filter(|name| fields.get(name).is_some()).collect();
    let [target] = targets.as_slice() else {
        return Err(invalid("TopicArn or TargetArn or PhoneNumber Reason: exactly one of them is required"));
    };
    check(fields)?;
    if *target != "PhoneNumber" {
        let topic = topic::named(tx, call, target)?;
        return deliver(tx, call, &topic, fields);
    }
    let phone = fields.get("PhoneNumber").unwrap_or_default();
    if !endpoint::is_phone(phone) {
        return Err(invalid(format!("PhoneNumber Reason: {phone} is not valid to publish to")));
    }
    let text = for_protocol(fields, "sms");
    let sent = Sent { topic: None, ..Sent::new("", "sms", phone, None, &text) };
    keep(tx, call, &sent)?;
    Ok(Xml::new().text("MessageId", uuid::Uuid::new_v4()))
}

fn check(fields: &Params) -> Result<(), Fault> {
    let message = fields.get("Message").unwrap_or_default();
    if message.is_empty() {
        return Err(invalid("Empty message"));
    }
    if message.len() > MOST_BYTES {
        return Err(invalid("Message too long"));
    }
    if let Some(subject) = fields.get("Subject")
        && (subject.is_empty() || subject.chars().count() > 100 || subject.contains(|letter: char| letter.is_control()))
    {
        return Err(invalid("Subject"));
    }
    match fields.get("MessageStructure") {
        None => Ok(()),
        Some("json") => match serde_json::from_str(message) {
            Ok(Value::Object(texts)) if texts.get("default").is_some_and(Value::is_string) => Ok(()),
            Ok(Value::Object(_)) => Err(invalid("Message Structure - No default entry in JSON message body")),
            _ => Err(invalid("Message Structure - JSON message body failed to parse")),
        },
        Some(_) => Err(invalid("MessageStructure")),
    }
}

/// Returns the text for a protocol: with `MessageStructure=json` each may have its own.
fn for_protocol(fields: &Params, protocol: &str) -> String {
    let message = fields.get("Message").unwrap_or_default();
    if fields.get("MessageStructure") != Some("json") {
        return message.to_owned();
    }
    let texts: Value = serde_json::from_str(message).unwrap_or_default();
    let text = texts.get(protocol).or_else(|| texts.get("default"));
    text.and_then(Value::as_str).unwrap_or(message).to_owned()
}

fn deliver(tx: &mut Tx<'_>, call: &Call, topic: &Topic, fields: &Params) -> Result<Xml, Fault> {
    check_order(topic, fields)?;
    let attributes = attributes(fields)?;
    let id = uuid::Uuid::new_v4().to_string();
    for (_, subscription) in subscription::of_topic(tx, &topic.arn)? {
        let text = for_protocol(fields, &subscription.protocol);
        if subscription.token.is_some() || !filter::passes(&subscription.attributes, &text, &attributes) {
            continue;
        }
        if subscription.protocol == "lambda" {
            delivery::note(tx, call, &subscription, fields, (&id, &text))?;
        } else {
            let (protocol, place) = (&subscription.protocol, &subscription.endpoint);
            keep(tx, call, &Sent::new(&topic.arn, protocol, place, fields.get("Subject"), &text))?;
        }
    }
    let number = topic.is_fifo().then(|| format!("{:020}", call.now));
    Ok(Xml::new().text("MessageId", id).maybe("SequenceNumber", number))
}

fn check_order(topic: &Topic, fields: &Params) -> Result<(), Fault> {
    if !topic.is_fifo() {
        return Ok(());
    }
    if fields.get("MessageGroupId").is_none() {
        return Err(invalid("The MessageGroupId parameter is required for FIFO topics"));
    }
    let by_content = topic.attributes.get("ContentBasedDeduplication").is_some_and(|value| value == "true");
    if !by_content && fields.get("MessageDeduplicationId").is_none() {
        let text = "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided \
                    explicitly";
        return Err(invalid(text));
    }
    Ok(())
}

fn attributes(fields: &Params) -> Result<Map<String, Value>, Fault> {
    let mut all = Map::new();
    for entry in fields.list("MessageAttributes") {
        let name = entry.get("Name").ok_or_else(|| invalid("MessageAttributes Reason: an attribute has no name"))?;
        let kind = entry.get("Value.DataType").unwrap_or_default();
        let text = entry.get("Value.StringValue").or_else(|| entry.get("Value.BinaryValue"));
        let wrong = || {
            let code = "ParameterValueInvalid";
            Fault::new(
                code,
                format!("The message attribute '{name}' must contain a value that fits its type '{kind}'."),
            )
        };
        let text = text.filter(|text| !text.is_empty()).ok_or_else(wrong)?;
        let value = match kind.split('.').collect::<Vec<_>>().as_slice() {
            ["Number", ..] => {
                serde_json::from_str::<serde_json::Number>(text).map(Value::Number).map_err(|_| wrong())?
            }
            ["String", "Array"] => serde_json::from_str(text).map_err(|_| wrong())?,
            ["String" | "Binary", ..] => Value::String(text.to_owned()),
            _ => return Err(wrong()),
        };
        all.insert(name.to_owned(), value);
    }
    Ok(all)
}

fn publish_batch(tx: &mut Tx<'_>, call: &Call) -> Result<Xml, Fault> {
    let topic = topic::named(tx, call, "TopicArn")?;
    let entries = call.params().list("PublishBatchRequestEntries");
    if entries.is_empty() {
        return Err(Fault::new("EmptyBatchRequest", "The batch request doesn't contain any entries."));
    }
    if entries.len() > 10 {
        let text = "The batch request contains more entries than permissible.";
        return Err(Fault::new("TooManyEntriesInBatchRequest", text));
    }
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for entry in &entries {
        let id = entry.get("Id").unwrap_or_default();
        match check(entry).and_then(|()| deliver(tx, call, &topic, entry)) {
            Ok(sent) => good.push(Xml::new().text("Id", id).and(sent)),
            Err(fault) => {
                let answer = Xml::new().text("Id", id).text("Code", fault.code).text("Message", fault.message);
                bad.push(answer.text("SenderFault", true));
            }
        }
    }
    Ok(Xml::new().list("Successful", "member", good).list("Failed", "member", bad))
}

#[cfg(test)]
mod tests {
    use super::super::outbox::OUTBOX;
    use super::super::testing::{Bench, TOPIC};
    use super::*;

    fn outbox(bench: &Bench) -> Vec<Sent> {
        let kept: Vec<(String, Sent)> = bench.read(|tx| tx.list(OUTBOX));
        kept.into_iter().map(|(_, sent)| sent).collect()
    }

    fn with_subscribers() -> Bench {
        let bench = Bench::with_topic();
        let topic = ("TopicArn", TOPIC);
        bench.ok("Subscribe", &[topic, ("Protocol", "sms"), ("Endpoint", "+12025550123")]);
        bench.ok("Subscribe", &[topic, ("Protocol", "sqs"), ("Endpoint", "arn:aws:sqs:us-east-1:000000000000:q")]);
        bench
    }

    #[test]
    fn each_subscriber_gets_the_message_for_its_protocol() {
        let bench = with_subscribers();
        let text = r#"{"default":"long","sms":"short"}"#;
        let fields = [("TopicArn", TOPIC), ("Message", text), ("MessageStructure", "json"), ("Subject", "s")];
        assert!(bench.ok("Publish", &fields).starts_with("<MessageId>"));
        let mut sent: Vec<_> = outbox(&bench).into_iter().map(|sent| (sent.protocol, sent.message)).collect();
        sent.sort();
        assert_eq!(sent, [("sms".into(), "short".into()), ("sqs".into(), "long".into())]);
    }

    #[test]
    fn a_message_for_a_function_is_noted_as_the_function_will_see_it() {
        let bench = Bench::with_topic();
        let function = "arn:aws:lambda:us-east-1:000000000000:function:f";
        bench.ok("Subscribe", &[("TopicArn", TOPIC), ("Protocol", "lambda"), ("Endpoint", function)]);
        let fields = [
            ("TopicArn", TOPIC),
            ("Message", r#"{"default":"all","lambda":"mine"}"#),
            ("MessageStructure", "json"),
            ("MessageAttributes.entry.1.Name", "n"),
            ("MessageAttributes.entry.1.Value.DataType", "Number"),
            ("MessageAttributes.entry.1.Value.StringValue", "1"),
        ];
        let answer = bench.ok("Publish", &fields);
        let noted: Vec<(String, delivery::Delivery)> = bench.read(|tx| tx.list(delivery::DELIVERIES));
        let [(_, noted)] = noted.as_slice() else { panic!("{noted:?}") };
        assert_eq!(noted.function, function);
        let message = &noted.event["Records"][0]["Sns"];
        assert!(answer.contains(message["MessageId"].as_str().unwrap()), "{answer}");
        assert_eq!((&message["Message"], &message["TopicArn"]), (&"mine".into(), &TOPIC.into()));
        assert_eq!(message["Timestamp"], "2026-05-28T20:26:40.000Z");
        assert_eq!(message["MessageAttributes"], serde_json::json!({"n": {"Type": "Number", "Value": "1"}}));
        assert!(outbox(&bench).is_empty());
    }

    #[test]
    fn filters_keep_messages_back() {
        let bench = Bench::with_topic();
        let filter = [
            ("Attributes.entry.1.key", "FilterPolicy"),
            ("Attributes.entry.1.value", r#"{"cost":[{"numeric":["<",10]}]}"#),
        ];
        let sms = [("TopicArn", TOPIC), ("Protocol", "sms"), ("Endpoint", "+12025550123")];
        bench.ok("Subscribe", &[&sms[..], &filter].concat());
        let publish = |cost: &str| {
            bench.ok(
                "Publish",
                &[
                    ("TopicArn", TOPIC),
                    ("Message", "m"),
                    ("MessageAttributes.entry.1.Name", "cost"),
                    ("MessageAttributes.entry.1.Value.DataType", "Number"),
                    ("MessageAttributes.entry.1.Value.StringValue", cost),
                ],
            )
        };
        publish("11");
        assert!(outbox(&bench).is_empty());
        publish("9");
        assert_eq!(outbox(&bench).len(), 1);
    }

    #[test]
    fn a_phone_gets_a_message_without_a_topic() {
        let bench = Bench::new();
        bench.ok("Publish", &[("PhoneNumber", "+12025550123"), ("Message", "hi")]);
        let sent = outbox(&bench);
        assert_eq!((sent[0].topic.as_ref(), sent[0].endpoint.as_str()), (None, "+12025550123"));
        assert_eq!(bench.code("Publish", &[("PhoneNumber", "123"), ("Message", "hi")]), "InvalidParameter");
    }

    #[test]
    fn broken_messages_are_refused() {
        let bench = with_subscribers();
        let code = |fields: &[(&str, &str)]| bench.code("Publish", &[&[("TopicArn", TOPIC)], fields].concat());
        assert_eq!(code(&[("Message", "")]), "InvalidParameter");
        assert_eq!(code(&[("Message", &"x".repeat(MOST_BYTES + 1))]), "InvalidParameter");
        assert_eq!(code(&[("Message", "m"), ("Subject", &"s".repeat(101))]), "InvalidParameter");
        assert_eq!(code(&[("Message", "{}"), ("MessageStructure", "json")]), "InvalidParameter");
        assert_eq!(code(&[("Message", "m"), ("PhoneNumber", "+12025550123")]), "InvalidParameter");
        let attribute =
            [("MessageAttributes.entry.1.Name", "n"), ("MessageAttributes.entry.1.Value.DataType", "Number")];
        let wrong =
            [&[("Message", "m")], &attribute[..], &[("MessageAttributes.entry.1.Value.StringValue", "x")]].concat();
        assert_eq!(code(&wrong), "ParameterValueInvalid");
        assert_eq!(bench.code("Publish", &[("TopicArn", &format!("{TOPIC}x")), ("Message", "m")]), "NotFound");
        assert!(outbox(&bench).is_empty());
    }

    #[test]
    fn ordered_topics_want_a_group_and_an_id() {
        let bench = Bench::new();
        bench.ok(
            "CreateTopic",
            &[("Name", "t.fifo"), ("Attributes.entry.1.key", "FifoTopic"), ("Attributes.entry.1.value", "true")],
        );
        let arn = format!("{TOPIC}.fifo");
        let start = [("TopicArn", arn.as_str()), ("Message", "m")];
        assert_eq!(bench.code("Publish", &start), "InvalidParameter");
        let group = [start[0], start[1], ("MessageGroupId", "g")];
        assert_eq!(bench.code("Publish", &group), "InvalidParameter");
        let whole = [&group[..], &[("MessageDeduplicationId", "d")]].concat();
        assert!(bench.ok("Publish", &whole).contains("SequenceNumber"));
    }

    #[test]
    fn a_batch_tells_good_from_bad() {
        let bench = with_subscribers();
        let fields = [
            ("TopicArn", TOPIC),
            ("PublishBatchRequestEntries.member.1.Id", "a"),
            ("PublishBatchRequestEntries.member.1.Message", "m"),
            ("PublishBatchRequestEntries.member.2.Id", "b"),
            ("PublishBatchRequestEntries.member.2.Message", ""),
        ];
        let answer = bench.ok("PublishBatch", &fields);
        assert!(
            answer.contains("<Successful><member><Id>a</Id>") && answer.contains("<Failed><member><Id>b</Id>"),
            "{answer}"
        );
        assert_eq!(bench.code("PublishBatch", &fields[..1]), "EmptyBatchRequest");
    }
}

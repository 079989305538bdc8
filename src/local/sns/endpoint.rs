//! Which endpoints a protocol takes, and which of them have to confirm a subscription.

use crate::local::{Call, Fault};

use super::invalid;
use super::topic::{Topic, is_fifo_name};

/// Checks protocol and endpoint of a subscription to this topic.
pub(super) fn check(topic: &Topic, protocol: &str, endpoint: &str) -> Result<(), Fault> {
    let protocols = ["http", "https", "email", "email-json", "sms", "sqs", "application", "lambda", "firehose"];
    if !protocols.contains(&protocol) {
        return Err(invalid(format!("Amazon SNS does not support this protocol string: {protocol}")));
    }
    if topic.is_fifo() && protocol != "sqs" {
        return Err(invalid(format!("Protocol Reason: FIFO topics do not support the protocol {protocol}")));
    }
    match protocol {
        "sms" if !is_phone(endpoint) => Err(invalid(format!("Invalid SMS endpoint: {endpoint}"))),
        "email" | "email-json" if !is_email(endpoint) => Err(invalid("Email address")),
        "http" | "https" if !is_url(protocol, endpoint) => {
            Err(invalid("Endpoint Reason: Endpoint must match the specified protocol"))
        }
        "sqs" => queue(topic, endpoint),
        "lambda" if !is_arn(endpoint, "lambda", "function:") => Err(invalid("Lambda endpoint ARN")),
        "firehose" if !is_arn(endpoint, "firehose", "deliverystream/") => Err(invalid("Firehose endpoint ARN")),
        "application" => Err(invalid(format!("Application endpoint arn invalid:{endpoint}"))),
        _ => Ok(()),
    }
}

/// Tells whether a text is a phone number in the form E.164.
pub(super) fn is_phone(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
}

fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.split_once('@') else { return false };
    let host_letter = |letter: char| letter.is_ascii_alphanumeric() || ".-".contains(letter);
    let plain = |letter: char| letter.is_ascii_graphic() && !"@<>(),;:\\\"[]".contains(letter);
    let dotted = host.contains('.') && !host.starts_with('.') && !host.ends_with('.');
    !name.is_empty() && name.chars().all(plain) && dotted && host.chars().all(host_letter)
}

fn is_url(protocol: &str, text: &str) -> bool {
    let host = text.strip_prefix(protocol).and_then(|rest| rest.strip_prefix("://"));
    let host = host.map(|rest| rest.split(['/', '?', '#', ':']).next().unwrap_or_default());
    host.is_some_and(|host| !host.is_empty()) && text.chars().all(|letter| letter.is_ascii_graphic())
}

fn is_arn(text: &str, service: &str, resource: &str) -> bool {
    let parts: Vec<_> = text.splitn(6, ':').collect();
    let ["arn", _, found, region, account, name] = parts.as_slice() else { return false };
    let digits = account.len() == 12 && account.bytes().all(|digit| digit.is_ascii_digit());
    let named = name.strip_prefix(resource).is_some_and(|name| !name.is_empty());
    *found == service && !region.is_empty() && digits && named
}

/// Tells whether a text is the ARN of a queue.
pub(super) fn is_queue(text: &str) -> bool {
    is_arn(text, "sqs", "") && text.split(':').count() == 6
}

fn queue(topic: &Topic, endpoint: &str) -> Result<(), Fault> {
    if !is_queue(endpoint) {
        return Err(invalid("SQS endpoint ARN"));
    }
    if is_fifo_name(endpoint) && !topic.is_fifo() {
        let text = "Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics";
        return Err(invalid(format!("Invalid parameter: {text}")));
    }
    Ok(())
}

/// Tells whether somebody at the endpoint has to confirm: mail boxes, web servers, queues of others.
pub(super) fn must_confirm(call: &Call, protocol: &str, endpoint: &str) -> bool {
    match protocol {
        "email" | "email-json" | "http" | "https" => true,
        "sqs" => endpoint.split(':').nth(4) != Some(call.account.as_str()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Bench, TOPIC};
    use super::*;
    use crate::local::testing::QueryBench;

    fn subscribed(protocol: &str, endpoint: &str) -> bool {
        let fields = [("TopicArn", TOPIC), ("Protocol", protocol), ("Endpoint", endpoint)];
        match Bench::with_topic().run("Subscribe", &fields) {
            Ok(_) => true,
            Err(fault) => {
                assert_eq!(fault.code, "InvalidParameter");
                false
            }
        }
    }

    #[test]
    fn each_protocol_has_its_endpoints() {
        for (protocol, endpoint) in [
            ("sms", "+12025550123"),
            ("email", "a.b+c@example.com"),
            ("email-json", "a@example.com"),
            ("http", "http://example.com/path?x=1"),
            ("https", "https://example.com:8443"),
            ("sqs", "arn:aws:sqs:us-east-1:000000000000:queue"),
            ("lambda", "arn:aws:lambda:us-east-1:000000000000:function:f"),
        ] {
            assert!(subscribed(protocol, endpoint), "{protocol} {endpoint}");
        }
        for (protocol, endpoint) in [
            ("sms", "hello"),
            ("sms", "12025550123"),
            ("sms", "+02025550123"),
            ("sms", "+1234567890123456"),
            ("email", "nobody"),
            ("email", "a@b"),
            ("http", "https://example.com"),
            ("https", "https://"),
            ("sqs", "https://sqs.us-east-1.amazonaws.com/000000000000/queue"),
            ("sqs", "arn:aws:sqs:us-east-1:000000000000:queue.fifo"),
            ("lambda", "arn:aws:lambda:us-east-1:000000000000:layer:f"),
            ("application", "arn:aws:sns:us-east-1:000000000000:endpoint/GCM/a/b"),
            ("firehose", "arn:aws:firehose:us-east-1:000000000000:deliverystream/d"),
            ("pigeon", "+12025550123"),
        ] {
            assert!(!subscribed(protocol, endpoint), "{protocol} {endpoint}");
        }
    }

    #[test]
    fn endpoints_of_others_must_confirm() {
        let call = QueryBench::call("Subscribe", &[]);
        assert!(must_confirm(&call, "email", "a@example.com"));
        assert!(must_confirm(&call, "sqs", "arn:aws:sqs:us-east-1:111111111111:q"));
        assert!(!must_confirm(&call, "sqs", "arn:aws:sqs:us-east-1:000000000000:q"));
        assert!(!must_confirm(&call, "sms", "+12025550123"));
    }
}

//! SNS of the local cloud: topics, subscriptions, text message preferences and an outbox instead of delivery.
//!
//! Rules follow `facts/aws.md` 10. What would leave the account is kept in the outbox; what is for functions is noted
//! in the table `sns.delivery`. This module delivers nothing itself.

mod attribute;
pub(crate) mod delivery;
mod endpoint;
mod filter;
mod message;
pub(crate) mod outbox;
mod sms;
mod subscription;
mod tags;
#[cfg(test)]
mod testing;
mod topic;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Answer, Call, Fault, Outcome, Service, Tx, Xml, unknown_operation};

pub(crate) use self::topic::{TOPICS, policy};

type Operation = fn(&mut Tx<'_>, &Call) -> Result<Xml, Fault>;

const OPERATIONS: &[&[(&str, Operation)]] =
    &[message::OPERATIONS, sms::OPERATIONS, subscription::OPERATIONS, tags::OPERATIONS, topic::OPERATIONS];

/// Items on one page of any list (`facts/aws.md` 10a.1).
const PAGE: usize = 100;

/// The service `sns`.
pub(crate) struct Sns;

impl Service for Sns {
    fn handle(&self, tx: &mut Tx<'_>, call: &Call) -> Outcome {
        let mut all = OPERATIONS.iter().copied().flatten();
        let Some((_, run)) = all.find(|(name, _)| *name == call.operation) else {
            return Err(unknown_operation(call));
        };
        run(tx, call).map(Answer::Xml)
    }
}

fn invalid(reason: impl std::fmt::Display) -> Fault {
    Fault::new("InvalidParameter", format!("Invalid parameter: {reason}"))
}

fn not_found(text: &str) -> Fault {
    Fault::with_status(404, "NotFound", text)
}

fn required<'a>(call: &'a Call, field: &str) -> Result<&'a str, Fault> {
    call.params().get(field).ok_or_else(|| invalid(format!("{field} Reason: no value for required parameter")))
}

/// Returns `name` and `value` of each entry of a map field.
fn entries(call: &Call, field: &str) -> Vec<(String, String)> {
    let entries = call.params().list(field).into_iter();
    let pair = |entry: super::Params| Some((entry.get("key")?.to_owned(), entry.get("value").unwrap_or("").to_owned()));
    entries.filter_map(pair).collect()
}

/// Builds a map field of an answer.
fn map<'a>(name: &str, pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> Xml {
    let entries = pairs.into_iter().map(|(key, value)| Xml::new().text("key", key).text("value", value));
    Xml::new().list(name, "entry", entries)
}

/// Cuts the page after `NextToken` out of keyed items; returns it with the element `NextToken` if there is more.
fn page<T>(call: &Call, items: Vec<(String, T)>) -> Result<(Vec<T>, Xml), Fault> {
    let after = match call.params().get("NextToken").filter(|token| !token.is_empty()) {
        None => String::new(),
        Some(token) => {
            let decoded = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            decoded.ok_or_else(|| invalid("nextToken"))?
        }
    };
    let mut rest: Vec<_> = items.into_iter().filter(|(key, _)| *key > after).collect();
    let more = rest.len() > PAGE;
    rest.truncate(PAGE);
    let token = rest.last().filter(|_| more).map(|(key, _)| URL_SAFE_NO_PAD.encode(key));
    Ok((rest.into_iter().map(|(_, item)| item).collect(), Xml::new().maybe("NextToken", token)))
}

#[cfg(test)]
mod tests {
    use super::testing::Bench;

    #[test]
    fn unknown_operations_are_refused() {
        assert_eq!(Bench::new().code("CreateNoise", &[]), "UnknownOperationException");
    }

    #[test]
    fn lists_have_pages_of_a_hundred() {
        let bench = Bench::new();
        for number in 0..101 {
            bench.ok("CreateTopic", &[("Name", &format!("t{number:03}"))]);
        }
        let first = bench.ok("ListTopics", &[]);
        assert_eq!(first.matches("<TopicArn>").count(), 100);
        let token = first.split("<NextToken>").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
        let second = bench.ok("ListTopics", &[("NextToken", token)]);
        assert!(second.contains("t100") && !second.contains("NextToken"), "{second}");
        assert_eq!(bench.code("ListTopics", &[("NextToken", "!")]), "InvalidParameter");
    }
}

//! What calls to Kinesis need: nearly all name one stream, some only by an iterator or a token.

use serde_json::Value;

use crate::local::Call;
use crate::local::kinesis::stream_of;

use super::needs::Need;

pub(super) fn needs(call: &Call) -> Vec<Need> {
    vec![Need::new("kinesis", &call.operation, resource(call))]
}

fn resource(call: &Call) -> String {
    let field = |names: &[&str]| names.iter().find_map(|name| call.json().get(name).and_then(Value::as_str));
    if let Some(arn) = field(&["StreamARN", "ConsumerARN", "ResourceARN"]) {
        return arn.to_owned();
    }
    // One that cannot be read is refused by the service itself. `NextToken` of `ListStreams` is the name of a stream that is not asked about.
    let token = if call.operation == "ListStreams" { None } else { field(&["ShardIterator", "NextToken"]) };
    let stream = field(&["StreamName"]).map(str::to_owned).or_else(|| token.and_then(stream_of));
    stream.map_or_else(|| "*".to_owned(), |name| call.arn("kinesis", &format!("stream/{name}")))
}

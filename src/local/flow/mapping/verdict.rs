//! What a function's answer says of a batch (`ReportBatchItemFailures`); pure.

use serde_json::Value;

/// Returns the place of the first record that failed; none when all went well. `sequences` are those of the batch.
///
/// AWS takes no list or an empty one for success, and an identifier that is empty or unknown for a failure of the
/// whole batch. The lowest of several is where the retry starts.
pub(super) fn first_failure(answer: &Value, sequences: &[&str]) -> Option<usize> {
    let failures = answer.get("batchItemFailures")?;
    match failures {
        Value::Null => None,
        Value::Array(all) => all.iter().map(|one| place(one, sequences)).min(),
        _ => Some(0),
    }
}

fn place(failure: &Value, sequences: &[&str]) -> usize {
    let named = failure.get("itemIdentifier").and_then(Value::as_str);
    named.and_then(|named| sequences.iter().position(|sequence| *sequence == named)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_read_as_aws_reads_them() {
        let read = |answer: Value| first_failure(&answer, &["10", "11", "12"]);
        for well in [json!(null), json!(""), json!({}), json!({ "batchItemFailures": [] })] {
            assert_eq!(read(well.clone()), None, "{well}");
        }
        assert_eq!(read(json!({ "batchItemFailures": null })), None);
        let items = |names: &[&str]| {
            let all: Vec<Value> = names.iter().map(|name| json!({ "itemIdentifier": name })).collect();
            json!({ "batchItemFailures": all })
        };
        assert_eq!(read(items(&["12", "11"])), Some(1));
        assert_eq!(read(items(&["12", "99"])), Some(0));
        assert_eq!(read(items(&[""])), Some(0));
        assert_eq!(read(json!({ "batchItemFailures": [{ "id": "12" }] })), Some(0));
        assert_eq!(read(json!({ "batchItemFailures": "12" })), Some(0));
    }
}

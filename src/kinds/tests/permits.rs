//! What documents could allow, held against the local cloud's own evaluation.

use aws_sdk_iam::types::PolicyEvaluationDecisionType as Decision;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::Account;
use crate::kinds::policy::{PolicyDocument, could_allow};

const ACTIONS: [&str; 5] = ["kinesis:GetRecords", "kinesis:Get*", "kinesis:PutRecord", "KINESIS:g?tRecords", "*"];
const RESOURCES: [&str; 5] = [
    "arn:aws:kinesis:us-east-1:123456789012:stream/orders",
    "arn:aws:kinesis:us-east-1:123456789012:stream/order",
    "arn:aws:kinesis:*:*:stream/o*",
    "arn:aws:kinesis:us-east-1:123456789012:stream/order?",
    "*",
];

fn statement() -> impl Strategy<Value = Value> {
    let some = |texts: [&'static str; 5]| prop::collection::vec(prop::sample::select(texts.to_vec()), 1..3);
    let signs = (prop::bool::weighted(0.7), prop::bool::weighted(0.8), prop::bool::weighted(0.8));
    (signs, some(ACTIONS), some(RESOURCES)).prop_map(|((allow, action, resource), actions, resources)| {
        json!({
            "Effect": if allow { "Allow" } else { "Deny" },
            (if action { "Action" } else { "NotAction" }): actions,
            (if resource { "Resource" } else { "NotResource" }): resources,
        })
    })
}

async fn is_allowed(account: &Account, documents: &[PolicyDocument], action: &str, resource: &str) -> bool {
    let texts = documents.iter().map(PolicyDocument::to_text).collect();
    let request = account.0.iam().simulate_custom_policy().set_policy_input_list(Some(texts));
    let answer = request.action_names(action).resource_arns(resource).send().await.unwrap();
    answer.evaluation_results()[0].eval_decision == Decision::Allowed
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Where nothing is left open, doubt is none.
    #[test]
    fn what_could_be_allowed_is(policies in prop::collection::vec(prop::collection::vec(statement(), 1..4), 1..3)) {
        let documents: Vec<_> = policies.into_iter().map(|all| PolicyDocument::of_statements(all.into())).collect();
        let could = could_allow(&documents, "kinesis:GetRecords", RESOURCES[0]);
        let runtime = Runtime::new().unwrap();
        let account = Account::new();
        prop_assert_eq!(could, runtime.block_on(is_allowed(&account, &documents, "kinesis:GetRecords", RESOURCES[0])));
    }
}

//! Topics and subscriptions.

use super::*;

fn arn(name: &str) -> String {
    format!("arn:aws:sns:us-east-1:{ACCOUNT}:{name}")
}

#[tokio::test]
async fn a_topic_lives() {
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "SNS:Publish", "Resource": arn("Airlines")},
    ]});
    let full = json!({
        "display_name": "Airlines", "kms_master_key_id": "alias/aws/sns", "policy": policy,
        "signature_version": "2", "tracing_config": "Active",
    });
    let subject = Account::new().subject("sns_topic", "Airlines");
    subject.lives(&json!({}), &[full, json!({})]).await;
}

#[tokio::test]
async fn a_fifo_topic_lives() {
    let subject = Account::new().subject("sns_topic", "Airlines.fifo");
    let full =
        json!({"fifo_topic": true, "content_based_deduplication": true, "fifo_throughput_scope": "MessageGroup"});
    subject.lives(&json!({"fifo_topic": true}), &[full, json!({"fifo_topic": true})]).await;
}

#[tokio::test]
async fn a_foreign_topic_is_refused() {
    Account::new().subject("sns_topic", "Airlines").refuses_foreign(&json!({})).await;
}

/// Makes the subject's topic and returns the subscription with a context that knows it.
async fn subscribed(account: &Account, spec: &Value) -> (Subject, Value) {
    let topic = account.subject("sns_topic", "Airlines");
    if topic.look(None).await.is_none() {
        topic.create(&json!({})).await;
    }
    let mut subject = account.subject("sns_subscription", "phone");
    let want = subject.want(spec);
    let marks = marks(&subject.cx.key, "abc", true, false);
    let (physical, _) = subject.kind.create(&subject.cx, &want, &marks).await.unwrap();
    let found = subject.settled(&want).await;
    assert_eq!(found.physical, physical);
    assert_eq!(found.tags, marks);
    subject.cx.key.physical = Some(physical);
    assert_eq!(subject.settled(&want).await, found);
    (subject, want)
}

#[tokio::test]
async fn a_subscription_lives() {
    let account = Account::new();
    let queue = |more: Value| {
        let mut spec = json!({"topic_arn": arn("Airlines"), "protocol": "sqs", "endpoint": format!("arn:aws:sqs:us-east-1:{ACCOUNT}:q")});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let (subject, _) = subscribed(&account, &queue(json!({}))).await;
    let nested = json!({"filter_policy": {"a": {"b": ["c"]}}, "filter_policy_scope": "MessageBody", "raw_message_delivery": true});
    let redrive = json!({"deadLetterTargetArn": format!("arn:aws:sqs:us-east-1:{ACCOUNT}:dead")});
    for more in [nested, json!({"filter_policy": {"a": ["b"]}, "redrive_policy": redrive}), json!({})] {
        subject.update(&queue(more)).await;
    }
    let owned = subject.kind.owned(&subject.cx).await.unwrap();
    assert_eq!(owned.len(), 1);
    assert_eq!(Some(&owned[0].physical), subject.cx.key.physical.as_ref());
    let spec = Tags::from([(marks::SPEC.to_owned(), "def".to_owned())]);
    subject.kind.retag(&subject.cx, &spec, &[marks::PROTECT.to_owned()]).await.unwrap();
    let tags = subject.look(None).await.unwrap().tags;
    assert_eq!(tags, marks::marks(&subject.cx.key, "def", false, false));
    subject.kind.delete(&subject.cx).await.unwrap();
    subject.kind.delete(&subject.cx).await.unwrap();
    assert_eq!(subject.look(None).await, None);
    assert_eq!(subject.kind.owned(&subject.cx).await.unwrap(), []);
}

#[tokio::test]
async fn a_pending_subscription_is_there_and_leaves_no_mark() {
    let account = Account::new();
    let spec =
        json!({"topic_arn": arn("Airlines"), "protocol": "email", "endpoint": "a@b.c", "filter_policy": {"a": ["b"]}});
    let (subject, want) = subscribed(&account, &spec).await;
    let found = subject.settled(&want).await;
    assert_eq!(found.status.as_deref(), Some("pending confirmation"));
    assert_eq!(found.outputs["arn"], Value::Null);
    let again = subject.kind.create(&subject.cx, &want, &marks(&subject.cx.key, "abc", false, false)).await.unwrap();
    assert_eq!(again.0, found.physical);
    subject.kind.delete(&subject.cx).await.unwrap();
    assert_eq!(subject.kind.owned(&subject.cx).await.unwrap(), []);
}

#[tokio::test]
async fn somebody_elses_subscription_is_refused() {
    let account = Account::new();
    let topic = account.subject("sns_topic", "Airlines");
    topic.create(&json!({})).await;
    let phone = "+79990000000";
    let request = topic.cx.aws.sns().subscribe().topic_arn(arn("Airlines")).protocol("sms").endpoint(phone);
    request.send().await.unwrap();
    let subject = account.subject("sns_subscription", "phone");
    let want = subject.want(&json!({"topic_arn": arn("Airlines"), "protocol": "sms", "endpoint": phone}));
    assert_eq!(subject.look(Some(&want)).await.unwrap().tags, Tags::new());
    let error = subject.kind.create(&subject.cx, &want, &Tags::new()).await.unwrap_err();
    assert_eq!(error.class, Class::Exists);
    let mut adopted = account.subject("sns_subscription", "phone");
    adopted.cx.key.physical = subject.look(Some(&want)).await.map(|found| found.physical);
    let marks = marks(&adopted.cx.key, "abc", false, false);
    adopted.kind.retag(&adopted.cx, &marks, &[]).await.unwrap();
    assert_eq!(subject.look(Some(&want)).await.unwrap().tags, marks);
}

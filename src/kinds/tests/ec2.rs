//! Security groups and instances.

use super::*;

#[tokio::test]
async fn a_group_lives() {
    let full = json!({
        "ingress": [
            {"ip_protocol": "tcp", "from_port": 22, "cidr_ip": "203.0.113.7/24", "description": "SSH"},
            {"ip_protocol": 17, "from_port": 53, "source_security_group_id": "self"},
            {"ip_protocol": "tcp", "from_port": 8000, "to_port": 8080, "cidr_ipv6": "2001:DB8::1/32"},
            {"ip_protocol": "icmp", "from_port": 8, "cidr_ip": "10.0.0.0/8"},
            {"ip_protocol": "tcp", "from_port": 1, "cidr_ip": null},
        ],
        "egress": [{"ip_protocol": "tcp", "from_port": 443, "cidr_ip": "0.0.0.0/0"}],
    });
    let described = json!({"ingress": [
        {"ip_protocol": "tcp", "from_port": 22, "cidr_ip": "203.0.113.0/24", "description": "SSH from the office"},
    ]});
    let subject = Account::new().subject("ec2_security_group", "producer");
    subject.lives(&json!({}), &[full, described, json!({"egress": []}), json!({})]).await;
}

#[tokio::test]
async fn a_foreign_group_is_refused() {
    Account::new().subject("ec2_security_group", "producer").refuses_foreign(&json!({})).await;
}

#[tokio::test]
async fn a_rule_that_is_there_already_does_not_stop_the_others() {
    let subject = Account::new().subject("ec2_security_group", "producer");
    let rule = |port: u16| json!({"ip_protocol": "tcp", "from_port": port, "cidr_ip": "10.0.0.0/8"});
    let found = subject.create(&json!({"ingress": [rule(1)]})).await;
    let want = subject.want(&json!({"ingress": [rule(1), rule(2)]}));
    let stale = subject.want(&json!({"ingress": [rule(3)]}));
    let changes = diff(subject.kind.fields(), &[], &want, &stale);
    subject.kind.update(&subject.cx, &want, &stale, &changes).await.unwrap();
    assert_eq!(subject.settled(&want).await.physical, found.physical);
}

const AL2023: &str = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64";

fn machine(more: &Value) -> Value {
    let mut spec = json!({"image_id": AL2023, "instance_type": "t3.micro"});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

/// Makes a role with an instance profile.
async fn profile(account: &Account, name: &str) {
    let role = account.subject("iam_role", name);
    role.create(&json!({"service": "ec2.amazonaws.com"})).await;
    account.subject("iam_instance_profile", name).create(&json!({"role": name})).await;
}

#[tokio::test]
async fn an_instance_lives() {
    let account = Account::new();
    profile(&account, "one").await;
    profile(&account, "two").await;
    let group = account.subject("ec2_security_group", "producer").create(&json!({})).await.physical;
    let full = machine(&json!({
        "security_group_ids": [group], "iam_instance_profile": "one", "monitoring": true, "source_dest_check": false,
        "disable_api_stop": true, "instance_initiated_shutdown_behavior": "terminate",
        "metadata_options": {"http_tokens": "optional", "http_put_response_hop_limit": 1, "instance_metadata_tags": "enabled"},
        "credit_specification": {"cpu_credits": "standard"},
    }));
    let other =
        machine(&json!({"iam_instance_profile": "two", "instance_type": "t3.small", "security_group_ids": [group]}));
    let subject = account.subject("ec2_instance", "producer");
    subject.lives(&machine(&json!({})), &[full, other, machine(&json!({}))]).await;
}

#[tokio::test]
async fn a_spot_instance_with_everything_is_launched_at_once() {
    let account = Account::new();
    profile(&account, "one").await;
    let spec = machine(&json!({
        "spot": true, "spot_max_price": "0.0100", "iam_instance_profile": "one", "associate_public_ip_address": true,
        "availability_zone": "us-east-1a", "user_data": "#!/bin/bash\necho $${HOME}\n", "ebs_optimized": true, "tenancy": "default",
        "root_block_device": {"volume_size": 20, "volume_type": "gp3", "iops": 4000, "throughput": 200, "encrypted": true, "delete_on_termination": true},
        "cpu_options": {"core_count": 1, "threads_per_core": 1},
    }));
    let subject = account.subject("ec2_instance", "producer");
    let want = crate::stack::resolve::fill(&subject.want(&spec), &|_| None);
    subject.kind.create(&subject.cx, &want, &subject.tags(&want)).await.unwrap();
    let found = subject.settled(&want).await;
    assert_eq!(found.spec["user_data_text"], "#!/bin/bash\necho ${HOME}\n");
    assert_eq!(
        subject.kind.replaces(&subject.want(&machine(&json!({"instance_type": "t3.small"}))), &found.spec),
        ["instance_type"]
    );
}

#[tokio::test]
async fn a_new_launch_after_a_termination_is_a_new_instance() {
    let subject = Account::new().subject("ec2_instance", "producer");
    let first = subject.create(&machine(&json!({}))).await.physical;
    subject.kind.delete(&subject.cx).await.unwrap();
    assert_ne!(subject.create(&machine(&json!({}))).await.physical, first);
}

#[tokio::test]
async fn a_launch_is_new_even_when_the_instance_before_is_no_longer_known() {
    let subject = Account::new().subject("ec2_instance", "producer");
    let first = subject.create(&machine(&json!({}))).await.physical;
    subject.kind.delete(&subject.cx).await.unwrap();
    // Without its marks it cannot be found, as an hour later; EC2 keeps the token for a day.
    let ids = vec![first.clone()];
    super::super::ec2::retag(&subject.cx, &ids, &Tags::new(), &[marks::STACK.to_owned()]).await.unwrap();
    let second = subject.create(&machine(&json!({}))).await.physical;
    assert_ne!(second, first);
    subject.kind.delete(&subject.cx).await.unwrap();
    super::super::ec2::retag(&subject.cx, std::slice::from_ref(&second), &Tags::new(), &[marks::STACK.to_owned()])
        .await
        .unwrap();
    let third = subject.create(&machine(&json!({}))).await.physical;
    assert!(third != first && third != second);
}

#[tokio::test]
async fn an_interrupted_change_of_the_type_is_ended_by_the_next_run() {
    let account = Account::new();
    let subject = account.subject("ec2_instance", "producer");
    let id = subject.create(&machine(&json!({}))).await.physical;
    let client = account.0.ec2();
    // The run ended after the stop, before or after the type was changed.
    for kind in ["t3.micro", "t3.small"] {
        let mark = Tags::from([("stackctl:resized".to_owned(), "true".to_owned())]);
        super::super::ec2::retag(&subject.cx, std::slice::from_ref(&id), &mark, &[]).await.unwrap();
        client.stop_instances().instance_ids(&id).send().await.unwrap();
        let value = aws_sdk_ec2::types::AttributeValue::builder().value(kind).build();
        client.modify_instance_attribute().instance_id(&id).instance_type(value).send().await.unwrap();
        let found = subject.look(None).await.unwrap();
        assert_eq!(found.status.as_deref(), Some("stopped"));
        subject.update(&machine(&json!({"instance_type": "t3.small"}))).await;
        let found = subject.look(None).await.unwrap();
        assert_eq!(
            (found.status.as_deref(), found.spec["instance_type"].as_str()),
            (Some("running"), Some("t3.small"))
        );
    }
    // A stop of the user's stays while the file wants it so, and ends with the wish.
    client.stop_instances().instance_ids(&id).send().await.unwrap();
    let want = machine(&json!({"instance_type": "t3.micro", "status": "stopped"}));
    subject.update(&want).await;
    assert_eq!(subject.look(None).await.unwrap().status.as_deref(), Some("stopped"));
    subject.update(&machine(&json!({"instance_type": "t3.micro"}))).await;
    assert_eq!(subject.look(None).await.unwrap().status.as_deref(), Some("running"));
}

#[tokio::test]
async fn a_protected_instance_stays_and_doubles_are_named() {
    let account = Account::new();
    let subject = account.subject("ec2_instance", "producer");
    let found = subject.create(&machine(&json!({"disable_api_termination": true}))).await;
    let error = subject.kind.delete(&subject.cx).await.unwrap_err();
    assert!(error.hint.unwrap().contains("disable_api_termination: false"));
    let copy = account.subject("ec2_instance", "copy");
    let copied = Key { id: "other".into(), ..copy.cx.key.clone() };
    let copy = Subject { cx: Cx::new(Arc::clone(&copy.cx.aws), copied), ..copy };
    let twin = copy.create(&machine(&json!({}))).await.physical;
    let mark = Tags::from([(marks::RESOURCE.to_owned(), "subject".to_owned())]);
    copy.kind.retag(&copy.cx, &mark, &[]).await.unwrap();
    let error = subject.kind.observe(&subject.cx, None).await.unwrap_err();
    assert_eq!(error.class, Class::Exists);
    assert!(error.message.contains(&found.physical) && error.message.contains(&twin), "{error}");
}

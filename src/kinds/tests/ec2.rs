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

//! The mappings of all kinds, and what the machinery makes of them.

use serde_json::{Value, json};

use super::{Imported, Options, import, state};
use crate::stack::load::{Inputs, load_text};

const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}]}"#;

fn arn(service: &str, rest: &str) -> String {
    format!("arn:aws:{service}:eu-west-1:123456789012:{rest}")
}

/// Imports objects, each given by type, name and attributes.
fn imported(objects: &[(&str, &str, Value)]) -> Imported {
    let resource = |(kind, name, attributes): &(&str, &str, Value)| {
        let sensitive = attributes.get("SENSITIVE").cloned().unwrap_or(json!([]));
        let instance = json!({"attributes": attributes, "sensitive_attributes": sensitive});
        json!({"mode": "managed", "type": kind, "name": name, "instances": [instance]})
    };
    let state = json!({"version": 4, "resources": objects.iter().map(resource).collect::<Vec<_>>()});
    let state = state::read(&state.to_string()).unwrap();
    import(state, crate::kinds::all(), &Options { stack: "s".to_owned(), base: None })
}

/// Shows what was made and what was said.
fn told(imported: &Imported) -> String {
    let mut out = imported.sheet.text();
    imported
        .unknown
        .iter()
        .for_each(|unknown| out.push_str(&format!("unknown {}: {}\n", unknown.address, unknown.reason)));
    imported.adopt.iter().for_each(|(id, physical)| out.push_str(&format!("adopt {id}={physical}\n")));
    out
}

fn show(objects: &[(&str, &str, Value)]) -> String {
    told(&imported(objects))
}

/// Loads what was made, with some value for each variable.
fn check(imported: &Imported) {
    let value = |(name, fields): (&String, &Value)| {
        let value = if name.starts_with("hook") { "https://x.test" } else { "+79990001122" };
        (name.clone(), if fields["type"] == "number" { "7" } else { value }.to_owned())
    };
    let vars = imported.sheet.variables.iter().map(value).collect();
    let text = imported.sheet.text();
    let loaded = load_text(&text, "stack.yaml".as_ref(), &Inputs { vars, ..Inputs::default() }, crate::kinds::all());
    assert!(loaded.is_ok(), "{text}\n{}", loaded.unwrap_err().render(false, 100));
}

fn group(name: &str, id: &str, ingress: &Value) -> (&'static str, &'static str, Value) {
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    let attributes = json!({"name": name, "id": id, "arn": arn("ec2", &format!("security-group/{id}")), "vpc_id": "vpc-0123456789abcdef0", "description": "d", "ingress": ingress, "egress": []});
    ("aws_security_group", name, attributes)
}

#[test]
fn streams_and_logs() {
    let made = imported(&[
        (
            "aws_kinesis_stream",
            "a",
            json!({"name": "a", "arn": arn("kinesis", "stream/a"), "shard_count": 2, "retention_period": 48, "encryption_type": "KMS", "kms_key_id": "alias/k", "max_record_size_in_kib": 2048}),
        ),
        (
            "aws_kinesis_stream",
            "b",
            json!({"name": "b-x", "shard_count": 4, "stream_mode_details": [{"stream_mode": "ON_DEMAND"}], "kms_key_id": "k", "encryption_type": "NONE"}),
        ),
        (
            "aws_cloudwatch_log_group",
            "c",
            json!({"name": "/c", "retention_in_days": 0, "log_group_class": "INFREQUENT_ACCESS", "kms_key_id": ""}),
        ),
    ]);
    check(&made);
    insta::assert_snapshot!(told(&made));
}

#[test]
fn roles_with_their_policies() {
    let trust = |service: &str, more: &str| {
        format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{{"Service":"{service}"}}{more}}}]}}"#
        )
    };
    let made = imported(&[
        ("aws_iam_policy", "p", json!({"name": "p", "arn": "arn:aws:iam::123456789012:policy/p", "policy": POLICY})),
        (
            "aws_iam_role",
            "r",
            json!({"name": "r", "arn": "arn:aws:iam::123456789012:role/r", "assume_role_policy": trust("ec2.amazonaws.com", ""), "max_session_duration": 3600, "inline_policy": [{"name": "", "policy": ""}, {"name": "own", "policy": POLICY}]}),
        ),
        (
            "aws_iam_role",
            "t",
            json!({"name": "t", "assume_role_policy": trust("lambda.amazonaws.com", r#","Condition":{"Bool":{"aws:SecureTransport":"true"}}"#), "permissions_boundary": "arn:aws:iam::123456789012:policy/p"}),
        ),
        ("aws_iam_role_policy", "x", json!({"role": "r", "name": "more", "policy": POLICY})),
        ("aws_iam_role_policy", "y", json!({"role": "gone", "name": "more", "policy": POLICY})),
        (
            "aws_iam_role_policy_attachment",
            "x",
            json!({"role": "r", "policy_arn": "arn:aws:iam::123456789012:policy/p"}),
        ),
        (
            "aws_iam_policy_attachment",
            "x",
            json!({"roles": ["r", "t"], "users": ["u"], "policy_arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}),
        ),
        ("aws_iam_instance_profile", "r", json!({"name": "pr", "role": "r"})),
        ("aws_iam_user", "u", json!({"name": "u"})),
    ]);
    check(&made);
    insta::assert_snapshot!(told(&made));
}

#[test]
fn tables() {
    let attribute = |name: &str, kind: &str| json!({"name": name, "type": kind});
    let made = imported(&[
        (
            "aws_dynamodb_table",
            "a",
            json!({
                "name": "aaa", "hash_key": "h", "range_key": "r", "read_capacity": 1, "write_capacity": 2, "billing_mode": "PROVISIONED",
                "attribute": [attribute("h", "S"), attribute("r", "N"), attribute("g", "B")],
                "global_secondary_index": [{"name": "ggg", "hash_key": "g", "range_key": "", "projection_type": "INCLUDE", "non_key_attributes": ["x"], "read_capacity": 3, "write_capacity": 4}],
                "local_secondary_index": [{"name": "loc", "range_key": "g", "projection_type": "KEYS_ONLY"}],
                "server_side_encryption": [{"enabled": true, "kms_key_arn": "arn:aws:kms:eu-west-1:123456789012:key/k"}],
                "deletion_protection_enabled": true, "table_class": "STANDARD_INFREQUENT_ACCESS", "replica": [{"region_name": "us-east-1"}],
            }),
        ),
        (
            "aws_dynamodb_table",
            "b",
            json!({
                "name": "bbb", "hash_key": "h", "billing_mode": "PAY_PER_REQUEST", "read_capacity": 0, "attribute": [attribute("h", "S")],
                "on_demand_throughput": [{"max_read_request_units": 5, "max_write_request_units": -1}],
                "point_in_time_recovery": [{"enabled": true, "recovery_period_in_days": 7}], "ttl": [{"enabled": true, "attribute_name": "t"}],
            }),
        ),
    ]);
    check(&made);
    insta::assert_snapshot!(told(&made));
}

#[test]
fn topics_and_subscriptions() {
    let topic = arn("sns", "news");
    let made = imported(&[
        (
            "aws_sns_topic",
            "news",
            json!({"name": "news", "arn": topic, "signature_version": 2, "tracing_config": "Active", "policy": "{\"Id\":\"__default_policy_ID\"}", "lambda_success_feedback_role_arn": "arn:aws:iam::123456789012:role/f", "lambda_success_feedback_sample_rate": 50, "sqs_success_feedback_sample_rate": 0}),
        ),
        (
            "aws_sns_topic_subscription",
            "phone",
            json!({"arn": format!("{topic}:1"), "topic_arn": topic, "protocol": "sms", "endpoint": "+79990001122"}),
        ),
        (
            "aws_sns_topic_subscription",
            "queue",
            json!({"arn": format!("{topic}:2"), "topic_arn": topic, "protocol": "sqs", "endpoint": arn("sqs", "q"), "raw_message_delivery": true, "filter_policy": "{\"a\":[\"b\"]}", "filter_policy_scope": "MessageBody", "redrive_policy": format!("{{\"deadLetterTargetArn\":\"{}\"}}", arn("sqs", "dead"))}),
        ),
        (
            "aws_sns_topic_subscription",
            "hook",
            json!({"arn": format!("{topic}:3"), "topic_arn": topic, "protocol": "https", "endpoint": "https://u:p@x.test/?t=1"}),
        ),
    ]);
    check(&made);
    assert!(!told(&made).contains("79990001122"));
    insta::assert_snapshot!(told(&made));
}

#[test]
fn functions_and_mappings() {
    let function = arn("lambda", "function:f");
    let base = json!({"function_name": "f", "arn": function, "role": "arn:aws:iam::123456789012:role/r", "runtime": "python3.13", "handler": "m.h", "timeout": 3, "memory_size": 128, "s3_bucket": "b", "s3_key": "k", "reserved_concurrent_executions": -1});
    let mut full = base.clone();
    let more = json!({
        "reserved_concurrent_executions": 0, "environment": [{"variables": {"API_TOKEN": "geheim-1", "URL": "https://x/geheim-1/y", "PLAIN": "${x}"}}],
        "vpc_config": [{"subnet_ids": ["subnet-1"], "security_group_ids": ["sg-1"], "vpc_id": "vpc-1"}], "logging_config": [{"log_format": "JSON", "log_group": "/g", "system_log_level": "WARN", "application_log_level": ""}],
        "dead_letter_config": [{"target_arn": "arn:aws:sqs:eu-west-1:123456789012:q"}], "layers": ["arn:aws:lambda:eu-west-1:123456789012:layer:l:1"], "architectures": ["arm64"], "ephemeral_storage": [{"size": 1024}],
    });
    full.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let stream = arn("kinesis", "stream/x");
    let made = imported(&[
        ("aws_cloudwatch_log_group", "g", json!({"name": "/g"})),
        ("aws_lambda_function", "f", full),
        (
            "aws_lambda_permission",
            "f",
            json!({"function_name": function, "statement_id": "sns", "action": "lambda:InvokeFunction", "principal": "sns.amazonaws.com", "source_arn": arn("sns", "t")}),
        ),
        (
            "aws_lambda_permission",
            "g",
            json!({"function_name": "f", "statement_id": "live", "qualifier": "live", "principal": "x"}),
        ),
        (
            "aws_lambda_function",
            "image",
            json!({"function_name": "i", "arn": arn("lambda", "function:i"), "package_type": "Image"}),
        ),
        (
            "aws_lambda_event_source_mapping",
            "i",
            json!({"uuid": "u-4", "event_source_arn": arn("sqs", "q"), "function_name": arn("lambda", "function:i")}),
        ),
        (
            "aws_lambda_event_source_mapping",
            "s",
            json!({"uuid": "u-1", "event_source_arn": stream, "function_name": function, "starting_position": "AT_TIMESTAMP", "starting_position_timestamp": "2026-01-02T03:04:05Z", "enabled": false, "destination_config": [{"on_failure": [{"destination_arn": arn("sqs", "dead")}]}], "bisect_batch_on_function_error": true}),
        ),
        (
            "aws_lambda_event_source_mapping",
            "q",
            json!({"uuid": "u-2", "event_source_arn": arn("sqs", "q"), "function_name": "f", "batch_size": 10, "maximum_retry_attempts": 0, "parallelization_factor": 0, "scaling_config": [{"maximum_concurrency": 2}]}),
        ),
        (
            "aws_lambda_event_source_mapping",
            "k",
            json!({"uuid": "u-3", "event_source_arn": "arn:aws:kafka:eu-west-1:123456789012:cluster/c", "function_name": "f"}),
        ),
    ]);
    check(&made);
    assert!(!told(&made).contains("geheim"), "{}", told(&made));
    insta::assert_snapshot!(told(&made));
    let mut homeless = base;
    homeless["s3_bucket"] = "".into();
    homeless["s3_key"] = "".into();
    assert!(show(&[("aws_lambda_function", "f", homeless)]).contains("# Terraform does not know where its code is"));
}

#[test]
fn groups_and_their_rules() {
    let (one, other) = ("sg-0123456789abcdef0", "sg-0123456789abcdef1");
    let rule = |source: Value| {
        let mut rule = json!({"protocol": "tcp", "from_port": 22, "to_port": 22, "description": ""});
        rule.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        rule
    };
    let made = imported(&[
        group(
            "one",
            one,
            &json!([
                rule(json!({"cidr_blocks": ["10.0.0.0/8", "10.0.0.1/32"], "self": true})),
                rule(json!({"security_groups": [other, "123456789012/sg-x"]}))
            ]),
        ),
        group("other", other, &json!([rule(json!({"security_groups": [one]}))])),
        (
            "aws_security_group_rule",
            "a",
            json!({"security_group_id": one, "type": "ingress", "protocol": "tcp", "from_port": 22, "to_port": 22, "cidr_blocks": ["10.0.0.0/8"], "description": "again"}),
        ),
        (
            "aws_security_group_rule",
            "b",
            json!({"security_group_id": one, "type": "egress", "protocol": "-1", "from_port": 0, "to_port": 0, "ipv6_cidr_blocks": ["::/0"]}),
        ),
        (
            "aws_vpc_security_group_ingress_rule",
            "c",
            json!({"security_group_id": other, "ip_protocol": "icmp", "from_port": -1, "to_port": -1, "prefix_list_id": "pl-1"}),
        ),
        (
            "aws_vpc_security_group_egress_rule",
            "d",
            json!({"security_group_id": "sg-nowhere", "ip_protocol": "-1", "cidr_ipv4": "0.0.0.0/0"}),
        ),
    ]);
    check(&made);
    insta::assert_snapshot!(told(&made));
}

#[test]
fn machines() {
    let made = imported(&[
        ("aws_iam_instance_profile", "p", json!({"name": "prof"})),
        (
            "aws_instance",
            "plain",
            json!({"id": "i-0123456789abcdef0", "ami": "ami-1", "instance_type": "t3.micro", "user_data": "#!/bin/sh\necho ${HOME}\n", "iam_instance_profile": "prof", "metadata_options": [{"http_tokens": "optional", "http_put_response_hop_limit": 1, "http_endpoint": "enabled", "http_protocol_ipv6": "disabled", "instance_metadata_tags": "disabled"}], "ebs_block_device": [{"device_name": "/dev/sdf", "volume_size": 5, "delete_on_termination": true}, {"device_name": "/dev/sdg", "volume_size": 6}], "source_dest_check": false, "tags_all": {"Name": "box", "aws:x": "1"}}),
        ),
        (
            "aws_instance",
            "market",
            json!({"id": "i-0123456789abcdef1", "ami": "ami-1", "instance_type": "t3.micro", "instance_lifecycle": "spot", "instance_market_options": [{"spot_options": [{"max_price": "0.020000", "spot_instance_type": "persistent"}]}], "user_data": "9db6f074fca0a903137b91c7c866b21d4e7205a7"}),
        ),
        (
            "aws_spot_instance_request",
            "empty",
            json!({"id": "sir-1", "spot_type": "one-time", "ami": "ami-1", "instance_type": "t3.micro"}),
        ),
    ]);
    check(&made);
    insta::assert_snapshot!(told(&made));
}

#[test]
fn parameters_and_secrets() {
    let value = json!([[{"type": "get_attr", "value": "value"}]]);
    let made = imported(&[
        (
            "aws_ssm_parameter",
            "open",
            json!({"name": "/open", "type": "String", "value": "samesecret-1", "insecure_value": "shown", "SENSITIVE": value}),
        ),
        (
            "aws_ssm_parameter",
            "token",
            json!({"name": "/token", "type": "SecureString", "value": "samesecret-1", "key_id": "alias/k"}),
        ),
        (
            "aws_ssm_parameter",
            "twin",
            json!({"name": "/twin", "type": "SecureString", "value": "samesecret-1", "SENSITIVE": value}),
        ),
        (
            "aws_ssm_parameter",
            "written",
            json!({"name": "/written", "type": "SecureString", "value": null, "has_value_wo": true}),
        ),
        (
            "aws_kinesis_stream",
            "n",
            json!({"name": "n", "shard_count": 7, "SENSITIVE": [[{"type": "get_attr", "value": "shard_count"}]]}),
        ),
    ]);
    check(&made);
    assert!(!told(&made).contains("samesecret-1") && made.secrets.contains(&"samesecret-1".to_owned()));
    insta::assert_snapshot!(told(&made));
}

#[test]
fn applications() {
    let end = |what: &str| json!([{"resource_arn": what, "role_arn": "arn:aws:iam::123456789012:role/r"}]);
    let schema = json!([{"record_columns": [{"name": "a", "mapping": "0", "sql_type": "INTEGER"}], "record_encoding": "UTF-8", "record_format": [{"record_format_type": "CSV", "mapping_parameters": [{"json": [], "csv": [{"record_row_delimiter": "\n", "record_column_delimiter": ";"}]}]}]}]);
    let stream = arn("kinesis", "stream/x");
    let made = imported(&[(
        "aws_kinesis_analytics_application",
        "app",
        json!({
            "name": "app", "status": "RUNNING", "description": "d", "code": "CREATE STREAM \"OUT\" (a INT);\nCREATE PUMP p AS INSERT INTO \"OUT\" SELECT STREAM a FROM \"IN_001\";\n",
            "inputs": [{"name_prefix": "IN", "kinesis_stream": end(&stream), "kinesis_firehose": [], "schema": schema, "parallelism": [{"count": 2}], "processing_configuration": [{"lambda": end(&arn("lambda", "function:f"))}], "starting_position_configuration": [{"starting_position": "NOW"}]}],
            "outputs": [{"name": "OUT", "lambda": end(&arn("lambda", "function:g")), "schema": [{"record_format_type": "CSV"}]}],
            "cloudwatch_logging_options": [{"log_stream_arn": arn("logs", "log-group:g:log-stream:s"), "role_arn": "arn:aws:iam::123456789012:role/r"}],
            "reference_data_sources": [{"table_name": "ref", "s3": [{"bucket_arn": "arn:aws:s3:::b", "file_key": "k", "role_arn": "arn:aws:iam::123456789012:role/r"}], "schema": schema}],
        }),
    )]);
    check(&made);
    insta::assert_snapshot!(told(&made));
}

#[test]
fn a_stack_has_one_region_and_shared_tags() {
    let topic = |name: &str, region: &str, tags: Value| json!({"name": name, "arn": format!("arn:aws:sns:{region}:123456789012:{name}"), "tags_all": tags});
    let text = show(&[
        ("aws_sns_topic", "a", topic("a", "eu-west-1", json!({"env": "dev", "own": "1"}))),
        ("aws_sns_topic", "b", topic("b", "eu-west-1", json!({"env": "dev"}))),
        ("aws_sns_topic", "far", topic("far", "us-east-1", json!({}))),
    ]);
    insta::assert_snapshot!(text);
}

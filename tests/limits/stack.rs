//! A stack of many small streaming applications, as a data platform has them.

use crate::support::sandbox::Sandbox;

/// One application: a stream, read by a function that writes a table and tells a topic what it should know.
const CELL: &str = r#"
  stream_N: {type: kinesis_stream, name: many-stream-N, shard_count: 1}
  table_N:
    type: dynamodb_table
    name: many-table-N
    hash_key: {name: id, type: S}
    billing_mode: PAY_PER_REQUEST
  topic_N: {type: sns_topic, name: many-topic-N}
  phone_N:
    type: sns_subscription
    topic_arn: ${topic_N.arn}
    protocol: sms
    endpoint: "+79990001122"
  logs_N: {type: cloudwatch_log_group, name: /aws/lambda/many-N, retention_in_days: 14}
  limit_N: {type: ssm_parameter, name: /many/N/limit, value: "5000"}
  role_N:
    type: iam_role
    name: many-role-N
    service: lambda.amazonaws.com
    grants: [{read: stream_N}, {write: table_N}, {logs: logs_N}, {publish: topic_N}]
  read_N:
    type: iam_policy
    name: many-read-N
    policy_document:
      Version: "2012-10-17"
      Statement: [{Effect: Allow, Action: dynamodb:GetItem, Resource: "${table_N.arn}"}]
  function_N:
    type: lambda_function
    name: many-function-N
    role: ${role_N.arn}
    runtime: python3.13
    handler: main.handler
    code: code
    environment: {variables: {TABLE_NAME: "${table_N.name}", TOPIC_ARN: "${topic_N.arn}"}}
  mapping_N:
    type: lambda_event_source_mapping
    event_source_arn: ${stream_N.arn}
    function_name: ${function_N.name}
    starting_position: LATEST
"#;

/// How many resources one application has.
pub(super) const RESOURCES_IN_CELL: usize = 10;

/// Writes a stack of so many applications into a sandbox.
pub(super) fn write(sandbox: &Sandbox, cells: usize) {
    fs_err::create_dir_all(sandbox.dir().join("code")).unwrap();
    sandbox.write("code/main.py", "def handler(event, context):\n    return None\n");
    let head = "stack: many\nregion: us-east-1\ntags: {project: many}\nresources:";
    let cells = (0..cells).map(|cell| CELL.replace("_N", &format!("_{cell}")).replace("-N", &format!("-{cell}")));
    let cells = cells.enumerate().map(|(cell, text)| text.replace("/N/", &format!("/{cell}/")));
    sandbox.write("stack.yaml", &format!("{head}{}", cells.collect::<String>()));
}

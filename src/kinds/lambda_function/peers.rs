//! Functions in Terraform: `aws_lambda_function` with its permissions.

use serde_json::{Map, Value, json};

use crate::kind::{
    Attributes, CloudFormation, Draft, Found, Import, Peers, Piece, TagForm, Terraform, parameter, properties,
};

const PERMISSION: &str = "aws_lambda_permission";

pub(super) const PEERS: Peers = Peers {
    terraform: Some(Terraform {
        types: &["aws_lambda_function"],
        parts: &[(PERMISSION, "function_name")],
        name: "function_name",
        outputs: &[("arn", "arn"), ("name", "function_name"), ("invoke_arn", "invoke_arn")],
        names: &[("logging_config.log_group", "cloudwatch_log_group")],
        physical: &[],
        read,
        imports,
    }),
    cloudformation: Some(CloudFormation {
        kind: "AWS::Lambda::Function",
        identifier: ("FunctionName", "name"),
        tags: TagForm::List,
        refuses: CloudFormation::nothing,
        properties: describe,
    }),
};

fn read(from: Attributes<'_>, pieces: &[Piece<'_>], draft: &mut Draft) {
    if from.text("package_type") == Some("Image") {
        return draft.refuse("its code is a container image, and only zips are known here");
    }
    let plain = [
        "role",
        "runtime",
        "handler",
        "description",
        "timeout",
        "memory_size",
        "layers",
        "architectures",
        "kms_key_arn",
    ];
    draft.copy(from, &plain.map(|name| (name, name)));
    read_code(from, draft);
    let reserved = from.value("reserved_concurrent_executions").filter(|count| count.as_i64() != Some(-1));
    draft.set("reserved_concurrent_executions", reserved.cloned());
    read_environment(from, draft);
    let blocks = [
        ("vpc_config", &["subnet_ids", "security_group_ids", "ipv6_allowed_for_dual_stack"][..]),
        ("tracing_config", &["mode"]),
        ("ephemeral_storage", &["size"]),
        ("dead_letter_config", &["target_arn"]),
        ("snap_start", &["apply_on"]),
    ];
    for (name, fields) in blocks {
        let pairs: Vec<(&str, &str)> = fields.iter().map(|field| (*field, *field)).collect();
        draft.set(name, from.block(name).map(|block| block.renamed(&pairs)));
    }
    draft.set("logging_config", from.block("logging_config").map(|logging| logging_config(from, logging)));
    let systems = from.blocks("file_system_config");
    let system = |system: &Attributes<'_>| system.renamed(&[("arn", "arn"), ("local_mount_path", "local_mount_path")]);
    draft.set("file_system_configs", systems.iter().map(system).collect::<Value>());
    read_permissions(pieces, draft);
}

fn read_code(from: Attributes<'_>, draft: &mut Draft) {
    draft.copy(from, &[("filename", "code")]);
    if from.value("filename").is_none() {
        draft.copy(from, &["s3_bucket", "s3_key", "s3_object_version"].map(|name| (name, name)));
    }
    if !["code", "s3_bucket"].iter().any(|field| draft.fields.contains_key(*field)) {
        draft.note("Terraform does not know where its code is: add `code:` with a path, or `s3_bucket:` and `s3_key:`");
    }
}

/// Names of variables that mostly hold what nobody else should know.
const SECRET_WORDS: [&str; 7] = ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "API_KEY", "PRIVATE_KEY", "CREDENTIAL"];

fn read_environment(from: Attributes<'_>, draft: &mut Draft) {
    let Some(variables) = from.block("environment").and_then(|environment| environment.value("variables")) else {
        return;
    };
    let names = variables.as_object().into_iter().flat_map(Map::keys);
    let is_secret = |name: &&String| SECRET_WORDS.iter().any(|word| name.to_uppercase().contains(word));
    draft.secrets.extend(names.filter(is_secret).map(|name| format!("environment.variables.{name}")));
    draft.set("environment", json!({"variables": variables}));
}

fn logging_config(from: Attributes<'_>, logging: Attributes<'_>) -> Value {
    let names = ["log_format", "application_log_level", "system_log_level"];
    let mut fields = logging.renamed(&names.map(|name| (name, name)));
    let default = format!("/aws/lambda/{}", from.text("function_name").unwrap_or_default());
    if let Some(group) = logging.text("log_group").filter(|group| *group != default) {
        fields["log_group"] = group.into();
    }
    fields
}

fn read_permissions(pieces: &[Piece<'_>], draft: &mut Draft) {
    let mut permissions = Map::new();
    for piece in pieces.iter().map(|piece| piece.attributes) {
        let Some(id) = piece.text("statement_id") else { continue };
        if let Some(qualifier) = piece.text("qualifier") {
            draft.note(format!("the permission {id} is for the version or alias {qualifier}, which is not described"));
            continue;
        }
        let names = [
            "principal",
            "action",
            "source_arn",
            "source_account",
            "event_source_token",
            "principal_org_id",
            "function_url_auth_type",
        ];
        permissions.insert(id.to_owned(), piece.renamed(&names.map(|name| (name, name))));
        draft.secrets.push(format!("permissions.{id}.event_source_token"));
    }
    draft.set("permissions", Value::Object(permissions));
}

fn imports(found: &Found) -> Vec<Import> {
    let name = &found.physical;
    let mut all = Import::whole("aws_lambda_function", name);
    let permissions = found.spec.get("permissions").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    all.extend(permissions.map(|id| Import { kind: PERMISSION, part: id.clone(), id: format!("{name}/{id}") }));
    all
}

fn describe(found: &Found) -> Map<String, Value> {
    let fields = [
        ("role", "Role"),
        ("runtime", "Runtime"),
        ("handler", "Handler"),
        ("description", "Description"),
        ("timeout", "Timeout"),
        ("memory_size", "MemorySize"),
        ("layers", "Layers"),
        ("architectures", "Architectures"),
        ("vpc_config", "VpcConfig"),
        ("tracing_config", "TracingConfig"),
        ("logging_config", "LoggingConfig"),
        ("ephemeral_storage", "EphemeralStorage"),
        ("dead_letter_config", "DeadLetterConfig"),
        ("kms_key_arn", "KmsKeyArn"),
        ("file_system_configs", "FileSystemConfigs"),
        ("snap_start", "SnapStart"),
        ("reserved_concurrent_executions", "ReservedConcurrentExecutions"),
    ];
    let mut all = properties(found, &fields);
    all.insert("FunctionName".to_owned(), found.outputs.get("name").cloned().unwrap_or_default());
    // AWS does not tell where code came from, and a template has to say where it lies.
    all.insert("Code".to_owned(), json!({"S3Bucket": parameter("CodeBucket"), "S3Key": parameter("CodeKey")}));
    let variables = found.spec.pointer("/environment/variables").and_then(Value::as_object);
    if let Some(variables) = variables.filter(|variables| !variables.is_empty()) {
        all.insert("Environment".to_owned(), json!({"Variables": variables}));
    }
    all
}

//! Tables in Terraform: `aws_dynamodb_table`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::kind::{
    Attributes, CloudFormation, Draft, Found, Import, Peers, Piece, TagForm, Terraform, pascal, properties,
};

pub(super) const PEERS: Peers = Peers {
    terraform: Some(Terraform {
        types: &["aws_dynamodb_table"],
        parts: &[],
        name: "name",
        outputs: &[("arn", "arn"), ("name", "name"), ("stream_arn", "stream_arn")],
        names: &[],
        physical: &[],
        read,
        imports,
    }),
    cloudformation: Some(CloudFormation {
        kind: "AWS::DynamoDB::Table",
        identifier: ("TableName", "name"),
        tags: TagForm::List,
        refuses: CloudFormation::nothing,
        properties: describe,
    }),
};

/// Types of attributes by name.
type Types<'a> = BTreeMap<&'a str, &'a str>;

fn read(from: Attributes<'_>, _: &[Piece<'_>], draft: &mut Draft) {
    let attributes = from.blocks("attribute");
    let types: Types<'_> = attributes.iter().filter_map(|one| Some((one.text("name")?, one.text("type")?))).collect();
    let Some(hash) = key(from, "hash_key", &types) else { return draft.refuse("it has no hash_key") };
    draft.set("hash_key", hash);
    draft.set("range_key", key(from, "range_key", &types));
    let provisioned = from.text("billing_mode") != Some("PAY_PER_REQUEST");
    draft.copy(from, &[("billing_mode", "billing_mode"), ("table_class", "table_class")]);
    draft.copy(from, &[("deletion_protection_enabled", "deletion_protection_enabled")]);
    set_capacity(from, provisioned, &mut draft.fields);
    let global = from.blocks("global_secondary_index");
    draft.set(
        "global_secondary_indexes",
        global.iter().map(|index| global_index(*index, provisioned, &types)).collect::<Value>(),
    );
    let local = from.blocks("local_secondary_index");
    draft.set("local_secondary_indexes", local.iter().map(|index| local_index(*index, &types)).collect::<Value>());
    if let Some(expiry) = from.block("ttl").filter(|expiry| expiry.flag("enabled")) {
        draft.set("time_to_live", expiry.renamed(&[("attribute_name", "attribute_name")]));
    }
    if let Some(recovery) = from.block("point_in_time_recovery").filter(|recovery| recovery.flag("enabled")) {
        let days = recovery.value("recovery_period_in_days").filter(|days| days.as_i64() != Some(0));
        draft.set("point_in_time_recovery", pruned(json!({"enabled": true, "recovery_period_in_days": days})));
    }
    if from.flag("stream_enabled") {
        draft.copy(from, &[("stream_view_type", "stream_view_type")]);
    }
    if let Some(encryption) = from.block("server_side_encryption").filter(|encryption| encryption.flag("enabled")) {
        draft.set(
            "sse_specification",
            encryption.renamed(&[("enabled", "enabled"), ("kms_key_arn", "kms_master_key_id")]),
        );
    }
    if from.block("replica").is_some() {
        draft.note("its replicas in other regions are not described; they stay as they are");
    }
}

/// Returns the attribute of a key with its type.
fn key(from: Attributes<'_>, role: &str, types: &Types<'_>) -> Option<Value> {
    let name = from.text(role)?;
    Some(json!({"name": name, "type": types.get(name).unwrap_or(&"S")}))
}

fn set_capacity(from: Attributes<'_>, provisioned: bool, fields: &mut Map<String, Value>) {
    let capacity = [("read_capacity", "read_capacity_units"), ("write_capacity", "write_capacity_units")];
    if provisioned {
        fields.insert("provisioned_throughput".to_owned(), from.renamed(&capacity));
        return;
    }
    let Some(limits) = from.block("on_demand_throughput") else { return };
    let limit = |name: &str| limits.value(name).filter(|limit| limit.as_i64().is_some_and(|limit| limit > 0));
    let names = ["max_read_request_units", "max_write_request_units"];
    let limits: Map<String, Value> =
        names.iter().filter_map(|name| Some(((*name).to_owned(), limit(name)?.clone()))).collect();
    if !limits.is_empty() {
        fields.insert("on_demand_throughput".to_owned(), limits.into());
    }
}

fn global_index(from: Attributes<'_>, provisioned: bool, types: &Types<'_>) -> Value {
    let mut fields = Map::new();
    fields.insert("index_name".to_owned(), json!(from.text("name")));
    fields.extend(key(from, "hash_key", types).map(|key| ("hash_key".to_owned(), key)));
    fields.extend(key(from, "range_key", types).map(|key| ("range_key".to_owned(), key)));
    fields.insert("projection".to_owned(), projection(from));
    set_capacity(from, provisioned, &mut fields);
    fields.into()
}

fn local_index(from: Attributes<'_>, types: &Types<'_>) -> Value {
    json!({"index_name": from.text("name"), "range_key": key(from, "range_key", types), "projection": projection(from)})
}

fn projection(from: Attributes<'_>) -> Value {
    from.renamed(&[("projection_type", "projection_type"), ("non_key_attributes", "non_key_attributes")])
}

/// Takes out what is not there.
fn pruned(mut value: Value) -> Value {
    if let Some(map) = value.as_object_mut() {
        map.retain(|_, value| !value.is_null());
    }
    value
}

fn imports(found: &Found) -> Vec<Import> {
    Import::whole("aws_dynamodb_table", &found.physical)
}

fn describe(found: &Found) -> Map<String, Value> {
    let spec = &found.spec;
    let fields = [
        ("billing_mode", "BillingMode"),
        ("provisioned_throughput", "ProvisionedThroughput"),
        ("on_demand_throughput", "OnDemandThroughput"),
        ("table_class", "TableClass"),
        ("deletion_protection_enabled", "DeletionProtectionEnabled"),
    ];
    let mut all = properties(found, &fields);
    all.insert("TableName".to_owned(), found.outputs.get("name").cloned().unwrap_or_default());
    let mut types = Map::new();
    all.insert("KeySchema".to_owned(), key_schema(spec, &mut types));
    for (field, property) in
        [("global_secondary_indexes", "GlobalSecondaryIndexes"), ("local_secondary_indexes", "LocalSecondaryIndexes")]
    {
        let indexes = spec.get(field).and_then(Value::as_array).into_iter().flatten();
        let indexes: Vec<Value> = indexes.map(|index| index_of(index, spec, &mut types)).collect();
        if !indexes.is_empty() {
            all.insert(property.to_owned(), indexes.into());
        }
    }
    let types = types.into_iter().map(|(name, kind)| json!({"AttributeName": name, "AttributeType": kind}));
    all.insert("AttributeDefinitions".to_owned(), types.collect());
    set_options(spec, &mut all);
    all
}

/// Returns a key schema, and notes the types of its attributes.
fn key_schema(of: &Value, types: &mut Map<String, Value>) -> Value {
    let mut schema = Vec::new();
    for (field, role) in [("hash_key", "HASH"), ("range_key", "RANGE")] {
        let Some(name) = of.pointer(&format!("/{field}/name")).and_then(Value::as_str) else { continue };
        types.insert(name.to_owned(), of.pointer(&format!("/{field}/type")).cloned().unwrap_or_default());
        schema.push(json!({"AttributeName": name, "KeyType": role}));
    }
    schema.into()
}

fn index_of(index: &Value, table: &Value, types: &mut Map<String, Value>) -> Value {
    let mut keys = index.clone();
    if keys.get("hash_key").is_none() {
        keys["hash_key"] = table.get("hash_key").cloned().unwrap_or_default();
    }
    let mut fields = Map::new();
    fields.insert("IndexName".to_owned(), index.get("index_name").cloned().unwrap_or_default());
    fields.insert("KeySchema".to_owned(), key_schema(&keys, types));
    let options = [
        ("projection", "Projection"),
        ("provisioned_throughput", "ProvisionedThroughput"),
        ("on_demand_throughput", "OnDemandThroughput"),
    ];
    let option = |(field, property): (&str, &str)| Some((property.to_owned(), pascal(index.get(field)?)?));
    fields.extend(options.into_iter().filter_map(option));
    fields.into()
}

fn set_options(spec: &Value, all: &mut Map<String, Value>) {
    let mut set = |property: &str, value: Value| all.insert(property.to_owned(), value);
    if let Some(attribute) = spec.pointer("/time_to_live/attribute_name") {
        set("TimeToLiveSpecification", json!({"AttributeName": attribute, "Enabled": true}));
    }
    if spec.pointer("/point_in_time_recovery/enabled") == Some(&true.into()) {
        let days = spec.pointer("/point_in_time_recovery/recovery_period_in_days");
        let recovery = json!({"PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": days});
        set("PointInTimeRecoverySpecification", recovery);
    }
    if let Some(view) = spec.get("stream_view_type").filter(|view| !view.is_null()) {
        set("StreamSpecification", json!({"StreamViewType": view}));
    }
    if spec.pointer("/sse_specification/enabled") == Some(&true.into()) {
        let mut encryption = json!({"SSEEnabled": true, "SSEType": "KMS"});
        if let Some(key) = spec.pointer("/sse_specification/kms_master_key_id").filter(|key| !key.is_null()) {
            encryption["KMSMasterKeyId"] = key.clone();
        }
        set("SSESpecification", encryption);
    }
}

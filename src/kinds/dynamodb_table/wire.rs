//! Between the spec and the types of the DynamoDB API.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::types as api;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::spec::{
    BillingMode, GlobalIndex, KeyAttribute, LocalIndex, OnDemand, Projection, ProjectionType, Recovery, Scalar, Spec,
    Sse, TableClass, Throughput,
};
use crate::kind::{KindError, Result, Tags};

/// What the API shows where there is no limit.
const NO_LIMIT: i64 = -1;

pub(super) fn built<T>(part: std::result::Result<T, BuildError>) -> Result<T> {
    part.map_err(|error| KindError::invalid(error.to_string()))
}

/// Writes an enum of the spec as the API's word.
pub(super) fn word<T: Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn read_word<T: DeserializeOwned>(word: &str) -> Result<T> {
    serde_json::from_value(Value::from(word)).map_err(|error| KindError::invalid(error.to_string()))
}

pub(super) fn tags(tags: &Tags) -> Result<Vec<api::Tag>> {
    tags.iter().map(|(key, value)| built(api::Tag::builder().key(key).value(value).build())).collect()
}

pub(super) fn attribute_definitions(spec: &Spec) -> Result<Vec<api::AttributeDefinition>> {
    let types = spec.attribute_types().into_iter();
    types
        .map(|(name, kind)| {
            let kind = api::ScalarAttributeType::from(word(&kind).as_str());
            built(api::AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build())
        })
        .collect()
}

pub(super) fn key_schema(hash: &KeyAttribute, range: Option<&KeyAttribute>) -> Result<Vec<api::KeySchemaElement>> {
    let element = |key: &KeyAttribute, kind: api::KeyType| {
        built(api::KeySchemaElement::builder().attribute_name(&key.name).key_type(kind).build())
    };
    let hash = element(hash, api::KeyType::Hash)?;
    let range = range.map(|range| element(range, api::KeyType::Range)).transpose()?;
    Ok(std::iter::once(hash).chain(range).collect())
}

pub(super) fn throughput(units: Throughput) -> Result<api::ProvisionedThroughput> {
    let builder = api::ProvisionedThroughput::builder().read_capacity_units(units.read_capacity_units);
    built(builder.write_capacity_units(units.write_capacity_units).build())
}

pub(super) fn on_demand(limits: OnDemand) -> api::OnDemandThroughput {
    api::OnDemandThroughput::builder()
        .max_read_request_units(limits.max_read_request_units.unwrap_or(NO_LIMIT))
        .max_write_request_units(limits.max_write_request_units.unwrap_or(NO_LIMIT))
        .build()
}

pub(super) fn projection(projection: &Projection) -> api::Projection {
    let names: Vec<String> = projection.non_key_attributes.iter().cloned().collect();
    api::Projection::builder()
        .projection_type(api::ProjectionType::from(word(&projection.projection_type).as_str()))
        .set_non_key_attributes(Some(names).filter(|names| !names.is_empty()))
        .build()
}

pub(super) fn global_index(index: &GlobalIndex) -> Result<api::GlobalSecondaryIndex> {
    let builder = api::GlobalSecondaryIndex::builder()
        .index_name(&index.index_name)
        .set_key_schema(Some(key_schema(&index.hash_key, index.range_key.as_ref())?))
        .projection(projection(&index.projection))
        .set_provisioned_throughput(index.provisioned_throughput.map(throughput).transpose()?)
        .set_on_demand_throughput(index.on_demand_throughput.map(on_demand));
    built(builder.build())
}

pub(super) fn local_index(table: &Spec, index: &LocalIndex) -> Result<api::LocalSecondaryIndex> {
    let builder = api::LocalSecondaryIndex::builder()
        .index_name(&index.index_name)
        .set_key_schema(Some(key_schema(&table.hash_key, Some(&index.range_key))?))
        .projection(projection(&index.projection));
    built(builder.build())
}

pub(super) fn sse(sse: &Sse) -> api::SseSpecification {
    let builder = api::SseSpecification::builder().enabled(sse.enabled);
    if sse.enabled {
        builder.sse_type(api::SseType::Kms).set_kms_master_key_id(sse.kms_master_key_id.clone()).build()
    } else {
        builder.build()
    }
}

pub(super) fn stream(view: Option<super::spec::ViewType>) -> Result<api::StreamSpecification> {
    let view = view.map(|view| api::StreamViewType::from(word(&view).as_str()));
    built(api::StreamSpecification::builder().stream_enabled(view.is_some()).set_stream_view_type(view).build())
}

/// Reads a table; expiry and backups are other calls and have their defaults here (`facts/aws.md` 9.2).
pub(super) fn read(table: &api::TableDescription) -> Result<Spec> {
    let types = types_of(table);
    let (hash_key, range_key) = keys(table.key_schema.as_deref(), &types)?;
    let by_request = table.billing_mode_summary.as_ref().and_then(|summary| summary.billing_mode.as_ref())
        == Some(&api::BillingMode::PayPerRequest);
    let stream = table.stream_specification.as_ref().filter(|stream| stream.stream_enabled);
    let view = stream.and_then(|stream| stream.stream_view_type.as_ref()).map(|view| read_word(view.as_str()));
    let class = table.table_class_summary.as_ref().and_then(|summary| summary.table_class.as_ref());
    let mut spec = Spec {
        hash_key,
        range_key,
        billing_mode: if by_request { BillingMode::PayPerRequest } else { BillingMode::Provisioned },
        provisioned_throughput: units(table.provisioned_throughput.as_ref(), by_request),
        on_demand_throughput: limits(table.on_demand_throughput.as_ref(), by_request),
        global_secondary_indexes: (table.global_secondary_indexes.iter().flatten())
            .filter(|index| index.index_status != Some(api::IndexStatus::Deleting))
            .map(|index| read_global(index, &types, by_request))
            .collect::<Result<_>>()?,
        local_secondary_indexes: (table.local_secondary_indexes.iter().flatten())
            .map(|index| read_local(index, &types))
            .collect::<Result<_>>()?,
        time_to_live: None,
        point_in_time_recovery: Recovery::default(),
        stream_view_type: view.transpose()?,
        sse_specification: read_sse(table.sse_description.as_ref()),
        table_class: class.map_or(Ok(TableClass::Standard), |class| read_word(class.as_str()))?,
        deletion_protection_enabled: table.deletion_protection_enabled.unwrap_or_default(),
    };
    spec.sort();
    Ok(spec)
}

type Types = HashMap<String, Scalar>;

fn types_of(table: &api::TableDescription) -> Types {
    let definitions = table.attribute_definitions.iter().flatten();
    definitions
        .filter_map(|each| Some((each.attribute_name.clone(), read_word(each.attribute_type.as_str()).ok()?)))
        .collect()
}

fn keys(schema: Option<&[api::KeySchemaElement]>, types: &Types) -> Result<(KeyAttribute, Option<KeyAttribute>)> {
    let key = |kind: &api::KeyType| {
        let element = schema.unwrap_or_default().iter().find(|element| element.key_type == *kind)?;
        let kind = types.get(&element.attribute_name).copied().unwrap_or_default();
        Some(KeyAttribute { name: element.attribute_name.clone(), kind })
    };
    let hash = key(&api::KeyType::Hash).ok_or_else(|| KindError::invalid("the answer has no hash key"))?;
    Ok((hash, key(&api::KeyType::Range)))
}

/// Tables that are paid by request show units of zero, which mean nothing (`facts/aws.md` 9.2).
fn units(units: Option<&api::ProvisionedThroughputDescription>, by_request: bool) -> Option<Throughput> {
    units.filter(|_| !by_request).map(|units| Throughput {
        read_capacity_units: units.read_capacity_units.unwrap_or_default(),
        write_capacity_units: units.write_capacity_units.unwrap_or_default(),
    })
}

fn limits(limits: Option<&api::OnDemandThroughput>, by_request: bool) -> Option<OnDemand> {
    let limit = |limit: Option<i64>| limit.filter(|limit| *limit != NO_LIMIT);
    let limits = limits.filter(|_| by_request).map(|limits| OnDemand {
        max_read_request_units: limit(limits.max_read_request_units),
        max_write_request_units: limit(limits.max_write_request_units),
    });
    limits.filter(|limits| *limits != OnDemand::default())
}

fn read_projection(projection: Option<&api::Projection>) -> Result<Projection> {
    let Some(projection) = projection else { return Ok(Projection::default()) };
    let kind = projection.projection_type.as_ref();
    Ok(Projection {
        projection_type: kind.map_or(Ok(ProjectionType::All), |kind| read_word(kind.as_str()))?,
        non_key_attributes: projection.non_key_attributes.iter().flatten().cloned().collect(),
    })
}

fn read_global(index: &api::GlobalSecondaryIndexDescription, types: &Types, by_request: bool) -> Result<GlobalIndex> {
    let (hash_key, range_key) = keys(index.key_schema.as_deref(), types)?;
    Ok(GlobalIndex {
        index_name: index.index_name.clone().unwrap_or_default(),
        hash_key,
        range_key,
        projection: read_projection(index.projection.as_ref())?,
        provisioned_throughput: units(index.provisioned_throughput.as_ref(), by_request),
        on_demand_throughput: limits(index.on_demand_throughput.as_ref(), by_request),
    })
}

fn read_local(index: &api::LocalSecondaryIndexDescription, types: &Types) -> Result<LocalIndex> {
    let (_, range_key) = keys(index.key_schema.as_deref(), types)?;
    Ok(LocalIndex {
        index_name: index.index_name.clone().unwrap_or_default(),
        range_key: range_key.ok_or_else(|| KindError::invalid("a local index of the answer has no range key"))?,
        projection: read_projection(index.projection.as_ref())?,
    })
}

fn read_sse(sse: Option<&api::SseDescription>) -> Sse {
    let on = [api::SseStatus::Enabled, api::SseStatus::Enabling, api::SseStatus::Updating];
    match sse.filter(|sse| sse.status.as_ref().is_some_and(|status| on.contains(status))) {
        Some(sse) => Sse { enabled: true, kms_master_key_id: sse.kms_master_key_arn.clone() },
        None => Sse::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash() -> Vec<api::KeySchemaElement> {
        key_schema(&KeyAttribute { name: "id".into(), kind: Scalar::N }, None).unwrap()
    }

    #[test]
    fn what_an_answer_leaves_out_has_its_default() {
        let table = api::TableDescription::builder().set_key_schema(Some(hash())).build();
        let spec = read(&table).unwrap();
        assert_eq!(spec.billing_mode, BillingMode::Provisioned);
        assert_eq!(spec.sse_specification, Sse::default());
        assert_eq!((spec.stream_view_type, spec.deletion_protection_enabled), (None, false));
    }

    #[test]
    fn units_of_zero_and_limits_of_minus_one_mean_nothing() {
        let zero = api::ProvisionedThroughputDescription::builder().read_capacity_units(0).write_capacity_units(0);
        let summary = api::BillingModeSummary::builder().billing_mode(api::BillingMode::PayPerRequest).build();
        let table = api::TableDescription::builder()
            .set_key_schema(Some(hash()))
            .provisioned_throughput(zero.build())
            .billing_mode_summary(summary)
            .on_demand_throughput(on_demand(OnDemand::default()))
            .build();
        let spec = read(&table).unwrap();
        assert_eq!((spec.provisioned_throughput, spec.on_demand_throughput), (None, None));
    }
}

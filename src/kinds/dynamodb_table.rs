//! DynamoDB tables (`facts/aws.md` 9).

mod call;
mod peers;
mod spec;
mod steps;
mod wire;

use std::time::Duration;

use aws_sdk_dynamodb::types::TableStatus;
use schemars::JsonSchema;
use serde::Serialize;

pub use spec::Spec;

use crate::aws::Cx;
use crate::aws::error::{failed, found, gone};
use crate::aws::wait::Wait;
use crate::aws::{index, marks};
use crate::kind::{
    Changes, Class, Fault, Files, Grant, Key, Kind, KindError, Naming, Observed, Outputs, Owned, Path, Peers, Place,
    Result, Right, Tags, Writes,
};

/// A DynamoDB table.
pub struct DynamodbTable;

/// What other resources may refer to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TableOutputs {
    /// Amazon Resource Name.
    pub arn: String,
    /// Name.
    pub name: String,
    /// ARN of the table's stream of changes; none while `stream_view_type` is unset.
    pub stream_arn: Option<String>,
}

/// Limits of waiting: Terraform's, as `facts/aws.md` 9.3 to 9.5 give them.
const CREATE_LIMIT: Duration = Duration::from_mins(30);
const UPDATE_LIMIT: Duration = Duration::from_hours(1);
const DELETE_LIMIT: Duration = Duration::from_mins(10);

impl Kind for DynamodbTable {
    const TYPE: &'static str = "dynamodb_table";
    const TITLE: &'static str = "DynamoDB table";
    const DELETE_RANK: u8 = 55;
    const NAMING: Naming = Naming::Name { pattern: r"^[a-zA-Z0-9_.-]{3,255}$" };
    const PEERS: Peers = peers::PEERS;
    const TAG_INDEX: Option<&'static str> = Some("dynamodb:table");
    const PATH: Path = Path {
        ready: &["ACTIVE", "UPDATING"],
        accepts: &["dynamodb:PutItem", "dynamodb:BatchWriteItem"],
        ..Path::NONE
    };
    const READS: &'static [&'static str] = &[
        "dynamodb:DescribeContinuousBackups",
        "dynamodb:DescribeTable",
        "dynamodb:DescribeTimeToLive",
        "dynamodb:ListTagsOfResource",
    ];
    const LISTS: &'static [&'static str] = &["dynamodb:ListTables"];
    const GRANTS: &'static [Grant] = &[
        Grant {
            verb: "read",
            actions: &[
                "dynamodb:BatchGetItem",
                "dynamodb:DescribeTable",
                "dynamodb:GetItem",
                "dynamodb:Query",
                "dynamodb:Scan",
            ],
            resources: &["", "/index/*"],
        },
        Grant {
            verb: "write",
            actions: &[
                "dynamodb:BatchWriteItem",
                "dynamodb:DeleteItem",
                "dynamodb:DescribeTable",
                "dynamodb:PutItem",
                "dynamodb:UpdateItem",
            ],
            resources: &[""],
        },
        Grant {
            verb: "stream",
            actions: &[
                "dynamodb:DescribeStream",
                "dynamodb:GetRecords",
                "dynamodb:GetShardIterator",
                "dynamodb:ListStreams",
            ],
            resources: &["/stream/*"],
        },
    ];

    type Spec = Spec;
    type Outputs = TableOutputs;

    fn prepare(spec: &mut Spec, _: &Files) -> std::result::Result<(), Vec<Fault>> {
        spec.sort();
        Ok(())
    }

    fn check(spec: &Spec) -> Vec<Fault> {
        spec.faults()
    }

    fn predict(place: &Place, key: &Key, want: &Spec) -> Outputs {
        let arn = place.arn("dynamodb", &format!("table/{}", key.name));
        let mut outputs =
            Outputs::from_iter([("arn".to_owned(), arn.into()), ("name".to_owned(), key.name.clone().into())]);
        if want.stream_view_type.is_none() {
            outputs.insert("stream_arn".to_owned(), serde_json::Value::Null);
        }
        outputs
    }

    fn renews(changes: &Changes<'_>) -> &'static [&'static str] {
        if changes.touch("stream_view_type") { &["stream_arn"] } else { &[] }
    }

    async fn observe(cx: &Cx, _: Option<&Spec>) -> Result<Option<Observed<Spec, TableOutputs>>> {
        let Some(table) = found(call::describe(cx).await)? else { return Ok(None) };
        if table.table_status == Some(TableStatus::Deleting) {
            return Ok(None);
        }
        let arn = table.table_arn.clone().unwrap_or_default();
        let rest = {
            let tags = index::tags(cx, &arn, call::tags_of(cx, &arn));
            tokio::try_join!(call::recovery(cx), call::time_to_live(cx), tags)
        };
        let Some((recovery, time_to_live, tags)) = found(rest)? else { return Ok(None) };
        let spec = Spec { point_in_time_recovery: recovery, time_to_live, ..wire::read(&table)? };
        Ok(Some(Observed {
            physical: table.table_name.clone().unwrap_or_default(),
            status: table.table_status.as_ref().map(|status| status.as_str().to_owned()),
            halt: None,
            outputs: outputs_of(&table, &spec),
            spec,
            tags,
        }))
    }

    async fn owned(cx: &Cx) -> Result<Vec<Owned>> {
        let mut pages = cx.aws.dynamodb().list_tables().into_paginator().send();
        let mut owned = Vec::new();
        while let Some(page) = pages.next().await {
            for name in page.map_err(failed("ListTables"))?.table_names.unwrap_or_default() {
                let arn = cx.place().arn("dynamodb", &format!("table/{name}"));
                let tags = found(call::tags_of(cx, &arn).await)?.unwrap_or_default();
                if marks::stack_of(&tags) == Some(&cx.key.stack) {
                    owned.push(Owned { physical: name, tags });
                }
            }
        }
        Ok(owned)
    }
}

impl Writes for DynamodbTable {
    const WRITES: &'static [Right] = &[Right {
        actions: &[
            "dynamodb:CreateTable",
            "dynamodb:DeleteTable",
            "dynamodb:TagResource",
            "dynamodb:UntagResource",
            "dynamodb:UpdateContinuousBackups",
            "dynamodb:UpdateTable",
            "dynamodb:UpdateTimeToLive",
        ],
        resources: &["dynamodb:{region}:{account}:table/{name}", "dynamodb:{region}:{account}:table/{name}/*"],
    }];

    async fn create(cx: &Cx, want: &Spec, tags: &Tags) -> Result<(String, TableOutputs)> {
        call::wait_gone(cx, CREATE_LIMIT).await?;
        let made = Wait::new("a free place among the tables being created", cx.limit("create", CREATE_LIMIT))
            .retry(cx, call::is_crowded, || call::create(cx, want, tags))
            .await;
        match made {
            Err(error) if error.code == "ResourceInUseException" => settle_existing(cx, tags, error).await?,
            other => other?,
        }
        let table = call::wait_active(cx, "create", CREATE_LIMIT).await?;
        let fresh = call::spec_of(cx, &table).await?;
        call::run(cx, &steps::between(want, &fresh), want).await?;
        let table = call::describe(cx).await?;
        let mut own = tags.clone();
        own.retain(|key, _| [marks::STACK, marks::RESOURCE].contains(&key.as_str()));
        call::wait_tags(cx, table.table_arn.as_deref().unwrap_or_default(), &own, &[]).await?;
        Ok((table.table_name.clone().unwrap_or_default(), outputs_of(&table, want)))
    }

    async fn update(cx: &Cx, want: &Spec, found: &Spec, changes: &Changes<'_>) -> Result<()> {
        let table = call::wait_active(cx, "update", UPDATE_LIMIT).await?;
        // What was found may have been on its way: DynamoDB refuses to set what is so already.
        let fresh = Spec {
            point_in_time_recovery: found.point_in_time_recovery,
            time_to_live: found.time_to_live.clone(),
            ..wire::read(&table)?
        };
        let want = changes.target(want, &fresh)?;
        call::run(cx, &steps::between(&want, &fresh), &want).await
    }

    async fn delete(cx: &Cx) -> Result<()> {
        let call = || async {
            let answer = cx.aws.dynamodb().delete_table().table_name(cx.key.handle()).send().await;
            gone(answer.map_err(failed("DeleteTable")))
        };
        let passes = |error: &KindError| error.class == Class::Busy || call::is_crowded(error);
        let wait = Wait::new("the table to accept its deletion", cx.limit("delete", DELETE_LIMIT));
        wait.retry(cx, passes, call).await.map_err(explain_protection)?;
        call::wait_gone(cx, DELETE_LIMIT).await
    }

    async fn retag(cx: &Cx, set: &Tags, remove: &[String]) -> Result<()> {
        let arn = call::describe(cx).await?.table_arn.unwrap_or_default();
        if !set.is_empty() {
            let request = cx.aws.dynamodb().tag_resource().resource_arn(&arn).set_tags(Some(wire::tags(set)?));
            request.send().await.map_err(failed("TagResource"))?;
        }
        if !remove.is_empty() {
            let request = cx.aws.dynamodb().untag_resource().resource_arn(&arn).set_tag_keys(Some(remove.to_vec()));
            request.send().await.map_err(failed("UntagResource"))?;
        }
        call::wait_tags(cx, &arn, set, remove).await
    }
}

/// After "already exists": a lost answer of our own call is success, anybody else's table is not ours.
async fn settle_existing(cx: &Cx, tags: &Tags, error: KindError) -> Result<()> {
    let arn = call::describe(cx).await?.table_arn.unwrap_or_default();
    marks::settle(&call::tags_of(cx, &arn).await?, tags, error)
}

fn outputs_of(table: &aws_sdk_dynamodb::types::TableDescription, spec: &Spec) -> TableOutputs {
    TableOutputs {
        arn: table.table_arn.clone().unwrap_or_default(),
        name: table.table_name.clone().unwrap_or_default(),
        // AWS goes on to show the ARN of a stream that was switched off (facts/aws.md 9.2).
        stream_arn: table.latest_stream_arn.clone().filter(|_| spec.stream_view_type.is_some()),
    }
}

fn explain_protection(error: KindError) -> KindError {
    if error.code == "ValidationException" && error.message.contains("protected against deletion") {
        return error
            .hint("set `deletion_protection_enabled: false` in the stack file, apply that, and then remove it");
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protected_table_says_how_to_unlock_it() {
        let error = |message: &str| KindError { code: "ValidationException".into(), ..KindError::invalid(message) };
        let text = "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.";
        assert!(explain_protection(error(text)).hint.unwrap().contains("deletion_protection_enabled: false"));
        assert_eq!(explain_protection(error("other")).hint, None);
    }
}

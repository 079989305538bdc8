//! Operations on tables themselves, with the rules and states that the engine does not have.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::engine::{Engine, fault};
use super::row::{Row, tags_in};
use super::{TABLES, invalid, missing, name_of};
use crate::local::store::Store;
use crate::local::{Answer, Call, Fault, Outcome, unknown_operation};

/// One call at one caller's tables.
pub(super) struct Desk<'a> {
    pub(super) engine: &'a Engine<'a>,
    pub(super) rows: &'a Store,
    pub(super) call: &'a Call,
    pub(super) body: &'a Value,
    pub(super) name: &'a str,
}

fn hold(gate: &Mutex<()>) -> MutexGuard<'_, ()> {
    gate.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk<'_> {
    /// Answers an operation on tables; none when the call is about items.
    pub(super) fn control(&self, gate: &Mutex<()>) -> Option<Outcome> {
        let _one_at_a_time = hold(gate);
        Some(match self.call.operation.as_str() {
            "CreateTable" => self.create(),
            "DescribeTable" => self.describe_table(),
            "UpdateTable" => self.update(),
            "DeleteTable" => self.delete(),
            "UpdateTimeToLive" => self.update_ttl(),
            "DescribeTimeToLive" => self.describe_ttl(),
            "UpdateContinuousBackups" => self.update_backups(),
            "DescribeContinuousBackups" => self.describe_backups(),
            "TagResource" | "UntagResource" | "ListTagsOfResource" => self.tags(),
            "DescribeLimits" => Ok(Answer::json(limits())),
            _ => return None,
        })
    }

    fn row(&self) -> Result<Row, Fault> {
        self.rows.transaction(self.call, |tx| Row::read(tx, self.call, self.name))
    }

    fn put(&self, row: &Row) -> Result<(), Fault> {
        self.rows.transaction(self.call, |tx| tx.put(TABLES, self.name, row))
    }

    fn forget(&self, name: &str) -> Result<(), Fault> {
        self.rows.transaction(self.call, |tx| tx.delete(TABLES, name)).map(|_| ())
    }

    /// Runs this call, or another operation on the same table, in the engine.
    fn run(&self, operation: &str, body: &Value) -> Result<Value, Fault> {
        let ran = self.engine.table(operation, body).ok_or_else(|| unknown_operation(self.call))?;
        ran.map_err(|error| fault(&error))
    }

    fn described(&self) -> Result<Value, Fault> {
        self.run("DescribeTable", &json!({"TableName": self.name})).map(|mut answer| answer["Table"].take())
    }

    /// Removes the tables whose time in DELETING is over, and rows whose table was never made.
    pub(super) fn finish_deletions(&self, gate: &Mutex<()>) -> Result<(), Fault> {
        let listed = self.rows.transaction(self.call, |tx| tx.list_with::<Row>(TABLES, "DELETING"))?;
        for (name, row) in listed {
            if row.state == "DELETING" && self.call.now >= row.ready_at {
                let _one_at_a_time = hold(gate);
                // Gone already when another call was faster, or when the process died between the two.
                let _ = self.engine.table("DeleteTable", &json!({"TableName": name}));
                self.forget(&name)?;
            }
        }
        Ok(())
    }

    /// Refuses reading and writing items of a table that is being made or deleted.
    pub(super) fn check_readable(&self) -> Result<(), Fault> {
        if self.name.is_empty() {
            return Ok(());
        }
        let row = self.row()?;
        if row.passing(self.call.now) == Some("CREATING") || row.state == "DELETING" {
            return Err(Fault::new("ResourceNotFoundException", "Requested resource not found"));
        }
        Ok(())
    }

    fn create(&self) -> Outcome {
        let tags = tags_in(&self.body["Tags"])?;
        let mut body = self.body.clone();
        if let Some(fields) = body.as_object_mut() {
            fields.remove("Tags");
        }
        let exists = self.described().is_ok();
        let mut row = Row { arn: self.call.arn("dynamodb", &format!("table/{}", self.name)), tags, ..Row::default() };
        row.enter("CREATING", self.call);
        self.body["GlobalSecondaryIndexes"].as_array().into_iter().flatten().for_each(|index| row.limit(index));
        // The row comes first, so that a table never lacks the tags it was made with.
        if !exists {
            self.put(&row)?;
        }
        let made = self.run("CreateTable", &body).inspect_err(|_| {
            if !exists {
                // The first failure is the one to report.
                let _ = self.forget(self.name);
            }
        })?;
        row.stream_arn = stream_arn(&made["TableDescription"]);
        self.put(&row)?;
        Ok(Answer::json(made))
    }

    fn describe_table(&self) -> Outcome {
        let mut answer = self.run("DescribeTable", self.body)?;
        self.row()?.complete(&mut answer["Table"], self.call);
        Ok(Answer::json(answer))
    }

    /// Refuses to change a table that is not ACTIVE (`facts/aws.md` 9.4, 9.5).
    fn active(&self, row: &Row) -> Result<(), Fault> {
        match row.passing(self.call.now) {
            None => Ok(()),
            Some(state) => Err(Fault::new(
                "ResourceInUseException",
                format!(
                    "Attempt to change a resource which is still in use: Table is being {}: {}",
                    doing(state),
                    self.name
                ),
            )),
        }
    }

    fn update(&self) -> Outcome {
        self.described()?;
        let mut row = self.row()?;
        self.active(&row)?;
        self.check_alone()?;
        self.check_indexes()?;
        let encryption = &self.body["SSESpecification"];
        let mut table = match self.engine_update()? {
            Some(body) => self.run("UpdateTable", &body)?["TableDescription"].take(),
            None => self.described()?,
        };
        if !encryption.is_null() {
            row.encryption = encryption.clone();
        }
        self.note_indexes(&mut row);
        row.stream_arn = stream_arn(&table);
        row.enter("UPDATING", self.call);
        self.put(&row)?;
        row.complete(&mut table, self.call);
        table["TableStatus"] = json!("UPDATING");
        Ok(Answer::json(json!({"TableDescription": table})))
    }

    /// Returns the call without what the engine does not take and the row keeps: encryption, and the limits of indexes
    /// (an update of an index need not name its units, API `UpdateGlobalSecondaryIndexAction`); none when nothing is left.
    fn engine_update(&self) -> Result<Option<Value>, Fault> {
        let limits =
            |update: &Value| update["Update"].is_object() && update["Update"]["ProvisionedThroughput"].is_null();
        if self.given("SSESpecification") {
            return Ok(None);
        }
        if !self.index_updates().any(limits) {
            return Ok(Some(self.body.clone()));
        }
        let table = self.described()?;
        let known = |name: &Value| {
            table["GlobalSecondaryIndexes"].as_array().into_iter().flatten().any(|index| index["IndexName"] == *name)
        };
        if let Some(update) =
            self.index_updates().find(|update| limits(update) && !known(&update["Update"]["IndexName"]))
        {
            let name = update["Update"]["IndexName"].as_str().unwrap_or_default();
            return Err(invalid(format!("The table does not have the specified index: {name}")));
        }
        let mut body = self.body.clone();
        let rest: Vec<Value> = self.index_updates().filter(|update| !limits(update)).cloned().collect();
        if let Some(fields) = body.as_object_mut() {
            fields.remove("GlobalSecondaryIndexUpdates");
            if !rest.is_empty() {
                fields.insert("GlobalSecondaryIndexUpdates".to_owned(), Value::Array(rest));
            }
            fields.retain(|_, value| !value.is_null());
        }
        let left = body
            .as_object()
            .is_some_and(|fields| fields.keys().any(|name| name != "TableName" && name != "AttributeDefinitions"));
        Ok(left.then_some(body))
    }

    fn given(&self, field: &str) -> bool {
        self.body.get(field).is_some_and(|value| !value.is_null())
    }

    /// Encryption and table class cannot be mixed with other changes (`facts/aws.md` 9.4).
    fn check_alone(&self) -> Result<(), Fault> {
        let changes = [
            "SSESpecification",
            "TableClass",
            "ProvisionedThroughput",
            "BillingMode",
            "GlobalSecondaryIndexUpdates",
            "StreamSpecification",
            "DeletionProtectionEnabled",
            "OnDemandThroughput",
            "ReplicaUpdates",
        ];
        let others = |own: &str| changes.iter().any(|field| *field != own && self.given(field));
        if self.given("SSESpecification") && others("SSESpecification") {
            return Err(invalid(
                "One or more parameter values were invalid: Server-Side Encryption modification must be the only operation in the request",
            ));
        }
        if self.given("TableClass") && others("TableClass") {
            return Err(invalid(
                "One or more parameter values were invalid: the table class must be the only change in the request",
            ));
        }
        if self.given("ReplicaUpdates") {
            return Err(invalid("the local cloud has no global tables"));
        }
        Ok(())
    }

    fn index_updates(&self) -> impl Iterator<Item = &Value> {
        self.body["GlobalSecondaryIndexUpdates"].as_array().into_iter().flatten()
    }

    /// One index can be made or deleted at a time (`facts/aws.md` 9.4).
    fn check_indexes(&self) -> Result<(), Fault> {
        let online = self.index_updates().filter(|update| update["Create"].is_object() || update["Delete"].is_object());
        if online.count() > 1 {
            let text =
                "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table";
            return Err(Fault::new("LimitExceededException", text));
        }
        // The call that switches to payment by request says nothing of indexes (`facts/aws.md` 9.4).
        let by_request = json!("PAY_PER_REQUEST");
        let switches = self.body["BillingMode"] == by_request
            && self.described()?["BillingModeSummary"]["BillingMode"] != by_request;
        if switches && self.index_updates().any(|update| update["Update"].is_object()) {
            return Err(invalid(
                "One or more parameter values were invalid: indexes cannot be updated while BillingMode is changed to PAY_PER_REQUEST",
            ));
        }
        Ok(())
    }

    fn note_indexes(&self, row: &mut Row) {
        row.index = None;
        for update in self.index_updates() {
            for change in ["Create", "Update"] {
                let throughput = &update[change]["ProvisionedThroughput"];
                if let Some(name) = update[change]["IndexName"].as_str().filter(|_| throughput.is_object()) {
                    row.throughput.insert(name.to_owned(), throughput.clone());
                }
                row.limit(&update[change]);
            }
            if let Some(name) = update["Create"]["IndexName"].as_str() {
                row.index = Some(name.to_owned());
            }
            if let Some(name) = update["Delete"]["IndexName"].as_str() {
                row.throughput.remove(name);
                row.limits.remove(name);
            }
        }
        match self.body["BillingMode"].as_str() {
            Some("PAY_PER_REQUEST") => row.throughput.clear(),
            Some(_) => row.limits.clear(),
            None => {}
        }
    }

    fn delete(&self) -> Outcome {
        let mut table = self.described()?;
        let mut row = self.row()?;
        if row.passing(self.call.now) != Some("DELETING") {
            self.active(&row)?;
            if table["DeletionProtectionEnabled"] == json!(true) {
                return Err(invalid(
                    "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.",
                ));
            }
            row.enter("DELETING", self.call);
            if self.call.delay > 0 {
                self.put(&row)?;
            } else {
                self.run("DeleteTable", self.body)?;
                self.forget(self.name)?;
            }
        }
        table["TableStatus"] = json!("DELETING");
        Ok(Answer::json(json!({"TableDescription": table})))
    }

    fn update_ttl(&self) -> Outcome {
        let before = self.run("DescribeTimeToLive", &json!({"TableName": self.name}))?;
        let mut row = self.row()?;
        self.active(&row)?;
        if self.call.now < row.ttl_at {
            return Err(invalid("Time to live has been modified multiple times within a fixed interval"));
        }
        let enable = &self.body["TimeToLiveSpecification"]["Enabled"];
        let enabled = before["TimeToLiveDescription"]["TimeToLiveStatus"] == json!("ENABLED");
        if enable.as_bool() == Some(enabled) {
            let state = if enabled { "enabled" } else { "disabled" };
            return Err(invalid(format!("TimeToLive is already {state}")));
        }
        let answer = self.run("UpdateTimeToLive", self.body)?;
        row.ttl_at = self.call.now + self.call.delay;
        self.put(&row)?;
        Ok(Answer::json(answer))
    }

    fn describe_ttl(&self) -> Outcome {
        let mut answer = self.run("DescribeTimeToLive", self.body)?;
        if self.call.now < self.row()?.ttl_at {
            let status = &mut answer["TimeToLiveDescription"]["TimeToLiveStatus"];
            *status = json!(if *status == json!("ENABLED") { "ENABLING" } else { "DISABLING" });
        }
        Ok(Answer::json(answer))
    }

    /// The backup operations have their own "not found" (`facts/aws.md` 0.4).
    fn row_for_backups(&self) -> Result<Row, Fault> {
        let unknown = |_| Fault::new("TableNotFoundException", format!("Table not found: {}", self.name));
        self.described().map_err(unknown)?;
        self.row()
    }

    fn update_backups(&self) -> Outcome {
        let mut row = self.row_for_backups()?;
        if row.passing(self.call.now) == Some("CREATING") {
            let text = format!("Backups are being enabled for the table: {}. Please retry later", self.name);
            return Err(Fault::new("ContinuousBackupsUnavailableException", text));
        }
        let wanted = &self.body["PointInTimeRecoverySpecification"];
        let days = &wanted["RecoveryPeriodInDays"];
        let days = if days.is_null() { Some(35) } else { days.as_u64().filter(|days| (1..=35).contains(days)) };
        let days = days.ok_or_else(|| invalid("RecoveryPeriodInDays must be between 1 and 35"))?;
        row.recovery = match wanted["PointInTimeRecoveryEnabled"].as_bool() {
            Some(true) => Some((days, row.recovery.map_or(self.call.now, |(_, since)| since))),
            Some(false) => None,
            None => return Err(invalid("PointInTimeRecoverySpecification needs PointInTimeRecoveryEnabled")),
        };
        self.put(&row)?;
        Ok(Answer::json(self.backups(&row)))
    }

    fn describe_backups(&self) -> Outcome {
        let row = self.row_for_backups()?;
        Ok(Answer::json(self.backups(&row)))
    }

    fn backups(&self, row: &Row) -> Value {
        let recovery = match row.recovery {
            None => json!({"PointInTimeRecoveryStatus": "DISABLED"}),
            Some((days, since)) => json!({
                "PointInTimeRecoveryStatus": "ENABLED",
                "RecoveryPeriodInDays": days,
                "EarliestRestorableDateTime": since / 1000,
                "LatestRestorableDateTime": self.call.now / 1000,
            }),
        };
        json!({"ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery,
        }})
    }

    fn tags(&self) -> Outcome {
        let arn = self.body["ResourceArn"].as_str().unwrap_or_default();
        let name = name_of(self.call, arn)
            .ok_or_else(|| invalid(format!("Invalid TableArn: Invalid ResourceArn provided as input {arn}")))?;
        let desk = Desk { name, ..*self };
        desk.described().map_err(|_| missing(name))?;
        let mut row = desk.row()?;
        if self.call.operation == "ListTagsOfResource" {
            return Ok(Answer::json(json!({"Tags": crate::local::tagging::pairs(&row.tags)})));
        }
        let removed: Vec<String> = serde_json::from_value(self.body["TagKeys"].clone()).unwrap_or_default();
        row.change_tags(tags_in(&self.body["Tags"])?, &removed)?;
        desk.put(&row)?;
        Ok(Answer::json(Value::Null))
    }
}

fn doing(state: &str) -> &'static str {
    match state {
        "CREATING" => "created",
        "DELETING" => "deleted",
        _ => "updated",
    }
}

fn stream_arn(table: &Value) -> Option<String> {
    let enabled = table["StreamSpecification"]["StreamEnabled"] == json!(true);
    table["LatestStreamArn"].as_str().filter(|_| enabled).map(str::to_owned)
}

fn limits() -> Value {
    json!({
        "AccountMaxReadCapacityUnits": 80000, "AccountMaxWriteCapacityUnits": 80000,
        "TableMaxReadCapacityUnits": 40000, "TableMaxWriteCapacityUnits": 40000,
    })
}

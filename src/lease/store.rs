//! The calls to the lock table. It knows one item of one table, and nothing of turns.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::item::{Change, Field, Fields, KEY, Lease, key};
use crate::aws::Aws;
use crate::aws::error::failed;
use crate::kind::{Class, KindError, Place, Result};

/// IAM actions that a run with a lock needs on its table.
pub const ACTIONS: &[&str] = &["dynamodb:GetItem", "dynamodb:UpdateItem"];

/// The item of one stack.
#[derive(Debug, Clone)]
pub struct Store {
    aws: Arc<Aws>,
    table: String,
    key: String,
}

impl Store {
    /// Makes the way to a stack's item.
    #[must_use]
    pub fn new(aws: Arc<Aws>, table: &str, stack: &str) -> Self {
        let key = key(&aws.place.account, &aws.place.region, stack);
        Self { aws, table: table.to_owned(), key }
    }

    /// Returns the name of the table.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Returns the key of the item.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Reads the item.
    ///
    /// # Errors
    /// Returns the refusal of DynamoDB with advice, or that the item is no lease.
    pub async fn read(&self) -> Result<Option<Lease>> {
        let call = self.aws.dynamodb().get_item().table_name(&self.table).consistent_read(true);
        let sent = call.key(KEY, AttributeValue::S(self.key.clone())).send().await;
        let answer = sent.map_err(failed("GetItem")).map_err(|error| self.explained(error))?;
        answer.item.map(|item| self.lease(item)).transpose()
    }

    /// Makes a change and returns the item as it is then; none when the condition did not hold.
    ///
    /// # Errors
    /// Returns as [`Store::read`] does.
    pub async fn change(&self, change: &Change) -> Result<Option<Lease>> {
        let expression = change.expression();
        let values = expression.values.into_iter().map(|(name, value)| (name, attribute(value))).collect();
        let call = self.aws.dynamodb().update_item().table_name(&self.table).return_values(ReturnValue::AllNew);
        let call = call
            .key(KEY, AttributeValue::S(self.key.clone()))
            .update_expression(expression.update)
            .condition_expression(expression.condition)
            .set_expression_attribute_names(Some(expression.names.into_iter().collect()))
            .set_expression_attribute_values(Some(values));
        match call.send().await.map_err(failed("UpdateItem")) {
            Ok(answer) => answer.attributes.map(|item| self.lease(item)).transpose(),
            Err(error) if error.code == "ConditionalCheckFailedException" => Ok(None),
            Err(error) => Err(self.explained(error)),
        }
    }

    fn lease(&self, item: HashMap<String, AttributeValue>) -> Result<Lease> {
        let fields: Fields = item.into_iter().filter_map(|(name, value)| Some((name, field(value)?))).collect();
        Lease::read(&fields).ok_or_else(|| {
            let text = format!("the item {} of table {} is no lease that this version knows", self.key, self.table);
            KindError::invalid(text).hint(format!(
                "look at it; if no run is at work, delete it: aws dynamodb delete-item --table-name {} --region {} --key '{{\"{KEY}\":{{\"S\":\"{}\"}}}}'",
                self.table, self.aws.place.region, self.key
            ))
        })
    }

    fn explained(&self, error: KindError) -> KindError {
        match advice(&error, &self.table, &self.aws.place) {
            Some(advice) => error.hint(advice),
            None => error,
        }
    }
}

fn advice(error: &KindError, table: &str, place: &Place) -> Option<String> {
    let Place { partition, region, account } = place;
    match error.class {
        // A table that is being made is not found either.
        Class::NotFound => Some(format!(
            "the lock table {table} is not in {region}, account {account}. Make it once, for all stacks: aws dynamodb create-table --table-name {table} --attribute-definitions AttributeName={KEY},AttributeType=S --key-schema AttributeName={KEY},KeyType=HASH --billing-mode PAY_PER_REQUEST --region {region}\n  or apply a stack of its own with the resource `locks: {{type: dynamodb_table, name: {table}, hash_key: {{name: {KEY}, type: S}}, billing_mode: PAY_PER_REQUEST}}`"
        )),
        // Credentials that are missing or over have advice of their own.
        Class::Denied if error.code.starts_with("AccessDenied") => Some(format!(
            "a run with a lock needs {} on arn:{partition}:dynamodb:{region}:{account}:table/{table}; this call needs dynamodb:{}",
            ACTIONS.join(" and "),
            error.operation
        )),
        Class::Invalid
            if error.message.contains("key element does not match") || error.message.contains("key schema") =>
        {
            Some(format!("a lock table has the hash key {KEY}, of type S, and no range key: name another in `lock:`"))
        }
        _ => None,
    }
}

fn attribute(field: Field) -> AttributeValue {
    match field {
        Field::Text(text) => AttributeValue::S(text),
        Field::Number(number) => AttributeValue::N(number.to_string()),
    }
}

fn field(value: AttributeValue) -> Option<Field> {
    match value {
        AttributeValue::S(text) => Some(Field::Text(text)),
        AttributeValue::N(number) => number.parse().ok().map(Field::Number),
        _ => None,
    }
}

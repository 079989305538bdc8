//! Which calls lead from one table to another, in the order that DynamoDB allows (`facts/aws.md` 9.4). Pure.

use super::spec::{
    BillingMode, GlobalIndex, OnDemand, Recovery, Spec, Sse, TableClass, Throughput, TimeToLive, ViewType,
};

/// One call, after which the table must be ACTIVE again.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// Deletes an index; one a call.
    DropIndex(String),
    /// Changes the class, which goes alone.
    Class(TableClass),
    /// Ends the stream, before another kind of stream can start.
    StopStream,
    /// Changes what can go together.
    Settings(Settings),
    /// Makes an index; one a call.
    AddIndex(GlobalIndex),
    /// Changes the encryption, which goes alone.
    Encryption(Sse),
    /// Stops the expiry of items by this attribute.
    StopExpiry(TimeToLive),
    /// Starts the expiry of items.
    StartExpiry(TimeToLive),
    /// Changes continuous backups.
    Recovery(Recovery),
}

/// What one `UpdateTable` can change together; only what differs, since AWS refuses changes that change nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Settings {
    pub(super) billing_mode: Option<BillingMode>,
    pub(super) provisioned_throughput: Option<Throughput>,
    pub(super) on_demand_throughput: Option<OnDemand>,
    pub(super) deletion_protection_enabled: Option<bool>,
    pub(super) stream: Option<StreamChange>,
    /// Capacity of indexes.
    pub(super) indexes: Vec<IndexSettings>,
}

/// A change of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamChange {
    /// Starts one.
    Start(ViewType),
    /// Stops it.
    Stop,
}

/// New capacity of one index.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct IndexSettings {
    pub(super) index_name: String,
    pub(super) provisioned_throughput: Option<Throughput>,
    pub(super) on_demand_throughput: Option<OnDemand>,
}

/// Lists the steps from `found` to `want`.
pub(super) fn between(want: &Spec, found: &Spec) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let dropped = found.global_secondary_indexes.iter().filter(|index| kept(index, want).is_none());
    steps.extend(dropped.map(|index| Step::DropIndex(index.index_name.clone())));
    if want.table_class != found.table_class {
        steps.push(Step::Class(want.table_class));
    }
    if found.stream_view_type.is_some()
        && want.stream_view_type.is_some_and(|view| Some(view) != found.stream_view_type)
    {
        steps.push(Step::StopStream);
    }
    let settings = settings(want, found);
    if settings != Settings::default() {
        steps.push(Step::Settings(settings));
    }
    let late = late_settings(want, found);
    if late != Settings::default() {
        steps.push(Step::Settings(late));
    }
    let added = want.global_secondary_indexes.iter().filter(|index| kept(index, found).is_none());
    steps.extend(added.cloned().map(Step::AddIndex));
    if differs(&want.sse_specification, &found.sse_specification) {
        steps.push(Step::Encryption(want.sse_specification.clone()));
    }
    if want.time_to_live != found.time_to_live {
        steps.extend(found.time_to_live.clone().map(Step::StopExpiry));
        steps.extend(want.time_to_live.clone().map(Step::StartExpiry));
    }
    if want.point_in_time_recovery != found.point_in_time_recovery {
        steps.push(Step::Recovery(want.point_in_time_recovery));
    }
    steps
}

/// An unset key is AWS's choice, so only a key that is named can differ.
fn differs(want: &Sse, found: &Sse) -> bool {
    let other_key = want.kms_master_key_id.is_some() && want.kms_master_key_id != found.kms_master_key_id;
    want.enabled != found.enabled || (want.enabled && other_key)
}

/// Returns the index on the other side that is the same but for its capacity.
fn kept<'a>(index: &GlobalIndex, other: &'a Spec) -> Option<&'a GlobalIndex> {
    other.global_secondary_indexes.iter().find(|each| {
        each.index_name == index.index_name
            && each.hash_key == index.hash_key
            && each.range_key == index.range_key
            && each.projection == index.projection
    })
}

fn settings(want: &Spec, found: &Spec) -> Settings {
    let provisioned = want.billing_mode == BillingMode::Provisioned;
    let switched = want.billing_mode != found.billing_mode;
    Settings {
        billing_mode: switched.then_some(want.billing_mode),
        provisioned_throughput: want
            .provisioned_throughput
            .filter(|units| provisioned && (switched || Some(*units) != found.provisioned_throughput)),
        on_demand_throughput: limits(want.on_demand_throughput, found.on_demand_throughput).filter(|_| !provisioned),
        deletion_protection_enabled: (want.deletion_protection_enabled != found.deletion_protection_enabled)
            .then_some(want.deletion_protection_enabled),
        stream: (want.stream_view_type != found.stream_view_type)
            .then(|| want.stream_view_type.map_or(StreamChange::Stop, StreamChange::Start)),
        indexes: want.global_secondary_indexes.iter().filter_map(|index| index_settings(index, want, found)).collect(),
    }
}

/// A switch to provisioned capacity names the capacity of every index; a switch away from it names none.
fn index_settings(index: &GlobalIndex, want: &Spec, found: &Spec) -> Option<IndexSettings> {
    let before = kept(index, found)?;
    let provisioned = want.billing_mode == BillingMode::Provisioned;
    let switched = want.billing_mode != found.billing_mode;
    let units = index.provisioned_throughput;
    let settings = IndexSettings {
        index_name: index.index_name.clone(),
        provisioned_throughput: units
            .filter(|units| provisioned && (switched || Some(*units) != before.provisioned_throughput)),
        on_demand_throughput: limits(index.on_demand_throughput, before.on_demand_throughput)
            .filter(|_| !provisioned && !switched),
    };
    let changes = settings.provisioned_throughput.is_some() || settings.on_demand_throughput.is_some();
    changes.then_some(settings)
}

/// The call that switches to payment by request takes nothing about indexes, so that their limits come after it.
fn late_settings(want: &Spec, found: &Spec) -> Settings {
    if want.billing_mode == found.billing_mode || want.billing_mode == BillingMode::Provisioned {
        return Settings::default();
    }
    let limited = |index: &GlobalIndex| IndexSettings {
        index_name: index.index_name.clone(),
        provisioned_throughput: None,
        on_demand_throughput: index.on_demand_throughput,
    };
    let kept = want.global_secondary_indexes.iter().filter(|index| kept(index, found).is_some());
    let indexes = kept.filter(|index| index.on_demand_throughput.is_some()).map(limited).collect();
    Settings { indexes, ..Settings::default() }
}

/// Returns new limits when they differ; the default stands for no limits.
fn limits(want: Option<OnDemand>, found: Option<OnDemand>) -> Option<OnDemand> {
    (want != found).then(|| want.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(more: &Value) -> Spec {
        let mut all = json!({"hash_key": {"name": "id"}});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn units(read: i64) -> Value {
        json!({"read_capacity_units": read, "write_capacity_units": 1})
    }

    fn index(name: &str, key: &str, units: Option<&Value>) -> Value {
        json!({"index_name": name, "hash_key": {"name": key}, "provisioned_throughput": units})
    }

    #[test]
    fn equal_tables_need_no_steps() {
        let one = spec(
            &json!({"provisioned_throughput": units(5), "global_secondary_indexes": [index("abc", "k", Some(&units(1)))]}),
        );
        assert_eq!(between(&one, &one), []);
    }

    #[test]
    fn an_index_with_other_keys_goes_and_comes_again_around_the_rest() {
        let found = spec(
            &json!({"provisioned_throughput": units(5), "global_secondary_indexes": [index("abc", "k", Some(&units(1)))]}),
        );
        let want = spec(&json!({
            "provisioned_throughput": units(6), "global_secondary_indexes": [index("abc", "l", Some(&units(1)))],
            "table_class": "STANDARD_INFREQUENT_ACCESS", "sse_specification": {"enabled": true},
        }));
        let steps = between(&want, &found);
        assert!(
            matches!(
                &steps[..],
                [
                    Step::DropIndex(_),
                    Step::Class(_),
                    Step::Settings(Settings { indexes, .. }),
                    Step::AddIndex(_),
                    Step::Encryption(_)
                ] if indexes.is_empty()
            ),
            "{steps:#?}"
        );
    }

    #[test]
    fn a_mode_switch_names_all_capacity_or_none() {
        let indexes = |units: Option<&Value>| json!([index("abc", "k", units), index("abd", "l", units)]);
        let by_request = spec(&json!({"billing_mode": "PAY_PER_REQUEST", "global_secondary_indexes": indexes(None)}));
        let by_units =
            spec(&json!({"provisioned_throughput": units(5), "global_secondary_indexes": indexes(Some(&units(2)))}));
        let [Step::Settings(up)] = &between(&by_units, &by_request)[..] else { panic!("one step") };
        assert_eq!((up.provisioned_throughput.is_some(), up.indexes.len()), (true, 2));
        let [Step::Settings(down)] = &between(&by_request, &by_units)[..] else { panic!("one step") };
        let only = Settings { billing_mode: Some(BillingMode::PayPerRequest), ..Settings::default() };
        assert_eq!(down, &only);
    }

    #[test]
    fn limits_of_indexes_follow_a_switch_to_payment_by_request() {
        let mut limited = index("abc", "k", None);
        limited["on_demand_throughput"] = json!({"max_read_request_units": 10});
        let by_request = spec(&json!({"billing_mode": "PAY_PER_REQUEST", "global_secondary_indexes": [limited]}));
        let by_units = spec(
            &json!({"provisioned_throughput": units(5), "global_secondary_indexes": [index("abc", "k", Some(&units(2)))]}),
        );
        let steps = between(&by_request, &by_units);
        let [Step::Settings(switch), Step::Settings(limits)] = &steps[..] else { panic!("{steps:#?}") };
        assert_eq!((switch.billing_mode, switch.indexes.len()), (Some(BillingMode::PayPerRequest), 0));
        assert_eq!((limits.billing_mode, limits.indexes.len()), (None, 1));
        assert_eq!(between(&by_request, &by_request), []);
    }

    #[test]
    fn another_view_stops_the_stream_first() {
        let with = |view: Option<&str>| spec(&json!({"provisioned_throughput": units(5), "stream_view_type": view}));
        let steps = between(&with(Some("NEW_IMAGE")), &with(Some("KEYS_ONLY")));
        assert_eq!(steps[0], Step::StopStream);
        assert!(
            matches!(&steps[1], Step::Settings(settings) if settings.stream == Some(StreamChange::Start(ViewType::NewImage)))
        );
        let off = between(&with(None), &with(Some("KEYS_ONLY")));
        assert!(matches!(&off[..], [Step::Settings(settings)] if settings.stream == Some(StreamChange::Stop)));
        assert_eq!(between(&with(Some("KEYS_ONLY")), &with(None)).len(), 1);
    }

    #[test]
    fn expiry_by_another_attribute_stops_and_starts() {
        let with =
            |name: &str| spec(&json!({"provisioned_throughput": units(5), "time_to_live": {"attribute_name": name}}));
        let steps = between(&with("a"), &with("b"));
        assert!(matches!(&steps[..], [Step::StopExpiry(_), Step::StartExpiry(_)]));
    }

    #[test]
    fn a_key_that_aws_chose_is_no_difference() {
        let found = Sse { enabled: true, kms_master_key_id: Some("arn".into()) };
        assert!(!differs(&Sse { enabled: true, kms_master_key_id: None }, &found));
        assert!(differs(&Sse { enabled: true, kms_master_key_id: Some("other".into()) }, &found));
        assert!(differs(&Sse::default(), &found));
        assert!(!differs(&Sse::default(), &Sse::default()));
    }
}

//! Tables.

use super::*;

fn units(read: i64, write: i64) -> Value {
    json!({"read_capacity_units": read, "write_capacity_units": write})
}

#[tokio::test]
async fn a_table_lives() {
    let plain = json!({"hash_key": {"name": "id"}, "provisioned_throughput": units(5, 5)});
    let full = json!({
        "hash_key": {"name": "id"}, "provisioned_throughput": units(6, 4),
        "global_secondary_indexes": [
            {"index_name": "by_page", "hash_key": {"name": "page"}, "range_key": {"name": "at", "type": "N"},
             "projection": {"projection_type": "INCLUDE", "non_key_attributes": ["price"]}, "provisioned_throughput": units(2, 2)},
            {"index_name": "by_gate", "hash_key": {"name": "gate"}, "provisioned_throughput": units(1, 1)},
        ],
        "time_to_live": {"attribute_name": "expires_at"},
        "point_in_time_recovery": {"enabled": true, "recovery_period_in_days": 7},
        "stream_view_type": "NEW_IMAGE", "sse_specification": {"enabled": true},
        "table_class": "STANDARD_INFREQUENT_ACCESS", "deletion_protection_enabled": true,
    });
    let by_request = json!({
        "hash_key": {"name": "id"}, "billing_mode": "PAY_PER_REQUEST",
        "on_demand_throughput": {"max_read_request_units": 100},
        "global_secondary_indexes": [{"index_name": "by_page", "hash_key": {"name": "page"}, "projection": {"projection_type": "KEYS_ONLY"}}],
        "time_to_live": {"attribute_name": "expires_at"},
        "stream_view_type": "NEW_AND_OLD_IMAGES",
    });
    let subject = Account::new().subject("dynamodb_table", "tickets");
    subject.lives(&plain, &[full, by_request]).await;
}

#[tokio::test]
async fn a_table_with_everything_is_made_at_once() {
    let full = json!({
        "hash_key": {"name": "id"}, "range_key": {"name": "at", "type": "N"}, "billing_mode": "PAY_PER_REQUEST",
        "local_secondary_indexes": [{"index_name": "by_price", "range_key": {"name": "price", "type": "N"}}],
        "global_secondary_indexes": [{"index_name": "by_page", "hash_key": {"name": "page"}}],
        "time_to_live": {"attribute_name": "expires_at"}, "point_in_time_recovery": true, "stream_view_type": "KEYS_ONLY",
    });
    let found = Account::new().subject("dynamodb_table", "tickets").create(&full).await;
    assert!(found.outputs["stream_arn"].as_str().unwrap().contains("/stream/"), "{:?}", found.outputs);
}

#[tokio::test]
async fn a_protected_table_stays() {
    let spec =
        json!({"hash_key": {"name": "id"}, "provisioned_throughput": units(5, 5), "deletion_protection_enabled": true});
    let subject = Account::new().subject("dynamodb_table", "tickets");
    subject.create(&spec).await;
    let error = subject.kind.delete(&subject.cx).await.unwrap_err();
    assert!(error.hint.unwrap().contains("deletion_protection_enabled: false"));
}

#[tokio::test]
async fn a_foreign_table_is_refused() {
    let spec = json!({"hash_key": {"name": "id"}, "provisioned_throughput": units(5, 5)});
    Account::new().subject("dynamodb_table", "tickets").refuses_foreign(&spec).await;
}

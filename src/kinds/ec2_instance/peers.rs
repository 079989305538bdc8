//! Instances in Terraform: `aws_instance` and `aws_spot_instance_request`.

use serde_json::{Map, Value};

use crate::kind::{Attributes, Draft, Found, Import, Peers, Piece, Terraform};

const SPOT: &str = "aws_spot_instance_request";

pub(super) const PEERS: Peers = Peers {
    terraform: Some(Terraform {
        types: &["aws_instance", SPOT],
        parts: &[],
        name: "",
        outputs: &[("id", "spot_instance_id"), ("id", "id"), ("arn", "arn")],
        names: &[("iam_instance_profile", "iam_instance_profile")],
        physical: &["spot_instance_id", "id"],
        read,
        imports,
    }),
};

fn read(from: &Attributes<'_>, _: &[Piece<'_>], draft: &mut Draft) -> Result<(), String> {
    let plain = [
        "instance_type",
        "key_name",
        "subnet_id",
        "iam_instance_profile",
        "monitoring",
        "disable_api_termination",
        "disable_api_stop",
        "source_dest_check",
        "instance_initiated_shutdown_behavior",
        "tenancy",
    ];
    draft.copy(from, &plain.map(|name| (name, name)));
    draft.copy(from, &[("ami", "image_id"), ("vpc_security_group_ids", "security_group_ids")]);
    read_market(from, draft)?;
    read_script(from, draft);
    match from.block("metadata_options") {
        Some(options) => {
            let names = [
                "http_tokens",
                "http_put_response_hop_limit",
                "http_endpoint",
                "http_protocol_ipv6",
                "instance_metadata_tags",
            ];
            draft.set("metadata_options", options.renamed(&names.map(|name| (name, name))));
        }
        None => draft
            .leave("metadata_options", "the state file does not tell its metadata_options; they are left as they are"),
    }
    draft.set(
        "credit_specification",
        from.block("credit_specification").map(|credits| credits.renamed(&[("cpu_credits", "cpu_credits")])),
    );
    draft.set("root_block_device", from.block("root_block_device").map(|device| volume(&device)));
    let devices = from.blocks("ebs_block_device").into_iter().filter(|device| device.flag("delete_on_termination"));
    let devices = devices.filter_map(|device| Some((device.text("device_name")?.to_owned(), volume(&device))));
    draft.set("block_devices", Value::Object(devices.collect::<Map<_, _>>()));
    Ok(())
}

/// Reads whether and for how much it bids for spare capacity.
fn read_market(from: &Attributes<'_>, draft: &mut Draft) -> Result<(), String> {
    let request = from.value("spot_type").is_some() || from.value("spot_request_state").is_some();
    let options = from.block("instance_market_options").and_then(|market| market.block("spot_options"));
    if request && from.text("spot_instance_id").is_none() {
        return Err("the spot request has no instance".to_owned());
    }
    if request || from.text("instance_lifecycle") == Some("spot") {
        draft.set("spot", true);
        let price = from.text("spot_price").or_else(|| options.and_then(|options| options.text("max_price")));
        draft.set("spot_max_price", price.map(super::spec::plain_price));
        if [from.text("spot_type"), options.and_then(|options| options.text("spot_instance_type"))]
            .contains(&Some("persistent"))
        {
            draft.note("its spot request is persistent: once it is replaced, the request is a one-time one");
        }
    }
    Ok(())
}

/// Reads user data; up to version 5 of the provider a state file holds no more of it than a hash.
fn read_script(from: &Attributes<'_>, draft: &mut Draft) {
    let hashed = |text: &str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match (from.text("user_data"), from.text("user_data_base64")) {
        (None, None) => {}
        (Some(text), None) if !hashed(text) => draft.set("user_data", serde_json::json!({"text": text})),
        _ => draft.leave(
            "user_data_text",
            "the state file has only a hash of its user data, which is left as it is: before the machine is ever made anew, write `user_data:` and remove ignore_changes",
        ),
    }
}

fn volume(device: &Attributes<'_>) -> Value {
    let names = ["volume_size", "volume_type", "encrypted", "kms_key_id", "delete_on_termination"];
    let mut fields = device.renamed(&names.map(|name| (name, name)));
    if let Some(fields) = fields.as_object_mut() {
        // What everybody has is not worth a line.
        fields.retain(|name, value| {
            !(name == "encrypted" && value == false || name == "delete_on_termination" && value == true)
        });
    }
    fields
}

fn imports(found: &Found) -> Vec<Import> {
    Import::whole("aws_instance", &found.physical)
}

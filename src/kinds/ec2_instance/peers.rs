//! Instances in Terraform: `aws_instance` and `aws_spot_instance_request`.

use serde_json::{Map, Value, json};

use crate::kind::{Attributes, CloudFormation, Draft, Found, Import, Peers, Piece, TagForm, Terraform, properties};

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
    cloudformation: Some(CloudFormation {
        kind: "AWS::EC2::Instance",
        identifier: ("InstanceId", "id"),
        tags: TagForm::List,
        refuses: refusal,
        properties: describe,
    }),
};

fn read(from: Attributes<'_>, _: &[Piece<'_>], draft: &mut Draft) {
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
    read_market(from, draft);
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
    read_credits(from, draft);
    note_volumes(from, draft);
}

/// Reads whether and for how much it bids for spare capacity.
fn read_market(from: Attributes<'_>, draft: &mut Draft) {
    let request = from.value("spot_type").is_some() || from.value("spot_request_state").is_some();
    let options = from.block("instance_market_options").and_then(|market| market.block("spot_options"));
    if request && from.text("spot_instance_id").is_none() {
        return draft.refuse("the spot request has no instance");
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
}

/// Reads user data; up to version 5 of the provider a state file holds no more of it than a hash.
fn read_script(from: Attributes<'_>, draft: &mut Draft) {
    let hashed = |text: &str| text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match (from.text("user_data"), from.text("user_data_base64")) {
        (None, None) => {}
        (Some(text), None) if !hashed(text) => draft.set("user_data", json!({"text": text})),
        _ => draft.leave(
            "user_data_text",
            "the state file has only a hash of its user data, which is left as it is: before the machine is ever made anew, write `user_data:` and remove ignore_changes",
        ),
    }
}

/// Reads CPU credits where they are not what the type has anyway (EC2 user guide: T2 has `standard`, all later ones
/// `unlimited`).
fn read_credits(from: Attributes<'_>, draft: &mut Draft) {
    let usual =
        if from.text("instance_type").is_some_and(|kind| kind.starts_with("t2.")) { "standard" } else { "unlimited" };
    let credits = from.block("credit_specification").and_then(|credits| credits.text("cpu_credits"));
    draft.set(
        "credit_specification",
        credits.filter(|credits| *credits != usual).map(|credits| json!({"cpu_credits": credits})),
    );
}

/// Volumes are not described: a state file tells of all of them, those of the image included, and one that has grown
/// since would make the machine anew.
fn note_volumes(from: Attributes<'_>, draft: &mut Draft) {
    let own = !from.blocks("ebs_block_device").is_empty();
    if own || from.block("root_block_device").is_some_and(|root| root.flag("encrypted")) {
        draft.note("its volumes are left as they are: before the machine is ever made anew, write `root_block_device:` and `block_devices:`");
    }
}

fn imports(found: &Found) -> Vec<Import> {
    Import::whole("aws_instance", &found.physical)
}

fn describe(found: &Found) -> Map<String, Value> {
    let fields = [
        ("image_id", "ImageId"),
        ("instance_type", "InstanceType"),
        ("key_name", "KeyName"),
        ("subnet_id", "SubnetId"),
        ("security_group_ids", "SecurityGroupIds"),
        ("iam_instance_profile", "IamInstanceProfile"),
        ("monitoring", "Monitoring"),
        ("disable_api_termination", "DisableApiTermination"),
        ("source_dest_check", "SourceDestCheck"),
        ("ebs_optimized", "EbsOptimized"),
        ("instance_initiated_shutdown_behavior", "InstanceInitiatedShutdownBehavior"),
        ("tenancy", "Tenancy"),
    ];
    let mut all = properties(found, &fields);
    if let Some(script) = found.spec.get("user_data_text").filter(|script| !script.is_null()) {
        all.insert("UserData".to_owned(), json!({"Fn::Base64": script}));
    }
    all
}

fn refusal(found: &Found) -> Option<&'static str> {
    (found.spec.get("spot") == Some(&true.into()))
        .then_some("CloudFormation describes spot instances by launch templates only")
}

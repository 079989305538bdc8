//! Machine images: the public ones that the SSM parameters name, and nothing else.

use serde_json::json;

use super::super::amis::PUBLIC_AMIS;
use super::super::{Call, Fault, Outcome, Xml};
use super::query::{Listing, page, select};
use super::{Row, answer, fault, fixed_id};

/// Account that owns the images.
const OWNER: &str = "137112412989";

const LISTING: Listing = Listing {
    set: "imagesSet",
    ids: "ImageId",
    key: "imageId",
    filters: &[
        ("image-id", "imageId"),
        ("name", "name"),
        ("architecture", "architecture"),
        ("state", "imageState"),
        ("owner-alias", "imageOwnerAlias"),
        ("owner-id", "imageOwnerId"),
        ("virtualization-type", "virtualizationType"),
        ("root-device-type", "rootDeviceType"),
        ("root-device-name", "rootDeviceName"),
        ("is-public", "isPublic"),
        ("description", "description"),
        ("hypervisor", "hypervisor"),
        ("image-type", "imageType"),
        ("ena-support", "enaSupport"),
        ("block-device-mapping.volume-type", "blockDeviceMapping.ebs.volumeType"),
    ],
    not_found: "InvalidAMIID.NotFound",
    malformed: "InvalidAMIID.Malformed",
};

/// What a launch needs to know of an image.
pub(super) struct Image {
    pub(super) id: &'static str,
    pub(super) architecture: &'static str,
    pub(super) volume_type: &'static str,
    pub(super) snapshot: String,
    /// True for images that ask for `IMDSv2` by themselves (`facts/aws.md` 16.5).
    pub(super) wants_tokens: bool,
}

/// Device name of every image's root volume.
pub(super) const ROOT: &str = "/dev/xvda";
/// Size of every image's root volume in GiB.
pub(super) const ROOT_SIZE: u64 = 8;

fn image(call: &Call, id: &'static str, name: &str) -> Image {
    let modern = name.starts_with("al2023");
    Image {
        id,
        architecture: if name.contains("arm64") { "arm64" } else { "x86_64" },
        volume_type: if modern { "gp3" } else { "gp2" },
        snapshot: fixed_id(call, "snap", id),
        wants_tokens: modern,
    }
}

/// Finds the image that a launch names by id or by `resolve:ssm:` parameter.
pub(super) fn find(call: &Call, asked: &str) -> Result<Image, Fault> {
    if let Some(parameter) = asked.strip_prefix("resolve:ssm:") {
        let found = PUBLIC_AMIS.iter().find(|(known, ..)| *known == parameter);
        return found.map(|(_, id, name)| image(call, id, name)).ok_or_else(|| {
            super::invalid(format!("The ssm parameter '{parameter}' does not exist or does not name an image"))
        });
    }
    if let Some((_, id, name)) = PUBLIC_AMIS.iter().find(|(_, id, _)| *id == asked) {
        return Ok(image(call, id, name));
    }
    let digits = asked.strip_prefix("ami-").unwrap_or_default();
    if !(8..=17).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(fault("InvalidAMIID.Malformed", format!("Invalid id: \"{asked}\" (expecting \"ami-...\")")));
    }
    Err(fault("InvalidAMIID.NotFound", format!("The image id '[{asked}]' does not exist")))
}

/// `DescribeImages`.
pub(super) fn describe(call: &Call) -> Outcome {
    let owners = call.params().texts("Owner");
    let known = |owner: &String| owner == "amazon" || owner == OWNER;
    let mut rows: Vec<Row> = Vec::new();
    if owners.is_empty() || owners.iter().any(known) {
        for (_, id, name) in PUBLIC_AMIS {
            if !rows.iter().any(|row| row.text("imageId") == *id) {
                rows.push(image_row(call, id, name));
            }
        }
    }
    let (page, next) = page(call, select(call, rows, &LISTING)?, "!sort")?;
    answer(Xml::new().list(LISTING.set, "item", page.iter().map(Row::xml)).maybe("nextToken", next))
}

fn image_row(call: &Call, id: &'static str, name: &str) -> Row {
    let image = image(call, id, name);
    let device = json!({
        "deviceName": ROOT,
        "ebs": {
            "snapshotId": image.snapshot, "volumeSize": ROOT_SIZE, "volumeType": image.volume_type,
            "deleteOnTermination": true, "encrypted": false,
        },
    });
    let view = json!({
        "imageId": id, "imageLocation": format!("amazon/{name}"), "imageState": "available", "imageOwnerId": OWNER,
        "imageOwnerAlias": "amazon", "isPublic": true, "architecture": image.architecture, "imageType": "machine",
        "name": name, "description": format!("Amazon Linux image {name}"), "rootDeviceType": "ebs",
        "rootDeviceName": ROOT, "blockDeviceMapping": [device], "virtualizationType": "hvm", "hypervisor": "xen",
        "enaSupport": true, "sriovNetSupport": "simple", "creationDate": creation_date(name),
        "platformDetails": "Linux/UNIX", "usageOperation": "RunInstances",
        "imdsSupport": image.wants_tokens.then_some("v2.0"),
    });
    let mut row = Row::new(call, &format!("image/{id}"), view);
    // Images of the commoner architecture come first, as their tools take the first that fits.
    row.hide("sort", format!("{}/{id}", u8::from(image.architecture == "arm64")));
    row
}

fn creation_date(name: &str) -> &'static str {
    if name.starts_with("amzn-ami") { "2020-09-11T18:29:36.000Z" } else { "2025-11-10T20:00:00.000Z" }
}

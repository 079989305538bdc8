//! What an instance is like: the fields of a stack file, their normal form and what is checked offline.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::kind::{Fault, Files};
use crate::package::userdata::{Source, render};

/// What an instance is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the flags are those of the EC2 API")]
pub struct Spec {
    /// Machine image: `ami-…`, or `resolve:ssm:<parameter>` for what a public parameter names at launch. An image that
    /// was given by a parameter is not compared afterwards, since the parameter moves with every release.
    #[schemars(extend("x-immutable" = true))]
    pub image_id: String,
    /// Type, such as `t3.micro`. A change stops and starts an instance on demand, and makes a spot instance anew.
    pub instance_type: String,
    /// Whether it runs; a spot instance cannot be stopped.
    #[serde(default)]
    #[schemars(extend("x-status" = true))]
    pub status: Status,
    /// Whether to bid for spare capacity, by a one-time request; false is on demand.
    #[serde(default)]
    #[schemars(extend("x-immutable" = true))]
    pub spot: bool,
    /// Most to pay for a spot instance, in USD per hour; unset for the price on demand. Without `spot` it does not count.
    #[serde(default, deserialize_with = "price")]
    #[schemars(extend("x-immutable" = true, "x-computed" = true))]
    pub spot_max_price: Option<String>,
    /// Key pair for SSH; unset for none.
    #[serde(default)]
    #[schemars(extend("x-immutable" = true))]
    pub key_name: Option<String>,
    /// Subnet; unset for one of the default VPC.
    #[serde(default)]
    #[schemars(extend("x-immutable" = true, "x-computed" = true))]
    pub subnet_id: Option<String>,
    /// Availability zone; unset for AWS's choice, or the subnet's.
    #[serde(default)]
    #[schemars(extend("x-immutable" = true, "x-computed" = true))]
    pub availability_zone: Option<String>,
    /// Private IPv4 address; unset for a free one of the subnet.
    #[serde(default)]
    #[schemars(extend("x-immutable" = true, "x-computed" = true))]
    pub private_ip_address: Option<String>,
    /// Whether to have a public IPv4 address; unset for what the subnet says.
    #[serde(default)]
    #[schemars(extend("x-immutable" = true, "x-computed" = true))]
    pub associate_public_ip_address: Option<bool>,
    /// Security groups; unset for the VPC's default group.
    #[serde(default)]
    #[schemars(extend("x-computed" = true, "x-pins" = "ec2_security_group"))]
    pub security_group_ids: Option<BTreeSet<String>>,
    /// Name of the instance profile whose role the machine has; unset for none.
    #[serde(default)]
    #[schemars(extend("x-loses" = "iam_instance_profile"))]
    pub iam_instance_profile: Option<String>,
    /// Script or cloud-init document that runs once, at first boot. A change of its text makes a new machine.
    #[serde(default, deserialize_with = "user_data")]
    #[schemars(with = "Option<UserData>", extend("x-source" = true))]
    pub user_data: Option<UserData>,
    /// The rendered `user_data`.
    #[serde(default)]
    #[schemars(extend("x-immutable" = true, "x-derived" = true))]
    pub user_data_text: Option<String>,
    /// Name of the SSM parameter into which the user data writes how the boot went: a line of instance id, time and `ok`
    /// or what failed, then the end of its log. `show` and `verify` report it; EC2 itself never tells.
    #[serde(default)]
    #[schemars(extend("x-source" = true))]
    pub boot_report: Option<String>,
    /// Instance metadata service.
    #[serde(default)]
    pub metadata_options: MetadataOptions,
    /// Whether traffic to volumes has bandwidth of its own; unset for what the type has.
    #[serde(default)]
    #[schemars(extend("x-immutable" = true, "x-computed" = true))]
    pub ebs_optimized: Option<bool>,
    /// Whether metrics come every minute instead of every five, for a fee.
    #[serde(default)]
    pub monitoring: bool,
    /// Whether AWS refuses to terminate the instance.
    #[serde(default)]
    pub disable_api_termination: bool,
    /// Whether AWS refuses to stop the instance.
    #[serde(default)]
    pub disable_api_stop: bool,
    /// What a shutdown from inside does: `stop` or `terminate`; unset for AWS's default.
    #[serde(default)]
    #[schemars(extend("x-computed" = true))]
    pub instance_initiated_shutdown_behavior: Option<Shutdown>,
    /// Whether traffic that is not from or to the instance is dropped; false for NAT machines.
    #[serde(default = "yes")]
    pub source_dest_check: bool,
    /// Whose hardware it runs on; unset for what the VPC says.
    #[serde(default)]
    #[schemars(extend("x-immutable" = true, "x-computed" = true))]
    pub tenancy: Option<Tenancy>,
    /// CPU credits of T types; unset for the type's default.
    #[serde(default)]
    #[schemars(extend("x-computed" = true))]
    pub credit_specification: Option<CreditSpecification>,
    /// Cores and threads; unset for all that the type has.
    #[serde(default)]
    #[schemars(extend("x-immutable" = true, "x-computed" = true))]
    pub cpu_options: Option<CpuOptions>,
    /// The volume that it boots from; unset for what the image says. A change makes a new machine.
    #[serde(default)]
    #[schemars(extend("x-immutable" = true, "x-computed" = true))]
    pub root_block_device: Option<BlockDevice>,
    /// Further volumes by device name, such as `/dev/sdf`. A change makes a new machine; a device that leaves the file
    /// stays with the machine that has it, since there may be data on it.
    #[serde(default)]
    #[schemars(extend("x-immutable" = true, "x-computed" = true))]
    pub block_devices: Option<BTreeMap<String, BlockDevice>>,
}

/// A script for the first boot: one of `text`, `file` and `template`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UserData {
    /// The script itself; `${…}` are references of the stack file, `$${` is a literal `${`.
    pub text: Option<String>,
    /// Path of a file that is taken as it is, relative to the stack file.
    pub file: Option<String>,
    /// Path of a template in the language of Jinja, relative to the stack file; it includes files of its own folder.
    pub template: Option<String>,
    /// Values for the template.
    pub values: BTreeMap<String, Value>,
}

/// Settings of the instance metadata service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataOptions {
    /// Whether callers need a session token (`IMDSv2`).
    pub http_tokens: Tokens,
    /// Hops that an answer may travel; containers need 2.
    #[schemars(range(min = 1, max = 64))]
    pub http_put_response_hop_limit: i32,
    /// Whether the service answers at all.
    pub http_endpoint: Switch,
    /// Whether it answers over IPv6 too.
    pub http_protocol_ipv6: Switch,
    /// Whether it shows the instance's tags.
    pub instance_metadata_tags: Switch,
}

/// Whether session tokens are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tokens {
    /// `IMDSv2` only.
    Required,
    /// `IMDSv1` too.
    Optional,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// On.
    Enabled,
    /// Off.
    Disabled,
}

/// What a shutdown from inside does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shutdown {
    /// Stops the instance.
    Stop,
    /// Terminates the instance.
    Terminate,
}

/// Whether an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It runs.
    #[default]
    Running,
    /// It is stopped.
    Stopped,
}

/// Whose hardware an instance runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tenancy {
    /// Shared.
    Default,
    /// One customer's.
    Dedicated,
    /// A dedicated host.
    Host,
}

/// CPU credits of T types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreditSpecification {
    /// Whether the CPU slows down without credits, or costs more.
    pub cpu_credits: Credits,
}

/// What happens without CPU credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Credits {
    /// Slows down.
    Standard,
    /// Costs more.
    Unlimited,
}

/// Cores and threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuOptions {
    /// Number of cores.
    pub core_count: i32,
    /// Threads of each core: 1 switches hyperthreading off.
    pub threads_per_core: i32,
}

/// A volume of an instance; what is unset is the image's or AWS's choice.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BlockDevice {
    /// Size in GiB.
    #[schemars(extend("x-computed" = true))]
    pub volume_size: Option<i32>,
    /// Type, such as `gp3`.
    #[schemars(extend("x-computed" = true))]
    pub volume_type: Option<String>,
    /// I/O operations in a second, for `gp3`, `io1` and `io2`.
    #[schemars(extend("x-computed" = true))]
    pub iops: Option<i32>,
    /// MiB in a second, for `gp3`.
    #[schemars(extend("x-computed" = true))]
    pub throughput: Option<i32>,
    /// Whether it is encrypted.
    #[schemars(extend("x-computed" = true))]
    pub encrypted: Option<bool>,
    /// ARN of the KMS key it is encrypted with.
    #[schemars(extend("x-computed" = true))]
    pub kms_key_id: Option<String>,
    /// Whether it goes with the instance.
    #[schemars(extend("x-computed" = true))]
    pub delete_on_termination: Option<bool>,
}

impl Default for MetadataOptions {
    fn default() -> Self {
        Self {
            http_tokens: Tokens::Required,
            http_put_response_hop_limit: 2,
            http_endpoint: Switch::Enabled,
            http_protocol_ipv6: Switch::Disabled,
            instance_metadata_tags: Switch::Disabled,
        }
    }
}

/// What a parameter as image begins with (EC2 API, `RunInstances`).
pub(super) const BY_PARAMETER: &str = "resolve:ssm:";

fn yes() -> bool {
    true
}

fn price<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a price such as \"0.01\"")]
    enum Written {
        Text(String),
        Number(serde_json::Number),
    }
    Ok(Option::<Written>::deserialize(deserializer)?.map(|written| match written {
        Written::Text(text) => plain_price(&text),
        Written::Number(number) => plain_price(&number.to_string()),
    }))
}

/// Writes a price without idle zeros, since EC2 shows `0.010000` for `0.01`.
pub(super) fn plain_price(text: &str) -> String {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if text.contains("${") || part.contains('.') {
        return text.to_owned();
    }
    match part.trim_end_matches('0') {
        "" => whole.to_owned(),
        part => format!("{whole}.{part}"),
    }
}

/// Reads a script; a text alone is short for `{text: …}`.
fn user_data<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<UserData>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(UserData { text: Some(text), ..UserData::default() })),
        other => serde_json::from_value(other).map(Some).map_err(serde::de::Error::custom),
    }
}

impl UserData {
    fn source(&self) -> Result<Source<'_>, Fault> {
        let source = match (&self.text, &self.file, &self.template) {
            (Some(text), None, None) => Source::Text(text),
            (None, Some(file), None) => Source::File(file),
            (None, None, Some(template)) => return Ok(Source::Template(template, &self.values)),
            _ => {
                let fault = Fault::new("user_data", "a script comes from one place");
                return Err(fault.help("give one of text, file and template"));
            }
        };
        if self.values.is_empty() {
            return Ok(source);
        }
        Err(Fault::new("user_data.values", "only a template has values").help("write template: instead of file:"))
    }

    fn render(&self, files: &Files) -> Result<String, Fault> {
        let source = self.source()?;
        let path = match source {
            Source::Text(_) => "user_data.text",
            Source::File(_) => "user_data.file",
            Source::Template(..) => "user_data.template",
        };
        render(&files.dir, source).map_err(|error| Fault::new(path, error.to_string()))
    }
}

impl Spec {
    /// Renders the script and drops what does not count.
    pub(super) fn prepare(&mut self, files: &Files) -> Result<(), Vec<Fault>> {
        if !self.spot {
            self.spot_max_price = None;
        }
        self.user_data_text = match &self.user_data {
            Some(script) => Some(script.render(files).map_err(|fault| vec![fault])?).filter(|text| !text.is_empty()),
            None => None,
        };
        Ok(())
    }

    /// Lists what types cannot say.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let known = |text: &str| !text.contains("${");
        let image = &self.image_id;
        if known(image) && !image.starts_with("ami-") && !image.starts_with(BY_PARAMETER) {
            let fault = Fault::new("image_id", format!("{image} is no image"));
            let example = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64";
            faults.push(fault.help(format!("ami-…, or {example}")));
        }
        if known(&self.instance_type) && !self.instance_type.contains('.') {
            let fault = Fault::new("instance_type", format!("{} is no type of instance", self.instance_type));
            faults.push(fault.help("such as t3.micro"));
        }
        let is_price = |price: &str| price.parse::<f64>().is_ok_and(|price| price > 0.001);
        if let Some(price) = self.spot_max_price.as_deref().filter(|price| known(price) && !is_price(price)) {
            let fault = Fault::new("spot_max_price", format!("{price} is no price"));
            faults.push(fault.help("USD per hour, more than 0.001"));
        }
        if self.spot && self.status == Status::Stopped {
            // facts/aws.md 12c
            let fault = Fault::new("status", "a one-time spot instance cannot be stopped");
            faults.push(fault.help("remove `spot`, or let it run"));
        }
        if self.iam_instance_profile.as_deref().is_some_and(|name| known(name) && name.starts_with("arn:")) {
            let fault = Fault::new("iam_instance_profile", "the profile is given by its name, not its ARN");
            faults.push(fault.help("write ${<id of the profile>.name}"));
        }
        if !(1..=64).contains(&self.metadata_options.http_put_response_hop_limit) {
            faults.push(Fault::new("metadata_options.http_put_response_hop_limit", "hops are between 1 and 64"));
        }
        if self.security_group_ids.as_ref().is_some_and(BTreeSet::is_empty) {
            let fault = Fault::new("security_group_ids", "an instance has at least one security group");
            faults.push(fault.help("remove the line for the VPC's default group"));
        }
        let root = self.root_block_device.iter().map(|root| ("root_block_device".to_owned(), root));
        let others =
            self.block_devices.iter().flatten().map(|(name, device)| (format!("block_devices.{name}"), device));
        faults.extend(root.chain(others).filter_map(|(path, device)| device.fault(&path)));
        faults
    }
}

impl BlockDevice {
    fn fault(&self, path: &str) -> Option<Fault> {
        let key = self.kms_key_id.as_deref()?;
        let by_arn = key.contains("${") || (key.starts_with("arn:") && key.contains(":key/"));
        let fault = || Fault::new(format!("{path}.kms_key_id"), format!("{key} is not the ARN of a key"));
        (!by_arn).then(|| fault().help("EC2 shows keys by their ARN alone; write arn:aws:kms:…:key/…"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(more: &Value) -> Spec {
        let mut all = json!({"image_id": "ami-1", "instance_type": "t3.micro"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    fn files() -> Files {
        Files { dir: ".".into(), stack: "s".into() }
    }

    #[test]
    fn a_price_counts_with_spot_only_and_has_no_idle_zeros() {
        let mut bid = spec(&json!({"spot": true, "spot_max_price": "0.010000"}));
        bid.prepare(&files()).unwrap();
        assert_eq!(bid.spot_max_price.as_deref(), Some("0.01"));
        let mut on_demand = spec(&json!({"spot_max_price": 0.01}));
        on_demand.prepare(&files()).unwrap();
        assert_eq!(on_demand.spot_max_price, None);
        assert_eq!(plain_price("1.000"), "1");
        assert_eq!(plain_price("10"), "10");
    }

    #[test]
    fn a_script_comes_from_one_place() {
        let path = |data: Value| spec(&json!({"user_data": data})).prepare(&files()).unwrap_err().remove(0).path;
        assert_eq!(path(json!({})), "user_data");
        assert_eq!(path(json!({"text": "a", "file": "b"})), "user_data");
        assert_eq!(path(json!({"text": "a", "values": {"b": 1}})), "user_data.values");
        assert_eq!(path(json!({"file": "/nonexistent/x"})), "user_data.file");
        let mut short = spec(&json!({"user_data": "echo ${a.b}"}));
        short.prepare(&files()).unwrap();
        assert_eq!(short.user_data_text.as_deref(), Some("echo ${a.b}"));
    }

    #[test]
    fn what_is_wrong_is_said_where_it_is() {
        let paths = |more: Value| spec(&more).faults().into_iter().map(|fault| fault.path).collect::<Vec<_>>();
        assert_eq!(paths(json!({})), [""; 0]);
        assert_eq!(paths(json!({"image_id": "al2023"})), ["image_id"]);
        assert_eq!(paths(json!({"instance_type": "micro"})), ["instance_type"]);
        assert_eq!(paths(json!({"spot": true, "spot_max_price": "cheap"})), ["spot_max_price"]);
        assert_eq!(paths(json!({"spot": true, "status": "stopped"})), ["status"]);
        assert_eq!(paths(json!({"status": "stopped"})), [""; 0]);
        assert_eq!(paths(json!({"iam_instance_profile": "arn:aws:iam::1:x"})), ["iam_instance_profile"]);
        assert_eq!(paths(json!({"security_group_ids": []})), ["security_group_ids"]);
        assert_eq!(paths(json!({"image_id": "${var.x}", "instance_type": "${var.y}"})), [""; 0]);
    }
}

//! An account of an AWS stand-in, seen by the services' own clients: to break things, and to see what is left.

use std::collections::BTreeSet;
use std::fmt::Debug;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_ec2::types::{InstanceStateName, SpotInstanceState, Subnet};
use aws_types::SdkConfig;
use serde_json::{Map, Value, json};
use stackctl::aws::Aws;
use stackctl::kind::Place;
use tokio::runtime::Runtime;

/// The account of moto; the local cloud takes an access key of twelve digits for the account.
pub(crate) const ACCOUNT: &str = "123456789012";

/// The account behind `--local`.
pub(crate) const LOCAL_ACCOUNT: &str = "000000000000";

/// Region of the tests.
pub(crate) const REGION: &str = "us-east-1";

/// Public parameter with the latest image of Amazon Linux.
const IMAGE: &str = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64";

/// Returns a client's settings for an address.
pub(crate) fn config(url: &str, keys: Credentials, region: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .build()
}

/// Clients of one account and region.
pub(crate) struct Account {
    /// The clients.
    pub(crate) aws: Aws,
    runtime: Runtime,
}

impl Account {
    /// Opens an account at an address.
    pub(crate) fn at(url: &str, account: &str, region: &str) -> Self {
        Self::with(url, Credentials::from_keys(account, "none", None), account, region)
    }

    /// Opens an account with some credentials.
    pub(crate) fn with(url: &str, keys: Credentials, account: &str, region: &str) -> Self {
        let place = Place { partition: "aws".to_owned(), region: region.to_owned(), account: account.to_owned() };
        Self { aws: Aws::new(config(url, keys, region), place, false), runtime: Runtime::new().unwrap() }
    }

    /// Waits for the answer of a call, which must be a good one.
    pub(crate) fn call<T, E: Debug>(&self, call: impl Future<Output = Result<T, E>>) -> T {
        self.runtime.block_on(call).unwrap()
    }

    /// Waits for the error of a call, which must be refused.
    #[track_caller]
    pub(crate) fn fails<T: Debug, E: Debug>(&self, call: impl Future<Output = Result<T, E>>) -> E {
        self.runtime.block_on(call).unwrap_err()
    }

    /// Lists everything that is there, service by service, as each service's own calls tell it.
    pub(crate) fn contents(&self) -> BTreeSet<String> {
        let parts = [self.iam(), self.data(), self.messages(), self.lambda(), self.ec2(), self.texts()];
        parts.into_iter().flatten().collect()
    }

    fn iam(&self) -> Vec<String> {
        use aws_sdk_iam::types::PolicyScopeType;
        let iam = self.aws.iam();
        let roles = self.call(iam.list_roles().send()).roles;
        let policies = self.call(iam.list_policies().scope(PolicyScopeType::Local).send()).policies;
        let profiles = self.call(iam.list_instance_profiles().send()).instance_profiles;
        let mut all: Vec<String> = roles.into_iter().map(|role| role.arn).collect();
        all.extend(policies.unwrap_or_default().into_iter().filter_map(|policy| policy.arn));
        all.extend(profiles.into_iter().map(|profile| profile.arn));
        all
    }

    fn data(&self) -> Vec<String> {
        let streams = self.call(self.aws.kinesis().list_streams().send()).stream_names;
        let tables = self.call(self.aws.dynamodb().list_tables().send()).table_names.unwrap_or_default();
        let mut all: Vec<String> = streams.into_iter().map(|name| format!("stream {name}")).collect();
        all.extend(tables.into_iter().map(|name| format!("table {name}")));
        all
    }

    fn messages(&self) -> Vec<String> {
        let topics = self.call(self.aws.sns().list_topics().send()).topics.unwrap_or_default();
        let subscriptions = self.call(self.aws.sns().list_subscriptions().send()).subscriptions.unwrap_or_default();
        let mut all: Vec<String> = topics.into_iter().filter_map(|topic| topic.topic_arn).collect();
        // AWS, too, lists the subscriptions of a deleted topic for a while.
        all.extend(subscriptions.into_iter().filter_map(|subscription| subscription.subscription_arn));
        all
    }

    fn lambda(&self) -> Vec<String> {
        let functions = self.call(self.aws.lambda().list_functions().send()).functions.unwrap_or_default();
        let mappings = self.call(self.aws.lambda().list_event_source_mappings().send());
        let mut all: Vec<String> = functions.into_iter().filter_map(|function| function.function_arn).collect();
        let mappings = mappings.event_source_mappings.unwrap_or_default();
        all.extend(mappings.into_iter().filter_map(|mapping| mapping.uuid));
        all
    }

    fn ec2(&self) -> Vec<String> {
        let ec2 = self.aws.ec2();
        let reservations = self.call(ec2.describe_instances().send()).reservations.unwrap_or_default();
        let instances = reservations.into_iter().flat_map(|reservation| reservation.instances.unwrap_or_default());
        let groups = self.call(ec2.describe_security_groups().send()).security_groups.unwrap_or_default();
        let volumes = self.call(ec2.describe_volumes().send()).volumes.unwrap_or_default();
        let requests = self.call(ec2.describe_spot_instance_requests().send());
        let requests = requests.spot_instance_requests.unwrap_or_default();
        let mut all: Vec<String> = Vec::new();
        // Terminated instances and ended requests stay listed for an hour.
        let word = |state: Option<&str>| state.unwrap_or_default().to_owned();
        let is_over = |state: &str| matches!(state, "terminated" | "cancelled" | "closed" | "failed");
        for instance in instances {
            let state = word(instance.state.and_then(|state| state.name).as_ref().map(InstanceStateName::as_str));
            all.extend(instance.instance_id.filter(|_| !is_over(&state)));
        }
        for request in requests {
            let state = word(request.state.as_ref().map(SpotInstanceState::as_str));
            all.extend(request.spot_instance_request_id.filter(|_| !is_over(&state)));
        }
        all.extend(groups.into_iter().filter_map(|group| group.group_id));
        all.extend(volumes.into_iter().filter_map(|volume| volume.volume_id));
        all
    }

    fn texts(&self) -> Vec<String> {
        let groups = self.call(self.aws.logs().describe_log_groups().send()).log_groups.unwrap_or_default();
        let parameters = self.call(self.aws.ssm().describe_parameters().send()).parameters.unwrap_or_default();
        let mut all: Vec<String> = groups.into_iter().filter_map(|group| group.arn).collect();
        // moto lists AWS's own parameters once one of them was read.
        let is_own = |name: &String| !name.starts_with("/aws/");
        all.extend(parameters.into_iter().filter_map(|parameter| parameter.name).filter(is_own));
        all
    }

    /// Returns what the account has of itself and fixtures refer to: a subnet, an address in it, its VPC, a key pair.
    pub(crate) fn variables(&self) -> Map<String, Value> {
        let ec2 = self.aws.ec2();
        let subnets = self.call(ec2.describe_subnets().send()).subnets.unwrap_or_default();
        let first = |subnet: &&Subnet| subnet.availability_zone() == Some("us-east-1a");
        let subnet = subnets.iter().find(first).unwrap();
        let network = subnet.cidr_block().unwrap().rsplit_once('.').unwrap().0;
        self.call(ec2.create_key_pair().key_name("fixture").send());
        let variables = json!({
            "subnet": subnet.subnet_id(), "vpc": subnet.vpc_id(), "address": format!("{network}.77"), "key": "fixture",
            "image": format!("resolve:ssm:{IMAGE}"),
        });
        variables.as_object().unwrap().clone()
    }

    /// Returns the latest image of Amazon Linux.
    pub(crate) fn image(&self) -> String {
        let answer = self.call(self.aws.ssm().get_parameter().name(IMAGE).send());
        answer.parameter.and_then(|parameter| parameter.value).unwrap()
    }

    /// Lists the Analytics applications, which moto does not have.
    pub(crate) fn applications(&self) -> BTreeSet<String> {
        let answer = self.call(self.aws.analytics().list_applications().send());
        answer.application_summaries.into_iter().map(|summary| summary.application_arn).collect()
    }

    /// Lists what carries tags, as the tagging API tells it; for an hour that are also instances which have ended.
    pub(crate) fn tagged(&self) -> BTreeSet<String> {
        let answer = self.call(self.aws.tagging().get_resources().send());
        let mappings = answer.resource_tag_mapping_list.unwrap_or_default();
        let is_known = |arn: &String| !arn.contains(":instance/") && !arn.contains(":spot-instances-request/");
        mappings.into_iter().filter_map(|mapping| mapping.resource_arn).filter(is_known).collect()
    }
}

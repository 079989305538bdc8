//! Rules of EC2, one group per test.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Ec2;
use crate::local::iam::Iam;
use crate::local::testing::{Bench, first};

const INTEL: &str = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64";

struct Account(Bench);

impl Account {
    fn new() -> Self {
        Self(Bench::new())
    }

    fn ok(&self, operation: &str, fields: &[(&str, &str)]) -> String {
        self.0.query(&Ec2, operation, fields).unwrap_or_else(|fault| panic!("{operation}: {fault:?}"))
    }

    fn code(&self, operation: &str, fields: &[(&str, &str)]) -> String {
        self.0.query(&Ec2, operation, fields).expect_err("the call must be refused").code
    }

    fn group(&self, name: &str) -> String {
        let made = self.ok("CreateSecurityGroup", &[("GroupName", name), ("GroupDescription", "d")]);
        first(&made, "groupId").to_owned()
    }

    fn launch(&self, fields: &[(&str, &str)]) -> String {
        first(&self.ok("RunInstances", &launch(fields)), "instanceId").to_owned()
    }

    fn state(&self, id: &str) -> String {
        let shown = self.ok("DescribeInstances", &[("InstanceId.1", id)]);
        let state = shown.split_once("<instanceState>").unwrap().1;
        first(state, "name").to_owned()
    }
}

fn launch<'a>(fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![("ImageId", INTEL), ("InstanceType", "t2.micro"), ("MinCount", "1"), ("MaxCount", "1")];
    all.retain(|(name, _)| !fields.iter().any(|(other, _)| other == name));
    all.extend(fields);
    all
}

fn count(xml: &str, what: &str) -> usize {
    xml.matches(what).count()
}

#[test]
fn the_default_network_is_always_the_same() {
    let account = Account::new();
    let vpcs = account.ok("DescribeVpcs", &[("Filter.1.Name", "is-default"), ("Filter.1.Value.1", "true")]);
    assert_eq!(vpcs, Account::new().ok("DescribeVpcs", &[]));
    let subnets =
        account.ok("DescribeSubnets", &[("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", first(&vpcs, "vpcId"))]);
    assert_eq!(count(&subnets, "<subnetId>"), 6);
    assert_eq!(
        account.code("DescribeVpcs", &[("Filter.1.Name", "color"), ("Filter.1.Value.1", "red")]),
        "InvalidParameterValue"
    );
    assert_eq!(account.code("DescribeSubnets", &[("SubnetId.1", "subnet-00000000")]), "InvalidSubnetID.NotFound");
}

#[test]
fn group_names_are_unique_and_limited() {
    let account = Account::new();
    account.group("web");
    let create = |name: &str, description: &str| {
        account.code("CreateSecurityGroup", &[("GroupName", name), ("GroupDescription", description)])
    };
    assert_eq!(create("WEB", "d"), "InvalidGroup.Duplicate");
    assert_eq!(create("sg-web", "d"), "InvalidParameterValue");
    assert_eq!(create("other", "täg"), "InvalidParameterValue");
    assert_eq!(create("other", ""), "MissingParameter");
}

#[test]
fn rules_are_compared_without_their_description() {
    let account = Account::new();
    let id = account.group("web");
    let rule = [
        ("GroupId", id.as_str()),
        ("IpPermissions.1.IpProtocol", "6"),
        ("IpPermissions.1.FromPort", "22"),
        ("IpPermissions.1.ToPort", "22"),
        ("IpPermissions.1.IpRanges.1.CidrIp", "10.1.2.3/8"),
        ("IpPermissions.1.IpRanges.1.Description", "ssh"),
    ];
    let made = account.ok("AuthorizeSecurityGroupIngress", &rule);
    assert!(first(&made, "securityGroupRuleId").starts_with("sgr-"));
    assert_eq!(first(&made, "cidrIpv4"), "10.0.0.0/8");
    assert_eq!(account.code("AuthorizeSecurityGroupIngress", &rule[..5]), "InvalidPermission.Duplicate");
    let shown = account.ok("DescribeSecurityGroups", &[("GroupId.1", &id)]);
    assert!(shown.contains("<ipProtocol>tcp</ipProtocol><fromPort>22</fromPort>"), "{shown}");
    assert!(shown.contains("<description>ssh</description>"), "{shown}");
    account.ok("RevokeSecurityGroupIngress", &rule);
    let again = account.ok("RevokeSecurityGroupIngress", &rule);
    assert!(again.contains("<unknownIpPermissionSet><item>"), "{again}");
    let unknown = [("GroupId", id.as_str()), ("SecurityGroupRuleId.1", "sgr-00000000000000000")];
    assert_eq!(account.code("RevokeSecurityGroupIngress", &unknown), "InvalidSecurityGroupRuleId.NotFound");
}

#[test]
fn a_new_group_lets_everything_out() {
    let account = Account::new();
    let id = account.group("web");
    let rules = account.ok("DescribeSecurityGroupRules", &[("Filter.1.Name", "group-id"), ("Filter.1.Value.1", &id)]);
    assert_eq!(count(&rules, "<securityGroupRuleId>"), 1);
    assert_eq!((first(&rules, "isEgress"), first(&rules, "cidrIpv4")), ("true", "0.0.0.0/0"));
}

#[test]
fn rules_change_in_place() {
    let account = Account::new();
    let id = account.group("web");
    let rules = account.ok("DescribeSecurityGroupRules", &[("Filter.1.Name", "group-id"), ("Filter.1.Value.1", &id)]);
    let rule = first(&rules, "securityGroupRuleId").to_owned();
    let describe = [
        ("GroupId", id.as_str()),
        ("SecurityGroupRuleDescription.1.SecurityGroupRuleId", &rule),
        ("SecurityGroupRuleDescription.1.Description", "out"),
    ];
    account.ok("UpdateSecurityGroupRuleDescriptionsEgress", &describe);
    let shown = || account.ok("DescribeSecurityGroupRules", &[("SecurityGroupRuleId.1", &rule)]);
    assert_eq!(first(&shown(), "description"), "out");
    let modify = [
        ("GroupId", id.as_str()),
        ("SecurityGroupRule.1.SecurityGroupRuleId", &rule),
        ("SecurityGroupRule.1.SecurityGroupRule.IpProtocol", "-1"),
        ("SecurityGroupRule.1.SecurityGroupRule.CidrIpv6", "::/0"),
    ];
    account.ok("ModifySecurityGroupRules", &modify);
    assert_eq!(first(&shown(), "cidrIpv6"), "::/0");
    assert!(!shown().contains("cidrIpv4"));
}

#[test]
fn a_group_in_use_cannot_go() {
    let account = Account::new();
    let (one, other) = (account.group("one"), account.group("other"));
    let rule =
        [("GroupId", one.as_str()), ("IpPermissions.1.IpProtocol", "-1"), ("IpPermissions.1.Groups.1.GroupId", &other)];
    account.ok("AuthorizeSecurityGroupIngress", &rule);
    assert_eq!(account.code("DeleteSecurityGroup", &[("GroupId", &other)]), "DependencyViolation");
    account.ok("RevokeSecurityGroupIngress", &rule);
    account.ok("DeleteSecurityGroup", &[("GroupId", &other)]);
    let machine = account.launch(&[("SecurityGroupId.1", &one)]);
    assert_eq!(account.code("DeleteSecurityGroup", &[("GroupId", &one)]), "DependencyViolation");
    account.ok("TerminateInstances", &[("InstanceId.1", &machine)]);
    account.ok("DeleteSecurityGroup", &[("GroupId", &one)]);
    assert_eq!(account.code("DescribeSecurityGroups", &[("GroupId.1", &one)]), "InvalidGroup.NotFound");
    assert_eq!(account.code("DeleteSecurityGroup", &[("GroupName", "default")]), "CannotDelete");
}

#[test]
fn a_client_token_launches_once() {
    let account = Account::new();
    let id = account.launch(&[("ClientToken", "t")]);
    assert_eq!(account.launch(&[("ClientToken", "t")]), id);
    let other = launch(&[("ClientToken", "t"), ("InstanceType", "t3.micro")]);
    assert_eq!(account.code("RunInstances", &other), "IdempotentParameterMismatch");
    assert_ne!(account.launch(&[("ClientToken", "u")]), id);
}

#[test]
fn a_client_token_outlives_its_instance_by_a_day() {
    let account = Account::new();
    let id = account.launch(&[("ClientToken", "t")]);
    account.ok("TerminateInstances", &[("InstanceId.1", &id)]);
    account.0.wait(2 * 3_600_000);
    let again = account.ok("RunInstances", &launch(&[("ClientToken", "t")]));
    assert_eq!(first(&again, "instanceId"), id);
    assert!(again.contains("<name>terminated</name>"), "{again}");
    account.0.wait(24 * 3_600_000);
    assert_ne!(account.launch(&[("ClientToken", "t")]), id);
}

#[test]
fn launches_are_checked() {
    let account = Account::new();
    let large = STANDARD.encode(vec![0_u8; 16_385]);
    let cases: [(&[(&str, &str)], &str); 12] = [
        (&[("ImageId", "ami-00000000000000000")], "InvalidAMIID.NotFound"),
        (&[("ImageId", "image")], "InvalidAMIID.Malformed"),
        (&[("InstanceType", "t9.huge")], "InvalidParameterValue"),
        (&[("InstanceType", "t4g.micro")], "InvalidParameterValue"),
        (&[("KeyName", "none")], "InvalidKeyPair.NotFound"),
        (&[("SecurityGroupId.1", "sg-00000000")], "InvalidGroup.NotFound"),
        (&[("SubnetId", "subnet-00000000")], "InvalidSubnetID.NotFound"),
        (&[("IamInstanceProfile.Name", "none")], "InvalidParameterValue"),
        (&[("UserData", &large)], "InvalidParameterValue"),
        (&[("UserData", "%%%")], "InvalidUserData.Malformed"),
        (&[("MetadataOptions.HttpTokens", "maybe")], "InvalidParameterValue"),
        (
            &[("BlockDeviceMapping.1.DeviceName", "/dev/xvda"), ("BlockDeviceMapping.1.Ebs.VolumeSize", "4")],
            "InvalidBlockDeviceMapping",
        ),
    ];
    for (fields, code) in cases {
        assert_eq!(account.code("RunInstances", &launch(fields)), code, "{fields:?}");
    }
    assert_eq!(count(&account.ok("DescribeInstances", &[]), "<instanceId>"), 0);
}

#[test]
fn empty_parameters_are_missing_ones() {
    let account = Account::new();
    let id = account.launch(&[("Placement.AvailabilityZone", ""), ("KeyName", ""), ("UserData", "")]);
    assert_eq!(account.state(&id), "running");
}

#[test]
fn a_dry_run_makes_nothing() {
    let account = Account::new();
    let fault = account.0.query(&Ec2, "RunInstances", &launch(&[("DryRun", "true")])).unwrap_err();
    assert_eq!((fault.status, fault.code.as_str()), (412, "DryRunOperation"));
    assert_eq!(count(&account.ok("DescribeVolumes", &[]), "<volumeId>"), 0);
}

#[test]
fn a_profile_needs_a_role_and_can_be_changed() {
    let account = Account::new();
    account.0.role("r", "ec2.amazonaws.com", &[]);
    let iam = |operation: &str, fields: &[(&str, &str)]| account.0.query(&Iam, operation, fields).unwrap();
    iam("CreateInstanceProfile", &[("InstanceProfileName", "p"), ("Path", "/x/")]);
    let fields = launch(&[("IamInstanceProfile.Name", "p")]);
    let fault = account.0.query(&Ec2, "RunInstances", &fields).unwrap_err();
    assert!(fault.message.ends_with("has no associated IAM Roles"), "{}", fault.message);
    iam("AddRoleToInstanceProfile", &[("InstanceProfileName", "p"), ("RoleName", "r")]);
    let id = account.launch(&[("IamInstanceProfile.Name", "p")]);
    let shown = account
        .ok("DescribeIamInstanceProfileAssociations", &[("Filter.1.Name", "instance-id"), ("Filter.1.Value.1", &id)]);
    assert_eq!(first(&shown, "arn"), "arn:aws:iam::000000000000:instance-profile/x/p");
    let again = [("InstanceId", id.as_str()), ("IamInstanceProfile.Name", "p")];
    assert_eq!(account.code("AssociateIamInstanceProfile", &again), "IncorrectState");
    account.ok("DisassociateIamInstanceProfile", &[("AssociationId", first(&shown, "associationId"))]);
    account.ok("AssociateIamInstanceProfile", &again);
}

#[test]
fn instances_change_state_with_time() {
    let account = Account(Bench::slow(1000));
    let id = account.launch(&[]);
    assert_eq!(account.state(&id), "pending");
    account.0.wait(1000);
    assert_eq!(account.state(&id), "running");
    let resize = [("InstanceId", id.as_str()), ("InstanceType.Value", "t3.small")];
    assert_eq!(account.code("ModifyInstanceAttribute", &resize), "IncorrectInstanceState");
    account.ok("StopInstances", &[("InstanceId.1", &id)]);
    assert_eq!(account.state(&id), "stopping");
    assert_eq!(account.code("StartInstances", &[("InstanceId.1", &id)]), "IncorrectInstanceState");
    account.0.wait(1000);
    account.ok("ModifyInstanceAttribute", &resize);
    account.ok("StartInstances", &[("InstanceId.1", &id)]);
    account.0.wait(1000);
    account.ok("TerminateInstances", &[("InstanceId.1", &id)]);
    assert_eq!(account.state(&id), "shutting-down");
    assert_eq!(count(&account.ok("DescribeNetworkInterfaces", &[]), "<networkInterfaceId>"), 1);
    account.0.wait(1000);
    assert_eq!(account.state(&id), "terminated");
    assert_eq!(count(&account.ok("DescribeNetworkInterfaces", &[]), "<networkInterfaceId>"), 0);
    assert_eq!(count(&account.ok("DescribeVolumes", &[]), "<volumeId>"), 0);
    account.0.wait(2 * 3_600_000);
    assert_eq!(account.code("DescribeInstances", &[("InstanceId.1", &id)]), "InvalidInstanceID.NotFound");
}

#[test]
fn protection_holds_until_it_is_taken_away() {
    let account = Account::new();
    let id = account.launch(&[("DisableApiTermination", "true")]);
    assert_eq!(account.code("TerminateInstances", &[("InstanceId.1", &id)]), "OperationNotPermitted");
    account.ok("ModifyInstanceAttribute", &[("InstanceId", &id), ("DisableApiTermination.Value", "false")]);
    account.ok("TerminateInstances", &[("InstanceId.1", &id)]);
    account.ok("TerminateInstances", &[("InstanceId.1", &id)]);
    assert_eq!(
        account.code("TerminateInstances", &[("InstanceId.1", "i-00000000000000000")]),
        "InvalidInstanceID.NotFound"
    );
}

#[test]
fn spot_instances_have_a_request_that_ends_with_them() {
    let account = Account::new();
    let market = |price: &'static str| {
        launch(&[("InstanceMarketOptions.MarketType", "spot"), ("InstanceMarketOptions.SpotOptions.MaxPrice", price)])
    };
    assert_eq!(account.code("RunInstances", &market("0.0001")), "InvalidParameterValue");
    assert_eq!(account.code("RunInstances", &market("NaN")), "InvalidParameterValue");
    assert_eq!(account.code("RunInstances", &market("0.001")), "SpotMaxPriceTooLow");
    let made = account.ok("RunInstances", &market("0.01"));
    let (id, request) = (first(&made, "instanceId"), first(&made, "spotInstanceRequestId"));
    assert_eq!(first(&made, "instanceLifecycle"), "spot");
    assert_eq!(account.code("StopInstances", &[("InstanceId.1", id)]), "UnsupportedOperation");
    let state = || {
        first(&account.ok("DescribeSpotInstanceRequests", &[("SpotInstanceRequestId.1", request)]), "state").to_owned()
    };
    assert_eq!(state(), "active");
    account.ok("TerminateInstances", &[("InstanceId.1", id)]);
    assert_eq!(state(), "closed");
}

#[test]
fn cancelling_a_request_leaves_the_instance() {
    let account = Account::new();
    let fields = [
        ("LaunchSpecification.ImageId", INTEL),
        ("LaunchSpecification.InstanceType", "t2.micro"),
        ("SpotPrice", "0.01"),
    ];
    let made = account.ok("RequestSpotInstances", &fields);
    let (id, request) = (first(&made, "instanceId").to_owned(), first(&made, "spotInstanceRequestId"));
    let cancelled = account.ok("CancelSpotInstanceRequests", &[("SpotInstanceRequestId.1", request)]);
    assert_eq!(first(&cancelled, "state"), "cancelled");
    assert_eq!(account.state(&id), "running");
}

#[test]
fn metadata_options_follow_launch_option_then_image() {
    let account = Account::new();
    assert_eq!(first(&account.ok("RunInstances", &launch(&[])), "httpTokens"), "required");
    let old = launch(&[("ImageId", "ami-09d069a04349dc3cb")]);
    assert_eq!(first(&account.ok("RunInstances", &old), "httpTokens"), "optional");
    let id = account.launch(&[("MetadataOptions.HttpTokens", "optional")]);
    let changed = account.ok("ModifyInstanceMetadataOptions", &[("InstanceId", &id), ("HttpTokens", "required")]);
    assert_eq!(first(&changed, "httpTokens"), "required");
}

#[test]
fn credits_belong_to_burstable_types() {
    let account = Account::new();
    let (burstable, plain) = (account.launch(&[]), account.launch(&[("InstanceType", "m5.large")]));
    let shown = account.ok("DescribeInstanceCreditSpecifications", &[("InstanceId.1", &burstable)]);
    assert_eq!(first(&shown, "cpuCredits"), "standard");
    let refused = account.code("DescribeInstanceCreditSpecifications", &[("InstanceId.1", &plain)]);
    assert_eq!(refused, "InstanceCreditSpecification.NotSupported");
}

#[test]
fn user_data_and_groups_are_attributes() {
    let account = Account::new();
    let data = STANDARD.encode("#!/bin/sh\n");
    let id = account.launch(&[("UserData", &data)]);
    let shown = account.ok("DescribeInstanceAttribute", &[("InstanceId", &id), ("Attribute", "userData")]);
    assert_eq!(first(&shown, "value"), data);
    let group = account.group("web");
    account.ok("ModifyInstanceAttribute", &[("InstanceId", &id), ("GroupId.1", &group)]);
    let interfaces =
        account.ok("DescribeNetworkInterfaces", &[("Filter.1.Name", "group-id"), ("Filter.1.Value.1", &group)]);
    assert_eq!(count(&interfaces, "<networkInterfaceId>"), 1);
    let two = [("InstanceId", id.as_str()), ("SourceDestCheck.Value", "true"), ("DisableApiStop.Value", "true")];
    assert_eq!(account.code("ModifyInstanceAttribute", &two), "InvalidParameterCombination");
}

#[test]
fn volumes_grow_and_never_shrink() {
    let account = Account::new();
    account.launch(&[]);
    let id = first(&account.ok("DescribeVolumes", &[]), "volumeId").to_owned();
    assert_eq!(account.code("ModifyVolume", &[("VolumeId", &id), ("Size", "4")]), "InvalidParameterValue");
    account.ok("ModifyVolume", &[("VolumeId", &id), ("Size", "20"), ("VolumeType", "gp3"), ("Iops", "4000")]);
    let shown = account.ok("DescribeVolumes", &[("VolumeId.1", &id)]);
    assert_eq!((first(&shown, "size"), first(&shown, "iops"), first(&shown, "throughput")), ("20", "4000", "125"));
}

#[test]
fn tags_are_found_by_filter_and_by_key() {
    let account = Account::new();
    let tagged = [
        ("TagSpecification.1.ResourceType", "instance"),
        ("TagSpecification.1.Tag.1.Key", "env"),
        ("TagSpecification.1.Tag.1.Value", "dev"),
        ("TagSpecification.2.ResourceType", "volume"),
        ("TagSpecification.2.Tag.1.Key", "disk"),
        ("TagSpecification.2.Tag.1.Value", ""),
    ];
    let id = account.launch(&tagged);
    account.launch(&[]);
    let found = account.ok("DescribeInstances", &[("Filter.1.Name", "tag:env"), ("Filter.1.Value.1", "d*")]);
    assert_eq!(first(&found, "instanceId"), id);
    assert_eq!(count(&found, "<ownerId>"), 2, "one reservation with one interface: {found}");
    let volumes = account.ok("DescribeVolumes", &[("Filter.1.Name", "tag-key"), ("Filter.1.Value.1", "disk")]);
    assert_eq!(count(&volumes, "<attachmentSet>"), 1);
    account.ok("CreateTags", &[("ResourceId.1", &id), ("Tag.1.Key", "a"), ("Tag.1.Value", "b")]);
    account.ok("DeleteTags", &[("ResourceId.1", &id), ("Tag.1.Key", "env")]);
    let tags = account.ok("DescribeTags", &[("Filter.1.Name", "resource-id"), ("Filter.1.Value.1", &id)]);
    assert_eq!((count(&tags, "<item>"), first(&tags, "key")), (1, "a"));
    let reserved = [("ResourceId.1", id.as_str()), ("Tag.1.Key", "aws:x"), ("Tag.1.Value", "")];
    assert_eq!(account.code("CreateTags", &reserved), "InvalidParameterValue");
    let wrong = launch(&[("TagSpecification.1.ResourceType", "vpc"), ("TagSpecification.1.Tag.1.Key", "a")]);
    assert_eq!(account.code("RunInstances", &wrong), "InvalidParameterValue");
}

#[test]
fn lists_come_in_pages() {
    let account = Account::new();
    for _ in 0..3 {
        account.launch(&[]);
    }
    let page = account.ok("DescribeInstances", &[("MaxResults", "2")]);
    let token = first(&page, "nextToken").to_owned();
    let rest = account.ok("DescribeInstances", &[("MaxResults", "2"), ("NextToken", &token)]);
    assert_eq!(count(&rest, "<instanceType>"), 1);
    assert!(!rest.contains("nextToken"));
}

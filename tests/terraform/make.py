"""Makes by API calls what a state file describes, and writes the state file with the ids that came of it.

Arguments: address of the stand-in, state file, folder for the new one and its zips, `analytics` for what moto lacks.
"""

import io
import json
import pathlib
import sys
import zipfile

import boto3

url, source, folder, *features = sys.argv[1:]
whole = "analytics" in features
folder = pathlib.Path(folder)
state = json.loads(pathlib.Path(source).read_text())
new_ids = {}


def client(service):
    return boto3.client(service, endpoint_url=url)


def objects():
    for resource in state["resources"]:
        for instance in resource["instances"]:
            if resource["mode"] == "managed":
                yield resource["type"], instance["attributes"]


def of(kind):
    return [attributes for found, attributes in objects() if found == kind]


def moved(value):
    """Returns a value with the ids and the account of today."""
    text = json.dumps(value)
    for old, new in new_ids.items():
        text = text.replace(old, new)
    return json.loads(text)


def tag_list(attributes):
    return [{"Key": key, "Value": value} for key, value in (attributes.get("tags_all") or {}).items()]


def given(**fields):
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}


iam, ec2, kinesis, dynamodb = client("iam"), client("ec2"), client("kinesis"), client("dynamodb")
sns, functions, logs, ssm = client("sns"), client("lambda"), client("logs"), client("ssm")

new_ids["000000000000"] = client("sts").get_caller_identity()["Account"]
vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
subnet = next(each for each in subnets if each["AvailabilityZone"] == "us-east-1a")["SubnetId"]
image = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
box = of("aws_instance")[0]
new_ids[of("aws_security_group")[0]["vpc_id"]] = vpc
new_ids[box["subnet_id"]] = subnet
new_ids[box["ami"]] = ssm.get_parameter(Name=image)["Parameter"]["Value"]

for role in moved(of("aws_iam_role")):
    iam.create_role(
        RoleName=role["name"], Path=role["path"], AssumeRolePolicyDocument=role["assume_role_policy"],
        MaxSessionDuration=role["max_session_duration"], Tags=tag_list(role), **given(Description=role["description"]))
    for policy in role["inline_policy"]:
        if policy["name"]:
            iam.put_role_policy(RoleName=role["name"], PolicyName=policy["name"], PolicyDocument=policy["policy"])
for policy in moved(of("aws_iam_policy")):
    iam.create_policy(
        PolicyName=policy["name"], Path=policy["path"], PolicyDocument=policy["policy"], Tags=tag_list(policy),
        **given(Description=policy["description"]))
for policy in moved(of("aws_iam_role_policy")):
    iam.put_role_policy(RoleName=policy["role"], PolicyName=policy["name"], PolicyDocument=policy["policy"])
for attachment in moved(of("aws_iam_role_policy_attachment")):
    iam.attach_role_policy(RoleName=attachment["role"], PolicyArn=attachment["policy_arn"])
for attachment in moved(of("aws_iam_policy_attachment")):
    for role in attachment["roles"]:
        iam.attach_role_policy(RoleName=role, PolicyArn=attachment["policy_arn"])
for profile in moved(of("aws_iam_instance_profile")):
    iam.create_instance_profile(InstanceProfileName=profile["name"], Path=profile["path"], Tags=tag_list(profile))
    iam.add_role_to_instance_profile(InstanceProfileName=profile["name"], RoleName=profile["role"])

for stream in of("aws_kinesis_stream"):
    name, mode = stream["name"], stream["stream_mode_details"][0]["stream_mode"]
    count = {"ShardCount": stream["shard_count"]} if mode == "PROVISIONED" else {}
    kinesis.create_stream(StreamName=name, StreamModeDetails={"StreamMode": mode}, **count)
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    kinesis.add_tags_to_stream(StreamName=name, Tags=stream["tags_all"])
    changes = []
    if stream["retention_period"] > 24:
        hours = stream["retention_period"]
        changes.append(lambda: kinesis.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=hours))
    if stream["encryption_type"] == "KMS":
        key = stream["kms_key_id"]
        changes.append(lambda: kinesis.start_stream_encryption(StreamName=name, EncryptionType="KMS", KeyId=key))
    if stream["shard_level_metrics"]:
        metrics = stream["shard_level_metrics"]
        changes.append(lambda: kinesis.enable_enhanced_monitoring(StreamName=name, ShardLevelMetrics=metrics))
    for change in changes:
        change()
        kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})

for table in of("aws_dynamodb_table"):
    def keys(of_what):
        pairs = [(of_what["hash_key"], "HASH"), (of_what["range_key"], "RANGE")]
        return [{"AttributeName": name, "KeyType": kind} for name, kind in pairs if name]

    indexes = [
        {"IndexName": index["name"], "KeySchema": keys(index), "Projection": {"ProjectionType": index["projection_type"]}}
        for index in table["global_secondary_index"]
    ]
    attributes = [{"AttributeName": each["name"], "AttributeType": each["type"]} for each in table["attribute"]]
    capacity = {"ReadCapacityUnits": table["read_capacity"], "WriteCapacityUnits": table["write_capacity"]}
    view = {"StreamEnabled": True, "StreamViewType": table["stream_view_type"]} if table["stream_enabled"] else None
    answer = dynamodb.create_table(
        TableName=table["name"], KeySchema=keys(table), AttributeDefinitions=attributes,
        BillingMode=table["billing_mode"], Tags=tag_list(table),
        **given(
            GlobalSecondaryIndexes=indexes, StreamSpecification=view,
            ProvisionedThroughput=capacity if table["billing_mode"] == "PROVISIONED" else None))
    dynamodb.get_waiter("table_exists").wait(TableName=table["name"], WaiterConfig={"Delay": 1})
    if table["stream_arn"]:
        new_ids[table["stream_arn"].rsplit("/", 1)[1]] = answer["TableDescription"]["LatestStreamArn"].rsplit("/", 1)[1]
    for expiry in table["ttl"]:
        if expiry["enabled"]:
            setting = {"Enabled": True, "AttributeName": expiry["attribute_name"]}
            dynamodb.update_time_to_live(TableName=table["name"], TimeToLiveSpecification=setting)
    for recovery in table["point_in_time_recovery"]:
        if recovery["enabled"]:
            setting = {"PointInTimeRecoveryEnabled": True}
            dynamodb.update_continuous_backups(TableName=table["name"], PointInTimeRecoverySpecification=setting)

for topic in of("aws_sns_topic"):
    flags = {"FifoTopic": topic["fifo_topic"], "ContentBasedDeduplication": topic["content_based_deduplication"]}
    attributes = given(DisplayName=topic["display_name"], **{name: "true" for name, flag in flags.items() if flag})
    sns.create_topic(Name=topic["name"], Attributes=attributes, Tags=tag_list(topic))
for policy in moved(of("aws_sns_topic_policy")):
    sns.set_topic_attributes(TopicArn=policy["arn"], AttributeName="Policy", AttributeValue=policy["policy"])

(folder / "lambda").mkdir(exist_ok=True)
for function in moved(of("aws_lambda_function")):
    path, body = folder / function["filename"], io.BytesIO()
    if not path.exists():
        with zipfile.ZipFile(body, "w") as archive:
            archive.writestr("main.py", f"def handler(event, context):\n    return {path.stem!r}\n")
        path.write_bytes(body.getvalue())
    variables = [block["variables"] for block in function["environment"]]
    functions.create_function(
        FunctionName=function["function_name"], Role=function["role"], Runtime=function["runtime"],
        Handler=function["handler"], Timeout=function["timeout"], MemorySize=function["memory_size"],
        Code={"ZipFile": path.read_bytes()}, Tags=function["tags_all"],
        **given(Environment={"Variables": variables[0]} if variables else None))
    functions.get_waiter("function_active_v2").wait(FunctionName=function["function_name"])
for permission in moved(of("aws_lambda_permission")):
    functions.add_permission(
        FunctionName=permission["function_name"], StatementId=permission["statement_id"], Action=permission["action"],
        Principal=permission["principal"], SourceArn=permission["source_arn"])
for subscription in of("aws_sns_topic_subscription"):
    today = moved(subscription)
    answer = sns.subscribe(
        TopicArn=today["topic_arn"], Protocol=today["protocol"], Endpoint=today["endpoint"], ReturnSubscriptionArn=True,
        Attributes=given(FilterPolicy=today["filter_policy"]))
    new_ids[subscription["arn"].rsplit(":", 1)[1]] = answer["SubscriptionArn"].rsplit(":", 1)[1]
for mapping in of("aws_lambda_event_source_mapping"):
    today = moved(mapping)
    filters = [{"Pattern": each["pattern"]} for criteria in today["filter_criteria"] for each in criteria["filter"]]
    answer = functions.create_event_source_mapping(
        EventSourceArn=today["event_source_arn"], FunctionName=today["function_name"], BatchSize=today["batch_size"],
        StartingPosition=today["starting_position"], Tags=today["tags_all"],
        MaximumRetryAttempts=today["maximum_retry_attempts"],
        **given(
            FunctionResponseTypes=today["function_response_types"],
            FilterCriteria={"Filters": filters} if filters else None))
    new_ids[mapping["uuid"]] = answer["UUID"]


def permission_of(rule):
    ports = {} if rule["protocol"] == "-1" else {"FromPort": rule["from_port"], "ToPort": rule["to_port"]}
    ranges = [{"CidrIp": cidr} for cidr in rule.get("cidr_blocks") or []]
    return {"IpProtocol": rule["protocol"], **ports, **given(IpRanges=ranges)}


for group in of("aws_security_group"):
    tags = [{"ResourceType": "security-group", "Tags": tag_list(group)}]
    answer = ec2.create_security_group(
        GroupName=group["name"], Description=group["description"], VpcId=vpc, TagSpecifications=tags)
    new_ids[group["id"]] = answer["GroupId"]
    for rule in group["ingress"]:
        if rule["cidr_blocks"]:
            ec2.authorize_security_group_ingress(GroupId=answer["GroupId"], IpPermissions=[permission_of(rule)])
for rule in moved(of("aws_security_group_rule")):
    pair = {"UserIdGroupPairs": [{"GroupId": rule["source_security_group_id"]}]}
    ec2.authorize_security_group_ingress(
        GroupId=rule["security_group_id"], IpPermissions=[{**permission_of(rule), **pair}])

tags = [{"ResourceType": kind, "Tags": tag_list(box)} for kind in ("instance", "volume")]
options = {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}
answer = ec2.run_instances(
    ImageId=moved(box["ami"]), InstanceType=box["instance_type"], MinCount=1, MaxCount=1, SubnetId=subnet,
    SecurityGroupIds=moved(box["vpc_security_group_ids"]), TagSpecifications=tags, MetadataOptions=options)
new_ids[box["id"]] = answer["Instances"][0]["InstanceId"]

for group in of("aws_cloudwatch_log_group"):
    logs.create_log_group(logGroupName=group["name"], tags=group["tags_all"])
    logs.put_retention_policy(logGroupName=group["name"], retentionInDays=group["retention_in_days"])
for parameter in of("aws_ssm_parameter"):
    ssm.put_parameter(
        Name=parameter["name"], Type=parameter["type"], Value=parameter["value"], Tier=parameter["tier"],
        Tags=tag_list(parameter), **given(Description=parameter["description"]))


def spot(request):
    launch = {
        "ImageId": moved(request["ami"]), "InstanceType": request["instance_type"],
        "IamInstanceProfile": {"Name": request["iam_instance_profile"]}, "UserData": "IyEvYmluL3NoCmVjaG8gaGVsbG8K",
        "SubnetId": subnet, "SecurityGroupIds": moved(request["vpc_security_group_ids"]),
    }
    answer = ec2.request_spot_instances(SpotPrice="0.01", Type="one-time", LaunchSpecification=launch)
    number = answer["SpotInstanceRequests"][0]["SpotInstanceRequestId"]
    waiter = ec2.get_waiter("spot_instance_request_fulfilled")
    waiter.wait(SpotInstanceRequestIds=[number], WaiterConfig={"Delay": 1})
    found = ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[number])["SpotInstanceRequests"][0]
    ec2.create_tags(Resources=[number], Tags=tag_list(request))
    new_ids[request["id"]], new_ids[request["spot_instance_id"]] = number, found["InstanceId"]


def application(wanted):
    def end(block):
        return {"ResourceARN": block["resource_arn"], "RoleARN": block["role_arn"]}

    columns = [
        {"Name": column["name"], "Mapping": column["mapping"], "SqlType": column["sql_type"]}
        for column in wanted["inputs"][0]["schema"][0]["record_columns"]
    ]
    row_path = {"RecordRowPath": "$"}
    schema = {
        "RecordFormat": {"RecordFormatType": "JSON", "MappingParameters": {"JSONMappingParameters": row_path}},
        "RecordEncoding": "UTF-8", "RecordColumns": columns,
    }
    inputs = [
        {"NamePrefix": each["name_prefix"], "KinesisStreamsInput": end(each["kinesis_stream"][0]), "InputSchema": schema}
        for each in wanted["inputs"]
    ]
    outputs = [
        {
            "Name": each["name"], "KinesisStreamsOutput": end(each["kinesis_stream"][0]),
            "DestinationSchema": {"RecordFormatType": "JSON"},
        }
        for each in wanted["outputs"]
    ]
    client("kinesisanalytics").create_application(
        ApplicationName=wanted["name"], ApplicationCode=wanted["code"], Inputs=inputs, Outputs=outputs,
        Tags=tag_list(wanted))


if whole:
    for request in of("aws_spot_instance_request"):
        spot(request)
    for wanted in moved(of("aws_kinesis_analytics_application")):
        application(wanted)
else:
    lacking = ("aws_spot_instance_request", "aws_kinesis_analytics_application")
    state["resources"] = [each for each in state["resources"] if each["type"] not in lacking]
(folder / "terraform.tfstate").write_text(json.dumps(moved(state), indent=2))

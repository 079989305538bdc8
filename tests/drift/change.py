"""Makes changes behind a stack's back: address, account, then snippets of Python as a JSON list on standard input."""

import io
import json
import sys
import time
import zipfile

import boto3
from botocore.exceptions import ClientError

URL, ACCOUNT, ANALYTICS = sys.argv[1:4]
REGION = "us-east-1"
MARKS = ["stackctl:stack", "stackctl:resource", "stackctl:spec"]


def client(service, url=URL):
    return boto3.client(
        service, endpoint_url=url, region_name=REGION, aws_access_key_id=ACCOUNT, aws_secret_access_key="none"
    )


kinesis, iam, dynamodb, sns, logs, ec2, ssm = map(
    client, ["kinesis", "iam", "dynamodb", "sns", "logs", "ec2", "ssm"]
)
awslambda, analytics = client("lambda"), client("kinesisanalytics", ANALYTICS)


def arn(service, rest):
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


def policy(name):
    return f"arn:aws:iam::{ACCOUNT}:policy/stackctl/drift-table/{name}"


def role(name):
    return iam.get_role(RoleName=name)["Role"]["Arn"]


def document(actions, resource):
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trust(*services):
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": list(services)}}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def settled(look, wanted):
    for _ in range(100):
        if look() == wanted:
            return
        time.sleep(0.1)
    raise AssertionError(f"{look()} instead of {wanted}")


def gone(look):
    for _ in range(100):
        try:
            look()
        except ClientError:
            return
        time.sleep(0.1)
    raise AssertionError("it is still there")


def application(name="application"):
    return analytics.describe_application(ApplicationName=name)["ApplicationDetail"]


def edit_application(**update):
    version = application()["ApplicationVersionId"]
    analytics.update_application(
        ApplicationName="application", CurrentApplicationVersionId=version, ApplicationUpdate=update
    )
    settled(lambda: application()["ApplicationStatus"], "RUNNING")


def active(table):
    settled(lambda: dynamodb.describe_table(TableName=table)["Table"]["TableStatus"], "ACTIVE")

    def indexes():
        table_ = dynamodb.describe_table(TableName=table)["Table"]
        return {index.get("IndexStatus", "ACTIVE") for index in table_.get("GlobalSecondaryIndexes", [])} - {"ACTIVE"}

    settled(indexes, set())


def subscription(queue):
    all_ = sns.list_subscriptions_by_topic(TopicArn=arn("sns", "topic"))["Subscriptions"]
    return next(one["SubscriptionArn"] for one in all_ if one["Endpoint"] == arn("sqs", queue))


def topic_tags(name):
    return {tag["Key"]: tag["Value"] for tag in sns.list_tags_for_resource(ResourceArn=arn("sns", name))["Tags"]}


def mappings(stream):
    source = arn("kinesis", f"stream/{stream}")
    return awslambda.list_event_source_mappings(EventSourceArn=source)["EventSourceMappings"]


def mapping(stream):
    return mappings(stream)[0]["UUID"]


def mapped(stream, state):
    settled(lambda: mappings(stream)[0]["State"], state)


def zipped(name, text):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr(name, text)
    return body.getvalue()


def group(name):
    filters = [{"Name": "group-name", "Values": [name]}]
    return ec2.describe_security_groups(Filters=filters)["SecurityGroups"][0]["GroupId"]


def tcp(port, cidr):
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": cidr}]}


def machines(name):
    filters = [{"Name": "tag:stackctl:resource", "Values": [name]}]
    pages = ec2.describe_instances(Filters=filters)["Reservations"]
    return [machine for page in pages for machine in page["Instances"]]


def instance(name):
    states = ["pending", "running", "stopping", "stopped"]
    return next(one["InstanceId"] for one in machines(name) if one["State"]["Name"] in states)


def reached(name, state):
    settled(lambda: state in {one["State"]["Name"] for one in machines(name)}, True)


def untag(id_):
    ec2.delete_tags(Resources=[id_], Tags=[{"Key": key} for key in MARKS])


for snippet in json.load(sys.stdin):
    try:
        exec(snippet)
    except Exception as error:
        raise SystemExit(f"{snippet}\n{type(error).__name__}: {error}") from error

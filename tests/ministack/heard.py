"""A queue that hears what a topic says: `heard.py open|read ENDPOINT TOPIC_ARN`; read prints the subjects so far."""

import json
import sys

import boto3

NAME = "heard"


def client(service, endpoint):
    return boto3.client(
        service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="123456789012", aws_secret_access_key="none"
    )


def open_queue(endpoint, topic):
    queues = client("sqs", endpoint)
    url = queues.create_queue(QueueName=NAME)["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    client("sns", endpoint).subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)


def read(endpoint, _):
    queues = client("sqs", endpoint)
    url = queues.get_queue_url(QueueName=NAME)["QueueUrl"]
    subjects = []
    while messages := queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            subjects.append(json.loads(message["Body"])["Subject"])
            queues.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    print(json.dumps(subjects))


if __name__ == "__main__":
    {"open": open_queue, "read": read}[sys.argv[1]](*sys.argv[2:])

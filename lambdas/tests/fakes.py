"""What the tests share: loading a function's code as Lambda would, Kinesis events, and AWS clients that obey a script."""

import base64
import copy
import importlib.util
import json
import pathlib
import sys

LAMBDAS = pathlib.Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True  # the folders beside this one are zipped as they are


def load(function):
    """Returns a fresh copy of `lambdas/<function>/main.py`."""
    spec = importlib.util.spec_from_file_location(f"{function}_main", LAMBDAS / function / "main.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def event(*payloads, first=100):
    """Returns the event for payloads: objects become JSON, bytes and text go in as they are."""
    return {"Records": [record(payload, first + index) for index, payload in enumerate(payloads)]}


def record(payload, sequence):
    """Returns one Kinesis record as Lambda delivers it."""
    if not isinstance(payload, (bytes, str)):
        payload = json.dumps(payload)
    if isinstance(payload, str):
        payload = payload.encode()
    return {
        "eventID": f"shardId-000000000000:{sequence}",
        "eventSource": "aws:kinesis",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/airline_tickets",
        "kinesis": {
            "partitionKey": "1",
            "sequenceNumber": str(sequence),
            "data": base64.b64encode(payload).decode(),
        },
    }


class AwsError(Exception):
    """Looks like botocore's ClientError."""

    def __init__(self, code, status=400):
        super().__init__(f"An error occurred ({code})")
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}


class ConnectTimeoutError(ConnectionError):
    """Looks like botocore's error for a server that does not answer."""


class Context:
    """Lambda's context, with a given time left."""

    def __init__(self, seconds):
        self.seconds = seconds

    def get_remaining_time_in_millis(self):
        return int(self.seconds * 1000)


class Dynamo:
    """A table as strict as DynamoDB about a call's size and duplicate keys.

    `script` holds what the next calls do: an exception to raise, or the number of items to leave unprocessed.
    """

    def __init__(self, key="record_id", script=(), refuse=()):
        self.key, self.script, self.refuse = key, list(script), set(refuse)
        self.items, self.calls = {}, []

    def batch_write_item(self, RequestItems):
        ((table, requests),) = RequestItems.items()
        items = [copy.deepcopy(each["PutRequest"]["Item"]) for each in requests]
        self.calls.append(items)
        step = self.script.pop(0) if self.script else 0
        if isinstance(step, Exception):
            raise step
        keys = [item[self.key] for item in items]
        if not 1 <= len(items) <= 25 or len(set(keys)) < len(keys) or self.refuse & set(keys):
            raise AwsError("ValidationException")
        done = len(items) - step
        self.items.update({item[self.key]: item for item in items[:done]})
        return {"UnprocessedItems": {table: requests[done:]} if step else {}}


class Sns:
    """A topic that keeps its messages, or fails as told."""

    def __init__(self, problem=None):
        self.problem, self.messages = problem, []

    def publish(self, **message):
        if self.problem:
            raise self.problem
        self.messages.append(message)
        return {"MessageId": f"message-{len(self.messages)}"}

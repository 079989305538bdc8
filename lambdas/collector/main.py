"""Writes every ticket of a Kinesis batch to a DynamoDB table.

Good records are always written, whatever their neighbours look like. A record that cannot be stored is
named in `batchItemFailures`, so that Lambda tries it again and, when its attempts are used up, reports it
to the failure destination of the event source mapping: it never blocks the shard for good. The item's key
comes from the producer, so a record that is delivered twice overwrites itself.

Environment: TABLE_NAME, and RECORD_KEY when the table's hash key is not `record_id`.
"""

import base64
import binascii
import decimal
import json
import logging
import os
import random
import time

log = logging.getLogger()
log.setLevel(logging.INFO)

NUMBERS = {"cost", "trip_class", "number_of_changes", "duration", "distance"}
BOOLEANS = {"show_to_affiliates", "actual"}
TRUE, FALSE = {"true", "t", "1", "yes"}, {"false", "f", "0", "no"}

MOST_ITEMS_A_CALL = 25  # BatchWriteItem
RESERVE_SECONDS = 4.5  # left over for a call that is slow to fail, and for the answer
CONNECT_SECONDS, READ_SECONDS = 1, 3
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
TRANSIENT = {
    "InternalServerError",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
    "TransactionInProgressException",
}
# Refusals that are about one item, not about the call.
ABOUT_AN_ITEM = {"ItemCollectionSizeLimitExceededException", "SerializationException", "ValidationException"}
# What DynamoDB can hold: 38 digits, and nothing is rounded in silence.
NUMBER_RANGE = decimal.Context(
    prec=38,
    Emin=-130,
    Emax=125,
    traps=[
        decimal.Clamped,
        decimal.InvalidOperation,
        decimal.Inexact,
        decimal.Overflow,
        decimal.Rounded,
        decimal.Subnormal,
        decimal.Underflow,
    ],
)

_clients = {}


class BadRecord(ValueError):
    """A record that no retry will make better."""


def handler(event, context=None):
    """Stores the batch and answers with the records that could not be stored, lowest sequence number first."""
    deadline = time.monotonic() + seconds_left(context)
    items, sequences, failed = read(event.get("Records", []))
    for key in write(list(items.items()), deadline):
        failed.update(sequences[key])
    log.info("%d records, %d items, %d failures", len(event.get("Records", [])), len(items), len(failed))
    return {"batchItemFailures": [{"itemIdentifier": each} for each in sorted(failed, key=int)]}


def read(records):
    """Returns the items by key, the sequence numbers that each key came from, and those of the bad records."""
    items, sequences, failed = {}, {}, set()
    for record in records:
        sequence = sequence_number(record)
        try:
            key, item = item_of(record["kinesis"].get("data"))
        except BadRecord as problem:
            log.error("record %s of %s: %s", sequence, record.get("eventSourceARN", "?"), problem)
            failed.add(sequence)
            continue
        items[key] = item  # the last one wins, as it would in the table
        sequences.setdefault(key, []).append(sequence)
    return items, sequences, failed


def sequence_number(record):
    """Returns what Lambda knows a record by; without it only the batch as a whole can be retried."""
    try:
        return str(int(record["kinesis"]["sequenceNumber"]))
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError("the event is not a Kinesis batch: a record has no sequence number") from problem


def item_of(data):
    """Returns the key and the item of one record's base64 data."""
    try:
        text = base64.b64decode(data, validate=True).decode("utf-8")
        ticket = json.loads(text, parse_float=number, parse_int=number, parse_constant=number)
    except (binascii.Error, RecursionError, TypeError, ValueError) as problem:
        raise BadRecord(f"not a JSON document: {problem}") from problem
    if not isinstance(ticket, dict):
        raise BadRecord("not a JSON object")
    item = {}
    for name, value in ticket.items():
        value = typed(name, value)
        if name and value is not None:
            item[name] = value
    key_name = os.environ.get("RECORD_KEY", "record_id")
    if not isinstance(item.get(key_name), str):
        raise BadRecord(f"no text in the key {key_name}")
    return item[key_name], item


def typed(name, value):
    """Returns a field as its column's type. The Kinesis agent sends text only; empty text is no value."""
    if isinstance(value, str):
        value = value.strip()
        if value == "":
            return None
    if value is None:
        return None
    if name in NUMBERS and not isinstance(value, decimal.Decimal):
        return number(str(value), name)
    if name in BOOLEANS and not isinstance(value, bool):
        return boolean(value, name)
    return value


def number(text, name="a number"):
    """Returns the text as a Decimal that DynamoDB takes as it is."""
    try:
        value = NUMBER_RANGE.create_decimal(text.strip())
        usable = value.is_finite()
    except decimal.DecimalException:
        usable = False
    if not usable:
        raise BadRecord(f"{name} is not a number DynamoDB can hold: {text[:40]!r}")
    return value


def boolean(value, name):
    """Returns the many spellings of yes and no as a bool."""
    spelled = str(value).lower()
    if spelled in TRUE:
        return True
    if spelled in FALSE:
        return False
    raise BadRecord(f"{name} is neither true nor false: {spelled[:40]!r}")


def write(pairs, deadline):
    """Writes all items in calls of at most 25 and returns the keys of those that are not in the table."""
    failed = []
    for start in range(0, len(pairs), MOST_ITEMS_A_CALL):
        failed += write_some(dict(pairs[start : start + MOST_ITEMS_A_CALL]), deadline)
    return failed


def write_some(items, deadline):
    """Writes one call's worth, again and again until it is done, hopeless, or out of time."""
    key_name, pause = os.environ.get("RECORD_KEY", "record_id"), FIRST_PAUSE
    while items and time.monotonic() <= deadline:
        try:
            left = put(items.values())
        except Exception as problem:
            if not transient(problem):
                return one_by_one(items, problem, deadline)
            log.warning("%d items to be tried again: %s", len(items), problem)
        else:
            items = {each[key_name]: each for each in left}
        if items:
            time.sleep(max(0.0, min(pause * random.uniform(0.5, 1), deadline - time.monotonic())))
            pause = min(pause * 2, LONGEST_PAUSE)
    if items:
        log.error("out of time with %d items not written; Lambda will deliver them again", len(items))
    return list(items)


def one_by_one(items, problem, deadline):
    """Finds the item that made DynamoDB refuse the whole call. Any other refusal is not about one item."""
    if error_code(problem) not in ABOUT_AN_ITEM and not local_refusal(problem):
        raise problem
    if len(items) == 1:
        log.error("item %s refused: %s", next(iter(items)), problem)
        return list(items)
    return [key for pair in items.items() for key in write_some(dict([pair]), deadline)]


def put(items):
    """Sends one BatchWriteItem and returns the items that DynamoDB left out."""
    table = setting("TABLE_NAME")
    answer = dynamodb().batch_write_item(
        RequestItems={table: [{"PutRequest": {"Item": item}} for item in items]}
    )
    left = answer.get("UnprocessedItems", {}).get(table, [])
    return [each["PutRequest"]["Item"] for each in left]


def error_code(problem):
    """Returns the AWS error code, or None for what never reached AWS."""
    return getattr(problem, "response", {}).get("Error", {}).get("Code")


def local_refusal(problem):
    """Tells whether boto3 refused a value before anything was sent."""
    names = {each.__name__ for each in type(problem).__mro__}
    return isinstance(problem, (TypeError, ValueError, decimal.DecimalException)) or "ParamValidationError" in names


def transient(problem):
    """Tells whether the same call can succeed later: throttles, server faults and lost connections."""
    code = error_code(problem)
    if code is None:
        # botocore's own connection and time-out errors derive from these names; boto3 need not be loaded to see it.
        names = {each.__name__ for each in type(problem).__mro__}
        return bool(names & {"HTTPClientError", "ConnectionError", "OSError"})
    status = problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code in TRANSIENT or status >= 500


def seconds_left(context):
    """Returns the time for work, by the function's own time-out."""
    left = context.get_remaining_time_in_millis() / 1000 if context is not None else 15.0
    return left - min(RESERVE_SECONDS, left * 0.4)


def setting(name):
    """Returns an environment variable that the function cannot work without."""
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"set the function's environment variable {name}")
    return value


def dynamodb():
    """Returns the DynamoDB resource, which turns Python values into attribute values; made on first use."""
    if "dynamodb" not in _clients:
        import boto3
        from botocore.config import Config

        # Retries are ours, so that they end in time for an answer.
        config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"total_max_attempts": 1})
        _clients["dynamodb"] = boto3.resource("dynamodb", config=config)
    return _clients["dynamodb"]

"""Publishes one message for each batch of cheap tickets: gate and cost of every ticket in it.

A failed publish raises, so that Lambda delivers the batch again: a message may come twice, but none is
lost. A record that cannot be read is logged and counted in the message, and never makes the others be
sent again.

Environment: TOPIC_ARN.
"""

import base64
import binascii
import decimal
import json
import logging
import os

log = logging.getLogger()
log.setLevel(logging.INFO)

LONGEST_MESSAGE = 1600  # characters; SNS refuses a longer text message
LONGEST_GATE = 40
CURRENCY = "RUB"

_clients = {}


def handler(event, context=None):
    """Publishes the batch's tickets and answers with how many there were."""
    tickets, unreadable = read(event.get("Records", []))
    if not tickets:
        log.info("nothing to publish, %d unreadable records", unreadable)
        return {"tickets": 0, "unreadable": unreadable}
    answer = sns().publish(
        TopicArn=setting("TOPIC_ARN"),
        Subject=f"Cheap tickets: {len(tickets)}",
        Message=message(tickets, unreadable),
    )
    log.info("%d tickets published as %s", len(tickets), answer.get("MessageId"))
    return {"tickets": len(tickets), "unreadable": unreadable}


def read(records):
    """Returns (cost, gate) of each distinct record, and the number of records that are no tickets."""
    tickets, seen, unreadable = [], set(), 0
    for record in records:
        kinesis = record.get("kinesis") or {}
        sequence = record.get("eventID") or kinesis.get("sequenceNumber")
        if sequence is not None and sequence in seen:
            continue
        seen.add(sequence)
        try:
            tickets.append(ticket_of(kinesis.get("data")))
        except (binascii.Error, RecursionError, TypeError, ValueError) as problem:
            log.error("record %s cannot be read: %s", sequence, problem)
            unreadable += 1
    return tickets, unreadable


def ticket_of(data):
    """Returns (cost, gate) of one record's base64 data; cost is None when there is none."""
    row = json.loads(base64.b64decode(data, validate=True), parse_float=str, parse_int=str)
    if not isinstance(row, dict):
        raise ValueError("not a JSON object")
    fields = {name.lower(): value for name, value in row.items()}  # SQL names without quotes arrive in capitals
    if fields.get("cost") is None and fields.get("gate") is None:
        raise ValueError("neither cost nor gate in it")
    return cost_of(fields.get("cost")), gate_of(fields.get("gate"))


def cost_of(value):
    """Returns a cost given as text or number; None when it is neither."""
    try:
        cost = decimal.Decimal(str(value).strip())
    except decimal.InvalidOperation:
        return None
    return cost if cost.is_finite() and abs(cost.adjusted()) < 20 else None


def gate_of(value):
    """Returns the gate on one line, as far as a message has room for it."""
    text = " ".join(str("" if value is None else value).split())
    return text[:LONGEST_GATE] or "unknown gate"


def message(tickets, unreadable):
    """Returns the text, cheapest ticket first, shortened to what SNS sends as a text message."""
    cheapest_first = sorted(tickets, key=lambda ticket: (ticket[0] is None, ticket[0] or 0, ticket[1]))
    note = f"\n({unreadable} unreadable, see the log)" if unreadable else ""
    head = "1 cheap ticket" if len(tickets) == 1 else f"{len(tickets)} cheap tickets"
    text = head
    for shown, ticket in enumerate(cheapest_first):
        rest = f"\nand {len(tickets) - shown} more"
        added = "\n" + line(ticket)
        # Room for "and N more" is kept until the last line is in.
        last = shown + 1 == len(tickets)
        if len(text) + len(added) + len(note) + (0 if last else len(rest)) > LONGEST_MESSAGE:
            return text + rest + note
        text += added
    return text + note


def line(ticket):
    """Returns gate and cost as one line of the message."""
    cost, gate = ticket
    if cost is None:
        return f"{gate}: unknown cost"
    plain = format(cost, "f")
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return f"{gate}: {plain} {CURRENCY}"


def setting(name):
    """Returns an environment variable that the function cannot work without."""
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"set the function's environment variable {name}")
    return value


def sns():
    """Returns the SNS client, made on first use."""
    if "sns" not in _clients:
        import boto3

        _clients["sns"] = boto3.client("sns")
    return _clients["sns"]

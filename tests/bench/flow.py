"""Measures the data path of the local cloud: tickets from a stream to the table and to the phone."""

import base64
import csv
import http.client
import json
import os
import pathlib
import statistics
import time
import urllib.parse

from run import Stackctl

ACCOUNT, REGION = "000000000000", "us-east-1"
STREAM, TABLE = "airline_tickets", "airline_tickets"
PHONE = "phone=+79990000000"
TICKETS = 10_000
PUTS, WARM_UP = 100, 5
LIMIT = 300  # seconds; longer than any step takes
COLUMNS = [
    "cost", "trip_class", "show_to_affiliates", "return_date", "origin", "number_of_changes", "gate", "found_at",
    "duration", "distance", "destination", "depart_date", "actual", "record_id",
]


class Api:
    """JSON calls to a served local cloud, over one connection."""

    def __init__(self, url: str):
        place = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)

    def call(self, service: str, target: str, body: dict) -> dict:
        """Calls an operation; the access key names the account, and no signature is looked at."""
        scope = f"{ACCOUNT}/20300101/{REGION}/{service}/aws4_request"
        headers = {
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": target,
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        }
        return self.answer("POST", "/", json.dumps(body), headers)

    def answer(self, method: str, path: str, body: str | None = None, headers: dict | None = None) -> dict:
        """Returns the document of a request that must be answered well."""
        self.connection.request(method, path, body, headers or {})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path} {headers}: {answer.status} {text[:1000]!r}")
        return json.loads(text)

    def put(self, ticket: dict) -> None:
        """Puts one ticket, as the agent would."""
        data = base64.b64encode(json.dumps(ticket).encode()).decode()
        record = {"StreamName": STREAM, "Data": data, "PartitionKey": ticket["record_id"]}
        self.call("kinesis", "Kinesis_20131202.PutRecord", record)

    def has(self, key: str) -> bool:
        """Tells whether the table has an item."""
        asked = {"TableName": TABLE, "Key": {"record_id": {"S": key}}, "ConsistentRead": True}
        return "Item" in self.call("dynamodb", "DynamoDB_20120810.GetItem", asked)

    def items(self) -> int:
        """Counts the items of the table."""
        asked, count = {"TableName": TABLE, "Select": "COUNT", "ConsistentRead": True}, 0
        while True:
            page = self.call("dynamodb", "DynamoDB_20120810.Scan", asked)
            count += page["Count"]
            if "LastEvaluatedKey" not in page:
                return count
            asked["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def told(self) -> int:
        """Counts the tickets that messages told of."""
        outbox = self.answer("GET", f"/_local/outbox/{ACCOUNT}/{REGION}")
        return sum(int(entry["sent"]["subject"].rsplit(" ", 1)[1]) for entry in outbox)


def ticket(number: int) -> dict:
    """Makes a ticket that the stack's SQL lets through if its number is one of ten."""
    matches = is_cheap(number)
    values = [
        str(3000 + number % 1000 if matches else 6000 + number), "0", "true", "2030-01-09", "LED", "1",
        "Aeroflot" if matches or number % 3 == 0 else "S7 Airlines", "2030-01-01 00:12:14.000", "384", "1204", "KZN",
        "2030-01-02", "true", f"ticket-{number}",
    ]
    return dict(zip(COLUMNS, values, strict=True))


def is_cheap(number: int) -> bool:
    return number % 10 == 0


def cheap(numbers: range) -> int:
    """Counts the tickets that become part of a message."""
    return sum(map(is_cheap, numbers))


def until(what: str, done, pause: float) -> float:
    """Waits until something is so and returns the time of it."""
    started = time.perf_counter()
    while not done():
        if time.perf_counter() - started > LIMIT:
            raise SystemExit(f"{what}: not within {LIMIT} s")
        time.sleep(pause)
    return time.perf_counter()


def latencies(api: Api) -> list[float]:
    """Returns the milliseconds from a put to the item, one put after another."""
    taken = []
    for number in range(-WARM_UP, PUTS):
        one = ticket(number) | {"record_id": f"single-{number}"}
        started = time.perf_counter()
        api.put(one)
        ended = until("an item", lambda: api.has(one["record_id"]), 0.001)
        taken.append((ended - started) * 1000)
    return taken[WARM_UP:]


def throughput(api: Api, stackctl: Stackctl, file: pathlib.Path) -> dict[str, float]:
    """Sends all tickets and returns the seconds until they were sent, in the table, and told of."""
    before, heard = api.items(), api.told()
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS)
        writer.writeheader()
        writer.writerows(map(ticket, range(TICKETS)))
    started = time.perf_counter()
    sent = stackctl.run("--local", "send", STREAM, str(file)).seconds
    # A shard keeps its order, so the last ticket comes last.
    stored = until("the last item", lambda: api.has(f"ticket-{TICKETS - 1}"), 0.01)
    if api.items() - before < TICKETS:  # something was tried again
        stored = until("all items", lambda: api.items() - before == TICKETS, 0.05)
    told = until("all messages", lambda: api.told() - heard >= cheap(range(TICKETS)), 0.05)
    return {"send": sent, "table": stored - started, "phone": told - started}


def measure(binary: pathlib.Path, stack: pathlib.Path, home: pathlib.Path) -> dict:
    """Measures the ticket stack behind a listener."""
    stackctl = Stackctl(binary, home)
    # The functions' Python is made once for all runs, not in the folder of this one.
    cache = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    stackctl.environment = stackctl.environment | {"XDG_CACHE_HOME": cache}
    if python := os.environ.get("STACKCTL_LOCAL_PYTHON"):
        stackctl.environment["STACKCTL_LOCAL_PYTHON"] = python
    with stackctl.served() as url:
        stackctl.run("--local", "apply", str(stack), "--var", PHONE, "--auto-approve")
        api = Api(url)
        single = latencies(api)
        until("an idle stack", lambda: api.told() >= cheap(range(-WARM_UP, PUTS)), 0.05)
        took = throughput(api, stackctl, home / "tickets.csv")
    stackctl.run("local", "reset")
    cuts = statistics.quantiles(single, n=20)
    return took | {"p50": statistics.median(single), "p95": cuts[18]}


ROWS = [
    (f"{TICKETS} tickets: sent", lambda r: f"{r['send']:.2f} s"),
    ("… all in the table", lambda r: f"{r['table']:.2f} s, {TICKETS / r['table']:.0f} records/s"),
    ("… all cheap ones at the phone", lambda r: f"{r['phone']:.2f} s, {TICKETS / r['phone']:.0f} records/s"),
    (f"one ticket, from put to item: median of {PUTS}", lambda r: f"{r['p50']:.0f} ms"),
    ("… 95th percentile", lambda r: f"{r['p95']:.0f} ms"),
]


def table(result: dict) -> str:
    """Returns the result as a Markdown table."""
    lines = ["| data path | ticket stack |", "|---|---|"]
    return "\n".join(lines + [f"| {label} | {cell(result)} |" for label, cell in ROWS])

"""Asks the Aviasales data API for ticket prices and leaves them as one CSV file for the Kinesis agent.

Columns are taken by name, so the order of the answer's fields does not matter. Exit code: 0 done (also when
the month has no tickets), 1 the call failed, 2 the configuration is wrong.
"""

import datetime
import email.utils
import gzip
import json
import os
import pathlib
import random
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
import zlib

URL = "https://api.travelpayouts.com/v2/prices/month-matrix"
QUERY = dict(currency="rub", origin="LED", destination="KZN", show_to_affiliates="false", trip_duration="1")
# The order of agent.json; "cost" is the API's "value", "record_id" is ours.
COLUMNS = (
    "cost trip_class show_to_affiliates return_date origin number_of_changes gate "
    "found_at duration distance destination depart_date actual record_id"
).split()
ATTEMPTS = 5
LONGEST_PAUSE = 300.0


class Failed(Exception):
    """The call cannot succeed; the text says why."""


class Misconfigured(Failed):
    """Somebody has to change the configuration."""


class TryAgain(Exception):
    """The same call may succeed after a pause, if given the seconds that the server asked for."""

    def __init__(self, reason, pause=None):
        super().__init__(reason)
        self.pause = pause


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the token would go along to the other host."""

    def redirect_request(self, *_):
        return None


def setting(name, default=None):
    value = os.environ.get("AIRLINE_" + name, default)
    if not value:
        raise Misconfigured(f"AIRLINE_{name} is not set")
    return value


def token():
    """Returns the API's token: from the environment (for tests), else from the SecureString parameter."""
    text = os.environ.get("AIRLINE_TOKEN") or parameter(setting("TOKEN_PARAMETER"))
    if not text.isascii() or not text.isprintable() or " " in text:
        raise Misconfigured("the token is not one word of ASCII text")
    return text


def parameter(name):
    """Returns a parameter's decrypted value, read with the instance's own role."""
    command = ["aws", "ssm", "get-parameter", "--with-decryption", "--name", name]
    command += ["--region", setting("REGION"), "--query", "Parameter.Value", "--output", "text"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Failed(f"could not run aws ssm get-parameter: {problem}") from problem
    if done.returncode or not done.stdout.strip():
        raise Misconfigured(f"parameter {name} cannot be read: {done.stderr.strip()}")
    return done.stdout.strip()


def ask(access_token):
    """Returns the answer's document after one call."""
    url = setting("URL", URL) + "?" + urllib.parse.urlencode(QUERY)
    headers = {"X-Access-Token": access_token, "Accept-Encoding": "gzip"}
    request, timeout = urllib.request.Request(url, headers=headers), float(setting("TIMEOUT", "30"))
    try:
        with urllib.request.build_opener(NoRedirect).open(request, timeout=timeout) as answer:
            body = answer.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        return json.loads(body)
    except urllib.error.HTTPError as problem:
        raise refusal(problem) from None
    except (OSError, EOFError, urllib.error.URLError, ValueError, zlib.error) as problem:
        raise TryAgain(f"no usable answer: {problem}") from problem
    except Exception as problem:  # http.client's own, such as a body cut short
        raise TryAgain(f"broken answer: {problem!r}") from problem


def refusal(answer):
    """Returns what an HTTP error means for the next step."""
    if answer.code in (401, 403):
        return Misconfigured(f"the API refused the token (HTTP {answer.code})")
    if answer.code == 429 or answer.code >= 500:
        return TryAgain(f"HTTP {answer.code}", retry_after(answer.headers.get("Retry-After")))
    return Failed(f"HTTP {answer.code}")


def retry_after(text):
    """Returns the seconds of a Retry-After header, which is a number or a date."""
    try:
        return max(float(text), 0.0)
    except (TypeError, ValueError):
        pass
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError):
        return None


def fetch(access_token):
    """Returns the month's tickets, with pauses between the attempts."""
    pause = float(setting("PAUSE", "2"))
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return tickets(ask(access_token))
        except TryAgain as problem:
            if attempt == ATTEMPTS:
                raise Failed(f"gave up after {ATTEMPTS} attempts: {problem}") from problem
            wait = problem.pause if problem.pause is not None else pause * random.uniform(0.5, 1)
            if wait > LONGEST_PAUSE:
                raise Failed(f"{problem}: asked to wait {wait:.0f} s; left to the next run") from problem
            say(f"{problem}; attempt {attempt + 1} in {wait:.1f} s")
            time.sleep(wait)
            pause *= 2


def tickets(document):
    """Returns the tickets of an answer; anything but a list of objects is an error."""
    if not isinstance(document, dict):
        raise TryAgain("the answer is not an object")
    if document.get("success") is False:
        raise Failed(f"the API answered: {document.get('error') or document.get('message')}")
    found = document.get("data")
    if found == {}:
        return []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise TryAgain("the answer has no list of tickets in 'data'")
    return found


def row(ticket):
    """Returns a ticket as one CSV line. The agent splits at every comma and knows no quotes."""
    fields = {**ticket, "cost": ticket.get("value"), "record_id": str(uuid.uuid4())}
    return ",".join(plain(fields.get(name)) for name in COLUMNS)


def plain(value):
    """Returns a value as the text of one column."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return " ".join(str(value).replace(",", " ").replace('"', " ").split())


def write(rows):
    """Writes the file under a name that the agent does not watch, then renames it in one step."""
    folder = pathlib.Path(setting("OUTPUT_DIR", "/var/log/airline_tickets"))
    name = f"{datetime.datetime.now(datetime.timezone.utc):%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
    draft = folder / f".{name}.tmp"
    try:
        with open(draft, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(each + "\n" for each in rows)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o644)  # the agent runs as another user
        draft.rename(folder / f"{name}.log")
    except OSError as problem:
        draft.unlink(missing_ok=True)
        raise Failed(f"could not write to {folder}: {problem}") from problem
    return folder / f"{name}.log"


def say(text):
    print(f"api_caller: {text}", file=sys.stderr, flush=True)


def main():
    try:
        found = fetch(token())
        if not found:
            say("no tickets for this month")
            return 0
        say(f"{len(found)} tickets in {write([row(each) for each in found])}")
        return 0
    except Failed as problem:
        say(f"FAILED: {problem}")
        return 2 if isinstance(problem, Misconfigured) else 1


if __name__ == "__main__":
    sys.exit(main())

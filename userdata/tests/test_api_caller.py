"""The API caller against a loopback server that plays the Aviasales API."""

import gzip
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import uuid

HERE = pathlib.Path(__file__).resolve().parent
CALLER = HERE.parent / "api_caller.py"

TICKET = {
    "value": 4500,
    "trip_class": 0,
    "show_to_affiliates": False,
    "return_date": "2026-12-02",
    "origin": "LED",
    "number_of_changes": 0,
    "gate": "Aeroflot",
    "found_at": "2026-11-22T10:00:00",
    "duration": 130,
    "distance": 1225,
    "destination": "KZN",
    "depart_date": "2026-12-01",
    "actual": True,
}
LINE = "4500,0,false,2026-12-02,LED,0,Aeroflot,2026-11-22T10:00:00,130,1225,KZN,2026-12-01,true"


def answer(*tickets, **more):
    return json.dumps({"success": True, "data": list(tickets), **more}).encode()


class Api(http.server.BaseHTTPRequestHandler):
    """Answers by the server's script, one step (status, body, headers) per request; the last step repeats."""

    def do_GET(self):
        script, self.server.seen = self.server.script, self.server.seen + [self]
        status, body, headers = script.pop(0) if len(script) > 1 else script[0]
        headers = dict(headers)
        time.sleep(headers.pop("slow", 0))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    """A server that does not mind a caller who went away."""

    def handle_error(self, *_):
        pass


class ApiCaller(unittest.TestCase):
    def setUp(self):
        self.server = Server(("127.0.0.1", 0), Api)
        self.server.seen = []
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def call(self, *script, **environment):
        """Runs the program as systemd would and returns its exit code and what it said."""
        self.server.script = [(*step, {})[:3] for step in script] or [(200, answer(TICKET), {})]
        given = {
            "PATH": os.environ["PATH"],
            "AIRLINE_URL": f"http://127.0.0.1:{self.server.server_address[1]}/v2/prices/month-matrix",
            "AIRLINE_OUTPUT_DIR": str(self.folder),
            "AIRLINE_TOKEN": "secret-token",
            "AIRLINE_PAUSE": "0.01",
            "AIRLINE_TIMEOUT": "5",
            **environment,
        }
        given = {name: value for name, value in given.items() if value is not None}
        done = subprocess.run([sys.executable, "-B", str(CALLER)], env=given, capture_output=True, text=True, timeout=60)
        self.assertNotIn("secret-token", done.stdout + done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        return done.returncode, done.stderr

    def lines(self):
        """Returns the lines of the one file that the agent would see."""
        (file,) = self.folder.iterdir()
        self.assertRegex(file.name, r"^[^.].*log$")
        return file.read_text().splitlines()

    def assert_nothing_written(self):
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_ticket_becomes_a_line_in_the_order_of_the_columns(self):
        self.assertEqual(self.call()[0], 0)
        (line,) = self.lines()
        self.assertEqual(line.rpartition(",")[0], LINE)
        self.assertEqual(str(uuid.UUID(line.rpartition(",")[2])), line.rpartition(",")[2])

    def test_the_agents_user_may_read_the_file(self):
        mask = os.umask(0o077)
        self.addCleanup(os.umask, mask)
        self.call()
        (file,) = self.folder.iterdir()
        self.assertEqual(file.stat().st_mode & 0o777, 0o644)

    def test_the_request(self):
        self.call()
        (request,) = self.server.seen
        path, _, query = request.path.partition("?")
        self.assertEqual(path, "/v2/prices/month-matrix")
        self.assertEqual(
            sorted(query.split("&")),
            ["currency=rub", "destination=KZN", "origin=LED", "show_to_affiliates=false", "trip_duration=1"],
        )
        self.assertEqual(request.headers["X-Access-Token"], "secret-token")
        self.assertEqual(request.headers["Accept-Encoding"], "gzip")

    def test_fields_in_another_order(self):
        self.call((200, answer(dict(reversed(TICKET.items())), {"extra": 1, **TICKET})))
        self.assertEqual([line.rpartition(",")[0] for line in self.lines()], [LINE, LINE])

    def test_each_line_has_its_own_record_id(self):
        self.call((200, answer(*[TICKET] * 50)))
        self.assertEqual(len({line.rpartition(",")[2] for line in self.lines()}), 50)

    def test_missing_and_null_fields_are_empty_columns(self):
        self.call((200, answer({"value": 1.5, "gate": None})))
        self.assertEqual(self.lines()[0].split(",")[:13], ["1.5"] + [""] * 12)

    def test_text_never_breaks_a_line_or_a_column(self):
        self.call((200, answer({**TICKET, "gate": 'A,\n"B"\r\u2028 Ж'})))
        self.assertEqual(self.lines()[0].split(",")[6], "A B Ж")
        self.assertEqual(len(self.lines()[0].split(",")), 14)

    def test_gzip(self):
        self.assertEqual(self.call((200, gzip.compress(answer(TICKET)), {"Content-Encoding": "gzip"}))[0], 0)
        self.assertEqual(len(self.lines()), 1)

    def test_an_empty_month_is_no_error_and_no_file(self):
        for body in (answer(), b'{"success": true, "data": {}}'):
            code, said = self.call((200, body))
            self.assertEqual(code, 0)
            self.assertIn("no tickets", said)
            self.assert_nothing_written()

    def test_a_refused_token_fails_at_once(self):
        for status in (401, 403):
            code, said = self.call((status, b"no"))
            self.assertEqual(code, 2)
            self.assertIn("refused the token", said)
        self.assertEqual(len(self.server.seen), 2)
        self.assert_nothing_written()

    def test_throttling_waits_as_asked(self):
        started = time.monotonic()
        code, said = self.call((429, b"", {"Retry-After": "1"}), (200, answer(TICKET)))
        self.assertEqual(code, 0)
        self.assertGreaterEqual(time.monotonic() - started, 1)
        self.assertIn("HTTP 429; attempt 2 in 1.0 s", said)
        self.assertEqual(len(self.server.seen), 2)

    def test_retry_after_can_be_a_past_date_nonsense_or_absurd(self):
        past = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}
        self.assertEqual(self.call((429, b"", past), (429, b"", {"Retry-After": "soon"}), (200, answer(TICKET)))[0], 0)
        code, said = self.call((429, b"", {"Retry-After": "86400"}))
        self.assertEqual(code, 1)
        self.assertIn("asked to wait 86400 s", said)

    def test_server_errors_are_tried_five_times(self):
        code, said = self.call((500, b""), (502, b""), (503, b""), (200, answer(TICKET)))
        self.assertEqual(code, 0)
        self.server.seen = []
        code, said = self.call((503, b""))
        self.assertEqual(code, 1)
        self.assertIn("gave up after 5 attempts: HTTP 503", said)
        self.assertEqual(len(self.server.seen), 5)
        self.assertEqual(len(list(self.folder.iterdir())), 1)

    def test_malformed_answers_are_tried_again_then_fail(self):
        cut = gzip.compress(answer(*[TICKET] * 100))[:-20]
        broken = [b"", b"<html>", b"[]", b"null", b'{"data": 1}', b'{"data": [1]}', b"\x1f\x8bxx", cut, b"\xff\xfe"]
        for body in broken:
            with self.subTest(body[:12]):
                self.server.seen = []
                self.assertEqual(self.call((200, body))[0], 1)
                self.assertEqual(len(self.server.seen), 5)
        self.assertEqual(self.call((200, b"<html>"), (200, answer(TICKET)))[0], 0)

    def test_a_body_cut_short(self):
        self.assertEqual(self.call((200, answer(TICKET), {"Content-Length": "100000"}), (200, answer(TICKET)))[0], 0)

    def test_a_slow_server(self):
        slow = (200, answer(TICKET), {"slow": 1})
        self.assertEqual(self.call(slow, (200, answer(TICKET)), AIRLINE_TIMEOUT="0.3")[0], 0)
        self.assertEqual(len(self.server.seen), 2)

    def test_the_apis_own_refusal_is_reported(self):
        code, said = self.call((200, b'{"success": false, "data": null, "error": "bad route"}'))
        self.assertEqual(code, 1)
        self.assertIn("bad route", said)

    def test_no_redirect_carries_the_token_away(self):
        elsewhere = f"http://127.0.0.1:{self.server.server_address[1]}/elsewhere"
        code, said = self.call((302, b"", {"Location": elsewhere}))
        self.assertEqual(code, 1)
        self.assertEqual(len(self.server.seen), 1)

    def test_nobody_listens(self):
        code, said = self.call(AIRLINE_URL="http://127.0.0.1:9/")
        self.assertEqual(code, 1)
        self.assertIn("gave up", said)

    def test_a_folder_that_is_not_there(self):
        code, said = self.call(AIRLINE_OUTPUT_DIR=str(self.folder / "missing"))
        self.assertEqual(code, 1)
        self.assertIn("could not write", said)

    def test_the_token_comes_from_the_parameter(self):
        with tempfile.TemporaryDirectory() as stubs:
            aws = pathlib.Path(stubs, "aws")
            aws.write_text('#!/bin/sh\necho "$@" >"$0.asked"\necho from-ssm\n')
            aws.chmod(0o755)
            settings = {
                "AIRLINE_TOKEN": None,
                "AIRLINE_TOKEN_PARAMETER": "/a/token",
                "AIRLINE_REGION": "eu-west-1",
                "PATH": f"{stubs}:{os.environ['PATH']}",
            }
            self.assertEqual(self.call(**settings)[0], 0)
            asked = pathlib.Path(stubs, "aws.asked").read_text()
            self.assertEqual(self.server.seen[0].headers["X-Access-Token"], "from-ssm")
            self.assertIn("ssm get-parameter --with-decryption --name /a/token --region eu-west-1", asked)
            aws.write_text("#!/bin/sh\necho AccessDenied >&2\nexit 254\n")
            code, said = self.call(**settings)
            self.assertEqual(code, 2)
            self.assertIn("parameter /a/token cannot be read: AccessDenied", said)

    def test_missing_settings_and_an_odd_token(self):
        for wrong in ({"AIRLINE_TOKEN": None}, {"AIRLINE_TOKEN": "secret-token\nx"}, {"AIRLINE_TOKEN": "ключ"}):
            self.assertEqual(self.call(**wrong)[0], 2)
        self.assertEqual(self.server.seen, [])


class Columns(unittest.TestCase):
    def test_agent_and_caller_agree_with_the_stack(self):
        agent = json.loads(re.sub(r"\{\{.*?\}\}", "x", (HERE.parent / "agent.json").read_text()))
        (flow,) = agent["flows"]
        (option,) = flow["dataProcessingOptions"]
        source = CALLER.read_text()
        caller = re.search(r'COLUMNS = \(\n(.*?)\)\.split', source, re.S).group(1).replace('"', " ").split()
        self.assertEqual(option["customFieldNames"], caller)
        self.assertEqual(len(caller), 14)
        stack = (HERE.parent.parent / "stacks" / "airline_tickets.yaml").read_text()
        self.assertEqual(re.findall(r"\{name: (\w+), mapping: \$\.\1, sql_type", stack), caller)


if __name__ == "__main__":
    unittest.main()

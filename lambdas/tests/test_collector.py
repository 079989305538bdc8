"""The collector: what lands in the table, and what Lambda is told about the rest."""

import logging
import os
import sys
import time
import unittest
from decimal import Decimal
from unittest import mock

import fakes

TICKET = {
    "cost": "4500",
    "trip_class": "0",
    "show_to_affiliates": "false",
    "return_date": "2026-12-02",
    "origin": "LED",
    "number_of_changes": "0",
    "gate": "Aeroflot",
    "found_at": "2026-11-22T10:00:00",
    "duration": "130",
    "distance": "1225",
    "destination": "KZN",
    "depart_date": "2026-12-01",
    "actual": "true",
    "record_id": "a",
}


def ticket(key, **fields):
    return {**TICKET, "record_id": key, **fields}


class Collector(unittest.TestCase):
    def setUp(self):
        self.main = fakes.load("collector")
        self.main.FIRST_PAUSE = self.main.LONGEST_PAUSE = 0.001
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        environment = mock.patch.dict(os.environ, {"TABLE_NAME": "airline_tickets"})
        environment.start()
        self.addCleanup(environment.stop)
        os.environ.pop("RECORD_KEY", None)
        self.table()

    def table(self, **settings):
        self.dynamo = fakes.Dynamo(**settings)
        self.main._clients["dynamodb"] = self.dynamo
        return self.dynamo

    def run_on(self, *payloads, seconds=15):
        answer = self.main.handler(fakes.event(*payloads), fakes.Context(seconds))
        return [each["itemIdentifier"] for each in answer["batchItemFailures"]]

    def test_loads_without_boto3(self):
        self.assertNotIn("boto3", vars(self.main))
        with mock.patch.dict(sys.modules, {"boto3": None}):
            fakes.load("collector")

    def test_text_becomes_the_columns_types(self):
        self.assertEqual(self.run_on(TICKET), [])
        item = self.dynamo.items["a"]
        self.assertEqual(item["cost"], Decimal("4500"))
        self.assertEqual(item["distance"], Decimal("1225"))
        self.assertIs(item["actual"], True)
        self.assertIs(item["show_to_affiliates"], False)
        self.assertEqual(item["found_at"], "2026-11-22T10:00:00")
        self.assertEqual(set(item), set(TICKET))

    def test_typed_values_come_out_the_same(self):
        self.run_on(ticket("a", cost=4500.5, duration=130, actual=True))
        item = self.dynamo.items["a"]
        self.assertEqual((item["cost"], item["duration"], item["actual"]), (Decimal("4500.5"), Decimal(130), True))
        self.assertIsInstance(item["cost"], Decimal)
        self.assertIsInstance(item["duration"], Decimal)

    def test_missing_empty_null_and_unknown_fields(self):
        fields = {"record_id": " b\n", "cost": "", "gate": None, "note": "new", "more": {"weight": 1.5}, "": "x"}
        self.assertEqual(self.run_on(fields), [])
        self.assertEqual(self.dynamo.items["b"], {"record_id": "b", "note": "new", "more": {"weight": Decimal("1.5")}})

    def test_bad_records_are_named_and_the_good_ones_kept(self):
        bad = [
            "{",
            "[1]",
            "null",
            "",
            b"\xff\xfe",
            '{"record_id": "x", "note": NaN}',
            '{"record_id": "x", "cost": -Infinity}',
            '{"record_id": "x", "cost": 1e-131}',
            '{"record_id": "x", "cost": 1' + "0" * 40 + "}",
            '{"record_id": "x", "cost": 1e999}',
            '{"record_id": "x", "distance": ' + "9" * 5000 + "}",
            "[" * 100_000,
            ticket("x", cost="cheap"),
            ticket("x", cost=[1]),
            ticket("x", actual="perhaps"),
            ticket("x", cost="1e-129999"),
            {"cost": 1},
            ticket(""),
            ticket(7),
        ]
        for payload in bad:
            with self.subTest(str(payload)[:40]):
                self.table()
                self.assertEqual(self.run_on(ticket("a"), payload, ticket("b")), ["101"])
                self.assertEqual(set(self.dynamo.items), {"a", "b"})

    def test_data_that_is_not_base64(self):
        event = fakes.event(ticket("a"), ticket("b"))
        for data in ("***", None, 7):
            event["Records"][0]["kinesis"]["data"] = data
            answer = self.main.handler(event, None)
            self.assertEqual(answer, {"batchItemFailures": [{"itemIdentifier": "100"}]})

    def test_failures_are_in_the_order_of_the_shard(self):
        event = fakes.event("{", ticket("a"), "{", first=9)
        event["Records"].reverse()
        answer = self.main.handler(event, None)
        self.assertEqual(answer["batchItemFailures"], [{"itemIdentifier": "9"}, {"itemIdentifier": "11"}])

    def test_a_record_without_sequence_number_raises(self):
        for broken in ({}, {"kinesis": {}}, {"kinesis": {"sequenceNumber": ""}}, {"kinesis": None}):
            with self.assertRaises(ValueError):
                self.main.handler({"Records": [broken]}, None)

    def test_an_empty_batch_writes_nothing(self):
        self.assertEqual(self.run_on(), [])
        self.assertEqual(self.main.handler({}, None), {"batchItemFailures": []})
        self.assertEqual(self.dynamo.calls, [])

    def test_a_duplicate_within_the_batch_is_one_item(self):
        self.assertEqual(self.run_on(ticket("a", cost="1"), ticket("a", cost="2")), [])
        self.assertEqual(self.dynamo.items["a"]["cost"], Decimal(2))
        self.assertEqual([len(call) for call in self.dynamo.calls], [1])

    def test_a_batch_delivered_twice_leaves_the_same_table(self):
        self.run_on(ticket("a"), ticket("b"))
        once = dict(self.dynamo.items)
        self.run_on(ticket("a"), ticket("b"))
        self.assertEqual(self.dynamo.items, once)

    def test_more_than_25_items_go_in_several_calls(self):
        self.assertEqual(self.run_on(*(ticket(str(index)) for index in range(60))), [])
        self.assertEqual([len(call) for call in self.dynamo.calls], [25, 25, 10])
        self.assertEqual(len(self.dynamo.items), 60)

    def test_unprocessed_items_are_sent_again(self):
        self.table(script=[2, 1])
        self.assertEqual(self.run_on(*(ticket(str(index)) for index in range(5))), [])
        self.assertEqual([len(call) for call in self.dynamo.calls], [5, 2, 1])
        self.assertEqual(len(self.dynamo.items), 5)

    def test_throttles_and_lost_connections_are_ridden_out(self):
        throttle = fakes.AwsError("ProvisionedThroughputExceededException")
        self.table(script=[throttle, fakes.AwsError("Anything", 503), fakes.ConnectTimeoutError()])
        self.assertEqual(self.run_on(ticket("a")), [])
        self.assertEqual(len(self.dynamo.calls), 4)

    def test_pauses_grow_up_to_the_longest(self):
        self.main.FIRST_PAUSE, self.main.LONGEST_PAUSE = 0.1, 0.4
        self.table(script=[1, 1, 1, 1])
        with mock.patch.object(self.main.time, "sleep") as sleep, mock.patch.object(self.main.random, "uniform", lambda *_: 1):
            self.run_on(ticket("a"))
        self.assertEqual([round(call.args[0], 3) for call in sleep.call_args_list], [0.1, 0.2, 0.4, 0.4])

    def test_a_table_that_stays_throttled_is_reported_in_time(self):
        self.table(script=[fakes.AwsError("ThrottlingException")] * 100_000)
        started = time.monotonic()
        failures = self.run_on(*(ticket(str(index)) for index in range(30)), seconds=0.5)
        self.assertLess(time.monotonic() - started, 0.5)
        self.assertEqual(failures, [str(100 + index) for index in range(30)])

    def test_a_failed_duplicate_reports_the_first_of_its_records(self):
        self.table(script=[fakes.AwsError("ThrottlingException")] * 100_000)
        self.assertEqual(self.run_on(ticket("a"), ticket("a"), seconds=0.05)[0], "100")

    def test_one_refused_item_does_not_take_the_others_along(self):
        self.table(refuse={"3"})
        self.assertEqual(self.run_on(*(ticket(str(index)) for index in range(6))), ["103"])
        self.assertEqual(set(self.dynamo.items), {"0", "1", "2", "4", "5"})

    def test_a_configuration_error_raises(self):
        for code in ("AccessDeniedException", "ResourceNotFoundException"):
            self.table(script=[fakes.AwsError(code)])
            with self.assertRaises(fakes.AwsError):
                self.run_on(ticket("a"))
        del os.environ["TABLE_NAME"]
        with self.assertRaisesRegex(RuntimeError, "TABLE_NAME"):
            self.run_on(ticket("a"))

    def test_another_key_by_environment(self):
        os.environ["RECORD_KEY"] = "event_id"
        self.table(key="event_id")
        self.assertEqual(self.run_on({"event_id": "e"}, ticket("a")), ["101"])
        self.assertEqual(self.dynamo.items, {"e": {"event_id": "e"}})


if __name__ == "__main__":
    unittest.main()

"""The notifier: one message for each batch, and no ticket lost."""

import logging
import os
import sys
import unittest
from unittest import mock

import fakes


class Notifier(unittest.TestCase):
    def setUp(self):
        self.main = fakes.load("notifier")
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        environment = mock.patch.dict(os.environ, {"TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:Airlines"})
        environment.start()
        self.addCleanup(environment.stop)
        self.topic()

    def topic(self, problem=None):
        self.sns = fakes.Sns(problem)
        self.main._clients["sns"] = self.sns

    def message_for(self, *payloads):
        self.main.handler(fakes.event(*payloads), None)
        (published,) = self.sns.messages
        return published["Message"]

    def test_loads_without_boto3(self):
        with mock.patch.dict(sys.modules, {"boto3": None}):
            fakes.load("notifier")

    def test_one_message_names_gate_and_cost_of_each_ticket(self):
        text = self.message_for(
            {"cost": 4500.0, "gate": "Aeroflot"},
            {"cost": "3999.50", "gate": "Aeroflot"},
            {"COST": "4E3", "GATE": "S7"},
        )
        self.assertEqual(text, "3 cheap tickets\nAeroflot: 3999.5 RUB\nS7: 4000 RUB\nAeroflot: 4500 RUB")
        (published,) = self.sns.messages
        self.assertEqual(published["TopicArn"], os.environ["TOPIC_ARN"])
        self.assertEqual(published["Subject"], "Cheap tickets: 3")

    def test_a_single_ticket(self):
        self.assertEqual(self.message_for({"cost": 100, "gate": "A"}), "1 cheap ticket\nA: 100 RUB")

    def test_a_missing_or_odd_field_is_said_so(self):
        text = self.message_for({"gate": "A\n B"}, {"cost": 1}, {"cost": "cheap", "gate": "C"}, {"cost": "1e999999", "gate": "D"})
        self.assertEqual(
            text.split("\n")[1:],
            ["unknown gate: 1 RUB", "A B: unknown cost", "C: unknown cost", "D: unknown cost"],
        )

    def test_unreadable_records_are_counted_and_do_not_stop_the_others(self):
        bad = ["{", "[]", "null", b"\xff", {}, "[" * 100_000]
        text = self.message_for({"cost": 1, "gate": "A"}, *bad)
        self.assertEqual(text, "1 cheap ticket\nA: 1 RUB\n(6 unreadable, see the log)")

    def test_nothing_readable_publishes_nothing(self):
        self.assertEqual(self.main.handler(fakes.event("{"), None), {"tickets": 0, "unreadable": 1})
        self.assertEqual(self.main.handler({"Records": []}, None), {"tickets": 0, "unreadable": 0})
        self.assertEqual(self.main.handler({"Records": [{}]}, None), {"tickets": 0, "unreadable": 1})
        self.assertEqual(self.sns.messages, [])

    def test_the_same_record_twice_in_a_batch_counts_once(self):
        batch = fakes.event({"cost": 1, "gate": "A"})
        batch["Records"] *= 2
        self.assertEqual(self.main.handler(batch, None)["tickets"], 1)

    def test_an_oversized_message_is_shortened_to_the_cheapest(self):
        for count in (90, 100, 2000):
            with self.subTest(count):
                self.topic()
                text = self.message_for("{", *({"cost": 5000 - index, "gate": "Aeroflot"} for index in range(count)))
                self.assertLessEqual(len(text), 1600)
                lines = text.split("\n")
                self.assertEqual(lines[1], f"Aeroflot: {5001 - count} RUB")
                self.assertEqual(lines[-2], f"and {count - len(lines) + 3} more")

    def test_no_length_of_line_makes_the_message_too_long(self):
        for length in range(1, 40):
            self.topic()
            text = self.message_for(*({"cost": 1, "gate": "x" * length} for _ in range(400)))
            self.assertLessEqual(len(text), 1600)
            self.assertGreater(len(text), 1600 - 60)

    def test_a_message_that_just_fits_is_whole(self):
        tickets = [{"cost": 1000, "gate": "x" * 20}] * 48
        text = self.message_for(*tickets)
        self.assertEqual(text.count("\n"), 48)
        self.assertLessEqual(len(text), 1600)

    def test_a_very_long_gate_is_cut(self):
        text = self.message_for({"cost": 1, "gate": "x" * 300_000})
        self.assertEqual(text, "1 cheap ticket\n" + "x" * 40 + ": 1 RUB")

    def test_a_failed_publish_raises(self):
        self.topic(fakes.AwsError("InternalError", 500))
        with self.assertRaises(fakes.AwsError):
            self.main.handler(fakes.event({"cost": 1, "gate": "A"}), None)

    def test_a_missing_topic_is_named(self):
        del os.environ["TOPIC_ARN"]
        with self.assertRaisesRegex(RuntimeError, "TOPIC_ARN"):
            self.main.handler(fakes.event({"cost": 1, "gate": "A"}), None)


if __name__ == "__main__":
    unittest.main()

"""The boot script: rendered as the stack renders it, checked as text, and run for real in a root of its own.

The run needs root and mount namespaces. Only package and service commands are replaced, by ones that write
down what they were asked; users, folders, files and permissions are real.
"""

import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile
import unittest

USERDATA = pathlib.Path(__file__).resolve().parent.parent
VALUES = {
    "region": "eu-west-1",
    "stream": "airline_tickets",
    "interval": "15min",
    "token_parameter": "/airline_tickets/token",
    "boot_report": "/airline_tickets/producer_boot",
}
FARTHEST = 14 * 1024  # EC2 takes 16 KB

STUB = """#!/bin/bash
echo "${0##*/} $*" >>/calls
if [ -e "/fail-${0##*/}" ]; then exit 7; fi
if [ "${0##*/}" = rpm ]; then [ -e /agent-installed ]; exit; fi
if [ "${0##*/}" = dnf ]; then touch /agent-installed; fi
if [ "${0##*/}" = aws ]; then printf %s "${!#}" >/reported; fi
if [ "${0##*/}" = curl ]; then
  case $* in
    *' -X PUT '*'/latest/api/token') echo TOKEN ;;
    *'metadata-token: TOKEN'*'/latest/meta-data/instance-id') echo i-0123456789abcdef0 ;;
    *) exit 22 ;;
  esac
fi
"""
ENTER = """set -e
mount -t tmpfs none "$1/run"
for each in usr dev proc; do mount --rbind "/$each" "$1/$each"; done
mount -o remount,bind,ro "$1/usr"
for each in aws curl dnf rpm systemctl sleep; do mkdir -p "$1/stubs"; cp "$1/stub" "$1/stubs/$each"; done
exec chroot "$1" /usr/bin/env -i PATH=/stubs:/usr/sbin:/usr/bin RETRY_SECONDS=0 /bin/bash /producer.sh
"""


def render(text, values):
    """Renders the part of the template language that these files use; an unknown value is an error."""
    text = re.sub(r'\{% include "([^"]+)" %\}', lambda found: (USERDATA / found[1]).read_text().removesuffix("\n"), text)
    return re.sub(r"\{\{ (\w+) \}\}", lambda found: values[found[1]], text)


def rendered():
    return render((USERDATA / "producer.sh").read_text(), VALUES)


def can_isolate():
    """Tells whether this machine lets us have a root filesystem of our own."""
    tools = ("unshare", "chroot", "systemd-tmpfiles", "useradd", "groupadd", "usermod")
    if os.geteuid() or not all(map(shutil.which, tools)) or not os.path.exists("/usr/bin/python3"):
        return False
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(probe, capture_output=True).returncode == 0


class Text(unittest.TestCase):
    def test_every_value_is_used_and_nothing_is_left(self):
        script = rendered()
        for value in VALUES.values():
            self.assertIn(value, script)
        self.assertIsNone(re.search(r"\{\{|\{%|\{#|\}\}", script))
        with self.assertRaises(KeyError):
            render("{{ unknown }}", VALUES)

    def test_it_fits_user_data_and_starts_as_a_script(self):
        self.assertLess(len(rendered().encode()), FARTHEST)
        self.assertTrue(rendered().startswith("#!/bin/bash\n"))

    def test_no_terminator_of_a_document_occurs_inside_it(self):
        for name in re.findall(r"<<'(\w+)'", rendered()):
            self.assertEqual(rendered().splitlines().count(name), 1, name)

    def test_bash_and_shellcheck_have_nothing_to_say(self):
        done = subprocess.run(["bash", "-n"], input=rendered(), capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        if not shutil.which("shellcheck"):
            self.skipTest("shellcheck is not installed")
        done = subprocess.run(["shellcheck", "-"], input=rendered(), capture_output=True, text=True)
        self.assertEqual(done.stdout, "")

    def test_systemd_accepts_the_units(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        with tempfile.TemporaryDirectory() as folder:
            units = []
            for name in ("api_caller.service", "api_caller.timer"):
                unit = pathlib.Path(folder, name)
                text = render((USERDATA / name).read_text(), VALUES)
                # The checking machine has neither the program nor the user.
                unit.write_text(text.replace("airline-tickets", "root").replace("EnvironmentFile=", "EnvironmentFile=-"))
                units.append(str(unit))
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True)
            said = [line for line in done.stderr.splitlines() if "api_caller" in line]
            self.assertEqual(said, [])


@unittest.skipUnless(can_isolate(), "needs root and mount namespaces")
class Run(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.root.chmod(0o755)
        for each in ("usr", "dev", "proc", "etc", "run", "tmp", "var/log", "opt"):
            (self.root / each).mkdir(parents=True)
        for each in ("bin", "sbin", "lib", "lib64"):
            (self.root / each).symlink_to(f"usr/{each}")
        (self.root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
        (self.root / "etc/group").write_text("root:x:0:\n")
        (self.root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\n")
        (self.root / "stub").write_text(STUB)
        (self.root / "stub").chmod(0o755)
        (self.root / "producer.sh").write_text(rendered())

    def boot(self):
        (self.root / "calls").write_text("")
        done = subprocess.run(
            ["unshare", "--mount", "bash", "-c", ENTER, "enter", str(self.root)],
            capture_output=True,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout + done.stderr

    def calls(self, *commands):
        """Returns the calls of these commands, in order."""
        all = (self.root / "calls").read_text().splitlines()
        return [call for call in all if call.split(" ")[0] in commands]

    def reported(self):
        return (self.root / "reported").read_text()

    def result(self):
        return (self.root / "var/lib/airline_tickets/boot-result").read_text()

    def snapshot(self):
        """Returns what the boot made: path, permissions, owner and text."""
        made = {}
        for top in ("etc", "opt", "var"):
            for path in sorted((self.root / top).rglob("*")):
                status = path.stat()
                text = path.read_text() if path.is_file() else None
                made[str(path.relative_to(self.root))] = (stat.filemode(status.st_mode), status.st_uid, text)
        return {name: each for name, each in made.items() if not re.search(r"(-|\.lock|/boot-log)$", name)}

    def test_a_first_boot_and_a_second_that_changes_nothing(self):
        code, said = self.boot()
        self.assertEqual(code, 0, said)
        self.assertEqual(self.result(), "ok\n")
        self.assertEqual(
            self.calls("rpm", "dnf", "systemctl"),
            [
                "rpm -q aws-kinesis-agent",
                "dnf install -y aws-kinesis-agent",
                "systemctl daemon-reload",
                "systemctl enable aws-kinesis-agent.service api_caller.timer",
                "systemctl restart aws-kinesis-agent.service",
                "systemctl restart api_caller.timer",
            ],
        )
        first = self.snapshot()
        code, said = self.boot()
        self.assertEqual(code, 0, said)
        self.assertEqual(self.snapshot(), first)
        self.assertEqual(self.calls("dnf"), [])

    def test_files_users_and_permissions(self):
        code, said = self.boot()
        self.assertEqual(code, 0, said)
        made = self.snapshot()
        agent = json.loads(made["etc/aws-kinesis/agent.json"][2])
        self.assertEqual(agent["kinesis.endpoint"], "kinesis.eu-west-1.amazonaws.com")
        self.assertEqual(agent["flows"][0]["kinesisStream"], "airline_tickets")
        self.assertEqual(made["opt/airline_tickets/api_caller.py"][2], (USERDATA / "api_caller.py").read_text())
        self.assertEqual(made["opt/airline_tickets/api_caller.py"][0], "-rwxr-xr-x")
        self.assertIn("AIRLINE_TOKEN_PARAMETER=/airline_tickets/token\n", made["etc/airline_tickets/api_caller.env"][2])
        self.assertIn("OnUnitActiveSec=15min\n", made["etc/systemd/system/api_caller.timer"][2])
        users = dict(re.findall(r"^([\w-]+):x?!?:(\d+):", made["etc/passwd"][2], re.M))
        groups = made["etc/group"][2]
        self.assertRegex(groups, r"(?m)^aws-kinesis-agent-user:x:\d+:")
        mode, owner, _ = made["var/log/airline_tickets"]
        self.assertEqual((mode, str(owner)), ("drwxr-xr-x", users["airline-tickets"]))
        self.assertEqual(str(made["var/log/aws-kinesis-agent"][1]), users["aws-kinesis-agent-user"])
        self.assertEqual([name for name in made if name.endswith(".new")], [])

    def test_a_failing_step_is_named(self):
        for command, step in (("dnf", "installing the Kinesis agent"), ("systemctl", "starting the services")):
            mark = self.root / f"fail-{command}"
            mark.touch()
            code, said = self.boot()
            mark.unlink()
            self.assertNotEqual(code, 0)
            self.assertIn(f"producer: FAILED while {step}", said)
            self.assertTrue(self.result().startswith(f"FAILED while {step} (exit code "), self.result())
            verdict, *log = self.reported().splitlines()
            self.assertRegex(verdict, rf"^i-0123456789abcdef0 \d{{4}}-\d\d-\d\dT[\d:]{{8}}Z FAILED while {step} \(exit code \d+\)$")
            self.assertIn(f"producer: {step}", log)
        self.assertEqual(self.boot()[0], 0)
        self.assertEqual(self.result(), "ok\n")

    def test_the_verdict_goes_to_the_stacks_parameter(self):
        self.boot()
        self.assertRegex(self.reported().splitlines()[0], r"^i-0123456789abcdef0 \S+Z ok$")
        (asked,) = self.calls("aws")
        start = "aws ssm put-parameter --region eu-west-1 --name /airline_tickets/producer_boot --type String --overwrite "
        self.assertTrue(asked.startswith(start), asked)

    def test_a_long_or_odd_log_fits_the_parameter(self):
        noisy = STUB.replace("touch /agent-installed;", "touch /agent-installed; for i in {1..999}; do printf 'ä\\a\\e[31m%s\\n' $i; done;")
        (self.root / "stub").write_text(noisy)
        self.assertEqual(self.boot()[0], 0)
        self.assertLess(len(self.reported().encode()), 4096)
        self.assertTrue(all(letter == "\n" or letter.isprintable() and letter.isascii() for letter in self.reported()))

    def test_a_verdict_that_cannot_be_reported_does_not_fail_the_boot(self):
        (self.root / "fail-aws").touch()
        code, said = self.boot()
        self.assertEqual((code, self.result()), (0, "ok\n"))
        self.assertIn("producer: the verdict is not in the parameter /airline_tickets/producer_boot", said)
        self.assertEqual(len(self.calls("aws")), 5)

    def test_packages_are_tried_again_and_elsewhere(self):
        (self.root / "fail-dnf").touch()
        self.boot()
        asked = self.calls("dnf")
        self.assertEqual(len(asked), 10)
        self.assertTrue(asked[1].endswith(".amzn2.noarch.rpm"))


if __name__ == "__main__":
    unittest.main()

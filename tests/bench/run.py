"""One run of stackctl, measured: wall time, processor time, peak memory."""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import urllib.request

CLEAN = {"PATH": os.environ["PATH"], "NO_COLOR": "1", "AWS_EC2_METADATA_DISABLED": "true"}


@dataclasses.dataclass
class Run:
    """What one run took and said."""

    seconds: float
    cpu_seconds: float
    peak_megabytes: float
    stdout: str


class Stackctl:
    """The program, working on the local cloud of one folder."""

    def __init__(self, binary: pathlib.Path, home: pathlib.Path, latency: int = 0):
        self.binary = binary
        self.home = home
        self.environment = CLEAN | {"HOME": str(home), "STACKCTL_LOCAL_LATENCY_MS": str(latency)}

    def run(self, *arguments: str) -> Run:
        """Runs a command to its end; anything but success ends the benchmark."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as told:
            started = time.perf_counter()
            process = subprocess.Popen(
                [self.binary, *arguments], cwd=self.home, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=out, stderr=told,
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            for file in (out, told):
                file.seek(0)
            if process.returncode != 0:
                message = told.read().decode() or out.read().decode()
                raise SystemExit(f"stackctl {' '.join(arguments)} ended with {process.returncode}:\n{message[-3000:]}")
            # Linux counts in kilobytes, macOS in bytes.
            unit = 1024 * 1024 if os.uname().sysname == "Darwin" else 1024
            return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit, out.read().decode())

    def edges(self, stack: str) -> dict[str, set[str]]:
        """Returns what each resource needs directly, as `graph` draws it."""
        needs: dict[str, set[str]] = {}
        for line in self.run("graph", stack).stdout.splitlines():
            if "->" in line:
                left, right = (part.strip(' ";') for part in line.split("->"))
                needs.setdefault(left, set()).add(right)
        return needs

    @contextlib.contextmanager
    def served(self):
        """Serves the local cloud; meanwhile runs go through it, and it counts their calls."""
        process = subprocess.Popen(
            [self.binary, "local", "serve", "--port", "0"], cwd=self.home, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
            process.stdout.close()


def calls(url: str) -> int:
    """Returns how many API calls a served local cloud has answered."""
    with urllib.request.urlopen(f"{url}/_local/calls") as answer:
        return sum(entry["count"] for entry in json.load(answer))

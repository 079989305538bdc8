"""Measures stackctl on its local cloud and prints one table. See "Speed" in README.md.

    tests/bench.sh            builds the release binary and runs this
    tests/bench.sh --quick    without the stack of 1 000 resources
"""

import argparse
import datetime
import json
import pathlib
import shutil
import statistics
import sys
import tempfile

import flow
from run import Stackctl, calls
from stack import write

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LATENCY = 50
PLANS = 9
WORKERS = 64  # the default of --parallelism
GOAL_PLAN_MS, GOAL_PLAN_MB, GOAL_APPLY = 50, 60, 1.2


def critical_path(needs: dict[str, set[str]], seconds: dict[str, float]) -> float:
    """Returns the longest way through the graph, by the measured time of each resource."""
    until: dict[str, float] = {}

    def end(name: str) -> float:
        if name not in until:
            until[name] = seconds.get(name, 0.0) + max(map(end, needs.get(name, ())), default=0.0)
        return until[name]

    return max(map(end, seconds))


def elapsed(events: list[dict]) -> dict[str, float]:
    """Returns the seconds that each resource took."""
    ended = (event for event in events if event["type"] == "apply_complete")
    return {event["hook"]["resource"]["id"]: event["elapsed_seconds"] for event in ended}


def carried_out(events: list[dict]) -> float:
    """Returns the seconds from the start of the first resource to the end of the last."""
    steps = [event for event in events if event["type"] in ("apply_start", "apply_complete")]
    first, last = (datetime.datetime.fromisoformat(event["@timestamp"]) for event in (steps[0], steps[-1]))
    return (last - first).total_seconds()


def plans(stackctl: Stackctl, stack: str) -> dict[str, float]:
    """Measures plan: the fastest of several runs in process, as the slower ones tell of the machine, and the calls."""
    runs = [stackctl.run("--local", "plan", stack) for _ in range(PLANS)]
    with stackctl.served() as url:
        before = calls(url)
        stackctl.run("--local", "plan", stack)
        made = calls(url) - before
    return {
        "ms": min(run.seconds for run in runs) * 1000,
        "median_ms": statistics.median(run.seconds for run in runs) * 1000,
        "cpu_ms": min(run.cpu_seconds for run in runs) * 1000,
        "mb": max(run.peak_megabytes for run in runs),
        "calls": made,
    }


def apply(stackctl: Stackctl, stack: str, resources: int) -> dict[str, float]:
    """Measures apply of a whole stack, next to its critical path."""
    run = stackctl.run("--local", "apply", stack, "--auto-approve", "--format", "json")
    events = [json.loads(line) for line in run.stdout.splitlines()]
    took = elapsed(events)
    if len(took) != resources:
        raise SystemExit(f"apply of {stack} made {len(took)} of {resources} resources")
    path = critical_path(stackctl.edges(stack), took)
    # No order can beat the work shared evenly among all workers either.
    floor = max(path, sum(took.values()) / WORKERS)
    return {"s": run.seconds, "run": carried_out(events), "path": path, "floor": floor, "mb": run.peak_megabytes}


def measure(binary: pathlib.Path, name: str, stack: pathlib.Path, home: pathlib.Path) -> dict:
    """Measures one stack from an empty local cloud to an empty local cloud."""
    fast, slow = Stackctl(binary, home), Stackctl(binary, home, LATENCY)
    resources = len(json.loads(fast.run("--local", "plan", str(stack), "--format", "json").stdout)["resource_changes"])
    print(f"measuring {name} ({resources} resources)", file=sys.stderr)
    result = {"stack": name, "resources": resources, "fresh": plans(fast, str(stack))}
    result["apply"] = apply(fast, str(stack), resources)
    result["applied"] = plans(fast, str(stack))
    result["destroy"] = fast.run("--local", "destroy", str(stack), "--auto-approve").seconds
    result["apply_slow"] = apply(slow, str(stack), resources)
    result["plan_slow"] = slow.run("--local", "plan", str(stack)).seconds
    fast.run("local", "reset")
    return result


ROWS = [
    ("resources", lambda r: f"{r['resources']}"),
    ("plan, nothing applied: time", lambda r: f"{r['fresh']['ms']:.0f} ms"),
    ("plan, nothing applied: AWS calls", lambda r: f"{r['fresh']['calls']}"),
    ("plan, all applied: time", lambda r: f"{r['applied']['ms']:.0f} ms"),
    ("plan, all applied: processor time", lambda r: f"{r['applied']['cpu_ms']:.0f} ms"),
    ("plan, all applied: AWS calls", lambda r: f"{r['applied']['calls']}"),
    ("plan, all applied: peak memory", lambda r: f"{r['applied']['mb']:.0f} MB"),
    ("plan, all applied, 50 ms latency", lambda r: f"{r['plan_slow']:.2f} s"),
    ("apply, no latency", lambda r: f"{r['apply']['s']:.2f} s"),
    ("apply, 50 ms latency", lambda r: f"{r['apply_slow']['s']:.2f} s"),
    ("… of it carrying the plan out", lambda r: f"{r['apply_slow']['run']:.2f} s"),
    ("… critical path of the graph", lambda r: f"{r['apply_slow']['path']:.2f} s"),
    (f"… or the work of all ÷ {WORKERS} workers, if longer", lambda r: f"{r['apply_slow']['floor']:.2f} s"),
    ("apply: peak memory", lambda r: f"{max(r['apply']['mb'], r['apply_slow']['mb']):.0f} MB"),
    ("destroy, no latency", lambda r: f"{r['destroy']:.2f} s"),
]


def table(results: list[dict], binary: pathlib.Path) -> str:
    """Returns the results as a Markdown table."""
    names = [result["stack"] for result in results]
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {label} | {' | '.join(cell(result) for result in results)} |" for label, cell in ROWS]
    return "\n".join(lines) + f"\n\nbinary: {binary.stat().st_size / 1e6:.1f} MB"


def goals(results: list[dict]) -> list[tuple[str, bool]]:
    """Returns each goal with whether it is met."""
    ticket, last = results[0], results[-1]
    growth = last["applied"]["calls"] / ticket["applied"]["calls"]
    size = last["resources"] / ticket["resources"]
    slow = ticket["apply_slow"]
    ratio = slow["run"] / slow["path"]
    return [
        (f"plan of the applied ticket stack: {ticket['applied']['ms']:.0f} ms, at most {GOAL_PLAN_MS}",
         ticket["applied"]["ms"] <= GOAL_PLAN_MS),
        (f"its memory: {ticket['applied']['mb']:.0f} MB, at most {GOAL_PLAN_MB}", ticket["applied"]["mb"] <= GOAL_PLAN_MB),
        (f"carrying it out at 50 ms latency: {ratio:.2f} × the critical path, at most {GOAL_APPLY} "
         f"(with planning {slow['s'] / slow['path']:.2f})", ratio <= GOAL_APPLY),
        (f"calls of plan: × {growth:.1f} for × {size:.1f} resources", growth <= size),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures stackctl on its local cloud.")
    parser.add_argument("binary", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="leave out the stack of 1 000 resources")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file too")
    options = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(prefix="stackctl-bench-") as folder:
        home = pathlib.Path(folder)
        for part in ("stacks", "lambdas", "userdata"):
            shutil.copytree(ROOT / part, home / part, ignore=shutil.ignore_patterns("__pycache__"))
        stacks = {"ticket stack": home / "stacks" / "airline_tickets.yaml"}
        for size in (100,) if options.quick else (100, 1000):
            stacks[f"{size} resources"] = write(home / str(size), size)
        for name, stack in stacks.items():
            results.append(measure(options.binary.resolve(), name, stack, home))
        print("measuring the data path", file=sys.stderr)
        path = flow.measure(options.binary.resolve(), stacks["ticket stack"], home)
    print(f"{flow.table(path)}\n\n{table(results, options.binary)}\n")
    met = goals(results)
    for text, reached in met:
        print(f"{'met   ' if reached else 'MISSED'}  {text}")
    if options.json:
        options.json.write_text(json.dumps({"stacks": results, "data_path": path}, indent=2))
    return 0 if all(reached for _, reached in met) else 1


if __name__ == "__main__":
    sys.exit(main())

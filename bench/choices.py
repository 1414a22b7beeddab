"""Choices, each against what the relay does now: CPU per event and events per second, by turns in one run.

    python bench/choices.py [NAME…] [--rounds 5] [--events 120000]

In each round every choice and twice the relay as it is read the same topic from the beginning, in another order each round; a choice is
told in multiples of the mean of the two in its round. Loops, the collector of garbage, batches and histograms are no settings of the
product: `changed.py` changes them from outside. With `two-processes` each of two relays has a topic with half of the events and partitions,
so that nothing is rebalanced meanwhile; `one-process` is the pair of it: one relay on both topics.
"""

import argparse
import itertools
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import compare
import running
from processes import Process

ADMIN_PORT: Final = 18_992
HERE: Final = Path(__file__).resolve().parent
SHAPE: Final = compare.Shape("choices", is_tls=True)


@dataclass(frozen=True)
class Choice:
    """What is different, and from what."""

    what: str
    change: str = ""  # of changed.py
    told: tuple[tuple[str, str], ...] = ()
    reads: tuple[str, ...] = ()  # of the admin port, one a second
    collects: bool = False
    pair: str = "as-it-is"
    processes: int = 0  # 0: one, on one topic


CHOICES: Final[dict[str, Choice]] = {
    "as-it-is": Choice("uvloop, garbage looked for seldom, 500 records at once, state in Kafka, adaptive, 250 time lines, no traces"),
    "asyncio": Choice("asyncio's own loop instead of uvloop", change="asyncio"),
    "gc-off": Choice("no cyclic garbage collector", change="gc-off"),
    "gc-plain": Choice("Python's thresholds of the garbage collector, nothing frozen", change="gc-plain"),
    "batch-100": Choice("100 records at once instead of 500", change="batch-100"),
    "batch-2000": Choice("2,000 records at once instead of 500", change="batch-2000"),
    "no-histograms": Choice("durations are not counted", change="no-histograms"),
    "no-time-lines": Choice("`RELAY_ADMIN__TIME_LINES_MAX=0`", told=(("RELAY_ADMIN__TIME_LINES_MAX", "0"),)),
    "fixed": Choice("`RELAY_API__CONCURRENCY=fixed`", told=(("RELAY_API__CONCURRENCY", "fixed"),)),
    "memory": Choice("`RELAY_SESSION__STATE=memory`", told=(("RELAY_SESSION__STATE", "memory"),)),
    "scrape": Choice("`/metrics` is read every second", reads=("/metrics",)),
    "console": Choice("somebody looks at a page of the console every second", reads=("/", "/sessions", "/openings", "/calls")),
    "traces": Choice("traces of 1 % of the records, to a collector", collects=True),
    "one-process": Choice("one relay on two topics with half of the events and six partitions each", processes=1),
    "two-processes": Choice("two relays with one of these topics each", processes=2, pair="one-process"),
}


class Stage:
    """Broker, topics and logs of a run."""

    def __init__(self, bootstrap: str, folder: Path, events: int) -> None:
        """Fill the topics."""
        self.bootstrap, self.folder = bootstrap, folder
        self.shape = replace(SHAPE, events=events)
        half = replace(SHAPE, events=events // 2, sessions=SHAPE.sessions // 2, partitions=SHAPE.partitions // 2)
        self.topic = compare.produce(bootstrap, self.shape)
        self.halves = [compare.produce(bootstrap, half), compare.produce(bootstrap, replace(half, events=half.events + 1))]

    def run(self, name: str) -> running.Used:
        """One turn."""
        choice = CHOICES[name]
        topics = [[self.topic], [",".join(self.halves)], self.halves][choice.processes]
        with ExitStack() as stack:
            api = compare.Api(self.shape, self.folder)
            stack.callback(api.close)
            extra = dict(choice.told) | ({"RELAY_ADMIN__PORT": str(ADMIN_PORT)} if choice.reads else {})
            if choice.collects:
                extra |= {"RELAY_TRACING__ENDPOINT": stack.enter_context(collector()), "RELAY_TRACING__SAMPLE_RATIO": "0.01"}
            processes: list[Process] = []
            for number, topic in enumerate(topics):
                told = compare.environment("relay", self.shape, self.bootstrap, topic, api) | extra
                log = self.folder / f"{name}-{number}.log"
                processes.append(stack.enter_context(running.relay(told, log, change=choice.change)))
            reader = Reader(choice.reads) if choice.reads else None
            return running.between(api, processes, *self.shape.counted(self.shape.events), meanwhile=reader)


class Reader:
    """Reads pages of the admin port in turn, one a second, whenever it is called often enough."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        """Begin now."""
        self._paths = itertools.cycle(paths)
        self._next = time.monotonic()

    def __call__(self) -> None:
        """Look at the clock."""
        if time.monotonic() >= self._next:
            self._next += 1
            with urllib.request.urlopen(f"http://127.0.0.1:{ADMIN_PORT}{next(self._paths)}", timeout=5) as page:
                page.read()


class collector:  # noqa: N801  # a context manager that reads as one
    """Takes spans: to it they are events like all others."""

    def __enter__(self) -> str:
        """Start it; where spans go."""
        command = [sys.executable, str(HERE / "answering.py")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        return f"http://127.0.0.1:{self._process.stdout.readline().strip()}/v1/traces"

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self._process.kill()
        self._process.communicate()


def page(found: dict[str, list[running.Used]], pairs: dict[str, list[float]], stage: Stage, rounds: int) -> str:
    """A line for each choice."""
    rows = []
    for name, used in found.items():
        costs = [one.microseconds_per_event for one in used]
        ratios = pairs[name]
        told = f"{statistics.median(ratios):.3f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else "-"
        rate = statistics.median(one.events_per_second for one in used)
        memory = statistics.median(one.rss_mib for one in used)
        cost = f"{statistics.median(costs):.1f} ({min(costs):.1f} to {max(costs):.1f})"
        rows.append([name, CHOICES[name].what, cost, told, f"{rate:,.0f}", f"{memory:.0f}"])
    shape = stage.shape
    told = f"{running.machine()} {shape.events:,} events, {shape.sessions:,} sessions, {shape.partitions} partitions,"
    told += f" {shape.value_bytes} bytes, TLS, {shape.concurrency} under way,"
    told += f" the API answers at once; {rounds} rounds, medians (lowest to highest).\n\n"
    titles = ["choice", "what is different", "µs CPU per event", "÷ its pair in the same round", "events/s", "RSS MiB"]
    return told + running.table(titles, rows)


def main() -> None:
    """Measure by turns and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("choices", nargs="*", metavar="NAME", help=f"of {', '.join(CHOICES)}; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=120_000)
    parser.add_argument("--report", type=Path, help="keep the figures there, as .md and .json")
    arguments = parser.parse_args()
    wanted = arguments.choices or list(CHOICES)
    wanted = [name for name in CHOICES if name in wanted or name in {CHOICES[one].pair for one in wanted}]  # each has its pair
    compare.build_go()
    folder = Path(tempfile.mkdtemp(prefix="choices-"))
    found: dict[str, list[running.Used]] = {name: [] for name in wanted}
    pairs: dict[str, list[float]] = {name: [] for name in wanted}
    dice = random.Random(1)  # noqa: S311  # an order, no secret
    with compare.broker() as bootstrap:
        stage = Stage(bootstrap, folder, arguments.events)
        for number in range(arguments.rounds):
            order = [*wanted, "as-it-is"]
            dice.shuffle(order)
            used: dict[str, list[running.Used]] = {name: [] for name in wanted}
            for name in order:
                used[name].append(stage.run(name))
                print(f"{number + 1}/{arguments.rounds} {name}: {used[name][-1]}", file=sys.stderr, flush=True)
            for name in wanted:
                found[name] += used[name]
                beside = used[CHOICES[name].pair]
                if name != "as-it-is":
                    mean = statistics.mean(one.microseconds_per_event for one in beside)
                    pairs[name].append(used[name][0].microseconds_per_event / mean)
    figures = {name: [asdict(one) for one in used] for name, used in found.items()}
    running.keep(arguments.report, page(found, pairs, stage, arguments.rounds), figures)


if __name__ == "__main__":
    main()

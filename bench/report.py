"""The report of `compare.py`: every turn as JSON, and what they come to as a page.

In: what peers did at a shape. Out: two files that grow shape by shape; one that is measured again takes the place of its former figures.
"""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from confluent_kafka import libversion

TITLES: Final = {
    "name": "shape",
    "value_bytes": "bytes",
    "is_zipf": "Zipf",
    "is_tls": "TLS",
    "latency_ms": "answers after, ms",
    "concurrency": "under way",
    "fail_every": "a 500 for each …",
    "forget_every": "a 410 for each …",
    "counts_openings": "openings count",
    "opens_first": "all opened first",
    "per_second": "events come, /s",
}


@dataclass
class Turn:
    """What one peer did with one topic."""

    microseconds_per_event: float
    events_per_second: float
    server_microseconds_per_event: float
    rss_mib: float


@dataclass
class Result:
    """All turns of one peer at one shape."""

    shape: str
    peer: str
    turns: list[Turn] = field(default_factory=list[Turn])

    def median(self, figure: str) -> float:
        """The median of a figure."""
        return statistics.median(getattr(turn, figure) for turn in self.turns)

    def costs(self) -> list[float]:
        """CPU per event, turn by turn."""
        return [turn.microseconds_per_event for turn in self.turns]


def keep(path: Path, shape: Mapping[str, Any], results: list[Result]) -> None:
    """Write one shape's figures beside those of the others."""
    file = path.with_suffix(".json")
    kept: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    kept[shape["name"]] = {"shape": dict(shape), "machine": machine(), "results": [asdict(result) for result in results]}
    file.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    path.with_suffix(".md").write_text(page(kept), "utf-8")


def page(kept: Mapping[str, Any]) -> str:
    """All shapes as a page."""
    machines = list(dict.fromkeys(entry["machine"] for entry in kept.values()))
    return "\n".join(
        [
            "# Performance report",
            "",
            "Written by `python bench/compare.py --shapes all --report docs/performance-report`; every turn stands in",
            "[performance-report.json](performance-report.json), what it means in [performance.md](performance.md).",
            "",
            *machines,
            "",
            "Peers and relay take turns on the same topic and the same kind of API server. *relay ÷ peer* is the relay's CPU per event in",
            "multiples of the peer's, the median over turns, lowest and highest: below 1 the relay is cheaper. CPU is that of the whole",
            "process; the API's own CPU per event stands beside it. `httpx` is the relay on stock `httpx.AsyncHTTPTransport`, `naive` a",
            "task for each message over `httpx.AsyncClient`; both are given a part of the topic only, and none of 100,000 sessions. In the",
            "shapes `paced` events come at a rate that all can bear; in the others a topic lies ready, and everybody takes what he can.",
            "",
            *table(kept),
            "",
            "## The shapes",
            "",
            *shapes(kept),
            "",
        ]
    )


def table(kept: Mapping[str, Any]) -> list[str]:
    """What each peer did."""
    lines = [
        "| shape | peer | µs of CPU per event | relay ÷ peer | events/s | RSS, MiB | API's µs | turns |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, entry in kept.items():
        results = [Result(one["shape"], one["peer"], [Turn(**turn) for turn in one["turns"]]) for one in entry["results"]]
        own = next(result.costs() for result in results if result.peer == "relay")
        for result in results:
            costs = result.costs()
            ratios = [mine / cost for mine, cost in zip(own, costs, strict=True)]
            compared = "" if result.peer == "relay" else f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} to {max(ratios):.2f})"
            lines.append(
                f"| {name} | {result.peer} | {statistics.median(costs):.1f} ({min(costs):.1f} to {max(costs):.1f}) | {compared}"
                f" | {result.median('events_per_second'):,.0f} | {result.median('rss_mib'):.0f}"
                f" | {result.median('server_microseconds_per_event'):.1f} | {len(costs)} |"
            )
    return lines


def shapes(kept: Mapping[str, Any]) -> list[str]:
    """What was relayed: one line for each shape, one column for each way in which they differ."""
    columns = list(dict.fromkeys(column for entry in kept.values() for column in entry["shape"]))
    names = [TITLES.get(column, column.replace("_", " ")) for column in columns]
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(columns)]
    return lines + [f"| {' | '.join(_said(entry['shape'].get(column)) for column in columns)} |" for entry in kept.values()]


def _said(value: object) -> str:
    if not value:
        return ""
    return "yes" if value is True else str(value)


def machine() -> str:
    """What it was measured on."""
    model = next((line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    go = subprocess.run(["go", "version"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[2]
    java = subprocess.run(["java", "-version"], stderr=subprocess.PIPE, text=True, check=True).stderr.splitlines()[0]
    return (
        f"{model}, {os.cpu_count()} cores shared by peer, API server and broker; Linux {platform.release().split('-')[0]}; Python"
        f" {platform.python_version()}, librdkafka {libversion()[0]}; {go} with franz-go; {java} with Parallel Consumer 0.5.3.3; Kafka"
        f" {_kafka()}, one broker; loopback."
    )


def _kafka() -> str:
    script = Path(__file__).resolve().parent.parent / "tests" / "kafka" / "kafka.sh"
    default = next(line for line in _lines(str(script)) if line.startswith("version="))
    return os.environ.get("KAFKA_VERSION") or default.partition(":-")[2].rstrip("}")


def _lines(path: str) -> list[str]:
    return Path(path).read_text("utf-8").splitlines()

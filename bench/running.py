"""A relay as a process of its own, for the measuring programs, and what it used between two moments.

In: a shape, a topic, an API server. Out: a process that is stopped at the end, and CPU per event, events per second, memory.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import compare
from confluent_kafka import libversion
from processes import Process, cpu_seconds, rss_mib, started, until

HERE: Final = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Used:
    """What a stretch of work took."""

    microseconds_per_event: float
    events_per_second: float
    cores: float
    rss_mib: float


@contextmanager
def relay(told: Mapping[str, str], log: Path, *, change: str = "") -> Iterator[Process]:
    """Start a relay with this environment, perhaps one of `changed.py`; stop it at the end."""
    command = [sys.executable, str(HERE / "changed.py"), change] if change else [sys.executable, "-m", "relay", "run"]
    root = os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    with started(command, os.environ | told | {"PYTHONPATH": root}, log) as process:
        yield process


def wait(api: compare.Counts, processes: list[Process], count: int) -> int:
    """Until the API has taken so many; says how many it has."""
    return until(api.taken, processes, lambda taken: taken >= count)


def between(api: compare.Counts, processes: list[Process], first: int, last: int, *, meanwhile: Callable[[], None] | None = None) -> Used:
    """What the processes used together from the first count to the last."""

    def cpu() -> float:
        return sum(cpu_seconds(process.pid) for process in processes)

    def look() -> int:
        if meanwhile is not None:
            meanwhile()
        return api.taken()

    begun = wait(api, processes, first)
    began, before = time.monotonic(), cpu()
    ended = until(look, processes, lambda taken: taken >= last)
    seconds, used = time.monotonic() - began, cpu() - before
    memory = sum(rss_mib(process.pid) for process in processes)
    return Used(used / (ended - begun) * 1e6, (ended - begun) / seconds, used / seconds, memory)


def machine() -> str:
    """What every figure must be read with."""
    return (
        f"{platform.machine()}, {os.cpu_count()} cores shared by relay, API server, one broker and whoever measures;"
        f" Linux {platform.release()}; Python {platform.python_version()}, librdkafka {libversion()[0]}; loopback;"
        f" {time.strftime('%Y-%m-%d')}."
    )


def table(titles: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def keep(path: Path | None, page: str, figures: object) -> None:
    """Print the page; keep it, and the figures beside it, where that is asked for."""
    print(page)
    if path is not None:
        path.with_suffix(".md").write_text(page, "utf-8")
        path.with_suffix(".json").write_text(json.dumps(figures, indent=1) + "\n", "utf-8")

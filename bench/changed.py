"""The relay with one thing in it changed, for measurements: what the product has no setting for, and needs none.

    python bench/changed.py CHANGE

In: the name of a change, and the environment of `relay run`. Out: `relay run`, so changed. `statistics` changes nothing but writes to the
file in BENCH_NOTES what the Kafka client has fetched for the source.
"""

import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, TopicPartition

from relay import memory
from relay.cli import main as relay
from relay.kafka import member
from relay.observe.metrics import Histogram


def on_asyncio() -> None:
    """The loop of the standard library instead of uvloop."""
    sys.modules["uvloop"] = None  # type: ignore[assignment]  # importing it fails from now on


def without_collector() -> None:
    """Nothing looks for cycles."""
    gc.disable()


def with_plain_collector() -> None:
    """Cycles are looked for as often as Python does by itself."""
    vars(memory)["look_for_garbage_seldom"] = int  # does nothing


def without_histograms() -> None:
    """No duration is counted."""

    def ignore(_self: Histogram, _seconds: float) -> None:
        """Let it go by."""

    Histogram.observe = ignore  # type: ignore[assignment,method-assign]


def in_batches_of(count: int) -> Callable[[], None]:
    """So many records are taken from the client at once, at most."""

    def change() -> None:
        member.BATCH_RECORDS_MAX = count  # type: ignore[misc]

    return change


class Noting(Consumer):
    """Writes down ten times a second what the client has fetched, and how often it was paused."""

    pauses = 0

    def __init__(self, properties: dict[str, Any]) -> None:
        """Ask for statistics."""
        super().__init__(properties | {"statistics.interval.ms": 100, "stats_cb": self.note})
        self.notes = Path(os.environ["BENCH_NOTES"])

    def pause(self, partitions: list[TopicPartition]) -> None:
        """Count it."""
        self.pauses += 1
        super().pause(partitions)

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        """What is assigned is paused before; that does not count."""
        self.pauses -= 1
        super().incremental_assign(partitions)

    def note(self, text: str) -> None:
        """As librdkafka tells it."""
        told = json.loads(text)
        partitions = [one for topic in told["topics"].values() for one in topic["partitions"].values()]
        noted = {
            "records": sum(one["rxmsgs"] for one in partitions),
            "bytes": sum(one["rxbytes"] for one in partitions),
            "wire_bytes": sum(one["rxbytes"] for one in told["brokers"].values()),
            "pauses": self.pauses,
        }
        beside = self.notes.with_suffix(".new")
        beside.write_text(json.dumps(noted), "utf-8")
        beside.replace(self.notes)


def with_statistics() -> None:
    """What the source's client has fetched is written down."""
    vars(member)["Consumer"] = Noting


CHANGES: Final[dict[str, Callable[[], None]]] = {
    "asyncio": on_asyncio,
    "gc-off": without_collector,
    "gc-plain": with_plain_collector,
    "no-histograms": without_histograms,
    "batch-100": in_batches_of(100),
    "batch-2000": in_batches_of(2_000),
    "statistics": with_statistics,
}


if __name__ == "__main__":
    CHANGES[sys.argv[1]]()
    sys.exit(relay(["run"]))

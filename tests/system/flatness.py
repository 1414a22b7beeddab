"""Whether a process holds no more in the end than it did before: what is measured of it, and how it is judged.

In: samples taken at intervals. Out: for each figure its medians of the second and of the last quarter, and whether that is flat.

The first quarter is left out: caches fill, and the crowd is not yet complete. Medians, so that a moment's trouble is not taken for growth.
"""

from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

from system.processes import RelayProcess

QUARTERS: Final = 4
RSS_GROWTH_MAX: Final = 8 * 2**20  # in an hour at 300 events a second: some thirty bytes for each event of two relays
HANDLES_GROWTH_MAX: Final = 16  # connections come and go with the calls that are under way
THREADS_GROWTH_MAX: Final = 1
TASKS_GROWTH_MAX: Final = 40  # some wait for the next call that has to wait; one lost with each failure would make thousands
LANES_GROWTH_SHARE_MAX: Final = 0.15  # the crowd itself breathes by some hundredths


class Sample(NamedTuple):
    """A relay at one moment."""

    rss_bytes: int
    handles: int
    threads: int
    tasks: int
    lanes: int
    buffered_events: int
    unfinished_events: int
    oldest_seconds: float

    @classmethod
    def of(cls, relay: RelayProcess) -> "Sample":
        """Look at it now."""
        scrape = relay.scrape()
        return cls(
            relay.rss_bytes(),
            relay.handle_count(),
            relay.thread_count(),
            int(scrape.total("relay_tasks")),
            int(scrape.total("relay_lanes")),
            int(scrape.total("relay_buffered_events")),
            int(scrape.total("relay_unfinished_events")),
            scrape.total("relay_oldest_undelivered_seconds"),
        )


class Trend(NamedTuple):
    """One figure: before, at the end, and how much more is allowed."""

    name: str
    before: float
    at_end: float
    growth_max: float

    @property
    def is_flat(self) -> bool:
        """Whether it has not grown, but for what is allowed."""
        return self.at_end - self.before <= self.growth_max

    def in_words(self) -> str:
        """A few words for people."""
        unit, size = (" MiB", 2**20) if self.name == "rss_bytes" else ("", 1)
        return f"{self.name.removesuffix('_bytes')} {self.before / size:.4g} → {self.at_end / size:.4g}{unit}"


def trend(name: str, values: Sequence[float], growth_max: float) -> Trend:
    """Compare the last quarter with the second."""
    assert len(values) >= QUARTERS, f"only {len(values)} samples of {name}"
    quarter = len(values) // QUARTERS
    return Trend(name, median(values[quarter : 2 * quarter]), median(values[-quarter:]), growth_max)


def trends(samples: Sequence[Sample]) -> list[Trend]:
    """What a process holds that must not grow, whatever it has done."""
    return [
        trend("rss_bytes", [one.rss_bytes for one in samples], RSS_GROWTH_MAX),
        trend("handles", [one.handles for one in samples], HANDLES_GROWTH_MAX),
        trend("threads", [one.threads for one in samples], THREADS_GROWTH_MAX),
        trend("tasks", [one.tasks for one in samples], TASKS_GROWTH_MAX),
    ]


def trend_of_lanes(lanes: Sequence[int]) -> Trend:
    """Player sessions in memory, over all relays: partitions move from one to another."""
    flat = trend("lanes", lanes, 0)
    return flat._replace(growth_max=LANES_GROWTH_SHARE_MAX * flat.before)

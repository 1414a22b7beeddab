"""The last hour, in small: a few figures every two seconds, in a ring that never grows.

In: the tallies, and what the parts know. Out: samples, for the plots of the console and for rates over the last minute.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from relay.observe.metrics import Histogram, Tallies

SAMPLE_SECONDS: Final = 2.0
SAMPLES_MAX: Final = 1_800  # an hour
MINUTE_SECONDS: Final = 60.0
_SERVED: Final = range(200, 300)


class Sample(msgspec.Struct, frozen=True, gc=False):
    """How things stood, and what had happened since the sample before."""

    at: float  # Unix seconds
    seconds: float  # since the sample before
    delivered: int
    failed_calls: int  # requests that were not answered with 2xx
    latency_p50: float
    latency_p99: float
    call_p99: float
    lag: int
    oldest: float
    in_flight: int
    sessions_open: int


class Standing(Protocol):
    """What the sampler reads of the parts."""

    def lag(self) -> int:
        """Records that are not finished, over all partitions."""
        ...

    def oldest_seconds(self) -> float:
        """The age of the oldest event that is not finished."""
        ...

    def in_flight(self) -> int:
        """Calls under way."""
        ...

    def sessions_open(self) -> int:
        """API sessions that are open."""
        ...


class Timer(Protocol):
    """The loop's face."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> object:
        """Call back after so many seconds."""
        ...


class _Lately:
    """What a histogram took in since it was last looked at, and over the last minute."""

    def __init__(self) -> None:
        self._looks: deque[list[int]] = deque([[]], maxlen=int(MINUTE_SECONDS / SAMPLE_SECONDS) + 1)

    def look(self, counts: list[int]) -> Histogram:
        """What came since the last look."""
        before = self._looks[-1]
        self._looks.append(list(counts))
        return _between(before, counts)

    def minute(self) -> Histogram:
        """What came during the last minute."""
        return _between(self._looks[0], self._looks[-1])


def _between(before: list[int], after: list[int]) -> Histogram:
    taken = Histogram()
    taken.counts = [now - then for now, then in zip(after, before or [0] * len(after), strict=True)]
    return taken


class History:
    """The samples of the last hour."""

    def __init__(self, tallies: Tallies, standing: Standing, *, clock: Callable[[], float] = time.time) -> None:
        """Begin with none."""
        self.samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self._tallies = tallies
        self._standing = standing
        self._clock = clock
        self._sampled_at = clock()
        self._delivered = 0
        self._failed = 0
        self._latency = _Lately()
        self._calls = _Lately()
        self._is_stopped = False

    def begin(self, loop: Timer) -> None:
        """Sample from now on, until stopped."""

        def tick() -> None:
            if not self._is_stopped:
                self.sample()
                loop.call_later(SAMPLE_SECONDS, tick)

        loop.call_later(SAMPLE_SECONDS, tick)

    def stop(self) -> None:
        """No more of it."""
        self._is_stopped = True

    def sample(self) -> None:
        """Take one."""
        now, tallies, standing = self._clock(), self._tallies, self._standing
        delivered = tallies.delivered_count
        failed = sum(count for (_, status), count in tallies.requests.items() if status not in _SERVED)
        latency = self._latency.look(tallies.end_to_end.counts)
        calls = [sum(counts) for counts in zip(*(one.counts for one in tallies.request_seconds.values()), strict=True)]
        self.samples.append(
            Sample(
                at=now,
                seconds=max(now - self._sampled_at, 0.001),
                delivered=delivered - self._delivered,
                failed_calls=failed - self._failed,
                latency_p50=latency.quantile(0.5),
                latency_p99=latency.quantile(0.99),
                call_p99=self._calls.look(calls).quantile(0.99) if calls else 0.0,
                lag=standing.lag(),
                oldest=standing.oldest_seconds(),
                in_flight=standing.in_flight(),
                sessions_open=standing.sessions_open(),
            )
        )
        self._sampled_at, self._delivered, self._failed = now, delivered, failed

    def latencies(self) -> tuple[float, float, float]:
        """Over the last minute: the median and the 99 of 100 from Kafka to the API, and the 99 of 100 of calls."""
        latency = self._latency.minute()
        return latency.quantile(0.5), latency.quantile(0.99), self._calls.minute().quantile(0.99)

    def recent(self, seconds: float) -> list[Sample]:
        """The samples of the last so many seconds, oldest first."""
        since = self._clock() - seconds
        recent: list[Sample] = []
        for sample in reversed(self.samples):
            if sample.at < since:
                break
            recent.append(sample)
        return recent[::-1]

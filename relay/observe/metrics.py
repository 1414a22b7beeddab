"""Counting at the price of a dictionary, and one collector that turns the counts into Prometheus families at each scrape.

In: counts from the loop's thread, and functions that read what others know. Out: the text of `/metrics`.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from relay.core.commands import Change
from relay.observe.catalogue import CATALOGUE, PREFIX, SECONDS_BUCKETS, Kind, Metric
from relay.observe.faults import Faults

LabelValues: TypeAlias = tuple[str, ...]
Reading: TypeAlias = float | Mapping[LabelValues, float]
"""One figure, or one for each combination of label values."""

_CLOSED_BY: Final = {Change.ENDED: "ended", Change.LOST: "lost", Change.FORGOTTEN: "forgotten", Change.SUSPENDED: "suspended"}


class Tally:
    """How often, by label values."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        """Begin with nothing."""
        self.counts: dict[LabelValues, float] = {}

    def add(self, *values: str, amount: float = 1) -> None:
        """Count."""
        self.counts[values] = self.counts.get(values, 0) + amount


class Histogram:
    """How long, in buckets."""

    __slots__ = ("counts", "examples", "total")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.counts = [0] * (len(SECONDS_BUCKETS) + 1)
        self.total = 0.0
        self.examples: dict[int, Exemplar] = {}  # the latest trace for a bucket, where traces are kept

    def observe(self, seconds: float) -> None:
        """Count a duration."""
        self.counts[bisect_left(SECONDS_BUCKETS, seconds)] += 1
        self.total += seconds

    def exemplify(self, seconds: float, trace_id: str) -> None:
        """Name a trace in which it took as long."""
        self.examples[bisect_left(SECONDS_BUCKETS, seconds)] = Exemplar({"trace_id": trace_id}, seconds, time.time())

    def quantile(self, share: float) -> float:
        """How long at most this share took, by interpolation within a bucket; 0 when nothing was measured."""
        wanted = share * sum(self.counts)
        below, so_far = 0.0, 0
        for bound, count in zip(SECONDS_BUCKETS, self.counts, strict=False):
            if count and so_far + count >= wanted:
                return below + (bound - below) * (wanted - so_far) / count
            below, so_far = bound, so_far + count
        return below if wanted else 0.0


class Tallies:
    """All that is counted. Written from the loop's thread only."""

    def __init__(self) -> None:
        """Begin with nothing."""
        counted = [metric for metric in CATALOGUE if metric.kind is Kind.COUNTER and not metric.is_watched]
        self.counters: dict[str, Tally] = {metric.name: Tally() for metric in counted}
        self.end_to_end = Histogram()
        self.restore_seconds = Histogram()
        self.revoke_seconds = Histogram()
        self.requests: dict[tuple[str, int], int] = {}
        self.request_seconds: dict[str, Histogram] = {}
        self.delivered_count = 0
        self.faults = Faults()
        self._changes: dict[Change, Callable[[str], None]] = {
            Change.OPENED: self._of("sessions_opened_total").add,
            Change.RETRIED: self._of("retries_total").add,
            Change.TOLD: lambda _: self._of("retold_events_total").add(),
            Change.TELLING_REFUSED: lambda _: self._of("retold_refused_total").add(),
            Change.REFUSED: lambda _: self._of("sessions_refused_total").add(),
            Change.ENDED: self._closed(Change.ENDED),
            Change.LOST: self._closed(Change.LOST),
            Change.FORGOTTEN: self._closed(Change.FORGOTTEN),
            Change.GIVEN_UP: lambda _: None,  # its dead letter is counted
            Change.PARKED: lambda _: self._of("sessions_parked_total").add(),
            Change.PINGED: lambda _: self._of("keep_alive_pings_total").add(),
            Change.SUSPENDED: self._closed(Change.SUSPENDED),
            Change.REPEATED_UNKNOWN: lambda operation: self._of("unknown_outcomes_total").add(operation, "repeat"),
            Change.SKIPPED_UNKNOWN: lambda _: self._of("unknown_outcomes_total").add("send", "skip"),
            Change.CAME_LATE: lambda _: self._of("input_late_total").add(),
            Change.CAME_TWICE: lambda _: self._of("input_repeated_total").add(),
            Change.SCATTERED: lambda _: self._of("input_scattered_sessions_total").add(),
        }

    def consumed(self, topic: str, count: int) -> None:
        """Records came in."""
        self._of("consumed_records_total").add(topic, amount=count)

    def delivered(self, seconds: float) -> None:
        """An event was delivered, so many seconds after its record was appended."""
        self.delivered_count += 1
        self.end_to_end.observe(seconds)

    def consumed_count(self) -> int:
        """Records that came in, of all topics."""
        return int(sum(self._of("consumed_records_total").counts.values()))

    def outcome_count(self, outcome: str) -> int:
        """Events that ended in this way, but for `delivered`, which has a count of its own."""
        return int(sum(count for (one, _), count in self._of("events_total").counts.items() if one == outcome))

    def event(self, outcome: str, reason: str) -> None:
        """An event is finished in any other way."""
        self._of("events_total").add(outcome, reason)
        if outcome == "dead_lettered":
            self._of("dlq_records_total").add(reason)

    def change(self, change: Change, detail: str) -> None:
        """Something became of a session."""
        self._changes[change](detail)

    def token_refreshed(self, outcome: str) -> None:
        """A token was asked for."""
        self._of("token_refresh_total").add(outcome)

    def request(self, operation: str, status: int, seconds: float) -> None:
        """A request has ended; status 0 is one without an answer."""
        key = (operation, status)
        self.requests[key] = self.requests.get(key, 0) + 1
        durations = self.request_seconds.get(operation)
        if durations is None:
            durations = self.request_seconds[operation] = Histogram()
        durations.observe(seconds)

    def request_example(self, operation: str, seconds: float, trace_id: str) -> None:
        """A trace of a request that took so long."""
        self.request_seconds.setdefault(operation, Histogram()).exemplify(seconds, trace_id)

    def delivery_example(self, seconds: float, trace_id: str) -> None:
        """A trace of an event that was delivered so long after its record was appended."""
        self.end_to_end.exemplify(seconds, trace_id)

    def request_quantiles(self, *shares: float) -> tuple[float, ...]:
        """How long at most each of these shares of all requests took."""
        together = Histogram()
        together.counts = [
            sum(counts) for counts in zip(together.counts, *(one.counts for one in self.request_seconds.values()), strict=True)
        ]
        return tuple(together.quantile(share) for share in shares)

    def rebalanced(self, kind: str) -> None:
        """The assignment changed."""
        self._of("rebalances_total").add(kind)

    def restored(self, count: int, seconds: float) -> None:
        """The sessions of a partition were taken over."""
        self._of("sessions_restored_total").add(amount=count)
        self.restore_seconds.observe(seconds)

    def revoked(self, seconds: float) -> None:
        """Partitions that were taken are let go, so long after the group asked for them."""
        self.revoke_seconds.observe(seconds)

    def committed(self, *, is_success: bool) -> None:
        """A commit has ended."""
        self._of("commits_total").add("success" if is_success else "failure")

    def warned(self, cause: str) -> None:
        """The API served a call, and had something to say besides."""
        self._of("api_warnings_total").add(cause)

    def memoir_skipped(self, cause: str) -> None:
        """A memoir was not understood."""
        self._of("memoirs_skipped_total").add(cause)

    def counts(self, metric: Metric) -> Mapping[LabelValues, float]:
        """What was counted under a counter."""
        counts: dict[LabelValues, float] = dict(self.counters[metric.name].counts)
        if metric.name == f"{PREFIX}events_total":
            counts["delivered", ""] = self.delivered_count
        elif metric.name == f"{PREFIX}api_requests_total":
            counts |= {(operation, str(status) if status else "none"): count for (operation, status), count in self.requests.items()}
        return counts

    def histograms(self, metric: Metric) -> Mapping[LabelValues, Histogram]:
        """What was measured under a histogram."""
        if metric.name == f"{PREFIX}api_request_duration_seconds":
            return {(operation,): histogram for operation, histogram in self.request_seconds.items()}
        alone = {f"{PREFIX}restore_duration_seconds": self.restore_seconds, f"{PREFIX}revoke_duration_seconds": self.revoke_seconds}
        return {(): alone.get(metric.name, self.end_to_end)}

    def _of(self, name: str) -> Tally:
        return self.counters[PREFIX + name]

    def _closed(self, change: Change) -> Callable[[str], None]:
        tally, reason = self._of("sessions_closed_total"), _CLOSED_BY[change]
        return lambda _: tally.add(reason)


class Metrics(Collector):
    """Shows tallies and readings in the formats of Prometheus."""

    def __init__(self, tallies: Tallies, *, version: str) -> None:
        """Show these tallies; what others know is added by `watch`."""
        self._tallies = tallies
        self._watched: dict[str, Callable[[], Reading]] = {}
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(self)
        self.watch("build_info", lambda: {(version,): 1})

    def watch(self, name: str, read: Callable[[], Reading]) -> None:
        """At each scrape, read the metric of this name (without `relay_`): a figure, or a mapping from label values where it has labels."""
        if PREFIX + name not in _WATCHABLE:
            raise KeyError(name)
        self._watched[PREFIX + name] = read

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """The page and its content type: OpenMetrics for those who ask for it."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterable[Family]:
        """Turn everything into families."""
        return [self._family(metric) for metric in CATALOGUE]

    def describe(self) -> Iterable[Family]:
        """Say what will be collected, without reading anything."""
        return [_empty(metric) for metric in CATALOGUE]

    def _family(self, metric: Metric) -> Family:
        family = _empty(metric)
        if isinstance(family, HistogramMetricFamily):
            for values, histogram in self._tallies.histograms(metric).items():
                family.add_metric(list(values), list(_cumulative(histogram)), histogram.total)
        else:
            for values, value in self._samples(metric).items():
                family.add_metric(list(values), value)
        return family

    def _samples(self, metric: Metric) -> Mapping[LabelValues, float]:
        if not metric.is_watched:
            counts = self._tallies.counts(metric)
            return counts if counts or metric.labels else {(): 0}  # so that a rate sees the first one
        read = self._watched.get(metric.name)
        if read is None:
            return {}
        reading = read()
        return reading if isinstance(reading, Mapping) else {(): reading}


_WATCHABLE: Final = {metric.name for metric in CATALOGUE if metric.is_watched}


def _empty(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    match metric.kind:
        case Kind.COUNTER:
            return CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        case Kind.GAUGE:
            return GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
        case Kind.HISTOGRAM:
            return HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)


def _cumulative(histogram: Histogram) -> Iterator[tuple[str, float] | tuple[str, float, Exemplar]]:
    bounds = [*(str(bound) for bound in SECONDS_BUCKETS), "+Inf"]
    for place, (bound, count) in enumerate(zip(bounds, accumulate(histogram.counts), strict=True)):
        example = histogram.examples.get(place)
        yield (bound, count) if example is None else (bound, count, example)

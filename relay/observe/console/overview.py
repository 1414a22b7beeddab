"""The first page: how it stands, what moves, what waits."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from relay.core.pressure import Circuit as CoreCircuit
from relay.core.pressure import CircuitState
from relay.observe.console import shapes
from relay.observe.console.standing import judge
from relay.observe.console.subject import Subject
from relay.observe.history import Sample

RECENT_SECONDS: Final = 60.0
POINTS: Final = 180  # of a plot: an hour in columns of twenty seconds

_STATES: Final = {CircuitState.CLOSED: "closed", CircuitState.PROBING: "probing", CircuitState.HELD: "held"}


def overview(subject: Subject) -> shapes.Overview:
    """Everything of the first page but the plots."""
    facts, router, parts = subject.facts, subject.router, subject.parts
    recent = subject.history.recent(RECENT_SECONDS)
    p50, p99, call_p99 = subject.history.latencies()
    seconds = sum(sample.seconds for sample in recent) or 1.0
    looked = shapes.Overview(
        relay=instance(subject),
        standing=shapes.Standing(level="well", sentence="", advice=[]),
        delivered_per_second=round(sum(sample.delivered for sample in recent) / seconds, 1),
        failed_calls_per_second=round(sum(sample.failed_calls for sample in recent) / seconds, 2),
        latency=shapes.Latency(p50_seconds=round(p50, 4), p99_seconds=round(p99, 4)),
        call_p99_seconds=round(call_p99, 4),
        lag=sum(parts.lags().values()),
        oldest_undelivered_seconds=round(parts.oldest_seconds(), 3),
        partitions=len(router.assignments),
        sessions_open=router.sessions_open,
        sessions_held=router.buffer.lane_count,
        sessions_max=facts.lanes_max,
        in_flight=router.in_flight,
        concurrency_max=facts.concurrency_max,
        circuits=circuits(subject),
        pace=round(router.requests_per_second or 0.0, 1),
        throttled_seconds=throttled_seconds(subject),
        buffer=shapes.Buffer(
            events=router.buffer.event_count,
            events_max=facts.buffer_events_max,
            bytes=router.buffer.byte_count,
            bytes_max=facts.buffer_bytes_max,
            is_paused=parts.is_paused(),
        ),
        letters_pending=parts.letters_pending(),
        delivered=subject.tallies.delivered_count,
        outcomes=_by(subject, "events_total", 0),
        reasons=_by(subject, "dlq_records_total", 0),
        failures=_by(subject, "retries_total", 0),
        openings=_by(subject, "sessions_opened_total", 0),
    )
    return _with_standing(looked, subject)


def instance(subject: Subject) -> shapes.Instance:
    """Which relay this is."""
    facts = subject.facts
    return shapes.Instance(
        version=facts.version,
        name=facts.name,
        group=facts.group,
        dialect=facts.dialect,
        started_at=subject.started_at,
        now=round(subject.wall_clock(), 3),
        is_ready=subject.parts.is_ready()[0],
        is_masked=facts.is_masked,
    )


def circuits(subject: Subject) -> list[shapes.Circuit]:
    """Both of them."""
    both: tuple[tuple[str, CoreCircuit], ...] = (("open", subject.router.opening), ("send", subject.router.sending))
    return [
        shapes.Circuit(
            operation=name,
            state=state_name(circuit.state),
            advice=circuit.advice,
            in_flight=circuit.in_flight,
            limit=circuit.concurrency.limit,
            throttled=circuit.throttled,
        )
        for name, circuit in both
    ]


def throttled_seconds(subject: Subject) -> float:
    """For how long the API has asked to be left alone."""
    return round(max(0.0, subject.router.throttled_until - subject.clock()), 3)


def state_name(state: CircuitState) -> str:
    """A circuit's state as a word."""
    return _STATES[state]


def series(subject: Subject) -> shapes.Series:
    """The last hour, in at most so many columns: sums for what moves, the worst for what lasts."""
    samples = list(subject.history.samples)
    width = max(1, -(-len(samples) // POINTS))
    columns = [samples[begin : begin + width] for begin in range(0, len(samples), width)]

    def worst(name: str) -> list[float]:
        return [_worst(column, name) for column in columns]

    def rate(name: str) -> list[float]:
        return [round(sum(getattr(one, name) for one in column) / sum(one.seconds for one in column), 2) for column in columns]

    return shapes.Series(
        at=[round(column[-1].at, 3) for column in columns],
        delivered_per_second=rate("delivered"),
        failed_calls_per_second=rate("failed_calls"),
        latency_p50_seconds=worst("latency_p50"),
        latency_p99_seconds=worst("latency_p99"),
        call_p99_seconds=worst("call_p99"),
        lag=worst("lag"),
        oldest_undelivered_seconds=worst("oldest"),
        in_flight=worst("in_flight"),
        sessions_open=worst("sessions_open"),
    )


def failures(subject: Subject) -> list[shapes.Count]:
    """Why calls are tried again."""
    return _by(subject, "retries_total", 0)


def counted(counts: Mapping[str, float]) -> list[shapes.Count]:
    """The most frequent first."""
    return [shapes.Count(name=name, count=int(number)) for name, number in sorted(counts.items(), key=lambda one: (-one[1], one[0]))]


def _by(subject: Subject, metric: str, label: int) -> list[shapes.Count]:
    sums: dict[str, float] = {}
    for values, number in subject.tallies.counters[f"relay_{metric}"].counts.items():
        sums[values[label]] = sums.get(values[label], 0) + number
    return counted(sums)


def _worst(samples: Iterable[Sample], name: str) -> float:
    return round(max((getattr(sample, name) for sample in samples), default=0.0), 4)


def _with_standing(looked: shapes.Overview, subject: Subject) -> shapes.Overview:
    _, reasons = subject.parts.is_ready()
    trend = [sample.lag for sample in subject.history.recent(RECENT_SECONDS)]
    changed = {switch.operation: subject.wall(switch.at) for switch in subject.witness.audit.switches}
    return msgspec.structs.replace(looked, standing=judge(looked, reasons, lag_trend=trend, changed=changed))

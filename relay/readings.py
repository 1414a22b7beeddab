"""Readings for the metrics: nothing is updated per event, all is read at the scrape.

In: the parts. Out: a function for each metric of the catalogue that is watched.
"""

import asyncio
import time
from collections.abc import Callable

from relay.core.head_of_line import finished_beyond
from relay.observe.metrics import Metrics, Reading
from relay.parts import Parts


def watch(metrics: Metrics, parts: Parts, *, is_ready: Callable[[], bool]) -> None:
    """Let the metrics read from the parts."""
    router, pump, source, letters, memoirs, tokens = parts

    def oldest_undelivered_seconds() -> float:
        oldest = [moment for one in router.assignments.values() if (moment := one.ledger.oldest_appended_at) is not None]
        oldest += pump.backlog.oldest_appended_at()
        return max(0.0, time.monotonic() - min(oldest)) if oldest else 0.0

    def held_back_seconds() -> dict[tuple[str, ...], float]:
        now, since = time.monotonic(), pump.standstills.since()
        return {(one.topic, str(one.partition)): now - since.get(one, now) for one in router.assignments.values()}

    def lag_seconds() -> Reading:
        now = time.monotonic()
        oldest = {place: one.ledger.oldest_appended_at for place, one in router.assignments.items()}
        return {(topic, str(partition)): 0.0 if at is None else max(0.0, now - at) for (topic, partition), at in oldest.items()}

    def last_delivery_timestamp() -> float:
        return 0.0 if pump.last_delivery_at is None else time.time() - (time.monotonic() - pump.last_delivery_at)

    readings: dict[str, Callable[[], Reading]] = {
        "sessions_open": lambda: router.sessions_open,
        "lanes": lambda: router.buffer.lane_count,
        "buffered_events": lambda: router.buffer.event_count,
        "buffered_bytes": lambda: router.buffer.byte_count,
        "input_awaiting_records": lambda: pump.backlog.record_count,
        "api_requests_in_flight": lambda: router.in_flight,
        "unfinished_events": lambda: pump.unfinished_count,
        "extra_outcomes": lambda: router.extra_outcomes,
        "left_events_total": lambda: pump.left_count,
        "order_violations_total": lambda: router.order_violations,
        "circuit_state": lambda: {("open",): router.opening.state, ("send",): router.sending.state},
        "assigned_partitions": lambda: len(router.assignments),
        "concurrency_limit": lambda: {("open",): router.opening.concurrency.limit, ("send",): router.sending.concurrency.limit},
        "concurrency_in_flight": lambda: {("open",): router.opening.in_flight, ("send",): router.sending.in_flight},
        "pace_requests_per_second": lambda: router.requests_per_second or 0.0,
        "throttled_seconds": lambda: max(0.0, router.throttled_until - time.monotonic()),
        "throttled_total": lambda: {("open",): router.opening.throttled, ("send",): router.sending.throttled},
        "source_paused": lambda: pump.is_paused,
        "consumer_lag_messages": lambda: {(topic, str(partition)): lag for (topic, partition), lag in source.lag().items()},
        "consumer_lag_seconds": lag_seconds,
        "committed_offset": lambda: {(topic, str(partition)): offset for (topic, partition), offset in source.committed().items()},
        "restoring_partitions": lambda: memoirs.restoring_count,
        "oldest_undelivered_seconds": oldest_undelivered_seconds,
        "held_back_events": lambda: {(one.topic, str(one.partition)): finished_beyond(one) for one in router.assignments.values()},
        "held_back_seconds": held_back_seconds,
        "dlq_pending": lambda: letters.pending_count,
        "dlq_produce_failures_total": lambda: letters.failure_count,
        "ready": is_ready,
        "tasks": lambda: len(asyncio.all_tasks()),
        "last_delivery_timestamp_seconds": last_delivery_timestamp,
    }
    if tokens is not None:
        readings["token_expiry_timestamp_seconds"] = lambda: tokens.expires_at
    for name, read in readings.items():
        metrics.watch(name, read)

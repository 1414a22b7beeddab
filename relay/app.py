"""Builds every part once, joins them, and takes them down in reverse order.

In: settings. Out: a running relay, and its exit code. Only this module reads settings; the parts receive plain values.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import TypedDict
from urllib.parse import urlsplit

import httpx

import relay
from relay.api.calls import Calls
from relay.api.client import ApiClient
from relay.api.collection import MediaCollection
from relay.api.dialect import Dialect
from relay.api.edge import MediaEdge
from relay.api.transport import Transport, stock_transport, tls_context
from relay.core.backoff import Backoff
from relay.core.pressure import CircuitState, Limits
from relay.core.router import Router, Rules
from relay.core.starts import Starts
from relay.errors import RelayError
from relay.input.native import NativeInput
from relay.kafka.dead_letters import DeadLetters
from relay.kafka.source import Source
from relay.kafka.state_carry_over import Partitioner
from relay.kafka.state_carry_over import carry_over as carry_sessions_over
from relay.kafka.state_topic import MemoryState, StateTopic, state_topic_of
from relay.kafka.state_topic_check import ensure_state_topic
from relay.kafka.topics import dead_letter_topic, ensure_topics
from relay.observe import logs
from relay.observe.admin import Admin, health_routes
from relay.observe.metrics import Metrics, Reading, Tallies
from relay.pump import Pump
from relay.settings import Settings

log = logging.getLogger("relay.app")

LOOP_SILENT_SECONDS_MAX = 30.0  # the pump passes several times a second; a loop that is this late is stuck
POLL_SILENT_SECONDS_MAX = 60.0  # polls come ten times a second, but for a revoke that waits for calls under way


def run(settings: Settings) -> int:
    """Serve until a signal asks to stop; the exit code says how it ended."""
    logs.configure(settings.log.level, settings.log.format)
    return new_loop_runner()(serve(settings))


def new_loop_runner() -> Callable[..., int]:
    """The runner of uvloop where there is one, else the standard library's."""
    try:
        import uvloop  # noqa: PLC0415  # not on every platform
    except ImportError:
        return asyncio.run
    return uvloop.run


async def serve(settings: Settings) -> int:
    """Run the relay; SIGTERM and SIGINT drain it, a second one leaves at once."""
    app = App(settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.ask_to_stop)
    try:
        return await app.run()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


class Outside(TypedDict):
    """What every Kafka client needs."""

    bootstrap_servers: str
    client: dict[str, str | int | float | bool]


class App:
    """One relay in this process."""

    def __init__(self, settings: Settings, *, can_administer: bool = True) -> None:
        """Build nothing yet. The embedded broker of the sandbox lets nobody create or inspect topics, hence `can_administer`."""
        self.settings = settings
        self.tallies = Tallies()
        self.metrics = Metrics(self.tallies, version=relay.__version__)
        self._dialect = _dialect(settings, self.tallies)
        self.router = _router(settings, self._dialect)
        self._can_administer = can_administer
        self._stop_asked = asyncio.Event()
        self._failure: BaseException | None = None
        self.pump: Pump | None = None
        self.source: Source | None = None
        self.letters: DeadLetters | None = None
        self.memoirs: StateTopic | MemoryState | None = None
        self.admin: Admin | None = None
        self.is_serving = asyncio.Event()

    # --- the face ---------------------------------------------------------------------------------------------------------------------

    def ask_to_stop(self) -> None:
        """Drain and leave; asked twice, leave without waiting for calls under way."""
        if not self._stop_asked.is_set():
            log.info("asked to stop")
            self._stop_asked.set()
        elif self.pump is not None:
            log.warning("asked to stop again: leaving without waiting")
            self.pump.hurry()

    async def run(self) -> int:
        """Start, serve, stop. Raises `RelayError` when the start fails."""
        async with AsyncExitStack() as parts:
            pump, source = await self._build(parts)
            pump.begin()
            source.start()
            self.is_serving.set()
            settings = self.settings
            log.info("serving", extra={"version": relay.__version__, "dialect": settings.api.dialect, "state": settings.session.state})
            if settings.session.state == "memory":
                log.warning("sessions are remembered in memory only: a restart opens them again and repeats what was under way")
            await self._stop_asked.wait()
            if self._failure is None:
                await self._drain(pump, source)
        return self._exit_code()

    async def _build(self, parts: AsyncExitStack) -> tuple[Pump, Source]:
        """Build every part, from the outside in; what was built is taken down in reverse order."""
        settings, loop = self.settings, asyncio.get_running_loop()
        kafka: Outside = {"bootstrap_servers": settings.kafka.bootstrap_servers, "client": settings.kafka.client}
        partitions = await _ensure_topics(settings, kafka, can_administer=self._can_administer)

        transport = _transport(settings)
        parts.push_async_callback(transport.aclose)
        calls = Calls(_client(settings, self._dialect, transport), observe=self.tallies.request)
        parts.push_async_callback(calls.stop)
        self.memoirs = memoirs = _memoirs(settings, kafka, self.tallies, loop)
        parts.callback(memoirs.close)
        self.letters = letters = DeadLetters(topic=settings.kafka.dead_letter_topic_name, version=relay.__version__, loop=loop, **kafka)
        parts.callback(letters.close)
        self.source = source = Source(
            topics=settings.kafka.topics,
            group_id=settings.kafka.group_id,
            group_protocol=settings.kafka.group_protocol,
            group_instance_id=settings.kafka.group_instance_id,
            revoke_seconds_max=max(settings.kafka.revoke_seconds_max, settings.drain_seconds_max),
            partition_count=sum(partitions.values()) or 8,
            deliver=lambda message: pump.deliver(message),  # noqa: PLW0108  # the pump is built after the source
            **kafka,
        )
        parts.push_async_callback(source.close)
        self.pump = pump = Pump(
            router=self.router,
            reader=NativeInput(
                ignore_unknown_fields=settings.input.unknown_fields == "ignore", record_bytes_max=settings.limits.record_bytes_max
            ),
            calls=calls,
            letters=letters,
            memoirs=memoirs,
            source=source,
            tallies=self.tallies,
            loop=loop,
            failed=self._failed,
            receipt_seconds=settings.kafka.receipt_seconds,
            leaving_seconds_max=settings.kafka.revoke_seconds_max,
            idle_seconds_max=settings.session.idle_seconds_max,
        )
        calls.report_to(pump.put, self._failed)
        watch(self.metrics, self)
        self.admin = Admin(
            settings.admin.host, settings.admin.port, health_routes(live=self.is_live, ready=self.is_ready, metrics=self.metrics)
        )
        await self.admin.start()
        parts.push_async_callback(self.admin.stop)
        return pump, source

    def is_live(self) -> tuple[bool, Mapping[str, object]]:
        """Progress, not mere life: the loop turns and Kafka is polled. An outage of the API is no reason to restart."""
        now = time.monotonic()
        assert self.pump is not None
        assert self.source is not None
        loop_silent = now - self.pump.last_pass_at
        poll_silent = now - self.source.last_poll_at
        reasons = {"loop_silent_seconds": round(loop_silent, 1), "poll_silent_seconds": round(poll_silent, 1)}
        return loop_silent < LOOP_SILENT_SECONDS_MAX and poll_silent < POLL_SILENT_SECONDS_MAX, reasons

    def is_ready(self) -> tuple[bool, Mapping[str, object]]:
        """In the group, and nothing that only the operators can mend stands in the way."""
        held = {
            operation: circuit.advice
            for operation, circuit in (("open", self.router.opening), ("send", self.router.sending))
            if circuit.state is CircuitState.HELD
        }
        letters_failure = self.letters.failure if self.letters is not None and self.letters.is_failing else None
        state_failure = self.memoirs.failure if self.memoirs is not None and self.memoirs.is_failing else None
        reasons = {
            "assigned_partitions": len(self.router.assignments),
            "held": held,
            "dead_letters": letters_failure,
            "state": state_failure,
            "is_stopping": self._stop_asked.is_set(),
        }
        has_joined = self.pump is not None and self.pump.has_joined
        nothing_fails = not held and letters_failure is None and state_failure is None
        return has_joined and nothing_fails and not self._stop_asked.is_set(), reasons

    # --- the inside -------------------------------------------------------------------------------------------------------------------

    async def _drain(self, pump: Pump, source: Source) -> None:
        """Nothing new leaves; calls under way end; memoirs, receipts and offsets are written; the group is left."""
        self.router.drain()
        pump.leaving_seconds_max = self.settings.drain_seconds_max
        has_left = await source.close()
        log.info(
            "stopped",
            extra={
                "delivered": self.tallies.delivered_count,
                "calls_cut_short": self.router.in_flight,
                "has_left_the_group": has_left,
            },
        )

    def _failed(self, failure: BaseException) -> None:
        if self._failure is None:
            self._failure = failure
            if isinstance(failure, RelayError):
                log.error("cannot go on", extra={"cause": str(failure)})
            else:
                log.critical("a bug of the relay: stopping, nothing more is committed", exc_info=failure)
        self._stop_asked.set()

    def _exit_code(self) -> int:
        if self._failure is None:
            return 0
        return self._failure.exit_code if isinstance(self._failure, RelayError) else 1


def watch(metrics: Metrics, app: App) -> None:
    """Readings for the metrics: nothing is updated per event, all is read at the scrape."""
    router, pump, source, letters = app.router, app.pump, app.source, app.letters
    assert pump is not None
    assert source is not None
    assert letters is not None

    def oldest_undelivered_seconds() -> float:
        oldest = [moment for one in router.assignments.values() if (moment := one.ledger.oldest_appended_at) is not None]
        return max(0.0, time.monotonic() - min(oldest)) if oldest else 0.0

    def last_delivery_timestamp() -> float:
        return 0.0 if pump.last_delivery_at is None else time.time() - (time.monotonic() - pump.last_delivery_at)

    readings: dict[str, Callable[[], Reading]] = {
        "sessions_open": lambda: router.sessions_open,
        "lanes": lambda: router.buffer.lane_count,
        "buffered_events": lambda: router.buffer.event_count,
        "buffered_bytes": lambda: router.buffer.byte_count,
        "api_requests_in_flight": lambda: router.in_flight,
        "order_violations_total": lambda: router.order_violations,
        "circuit_state": lambda: {("open",): router.opening.state, ("send",): router.sending.state},
        "assigned_partitions": lambda: len(router.assignments),
        "consumer_lag_messages": lambda: {(topic, str(partition)): lag for (topic, partition), lag in source.lag().items()},
        "restoring_partitions": lambda: app.memoirs.restoring_count if app.memoirs is not None else 0,
        "oldest_undelivered_seconds": oldest_undelivered_seconds,
        "dlq_pending": lambda: letters.pending_count,
        "ready": lambda: app.is_ready()[0],
        "last_delivery_timestamp_seconds": last_delivery_timestamp,
    }
    for name, read in readings.items():
        metrics.watch(name, read)


def _dialect(settings: Settings, tallies: Tallies) -> Dialect:
    api, base_path = settings.api, urlsplit(settings.api.url).path
    if api.dialect == "media-collection":
        return MediaCollection(base_path)
    assert api.datastream_id is not None  # the settings see to it
    return MediaEdge(
        api.datastream_id,
        base_path,
        follows_location_hints=api.location_hints == "follow",
        retries_500=api.edge_status_500 == "retry",
        dropped_params=frozenset(api.edge_dropped_params or ()),
        warned=tallies.warned,
    )


def _router(settings: Settings, dialect: Dialect) -> Router:
    limits, retry, session = settings.limits, settings.retry, settings.session
    return Router(
        limits=Limits(
            concurrency_max=settings.api.concurrency_max,
            buffer_bytes_max=limits.buffer_bytes_max,
            buffer_events_max=limits.buffer_events_max,
            session_events_max=limits.session_events_max,
            lanes_max=limits.lanes_max,
            reopenings_per_second_max=session.reopenings_per_second_max,
        ),
        rules=Rules(
            backoff=Backoff(retry.backoff_seconds_initial, retry.backoff_seconds_max, retry.retry_after_seconds_max),
            attempts_max=retry.attempts_max,
            age_seconds_max=retry.age_seconds_max,
            openings_max=session.openings_max,
            idle_seconds_max=session.idle_seconds_max,
        ),
        starts=Starts(required=dialect.required_start_params, defaults=session.start_params, may_join=session.without_start == "open"),
    )


def _transport(settings: Settings) -> httpx.AsyncBaseTransport:
    api = settings.api
    tls = tls_context(api.ca_file, api.client_cert_file, api.client_key_file)
    if api.transport == "httpx":
        return stock_transport(connections_max=api.concurrency_max, tls=tls, idle_seconds_max=api.connection_idle_seconds_max)
    return Transport(
        connections_max=api.concurrency_max,
        tls=tls,
        idle_seconds_max=api.connection_idle_seconds_max,
        age_seconds_max=api.connection_age_seconds_max,
    )


def _client(settings: Settings, dialect: Dialect, transport: httpx.AsyncBaseTransport) -> ApiClient:
    return ApiClient(
        transport,
        dialect,
        url=settings.api.url,
        headers={name: value.get_secret_value() for name, value in settings.api.headers.items()},
        timeout_seconds=settings.api.timeout_seconds,
    )


async def _ensure_topics(settings: Settings, kafka: Outside, *, can_administer: bool) -> dict[str, int]:
    """Look at every topic before anything is read; say how many partitions each source topic has."""
    may_create = settings.kafka.create_topics
    sources = await ensure_topics(
        topics=settings.kafka.topics,
        own=[dead_letter_topic(settings.kafka.dead_letter_topic_name)],
        may_create=may_create,
        can_administer=can_administer,
        **kafka,
    )
    if settings.session.state == "kafka":
        name_of = _state_topic_names(settings)
        for topic, partitions in sources.items():
            await ensure_state_topic(
                name=name_of(topic),
                group_id=settings.kafka.group_id,
                source_topic=topic,
                partitions=partitions,
                may_create=may_create,
                can_administer=can_administer,
                **kafka,
            )
    return sources


def _state_topic_names(settings: Settings) -> Callable[[str], str]:
    """A pattern may match more topics later, so it counts as several from the beginning."""
    topics = settings.kafka.topics
    is_several = len(topics) > 1 or topics[0].startswith("^")
    return state_topic_of(settings.kafka.state_topic_name, 2 if is_several else 1)


def _memoirs(settings: Settings, kafka: Outside, tallies: Tallies, loop: asyncio.AbstractEventLoop) -> StateTopic | MemoryState:
    if settings.session.state == "memory":
        return MemoryState(loop=loop)
    return StateTopic(
        name_of=_state_topic_names(settings), group_id=settings.kafka.group_id, loop=loop, skipped=tallies.memoir_skipped, **kafka
    )


async def carry_over(settings: Settings, *, topic: str, new: str, partitioner: Partitioner, is_for_real: bool) -> dict[str, object]:
    """Copy the state topic of a source topic that got more partitions into a new one; for the command line."""
    kafka: Outside = {"bootstrap_servers": settings.kafka.bootstrap_servers, "client": settings.kafka.client}
    former = _state_topic_names(settings)(topic)
    found = await ensure_topics(topics=[topic, former], own=[], may_create=False, **kafka)
    outcome: dict[str, object] = {"from": former, "partitions": found[former], "to": new, "new_partitions": found[topic]}
    if not is_for_real:
        return outcome
    group = settings.kafka.group_id
    await ensure_state_topic(name=new, group_id=group, source_topic=topic, partitions=found[topic], may_create=True, **kafka)
    sessions = await carry_sessions_over(
        group_id=group,
        former=former,
        former_partitions=found[former],
        new=new,
        new_partitions=found[topic],
        partitioner=partitioner,
        **kafka,
    )
    return outcome | {"sessions": sessions}

"""Builds every part once, joins them, and takes them down in reverse order.

In: settings. Out: a running relay, and its exit code. Only this module reads settings; the parts receive plain values.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import httpx

import relay
from relay.api.calls import Calls
from relay.api.client import ApiClient
from relay.api.collection import MediaCollection
from relay.api.dialect import Dialect
from relay.api.transport import Transport, stock_transport, tls_context
from relay.core.backoff import Backoff
from relay.core.pressure import CircuitState, Limits
from relay.core.router import Router, Rules
from relay.core.starts import Starts
from relay.errors import RelayError
from relay.input.native import NativeInput
from relay.kafka.dead_letters import DeadLetters
from relay.kafka.source import Source
from relay.kafka.state_topic import MemoryState, StateTopic
from relay.kafka.topics import ensure_topics
from relay.observe import logs
from relay.observe.admin import Admin, health_routes
from relay.observe.metrics import Metrics, Tallies
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
    """uvloop's runner where it exists, else the standard library's."""
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


class App:
    """One relay in this process."""

    def __init__(self, settings: Settings, *, checks_topics: bool = True) -> None:
        """Build nothing yet. The embedded broker of the sandbox answers no questions about topics, hence `checks_topics`."""
        self.settings = settings
        self.tallies = Tallies()
        self.metrics = Metrics(self.tallies, version=relay.__version__)
        self.router = _router(settings, _dialect(settings))
        self._checks_topics = checks_topics
        self._loop = asyncio.get_running_loop()
        self._stop_asked = asyncio.Event()
        self._failure: BaseException | None = None
        self.pump: Pump | None = None
        self.source: Source | None = None
        self.letters: DeadLetters | None = None
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
        settings = self.settings
        if self._checks_topics:
            await asyncio.to_thread(_ensure_topics, settings)
        transport = _transport(settings)
        client = ApiClient(
            transport,
            _dialect(settings),
            url=settings.api.url,
            headers={name: value.get_secret_value() for name, value in settings.api.headers.items()},
            timeout_seconds=settings.api.timeout_seconds,
        )
        calls = Calls(client, observe=self.tallies.request)
        self.letters = letters = _letters(settings, self._loop)
        memoirs = _memoirs(settings, self._loop)
        self.source = source = _source(settings, self._loop, lambda message: pump.deliver(message))
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
            loop=self._loop,
            failed=self._failed,
            receipt_seconds=settings.kafka.receipt_seconds,
            leaving_seconds_max=settings.kafka.revoke_seconds_max,
            idle_seconds_max=settings.session.idle_seconds_max,
        )
        calls.report_to(pump.put, self._failed)
        self._watch()
        self.admin = admin = Admin(
            settings.admin.host, settings.admin.port, health_routes(live=self.is_live, ready=self.is_ready, metrics=self.metrics)
        )
        await admin.start()
        try:
            pump.begin()
            source.start()
            self.is_serving.set()
            log.info("serving", extra={"version": relay.__version__, "dialect": settings.api.dialect, "state": settings.session.state})
            await self._stop_asked.wait()
            if self._failure is None:
                await self._drain(pump, source)
        finally:
            await asyncio.to_thread(source.close)
            await calls.stop()
            await asyncio.to_thread(letters.close)
            await asyncio.to_thread(memoirs.close)
            await transport.aclose()
            await admin.stop()
        return self._exit_code()

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
        reasons = {
            "assigned_partitions": len(self.router.assignments),
            "held": held,
            "dead_letters": letters_failure,
            "is_stopping": self._stop_asked.is_set(),
        }
        has_joined = self.source is not None and self.source.has_joined
        return has_joined and not held and letters_failure is None and not self._stop_asked.is_set(), reasons

    # --- the inside -------------------------------------------------------------------------------------------------------------------

    async def _drain(self, pump: Pump, source: Source) -> None:
        """Nothing new leaves; calls under way end; memoirs, receipts and offsets are written; the group is left."""
        self.router.drain()
        pump.leaving_seconds_max = self.settings.drain_seconds_max
        await asyncio.to_thread(source.close)
        log.info("drained", extra={"delivered": self.tallies.delivered_count, "calls_cut_short": self.router.in_flight})

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

    def _watch(self) -> None:
        """Readings for the metrics: nothing is updated per event, all is read at the scrape."""
        router, pump, source, letters = self.router, self.pump, self.source, self.letters
        assert pump is not None
        assert source is not None
        assert letters is not None
        readings: dict[str, Callable[[], float | Mapping[tuple[str, ...], float]]] = {
            "sessions_open": lambda: router.sessions_open,
            "lanes": lambda: router.buffer.lane_count,
            "buffered_events": lambda: router.buffer.event_count,
            "buffered_bytes": lambda: router.buffer.byte_count,
            "api_requests_in_flight": lambda: router.in_flight,
            "order_violations_total": lambda: router.order_violations,
            "circuit_state": lambda: {("open",): router.opening.state, ("send",): router.sending.state},
            "assigned_partitions": lambda: len(router.assignments),
            "consumer_lag_messages": lambda: {(topic, str(partition)): lag for (topic, partition), lag in source.lag().items()},
            "oldest_undelivered_seconds": self._oldest_undelivered_seconds,
            "dlq_pending": lambda: letters.pending_count,
            "ready": lambda: self.is_ready()[0],
            "last_delivery_timestamp_seconds": self._last_delivery_timestamp,
        }
        for name, read in readings.items():
            with suppress(KeyError):
                self.metrics.watch(name, read)

    def _oldest_undelivered_seconds(self) -> float:
        oldest = [moment for one in self.router.assignments.values() if (moment := one.ledger.oldest_appended_at) is not None]
        return max(0.0, time.monotonic() - min(oldest)) if oldest else 0.0

    def _last_delivery_timestamp(self) -> float:
        assert self.pump is not None
        at = self.pump.last_delivery_at
        return 0.0 if at is None else time.time() - (time.monotonic() - at)


def _dialect(settings: Settings) -> Dialect:
    return MediaCollection(urlsplit(settings.api.url).path)


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
        starts=Starts(
            required=dialect.required_start_params, defaults=session.start_params, may_join=session.without_start == "open"
        ),
    )


def _transport(settings: Settings) -> httpx.AsyncBaseTransport:
    api = settings.api
    tls = tls_context(api.ca_file, api.client_cert_file, api.client_key_file)
    build = Transport if api.transport == "fast" else stock_transport
    return build(
        tls=tls,
        connections_max=api.concurrency_max,
        idle_seconds_max=api.connection_idle_seconds_max,
        age_seconds_max=api.connection_age_seconds_max,
    )

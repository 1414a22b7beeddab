"""Builds every part once, joins them, and takes them down in reverse order.

In: settings. Out: a running relay, and its exit code. The parts receive plain values: `wiring.py` reads the settings for them.
"""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack, suppress

import relay
from relay import memory
from relay.api.calls import Calls
from relay.api.edge_words import VOCABULARY
from relay.api.traced import Traced
from relay.errors import RelayError
from relay.formats import KnowsSchemas, choose_decoder
from relay.health import Verdict, is_live, is_ready
from relay.kafka.dead_letters import DeadLetters
from relay.kafka.source import Source
from relay.kafka.whereabouts import Found, Locator
from relay.looks import Looks
from relay.observe import logs
from relay.observe.account import account
from relay.observe.admin import Admin, health_routes
from relay.observe.console.routes import console_routes
from relay.observe.console.subject import Facts, Subject
from relay.observe.history import History
from relay.observe.metrics import Metrics, Tallies
from relay.observe.witness import Witness
from relay.parts import Parts
from relay.pump import Pump
from relay.readings import watch
from relay.settings import Settings, masked
from relay.wiring import (
    authorize,
    build_client,
    build_dialect,
    build_memoirs,
    build_reader,
    build_router,
    build_tokens,
    build_traces,
    build_transport,
    kafka_of,
    look_at_topics,
)

log = logging.getLogger("relay.app")


def run(settings: Settings) -> int:
    """Serve until a signal asks to stop; the exit code says how it ended. On uvloop, where there is one."""
    logs.configure(settings.log.level, settings.log.format)
    memory.keep_house()
    try:
        import uvloop  # noqa: PLC0415  # not on every platform
    except ImportError:
        return asyncio.run(serve(settings))
    return uvloop.run(serve(settings))


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

    def __init__(self, settings: Settings, *, can_administer: bool = True) -> None:
        """Build nothing yet. The embedded broker of the sandbox lets nobody create or inspect topics, hence `can_administer`."""
        self.settings = settings
        self.tallies = Tallies()
        self.tallies.faults.learn(VOCABULARY)
        self.metrics = Metrics(self.tallies, version=relay.__version__)
        self.witness = Witness(lines_max=settings.admin.time_lines_max)
        kind = (settings.api.dialect, settings.kafka.group_protocol, settings.session.state)
        self.metrics.watch("config_info", lambda: {kind: 1})
        self._dialect = build_dialect(settings, self.tallies)
        self.router = build_router(settings, self._dialect)
        self._read_with = build_reader(settings, self._dialect)
        self._can_administer = can_administer
        self._stop_asked = asyncio.Event()
        self._failure: BaseException | None = None
        self._kafka = kafka_of(settings)
        self._schemas: KnowsSchemas | None = None  # when records are written in schemas of a registry
        self.parts: Parts | None = None  # once it serves
        self.admin: Admin | None = None
        self.is_serving = asyncio.Event()
        self._looks = Looks(self.router, parts=lambda: self.parts, is_ready=self.is_ready)
        self._history = History(self.tallies, self._looks)
        self._locator: Locator | None = None  # once the topics are known

    # --- the face ---------------------------------------------------------------------------------------------------------------------

    def ask_to_stop(self) -> None:
        """Drain and leave; asked twice, leave without waiting for calls under way."""
        if not self._stop_asked.is_set():
            log.info("asked to stop")
            self._stop_asked.set()
        elif self.parts is not None:
            log.warning("asked to stop again: leaving without waiting")
            self.parts.pump.hurry()

    def is_live(self) -> Verdict:
        """For `/livez`."""
        return is_live(self.parts)

    def is_ready(self) -> Verdict:
        """For `/readyz`."""
        failing = self._schemas.failure if self._schemas is not None else ""
        return is_ready(self.parts, is_stopping=self._stop_asked.is_set(), schema_failure=failing)

    async def run(self) -> int:
        """Start, serve, stop. Raises `RelayError` when the start fails."""
        settings = self.settings
        async with AsyncExitStack() as stack:
            routes = health_routes(live=self.is_live, ready=self.is_ready, metrics=self.metrics)
            if settings.admin.console:
                self._history.begin(asyncio.get_running_loop())
                stack.callback(self._history.stop)
                routes |= console_routes(self._subject())
            self.admin = Admin(settings.admin.host, settings.admin.port, routes)
            await self.admin.start()
            stack.push_async_callback(self.admin.stop)
            partitions = await self._unless_stopped(look_at_topics(settings, self._kafka, can_administer=self._can_administer))
            if partitions is not None:
                await self._serve(stack, partitions)
        return self._exit_code()

    # --- the inside -------------------------------------------------------------------------------------------------------------------

    def _subject(self) -> Subject:
        """What the console looks at."""
        settings = self.settings
        return Subject(
            facts=Facts(
                version=relay.__version__,
                name=settings.kafka.group_instance_id or socket.gethostname(),
                group=settings.kafka.group_id,
                dialect=settings.api.dialect,
                dead_letter_topic=settings.kafka.dead_letter_topic_name,
                concurrency_max=settings.api.concurrency_max,
                buffer_events_max=settings.limits.buffer_events_max,
                buffer_bytes_max=settings.limits.buffer_bytes_max,
                lanes_max=settings.limits.lanes_max,
                is_masked=not settings.admin.unmasked,
                settings=masked(settings),
            ),
            parts=self._looks,
            router=self.router,
            tallies=self.tallies,
            witness=self.witness,
            history=self._history,
            locate=self._locate,
            started_at=time.time(),
        )

    async def _locate(self, key: str) -> list[Found]:
        return [] if self._locator is None else await self._locator.locate(key)

    async def _unless_stopped(self, work: Coroutine[None, None, dict[str, int]]) -> dict[str, int] | None:
        """Do the work, unless the relay is asked to stop meanwhile: a topic that is missing is waited for without end."""
        working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(self._stop_asked.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if working.done():
            return working.result()
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        return None

    async def _serve(self, stack: AsyncExitStack, partitions: Mapping[str, int]) -> None:
        settings = self.settings
        self._locator = Locator(group_id=settings.kafka.group_id, partitions=partitions, **self._kafka)
        self.parts = parts = self._build(stack, partitions)
        watch(self.metrics, parts, is_ready=lambda: self.is_ready()[0])
        parts.pump.begin()
        parts.source.start()
        self.is_serving.set()
        log.info("serving", extra={"version": relay.__version__, "dialect": settings.api.dialect, "state": settings.session.state})
        if settings.session.state == "memory":
            log.warning("sessions are remembered in memory only: a restart opens them again and repeats what was under way")
        await self._stop_asked.wait()
        if self._failure is None:
            await self._drain(parts)
        self._settle(parts.pump)

    def _build(self, stack: AsyncExitStack, partitions: Mapping[str, int]) -> Parts:
        """Build every part, from the outside in; what was built is taken down in reverse order."""
        settings, loop, kafka = self.settings, asyncio.get_running_loop(), self._kafka
        transport = build_transport(settings)
        stack.push_async_callback(transport.aclose)
        client = build_client(settings, self._dialect, transport)
        tokens = build_tokens(settings, client, stack, self.tallies)
        if tokens is not None:
            stack.push_async_callback(tokens.stop)
            tokens.start(self._failed)
        traces = build_traces(settings, self.tallies, stack)
        traced = client if traces is None else Traced(client, traces)
        calls = Calls(authorize(settings, client, traced, tokens), observe=self.tallies.request)
        stack.push_async_callback(calls.stop)
        memoirs = build_memoirs(settings, kafka, self.tallies, loop)
        stack.callback(memoirs.close)
        letters = DeadLetters(topic=settings.kafka.dead_letter_topic_name, version=relay.__version__, loop=loop, **kafka)
        stack.callback(letters.close)
        source = Source(
            topics=settings.kafka.topics,
            group_id=settings.kafka.group_id,
            group_protocol=settings.kafka.group_protocol,
            group_instance_id=settings.kafka.group_instance_id,
            revoke_seconds_max=max(settings.kafka.revoke_seconds_max, settings.drain_seconds_max),
            partition_count=sum(partitions.values()) or 8,
            deliver=lambda message: pump.deliver(message),  # noqa: PLW0108  # the pump is built after the source
            **kafka,
        )
        stack.push_async_callback(source.close)
        decoder, self._schemas = choose_decoder(settings.input, loop, record_bytes_max=settings.limits.record_bytes_max)
        if self._schemas is not None:
            stack.callback(self._schemas.close)
        pump = Pump(
            router=self.router,
            reader=self._read_with(decoder),
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
            witness=self.witness,
            traces=traces,
        )
        decoder.tell(pump.read_on)
        calls.report_to(self.witness.answering(pump.put), self._failed)
        return Parts(self.router, pump, source, letters, memoirs, tokens)

    async def _drain(self, parts: Parts) -> None:
        """Nothing new leaves; calls under way end; memoirs, receipts and offsets are written; the group is left."""
        self.router.drain()
        parts.pump.leaving_seconds_max = self.settings.drain_seconds_max
        has_left = await parts.source.close()
        log.info(
            "stopped",
            extra={
                "delivered": self.tallies.delivered_count,
                "calls_cut_short": self.router.in_flight,
                "has_left_the_group": has_left,
            },
        )

    def _settle(self, pump: Pump) -> None:
        """Say what became of everything that was read."""
        figures = account(self.tallies, not_committed=pump.unfinished_count + pump.left_count, extra=self.router.extra_outcomes)
        log.log(logging.ERROR if figures["unaccounted"] else logging.INFO, "account", extra=figures)

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

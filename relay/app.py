"""Builds every part once, joins them, and takes them down in reverse order.

In: settings. Out: a running relay, and its exit code. Only this module reads settings; the parts receive plain values.
"""

import asyncio
import gc
import logging
import signal
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

import relay
from relay.api.calls import Calls, Performs
from relay.api.client import ApiClient
from relay.api.collection import MediaCollection
from relay.api.credentials import Authorized, SecretHeaders, Tokens
from relay.api.dialect import Dialect
from relay.api.edge import MediaEdge
from relay.api.edge_words import VOCABULARY
from relay.api.tls import tls_context
from relay.api.token_endpoint import Application, NoToken, Token, TokenEndpoint
from relay.api.traced import Traced
from relay.api.transport import Transport, stock_transport
from relay.check.api import Reach
from relay.check.findings import Report
from relay.check.kafka import Wanted
from relay.check.whole import check_all
from relay.core.backoff import Backoff
from relay.core.patience import Rules
from relay.core.policies import skipped_when_unknown, too_old_by_kind
from relay.core.pressure import Limits
from relay.core.router import Router
from relay.core.sequence import Order, Policy
from relay.core.silence import KeepAlive
from relay.core.starts import Starts
from relay.errors import RelayError, SettingsError
from relay.formats import KnowsSchemas, choose_decoder
from relay.health import Verdict, is_live, is_ready
from relay.input.decoding import Decodes
from relay.input.mapping.vocabulary import START_REQUIRED
from relay.input.reading import Reader, prepare_reader
from relay.kafka.dead_letters import DeadLetters
from relay.kafka.source import Source
from relay.kafka.state_carry_over import Partitioner
from relay.kafka.state_carry_over import carry_over as carry_sessions_over
from relay.kafka.state_topic import MemoryState, StateTopic, state_topic_of
from relay.kafka.state_topic_check import ensure_state_topic
from relay.kafka.tap import Tap
from relay.kafka.topics import dead_letter_topic, ensure_topics
from relay.kafka.whereabouts import Found, Locator
from relay.letters.desk import Desk
from relay.letters.patience import patient
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
from relay.settings import Settings, masked, reread
from relay.tap.following import follow
from relay.tap.lines import Filter, Line, Lines

if TYPE_CHECKING:
    from relay.observe.tracing import Tracing

log = logging.getLogger("relay.app")


def run(settings: Settings) -> int:
    """Serve until a signal asks to stop; the exit code says how it ended. On uvloop, where there is one."""
    logs.configure(settings.log.level, settings.log.format)
    _seldom_look_for_garbage()
    try:
        import uvloop  # noqa: PLC0415  # not on every platform
    except ImportError:
        return asyncio.run(serve(settings))
    return uvloop.run(serve(settings))


def _seldom_look_for_garbage() -> None:
    """Events hold no cycles; that Python looks for some among them all the time took a thirtieth of all CPU."""
    gc.set_threshold(20_000, 20, 20)
    gc.freeze()  # what is imported by now stays: no look at it


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
        self.tallies.faults.learn(VOCABULARY)
        self.metrics = Metrics(self.tallies, version=relay.__version__)
        self.witness = Witness(lines_max=settings.admin.time_lines_max)
        kind = (settings.api.dialect, settings.kafka.group_protocol, settings.session.state)
        self.metrics.watch("config_info", lambda: {kind: 1})
        self._dialect = _dialect(settings, self.tallies)
        self.router = _router(settings, self._dialect)
        self._read_with = _read_with(settings, self._dialect)
        self._can_administer = can_administer
        self._stop_asked = asyncio.Event()
        self._failure: BaseException | None = None
        self._kafka: Outside = {"bootstrap_servers": settings.kafka.bootstrap_servers, "client": settings.kafka.client}
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
            partitions = await self._unless_stopped(_ensure_topics(settings, self._kafka, can_administer=self._can_administer))
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
        transport = _transport(settings)
        stack.push_async_callback(transport.aclose)
        client = _client(settings, self._dialect, transport)
        tokens = _tokens(settings, client, stack, self.tallies)
        if tokens is not None:
            stack.push_async_callback(tokens.stop)
            tokens.start(self._failed)
        traces = _traces(settings, self.tallies, stack)
        traced = client if traces is None else Traced(client, traces)
        calls = Calls(_authorized(settings, client, traced, tokens), observe=self.tallies.request)
        stack.push_async_callback(calls.stop)
        memoirs = _memoirs(settings, kafka, self.tallies, loop)
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


def _read_with(settings: Settings, dialect: Dialect) -> Callable[[Decodes], Reader]:
    """What reads records, once it has the decoder of their format. A mapping that cannot be used stops the start, before all else."""
    return prepare_reader(
        settings.input.mapping,
        ignore_unknown_fields=settings.input.unknown_fields == "ignore",
        start_defaults=settings.session.start_params,
        start_required=START_REQUIRED | dialect.required_start_params,
    )


def _router(settings: Settings, dialect: Dialect) -> Router:
    limits, retry, session = settings.limits, settings.retry, settings.session
    return Router(
        limits=Limits(
            concurrency_max=settings.api.concurrency_max,
            concurrency_min=settings.api.concurrency_min,
            is_concurrency_adaptive=settings.api.concurrency == "adaptive",
            requests_per_second_max=settings.api.requests_per_second_max,
            retry_after_seconds_max=retry.retry_after_seconds_max,
            buffer_bytes_max=limits.buffer_bytes_max,
            buffer_events_max=limits.buffer_events_max,
            session_events_max=limits.session_events_max,
            lanes_max=limits.lanes_max,
            shed_pings_after_seconds=limits.shed_pings_after_seconds,
            reopenings_per_second_max=session.reopenings_per_second_max,
        ),
        rules=Rules(
            backoff=Backoff(retry.backoff_seconds_initial, retry.backoff_seconds_max, retry.retry_after_seconds_max),
            attempts_max=retry.attempts_max,
            age_seconds_max=retry.age_seconds_max,
            openings_max=session.openings_max,
            idle_seconds_max=session.idle_seconds_max,
            park_after_seconds=session.park_after_seconds,
            keep_alive=None if session.keep_alive_seconds is None else KeepAlive(session.keep_alive_seconds),
            too_old=too_old_by_kind(retry.too_old),
            skipped_when_unknown=skipped_when_unknown(retry.unknown_outcome),
        ),
        starts=Starts(required=dialect.required_start_params, defaults=session.start_params, may_join=session.without_start == "open"),
        order=Order(
            policy=Policy(settings.input.order),
            sequence_header=settings.input.sequence_header,
            window_seconds=settings.input.reorder_seconds_max,
            window_events=settings.input.reorder_events_max,
        ),
    )


def _transport(settings: Settings) -> httpx.AsyncBaseTransport:
    return _transport_to(settings, settings.api.url, _tls(settings), connections_max=settings.api.concurrency_max)


def _tls(settings: Settings) -> ssl.SSLContext:
    api = settings.api
    try:
        return tls_context(api.ca_file, api.client_cert_file, api.client_key_file)
    except (ssl.SSLError, OSError) as error:
        files = "RELAY_API__CA_FILE, RELAY_API__CLIENT_CERT_FILE or RELAY_API__CLIENT_KEY_FILE"
        raise SettingsError(f"{files}: cannot be used ({error.strerror or 'no PEM'}); give certificates and key as PEM") from error


def _transport_to(settings: Settings, address: str, tls: ssl.SSLContext, *, connections_max: int) -> httpx.AsyncBaseTransport:
    api = settings.api
    if api.transport == "httpx":
        return stock_transport(
            connections_max=connections_max, tls=tls, idle_seconds_max=api.connection_idle_seconds_max, proxy_url=_proxy_url(address)
        )
    return Transport(
        connections_max=connections_max,
        tls=tls,
        idle_seconds_max=api.connection_idle_seconds_max,
        age_seconds_max=api.connection_age_seconds_max,
    )


def _proxy_url(address: str) -> str | None:
    """What HTTPS_PROXY, NO_PROXY and their like say."""
    url = urlsplit(address)
    return None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)


def _client(settings: Settings, dialect: Dialect, transport: httpx.AsyncBaseTransport) -> ApiClient:
    return ApiClient(transport, dialect, url=settings.api.url, headers=_headers(settings), timeout_seconds=settings.api.timeout_seconds)


def _headers(settings: Settings) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in settings.api.headers.items()}


def _tokens(settings: Settings, client: ApiClient, stack: AsyncExitStack, tallies: Tallies) -> Tokens | None:
    """What keeps a token, if there is to be one. Secret files are read anew for each."""
    oauth, current = settings.oauth, settings
    if oauth.token_url is None:
        return None
    endpoint = _token_endpoint(settings, oauth.token_url, stack)

    async def fetch() -> Token | NoToken:
        nonlocal current
        current = _reread(current)
        return await endpoint.fetch(_application(current))

    def carry(token: str) -> None:
        client.carry({**_headers(current), "Authorization": f"Bearer {token}"})

    return Tokens(fetch, carry=carry, counted=tallies.token_refreshed, ahead_seconds=oauth.refresh_seconds_ahead)


def _token_endpoint(settings: Settings, url: str, stack: AsyncExitStack) -> TokenEndpoint:
    try:
        tls = tls_context(settings.oauth.ca_file)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError("RELAY_OAUTH__CA_FILE: cannot be used; give certificates as PEM") from error
    transport = _transport_to(settings, url, tls, connections_max=1)
    stack.push_async_callback(transport.aclose)
    return TokenEndpoint(transport, url, timeout_seconds=settings.oauth.timeout_seconds)


def _application(settings: Settings) -> Application:
    oauth = settings.oauth
    assert oauth.client_id is not None  # the settings see to both
    assert oauth.client_secret is not None
    return Application(
        oauth.client_id,
        oauth.client_secret.get_secret_value(),
        oauth.scope,
        tuple((name, value.get_secret_value()) for name, value in oauth.form.items()),
        oauth.client_authentication,
    )


def _authorized(settings: Settings, client: ApiClient, traced: Performs, tokens: Tokens | None) -> Performs:
    """The client as it is, traced or not, unless it carries something that may change."""
    if tokens is not None:
        return Authorized(traced, tokens)
    if "secrets" not in settings.source_of(("api", "headers")):
        return traced
    current = settings

    def read() -> bool:
        nonlocal current
        former, current = current, _reread(current)
        client.carry(_headers(current))
        return _headers(current) != _headers(former)

    return Authorized(traced, SecretHeaders(read))


def _traces(settings: Settings, tallies: Tallies, stack: AsyncExitStack) -> "Tracing | None":
    """What keeps traces, if they are wanted. The library is imported only then."""
    tracing = settings.tracing
    if tracing.endpoint is None:
        return None
    try:
        from relay.observe.collector import Collector  # noqa: PLC0415  # an extra
        from relay.observe.tracing import Tracing  # noqa: PLC0415  # likewise
    except ImportError as error:
        raise SettingsError("RELAY_TRACING__ENDPOINT: needs an extra; install it: pip install 'relay[tracing]'") from error
    collector = Collector(tracing.endpoint, sample_ratio=tracing.sample_ratio, version=relay.__version__)
    stack.push_async_callback(collector.close)
    traces = Tracing(collector.provider, tallies, relation=tracing.relation)
    stack.callback(traces.stop)
    return traces


def _reread(settings: Settings) -> Settings:
    try:
        return reread(settings)
    except SettingsError as error:
        log.warning("the secret files cannot be used now: what they said before holds", extra={"cause": str(error)})
        return settings


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


async def check(settings: Settings, *, seconds_max: float) -> Report:
    """Ask everything that the relay needs whether it would serve; for the command line. Writes nothing."""
    kafka, api, oauth = settings.kafka, settings.api, settings.oauth
    wanted = Wanted(
        bootstrap_servers=kafka.bootstrap_servers,
        client=kafka.client,
        topics=kafka.topics,
        group_id=kafka.group_id,
        dead_letter_topic=kafka.dead_letter_topic_name,
        state_topic_of=_state_topic_names(settings) if settings.session.state == "kafka" else None,
        may_create=kafka.create_topics,
    )
    async with AsyncExitStack() as stack:
        transport = _transport(settings)
        stack.push_async_callback(transport.aclose)
        fetch = None
        if oauth.token_url is not None:
            endpoint = _token_endpoint(settings, oauth.token_url, stack)
            fetch = partial(endpoint.fetch, _application(settings))
        reach = Reach(
            url=api.url,
            transport=transport,
            tls=_tls(settings),
            headers=_headers(settings),
            seconds=min(api.timeout_seconds, seconds_max),
            is_direct=api.transport != "httpx" or _proxy_url(api.url) is None,
            fetch_token=fetch,
        )
        return await check_all(wanted, reach, _dialect(settings, Tallies()), seconds_max=seconds_max)


async def tap(  # noqa: PLR0913  # what the command line offers, each by its name
    settings: Settings,
    show: Callable[[Line], None],
    *,
    wanted: Filter,
    is_masked: bool,
    topics: Sequence[str] | None,
    partition: int | None,
    since_ms: int | None,
    count_max: int | None,
    seconds_max: float | None,
    opened: Callable[[int], None],
) -> None:
    """Follow the source topics beside whoever reads them; for the command line."""
    loop = asyncio.get_running_loop()
    decoder, schemas = choose_decoder(settings.input, loop, record_bytes_max=settings.limits.record_bytes_max)
    one = Tap(bootstrap_servers=settings.kafka.bootstrap_servers, client=settings.kafka.client)
    try:
        opened(await asyncio.to_thread(partial(one.open, topics or settings.kafka.topics, since_ms=since_ms, partition=partition)))
        reader = _read_with(settings, _dialect(settings, Tallies()))(decoder)
        lines = Lines(reader, words=VOCABULARY, wanted=wanted, is_masked=is_masked)
        await follow(one, lines, show, count_max=count_max, seconds_max=seconds_max)
    finally:
        if schemas is not None:
            schemas.close()
        await asyncio.to_thread(one.close)


@contextmanager
def dead_letter_desk(settings: Settings) -> Generator[Desk]:
    """Where dead letters are worked with; for the command line."""
    with ExitStack() as stack:
        loop = asyncio.new_event_loop()
        stack.callback(loop.close)
        decoder, schemas = choose_decoder(settings.input, loop, record_bytes_max=settings.limits.record_bytes_max)
        if schemas is not None:
            stack.callback(schemas.close)
        desk = Desk(
            bootstrap_servers=settings.kafka.bootstrap_servers,
            client=settings.kafka.client,
            group_id=settings.kafka.group_id,
            topic=settings.kafka.dead_letter_topic_name,
            state_topic_of=_state_topic_names(settings) if settings.session.state == "kafka" else None,
            read=patient(_read_with(settings, _dialect(settings, Tallies()))(decoder).read, loop),
            are_keys_text=settings.input.key_format == "raw",
        )
        stack.callback(desk.close)
        yield desk


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

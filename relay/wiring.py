"""Settings → parts: each function builds one, and decides nothing.

In: settings, and what the part rests on. Out: the part, not started. What must be taken down again goes onto the stack that is handed in.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypedDict
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

import relay
from relay.api.calls import Performs
from relay.api.client import ApiClient
from relay.api.collection import MediaCollection
from relay.api.credentials import Authorized, SecretHeaders, Tokens
from relay.api.dialect import Dialect
from relay.api.edge import MediaEdge
from relay.api.tls import tls_context
from relay.api.token_endpoint import Application, NoToken, Token, TokenEndpoint
from relay.api.transport import Transport, stock_transport
from relay.core.backoff import Backoff
from relay.core.patience import Rules
from relay.core.policies import skipped_when_unknown, too_old_by_kind
from relay.core.pressure import Limits
from relay.core.router import Router
from relay.core.sequence import Order, Policy
from relay.core.silence import KeepAlive
from relay.core.starts import Starts
from relay.errors import SettingsError
from relay.input.decoding import Decodes
from relay.input.mapping.vocabulary import START_REQUIRED
from relay.input.reading import Reader, prepare_reader
from relay.kafka.state_topic import MemoryState, StateTopic, state_topic_of
from relay.kafka.state_topic_check import ensure_state_topic
from relay.kafka.topics import dead_letter_topic, ensure_topics
from relay.observe.metrics import Tallies
from relay.settings import Settings, reread

if TYPE_CHECKING:
    from relay.observe.tracing import Tracing

log = logging.getLogger("relay.wiring")


class Outside(TypedDict):
    """What every Kafka client needs."""

    bootstrap_servers: str
    client: dict[str, str | int | float | bool]


def kafka_of(settings: Settings) -> Outside:
    """Where Kafka is, and how its clients are told to be."""
    return {"bootstrap_servers": settings.kafka.bootstrap_servers, "client": settings.kafka.client}


def build_dialect(settings: Settings, tallies: Tallies) -> Dialect:
    """The API that is spoken."""
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


def build_reader(settings: Settings, dialect: Dialect) -> Callable[[Decodes], Reader]:
    """What reads records, once it has the decoder of their format. A mapping that cannot be used stops the start, before all else."""
    return prepare_reader(
        settings.input.mapping,
        ignore_unknown_fields=settings.input.unknown_fields == "ignore",
        start_defaults=settings.session.start_params,
        start_required=START_REQUIRED | dialect.required_start_params,
    )


def build_router(settings: Settings, dialect: Dialect) -> Router:
    """The core, with its rules and limits."""
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


def build_transport(settings: Settings) -> httpx.AsyncBaseTransport:
    """The way to the API."""
    return _transport_to(settings, settings.api.url, build_tls(settings), connections_max=settings.api.concurrency_max)


def build_tls(settings: Settings) -> ssl.SSLContext:
    """Whom to trust, and who we say we are."""
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
            connections_max=connections_max, tls=tls, idle_seconds_max=api.connection_idle_seconds_max, proxy_url=proxy_url(address)
        )
    return Transport(
        connections_max=connections_max,
        tls=tls,
        idle_seconds_max=api.connection_idle_seconds_max,
        age_seconds_max=api.connection_age_seconds_max,
    )


def proxy_url(address: str) -> str | None:
    """What HTTPS_PROXY, NO_PROXY and their like say."""
    url = urlsplit(address)
    return None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)


def build_client(settings: Settings, dialect: Dialect, transport: httpx.AsyncBaseTransport) -> ApiClient:
    """Who speaks to the API."""
    return ApiClient(transport, dialect, url=settings.api.url, headers=headers_of(settings), timeout_seconds=settings.api.timeout_seconds)


def headers_of(settings: Settings) -> dict[str, str]:
    """What each request carries by order of the operator."""
    return {name: value.get_secret_value() for name, value in settings.api.headers.items()}


def build_tokens(settings: Settings, client: ApiClient, stack: AsyncExitStack, tallies: Tallies) -> Tokens | None:
    """What keeps a token, if there is to be one. Secret files are read anew for each."""
    oauth, current = settings.oauth, settings
    if oauth.token_url is None:
        return None
    endpoint = build_token_endpoint(settings, oauth.token_url, stack)

    async def fetch() -> Token | NoToken:
        nonlocal current
        current = _reread(current)
        return await endpoint.fetch(application_of(current))

    def carry(token: str) -> None:
        client.carry({**headers_of(current), "Authorization": f"Bearer {token}"})

    return Tokens(fetch, carry=carry, counted=tallies.token_refreshed, ahead_seconds=oauth.refresh_seconds_ahead)


def build_token_endpoint(settings: Settings, url: str, stack: AsyncExitStack) -> TokenEndpoint:
    """Where tokens come from."""
    try:
        tls = tls_context(settings.oauth.ca_file)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError("RELAY_OAUTH__CA_FILE: cannot be used; give certificates as PEM") from error
    transport = _transport_to(settings, url, tls, connections_max=1)
    stack.push_async_callback(transport.aclose)
    return TokenEndpoint(transport, url, timeout_seconds=settings.oauth.timeout_seconds)


def application_of(settings: Settings) -> Application:
    """Who asks for a token."""
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


def authorize(settings: Settings, client: ApiClient, traced: Performs, tokens: Tokens | None) -> Performs:
    """The client as it is, traced or not, unless it carries something that may change."""
    if tokens is not None:
        return Authorized(traced, tokens)
    if "secrets" not in settings.source_of(("api", "headers")):
        return traced
    current = settings

    def read() -> bool:
        nonlocal current
        former, current = current, _reread(current)
        client.carry(headers_of(current))
        return headers_of(current) != headers_of(former)

    return Authorized(traced, SecretHeaders(read))


def build_traces(settings: Settings, tallies: Tallies, stack: AsyncExitStack) -> "Tracing | None":
    """What keeps traces, if they are wanted. The library is imported only then."""
    tracing = settings.tracing
    if tracing.endpoint is None:
        return None
    try:
        from relay.observe.collector import Collector  # noqa: PLC0415  # an extra
        from relay.observe.tracing import Tracing  # noqa: PLC0415  # likewise
    except ImportError as error:
        raise SettingsError("RELAY_TRACING__ENDPOINT: needs an extra; install it: pip install 'relay[tracing]'") from error
    collector = Collector(tracing.endpoint, version=relay.__version__)
    stack.push_async_callback(collector.close)
    traces = Tracing(collector.provider, tallies, sample_ratio=tracing.sample_ratio, relation=tracing.relation)
    stack.callback(traces.stop)
    return traces


def _reread(settings: Settings) -> Settings:
    try:
        return reread(settings)
    except SettingsError as error:
        log.warning("the secret files cannot be used now: what they said before holds", extra={"cause": str(error)})
        return settings


async def look_at_topics(settings: Settings, kafka: Outside, *, can_administer: bool) -> dict[str, int]:
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
        name_of = state_topic_names(settings)
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


def state_topic_names(settings: Settings) -> Callable[[str], str]:
    """A pattern may match more topics later, so it counts as several from the beginning."""
    topics = settings.kafka.topics
    is_several = len(topics) > 1 or topics[0].startswith("^")
    return state_topic_of(settings.kafka.state_topic_name, 2 if is_several else 1)


def build_memoirs(settings: Settings, kafka: Outside, tallies: Tallies, loop: asyncio.AbstractEventLoop) -> StateTopic | MemoryState:
    """Where sessions are remembered."""
    if settings.session.state == "memory":
        return MemoryState(loop=loop)
    return StateTopic(
        name_of=state_topic_names(settings), group_id=settings.kafka.group_id, loop=loop, skipped=tallies.memoir_skipped, **kafka
    )

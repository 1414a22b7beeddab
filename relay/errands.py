"""What the command line asks for beside the service: one errand each, with the parts that the service has.

In: settings. Out: what was asked for. Nothing here runs in a relay that serves.
"""

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from functools import partial
from urllib.parse import urlsplit

from relay.api.edge_words import VOCABULARY
from relay.check.api import ApiChecks, Reach
from relay.check.findings import Report
from relay.check.kafka import KafkaChecks, Wanted
from relay.check.whole import Ask, check_all
from relay.formats import choose_decoder, registry_of
from relay.kafka.state_carry_over import Partitioner
from relay.kafka.state_carry_over import carry_over as carry_sessions_over
from relay.kafka.state_topic_check import ensure_state_topic
from relay.kafka.tap import Tap
from relay.kafka.topics import ensure_topics
from relay.letters.desk import Desk
from relay.letters.patience import patient
from relay.observe.metrics import Tallies
from relay.settings import Settings
from relay.settings.groups import InputSettings
from relay.tap.following import follow
from relay.tap.lines import Filter, Line, Lines
from relay.wiring import (
    application_of,
    build_dialect,
    build_reader,
    build_tls,
    build_token_endpoint,
    build_transport,
    headers_of,
    kafka_of,
    proxy_url,
    state_topic_names,
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
        state_topic_of=state_topic_names(settings) if settings.session.state == "kafka" else None,
        may_create=kafka.create_topics,
    )
    async with AsyncExitStack() as stack:
        transport = build_transport(settings)
        stack.push_async_callback(transport.aclose)
        fetch = None
        if oauth.token_url is not None:
            endpoint = build_token_endpoint(settings, oauth.token_url, stack)
            fetch = partial(endpoint.fetch, application_of(settings))
        reach = Reach(
            url=api.url,
            transport=transport,
            tls=build_tls(settings),
            headers=headers_of(settings),
            seconds=min(api.timeout_seconds, seconds_max),
            is_direct=api.transport != "httpx" or proxy_url(api.url) is None,
            fetch_token=fetch,
        )
        dialect = build_dialect(settings, Tallies())

        async def ask_kafka(report: Report) -> None:
            await KafkaChecks(wanted, report).run()

        async def ask_api(report: Report) -> None:
            await ApiChecks(reach, dialect, report).run()

        asks = [
            Ask("kafka", wanted.bootstrap_servers, ask_kafka),
            *_registry(settings.input, seconds_max),
            Ask("api", urlsplit(reach.url).netloc, ask_api),
        ]
        return await check_all(asks, seconds_max=seconds_max)


def _registry(chosen: InputSettings, seconds_max: float) -> list[Ask]:
    if not chosen.asks_registry:
        return []
    registry = registry_of(chosen, seconds_max=seconds_max)
    from relay.check.registry import check_registry  # noqa: PLC0415  # only who needs it has what it takes

    url = chosen.schema_registry.url or ""
    return [Ask("registry", url, partial(check_registry, registry, url))]


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
        reader = build_reader(settings, build_dialect(settings, Tallies()))(decoder)
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
            state_topic_of=state_topic_names(settings) if settings.session.state == "kafka" else None,
            read=patient(build_reader(settings, build_dialect(settings, Tallies()))(decoder).read, loop),
            are_keys_text=settings.input.key_format == "raw",
        )
        stack.callback(desk.close)
        yield desk


async def carry_over(settings: Settings, *, topic: str, new: str, partitioner: Partitioner, is_for_real: bool) -> dict[str, object]:
    """Copy the state topic of a source topic that got more partitions into a new one; for the command line."""
    kafka = kafka_of(settings)
    former = state_topic_names(settings)(topic)
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

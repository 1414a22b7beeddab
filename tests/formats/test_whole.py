"""A whole relay reads every format and every compression, and outlasts a registry that is away."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from confluent_kafka import Producer

from relay.app import App
from relay.input import schemas
from relay.input.framing import frame
from relay.sandbox.broker import embedded_broker
from relay.sandbox.encoding import Encoding
from relay.sandbox.fake_api import FakeApi
from relay.sandbox.fake_registry import FakeRegistry
from relay.sandbox.saying import Said
from relay.settings import load

SECONDS_MAX = 30.0
TOPIC = "player-events"
START = {
    "analytics.trackingServer": "example.sc.omtrdc.net",
    "analytics.reportSuite": "suite",
    "visitor.marketingCloudOrgId": "0123@AdobeOrg",
    "media.id": "title-1",
    "media.name": "a title",
    "media.length": 3600,
    "media.contentType": "vod",
    "media.playerName": "player",
    "media.channel": "channel",
}


def session(key: str) -> list[Said]:
    """A start, two pings and an end."""
    kinds = ["sessionStart", "play", "ping", "ping", "sessionEnd"]
    said = []
    for place, kind in enumerate(kinds):
        event = {"eventType": kind, "playerTime": {"playhead": place * 1.5, "ts": 1_700_000_000_000 + place}}
        event |= {"params": START} if kind == "sessionStart" else {}
        said.append(Said(key, 0.0, json.dumps(event).encode(), kind, 0, key.encode()))
    return said


async def until(is_reached: Callable[[], bool], what: str) -> None:
    """Wait for a named fact."""
    deadline = time.monotonic() + SECONDS_MAX
    while not is_reached():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)


@asynccontextmanager
async def fake_api() -> AsyncIterator[tuple[FakeApi, str]]:
    """The strict fake, and its address."""
    api = FakeApi()
    url = await api.start()
    try:
        yield api, url
    finally:
        await api.stop()


class Running:
    """A relay between an embedded broker and a strict fake API."""

    def __init__(self, bootstrap_servers: str, api_url: str, **environ: str) -> None:
        """Settings as an operator would give them."""
        self.app = App(
            load(
                None,
                environ={
                    "RELAY_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
                    "RELAY_KAFKA__GROUP_PROTOCOL": "consumer",
                    "RELAY_API__URL": api_url,
                    "RELAY_SESSION__STATE": "memory",
                    "RELAY_ADMIN__HOST": "127.0.0.1",
                    "RELAY_ADMIN__PORT": "0",
                    **environ,
                },
            ),
            can_administer=False,
        )

    async def work(self, is_done: Callable[["Running"], bool], meanwhile: Callable[["Running"], Any] | None = None) -> None:
        """Serve until something is done."""
        serving = asyncio.create_task(self.app.run())
        try:
            await until(lambda: self.app.is_serving.is_set() or serving.done(), "serving")
            if meanwhile is not None:
                await meanwhile(self)
            await until(lambda: is_done(self) or serving.done(), "done")
        finally:
            self.app.ask_to_stop()
            assert await serving == 0

    @property
    def delivered(self) -> int:
        """Events that the API took."""
        return self.app.tallies.delivered_count


def produce(bootstrap_servers: str, said: list[tuple[bytes | None, bytes | None]], **properties: str) -> None:
    """Put records into the topic."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 50, **properties})
    for key, value in said:
        producer.produce(TOPIC, key=key, value=value)
    assert producer.flush(10) == 0


@pytest.mark.parametrize("form", ["avro", "protobuf", "json-schema"])
def test_a_registry_that_is_away_costs_nothing_but_time(
    form: Any, fake_registry: FakeRegistry, fake_registry_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything waits and is delivered once it is back; what no schema explains is set aside, and nothing else."""
    monkeypatch.setattr(schemas, "BELIEVED_AFTER_SECONDS", 0.5)

    async def story() -> None:
        with embedded_broker([TOPIC, "relay.dead-letters"], partitions=2) as bootstrap_servers:
            async with fake_api() as (api, url):
                encode = Encoding(form, fake_registry_url, TOPIC)
                said = [(one.record_key, encode(one)) for number in range(5) for one in session(f"player-{number}")]
                poison = [(b"player-0", frame(4_711, b"??", steps=(0,))), (b"player-1", b'{"eventType": "ping"}')]
                produce(bootstrap_servers, [*said[:7], *poison, *said[7:]])
                fake_registry.status = 503
                running = Running(bootstrap_servers, url, RELAY_INPUT__FORMAT=form, RELAY_INPUT__SCHEMA_REGISTRY__URL=fake_registry_url)

                async def come_back(one: Running) -> None:
                    assert one.app.parts is not None
                    pump = one.app.parts.pump
                    await until(lambda: pump.backlog.record_count == len(said) + len(poison), "all of it waits")
                    await until(lambda: len(fake_registry.requests) > 2, "it is asked again")
                    assert (one.delivered, api.account().total.received) == (0, 0)
                    fake_registry.status = 0

                letters = {"unknown_schema": 1, "not_decodable": 1}
                await running.work(lambda one: one.delivered == len(said) and _letters(one) == letters, come_back)
                account = api.account()
                assert (account.is_clean, account.total.received, account.total.repeats) == (True, len(said), 0)

    asyncio.run(story())


def _letters(running: Running) -> dict[str, int]:
    counts = running.app.tallies.counters["relay_events_total"].counts
    return {reason: int(count) for (outcome, reason), count in counts.items() if outcome == "dead_lettered"}


def test_every_compression_is_read() -> None:
    """What producers choose, the client undoes."""

    async def story() -> None:
        with embedded_broker([TOPIC, "relay.dead-letters"], partitions=2) as bootstrap_servers:
            async with fake_api() as (api, url):
                codecs = ["none", "gzip", "snappy", "lz4", "zstd"]
                for codec in codecs:
                    produce(bootstrap_servers, [(one.record_key, one.value) for one in session(codec)], **{"compression.type": codec})
                running = Running(bootstrap_servers, url)
                await running.work(lambda one: one.delivered == 5 * len(codecs))
                assert api.account().is_clean

    asyncio.run(story())

"""Each preset from a real topic into sessions that the strict API takes, in both dialects."""

import asyncio
import itertools
import time
from collections.abc import Callable

import pytest

from relay.app import App
from relay.input.presets import names
from relay.sandbox.accents import Accent, presets
from relay.sandbox.broker import embedded_broker
from relay.sandbox.crowd import crowd
from relay.sandbox.fake_api import FakeApi
from relay.sandbox.producing import Producing
from relay.sandbox.shapes import Shape
from relay.settings import load

SECONDS_MAX = 30.0
TOPIC = "player-events"
SHAPE = Shape(content_seconds_min=60, content_seconds_max=200, preroll_share=0.7, state_changes_per_hour=60, pauses_per_hour=60)
ACCOUNT = (
    '{"analytics.trackingServer": "company.sc.omtrdc.net", "analytics.reportSuite": "company",'
    ' "visitor.marketingCloudOrgId": "0123456789ABCDEF01234567@AdobeOrg"}'
)


def test_players_speak_every_preset() -> None:
    """What comes with the relay can be tried with the relay alone."""
    assert {*presets(), "native"} == set(names())


async def until(is_reached: Callable[[], bool], what: str) -> None:
    """Wait for a named fact."""
    deadline = time.monotonic() + SECONDS_MAX
    while not is_reached():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(("preset", "dialect"), [*itertools.product(presets(), ("media-collection", "media-edge"))])
def test_a_preset_goes_from_the_topic_to_the_api(preset: str, dialect: str) -> None:
    """Every record is read, nothing is set aside, no request is refused, and each player's session is opened."""

    async def story() -> None:
        api = FakeApi()
        url = await api.start()
        try:
            with embedded_broker([TOPIC, "relay.dead-letters"], partitions=2) as bootstrap_servers:
                await work(bootstrap_servers, url)
        finally:
            await api.stop()

    async def work(bootstrap_servers: str, url: str) -> None:
        settings = load(
            None,
            environ={
                "RELAY_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
                "RELAY_KAFKA__GROUP_PROTOCOL": "consumer",
                "RELAY_API__URL": url,
                "RELAY_API__DIALECT": dialect,
                "RELAY_API__DATASTREAM_ID": "datastream",
                "RELAY_SESSION__STATE": "memory",
                "RELAY_SESSION__START_PARAMS": ACCOUNT,
                "RELAY_INPUT__MAPPING": preset,
                "RELAY_ADMIN__HOST": "127.0.0.1",
                "RELAY_ADMIN__PORT": "0",
            },
        )
        app = App(settings, can_administer=False)
        with Producing(bootstrap_servers=bootstrap_servers, topic=TOPIC, encode=Accent(preset)) as producing:
            await producing.connect()
            await producing.run(crowd(5, 3, SHAPE, began_ms=1_706_695_200_000))
            serving = asyncio.create_task(app.run())
            try:
                await until(lambda: app.tallies.consumed_count() >= producing.confirmed or serving.done(), "all records are read")
                await until(lambda: app.router.unfinished_count == 0 or serving.done(), "all records are finished")
            finally:
                app.ask_to_stop()
                assert await serving == 0
        assert app.tallies.outcome_count("dead_lettered") == 0
        assert {status for _, status in app.tallies.requests} <= {200, 201, 204}
        assert app.tallies.delivered_count > producing.confirmed / 4
        opened = sum(app.tallies.counters["relay_sessions_opened_total"].counts.values())
        assert opened >= 5
        assert app.router.order_violations == 0

    asyncio.run(story())

"""A Kafka, a strict API, a relay that comes and goes, and the command line beside it.

In: what players say. Out: what the commands print, and the API's account of what it got.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any, Final

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from relay.app import App
from relay.cli import main
from relay.sandbox.broker import embedded_broker
from relay.sandbox.fake_api import FakeApi
from relay.settings import load

TOPIC: Final = "player-events"
LETTERS: Final = "relay.dead-letters"
PARTITIONS: Final = 4
SECONDS_MAX: Final = 60.0

START: Final = {
    "analytics.trackingServer": "example.sc.omtrdc.net",
    "analytics.reportSuite": "suite",
    "visitor.marketingCloudOrgId": "0123@AdobeOrg",
    "media.id": "title-1",
    "media.name": "A title",
    "media.length": 3600,
    "media.contentType": "vod",
    "media.playerName": "player",
    "media.channel": "channel",
}


class Stage:
    """Everything that a story of letters needs."""

    def __init__(self, bootstrap: str, api: FakeApi, url: str, *, is_real: bool, settings: dict[str, str]) -> None:
        """Nothing runs but Kafka and the API."""
        self.api = api
        self.bootstrap = bootstrap
        self.environment = {
            "RELAY_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
            "RELAY_KAFKA__TOPICS": TOPIC,
            "RELAY_KAFKA__GROUP_PROTOCOL": "classic" if is_real else "consumer",
            "RELAY_API__URL": url,
            "RELAY_RETRY__BACKOFF_SECONDS_INITIAL": "0.05",
            "RELAY_RETRY__BACKOFF_SECONDS_MAX": "0.2",
            "RELAY_ADMIN__HOST": "127.0.0.1",
            "RELAY_ADMIN__PORT": "0",
            **settings,
        }
        self.topic = settings.get("RELAY_KAFKA__TOPICS", TOPIC)
        self.said: list[tuple[str, int, str]] = []
        self._is_real = is_real
        self._producer = Producer({"bootstrap.servers": bootstrap, "logger": logging.getLogger("tests.silent")})
        self._ts = 1_700_000_000_000

    def say(self, key: str, *kinds: str, headers: Sequence[tuple[str, bytes]] = (), expected: bool = True, **members: Any) -> None:
        """A player says something; what is expected of it, the API's account is held against."""
        for kind in kinds:
            self._ts += 1_000
            event: dict[str, Any] = {"eventType": kind, "playerTime": {"playhead": (self._ts % 10**7) / 1000, "ts": self._ts}, **members}
            if kind == "sessionStart":
                event |= {"params": {**START, **members.get("params", {})}, "customMetadata": {"playerSession": key}}
            self._producer.produce(self.topic, key=key.encode(), value=json.dumps(event).encode(), headers=list(headers))
            if expected:
                self.said.append((key, self._ts, kind))
        assert self._producer.flush(20) == 0

    def set_aside(self, key: str | None, value: bytes | None, **headers: str) -> None:
        """A letter as an earlier relay may have written it; underscores for what stands behind `relay.`."""
        own = [(f"relay.{name}", text.encode()) for name, text in headers.items()]
        self._producer.produce(LETTERS, key=None if key is None else key.encode(), value=value, headers=own)
        assert self._producer.flush(20) == 0

    @asynccontextmanager
    async def relay(self) -> AsyncIterator[App]:
        """A relay runs; in the end it is asked to stop."""
        app = App(load(None, environ=self.environment), can_administer=self._is_real)
        running = asyncio.create_task(app.run())
        try:
            await until(lambda: app.is_serving.is_set() or running.done(), "the relay serves")
            yield app
        finally:
            app.ask_to_stop()
            await running

    async def say_refused(self, app: App, key: str, *kinds: str, **members: Any) -> None:
        """A player says something, and the API refuses it."""
        before = outcomes(app)
        self.api.set_faults(["all:400:1"])
        self.say(key, *kinds, **members)
        await until(lambda: outcomes(app) >= before + len(kinds), "it is set aside")
        self.api.set_faults([])

    async def say_taken(self, app: App, key: str, *kinds: str, **members: Any) -> None:
        """A player says something, and it is delivered."""
        before = outcomes(app)
        self.say(key, *kinds, **members)
        await until(lambda: outcomes(app) >= before + len(kinds), "it is delivered")

    async def handle_everything(self, count: int) -> App:
        """A relay runs until so many records have an outcome."""
        async with self.relay() as app:
            await until(lambda: outcomes(app) >= count, f"{count} outcomes")
        assert outcomes(app) == count
        return app

    async def command(self, *arguments: str) -> int:
        """`relay dead-letters …`, as if from a shell."""
        return await asyncio.to_thread(main, ["dead-letters", *arguments])

    def heard(self, key: str) -> list[tuple[str, int]]:
        """What the API took of a player session, in order: the type of each event, and the number of its API session."""
        numbers: dict[str, int] = {}
        return [
            (entry.heard.event_type, numbers.setdefault(entry.session.session_id, len(numbers) + 1))
            for player in self.api.players()
            if player.key == key
            for entry in player.entries
            if entry.session is not None and entry.outcome.name == "ACCEPTED"
        ]

    def account(self) -> Any:
        """What the API got, held against what was said."""
        said: dict[str, list[tuple[int, str]]] = {}
        for key, ts, kind in self.said:
            said.setdefault(key, []).append((ts, kind))
        return self.api.compare(said)


def new_place(bootstrap: str) -> dict[str, str]:
    """A topic and a group of its own on a real Kafka."""
    name = f"letters-{time.time_ns()}"
    admin = AdminClient({"bootstrap.servers": bootstrap, "logger": logging.getLogger("tests.silent")})
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(20)
    return {"RELAY_KAFKA__TOPICS": name, "RELAY_KAFKA__GROUP_ID": f"{name}.relay"}


async def until(is_so: Callable[[], object], name: str) -> None:
    """Wait for a named fact, with a deadline."""
    try:
        async with asyncio.timeout(SECONDS_MAX):
            while not is_so():  # noqa: ASYNC110  # nobody could tell of it
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {SECONDS_MAX} s: {name}") from None


def outcomes(app: App) -> int:
    """For how many records it is known what became of them."""
    return app.tallies.delivered_count + int(sum(app.tallies.counters["relay_events_total"].counts.values()))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Set a stage on the embedded broker, good for one `async with`; commands find its settings in the environment."""

    @asynccontextmanager
    async def set_up(*, real: str = "", faults: Sequence[str] = (), **settings: str) -> AsyncIterator[Stage]:
        api = FakeApi(seed=7, faults=faults)
        if real:
            settings |= new_place(real)
        with nullcontext(real) if real else embedded_broker((TOPIC, LETTERS, "relay.sessions"), partitions=PARTITIONS) as bootstrap:
            url = await api.start()
            try:
                stage = Stage(bootstrap, api, url, is_real=bool(real), settings=settings)
                for name, value in stage.environment.items():
                    monkeypatch.setenv(name, value)
                yield stage
            finally:
                await api.stop()

    return set_up

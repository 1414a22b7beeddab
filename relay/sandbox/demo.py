"""The demonstration: broker, API, players and the relay on one machine, in one process, with faults, a restart, and an account at the end.

In: how long, how much, which faults. Out: `Moment`s to look at while it runs, and an `Outcome`.

Everything that is judged comes from two sides that know nothing of the relay: what Kafka confirmed to the players, and what the strict fake
API recorded.
"""

import asyncio
import itertools
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import msgspec

from relay.app import App
from relay.sandbox.broker import EmbeddedBroker
from relay.sandbox.crowd import crowd
from relay.sandbox.fake_api.api import FakeApi
from relay.sandbox.fake_api.tally import Account
from relay.sandbox.manifest import Manifest
from relay.sandbox.producing import Producing
from relay.sandbox.saying import Said
from relay.sandbox.shapes import Shape
from relay.settings import Settings, load

TOPIC: Final = "player-events"
PARTITIONS: Final = 8
BYTES_PER_PARTITION: Final = 5_000_000  # what the embedded broker keeps: a relay that falls further behind would lose events
SETTLE_SECONDS_MAX: Final = 60.0
FRAME_SECONDS: Final = 0.2

FAULTS: Final = (
    "events:500:0.02",
    "events:404:0.003",
    "events:410:0.003",
    "events:503+1:0.0002",  # each of these two holds everything for a second
    "events:429+1:0.0001",
    "events:lost:0.002",
    "all:reset:0.01",
    "sessions:503:0.05",
    "sessions:noid:0.02",
    "events:slow+0.3:0.005",
)

SHAPE: Final = Shape(
    content_seconds_min=60,
    content_seconds_max=900,
    midroll_every_seconds=180,
    ramp_up_seconds=900,
    hostile_share=0.002,
    oversize_bytes=300_000,
)


_FOR_EDGE: Final = {
    "RELAY_API__DATASTREAM_ID": "demo",
    "RELAY_API__EDGE_DROPPED_PARAMS": "visitor.aamLocationHint,appInstallationId",  # the players say them, the Edge has no place for them
}


class Moment(msgspec.Struct):
    """What there is to see."""

    seconds: float
    produced: int
    delivered: int
    set_aside: int
    sessions_open: int
    sessions_opened: int
    requests_per_second: float
    p50_seconds: float
    p99_seconds: float
    faults: dict[str, int]
    restarts: int
    phase: str
    console: str


class Outcome(msgspec.Struct):
    """How it ended."""

    seconds: float
    events: int
    poison: int
    set_aside: int
    delivered: int
    restarts: int
    reopened_by_restart: int
    order_violations: int
    account: Account

    @property
    def is_good(self) -> bool:
        """Nothing lost, order kept, nothing repeated but where an answer was lost, and no session opened without need."""
        is_tidy = not self.order_violations and not self.account.total.openings_needless
        return self.account.is_clean and is_tidy and self.set_aside == self.poison


class Demo:
    """One demonstration."""

    def __init__(  # noqa: PLR0913  # choices, each by its name
        self,
        *,
        seconds: float,
        events_per_second: float,
        seed: int,
        faults: Sequence[str] = FAULTS,
        restarts: int = 1,
        dialect: str = "media-collection",
        console_port: int = 0,
    ) -> None:
        """Say how long players play, how fast, and what goes wrong meanwhile."""
        self._seconds = seconds
        self._events_per_second = events_per_second
        self._seed = seed
        self._restarts_wanted = restarts
        self._dialect = dialect
        self._console_port = console_port or _free_port()
        self._api = FakeApi(seed=seed, faults=faults)
        self._broker = EmbeddedBroker()
        self._manifest = Manifest()
        self._apps: list[App] = []
        self._phase = "starting"
        self._began = time.monotonic()
        self._rates: deque[tuple[float, int]] = deque(maxlen=int(2 / FRAME_SECONDS))
        self.outcome: Outcome | None = None

    async def run(self) -> AsyncIterator[Moment]:
        """Run it, and show a moment several times a second; `outcome` is there when it has ended."""
        work = asyncio.create_task(self._run())
        while not work.done():
            await asyncio.wait({work}, timeout=FRAME_SECONDS)
            yield self._moment()
        self.outcome = await work

    async def _run(self) -> Outcome:
        url = await self._api.start()
        bootstrap = self._broker.start((TOPIC, "relay.dead-letters", "relay.sessions"), partitions=PARTITIONS)
        settings = _settings(bootstrap, url, self._dialect, self._console_port)
        producing = Producing(bootstrap_servers=bootstrap, topic=TOPIC, on_confirmed=self._manifest.add)
        try:
            await producing.connect()
            self._phase = "playing"
            players = asyncio.create_task(producing.run(self._crowd(), events_per_second=self._events_per_second))
            stopper = asyncio.get_running_loop().call_later(self._seconds, producing.stop)
            for _ in range(self._restarts_wanted):
                await self._serve(settings, until=self._seconds / (self._restarts_wanted + 1))
                self._phase = "playing, relay restarted"
            await self._serve_until_quiet(settings, players, producing)
            stopper.cancel()
            return self._judge()
        finally:
            producing.close()
            await self._api.stop()
            self._broker.stop()

    async def _serve(self, settings: Settings, *, until: float) -> None:
        app, running = self._start(settings)
        await asyncio.wait({running}, timeout=until)
        app.ask_to_stop()
        await running

    async def _serve_until_quiet(self, settings: Settings, players: asyncio.Task[None], producing: Producing) -> None:
        app, running = self._start(settings)
        await asyncio.wait({running, players}, return_when=asyncio.FIRST_COMPLETED)
        self._phase = "settling"
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        while not running.done() and time.monotonic() < deadline and not (players.done() and self._finished >= producing.confirmed):
            await asyncio.wait({running}, timeout=FRAME_SECONDS)
        app.ask_to_stop()
        await running
        await players

    def _start(self, settings: Settings) -> tuple[App, asyncio.Task[int]]:
        app = App(settings, can_administer=False)
        self._apps.append(app)
        return app, asyncio.create_task(app.run())

    def _crowd(self) -> Iterator[Said]:
        began_ms = int(time.time() * 1000)
        sessions = max(20, int(self._seconds * self._events_per_second / 60))
        return itertools.chain.from_iterable(crowd(sessions, self._seed + round_, SHAPE, began_ms=began_ms) for round_ in itertools.count())

    @property
    def console(self) -> str:
        """Where to look at it."""
        return f"http://127.0.0.1:{self._console_port}/"

    @property
    def _finished(self) -> int:
        return self._delivered + self._set_aside

    @property
    def _delivered(self) -> int:
        return sum(app.tallies.delivered_count for app in self._apps)

    def _events(self, outcome: str) -> int:
        return int(
            sum(
                count
                for app in self._apps
                for (counted, *_), count in app.tallies.counters["relay_events_total"].counts.items()
                if counted == outcome
            )
        )

    @property
    def _set_aside(self) -> int:
        return self._events("dead_lettered")

    def _opened(self, cause: str | None = None) -> int:
        return int(
            sum(
                count
                for app in self._apps
                for (opened_for, *_), count in app.tallies.counters["relay_sessions_opened_total"].counts.items()
                if cause is None or opened_for == cause
            )
        )

    def _judge(self) -> Outcome:
        """Compare what Kafka confirmed with what the API recorded."""
        expected = {key: [(one.ts, one.event_type) for one in self._manifest.events(key)] for key in self._manifest.by_session}
        everything = [one for confirmed in self._manifest.by_session.values() for one in confirmed]
        return Outcome(
            seconds=time.monotonic() - self._began,
            events=sum(not one.is_poison for one in everything),
            poison=sum(one.is_poison for one in everything),
            set_aside=self._set_aside,
            delivered=self._delivered,
            restarts=self._restarts_wanted,
            reopened_by_restart=self._opened("rejoined") + self._opened("restarted"),
            order_violations=sum(app.router.order_violations for app in self._apps),
            account=self._api.compare({key: identities for key, identities in expected.items() if identities}),
        )

    def _moment(self) -> Moment:
        now = time.monotonic()
        requests = sum(sum(app.tallies.requests.values()) for app in self._apps)
        self._rates.append((now, requests))
        since, before = self._rates[0]
        p50, p99 = self._apps[-1].tallies.request_quantiles(0.5, 0.99) if self._apps else (0.0, 0.0)
        return Moment(
            seconds=now - self._began,
            produced=sum(map(len, self._manifest.by_session.values())),
            delivered=self._delivered,
            set_aside=self._set_aside,
            sessions_open=self._apps[-1].router.sessions_open if self._apps else 0,
            sessions_opened=self._opened(),
            requests_per_second=(requests - before) / (now - since) if now > since else 0.0,
            p50_seconds=p50,
            p99_seconds=p99,
            faults=self._api.injected,
            restarts=max(0, len(self._apps) - 1),
            phase=self._phase,
            console=self.console,
        )


def _free_port() -> int:
    """One port for all the relays that come one after the other, so that who looks at the console can go on looking."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def _settings(bootstrap: str, url: str, dialect: str, console_port: int) -> Settings:
    """The settings of a relay that is to be looked at: everything as it is by default, but nobody waits long."""
    return load(
        None,
        environ={
            "RELAY_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
            "RELAY_KAFKA__TOPICS": TOPIC,
            "RELAY_KAFKA__GROUP_PROTOCOL": "consumer",  # the embedded broker keeps members of classic groups waiting after a leave
            "RELAY_API__URL": url,
            "RELAY_API__DIALECT": dialect,
            **(_FOR_EDGE if dialect == "media-edge" else {}),
            "RELAY_API__TIMEOUT_SECONDS": "5",
            "RELAY_RETRY__BACKOFF_SECONDS_INITIAL": "0.1",
            "RELAY_RETRY__BACKOFF_SECONDS_MAX": "2",
            # With so many faults an event now and then meets more of them in a row than any real one, and would be set aside by right.
            "RELAY_RETRY__ATTEMPTS_MAX": "100",
            "RELAY_SESSION__OPENINGS_MAX": "20",
            "RELAY_ADMIN__HOST": "127.0.0.1",
            "RELAY_ADMIN__PORT": str(console_port),
        },
    )

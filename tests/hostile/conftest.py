"""A whole relay in this process, fed with values that carry marks, among faults and poison: what it shows of them is what tests look at.

In: a dialect and a transport. Out: `Seen`: everything that it wrote, served and requested. The marks are plain letters and digits, so that
no escaping hides them.
"""

import asyncio
import io
import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka import Producer

from relay.app import App
from relay.cli import main
from relay.core.inputs import Accepted, Answered
from relay.core.lane import State
from relay.observe import logs
from relay.observe.console.routes import API
from relay.sandbox.broker import embedded_broker
from relay.sandbox.fake_api import FakeApi
from relay.sandbox.fake_api.api import Exchange
from relay.sandbox.fake_api.dialect import Headers
from relay.sandbox.fake_api.tokens import TokenDesk
from relay.settings import Settings, load

TOPIC: Final = "player-events"
PARTITIONS: Final = 4
SETTLE_SECONDS_MAX: Final = 60.0
SESSION_PAGES: Final = 10
HEALTH: Final = ("/livez", "/readyz", "/nowhere", "/metrics")
CONSOLE: Final = (
    *("/", "/sessions", "/sessions?state=failing", "/partitions", "/dead-letters", "/openings", "/calls", "/settings"),
    *(address for address in API if "{" not in address),
)

# Secrets, then what players said, then what stood beside it in Kafka.
TOKEN, PASSWORD = "mk1token9c4e", "mk2password71ab"
KEY, PARAM, METADATA, QUALITY, NAME = "mk3key55d0", "mk4param0e1f", "mk5metadata8a2", "mk6quality6c3", "mk7name4b7d"
BROKEN, HEADER, MEMOIR = "mk8broken2f9", "mk9header13ee", "mk0memoir7da5"
MARKS: Final = (TOKEN, PASSWORD, KEY, PARAM, METADATA, QUALITY, NAME, BROKEN, HEADER, MEMOIR)

FAULTS: Final = (
    "events:500:0.05",
    "events:503+1:0.005",
    "events:429+date1:0.005",
    "events:400:0.03",
    "events:401:0.005",
    "events:404:0.03",
    "events:410:0.03",
    "events:lost:0.02",
    "events:truncated:0.02",
    "all:reset:0.02",
    "sessions:503:0.05",
    "sessions:400:0.03",
    "sessions:noid:0.05",
    "sessions:badid:0.05",
    "sessions:otherhost:0.05",
)

Object = dict[str, object]
Produced = tuple[bytes | None, bytes | None]


# --- what players say -----------------------------------------------------------------------------------------------------------------


def said(event_type: str, ts: int, **members: object) -> bytes:
    """One event."""
    return json.dumps({"eventType": event_type, "playerTime": {"playhead": ts / 1000, "ts": 1_700_000_000_000 + ts}, **members}).encode()


def start_params(**more: object) -> Object:
    """What either API wants of a start, and a marked name."""
    return {
        "analytics.trackingServer": "example.sc.omtrdc.net",
        "analytics.reportSuite": "suite",
        "visitor.marketingCloudOrgId": "0123@AdobeOrg",
        "media.id": "title-1",
        "media.name": PARAM,
        "media.length": 3600,
        "media.contentType": "vod",
        "media.playerName": "player",
        "media.channel": "channel",
        **more,
    }


def session(key: bytes, *, ends: bool = True) -> list[Produced]:
    """A session with something of each kind in it."""
    metadata = {"mail": METADATA}
    ad = {"media.ad.id": NAME, "media.ad.length": 15, "media.ad.podPosition": 1, "media.ad.playerName": "player"}
    events = [
        said("sessionStart", 0, params=start_params(), customMetadata=metadata),
        said("play", 1),
        said(
            "chapterStart",
            2,
            params={"media.chapter.index": 1, "media.chapter.offset": 0, "media.chapter.length": 60, "media.chapter.friendlyName": NAME},
            customMetadata=metadata,
        ),
        said("ping", 3, start={"params": start_params(), "customMetadata": metadata}),
        said("adBreakStart", 4, params={"media.ad.podIndex": 1, "media.ad.podSecond": 0, "media.ad.podFriendlyName": NAME}),
        said("adStart", 5, params=ad, customMetadata=metadata),
        said("adComplete", 6),
        said("adBreakComplete", 7),
        said("error", 8, qoeData={"media.qoe.errorID": QUALITY, "media.qoe.errorSource": "player"}),
        said("stateStart", 9, params={"media.state.name": "mute"}),
        said("ping", 10),
    ]
    events += [said("sessionEnd", 11)] if ends else []
    return [(key, event) for event in events]


def poison() -> list[Produced]:
    """Records that are no events, and events that no API takes; each with a mark."""
    key = f"{KEY}-poison".encode()
    return [
        (key, f'{{"eventType":"ping","{BROKEN}'.encode()),
        (key, None),
        (key, b""),
        (key, said(BROKEN, 1)),
        (key, said("ping", 1, **{BROKEN: 1})),
        (key, said("ping", 1, params=[BROKEN])),
        (key, said("ping", 1, params={"a": {"b": [BROKEN]}})),
        (key, said("ping", 1, customMetadata={"a": {BROKEN: 1}})),
        (key, said("ping", 1).replace(b'"playhead": 0.001', f'"playhead": "{BROKEN}"'.encode())),
        (key, said("ping", 1, sessionKey=7)),
        (key, said("ping", 1).replace(b'"playhead": 0.001', b'"playhead": ' + b"9" * 400)),
        (key, f'"{BROKEN}"'.encode()),
        (key, BROKEN.encode() * 30_000),
        (key, b"[" * 100_000),
        (key, b'{"params":' * 20_000),
        (b"\xff\xfe" + key, said("ping", 1)),
        (f"{KEY}".encode() * 500, said("ping", 1)),
        (None, said("ping", 1, params={"a": BROKEN})),
        (f"{KEY}-refused".encode(), said("sessionStart", 0, params=start_params(**{NAME: BROKEN}))),
        (f"{KEY}-refused".encode(), said("ping", 1)),
        (f"{KEY}-unknown".encode(), said("play", 1, params={NAME: BROKEN})),
    ]


def hostile_keys() -> list[bytes]:
    """Keys that would do harm in a URL, a header, a log line or a file name."""
    return [
        f"{KEY}\r\nX-Evil: 1".encode(),
        f"../../{KEY}/events".encode(),
        f"{KEY}?a=b#c".encode(),
        f"{KEY}\x00\x1b[2J".encode(),
        f"http://{KEY}.example/%2e%2e".encode(),
        f"{KEY}\u2028\U0001f4a9".encode(),
        f"{KEY}\ud800".encode("utf-8", "surrogatepass"),  # half a pair: no UTF-8
    ]


# --- the relay and what stands around it ------------------------------------------------------------------------------------------------


class WatchedApi(FakeApi):
    """The fake, with a record of the requests themselves."""

    def __init__(self, *, seed: int = 0, faults: Sequence[str] = (), tokens: TokenDesk | None = None) -> None:
        """Begin with no request."""
        super().__init__(seed=seed, faults=faults, tokens=tokens)
        self.targets: set[str] = set()
        self.headers: set[tuple[str, str]] = set()

    def exchange(self, method: str, target: str, headers: Headers, body: bytes) -> Exchange:
        """Remember, and answer."""
        self.targets.add(f"{method} {target}")
        self.headers.update((str(name).lower(), str(value)) for name, value in headers)
        return super().exchange(method, target, headers, body)


class Rig:
    """Kafka, an API, and one relay at a time."""

    @staticmethod
    async def wait_until(is_so: Callable[[], object]) -> None:
        """Wait for a fact, with a deadline."""
        async with asyncio.timeout(SETTLE_SECONDS_MAX):
            while not is_so():  # noqa: ASYNC110  # nobody could tell of it
                await asyncio.sleep(0.02)

    def __init__(self, bootstrap: str, api: WatchedApi, url: str, **settings: str) -> None:
        """Prepare; nothing runs but Kafka and the API."""
        self.api = api
        self.settings = self.read({"RELAY_KAFKA__BOOTSTRAP_SERVERS": bootstrap, "RELAY_API__URL": url, **SETTINGS, **settings})
        self.pages: list[str] = []
        self.printed: list[str] = []
        self._producer = Producer({"bootstrap.servers": bootstrap, "logger": logging.getLogger("tests.silent")})
        self._expected = 0

    @staticmethod
    def read(environ: dict[str, str]) -> Settings:
        """Settings from such an environment."""
        return load(None, environ=environ)

    def produce(self, records: Sequence[Produced], topic: str = TOPIC, **headers: bytes) -> None:
        """Write records; the relay owes an outcome for each of those in its topic."""
        for key, value in records:
            self._producer.produce(topic, key=key, value=value, headers=[("note", HEADER.encode()), *headers.items()])
        assert self._producer.flush(20) == 0
        self._expected += len(records) if topic == TOPIC else 0

    @asynccontextmanager
    async def relay(self) -> AsyncIterator[App]:
        """Run a relay; in the end it is asked to stop, unless it has stopped already."""
        app = App(self.settings, can_administer=False)
        running = asyncio.create_task(app.run())
        try:
            await self.wait_until(lambda: app.is_serving.is_set() or running.done())
            yield app
        finally:
            app.ask_to_stop()
            await running

    async def settle(self, *apps: App) -> None:
        """Wait until every record has an outcome, and look at the pages on the way."""
        await self.wait_until(lambda: sum(map(outcomes, apps)) >= self._expected)
        await self.look(apps[-1])

    async def wait_for_commits(self, app: App) -> None:
        """Wait until each partition has been committed to, which comes up to a second after its first events."""
        await self.wait_until(lambda: app.parts is not None and app.parts.source.lag() and len(app.parts.source.committed()) == PARTITIONS)

    async def look(self, app: App) -> str:
        """Ask for every page, the console's and those of some of its sessions as well; returns the metrics."""
        assert app.admin is not None
        opened = app.witness.audit.latest_openings()[:SESSION_PAGES]
        sessions = [f"/sessions/{one.place.topic}/{one.place.partition}/{logs.hashed(one.place.key or '')}" for one in opened]
        for path in (*CONSOLE, *sessions, *[f"/api{path}" for path in sessions], *HEALTH):
            reader, writer = await asyncio.open_connection("127.0.0.1", app.admin.port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            self.pages.append((await reader.read()).decode())
            writer.close()
            await writer.wait_closed()
        for name in [logs.hashed(one.place.key or "") for one in opened[:3]]:
            self.printed += [
                await asyncio.to_thread(printed_by, command, app.admin.port) for command in (["session", name], ["session", name, "--json"])
            ]
        for command in (["sessions"], ["sessions", "--json"], ["top", "--count", "1"], ["top", "--json"]):
            self.printed.append(await asyncio.to_thread(printed_by, command, app.admin.port))
        return self.pages[-1]


SETTINGS: Final = {
    "RELAY_KAFKA__TOPICS": TOPIC,
    "RELAY_KAFKA__GROUP_PROTOCOL": "consumer",  # the embedded broker keeps members of classic groups waiting after a leave
    "RELAY_KAFKA__CLIENT": json.dumps({"sasl.password": PASSWORD}),
    "RELAY_API__HEADERS": json.dumps({"Authorization": f"Bearer {TOKEN}"}),
    "RELAY_API__TIMEOUT_SECONDS": "5",
    "RELAY_RETRY__BACKOFF_SECONDS_INITIAL": "0.05",
    "RELAY_RETRY__BACKOFF_SECONDS_MAX": "0.2",
    "RELAY_ADMIN__HOST": "127.0.0.1",
    "RELAY_ADMIN__PORT": "0",
    "RELAY_LOG__LEVEL": "debug",
}


def outcomes(app: App) -> int:
    """For how many records it is known what became of them."""
    return app.tallies.delivered_count + int(sum(app.tallies.counters["relay_events_total"].counts.values()))


@pytest.fixture(scope="session")
def rig() -> Callable[..., Any]:
    """Make rigs, each good for one `async with`: which faults, and which settings besides those of all; `{url}` is where the API is."""

    @asynccontextmanager
    async def make(*, faults: Sequence[str] = (), tokens: TokenDesk | None = None, **settings: str) -> AsyncIterator[Rig]:
        api = WatchedApi(seed=7, faults=faults, tokens=tokens)
        with embedded_broker((TOPIC, "relay.dead-letters", "relay.sessions"), partitions=PARTITIONS) as bootstrap:
            url = await api.start()
            try:
                yield Rig(bootstrap, api, url, **{name: value.replace("{url}", url) for name, value in settings.items()})
            finally:
                await api.stop()

    return make


# --- one run, for all who look at it ------------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """What a run showed."""

    log: str = ""  # everything at level debug, from the loggers of all libraries
    written: str = ""  # what else the process wrote to its outputs
    pages: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)  # by the commands that look at a running relay
    targets: set[str] = field(default_factory=set)
    headers: set[tuple[str, str]] = field(default_factory=set)
    exit_codes: list[int] = field(default_factory=list)
    delivered: int = 0
    letters: dict[str, int] = field(default_factory=dict)


VARIANTS: Final = {
    "media-collection": {"RELAY_LOG__FORMAT": "json"},
    "media-collection over httpx": {"RELAY_API__TRANSPORT": "httpx", "RELAY_API__CONCURRENCY_MAX": "8", "RELAY_LOG__FORMAT": "console"},
    "media-edge": {"RELAY_API__DIALECT": "media-edge", "RELAY_API__DATASTREAM_ID": "stream-1", "RELAY_LOG__FORMAT": "json"},
}


@pytest.fixture(scope="session", params=VARIANTS, ids=lambda name: name.replace(" ", "-"))
def seen(request: pytest.FixtureRequest, rig: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Two relays one after the other, with faults, poison, foreign memoirs, and a bug of the relay's own at the end."""
    settings = VARIANTS[request.param]
    folder = tmp_path_factory.mktemp("hostile")
    seen = Seen()
    with all_output_to(folder / "written"), everything_logged_to(folder / "log", settings["RELAY_LOG__FORMAT"]):
        asyncio.run(_run(seen, rig, settings))
    seen.log = (folder / "log").read_text("utf-8", "surrogateescape")
    seen.written = (folder / "written").read_text("utf-8", "surrogateescape")
    return seen


async def _run(seen: Seen, rig: Callable[..., Any], settings: dict[str, str]) -> None:
    async with rig(faults=FAULTS, **settings) as one:
        one.produce([(MEMOIR.encode(), MEMOIR.encode()), (MEMOIR.encode(), f'{{"v":99,"id":"{MEMOIR}"}}'.encode())], "relay.sessions")
        records = [session(f"{KEY}-{number}".encode(), ends=number % 4 != 0) for number in range(40)]
        records += map(session, hostile_keys())
        one.produce([record for events in records for record in events[:6]] + poison())
        for mark in ("relay.start", "relay.replay_end", "relay.origin", "relay.replay"):
            one.produce([(f"{KEY}-poison".encode(), None)], **{mark: b'{"session":"%s","x":' % BROKEN.encode() + b"[" * 100_000})
        async with one.relay() as first:
            await one.settle(first)
        one.produce([record for events in records for record in events[6:]])
        async with one.relay() as second:
            await one.settle(first, second)
            assert second.parts is not None
            lane = next(lane for lane in second.router.lanes() if lane.state is State.READY)
            second.parts.pump.put(Answered(lane, Accepted()))  # nobody asked anything: a bug
            await one.wait_until(lambda: second._failure is not None)
        seen.exit_codes = [first._exit_code(), second._exit_code()]
        seen.printed = one.printed
        seen.pages, seen.targets, seen.headers = one.pages, one.api.targets, one.api.headers
        for app in (first, second):
            seen.delivered += app.tallies.delivered_count
            for (outcome, reason), count in app.tallies.counters["relay_events_total"].counts.items():
                if outcome == "dead_lettered":
                    seen.letters[reason] = seen.letters.get(reason, 0) + int(count)


def printed_by(command: Sequence[str], port: int) -> str:
    """What a command prints that asks a running relay."""
    shown = io.StringIO()
    with redirect_stdout(shown), redirect_stderr(shown):
        main([*command, "--url", f"http://127.0.0.1:{port}"])
    return shown.getvalue()


@contextmanager
def everything_logged_to(file: Path, form: str) -> Iterator[None]:
    """Configure the log as `relay run` does, and put back what was there."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    with file.open("w", encoding="utf-8", errors="surrogateescape") as stream:
        logs.configure("debug", form, stream)
        try:
            yield
        finally:
            for handler in list(root.handlers):
                root.removeHandler(handler)
            for handler in handlers:
                root.addHandler(handler)
            root.setLevel(level)


@contextmanager
def all_output_to(file: Path) -> Iterator[None]:
    """Catch what is written to standard output and standard error, by whichever library."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with file.open("wb") as target:
        os.dup2(target.fileno(), 1)
        os.dup2(target.fileno(), 2)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, former in enumerate(saved, 1):
                os.dup2(former, number)
                os.close(former)


@pytest.fixture(scope="session")
def crowd_of() -> Callable[..., list[Produced]]:
    """So many short sessions, each with a key of its own."""

    def crowd_of(count: int, name: str, *, with_poison: bool) -> list[Produced]:
        records = [session(f"{KEY}-{name}-{number}".encode()) for number in range(count)]
        kept = records if with_poison else [[events[0], events[1], events[-1]] for events in records]
        return [record for events in kept for record in events] + (poison() if with_poison else [])

    return crowd_of

"""A relay to look at: the real router, driven by hand in seconds of its own, with the witness joined as the pump joins it.

In: what players say and how the API answers. Out: a subject for the console, and its routes.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from relay.core.assignment import Assignment
from relay.core.commands import Announce, Command, DropEvent, Finish, FinishUnknown, OpenSession, SendEvent, SetAside, SetAsideAlready
from relay.core.events import ApiSessionId, EventType, Part, PlayerEvent, Record, SessionKey
from relay.core.head_of_line import Standstills
from relay.core.inputs import Accepted, Answered, Arrived, ArrivedInParts, Assigned, Lost, Opened, Refused, StoredAside, TryAgain, Verdict
from relay.core.memoir import Memoir
from relay.core.patience import Rules
from relay.core.pressure import Limits
from relay.core.router import Router
from relay.core.starts import Starts
from relay.observe.admin import Admin, Handler, Request, Response
from relay.observe.console.routes import console_routes
from relay.observe.console.subject import Facts, Subject
from relay.observe.history import History
from relay.observe.metrics import Tallies
from relay.observe.reporting import Reporter
from relay.observe.witness import Witness

WALL = 1_700_000_000.0
TOPIC = "player-events"


@dataclass
class Scene:
    """One relay, its clock, and what is written on its pages."""

    lines_max: int = 100
    is_masked: bool = True
    partitions: int = 2
    now: float = 1_000.0
    lag: dict[tuple[str, int], int] = field(default_factory=dict)
    reasons: dict[str, Any] = field(default_factory=dict)
    is_ready: bool = True
    found: Sequence[Any] = ()

    def __post_init__(self) -> None:
        """Take partitions."""
        self.router = Router(
            limits=Limits(),
            rules=Rules(),
            starts=Starts(required=frozenset()),
        )
        self.tallies = Tallies()
        self.witness = Witness(lines_max=self.lines_max, clock=lambda: self.now)
        self.reporter = Reporter(self.tallies, self.witness)
        self.history = History(self.tallies, _Standing(self), clock=lambda: WALL + self.now)
        self.assignments = [Assignment(TOPIC, partition, generation=partition + 1) for partition in range(self.partitions)]
        for assignment in self.assignments:
            self.router.handle(Assigned(assignment), self.now)
        self.standstills = Standstills()
        self.under_way: list[OpenSession | SendEvent] = []
        self.asides: list[SetAside] = []
        self.offsets = [0] * self.partitions
        self._open = self.witness.opening(self.under_way.append)
        self._send = self.witness.sending(self.under_way.append)
        self._answer = self.witness.answering(lambda answered: self._perform(self.router.handle(answered, self.now)))

    # --- what the world does --------------------------------------------------------------------------------------------------------

    def say(self, key: str, *kinds: EventType, partition: int = 0) -> None:
        """Events of a player come in."""
        assignment = self.assignments[partition]
        for kind in kinds:
            offset = self.offsets[partition]
            self.offsets[partition] += 1
            event = PlayerEvent(kind, float(offset), int(1000 * (WALL + self.now)), record=Record(offset, appended_at=self.now - 0.05))

            def read(_: Record, event: PlayerEvent = event) -> tuple[SessionKey, PlayerEvent]:
                return SessionKey(key), event

            assert event.record is not None
            self.witness.reading(read, assignment)(event.record)
            self._perform(self.router.handle(Arrived(assignment, SessionKey(key), event), self.now))
        self._perform(self.router.turns(self.now))

    def say_in_parts(self, key: str, *kinds: EventType) -> None:
        """A record comes in that says several things."""
        assignment, record = self.assignments[0], Record(self.offsets[0], appended_at=self.now)
        self.offsets[0] += 1
        parts = tuple(PlayerEvent(kind, 1.0, 1, record=record, part=Part(place, len(kinds))) for place, kind in enumerate(kinds, 1))
        self.witness.reading(lambda _: (SessionKey(key), parts), assignment)(record)
        self._perform(self.router.handle(ArrivedInParts(assignment, SessionKey(key), parts), self.now))
        self._perform(self.router.turns(self.now))

    def answer(self, *verdicts: Verdict) -> None:
        """The API answers the calls under way, one after the other."""
        for verdict in verdicts:
            self.now += 0.01
            self._answer(Answered(self.under_way.pop(0).lane, verdict))
            self._perform(self.router.turns(self.now))

    def store(self) -> None:
        """Kafka confirms the dead letters."""
        for aside in self.asides:
            self._perform(self.router.handle(StoredAside(aside.assignment, aside.record.offset, aside.key), self.now))
        self.asides.clear()

    def serve(self) -> None:
        """The API takes all there is, until nothing is under way."""
        while self.under_way:
            is_opening = isinstance(self.under_way[0], OpenSession)
            self.answer(Opened(ApiSessionId("f" * 64)) if is_opening else Accepted())

    def play(self, key: str, *kinds: EventType, partition: int = 0) -> None:
        """A session of these events, all of them taken."""
        self.say(key, EventType.SESSION_START, *kinds, partition=partition)
        self.serve()

    def crowd(self, count: int) -> None:
        """So many sessions that are open and silent."""
        for number in range(count):
            self.say(f"player-{number:06d}", EventType.SESSION_START, partition=number % self.partitions)
            self.serve()

    def take_over(self, count: int) -> None:
        """So many sessions that were open when another relay held them, as after a restart."""
        for number in range(count):
            memoir = Memoir(v=1, at=number, done=number, standing="open", id=f"{number:064x}", playhead=1.5, ts=int(1000 * WALL))
            self.router.restore(self.assignments[number % self.partitions], SessionKey(f"player-{number:06d}"), memoir, self.now)

    def _perform(self, commands: Sequence[Command]) -> None:
        for command in commands:
            match command:
                case OpenSession():
                    self._open(command)
                case SendEvent():
                    self._send(command)
                case Announce():
                    self.reporter.announce(command)
                case SetAside():
                    self.asides.append(command)
                    self.reporter.set_aside(command)
                case SetAsideAlready() | DropEvent() | FinishUnknown():
                    self.witness.left(command)
                case Finish():
                    self.tallies.delivered(0.05)
                case _:
                    pass

    # --- the faces that the console and the history see -------------------------------------------------------------------------------

    @property
    def subject(self) -> Subject:
        """What the console looks at."""

        async def locate(_: str) -> Sequence[Any]:
            return self.found

        return Subject(
            facts=Facts(
                version="1.2.3",
                name="relay-0",
                group="relay",
                dialect="media-collection",
                dead_letter_topic="relay.dead-letters",
                concurrency_max=512,
                buffer_events_max=100_000,
                buffer_bytes_max=2**27,
                lanes_max=500_000,
                is_masked=self.is_masked,
                settings=[("RELAY_API__URL", "https://api.example", "environment")],
            ),
            parts=_Parts(self),
            router=self.router,
            tallies=self.tallies,
            witness=self.witness,
            history=self.history,
            locate=locate,
            started_at=WALL,
            clock=lambda: self.now,
            wall_clock=lambda: WALL + self.now,
        )

    # --- asking it ---------------------------------------------------------------------------------------------------------------------

    @property
    def routes(self) -> dict[str, Handler]:
        """The console's addresses; the same ones each time, as names that were given are remembered."""
        if not hasattr(self, "_routes"):
            self._routes = console_routes(self.subject)
        return self._routes

    def ask(self, path: str, **query: str) -> Response:
        """A page or an answer in JSON."""
        above = [route for route in self.routes if route.endswith("/") and route != "/" and path.startswith(route)]
        handler = self.routes[path if path in self.routes else max(above, key=len)]
        answered = handler(Request(path, query, {}))
        if isinstance(answered, Response):
            return answered

        async def wait() -> Response:
            return await answered

        return asyncio.run(wait())

    def json(self, path: str, **query: str) -> Any:
        """What an address below `/api` says."""
        return json.loads(self.ask(path, **query).body)

    def html(self, path: str, **query: str) -> str:
        """A page."""
        return self.ask(path, **query).body.decode()


class _Parts:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def is_ready(self) -> tuple[bool, Mapping[str, object]]:
        return self._scene.is_ready, self._scene.reasons

    def lags(self) -> Mapping[tuple[str, int], int]:
        return self._scene.lag

    def is_paused(self) -> bool:
        return False

    def letters_pending(self) -> int:
        return len(self._scene.asides)

    def oldest_seconds(self) -> float:
        moments = [one.ledger.oldest_appended_at for one in self._scene.assignments if one.ledger.oldest_appended_at is not None]
        return self._scene.now - min(moments) if moments else 0.0

    def standing_since(self) -> Mapping[Assignment, float]:
        return self._scene.standstills.since()


class _Standing:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def lag(self) -> int:
        return sum(self._scene.lag.values())

    def oldest_seconds(self) -> float:
        return 0.0

    def in_flight(self) -> int:
        return self._scene.router.in_flight

    def sessions_open(self) -> int:
        return self._scene.router.sessions_open


@pytest.fixture
def scene() -> Callable[..., Scene]:
    """Make one."""
    return Scene


@pytest.fixture
def verdicts() -> Mapping[str, Verdict]:
    """What the API may answer."""
    return {
        "lost": Lost(410),
        "later": TryAgain("status_503", 503),
        "refused": Refused(400, "the API's <words> about mail@example.org"),
    }


@contextmanager
def serving(one: Scene, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """The scene's console on a real port, on a thread with a loop of its own."""
    loop = asyncio.new_event_loop()
    admin = Admin(host, port, one.routes)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(admin.start(), loop).result(10)
        yield f"http://{host}:{admin.port}"
        asyncio.run_coroutine_threadsafe(admin.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def served() -> Callable[..., AbstractContextManager[str]]:
    """Serve a scene; as a context, which gives its address."""
    return serving


@pytest.fixture(scope="session")
def make_scene() -> Callable[..., Scene]:
    """Make one that several tests look at."""
    return Scene


@pytest.fixture(scope="session")
def serve_scene() -> Callable[..., AbstractContextManager[str]]:
    """Serve one that several tests look at."""
    return serving

"""A simulated API that keeps sessions, and the calls of one process to it.

In: commands, which the real dialect turns into requests. Out: answers, which the real dialect judges. On the way a request may be lost, an
answer may be lost, the API may answer with any status, late or never, and forget sessions.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final, Protocol

from simulation import hostility
from simulation.faults import Faults
from simulation.loop import HostLoop, VirtualLoop
from simulation.stories import Said

from relay.api.collection import MediaCollection
from relay.core.commands import Cause, OpenSession, SendEvent
from relay.core.inputs import Answered, Verdict
from relay.core.verdict import Answer, Unreachable

TIME_LIMIT_SECONDS: Final = 10.0
_HANGS_AND_IS_APPLIED: Final = 0.7


@dataclass(eq=False)
class ApiSession:
    """A session that the API keeps, and what it has heard in it."""

    session_id: str
    key: str
    head: Said
    cause: Cause
    tenure: Any  # who opened it
    opened_at: float
    is_gone: bool = False  # expired or purged
    has_ended: bool = False
    is_meant_to_end: bool = False  # a sessionEnd was sent, whatever became of it
    was_answered: bool = False  # the opener knows its id
    answered_at: float = 0.0
    was_found_gone: bool = False  # 404 or 410 was answered, and heard
    durable_at: float | None = None  # when a memoir first named it
    heard_count: int = 0  # records of the player
    told: list[tuple[str, str, str]] = field(default_factory=list)  # kind, params, metadata
    told_refused: list[tuple[str, str, str]] = field(default_factory=list)  # each time one was answered 500
    told_head: Said | None = None
    is_told_with_gaps: bool = False  # something of that was not told again when its answer was lost
    is_told_hardly: bool = False  # something of that failed for the moment
    is_kept_alive: bool = False  # the relay has pinged it, and its player has not spoken since
    is_told_unclearly: bool = False  # an answer was lost or another process went on with it


@dataclass(eq=False)
class Flight:
    """One call under way."""

    kind: str  # open, event, told, end
    key: str
    head: Said
    tenure: Any
    command: OpenSession | SendEvent
    began_at: float
    session: ApiSession | None = None  # whom it was accepted by
    target: str = ""
    body: Any = None
    is_over: bool = False  # the process has its answer, or is gone
    was_heard: bool = False  # the process has heard that it was accepted
    heard_at: float = 0.0

    @property
    def is_resuming(self) -> bool:
        """A session is opened in place of one that is gone."""
        return isinstance(self.command, OpenSession) and self.command.cause not in (Cause.FIRST, Cause.RESTARTED)

    @property
    def is_ghost(self) -> bool:
        """Whoever called has given up, is gone, or has let go of the partition: nobody hears the answer, and others may have gone on."""
        return self.is_over or bool(self.tenure.ended)


class Checks(Protocol):
    """Whoever watches the calls."""

    def departed(self, flight: Flight) -> None:
        """A call begins."""
        ...

    def accepted(self, flight: Flight, session: ApiSession) -> None:
        """The API has taken something."""
        ...

    def answered(self, flight: Flight, verdict: Verdict) -> None:
        """The process hears how a call ended."""
        ...

    def sometimes(self, name: str, *, happens: bool = True) -> None:
        """Something happens that must happen in some world."""
        ...

    def open_things(self, key: str) -> set[str]:
        """What is open in the session of a player."""
        ...


class Api:
    """The destination of all processes."""

    def __init__(self, loop: VirtualLoop, random: Random, faults: Faults, checks: Checks) -> None:
        """Begin without sessions."""
        self.sessions: dict[str, ApiSession] = {}
        self.is_out = False
        self.refuses_us = False
        self.out_since = 0.0
        self.faults = faults
        self.random = self._random = random
        self._loop, self._checks = loop, checks
        self._count = 0

    def purge(self) -> None:
        """Forget all sessions."""
        alive = [session for session in self.sessions.values() if not (session.is_gone or session.has_ended)]
        newest = {session.key: session for session in alive}
        self._checks.sometimes(
            "purged with an ad break open", happens=any("adBreakStart" in self._checks.open_things(key) for key in newest)
        )
        self._checks.sometimes("purged while the relay spoke for a silent player", happens=any(one.is_kept_alive for one in alive))
        self._checks.sometimes(
            "purged while a new session was told what is open", happens=any(one.told and not one.heard_count for one in alive)
        )
        for session in self.sessions.values():
            session.is_gone = True

    def heal(self) -> None:
        """Serve as it should; what is forgotten stays forgotten."""
        self.is_out = self.refuses_us = False
        self.faults = Faults()

    def notice(self, name: str) -> None:
        """Something happens that must happen in some world."""
        self._checks.sometimes(name)

    def thinking_seconds(self, _flight: Flight) -> float:
        """How long it takes to answer this request, once it is taken."""
        return 0.0

    def take(self, flight: Flight) -> Answer:
        """A request has arrived."""
        if self.faults.hostile_answers and not flight.head.is_bad and self._random.random() < self.faults.hostile_answers:
            return hostility.answer(self, flight)
        status = self._mood(flight)
        if status:
            asked = self._random.randrange(1, 20) if self._random.random() < self.faults.retry_after else 0
            return Answer(status, retry_after_seconds=asked, body=b'{"message": "simulated"}')
        return self.serve(flight)

    def serve(self, flight: Flight) -> Answer:
        """Do what is asked for."""
        return self._open(flight) if flight.kind == "open" else self._hear(flight)

    def _mood(self, flight: Flight) -> int:
        if self.is_out:
            self._checks.sometimes("out for longer than it takes to notice", happens=self._loop.now - self.out_since > 5.0)
            return 503
        if self.refuses_us:
            self._checks.sometimes("refused us")
            return 401
        head = flight.head
        if head.is_bad and (flight.kind == "event" or (flight.kind == "open" and head.kind == "sessionStart")):
            return 400
        if (head.is_stuck or head.is_cursed) and flight.kind in ("event", "open"):
            return 503 if head.is_stuck else 500
        drawn = self._random.random()
        for status, share in self.faults.statuses.items():
            if drawn < share and not (status == 410 and flight.kind == "open"):
                return status
            drawn -= share
        return 0

    def _open(self, flight: Flight) -> Answer:
        if self._random.random() < self.faults.openings_without_id:
            return Answer(201, location=self._random.choice(("", "/api/v1/sessions/", "/api/v1/sessions/a%20b", "http://[")))
        self._count += 1
        session_id = f"{self._count:06d}"
        assert isinstance(flight.command, OpenSession)
        session = ApiSession(session_id, flight.key, flight.head, flight.command.cause, flight.tenure, self._loop.now)
        self.sessions[session_id] = session
        self._checks.accepted(flight, session)
        return Answer(201, location=self._random.choice(("", "http://elsewhere.example")) + f"/api/v1/sessions/{session_id}")

    def _hear(self, flight: Flight) -> Answer:
        session = self.sessions.get(flight.target.split("/")[4])
        if session is None or session.is_gone:
            return Answer(404, body=b'{"message": "unknown"}')
        if self._random.random() < self.faults.expiries:
            session.is_gone = True
        if session.has_ended or session.is_gone:
            return Answer(410)
        self._checks.accepted(flight, session)
        session.is_kept_alive = flight.kind == "ping"
        session.has_ended = flight.body["eventType"] == "sessionEnd"
        return Answer(204)


class Calls:
    """The calls of one process."""

    def __init__(  # noqa: PLR0913  # the parts, each by its name
        self, *, api: Api, world_loop: VirtualLoop, host: HostLoop, random: Random, checks: Checks, flight_of: Callable[..., Flight]
    ) -> None:
        """`flight_of` knows whose call a command makes."""
        self.report: Callable[[Answered], None]
        self.flights: dict[Flight, None] = {}
        self._api, self._loop, self._host, self._random, self._checks, self._flight_of = api, world_loop, host, random, checks, flight_of
        self._dialect = MediaCollection()

    def start(self, command: OpenSession | SendEvent) -> None:
        """Begin a call."""
        request = self._dialect.sending(command) if isinstance(command, SendEvent) else self._dialect.opening(command)
        flight = self._flight_of(command)
        flight.target, flight.body = request.target.decode(), json.loads(request.body)
        self.flights[flight] = None
        self._checks.departed(flight)
        self._send(flight)

    def _send(self, flight: Flight) -> None:
        faults, random = self._api.faults, self._random
        there, back = random.uniform(*faults.latency), random.uniform(*faults.latency)
        if random.random() < faults.slow_share:
            there, back = there + random.uniform(0.0, 4.0), back + random.uniform(0.0, 4.0)
        drawn = random.random()
        if drawn < faults.hangs:
            if random.random() < _HANGS_AND_IS_APPLIED:
                is_late = random.random() < faults.late
                self._loop.call_later(random.uniform(9.0, 30.0) if is_late else there, partial(self._take_unheard, flight))
            self._end_later(flight, TIME_LIMIT_SECONDS, Unreachable("timeout", was_sent=True))
        elif drawn < faults.hangs + faults.resets:
            was_sent = random.random() < 0.5
            self._end_later(flight, there, Unreachable("reset" if was_sent else "connect", was_sent=was_sent))
        else:
            is_answer_lost = drawn < faults.hangs + faults.resets + faults.lost_answers
            self._loop.call_later(there, lambda: self._arrive(flight, back, is_answer_lost=is_answer_lost))

    def _take_unheard(self, flight: Flight) -> None:
        self._api.take(flight)

    def _arrive(self, flight: Flight, back: float, *, is_answer_lost: bool) -> None:
        if not self._host.is_alive and self._random.random() < 0.5:
            return  # the request had not left the machine
        answer = self._api.take(flight)
        back += self._api.thinking_seconds(flight)
        self._end_later(flight, back, Unreachable("reset", was_sent=True) if is_answer_lost else answer)

    def _end_later(self, flight: Flight, seconds: float, answer: Answer | Unreachable) -> None:
        judge = self._dialect.judge_sending if isinstance(flight.command, SendEvent) else self._dialect.judge_opening

        def end() -> None:
            verdict = judge(answer)
            flight.is_over = True
            del self.flights[flight]
            self._checks.answered(flight, verdict)
            self.report(Answered(flight.command.lane, verdict, self._loop.now - flight.began_at))

        self._host.call_later(seconds, end)

"""The strict fake of the media API: it answers as the documents say, misbehaves on request, remembers what it got and gives account of it.

In: requests. Out: replies, and an `Account`. Nothing here needs a socket: `server.py` puts it on one, `transport.py` below an httpx client.
"""

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from email.utils import formatdate
from http import HTTPStatus
from random import Random
from typing import Final

import msgspec

from relay.sandbox.fake_api.admin import Admin
from relay.sandbox.fake_api.collection import Collection as MediaCollection
from relay.sandbox.fake_api.dialect import SESSION_END, Asked, Dialect, Ending, Headers, Identity, Location, Operation, Reply
from relay.sandbox.fake_api.edge import Edge
from relay.sandbox.fake_api.faults import Fault, Faults, Kind
from relay.sandbox.fake_api.judge import judge
from relay.sandbox.fake_api.record import EVENTS_KEPT_MAX, Entry, Outcome, PlayerLog, Record
from relay.sandbox.fake_api.server import Server
from relay.sandbox.fake_api.sessions import ApiSessions, Fate
from relay.sandbox.fake_api.tally import Account, Tally, sum_up
from relay.sandbox.fake_api.tokens import PATH as TOKEN_PATH
from relay.sandbox.fake_api.tokens import TokenDesk

BLAMES_THE_EVENT: Final = frozenset(range(400, 500)) - {401, 403, 404, 405, 407, 408, 410, 425, 429}
"""Statuses that say that the same body would fail again. The others blame the session, the client or the moment."""

_INSTEAD: Final = {Kind.RESET: Ending.RESET, Kind.HANG: Ending.NEVER}  # nothing is applied
_AFTERWARDS: Final = {Kind.LOST: Ending.CLOSED, Kind.TRUNCATED: Ending.TRUNCATED}
_LOCATIONS: Final = {
    Kind.NO_ID: Location.MISSING,
    Kind.BAD_ID: Location.UNUSABLE,
    Kind.OTHER_HOST: Location.OTHER_HOST,
    Kind.UPSTREAM: Location.UPSTREAM,
}
_NO_ANSWER: Final = "none"


class Exchange(msgspec.Struct, frozen=True):
    """A reply, and what was remembered of the request that it answers."""

    reply: Reply
    entry: Entry | None = None


class FakeApi:
    """One fake API, with everything that it knows."""

    def __init__(  # noqa: PLR0913  # each by its name
        self,
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        faults: Sequence[str] = (),
        events_kept_max: int = EVENTS_KEPT_MAX,
        datastream_ids: Collection[str] = (),
        tokens: TokenDesk | None = None,
    ) -> None:
        """Begin with no session. The clock is for the sessions' expiry; ValueError says what is wrong with a fault rule.

        The Media Edge API knows these datastreams; without any, it knows whichever is asked for. With a desk for tokens, nobody is served
        without one.
        """
        self.tokens = tokens
        self._seed = seed
        self._clock = clock
        self._events_kept_max = events_kept_max
        self._faults = Faults(Random(seed), faults)  # noqa: S311  # it draws mishaps, not secrets
        edge = Edge(Random(f"edge {seed}"), datastream_ids)  # noqa: S311  # it words answers
        self._dialects: tuple[Dialect, ...] = (MediaCollection(), edge)
        self._admin = Admin(self)
        self._server: Server | None = None
        self._begin()

    def _begin(self) -> None:
        self._sessions = ApiSessions(clock=self._clock, random=Random(f"ids {self._seed}"))  # noqa: S311  # ids that nobody has to guess
        self._record = Record(events_kept_max=self._events_kept_max)
        self._requests: Counter[str] = Counter()
        self._injected: Counter[str] = Counter()

    # --- on a socket ------------------------------------------------------------------------------------------------------------

    async def start(self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> str:
        """Listen, and return the base URL."""
        assert self._server is None, "it listens already"
        server = Server(self.exchange, self.went_unanswered)
        url = await server.start(host, port, tls)
        self._server = server
        return url

    async def stop(self) -> None:
        """Close every connection and listen no longer. What was remembered stays."""
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop()

    # --- without one ------------------------------------------------------------------------------------------------------------

    async def handle(self, method: str, target: str, headers: Headers = (), body: bytes = b"") -> Reply:
        """Answer one request, as late as a fault wants. The reply's `ending` says whether the client may see it."""
        exchange = self.exchange(method, target, headers, body)
        if exchange.reply.delay_seconds:
            try:
                await asyncio.sleep(exchange.reply.delay_seconds)
            except asyncio.CancelledError:
                self.went_unanswered(exchange.entry)
                raise
        return exchange.reply

    def exchange(self, method: str, target: str, headers: Headers, body: bytes) -> Exchange:
        """Answer one request at once; whoever carries the reply sees to its delay and ending."""
        if self.tokens is not None and target.partition("?")[0] == TOKEN_PATH:
            return Exchange(self.tokens.grant(method, headers, body))
        for dialect in self._dialects:
            if dialect.owns(target):
                turned_away = self.tokens.turn_away(headers) if self.tokens is not None else None
                exchange = Exchange(turned_away) if turned_away is not None else self._converse(dialect, method, target, body)
                reply = exchange.reply
                self._requests[str(int(reply.status)) if reply.ending is Ending.ANSWERED else _NO_ANSWER] += 1
                return exchange
        return Exchange(self._admin.answer(method, target, headers, body))

    def went_unanswered(self, entry: Entry | None) -> None:
        """The client left before its reply was there."""
        if entry is not None:
            self._record.went_unanswered(entry)

    # --- what is asked of it by those who test ----------------------------------------------------------------------------------

    @property
    def faults(self) -> tuple[str, ...]:
        """The rules in force."""
        return self._faults.rules

    @property
    def injected(self) -> dict[str, int]:
        """How many faults have struck, by what they do. Cheap, for whoever looks on."""
        return dict(self._injected)

    def set_faults(self, rules: Sequence[str]) -> None:
        """Put these fault rules in place of the former ones; ValueError says what is wrong with one."""
        self._faults.set(rules)

    def purge(self) -> None:
        """Forget all API sessions: from now on each of them answers 404. What was received stays remembered."""
        self._sessions.forget_all()

    def reset(self) -> None:
        """Forget sessions and everything that was received, and count from zero. The fault rules stay."""
        self._begin()

    def expect(self, player_session: str, identities: Iterable[Identity]) -> None:
        """Learn what a player says next, so that the account can tell what is missing and what is too much."""
        self._record.player(player_session).expect(identities)

    def account(self) -> Account:
        """Judge everything that was received so far. Only player sessions with something new are judged again."""
        for log in self._record.players.values():
            if log.tally is None:
                log.tally = judge(log, log.expected)
        return self._account({key: log.tally for key, log in self._record.players.items() if log.tally is not None})

    def compare(self, expected: Mapping[str, Sequence[Identity]]) -> Account:
        """Judge everything against what was produced, from first to last; sessions that were not produced are extra as a whole."""
        players = self._record.players
        keys = dict.fromkeys((*players, *expected))
        return self._account({key: judge(players.get(key) or PlayerLog(key), expected.get(key, ())) for key in keys})

    def players(self) -> Iterable[PlayerLog]:
        """Everything received, by player session."""
        return self._record.players.values()

    def _account(self, sessions: dict[str, Tally]) -> Account:
        return Account(
            total=sum_up(sessions.values()),
            sessions=sessions,
            faults=self.injected,
            requests=dict(self._requests),
            events_kept=self._record.events_kept,
            events_not_kept=self._record.events_not_kept,
        )

    # --- one request ------------------------------------------------------------------------------------------------------------

    def _converse(self, dialect: Dialect, method: str, target: str, body: bytes) -> Exchange:
        asked = dialect.understand(method, target, body)
        if isinstance(asked, Reply):
            return Exchange(asked)
        fault = self._faults.draw(asked.operation)
        if fault is None:
            return self._apply(dialect, asked, None)
        self._injected[fault.name] += 1
        if fault.kind in _INSTEAD:
            return Exchange(Reply(HTTPStatus.SERVICE_UNAVAILABLE, ending=_INSTEAD[fault.kind]))
        if fault.kind is Kind.STATUS:
            return self._fail(dialect, asked, fault)
        exchange = self._apply(dialect, asked, fault)
        ending = _AFTERWARDS.get(fault.kind, Ending.ANSWERED)
        return msgspec.structs.replace(
            exchange,
            reply=msgspec.structs.replace(exchange.reply, ending=ending, delay_seconds=fault.delay_seconds),
        )

    def _fail(self, dialect: Dialect, asked: Asked, fault: Fault) -> Exchange:
        is_event = asked.operation is Operation.EVENTS
        if is_event and fault.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            if fault.status == HTTPStatus.NOT_FOUND:
                self._sessions.forget(asked.session_id)
            else:
                self._sessions.end(asked.session_id)
            self._answered(asked, Outcome.GONE)
            was_known = self._sessions.hear(asked.session_id, asked.heard.playhead) is Fate.GONE
            status = HTTPStatus.GONE if was_known else HTTPStatus.NOT_FOUND
            return Exchange(dialect.failed(asked.operation, status, f"injected fault {fault.name}"))
        if fault.status in BLAMES_THE_EVENT:
            if is_event:
                self._answered(asked, Outcome.REFUSED)
            else:
                self._record.opening_refused(asked.heard)
        reply = dialect.failed(asked.operation, fault.status, f"injected fault {fault.name}")
        if fault.retry_after_seconds is None:
            return Exchange(reply)
        wait = str(fault.retry_after_seconds)
        if fault.is_retry_after_date:
            wait = formatdate(time.time() + fault.retry_after_seconds, usegmt=True)
        return Exchange(msgspec.structs.replace(reply, headers=(*reply.headers, ("Retry-After", wait))))

    def _apply(self, dialect: Dialect, asked: Asked, fault: Fault | None) -> Exchange:
        heard = asked.heard
        outcome = Outcome.UNANSWERED if fault is not None and fault.kind in _AFTERWARDS else Outcome.ACCEPTED
        if asked.operation is Operation.SESSIONS:
            location = Location.USUAL if fault is None else _LOCATIONS.get(fault.kind, Location.USUAL)
            if location in {Location.MISSING, Location.UNUSABLE}:  # nobody could use the session, so none is opened
                return Exchange(dialect.opened("0" * 64, location))
            session_id = self._sessions.open(heard.playhead)
            return Exchange(dialect.opened(session_id, location), self._record.opened(session_id, heard, outcome))
        fate = self._sessions.hear(asked.session_id, heard.playhead)
        if fate is not Fate.LIVE:
            self._answered(asked, Outcome.GONE)
            return Exchange(dialect.gone(asked.session_id, was_known=fate is Fate.GONE))
        if heard.event_type == SESSION_END:
            self._sessions.end(asked.session_id)
        return Exchange(dialect.accepted(), self._answered(asked, outcome))

    def _answered(self, asked: Asked, outcome: Outcome) -> Entry | None:
        """Remember everything that the request said; the first of it is what a client who leaves early did not hear of."""
        entry = self._record.answered(asked.session_id, asked.heard, outcome)
        for heard in asked.also:
            self._record.answered(asked.session_id, heard, outcome)
        return entry

"""What the fake got, kept per player session in the order in which the API took it.

In: openings and events as they were answered. Out: a `PlayerLog` for each player session, for `judge.py` to read.

An API session belongs to the player session that its sessionStart names in the custom metadata `playerSession`. A start without it begins a
player session of its own; one with `media.resume` goes on with the player session whose start was otherwise equal, first with the one that
was found gone first.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

import msgspec

from relay.sandbox.fake_api.dialect import Heard, Identity
from relay.sandbox.fake_api.tally import Tally

EVENTS_KEPT_MAX: Final = 2_000_000


class Outcome(IntEnum):
    """What became of a request."""

    ACCEPTED = 0
    UNANSWERED = 1  # applied, but the client was not told
    REFUSED = 2  # a fault blamed the event: the client must not send it again
    GONE = 3  # 404 or 410


class ApiLog(msgspec.Struct, gc=False, eq=False):
    """One API session, as the record knows it. It names its player session instead of pointing at it, so that nothing goes in circles."""

    player_key: str
    session_id: str
    start: Heard
    is_lost: bool = False  # a client was told that it is gone


class Entry(msgspec.Struct, gc=False, eq=False):
    """One request that is remembered."""

    heard: Heard
    session: ApiLog | None  # None for an opening that was refused
    outcome: Outcome


class PlayerLog:
    """Everything that was heard of one player session."""

    __slots__ = ("entries", "expected", "key", "tally")

    def __init__(self, key: str) -> None:
        """Begin with nothing."""
        self.key = key
        self.entries: list[Entry] = []
        self.expected: list[Identity] | None = None  # what the player said, where somebody has told us
        self.tally: Tally | None = None  # the verdict, until something new is heard

    def expect(self, identities: Iterable[Identity]) -> None:
        """Learn what the player said next."""
        if self.expected is None:
            self.expected = []
        self.expected.extend(identities)
        self.tally = None


class Record:
    """Everything that was heard, up to a limit."""

    def __init__(self, *, events_kept_max: int = EVENTS_KEPT_MAX) -> None:
        """Begin with nothing."""
        self.players: dict[str, PlayerLog] = {}
        self.events_kept = 0
        self.events_not_kept = 0
        self._kept_max = events_kept_max
        self._sessions: dict[str, ApiLog] = {}
        self._latest: dict[bytes, PlayerLog] = {}  # what an unnamed start said → who said it last
        self._lost: dict[bytes, dict[str, None]] = {}  # what an unnamed start said → whose session was found gone, first one first

    def player(self, key: str) -> PlayerLog:
        """Find the log of a player session, or begin it."""
        log = self.players.get(key)
        if log is None:
            log = self.players[key] = PlayerLog(key)
        return log

    def opened(self, session_id: str, heard: Heard, outcome: Outcome) -> Entry | None:
        """A session was opened."""
        if self._is_full():
            return None
        player = self._player_of(heard) or self.player(f"unnamed-{session_id}")
        if not heard.player_session:
            self._latest[heard.content] = player
        session = self._sessions[session_id] = ApiLog(player.key, session_id, heard)
        return self._keep(player, Entry(heard, session, outcome))

    def opening_refused(self, heard: Heard) -> None:
        """A session was not opened, and the start is to blame. One that belongs to nobody leaves no trace."""
        player = self._player_of(heard)
        if player is not None and not self._is_full():
            self._keep(player, Entry(heard, None, Outcome.REFUSED))

    def answered(self, session_id: str, heard: Heard, outcome: Outcome) -> Entry | None:
        """An event was answered."""
        session = self._sessions.get(session_id)
        if session is None or self._is_full():
            return None
        if outcome is Outcome.GONE:
            self._found_gone(session)
        return self._keep(self.players[session.player_key], Entry(heard, session, outcome))

    def went_unanswered(self, entry: Entry) -> None:
        """The client left before it was told."""
        assert entry.session is not None, "a refused opening was not applied"
        entry.outcome = Outcome.UNANSWERED
        self.players[entry.session.player_key].tally = None

    def _keep(self, player: PlayerLog, entry: Entry) -> Entry:
        player.entries.append(entry)
        player.tally = None
        self.events_kept += 1
        return entry

    def _is_full(self) -> bool:
        if self.events_kept < self._kept_max:
            return False
        self.events_not_kept += 1
        return True

    def _found_gone(self, session: ApiLog) -> None:
        session.is_lost = True
        if not session.start.player_session:
            self._lost.setdefault(session.start.content, {})[session.player_key] = None

    def _player_of(self, heard: Heard) -> PlayerLog | None:
        if heard.player_session:
            return self.player(heard.player_session)
        if not heard.is_resumed:
            return None
        lost = self._lost.get(heard.content)
        if lost is None:
            return self._latest.get(heard.content)
        key = next(iter(lost))
        del lost[key]
        if not lost:
            del self._lost[heard.content]
        return self.players[key]

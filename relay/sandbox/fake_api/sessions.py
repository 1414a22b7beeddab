"""API sessions that live, end and expire, as the documents say that they do.

In: openings and events, on the clock that was passed in. Out: ids, and whether a session still takes events.

A session expires ten minutes after its last event, thirty minutes after its playhead last moved, and a day after it was opened. Only a
sessionEnd closes it at once: after a sessionComplete it stays open until it expires.
"""

from collections.abc import Callable
from enum import Enum, auto
from random import Random
from typing import Final

import msgspec

from relay.sandbox.fake_api.dialect import SESSION_ID_LENGTH

SILENCE_SECONDS_MAX: Final = 600.0
STANDSTILL_SECONDS_MAX: Final = 1_800.0
AGE_SECONDS_MAX: Final = 86_400.0
SESSIONS_KEPT_MAX: Final = 1_000_000  # the oldest is forgotten beyond that, and answers as one that never was


class Fate(Enum):
    """What the API says of an id."""

    LIVE = auto()
    UNKNOWN = auto()  # 404
    GONE = auto()  # 410: known, but it ended or expired


class _ApiSession(msgspec.Struct, gc=False):
    opened_at: float
    heard_at: float
    moved_at: float
    playhead: float
    is_over: bool = False


class ApiSessions:
    """All sessions of the API, over or not."""

    def __init__(self, *, clock: Callable[[], float], random: Random, sessions_kept_max: int = SESSIONS_KEPT_MAX) -> None:
        """Begin with none."""
        self._clock = clock
        self._random = random
        self._kept_max = sessions_kept_max
        self._sessions: dict[str, _ApiSession] = {}

    def __len__(self) -> int:
        """How many are known, over or not."""
        return len(self._sessions)

    def open(self, playhead: float) -> str:
        """Open a session; the client has no say in its id."""
        session_id = f"{self._random.getrandbits(SESSION_ID_LENGTH * 4):0{SESSION_ID_LENGTH}x}"
        now = self._clock()
        self._sessions[session_id] = _ApiSession(opened_at=now, heard_at=now, moved_at=now, playhead=playhead)
        if len(self._sessions) > self._kept_max:
            del self._sessions[next(iter(self._sessions))]
        return session_id

    def hear(self, session_id: str, playhead: float) -> Fate:
        """Ask for the session's fate; an event keeps a live one alive."""
        session = self._sessions.get(session_id)
        if session is None:
            return Fate.UNKNOWN
        now = self._clock()
        if (
            session.is_over
            or now - session.heard_at >= SILENCE_SECONDS_MAX
            or now - session.moved_at >= STANDSTILL_SECONDS_MAX
            or now - session.opened_at >= AGE_SECONDS_MAX
        ):
            session.is_over = True
            return Fate.GONE
        session.heard_at = now
        if session.playhead != playhead:
            session.playhead = playhead
            session.moved_at = now
        return Fate.LIVE

    def end(self, session_id: str) -> None:
        """Close a session: what comes after is answered with 410."""
        session = self._sessions.get(session_id)
        if session is not None:
            session.is_over = True

    def forget(self, session_id: str) -> None:
        """Lose a session: what comes after is answered with 404."""
        self._sessions.pop(session_id, None)

    def forget_all(self) -> None:
        """Lose every session."""
        self._sessions.clear()

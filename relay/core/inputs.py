"""All that can happen. The outer parts report these values; nothing else reaches the core.

Verdicts say what an answer of the API means (`verdict.py` and the dialects make them); nexts say what stands at the head of a lane
(`router.py` makes them); the others come from Kafka and from the pump's timer.
"""

from typing import Final, TypeAlias

import msgspec

from relay.core.assignment import Assignment
from relay.core.events import ApiSessionId, Facts, PlayerEvent, Record, SessionKey
from relay.core.lane import Lane
from relay.core.reasons import Reason

_TOO_MANY_REQUESTS: Final = 429
_UNAVAILABLE: Final = 503

# --- verdicts: what an answer means ---------------------------------------------------------------------------------------------


class Opened(msgspec.Struct, frozen=True, gc=False):
    """The API opened a session."""

    session_id: ApiSessionId
    route: str = ""  # what the dialect wants back with each event of the session: a location hint


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The API took the event."""


class Lost(msgspec.Struct, frozen=True, gc=False):
    """404 or 410 to an event: the API session is gone, the event is not to blame."""

    status: int


class TryAgain(msgspec.Struct, frozen=True, gc=False):
    """The moment's fault: the same call may succeed later."""

    cause: str  # "status_503", "timeout", "connect", "reset", "no_session_id", …: a closed list, fit for a metric's label
    status: int = 0  # 0 when there was no answer
    retry_after_seconds: float = 0.0
    is_outcome_unknown: bool = False  # the request left, and nobody knows whether it was applied

    @property
    def asks_for_less(self) -> bool:
        """The API is there and has had too much: 429, or 503 that says until when."""
        return self.status == _TOO_MANY_REQUESTS or (self.status == _UNAVAILABLE and self.retry_after_seconds > 0)


class Misconfigured(msgspec.Struct, frozen=True, gc=False):
    """Our own fault: credentials, address, datastream. Nothing may be set aside for it."""

    status: int
    advice: str  # what to check, for the log


class Refused(msgspec.Struct, frozen=True, gc=False):
    """The event's fault: the same body would be refused again."""

    status: int  # 0 when the event never left: the dialect has no words for it
    detail: str = ""  # the API's words, for the dead letter; never logged
    reason: Reason = Reason.REJECTED


class LostTooOften(msgspec.Struct, frozen=True, gc=False):
    """404 or 410 once more, after as many openings as one event may cost."""

    status: int


class GivenUp(msgspec.Struct, frozen=True, gc=False):
    """Tried often or long enough, while the API served others."""

    reason: Reason
    status: int = 0
    detail: str = ""


class Parked(msgspec.Struct, frozen=True, gc=False):
    """It failed for long and fills the window of its partition, while the API serves others."""

    status: int = 0
    detail: str = ""


class OutcomeUnknown(msgspec.Struct, frozen=True, gc=False):
    """The request left and its answer was lost, and the operator wants none of its kind twice."""

    cause: str


class Foregone(msgspec.Struct, frozen=True, gc=False):
    """A call of the relay's own failed for the moment: it has no event that would have to go again."""


Verdict: TypeAlias = Opened | Accepted | Lost | TryAgain | Misconfigured | Refused


# --- nexts: what stands at the head of the lane when its turn comes ----------------------------------------------------------------


class NextStart(msgspec.Struct, frozen=True, gc=False):
    """A `sessionStart`."""


class NextJoin(msgspec.Struct, frozen=True, gc=False):
    """An event of an unknown session, and what its start would have carried is known."""


class NextEvent(msgspec.Struct, frozen=True, gc=False):
    """Any other event."""


class NextComplete(msgspec.Struct, frozen=True, gc=False):
    """A `sessionComplete`."""


class NextEnd(msgspec.Struct, frozen=True, gc=False):
    """A `sessionEnd`."""


class NextTold(msgspec.Struct, frozen=True, gc=False):
    """Something that was open in a lost session and must be told again before the head."""


class NextAgain(msgspec.Struct, frozen=True, gc=False):
    """An event that was set aside comes again, its session is not open, and what its start said is known."""


class NextUnknown(msgspec.Struct, frozen=True, gc=False):
    """An event that was set aside comes again, its session is not open, and nobody knows what its start said."""


class NextOver(msgspec.Struct, frozen=True, gc=False):
    """A replay ends here, and its session is not open."""


class NextTooOld(msgspec.Struct, frozen=True, gc=False):
    """An event that is older than its kind may be."""

    is_dropped: bool  # else it is set aside


class NextStartTooOld(msgspec.Struct, frozen=True, gc=False):
    """A `sessionStart` that is older than it may be, where nothing is open that would have to be ended first."""


class NextPing(msgspec.Struct, frozen=True, gc=False):
    """Nothing stands there, and the relay keeps the session alive for its silent player."""

    event: PlayerEvent


class NextSuspension(msgspec.Struct, frozen=True, gc=False):
    """Nothing stands there, and the session has been silent for too long, or is too old."""

    event: PlayerEvent


# --- what the router is told ----------------------------------------------------------------------------------------------------


class Assigned(msgspec.Struct, frozen=True, gc=False):
    """A partition is ours from now on."""

    assignment: Assignment


class Leaving(msgspec.Struct, frozen=True, gc=False):
    """A partition is about to be taken: nothing new leaves for it, calls under way may end and still count."""

    assignment: Assignment


class Revoked(msgspec.Struct, frozen=True, gc=False):
    """A partition is no longer ours: what is still under way for it no longer counts."""

    assignment: Assignment


class Arrived(msgspec.Struct, frozen=True, gc=False):
    """An event came in and was understood."""

    assignment: Assignment
    key: SessionKey
    event: PlayerEvent


class ArrivedInParts(msgspec.Struct, frozen=True, gc=False):
    """A record came in that says several things: they stay together and in this order, and its offset is finished with the last."""

    assignment: Assignment
    key: SessionKey
    events: tuple[PlayerEvent, ...]  # at least one, each with its part


class ArrivedAsFacts(msgspec.Struct, frozen=True, gc=False):
    """A record came in that says how the player is."""

    assignment: Assignment
    key: SessionKey
    facts: Facts


class SaysNothing(msgspec.Struct, frozen=True, gc=False):
    """A record came in that a rule leaves out."""

    assignment: Assignment
    record: Record
    reason: str


class Unreadable(msgspec.Struct, frozen=True, gc=False):
    """A record came in and was not understood."""

    assignment: Assignment
    record: Record
    reason: Reason
    detail: str = ""
    key: SessionKey | None = None


class Answered(msgspec.Struct, frozen=True, gc=False):
    """A call has ended. What was not measured is 0."""

    lane: Lane
    verdict: Verdict
    seconds: float = 0.0  # how long it took


class Woke(msgspec.Struct, frozen=True, gc=False):
    """A lane has waited as long as it asked to. A ticket that is not the lane's current one is void."""

    lane: Lane
    ticket: int


class StoredAside(msgspec.Struct, frozen=True, gc=False):
    """Kafka has confirmed the dead letter of an event."""

    assignment: Assignment
    offset: int
    key: SessionKey | None = None


Input: TypeAlias = (
    Assigned | Leaving | Revoked | Arrived | ArrivedInParts | ArrivedAsFacts | SaysNothing | Unreadable | Answered | Woke | StoredAside
)

# What moves a lane: its turn, which tells what stands at its head, or what became of its call.
NextByKind: TypeAlias = NextStart | NextJoin | NextEvent | NextComplete | NextEnd
Next: TypeAlias = NextByKind | NextTold | NextAgain | NextUnknown | NextOver | NextTooOld | NextStartTooOld | NextPing | NextSuspension
Happened: TypeAlias = Next | Opened | Accepted | Lost | LostTooOften | TryAgain | Refused | GivenUp | OutcomeUnknown | Parked | Foregone

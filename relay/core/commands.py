"""All that can be asked for. The pump carries these out; the core never does anything itself."""

from enum import StrEnum
from typing import TypeAlias

import msgspec

from relay.core.assignment import Assignment
from relay.core.events import ApiSessionId, Details, Part, PlayerEvent, Record, SessionKey
from relay.core.lane import Lane
from relay.core.reasons import Dropped, Reason, Skipped


class Cause(StrEnum):
    """Why an API session was opened: the label of `relay_sessions_opened_total`."""

    FIRST = "first"  # a sessionStart of an unknown player session
    LOST = "lost"  # the API no longer knew the one before
    REJOINED = "rejoined"  # an unknown player session that is already under way
    RESUMED = "resumed"  # the relay itself had ended the one before, for its player was silent or it was too old
    RESTARTED = "restarted"  # a sessionStart on a key that had a session before
    REPLAYED = "replayed"  # events that were set aside come again, and their session is no longer open


class OpenSession(msgspec.Struct, frozen=True, gc=False):
    """Open an API session."""

    lane: Lane
    start: Details
    playhead: float
    ts: int
    cause: Cause
    qoe_data: bytes = b""


class SendEvent(msgspec.Struct, frozen=True, gc=False):
    """Send one event to an API session: the head of the lane, or something told again."""

    lane: Lane
    session_id: ApiSessionId
    event: PlayerEvent
    route: str = ""


class Wait(msgspec.Struct, frozen=True, gc=False):
    """Report `Woke` with this ticket after at least `seconds`, and at most `jitter_seconds` later: the pump draws how much."""

    lane: Lane
    seconds: float
    jitter_seconds: float
    ticket: int


class Finish(msgspec.Struct, frozen=True, gc=False):
    """The event was delivered and needs nothing more."""

    lane: Lane
    event: PlayerEvent


class FinishUnknown(msgspec.Struct, frozen=True, gc=False):
    """The event left once, nobody knows whether it was taken, and it needs nothing more all the same."""

    lane: Lane
    event: PlayerEvent


class DropEvent(msgspec.Struct, frozen=True, gc=False):
    """The event is not sent, by the operator's will, and needs nothing more."""

    lane: Lane
    event: PlayerEvent
    reason: Dropped


class Skip(msgspec.Struct, frozen=True, gc=False):
    """The record is finished already and needs nothing more."""

    assignment: Assignment
    offset: int
    reason: Skipped = Skipped.FINISHED_BEFORE


class Drop(msgspec.Struct, frozen=True, gc=False):
    """The record says nothing by a rule of the mapping, and needs nothing more."""

    assignment: Assignment
    offset: int
    reason: str


class SetAside(msgspec.Struct, frozen=True, gc=False):
    """Write a dead letter; the event is finished once Kafka has confirmed it."""

    assignment: Assignment
    record: Record
    reason: Reason
    detail: str = ""
    key: SessionKey | None = None
    attempts: int = 0
    status: int = 0
    first_tried_at: float = 0.0  # on the core's clock; 0 when it was never tried
    part: Part | None = None


class SetAsideAlready(msgspec.Struct, frozen=True, gc=False):
    """Another part of the record was set aside before: its letter holds this part as well."""

    lane: Lane
    event: PlayerEvent


class Remember(msgspec.Struct, frozen=True, gc=False):
    """Write the lane's memoir now: an API session was opened, and a crash must not open it again."""

    lane: Lane


class Forget(msgspec.Struct, frozen=True, gc=False):
    """The lane is let go of: leave a tombstone where its memoir was."""

    lane: Lane


class Change(StrEnum):
    """What became of a session, for logs and metrics."""

    OPENED = "opened"
    LOST = "lost"
    REFUSED = "refused"
    ENDED = "ended"
    FORGOTTEN = "forgotten"
    TOLD = "told"  # one thing that was open was told again
    TELLING_REFUSED = "telling_refused"  # the API refused it on the new session
    RETRIED = "retried"
    GIVEN_UP = "given_up"
    PARKED = "parked"  # its events are set aside from now on, until it begins anew or is replayed
    REPEATED_UNKNOWN = "repeated_unknown"  # the answer was lost, the same call goes again; the detail is the operation
    PINGED = "pinged"  # the relay kept it alive for a silent player
    SUSPENDED = "suspended"  # the relay ended its API session, for its player was silent or it was too old
    SKIPPED_UNKNOWN = "skipped_unknown"  # the answer was lost, and nothing goes again
    CAME_LATE = "came_late"  # an event came in behind one that follows it
    CAME_TWICE = "came_twice"  # an event came in that came in a moment before
    SCATTERED = "scattered"  # the same session lives in another partition of the topic


class Announce(msgspec.Struct, frozen=True, gc=False):
    """Tell the operators; nothing depends on it."""

    lane: Lane
    change: Change
    detail: str = ""  # a cause or a status, from closed lists only
    status: int = 0


Command: TypeAlias = (
    OpenSession
    | SendEvent
    | Wait
    | Finish
    | FinishUnknown
    | DropEvent
    | Skip
    | Drop
    | SetAside
    | SetAsideAlready
    | Remember
    | Forget
    | Announce
)

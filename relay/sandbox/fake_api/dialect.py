"""The nouns of the fake API, and what a dialect has to provide.

In: nothing. Out: `Heard` (one event, whatever the dialect), `Asked` (a request that was understood), `Reply`, and the port `Dialect`.
"""

from enum import StrEnum
from typing import Final, Protocol, TypeAlias

import msgspec

Headers: TypeAlias = tuple[tuple[str, str], ...]
Identity: TypeAlias = tuple[int, str]
"""What makes an event itself within its player session: its `ts` and its type."""

PLAYER_SESSION_KEY: Final = "playerSession"
"""The custom metadata of a sessionStart that names the player session. The API allows only letters, digits, `_` and `.` in such a key."""

SESSION_START: Final = "sessionStart"
SESSION_END: Final = "sessionEnd"
PING: Final = "ping"

SESSION_ID_LENGTH: Final = 64  # hex digits: every id in Adobe's documents looks so


class Operation(StrEnum):
    """What a request asks for."""

    SESSIONS = "sessions"  # open a session
    EVENTS = "events"  # one event


class Heard(msgspec.Struct, frozen=True, gc=False):
    """One event as the API heard it, in the classic vocabulary whichever dialect it came in."""

    event_type: str
    ts: int
    playhead: float
    content: bytes = b""  # params and custom metadata in one spelling, for what may have to be told again
    state_name: str = ""
    player_session: str = ""  # for a sessionStart: who it is, where the start says so
    is_resumed: bool = False  # for a sessionStart


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request whose body keeps every rule."""

    operation: Operation
    heard: Heard
    session_id: str = ""
    also: tuple[Heard, ...] = ()  # said in the same breath: one request of the Media Edge API may change several states


class Ending(StrEnum):
    """What becomes of an answer."""

    ANSWERED = "answered"
    RESET = "reset"  # the connection is torn down instead
    CLOSED = "closed"  # the connection is closed instead
    TRUNCATED = "truncated"  # half of the answer, then the connection is closed
    NEVER = "never"  # no answer, and the connection stays open


class Reply(msgspec.Struct, frozen=True):
    """One answer."""

    status: int
    headers: Headers = ()
    body: bytes = b""
    ending: Ending = Ending.ANSWERED
    delay_seconds: float = 0.0


class Location(StrEnum):
    """How an opening tells the id."""

    USUAL = "usual"
    MISSING = "noid"
    UNUSABLE = "badid"
    OTHER_HOST = "otherhost"
    UPSTREAM = "upstream"  # as usual, but beside it stands that something else failed


class Dialect(Protocol):
    """One wire protocol: reads requests by its own rules and words the answers. It remembers nothing."""

    def owns(self, path: str) -> bool:
        """Whether requests to this path speak this dialect."""
        ...

    def understand(self, method: str, target: str, body: bytes) -> Asked | Reply:
        """Read a request; a reply means that it breaks a rule."""
        ...

    def opened(self, session_id: str, location: Location) -> Reply:
        """Answer an opening."""
        ...

    def accepted(self) -> Reply:
        """Answer an event that was taken."""
        ...

    def gone(self, session_id: str, *, was_known: bool) -> Reply:
        """Answer an event whose session never was, or is over."""
        ...

    def failed(self, operation: Operation, status: int, message: str) -> Reply:
        """Answer with any other status."""
        ...


def canonical(*objects: object) -> bytes:
    """Spell JSON objects so that equal ones are equal bytes."""
    return _ENCODE(objects) if any(objects) else b""


_ENCODE: Final = msgspec.json.Encoder(order="deterministic").encode

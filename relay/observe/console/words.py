"""Figures, times and words as people read them."""

from datetime import UTC, datetime
from typing import Final

from relay.core.lane import State
from relay.core.reasons import Reason

_MILLISECOND: Final = 0.001
_MINUTE: Final = 60
_HOUR: Final = 3_600
_DAY: Final = 86_400
_KIBI: Final = 1_024

NOTHING: Final = "\u2013"  # a dash, where there is no figure

STATES: Final = {
    State.ABSENT: "no session yet",
    State.READY: "open",
    State.LOST: "lost",
    State.COMPLETED: "completed",
    State.ENDED: "ended",
    State.REFUSED: "refused",
    State.PARKED: "parked",
    State.OPENING: "opening",
    State.JOINING: "opening midway",
    State.REOPENING: "opening again",
    State.SENDING: "sending",
    State.COMPLETING: "completing",
    State.CLOSING: "closing",
    State.CLOSING_COMPLETED: "closing",
    State.TELLING: "telling again",
    State.REPLACING: "ending the old one",
    State.PINGING: "kept alive",
    State.SUSPENDING: "ending, for its player is silent",
}
REASONS: Final = {
    Reason.EMPTY_VALUE: "the record has no value",
    Reason.RECORD_TOO_LARGE: "the record is larger than the limit",
    Reason.INVALID_KEY: "the key names no session",
    Reason.NOT_JSON: "the value cannot be parsed",
    Reason.NOT_DECODABLE: "the value is not what its format says",
    Reason.UNKNOWN_SCHEMA: "its schema is not in the registry",
    Reason.UNUSABLE_SCHEMA: "its schema cannot be used",
    Reason.INVALID_EVENT: "a field is missing, unknown or of another type",
    Reason.UNKNOWN_EVENT_TYPE: "there is no such type of event",
    Reason.UNTRANSLATABLE: "it has no place in the API that is spoken",
    Reason.NO_SESSION_START: "an unknown session, and not enough is known to open it",
    Reason.SESSION_REFUSED: "the API refused to open its session",
    Reason.AFTER_END: "it came after the end of its session",
    Reason.PARKED: "its session failed for long and held up others; it is to be replayed in order",
    Reason.LOST_TOO_OFTEN: "each session that was opened for it was gone again",
    Reason.REJECTED: "the API refused the event itself",
    Reason.ATTEMPTS_EXHAUSTED: "it failed too often while others were served",
    Reason.TOO_OLD: "it was still failing when it was too old",
}
CAUSES: Final = {
    "first": "a sessionStart of an unknown player session",
    "lost": "the API no longer knew the one before",
    "rejoined": "an unknown player session that was already under way",
    "restarted": "a sessionStart on a key that had a session before",
    "resumed": "the player went on after the relay had ended the one before, for it was silent or a day old",
    "replayed": "events that were set aside came again, and their session was no longer open",
}


def count(number: float) -> str:
    """12345 → 12,345."""
    return f"{number:,.0f}"


def rate(per_second: float) -> str:
    """With one place behind the point where it matters."""
    return f"{per_second:,.1f}" if 0 < per_second < 10 else f"{per_second:,.0f}"  # noqa: PLR2004


def seconds(value: float) -> str:
    """0.034 → 34 ms, 75 → 1 min 15 s."""
    if 0 < value < _MILLISECOND:
        return "<1 ms"
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < _MINUTE:
        return f"{value:.1f} s"
    if value < _HOUR:
        return f"{value // _MINUTE:.0f} min {value % _MINUTE:.0f} s"
    if value < _DAY:
        return f"{value // _HOUR:.0f} h {value % _HOUR // _MINUTE:.0f} min"
    return f"{value // _DAY:.0f} d {value % _DAY // _HOUR:.0f} h"


def size(number: float) -> str:
    """1536 → 1.5 KiB."""
    for unit in ("B", "KiB", "MiB"):
        if number < _KIBI:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= _KIBI
    return f"{number:.1f} GiB"


def plural(number: int, one: str, many: str | None = None) -> str:
    """1 event, 2 events."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def time_of_day(at: float) -> str:
    """14:05:09."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"


def fine_time(at: float) -> str:
    """14:05:09.250."""
    return f"{time_of_day(at)}.{int(at * 1000) % 1000:03d}"


def stamp(at: float) -> str:
    """The whole moment, for machines and for a hover."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

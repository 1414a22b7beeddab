"""The shapes of letters and plans as JSON, documented in docs/dead-letters.md; personal values masked unless it is asked for them.

In: letters, plans, cuts. Out: plain objects for `json.dumps`. A session is named by the same hash as in the log.
"""

import base64
from collections import Counter
from collections.abc import Callable
from typing import Final, TypeAlias, cast

import msgspec

from relay.core.events import EventType
from relay.letters.index import Entry, Whose
from relay.letters.plan import HeldBack, Replaying
from relay.letters.stored import StoredLetter

Object: TypeAlias = dict[str, object]
Hashes: TypeAlias = Callable[[str], str]

MASK: Final = "********"
DEPTH_MAX: Final = 64  # of what is shown as JSON; what is nested deeper is shown as text
_PLAIN: Final = frozenset({"eventType", "playerTime", "playhead", "ts"})  # what may be shown of an event
_KINDS: Final = frozenset(EventType)


def listed(letter: StoredLetter, *, is_replayed: bool, hashed: Hashes, is_unmasked: bool) -> Object:
    """One letter in a list."""
    shown: Object = {
        "partition": letter.at_partition,
        "offset": letter.at_offset,
        "reason": letter.reason,
        "session": None if letter.session is None else letter.session if is_unmasked else hashed(letter.session),
        "source": {"topic": letter.topic, "partition": letter.partition, "offset": letter.record.offset},
        "timestamp": letter.timestamp,
        "set_aside_at": letter.set_aside_at,
        "attempts": letter.attempts,
        "status": letter.status,
        "round": letter.round,
        "replayed": is_replayed,
        "bytes": letter.byte_count,
    }
    if letter.left_out:
        shown["left_out"] = letter.left_out.split(",")
    return shown | ({"detail": letter.detail} if is_unmasked else {})


def shown(letter: StoredLetter, *, is_replayed: bool, hashed: Hashes, is_unmasked: bool) -> Object:
    """One letter in full."""
    record = letter.record
    return listed(letter, is_replayed=is_replayed, hashed=hashed, is_unmasked=is_unmasked) | {
        "first_tried_at": letter.first_tried_at,
        "version": letter.version,
        "origin": letter.origin,
        "key": _text(record.key) if is_unmasked else None if record.key is None else MASK,
        "headers": [[name, _text(value) if is_unmasked else MASK] for name, value in record.headers],
        "value": _value(record.value, is_unmasked=is_unmasked),
    }


def exported(letter: StoredLetter) -> Object:
    """One letter as a line of an export: everything, bytes in base64, so that nothing is lost."""
    record = letter.record
    described = shown(letter, is_replayed=False, hashed=str, is_unmasked=True)
    return described | {
        "key": _base64(record.key),
        "value": _base64(record.value),
        "headers": [[name, _base64(value)] for name, value in record.headers],
    }


def planned(whose: Whose, plan: Replaying | HeldBack, *, hashed: Hashes, is_unmasked: bool) -> Object:
    """What a replay would do with one session."""
    topic, partition, session = whose
    head: Object = {
        "session": None if isinstance(session, int) else session if is_unmasked else hashed(session),
        "source": {"topic": topic, "partition": partition},
        "letters": len(plan.entries),
        "reasons": dict(Counter(entry.reason for entry in plan.entries)),
    }
    if isinstance(plan, HeldBack):
        return head | {"held_back": {"why": plan.why, "words": plan.words}}
    return head | {
        "plays": [
            {
                "start": segment.start_from,
                "resumes": segment.resumes,
                "ends": segment.ends,
                "records": [_record(entry) for entry in segment.entries],
            }
            for segment in plan.segments
        ]
    }


def _record(entry: Entry) -> Object:
    kind = entry.kind if entry.kind in _KINDS else None
    return {"offset": entry.offset, "origin": entry.origin, "event": kind, "reason": entry.reason, "round": entry.round + 1}


def _value(value: bytes | None, *, is_unmasked: bool) -> object:
    if value is None:
        return None
    try:
        decoded: object = msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return _text(value) if is_unmasked else MASK
    if _is_too_deep(decoded):
        return _text(value) if is_unmasked else MASK
    return decoded if is_unmasked else _masked(decoded, ())


def _is_too_deep(value: object) -> bool:
    """Whether nobody could make anything of it: deeper than any event, and in the end deeper than Python goes."""
    level: list[object] = [value]
    for _ in range(DEPTH_MAX):
        level = [inner for one in level for inner in _members(one)]
        if not level:
            return False
    return True


def _members(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(cast("Object", value).values())
    return cast("list[object]", value) if isinstance(value, list) else []


def _masked(value: object, path: tuple[str, ...]) -> object:
    """Names of members stay, values go; but for the type of the event and its time."""
    if isinstance(value, dict):
        return {name: _masked(member, (*path, name)) for name, member in cast("Object", value).items()}
    if isinstance(value, list):
        return [_masked(member, path) for member in cast("list[object]", value)]
    is_plain = bool(path) and set(path) <= _PLAIN and (not isinstance(value, str) or value in _KINDS)
    return value if is_plain else MASK


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()

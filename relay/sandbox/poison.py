"""Records that are no events: what a topic holds when somebody's code was wrong.

In: a player's key and clock. Out: key and value of a record which the relay must set aside without harm to the session it stands in.
"""

import functools
from enum import StrEnum
from random import Random
from typing import Final, TypeAlias

import msgspec

Object: TypeAlias = dict[str, object]


class Poison(StrEnum):
    """The ways in which a record is wrong."""

    BAD_JSON = "bad_json"
    NULL_VALUE = "null_value"
    WRONG_TYPES = "wrong_types"
    UNKNOWN_EVENT_TYPE = "unknown_event_type"
    OVERSIZE = "oversize"
    KEY_NOT_UTF8 = "key_not_utf8"
    KEY_MISSING = "key_missing"


POISONS: Final = tuple(Poison)

_ENCODE: Final = msgspec.json.Encoder().encode


def poison_record(
    poison: Poison, random: Random, *, key: bytes, player_time: Object, oversize_bytes: int
) -> tuple[bytes | None, bytes | None]:
    """Spoil the ping that the player could have said here: the record's key and value."""
    ping: Object = {"eventType": "ping", "playerTime": player_time}
    record_key: bytes | None = key
    value: bytes | None = _ENCODE(ping)
    match poison:
        case Poison.BAD_JSON:
            whole = _ENCODE(ping)
            value = whole[: random.randrange(1, len(whole))]
        case Poison.NULL_VALUE:
            value = None
        case Poison.WRONG_TYPES:
            value = _ENCODE(random.choice(_with_a_wrong_type(ping, player_time)))
        case Poison.UNKNOWN_EVENT_TYPE:
            value = _ENCODE(ping | {"eventType": "seekStart"})
        case Poison.OVERSIZE:
            value = _large(ping, oversize_bytes)
        case Poison.KEY_NOT_UTF8:
            record_key = b"\xff\xfe" + key
        case Poison.KEY_MISSING:
            record_key = None
    return record_key, value


def _with_a_wrong_type(ping: Object, player_time: Object) -> tuple[object, ...]:
    """One fault of each kind that a careful reader notices."""
    return (
        ping | {"playerTime": player_time | {"playhead": str(player_time["playhead"])}},
        ping | {"playerTime": player_time | {"ts": f"{player_time['ts']}"}},
        ping | {"playerTime": None},
        ping | {"eventType": 7},
        ping | {"params": ["media.name"]},
        ping | {"surprise": True},
        [ping],
    )


def _large(ping: Object, size: int) -> bytes:
    # customMetadata is not allowed on a ping: where no limit stops the record, the API refuses it.
    head = _ENCODE(ping)[:-1] + b',"customMetadata":{"padding":"'
    tail = b'"}}'
    return head + _padding(max(0, size - len(head) - len(tail))) + tail


@functools.lru_cache(maxsize=8)
def _padding(size: int) -> bytes:
    return b"x" * size

"""A message of the dead-letter topic → a letter, or the note that letters were replayed.

In: messages. Out: `StoredLetter` with the record as it was, `ReplayedNote`, or nothing for what is neither.

A letter's own headers follow those of the record, so the record's end where the last `relay.reason` stands. Marks of an earlier replay are
among the record's; they are taken out, since the next replay writes its own.
"""

from typing import Final

import msgspec
from confluent_kafka import Message

from relay.core.events import Record
from relay.core.replays import ORIGIN_HEADER, ROUND_HEADER, START_HEADER
from relay.kafka.reading import record_of

NOTE_HEADER: Final = "relay.replayed"
NUMBER_MAX: Final = 2**63 - 1  # of offsets and times in Kafka
_NUMBER_CHARACTERS_MAX: Final = 19
_PARTITION_MAX: Final = 2**31 - 1
_FIRST_OWN: Final = "relay.reason"
_MARKS: Final = frozenset({ROUND_HEADER, ORIGIN_HEADER, START_HEADER})


class StoredLetter(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One dead letter, and where it stands. Numbers that were not there are 0."""

    at_partition: int  # in the dead-letter topic
    at_offset: int
    record: Record  # its key, value and headers as they were before it was ever set aside; its offset is the one in `topic`
    topic: str
    partition: int
    reason: str
    detail: str = ""
    session: str | None = None
    attempts: int = 0
    status: int = 0
    timestamp: int = 0  # Unix milliseconds, like the next two
    first_tried_at: int = 0
    set_aside_at: int = 0
    version: str = ""
    left_out: str = ""  # parts of the record that did not fit
    round: int = 0  # how often it was replayed before
    origin: int = 0  # the offset that it had when it was first set aside

    @property
    def byte_count(self) -> int:
        """About how much it holds."""
        headers = sum(len(name) + len(value or b"") for name, value in self.record.headers)
        return len(self.record.key or b"") + len(self.record.value or b"") + headers


class ReplayedNote(msgspec.Struct, frozen=True, gc=False):
    """Letters of a partition of a source topic that were replayed, by their offsets there."""

    topic: str
    partition: int
    offsets: list[int]


_decode_note = msgspec.json.Decoder(ReplayedNote).decode


def note_header(note: ReplayedNote) -> tuple[str, bytes]:
    """The header that makes a message a note."""
    return NOTE_HEADER, msgspec.json.encode(note)


def read(message: Message) -> StoredLetter | ReplayedNote | None:
    """What a message of the dead-letter topic says."""
    record = record_of(message)
    names = [name for name, _ in record.headers]
    if NOTE_HEADER in names:
        return _note(dict(record.headers)[NOTE_HEADER])
    if _FIRST_OWN not in names:
        return None
    first = len(names) - 1 - names[::-1].index(_FIRST_OWN)
    own = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers[first:]}
    before = dict(record.headers[:first])
    offset = number_of(own.get("relay.offset"))
    return StoredLetter(
        at_partition=message.partition() or 0,
        at_offset=record.offset,
        record=msgspec.structs.replace(
            record, offset=offset, headers=tuple((name, value) for name, value in record.headers[:first] if name not in _MARKS)
        ),
        topic=own.get("relay.topic", ""),
        partition=number_of(own.get("relay.partition"), maximum=_PARTITION_MAX),
        reason=own[_FIRST_OWN],
        detail=own.get("relay.detail", ""),
        session=own.get("relay.session"),
        attempts=number_of(own.get("relay.attempts")),
        status=number_of(own.get("relay.status")),
        timestamp=number_of(own.get("relay.timestamp")),
        first_tried_at=number_of(own.get("relay.first_tried_at")),
        set_aside_at=number_of(own.get("relay.set_aside_at")),
        version=own.get("relay.version", ""),
        left_out=own.get("relay.left_out", ""),
        round=number_of((before.get(ROUND_HEADER) or b"").decode("ascii", "replace")),
        origin=number_of((before.get(ORIGIN_HEADER) or b"").decode("ascii", "replace"), offset),
    )


def _note(value: bytes | None) -> ReplayedNote | None:
    try:
        return _decode_note(value or b"")
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def number_of(text: str | None, default: int = 0, *, maximum: int = NUMBER_MAX) -> int:
    """A number that one of our headers says; whatever else somebody has written there is none."""
    if text is None or len(text) > _NUMBER_CHARACTERS_MAX or not text.isdecimal():
        return default
    number = int(text)
    return number if number <= maximum else default

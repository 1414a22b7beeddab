"""A dead letter: the record as it came, and headers that say why it was set aside and where it came from.

In: what was set aside and why. Out: key, value and headers for the producer.

The record's own headers come first; whoever looks for one of the relay's takes the last of that name. A letter holds values of up to 10 MB
whole. What would be larger than Kafka takes goes without its value, then without its headers, then without its key, and `relay.left_out`
names what is missing; the record itself stays where it was, at `relay.topic`, `relay.partition` and `relay.offset`, as long as that topic
keeps it. A part of a value would be of no use: it could neither be replayed nor be read.
"""

import re
from typing import Final

import msgspec

from relay.core.events import Record

VALUE_BYTES_MAX: Final = 10 * 2**20
MESSAGE_BYTES_MAX: Final = 12 * 2**20  # of the producer and of the topic; the rest is for key, headers and framing
LETTER_BYTES_MAX: Final = MESSAGE_BYTES_MAX - 64 * 2**10
DETAIL_CHARACTERS_MAX: Final = 1_000

_HEADER_BYTES: Final = 16  # of framing, at most
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

Headers = list[tuple[str, str | bytes | None]]


class DeadLetter(msgspec.Struct, frozen=True, gc=False):
    """A record that was set aside. What is zero or None was not there and gets no header."""

    topic: str
    partition: int
    record: Record
    reason: str
    detail: str = ""
    session: str | None = None
    attempts: int = 0
    status: int = 0
    first_tried_at: int = 0  # Unix milliseconds
    set_aside_at: int = 0  # Unix milliseconds
    trace: str = ""  # the context of its span, where traces are kept


class Written(msgspec.Struct, frozen=True, gc=False):
    """A letter as it goes to Kafka."""

    key: bytes | None
    value: bytes | None
    headers: Headers


def size_of(record: Record) -> int:
    """About how many bytes a record holds."""
    return len(record.key or b"") + len(record.value or b"") + _bytes_in(record.headers)


def write(letter: DeadLetter, version: str) -> Written:
    """The letter as it goes to Kafka."""
    record = letter.record
    own = _own_headers(letter, version)
    room = LETTER_BYTES_MAX - _bytes_in(own)
    left_out: list[str] = []
    key, value, headers = record.key, record.value, record.headers
    if value is not None and len(value) > VALUE_BYTES_MAX:
        value = None
        left_out.append("value")
    if len(key or b"") + len(value or b"") + _bytes_in(headers) > room:
        headers = ()
        left_out.append("headers")
    if len(key or b"") + len(value or b"") > room:
        key = None
        left_out.append("key")
    if left_out:
        own.append(("relay.left_out", ",".join(left_out)))
    return Written(key, value, [*headers, *own])


def _own_headers(letter: DeadLetter, version: str) -> Headers:
    headers: Headers = [
        ("relay.reason", letter.reason),
        ("relay.detail", _one_line(letter.detail)),
        ("relay.topic", letter.topic),
        ("relay.partition", str(letter.partition)),
        ("relay.offset", str(letter.record.offset)),
        ("relay.timestamp", str(letter.record.timestamp_ms)),
    ]
    if letter.session is not None:
        headers.append(("relay.session", letter.session.encode("utf-8", "replace")))
    for name, number in (("attempts", letter.attempts), ("status", letter.status), ("first_tried_at", letter.first_tried_at)):
        if number:
            headers.append((f"relay.{name}", str(number)))
    headers += [("relay.set_aside_at", str(letter.set_aside_at)), ("relay.version", version)]
    if letter.trace:
        headers.append(("relay.traceparent", letter.trace))
    return headers


def _one_line(text: str) -> bytes:
    """A detail may hold words of the API or of a player: nothing in it may break a line of a terminal or of a log."""
    return _UNPRINTABLE.sub(" ", text)[:DETAIL_CHARACTERS_MAX].encode("utf-8", "replace")


def _bytes_in(headers: Headers | tuple[tuple[str, bytes | None], ...]) -> int:
    return sum(_HEADER_BYTES + len(name) + len(value or b"") for name, value in headers)

"""Where a record says which schema it is written in: Confluent's framing before the bytes, or a header beside them.

In: a record's key or value, and its headers. Out: the schema's id, and where the payload begins.

Before the payload stand a zero and four bytes of id, or a one and the sixteen bytes of a schema's GUID; the header holds the same, and then
the payload stands alone. With Protobuf the path to the message within its schema follows: how many steps, then each, as zigzag varints,
where a single zero stands for the first message of all.
"""

import uuid
from typing import Final, Literal, NamedTuple, TypeAlias

from relay.core.events import Record
from relay.core.reasons import Reason
from relay.input.decoding import Unreadable

SchemaId: TypeAlias = int | str
"""The registry's number for a schema, or its GUID as text."""

MESSAGE_STEPS_MAX: Final = 32  # far deeper than anybody nests messages
_BY_NUMBER: Final = 0
_BY_GUID: Final = 1
_NUMBER_END: Final = 5
_GUID_END: Final = 17
_HEADERS: Final = {"key": "__key_schema_id", "value": "__value_schema_id"}
_VARINT_BYTES_MAX: Final = 5
_FIRST_MESSAGE: Final = (0,)


class Framed(NamedTuple):
    """A payload, and what stands before or beside it."""

    schema_id: SchemaId
    payload: bytes  # with the path to the message in front of it, where the schema is Protobuf and the id is not in a header
    beside: bytes | None  # what follows the id in a header


def unframe(record: Record, part: Literal["key", "value"]) -> Framed:
    """The framing of a key or value that is there. Raises `Unreadable`."""
    written = (record.key if part == "key" else record.value) or b""
    if record.headers:
        name = _HEADERS[part]
        header = next((value for given, value in record.headers if given == name), None)
        if header is not None:
            schema_id, place = _schema_id(header, f"header {name}")
            return Framed(schema_id, written, header[place:])
    schema_id, place = _schema_id(written, part)
    return Framed(schema_id, written[place:], None)


def message_in(framed: Framed) -> tuple[tuple[int, ...], bytes]:
    """With Protobuf: the path to the message within its schema, and the bytes of the message. Raises `Unreadable`."""
    if framed.beside is not None:
        return _steps(framed.beside)[0], framed.payload
    steps, place = _steps(framed.payload)
    return steps, framed.payload[place:]


def frame(schema_number: int, payload: bytes, *, steps: tuple[int, ...] = ()) -> bytes:
    """A payload with its framing before it; for those who produce."""
    return bytes((_BY_NUMBER,)) + schema_number.to_bytes(4, "big") + _written_steps(steps) + payload


def _schema_id(written: bytes, where: str) -> tuple[SchemaId, int]:
    magic = written[0] if written else -1
    if magic == _BY_NUMBER and len(written) >= _NUMBER_END:
        return int.from_bytes(written[1:_NUMBER_END], "big"), _NUMBER_END
    if magic == _BY_GUID and len(written) >= _GUID_END:
        return str(uuid.UUID(bytes=written[1:_GUID_END])), _GUID_END
    raise Unreadable(Reason.NOT_DECODABLE, f"the {where} does not begin with the id of a schema as Confluent's clients write it")


def _steps(written: bytes) -> tuple[tuple[int, ...], int]:
    count, place = _varint(written, 0)
    if count == 0:
        return _FIRST_MESSAGE, place
    if not 0 < count <= MESSAGE_STEPS_MAX:
        raise Unreadable(Reason.NOT_DECODABLE, f"the path to the message has {count} steps; at most {MESSAGE_STEPS_MAX} are followed")
    steps: list[int] = []
    for _ in range(count):
        step, place = _varint(written, place)
        steps.append(step)
    return tuple(steps), place


def _varint(written: bytes, place: int) -> tuple[int, int]:
    number = 0
    for index in range(_VARINT_BYTES_MAX):
        if place + index >= len(written):
            break
        byte = written[place + index]
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:  # noqa: PLR2004  # the bit that says that more follow
            return (number >> 1) ^ -(number & 1), place + index + 1
    raise Unreadable(Reason.NOT_DECODABLE, "the path to the message within its schema is cut off or too large")


def _written_steps(steps: tuple[int, ...]) -> bytes:
    if not steps:
        return b""
    if steps == _FIRST_MESSAGE:
        return b"\0"
    return b"".join(map(_written_varint, (len(steps), *steps)))


def _written_varint(number: int) -> bytes:
    rest = number << 1
    written = bytearray()
    while rest > 0x7F:  # noqa: PLR2004
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    written.append(rest)
    return bytes(written)

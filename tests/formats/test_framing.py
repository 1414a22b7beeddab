"""Confluent's framing: where the id of a schema stands, and what is refused."""

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.events import Record
from relay.core.reasons import Reason
from relay.input.decoding import Unreadable
from relay.input.framing import MESSAGE_STEPS_MAX, Framed, frame, message_in, unframe

QUICK = settings(max_examples=300, deadline=None, derandomize=True, database=None)
GUID = uuid.UUID("89791762-2336-186f-9674-180ca60c5c45")


def test_a_number_stands_before_the_payload() -> None:
    """A zero and four bytes."""
    assert unframe(Record(0, value=b"\0\0\0\1\2abc"), "value") == Framed(258, b"abc", None)
    assert unframe(Record(0, key=frame(7, b"abc")), "key") == Framed(7, b"abc", None)


def test_a_guid_stands_before_the_payload() -> None:
    """A one and sixteen bytes."""
    assert unframe(Record(0, value=b"\1" + GUID.bytes + b"abc"), "value") == Framed(str(GUID), b"abc", None)


def test_a_header_says_it_and_the_payload_stands_alone() -> None:
    """One name for keys, another for values."""
    headers = (("x", b"y"), ("__key_schema_id", b"\0\0\0\0\5"), ("__value_schema_id", b"\1" + GUID.bytes))
    record = Record(0, key=b"\0\0\0\0\1k", value=b"\0v", headers=headers)
    assert unframe(record, "value") == Framed(str(GUID), b"\0v", b"")
    assert unframe(record, "key") == Framed(5, b"\0\0\0\0\1k", b"")


@pytest.mark.parametrize(
    "written", [b"", b"\0", b"\0\0\0\0", b"\1" + GUID.bytes[:-1], b"\2\0\0\0\1abc", b'{"eventType": "ping"}', b"Obj\1"]
)
def test_what_has_no_id_is_refused(written: bytes) -> None:
    """Plain JSON, an Avro file, something cut off."""
    for record in (Record(0, value=written), Record(0, value=b"x", headers=(("__value_schema_id", written),))):
        with pytest.raises(Unreadable) as refused:
            unframe(record, "value")
        assert refused.value.reason is Reason.NOT_DECODABLE


def test_a_header_without_a_value_is_none() -> None:
    """The framing before the payload counts then."""
    assert unframe(Record(0, value=frame(3, b"v"), headers=(("__value_schema_id", None),)), "value") == Framed(3, b"v", None)


@pytest.mark.parametrize("steps", [(0,), (1,), (0, 0), (2, 0, 1), (63, 64, 8191), tuple(range(MESSAGE_STEPS_MAX))])
def test_the_path_to_a_message(steps: tuple[int, ...]) -> None:
    """What is written is read again; the first message of all is a single zero."""
    written = frame(1, b"abc", steps=steps)
    assert message_in(unframe(Record(0, value=written), "value")) == (steps, b"abc")
    beside = Record(0, value=b"abc", headers=(("__value_schema_id", frame(1, b"", steps=steps)),))
    assert message_in(unframe(beside, "value")) == (steps, b"abc")
    assert frame(1, b"", steps=(0,)) == b"\0\0\0\0\1\0"


@pytest.mark.parametrize("path", [b"", b"\x80", b"\x02", b"\x42" + b"\0" * 40, b"\x01\0", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"])
def test_a_path_that_is_none_is_refused(path: bytes) -> None:
    """Cut off, too long, negative, or a number without end."""
    with pytest.raises(Unreadable):
        message_in(Framed(1, path, None))


@QUICK
@given(st.binary(max_size=60), st.none() | st.binary(max_size=30))
def test_any_bytes_are_framed_or_refused(value: bytes, header: bytes | None) -> None:
    """Nothing else ever happens."""
    headers = () if header is None else (("__value_schema_id", header),)
    try:
        message_in(unframe(Record(0, value=value, headers=headers), "value"))
    except Unreadable as refused:
        assert refused.reason is Reason.NOT_DECODABLE  # noqa: PT017

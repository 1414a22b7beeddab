"""Envelopes are taken off, and nothing else is changed."""

import pytest

from relay.core.events import Record
from relay.core.reasons import Reason
from relay.input.cloudevents import CloudEvents
from relay.input.decoding import PlainJson, Unreadable

ENVELOPES = CloudEvents(PlainJson())


def test_the_data_is_handed_on_byte_for_byte() -> None:
    """So that a number goes out as it came in."""
    value = b'{"specversion":"1.0","id":"1","data": {"a" : 1.50} ,"partitionkey":"p"}'
    assert ENVELOPES.json(Record(0, value=value)) == b'{"a" : 1.50}'


@pytest.mark.parametrize(
    ("key", "headers", "value", "expected"),
    [
        (b"k", (), b'{"specversion":"1.0","partitionkey":"p","data":{}}', "k"),
        (None, (), b'{"specversion":"1.0","partitionkey":"p","data":{}}', "p"),
        (None, (), b'{"specversion":"1.0","data":{}}', None),
        (None, (("ce_specversion", b"1.0"), ("ce_partitionkey", b"p")), b"{}", "p"),
        (None, (("ce_specversion", b"1.0"),), b"{}", None),
    ],
)
def test_the_partition_key_stands_in_for_the_records_key(
    key: bytes | None, headers: tuple[tuple[str, bytes | None], ...], value: bytes, expected: str | None
) -> None:
    """In either mode."""
    assert ENVELOPES.key(Record(0, key=key, headers=headers, value=value)) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", Reason.NOT_JSON),
        (b"[]", Reason.INVALID_EVENT),
        (b'{"data":{}}', Reason.INVALID_EVENT),
        (b'{"specversion":"1.0"}', Reason.INVALID_EVENT),
        (b'{"specversion":"1.0","data_base64":"e30="}', Reason.INVALID_EVENT),
        (b"", Reason.EMPTY_VALUE),
    ],
)
def test_what_is_no_envelope_is_unreadable(value: bytes, reason: Reason) -> None:
    """With what was expected."""
    with pytest.raises(Unreadable) as raised:
        ENVELOPES.json(Record(0, value=value))
    assert raised.value.reason is reason

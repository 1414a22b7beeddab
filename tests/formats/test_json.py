"""JSON Schema, and keys that are JSON."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.events import Record
from relay.core.reasons import Reason
from relay.input.avro import UnusableSchema
from relay.input.decoding import KEY_BYTES_MAX, Unreadable
from relay.input.json_schema import compile_json_schema
from relay.input.keys import WRITTEN_BYTES_MAX, JsonKeys, key_in_json
from relay.sandbox.encoding import JSON_SCHEMA

QUICK = settings(max_examples=300, deadline=None, derandomize=True, database=None)
PING = b'{"eventType":  "ping", "playerTime": {"playhead": 1.50, "ts": 17}}'


def test_a_value_that_fits_comes_out_byte_for_byte() -> None:
    """Its numbers stay as they were written."""
    assert compile_json_schema(json.dumps(JSON_SCHEMA), {})(PING) == PING


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (b'{"eventType": "ping"}', Reason.INVALID_EVENT, r"\$: .*required"),
        (PING.replace(b"17", b'"17"'), Reason.INVALID_EVENT, r"\$\.playerTime\.ts: .*type"),
        (b"{", Reason.NOT_JSON, None),
        (b"\xff", Reason.NOT_JSON, None),
        (b"", Reason.NOT_JSON, None),
        (b"[" * 100_000, Reason.NOT_JSON, None),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_path(value: bytes, reason: Reason, detail: str | None) -> None:
    """And with the word of the schema that it offends, never with the value."""
    with pytest.raises(Unreadable, match=detail) as refused:
        compile_json_schema(json.dumps(JSON_SCHEMA), {})(value)
    assert refused.value.reason is reason
    assert "17" not in refused.value.detail


def test_what_a_schema_refers_to_is_found_by_its_name_or_its_id() -> None:
    """And is never fetched from anywhere else."""
    referred = json.dumps({"$id": "https://example.org/time.json", "type": "integer"})
    for name in ("time.json", "https://example.org/time.json"):
        decode = compile_json_schema(json.dumps({"properties": {"ts": {"$ref": name}}}), {"time.json": referred})
        assert decode(b'{"ts": 1}') == b'{"ts": 1}'
        with pytest.raises(Unreadable, match="ts"):
            decode(b'{"ts": "x"}')
    with pytest.raises(Unreadable) as refused:
        compile_json_schema('{"$ref": "http://127.0.0.1:1/x.json"}', {})(b"{}")
    assert refused.value.reason is Reason.UNUSABLE_SCHEMA


@pytest.mark.parametrize("text", ["", "{", '"x"', "7", '{"type": "nothing"}', '{"properties": 7}'])
def test_what_is_no_schema_is_unusable(text: str) -> None:
    """Whatever else the registry may hold."""
    with pytest.raises(UnusableSchema):
        compile_json_schema(text, {})


def test_a_schema_within_itself_is_checked_to_a_bounded_depth() -> None:
    """A value that is nested too deeply is refused."""
    decode = compile_json_schema(
        '{"$ref": "#/definitions/a", "definitions": {"a": {"additionalProperties": {"$ref": "#/definitions/a"}}}}', {}
    )
    assert decode(b'{"a": {"a": {}}}')
    with pytest.raises(Unreadable):
        decode(b'{"a":' * 900 + b"{}" + b"}" * 900)


@QUICK
@given(st.binary(max_size=100) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_an_event_or_refused(payload: bytes) -> None:
    """Nothing else ever happens."""
    with contextlib.suppress(Unreadable):
        assert DECODE(payload) == payload


DECODE = compile_json_schema(json.dumps(JSON_SCHEMA), {})


# --- keys -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("json_key", "field", "key"),
    [
        (b'"player"', None, "player"),
        (b"17", None, "17"),
        (b"-9007199254740993", None, "-9007199254740993"),
        (b"null", None, None),
        (b'""', None, None),
        (b'{"id": "player", "x": 1}', "id", "player"),
        (b'{"session": {"id": 5}}', "session.id", "5"),
        (b'{"x": 1}', "id", None),
        (b'"text"', "id", None),
        (b"{}", "a.b", None),
    ],
)
def test_a_key_that_is_json_names_the_session(json_key: bytes, field: str | None, key: str | None) -> None:
    """A text or a whole number, by itself or as a member; without one the value must name the session."""
    assert JsonKeys(field=field).key(Record(0, key=json_key)) == key


@pytest.mark.parametrize(
    ("json_key", "field"),
    [
        (b"{", None),
        (b"\xff", None),
        (b"1.5", None),
        (b"true", None),
        (b"[1]", None),
        (b'{"id": 1}', None),
        (b'{"id": {"x": 1}}', "id"),
        (b'"' + b"x" * (KEY_BYTES_MAX + 1) + b'"', None),
        (b" " * (WRITTEN_BYTES_MAX + 1), None),
        (b"[" * WRITTEN_BYTES_MAX, None),
    ],
)
def test_a_key_that_names_no_session_is_refused(json_key: bytes, field: str | None) -> None:
    """With a word on what to set, where it is an object."""
    with pytest.raises(Unreadable) as refused:
        JsonKeys(field=field).key(Record(0, key=json_key))
    assert refused.value.reason is Reason.INVALID_KEY
    if json_key == b'{"id": 1}':
        assert "RELAY_INPUT__KEY_FIELD" in refused.value.detail


def test_without_a_key_there_is_none() -> None:
    """Null and empty keys are no JSON, and none is missed."""
    assert JsonKeys(field="id").key(Record(0)) is None
    assert JsonKeys(field="id").key(Record(0, key=b"")) is None


@QUICK
@given(st.binary(max_size=60), st.sampled_from([None, "a", "a.b"]))
def test_any_key_names_a_session_or_is_refused(json_key: bytes, field: str | None) -> None:
    """Nothing else ever happens."""
    found: Any = None
    try:
        found = key_in_json(json_key, field)
    except Unreadable as refused:
        assert refused.reason is Reason.INVALID_KEY  # noqa: PT017
    assert found is None or found

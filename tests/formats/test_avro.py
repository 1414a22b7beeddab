"""Avro: what comes out, and that no schema and no bytes get out of bounds."""

import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.reasons import Reason
from relay.input.avro import DEPTH_MAX, UnusableSchema, compile_avro
from relay.input.decoding import Unreadable
from relay.sandbox.encoding import AVRO

QUICK = settings(max_examples=400, deadline=None, derandomize=True, database=None)
LIST = {"type": "record", "name": "Link", "fields": [{"name": "next", "type": ["null", "Link"]}]}
TREE = {
    "type": "record",
    "name": "Node",
    "namespace": "a.b",
    "fields": [{"name": "name", "type": "string"}, {"name": "children", "type": {"type": "array", "items": "Node"}}],
}


def written(schema: Any, value: object) -> bytes:
    """The bytes of a value, by the library itself."""
    target = io.BytesIO()
    fastavro.schemaless_writer(target, fastavro.parse_schema(schema), value)
    return target.getvalue()


def decoded(schema: Any, value: object, **references: str) -> Any:
    """What comes out as JSON."""
    return json.loads(compile_avro(json.dumps(schema), references)(written(schema, value)))


@pytest.mark.parametrize(
    ("schema", "value", "json_value"),
    [
        ("string", "schön 😀", "schön 😀"),
        ("long", -(2**63), -(2**63)),
        ("double", 12.5, 12.5),
        ("double", float("nan"), None),
        ("double", float("inf"), None),
        ("boolean", True, True),
        ("bytes", b"\xff\0a", "/wBh"),
        ({"type": "fixed", "name": "F", "size": 2}, b"\1\2", "AQI="),
        ({"type": "enum", "name": "E", "symbols": ["PLAY", "PAUSE"]}, "PAUSE", "PAUSE"),
        ({"type": "array", "items": "int"}, [1, 2], [1, 2]),
        ({"type": "map", "values": ["null", "int"]}, {"a": 1, "b": None}, {"a": 1}),
        ({"type": "array", "items": ["null", "int"]}, [1, None], [1, None]),
        ({"type": "long", "logicalType": "timestamp-millis"}, 1_700_000_000_000, 1_700_000_000_000),
        (["null", "string", {"type": "map", "values": "long"}], {"a": 1}, {"a": 1}),
        (LIST, {"next": {"next": {"next": None}}}, {"next": {"next": {}}}),
        (TREE, {"name": "a", "children": [{"name": "b", "children": []}]}, {"name": "a", "children": [{"name": "b", "children": []}]}),
    ],
)
def test_a_value_comes_out_as_json_has_it(schema: Any, value: object, json_value: object) -> None:
    """Times stay numbers, bytes become base64, a member that is null is absent, and what JSON has no number for is null."""
    assert decoded(schema, value) == json_value


def test_names_are_found_wherever_they_are_defined() -> None:
    """In a namespace, in the namespace around, in a schema that is referred to."""
    referred = {"type": "record", "name": "Time", "namespace": "x.y", "fields": [{"name": "ts", "type": "long"}]}
    schema = {
        "type": "record",
        "name": "Event",
        "namespace": "x.y",
        "fields": [
            {"name": "a", "type": "Time"},
            {"name": "b", "type": "x.y.Time"},
            {"name": "c", "type": {"type": "record", "name": "other.Inner", "fields": [{"name": "d", "type": "x.y.Time"}]}},
            {"name": "e", "type": "other.Inner"},
        ],
    }
    time = {"ts": 1}
    value = {"a": time, "b": time, "c": {"d": time}, "e": {"d": time}}
    payload = b"\2" * 4
    assert json.loads(compile_avro(json.dumps(schema), {"x.y.Time": json.dumps(referred)})(payload)) == value
    with pytest.raises(UnusableSchema):
        compile_avro(json.dumps(schema), {})


def test_the_writers_schema_says_what_was_written() -> None:
    """Each record is read with its own schema, so fields come and go as producers evolve."""
    old, new = (
        {"type": "record", "name": "E", "fields": [{"name": name, "type": kind} for name, kind in fields]}
        for fields in ([("a", "int")], [("b", "string"), ("a", "long")])
    )
    assert decoded(old, {"a": 1}) == {"a": 1}
    assert decoded(new, {"a": 2, "b": "x"}) == {"b": "x", "a": 2}


@pytest.mark.parametrize("depth", [DEPTH_MAX + 1, 1_000, 100_000, 260_000])
def test_a_type_that_contains_itself_is_read_to_a_bounded_depth(depth: int) -> None:
    """A hundred kilobytes of nesting would overrun the library's stack and end the process."""
    decode = compile_avro(json.dumps(LIST), {})
    assert decode(b"\2" * DEPTH_MAX + b"\0").count(b"next") == DEPTH_MAX
    with pytest.raises(Unreadable) as refused:
        decode(b"\2" * depth + b"\0")
    assert refused.value.reason is Reason.NOT_DECODABLE


def test_types_that_contain_each_other_are_bounded_as_well() -> None:
    """However they are entangled: each round takes one level."""
    schema = {
        "type": "record",
        "name": "A",
        "fields": [{"name": "b", "type": ["null", {"type": "record", "name": "B", "fields": [{"name": "a", "type": ["null", "A"]}]}]}],
    }
    decode = compile_avro(json.dumps(schema), {})
    assert json.loads(decode(b"\2\2\2\0")) == {"b": {"a": {"b": {}}}}
    with pytest.raises(Unreadable):
        decode(b"\2" * 200_000 + b"\0")


@pytest.mark.parametrize(
    "items",
    [
        "null",
        {"type": "record", "name": "Nothing", "fields": []},
        {"type": "fixed", "name": "None", "size": 0},
        {"type": "record", "name": "Wide", "fields": [{"name": f"n{n}", "type": "null"} for n in range(5)]},
        {
            "type": "record",
            "name": "Fan",
            "fields": [{"name": "i", "type": "int"}, *({"name": f"n{n}", "type": "null"} for n in range(100))],
        },
    ],
)
def test_arrays_of_nothing_are_refused_with_their_schema(items: Any) -> None:
    """In five bytes they claim billions of items."""
    with pytest.raises(UnusableSchema, match="values a byte"):
        compile_avro(json.dumps({"type": "array", "items": items}), {})


def test_a_map_of_nulls_is_fine() -> None:
    """Each entry takes the bytes of its name at least."""
    assert decoded({"type": "map", "values": "null"}, {"a": None}) == {}


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        ("bytes", b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7fabc"),  # four exabytes
        ("string", b"\xfe\xff\xff\xff\x7fabc"),
        ("string", b"\x03abc"),  # a length below zero
        ("string", b"\x04\xff\xfe"),  # no UTF-8
        ({"type": "fixed", "name": "f", "size": 2**31 - 1}, b"abc"),
        ({"type": "array", "items": "int"}, b"\xfe\xff\xff\xff\x7f\2"),
        ({"type": "map", "values": "int"}, b"\xfe\xff\xff\xff\x7f\2"),
        ({"type": "enum", "name": "e", "symbols": ["A"]}, b"\x04"),
        (["null", "string"], b"\x09"),
        ("double", b"abc"),
        ("int", b""),
        ("int", b"\2\2"),  # something follows
    ],
)
def test_bytes_that_are_not_what_the_schema_says(schema: Any, payload: bytes) -> None:
    """Whatever length they claim, nothing of that length is made."""
    with pytest.raises(Unreadable) as refused:
        compile_avro(json.dumps(schema), {})(payload)
    assert refused.value.reason is Reason.NOT_DECODABLE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nope",
        "[]]",
        '{"type":"record"}',
        '{"type":"record","name":"R","fields":[{"name":"a","type":"Unknown"}]}',
        "{}",
        "7",
        "null,",
        '{"type":"array","items":' * 3_000 + '"int"' + "}" * 3_000,
    ],
)
def test_what_is_no_schema_is_unusable(text: str) -> None:
    """Also one that is nested beyond reason."""
    with pytest.raises(UnusableSchema):
        compile_avro(text, {})


def test_a_schema_may_be_a_bare_name() -> None:
    """As the registry keeps the schema of a key that is text."""
    assert compile_avro('"string"', {})(b"\2a") == b'"a"'
    assert compile_avro("string", {})(b"\2a") == b'"a"'


@QUICK
@given(st.binary(max_size=300))
def test_any_bytes_are_an_event_or_refused(payload: bytes) -> None:
    """For a schema like those of players, and for one that contains itself."""
    for decode in DECODERS:
        try:
            json.loads(decode(payload))
        except Unreadable as refused:
            assert refused.reason is Reason.NOT_DECODABLE  # noqa: PT017


DECODERS = [compile_avro(json.dumps(schema), {}) for schema in (AVRO, TREE, LIST)]
SCALARS = st.sampled_from(["null", "boolean", "int", "long", "float", "double", "bytes", "string"])
SCHEMAS = st.recursive(
    SCALARS | st.builds(lambda name: {"type": "fixed", "name": name, "size": 3}, st.sampled_from("FG")),
    lambda inner: (
        st.builds(lambda items: {"type": "array", "items": items}, inner)
        | st.builds(lambda values: {"type": "map", "values": values}, inner)
        | st.lists(inner, min_size=1, max_size=3)
        | st.builds(
            lambda name, kinds: {"type": "record", "name": name, "fields": [{"name": f"f{n}", "type": k} for n, k in enumerate(kinds)]},
            st.sampled_from("RST"),
            st.lists(inner | st.sampled_from("RST"), max_size=4),
        )
    ),
    max_leaves=12,
)


@QUICK
@given(SCHEMAS, st.binary(max_size=200))
def test_any_schema_is_read_with_or_unusable(schema: Any, payload: bytes) -> None:
    """Names that are defined twice or nowhere, unions in unions, types within themselves: never a crash, never a hang."""
    try:
        decode = compile_avro(json.dumps(schema), {})
    except UnusableSchema:
        return
    try:
        decode(payload)
    except Unreadable as refused:
        assert refused.reason is Reason.NOT_DECODABLE  # noqa: PT017

"""Protobuf: what comes out, how `.proto` texts are read, and that no schema and no bytes get out of bounds."""

import contextlib
import json
from base64 import b64encode
from typing import Any

import pytest
from google.protobuf import json_format, struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.reasons import Reason
from relay.input.avro import UnusableSchema
from relay.input.decoding import Unreadable
from relay.input.proto_text import NotProto, parse_proto
from relay.input.protobuf import VALUES_MAX, compile_protobuf
from relay.sandbox.encoding import PROTO

QUICK = settings(max_examples=400, deadline=None, derandomize=True, database=None)
RICH = """
// A comment, with "quotes" { and a brace
syntax = "proto3"; /* another
  one */ package relay.tests;
import "google/protobuf/struct.proto"; import public "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
option java_package = "org.example"; option (my.option).inner = { a: 1 b { c: "}" } list: [1, 2] };
message Event {
  string event_type = 1 [deprecated = true, json_name = "event.kind", (my.rule) = { min: -1.5e3, text: "a" "b" }];
  Time time = 2;
  optional double offset = 3;
  int64 big = 4; uint64 huge = 5; bool flag = 6; bytes blob = 7; float small = 8;
  repeated sint32 numbers = 9 [packed = false];
  map<string, Kind> kinds = 10; map<bool, Time> times = 0xB; map < int32 , string > texts = 014;
  oneof which { option (x) = 1; string text = 13; Kind kind = 14; }
  Event parent = 15; repeated .relay.tests.Event children = 16;
  google.protobuf.Struct params = 17; google.protobuf.Timestamp at = 18;
  google.protobuf.StringValue note = 19; google.protobuf.Value any = 20;
  reserved 100 to 199, 300; reserved "old", "older";
  message Time { double playhead = 1; int64 ts = 2; }
  enum Kind { option allow_alias = true; KIND_UNKNOWN = 0; PLAY = 1; ALSO_PLAY = 1 [deprecated = true]; BEFORE = -2; reserved 5 to max; }
  extensions 1000 to max;
  ;
}
message Second { message Inner { int32 n = 1; } }
service Player { rpc Tell (Event) returns (stream Event) { option (http) = { post: "/x" }; } rpc Ask (Event) returns (Event); }
"""


def pool_with(text: str) -> Any:
    """The library's own view of a file."""
    pool = DescriptorPool()
    for module in (struct_pb2, timestamp_pb2, wrappers_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(parse_proto(text, "test.proto").SerializeToString())
    return pool


EVENT: Any = GetMessageClass(pool_with(RICH).FindMessageTypeByName("relay.tests.Event"))


def decoded(message: Any, text: str = RICH, steps: tuple[int, ...] = (0,)) -> Any:
    """What comes out as JSON."""
    return json.loads(compile_protobuf(text, {})(message.SerializeToString(), steps))


# A field that cannot say whether it is there: numbers and booleans count as there.
ALWAYS = {"big": 0, "huge": 0, "flag": False, "small": 0.0}


def test_members_have_the_names_of_the_json_mapping() -> None:
    """And what `json_name` says."""
    message = EVENT(event_type="ping")
    message.time.playhead = 12.5
    message.time.ts = 1_700_000_000_000
    assert decoded(message) == {"event.kind": "ping", "time": {"playhead": 12.5, "ts": 1_700_000_000_000}, **ALWAYS}


def test_numbers_stay_numbers() -> None:
    """Also those of 64 bits, which the JSON mapping of Protobuf turns into text."""
    message = EVENT(big=-(2**63), huge=2**64 - 1, flag=True, small=0.5, numbers=[1, -2])
    assert decoded(message) == {"big": -(2**63), "huge": 2**64 - 1, "flag": True, "small": 0.5, "numbers": [1, -2]}


def test_a_playhead_of_nothing_is_there_and_an_empty_text_is_not() -> None:
    """Proto3 writes neither, and a player at the very beginning has a playhead."""
    message = EVENT()
    message.time.SetInParent()
    assert decoded(message) == {"time": {"playhead": 0.0, "ts": 0}, **ALWAYS}


def test_what_can_say_whether_it_is_there_does() -> None:
    """A field marked optional, and a choice."""
    assert "offset" not in decoded(EVENT())
    assert decoded(EVENT(offset=0.0))["offset"] == 0.0
    assert decoded(EVENT(text=""))["text"] == ""
    assert decoded(EVENT(kind=0))["kind"] == "KIND_UNKNOWN"


def test_containers_and_what_the_library_knows_by_itself() -> None:
    """Maps, messages within themselves, structs, times, wrappers, bytes, enums with and without a name."""
    message = EVENT(blob=b"\xff\0a", kinds={"a": 1, "b": -2, "c": 77}, texts={5: "five"})
    message.times[True].ts = 7
    message.parent.event_type = "parent"
    message.children.add(event_type="child")
    message.params.update({"a": 3, "b": [1.5, None, {"c": True}], "d": "text"})
    message.at.FromMilliseconds(1_700_000_000_500)
    message.note.value = "noted"
    message.any.bool_value = False
    assert decoded(message) == {
        **ALWAYS,
        "blob": "/wBh",
        "kinds": {"a": "PLAY", "b": "BEFORE", "c": 77},
        "texts": {"5": "five"},
        "times": {"true": {"playhead": 0.0, "ts": 7}},
        "parent": {"event.kind": "parent", **ALWAYS},
        "children": [{"event.kind": "child", **ALWAYS}],
        "params": {"a": 3, "b": [1.5, None, {"c": True}], "d": "text"},
        "at": "2023-11-14T22:13:20.500Z",
        "note": "noted",
        "any": False,
    }


def test_the_path_says_which_message() -> None:
    """The first, a later one, one within another; where there is none, the record is refused."""
    decode = compile_protobuf(RICH, {})
    assert json.loads(decode(b"", (1,))) == {}
    assert json.loads(decode(b"\x08\x05", (1, 0))) == {"n": 5}
    for steps in ((2,), (1, 1), (0, 99), (1, 0, 0), (-1,)):
        with pytest.raises(Unreadable, match="no message at"):
            decode(b"", steps)


def test_a_schema_may_come_as_a_descriptor() -> None:
    """In base64, as some registries give it and Python's producers register it."""
    text = b64encode(parse_proto(PROTO, "any.proto").SerializeToString()).decode()
    message = GetMessageClass(pool_with(PROTO).FindMessageTypeByName("relay.sandbox.PlayerEvent"))(event_type="ping")
    assert decoded(message, text) == {"eventType": "ping"}


def test_imports_are_references_of_the_schema() -> None:
    """By the name that the file imports, through several files; what is missing makes the schema unusable."""
    inner = 'syntax = "proto3"; package p; message Inner { int32 n = 1; }'
    middle = 'syntax = "proto3"; package p; import "inner.proto"; message Middle { Inner inner = 1; }'
    outer = 'syntax = "proto3"; package p; import "middle.proto"; message Outer { p.Middle middle = 1; }'
    references = {"middle.proto": middle, "inner.proto": inner}
    assert json.loads(compile_protobuf(outer, references)(b"\x0a\x04\x0a\x02\x08\x07", (0,))) == {"middle": {"inner": {"n": 7}}}
    with pytest.raises(UnusableSchema, match=r"imports inner\.proto"):
        compile_protobuf(outer, {"middle.proto": middle})
    with pytest.raises(UnusableSchema, match="imports itself"):
        compile_protobuf(outer, {"middle.proto": 'import "middle.proto";'})
    with pytest.raises(UnusableSchema, match="no reference"):
        compile_protobuf('import "os/path.proto";', {})


def test_proto2_is_read_as_well() -> None:
    """Required fields, groups, defaults; unlike proto3 it always knows what is there."""
    text = """package p; message Old { required string name = 1; optional int32 n = 2 [default = 5];
      repeated group Part = 3 { optional int32 size = 4; } extend Old { optional int32 x = 100; } }"""
    assert json.loads(compile_protobuf(text, {})(b"\x0a\x01a\x1b\x20\x07\x1c", (0,))) == {"name": "a", "part": [{"size": 7}]}


def test_the_text_of_a_file_is_what_the_library_would_make_of_it() -> None:
    """Labels, numbers, kinds and names of the sandbox's own schema, and a round trip through the library's own JSON."""
    message = GetMessageClass(pool_with(PROTO).FindMessageTypeByName("relay.sandbox.PlayerEvent"))
    event = {"eventType": "ping", "playerTime": {"playhead": 1.5, "ts": 17}, "params": {"a": "b"}, "customMetadata": {"c": "d"}}
    assert decoded(json_format.ParseDict(event, message()), PROTO) == event


@pytest.mark.parametrize(
    "text",
    [
        "",
        "message",
        "message A {",
        "message A { int32 }",
        "message A { int32 a = x; }",
        "message A { Nobody a = 1; }",
        "message A { int32 a = 1; int32 a = 2; }",
        'edition = "2023"; message A {}',
        'syntax = "proto4"; message A {}',
        "message A { int32 a = 1 [json_name] ; }",
        "§",
        '"text" "text"',
        "message A " + "{ message B " * 5_000,
        "[" * 100_000,
        "=== no base64, no proto",
        b64encode(b"\xff\xff\xff").decode(),
    ],
)
def test_what_is_no_schema_is_unusable(text: str) -> None:
    """Cut off, contradictory, unknown, nested beyond reason."""
    try:
        decode = compile_protobuf(text, {})
    except UnusableSchema:
        return
    with pytest.raises(Unreadable):  # an empty file holds no message
        decode(b"", (0,))


def nested(depth: int) -> bytes:
    """Parents within parents."""
    written = b""
    for _ in range(depth):
        size, length = bytearray(), len(written)
        while length > 127:
            size.append(length & 127 | 128)
            length >>= 7
        written = b"\x7a" + bytes(size) + bytes((length,)) + written
    return written


@pytest.mark.parametrize("depth", [101, 5_000, 80_000])
def test_messages_within_themselves_are_read_to_a_bounded_depth(depth: int) -> None:
    """As deep as the library reads, and no deeper."""
    decode = compile_protobuf(RICH, {})
    assert decode(nested(50), (0,)).count(b"parent") == 50
    with pytest.raises(Unreadable) as refused:
        decode(nested(depth), (0,))
    assert refused.value.reason is Reason.NOT_DECODABLE


def test_few_bytes_do_not_make_many_values() -> None:
    """A list of empty messages with many fields would grow without bounds."""
    fields = "".join(f"int32 n{number} = {number}; " for number in range(1, 200))
    text = f'syntax = "proto3"; message Wide {{ {fields} }} message All {{ repeated Wide all = 1; }}'
    decode = compile_protobuf(text, {})
    assert len(json.loads(decode(b"\x0a\0" * 100, (1,)))["all"]) == 100
    with pytest.raises(Unreadable, match=f"more than {VALUES_MAX} values"):
        decode(b"\x0a\0" * 100_000, (1,))


@QUICK
@given(st.binary(max_size=300))
def test_any_bytes_are_an_event_or_refused(payload: bytes) -> None:
    """Nothing else ever happens."""
    for decode in DECODERS:
        try:
            json.loads(decode(payload, (0,)))
        except Unreadable as refused:
            assert refused.reason is Reason.NOT_DECODABLE  # noqa: PT017


@QUICK
@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from([*RICH.split(), "{", "}", ";", "=", "1", "map", "<", ">", "[", "]"]), max_size=60).map(" ".join)
)
def test_any_text_is_a_file_or_is_not(text: str) -> None:
    """Never a crash, never a hang."""
    with contextlib.suppress(NotProto):
        parse_proto(text, "any.proto")
    with contextlib.suppress(UnusableSchema):
        compile_protobuf(text, {})


DECODERS = [compile_protobuf(text, {}) for text in (RICH, PROTO)]

"""Native events: what is taken over byte for byte, what is refused, and that nothing else ever happens."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.api.collection import MediaCollection
from relay.core.assignment import Assignment
from relay.core.commands import SendEvent
from relay.core.events import ApiSessionId, Details, EventType, PlayerEvent, Record, SessionKey
from relay.core.lane import Lane
from relay.core.reasons import Reason
from relay.input.decoding import KEY_BYTES_MAX, RECORD_BYTES_MAX, read_key
from relay.input.native import NativeInput, Unreadable, decode

TIME = '"playerTime":{"playhead":12.5,"ts":1700000012500}'
PING = f'{{"eventType":"ping",{TIME}}}'.encode()
QUICK = settings(max_examples=300, deadline=None, derandomize=True, database=None)


def with_(rest: str, kind: str = "chapterStart") -> bytes:
    """An event with something more in it."""
    return f'{{"eventType":"{kind}",{TIME},{rest}}}'.encode()


def at(playhead: str = "12.5", ts: str = "1700000012500") -> bytes:
    """An event at another time."""
    return f'{{"eventType":"ping","playerTime":{{"playhead":{playhead},"ts":{ts}}}}}'.encode()


def sent(event: PlayerEvent) -> bytes:
    """The event as it goes out in the classic dialect."""
    lane = Lane(SessionKey("k"), Assignment("events", 0))
    return MediaCollection().sending(SendEvent(lane, ApiSessionId("id"), event)).body


def refusal(value: bytes | None, key: bytes | None = b"k", **options: bool) -> tuple[Reason, str]:
    """Why a record is no event."""
    with pytest.raises(Unreadable) as caught:
        NativeInput(**options).read(Record(1, key=key, value=value))
    return caught.value.reason, caught.value.detail


# --- taken over ---------------------------------------------------------------------------------------------------------------------


def test_an_event_keeps_everything_that_it_says() -> None:
    """Type, playhead, ts, the three objects byte for byte, and its record."""
    value = (
        b'{"eventType":"chapterStart","playerTime":{"playhead":12.5,"ts":1700000012500},"params":{ "media.chapter.index" : 1 },'
        b'"qoeData":{"media.qoe.bitrate":2.0e4},"customMetadata":{"plan":"g\\u00f6ld"}}'
    )
    record = Record(7, key="schlüssel".encode(), value=value)
    key, event = NativeInput().read(record)
    assert key == "schlüssel"
    assert event == PlayerEvent(
        EventType.CHAPTER_START,
        12.5,
        1_700_000_012_500,
        params=b'{ "media.chapter.index" : 1 }',
        qoe_data=b'{"media.qoe.bitrate":2.0e4}',
        custom_metadata=b'{"plan":"g\\u00f6ld"}',
        record=record,
    )


@pytest.mark.parametrize("kind", list(EventType))
def test_each_event_type_is_read(kind: EventType) -> None:
    """All nineteen."""
    assert decode(PING.replace(b'"ping"', b'"%s"' % kind.encode())).event_type is kind


@pytest.mark.parametrize(
    "params",
    [
        '{"a":1.50}',
        '{"a":1.0}',
        '{"a":1e3}',
        '{"a":-0.0}',
        '{"a":0.1000000000000000055511151231257827}',
        '{"a":123456789012345678901234567890}',
        '{"a":18446744073709551616}',
        '{"a":-9223372036854775809}',
        '{"a":"\\u00e9\\ud83d\\ude00 \\"\\\\\\/"}',
        '{"é😀":"\N{RIGHT-TO-LEFT OVERRIDE}"}',
        '{"a":"\\u0000"}',
        '{ "a" : true , "b" : false }',
        '{"a":{"b":{"c":[1,null]}}}',
        '{"a":1,"a":2}',
        '{"a":""}',
    ],
)
def test_params_go_out_as_they_came_in(params: str) -> None:
    """Numbers as they were written, escapes as they were written, spaces and all."""
    event = decode(with_(f'"params":{params}'))
    assert event.params == params.encode()
    assert b'"params":' + params.encode() in sent(event)


@pytest.mark.parametrize(
    "playhead", ["0", "0.0", "12", "12.0", "12.5", "-1.5", "0.1", "1e-7", "86399.999", "1e300", "9007199254740993", "3600.0000001"]
)
def test_a_playhead_stays_the_number_that_it_was(playhead: str) -> None:
    """An int stays an int, a float stays that float."""
    found = json.loads(sent(decode(at(playhead=playhead))))["playerTime"]["playhead"]
    assert found == json.loads(playhead)
    assert type(found) is type(json.loads(playhead))


@pytest.mark.parametrize(
    "ts", ["0", "1", "-1", "1700000012500", "9223372036854775807", "9223372036854775808", "123456789012345678901234567890"]
)
def test_the_time_is_never_altered(ts: str) -> None:
    """Ts goes out as the integer that came in, however large."""
    assert f'"ts":{ts}}}'.encode() in sent(decode(at(ts=ts)))


@pytest.mark.parametrize("name", ["params", "qoeData", "customMetadata"])
def test_empty_objects_are_left_out(name: str) -> None:
    """`{}` says nothing and is not sent."""
    event = decode(with_(f'"{name}":{{ }}', "play"))
    assert (event.params, event.qoe_data, event.custom_metadata) == (b"", b"", b"")
    assert set(json.loads(sent(event))) == {"eventType", "playerTime"}


def test_what_a_start_would_carry_is_kept_apart() -> None:
    """`start` on an event is checked, kept, and never sent."""
    event = decode(with_('"start":{"params":{"media.id" : "x"},"customMetadata":{"plan":"gold"}}', "ping"))
    assert event.start == Details(params=b'{"media.id" : "x"}', custom_metadata=b'{"plan":"gold"}')
    assert b"start" not in sent(event)
    assert decode(with_('"start":{}', "ping")).start == Details()


@pytest.mark.parametrize("kind", ["stateStart", "stateEnd"])
def test_a_state_is_known_by_its_name(kind: str) -> None:
    """The state's name is read from the params, where it is a text."""
    assert decode(with_('"params":{"media.state.name":"mute"}', kind)).state_name == "mute"
    assert decode(with_('"params":{"media.state.name":5}', kind)).state_name == ""
    assert decode(f'{{"eventType":"{kind}",{TIME}}}'.encode()).state_name == ""


def test_space_around_an_event_is_no_harm() -> None:
    """JSON may be surrounded by white space."""
    assert decode(b" \r\n\t" + PING + b"\n").event_type is EventType.PING


def test_of_a_field_that_comes_twice_the_last_one_counts() -> None:
    """As in every common JSON reader."""
    assert decode(with_('"eventType":"play"', "ping")).event_type is EventType.PLAY


# --- the key ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["a", "anna@example.org", "schlüssel 😀", "x" * KEY_BYTES_MAX, "with\x00null", "../..", "\r\n"])
def test_any_utf8_key_is_a_session(key: str) -> None:
    """Keys are the player's own business; nothing in them is special."""
    assert read_key(key.encode()) == key


@pytest.mark.parametrize("key", [None, b""])
def test_without_a_key_the_value_names_the_session(key: bytes | None) -> None:
    """`sessionKey` in the value stands in for a missing key."""
    assert NativeInput().read(Record(1, key=key, value=with_('"sessionKey":"abc"', "ping")))[0] == "abc"


def test_the_records_key_goes_before_the_values() -> None:
    """With both, the record's key is the session."""
    assert NativeInput().read(Record(1, key=b"k", value=with_('"sessionKey":"abc"', "ping")))[0] == "k"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        (b"\xff\xfe", PING, "the key is not UTF-8: byte 0 is 0xff"),
        (b"ab\xed\xa0\x80", PING, "the key is not UTF-8: byte 2 is 0xed"),
        (b"x" * (KEY_BYTES_MAX + 1), PING, "the key has 1025 bytes; at most 1024 are taken"),
        (None, PING, "$.sessionKey: the record has no key"),
        (b"", with_('"sessionKey":""', "ping"), "$.sessionKey: the record has no key"),
        (None, with_(f'"sessionKey":"{"é" * 513}"', "ping"), "$.sessionKey: at most 1024 bytes are taken"),
    ],
)
def test_a_key_that_names_no_session(key: bytes | None, value: bytes, expected: str) -> None:
    """Not UTF-8, too long, or nowhere: `invalid_key`, and the detail says which."""
    reason, detail = refusal(value, key)
    assert reason is Reason.INVALID_KEY
    assert detail.startswith(expected)


def test_a_refusal_names_the_session_where_it_is_known() -> None:
    """A dead letter of a readable key can be found by its session."""
    with pytest.raises(Unreadable) as caught:
        NativeInput().read(Record(1, key=b"k", value=b"nope"))
    assert caught.value.key == "k"
    with pytest.raises(Unreadable) as caught:
        NativeInput().read(Record(1, key=b"\xff", value=PING))
    assert caught.value.key is None


# --- refused ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "reason", "words"),
    [
        (None, Reason.EMPTY_VALUE, ["expected an event"]),
        (b"", Reason.EMPTY_VALUE, ["expected an event"]),
        (b"nope", Reason.NOT_JSON, []),
        (b"{", Reason.NOT_JSON, []),
        (PING + b"x", Reason.NOT_JSON, []),
        (PING + PING, Reason.NOT_JSON, []),
        (b"\xef\xbb\xbf" + PING, Reason.NOT_JSON, []),
        (PING.decode().encode("utf-16"), Reason.NOT_JSON, []),
        (at(playhead="NaN"), Reason.NOT_JSON, []),
        (at(playhead="Infinity"), Reason.NOT_JSON, []),
        (at(playhead="01"), Reason.NOT_JSON, []),
        (b"[]", Reason.INVALID_EVENT, ["$: ", "one event as an object", "array"]),
        (b"null", Reason.INVALID_EVENT, ["$: ", "object", "null"]),
        (b'"ping"', Reason.INVALID_EVENT, ["$: ", "object", "str"]),
        (b"7", Reason.INVALID_EVENT, ["$: ", "object", "int"]),
        (b"{}", Reason.INVALID_EVENT, ["eventType"]),
        (b'{"eventType":"ping"}', Reason.INVALID_EVENT, ["playerTime"]),
        (b'{"eventType":"pong",' + TIME.encode() + b"}", Reason.UNKNOWN_EVENT_TYPE, ["$.eventType", "sessionStart", "stateEnd"]),
        (b'{"eventType":"PING",' + TIME.encode() + b"}", Reason.UNKNOWN_EVENT_TYPE, ["$.eventType"]),
        (b'{"eventType":5,' + TIME.encode() + b"}", Reason.INVALID_EVENT, ["$.eventType", "str", "int"]),
        (b'{"eventType":null,' + TIME.encode() + b"}", Reason.INVALID_EVENT, ["$.eventType", "str", "null"]),
        (at(playhead='"12.5"'), Reason.INVALID_EVENT, ["$.playerTime.playhead", "int | float", "str"]),
        (at(playhead="null"), Reason.INVALID_EVENT, ["$.playerTime.playhead", "null"]),
        (at(playhead="true"), Reason.INVALID_EVENT, ["$.playerTime.playhead", "bool"]),
        (at(playhead="1e999"), Reason.INVALID_EVENT, ["$.playerTime.playhead", "range"]),
        (at(ts="1.5"), Reason.INVALID_EVENT, ["$.playerTime.ts", "int", "float"]),
        (at(ts="1e3"), Reason.INVALID_EVENT, ["$.playerTime.ts", "int", "float"]),
        (at(ts='"1"'), Reason.INVALID_EVENT, ["$.playerTime.ts", "int", "str"]),
        (at(ts="true"), Reason.INVALID_EVENT, ["$.playerTime.ts", "int", "bool"]),
        (at(ts='1,"zone":"UTC"'), Reason.INVALID_EVENT, ["$.playerTime", "zone"]),
        (b'{"eventType":"ping","playerTime":[1,2]}', Reason.INVALID_EVENT, ["$.playerTime", "object", "array"]),
        (b'{"eventType":"ping","playerTime":{"ts":1}}', Reason.INVALID_EVENT, ["$.playerTime", "playhead"]),
        (with_('"surprise":1'), Reason.INVALID_EVENT, ["surprise"]),
        (with_('"params":[]'), Reason.INVALID_EVENT, ["$.params", "object"]),
        (with_('"params":null'), Reason.INVALID_EVENT, ["$.params", "object"]),
        (with_('"params":"x"'), Reason.INVALID_EVENT, ["$.params", "object"]),
        (with_('"params":{"a":null}'), Reason.INVALID_EVENT, ["$.params['a']", "null"]),
        (with_('"params":{"ok":1,"a":[1]}'), Reason.INVALID_EVENT, ["$.params['a']", "array"]),
        (with_('"params":{"a":1e999}'), Reason.INVALID_EVENT, ["$.params", "range"]),
        (with_('"qoeData":{"a":{}}'), Reason.INVALID_EVENT, ["$.qoeData['a']", "object"]),
        (with_('"customMetadata":{"a":"x","b":1}'), Reason.INVALID_EVENT, ["$.customMetadata['b']", "str", "int"]),
        (with_('"start":{"params":{"a":[]}}'), Reason.INVALID_EVENT, ["$.start.params['a']", "array"]),
        (with_('"start":{"customMetadata":{"a":1}}'), Reason.INVALID_EVENT, ["$.start.customMetadata['a']", "str"]),
        (with_('"start":{"qoeData":{}}'), Reason.INVALID_EVENT, ["$.start", "qoeData"]),
        (with_('"start":5'), Reason.INVALID_EVENT, ["$.start", "object"]),
        (with_('"start":{"params":{}}', "sessionStart"), Reason.INVALID_EVENT, ["$.start", "sessionStart"]),
        (with_('"sessionKey":5'), Reason.INVALID_EVENT, ["$.sessionKey", "str", "int"]),
    ],
)
def test_a_refusal_names_path_and_expectation(value: bytes | None, reason: Reason, words: list[str]) -> None:
    """What is wrong, where, and what was expected there."""
    found, detail = refusal(value)
    assert found is reason
    for word in words:
        assert word in detail
    assert detail


@pytest.mark.parametrize(
    "value",
    [
        with_('"params":{"a":"\\ud800"}'),
        with_('"params":{"a":"\\udc00"}'),
        with_('"params":{"\\ud800":"x"}'),
        with_('"params":{"a":{"b":"\\ud800x"}}'),
        with_('"customMetadata":{"a":"\\ud800\\u0041"}'),
        with_('"sessionKey":"\\ud800"'),
        with_('"start":{"params":{"a":"\\ud800"}}'),
        with_('"surprise":"\\ud800"'),
        with_('"params":{"a":"Ö"}').replace("Ö".encode(), b"\xed\xa0\x80"),
        with_('"params":{"a":"Ö"}').replace("Ö".encode(), b"\xff"),
        with_('"params":{"Ö":"a"}').replace("Ö".encode(), b"\xc3"),
        with_('"params":{"a":{"b":"Ö"}}').replace("Ö".encode(), b"\xff"),
        PING.replace(b"ping", b"pin\xff"),
        PING.replace(b"playhead", b"play\xff"),
        with_('"sessionKey":"Ö"').replace("Ö".encode(), b"\xff"),
        with_('"Ö":1').replace("Ö".encode(), b"\xff"),
    ],
)
def test_what_is_no_text_is_refused(value: bytes) -> None:
    """Lone surrogates, escaped or raw, and bytes that are no UTF-8 have no place in an event."""
    assert refusal(value)[0] in {Reason.NOT_JSON, Reason.INVALID_EVENT, Reason.UNKNOWN_EVENT_TYPE}


@pytest.mark.parametrize("place", ["value", "end", "string"])
def test_null_bytes_are_refused(place: str) -> None:
    """A raw NUL is no JSON, wherever it stands."""
    value = {"value": b"\0" + PING, "end": PING + b"\0", "string": with_('"params":{"a":"\0"}')}[place]
    assert refusal(value)[0] is Reason.NOT_JSON


@pytest.mark.parametrize(
    "value",
    [
        b"[" * 100_000,
        b'{"a":' * 20_000,
        with_('"params":' + '{"a":' * 10_000 + "1" + "}" * 10_000),
        with_('"params":{"a":' + "[" * 20_000 + "]" * 20_000 + "}"),
        with_('"params":' + "[" * 20_000 + "]" * 20_000),
        with_('"start":{"params":{"a":' + '{"a":' * 10_000 + "1" + "}" * 10_000 + "}}"),
        with_('"surprise":' + "[" * 20_000 + "]" * 20_000),
        with_('"sessionKey":' + "[" * 20_000 + "]" * 20_000),
    ],
)
@pytest.mark.parametrize("lenient", [False, True])
def test_what_is_nested_too_deeply_is_refused(value: bytes, *, lenient: bool) -> None:
    """A bomb ends in the dead letters like any other record."""
    assert refusal(value, ignore_unknown_fields=lenient)[0] in {Reason.NOT_JSON, Reason.INVALID_EVENT}


@pytest.mark.parametrize(
    "value", [at(ts="9" * 5_000), at(playhead="9" * 5_000), at(playhead="1" + "0" * 200_000), with_(f'"params":{{"a":{"9" * 5_000}}}')]
)
def test_a_number_of_thousands_of_digits_stops_nothing(value: bytes) -> None:
    """It is refused, or it goes out as it came in."""
    try:
        event = decode(value)
    except Unreadable:
        return
    assert json.loads(sent(event).replace(b"9" * 5_000, b"9")) is not None


def test_a_record_that_is_too_large_is_not_even_looked_at() -> None:
    """The limit is one of bytes, and the detail names both figures."""
    large = with_(f'"params":{{"a":"{"x" * RECORD_BYTES_MAX}"}}')
    reason, detail = refusal(large)
    assert reason is Reason.RECORD_TOO_LARGE
    assert str(len(large)) in detail
    assert str(RECORD_BYTES_MAX) in detail
    small = NativeInput(record_bytes_max=len(PING))
    assert small.read(Record(1, key=b"k", value=PING))[0] == "k"
    with pytest.raises(Unreadable):
        small.read(Record(1, key=b"k", value=PING + b" "))


def test_unknown_fields_may_be_ignored() -> None:
    """Where the operator says so, an unknown field at the top is passed over, and not sent."""
    value = with_('"surprise":{"a":[1]}', "ping")
    _, event = NativeInput(ignore_unknown_fields=True).read(Record(1, key=b"k", value=value))
    assert b"surprise" not in sent(event)
    assert refusal(value)[0] is Reason.INVALID_EVENT


# --- whatever comes -----------------------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(["eventType", "playerTime", "params", "qoeData", "customMetadata", "start", "sessionKey", "x"])
likely = st.fixed_dictionaries(
    {},
    optional={
        "eventType": st.sampled_from([*EventType, "pong", ""]) | json_values,
        "playerTime": st.fixed_dictionaries({}, optional={"playhead": json_values, "ts": json_values, "x": json_values}) | json_values,
        "params": st.dictionaries(st.text(max_size=8), json_values, max_size=3) | json_values,
        "customMetadata": st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3) | json_values,
        "start": st.fixed_dictionaries({}, optional={"params": json_values, "customMetadata": json_values}) | json_values,
        "sessionKey": json_values,
    },
)


def read_or_refuse(value: bytes, key: bytes | None) -> PlayerEvent | None:
    """The event, or None where it is refused; anything else is a bug."""
    try:
        _, event = NativeInput().read(Record(1, key=key, value=value))
    except Unreadable as unreadable:
        if not unreadable.detail.encode():  # it becomes a header
            pytest.fail("refused without a word")
        return None
    return event


@QUICK
@given(value=st.binary(max_size=200), key=st.none() | st.binary(max_size=20))
def test_any_bytes_are_an_event_or_refused(value: bytes, key: bytes | None) -> None:
    """Never another exception."""
    read_or_refuse(value, key)


@QUICK
@given(value=likely, key=st.none() | st.binary(max_size=20))
def test_any_json_is_an_event_or_refused(value: dict[str, object], key: bytes | None) -> None:
    """And what is read goes out as JSON with the same values."""
    event = read_or_refuse(json.dumps(value).encode("utf-8", "surrogatepass"), key)
    if event is not None:
        out = json.loads(sent(event))
        assert out == {name: it for name, it in value.items() if name not in {"start", "sessionKey"} and (it or name == "playerTime")}


@QUICK
@given(cut=st.integers(0, 400), flip=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_damaged_event_is_an_event_or_refused(cut: int, flip: int, byte: int) -> None:
    """Cut short or with one byte changed."""
    value = bytearray(with_('"params":{"a":"é\\u00e9","b":{"c":[1,2.5e3]}},"customMetadata":{"x":"y"},"start":{"params":{"z":true}}'))
    value[flip % len(value)] = byte
    read_or_refuse(bytes(value[: cut % (len(value) + 1) or None]), b"k")

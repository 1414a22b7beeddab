"""What a mapping makes of raw events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from relay.core.events import Record
from relay.core.reasons import Reason
from relay.input.decoding import PlainJson, Unreadable
from relay.input.mapping.compiling import compile_mapping
from relay.input.mapping.document import read
from relay.input.mapping.mapped import MappedInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Mapped  # type: ignore[attr-defined]

    Make = Callable[..., Mapped]

AD = (
    "media.ad.id: id, media.ad.length: {from: length, unit: milliseconds}, media.ad.podPosition: position,"
    " media.ad.playerName: {constant: web}"
)


def refusal(mapped: Mapped, event: Any, key: bytes | None = b"key") -> str:
    """Why a raw event is set aside."""
    with pytest.raises(Unreadable) as raised:
        mapped.read(event, key=key)
    return f"{raised.value.reason}: {raised.value.detail}"


def test_a_raw_event_becomes_an_event(mapped: Make) -> None:
    """By its name, at its time and playhead; the session is the record's key."""
    raw = {"type": "playing", "ts": 1_700_000_000_000, "at": 12.5}
    assert mapped("events: {playing: {send: play}}").read(raw) == (
        "key",
        [{"eventType": "play", "playerTime": {"playhead": 12.5, "ts": 1_700_000_000_000}}],
    )


def test_the_first_rule_that_fits_decides(mapped: Make) -> None:
    """Rules of one name are asked in their order; `*` catches all other names, and what no rule of its name wanted."""
    one = mapped('events: {x: [{when: "a == `1`", send: play}, {when: b, drop: because}], "*": {send: ping}}')
    assert one.says(a=1)[0]["eventType"] == "play"
    assert one.says(b=1) == "because"
    assert one.says()[0]["eventType"] == "ping"
    assert one.says(type="y")[0]["eventType"] == "ping"


def test_one_raw_event_becomes_several(mapped: Make) -> None:
    """In their order, some only when their condition is true, some once for each element of a list."""
    one = mapped(
        """
events:
  x:
    send:
      - sessionComplete
      - {type: sessionEnd, when: last}
      - {type: stateStart, each: states, params: {media.state.name: item.name}, playhead: item.at}
"""
    )
    said = one.says(states=[{"name": "mute", "at": 3}, {"name": "inFocus"}])
    assert [(event["eventType"], event["playerTime"]["playhead"]) for event in said] == [
        ("sessionComplete", 2.5),
        ("stateStart", 3),
        ("stateStart", 2.5),
    ]
    assert [event["params"]["media.state.name"] for event in said[1:]] == ["mute", "inFocus"]
    assert [event["eventType"] for event in one.says(last=True)] == ["sessionComplete", "sessionEnd"]
    assert mapped("events: {x: {send: {type: play, when: missing}}}").says() == "empty"


def test_a_record_may_hold_a_list_of_raw_events(mapped: Make) -> None:
    """Each is read by itself; what is dropped among them leaves no gap."""
    one = mapped("each: batch\nevents: {a: {send: play}, b: {drop: noise}, c: {send: ping}}")
    batch = [{"type": kind, "ts": number, "at": number} for number, kind in enumerate("abc")]
    assert [event["eventType"] for event in one.read({"batch": batch})[1]] == ["play", "ping"]
    assert one.read({"batch": []})[1] == "empty"
    assert one.read({"batch": batch[1:2]})[1] == "noise"
    assert "expected a list" in refusal(one, {"batch": 1})


@pytest.mark.parametrize(
    ("value", "found", "expected"),
    [
        ("v", "text", "text"),
        ("v", 3, "3"),
        ("v", 2.0, "2"),
        ("v", True, "true"),
        ("v", ["a", "b"], "a,b"),
        ("{constant: fixed}", None, "fixed"),
        ("{from: [w, v]}", "second", "second"),
        ("{from: v, default: other}", None, "other"),
        ('{template: "S{v}E{w}"}', 2, None),
        ('{template: "S{v}-{{x}}"}', 2, "S2-{x}"),
        ('{from: v, values: {"1": one, "*": many}}', 1, "one"),
        ('{from: v, values: {"1": one, "*": many}}', 5, "many"),
        ('{from: v, values: {"true": live, "false": vod}}', False, "vod"),
        ("\"join('/', [v, 'x'])\"", "a", "a/x"),
        ("v.w", "no object", None),
    ],
)
def test_text_is_found_and_written(mapped: Make, value: str, found: Any, expected: str | None) -> None:
    """Renamed, constant, with a default, from a template or an enumeration; without a value the member is left out."""
    one = mapped(f"events: {{x: {{send: {{type: stateStart, params: {{media.state.name: {value}}}}}}}}}")
    params = one.says(v=found)[0].get("params", {})
    assert params == ({} if expected is None else {"media.state.name": expected})


@pytest.mark.parametrize(
    ("value", "found", "expected"),
    [
        ("v", 12, 12),
        ("v", "12.5", 12.5),
        ("{from: v, unit: milliseconds}", 12_500, 12.5),
        ("{from: v, unit: milliseconds}", 5_400_001, 5400.001),
        ("{from: v, unit: minutes}", 1.5, 90.0),
        ("{from: v, times: 2}", 4, 8),
        ("86400", None, 86400),
    ],
)
def test_numbers_keep_their_worth(mapped: Make, value: str, found: Any, expected: float) -> None:
    """Units are changed without a trace of binary fractions."""
    one = mapped(
        "events: {x: {send: {type: chapterStart, params: {media.chapter.index: 1, media.chapter.length: 1, media.chapter.offset: "
        f"{value}}}}}}}}}"
    )
    assert one.says(v=found)[0]["params"]["media.chapter.offset"] == expected


def test_integers_are_rounded_and_time_to_start_is_in_milliseconds(mapped: Make) -> None:
    """As the API's schema wants them."""
    one = mapped("qoe: {media.qoe.bitrate: rate, media.qoe.timeToStart: {from: start, unit: seconds}}\nevents: {x: {send: ping}}")
    assert one.says(rate=23.6, start=0.32)[0]["qoeData"] == {"media.qoe.bitrate": 24, "media.qoe.timeToStart": 320}


@pytest.mark.parametrize(
    ("form", "written", "expected"),
    [
        ("iso8601", "2024-01-31T10:00:00.123Z", 1706695200123),
        ("iso8601", "2024-01-31T11:00:00+01:00", 1706695200000),
        ("iso8601", "2024-01-31T10:00:00", 1706695200000),
        ("unix_seconds", 1706695200.123, 1706695200123),
        ("unix_seconds", "1706695200", 1706695200000),
        ("unix_milliseconds", 1706695200123, 1706695200123),
        ("unix_microseconds", 1706695200123999, 1706695200123),
        ("unix_nanoseconds", 1706695200123999999, 1706695200123),
    ],
)
def test_the_players_clock_may_be_written_in_many_ways(mapped: Make, form: str, written: Any, expected: int) -> None:
    """It always becomes Unix milliseconds."""
    one = mapped(f"version: 1\nevent: type\ntime: {{from: [other, ts], format: {form}}}\nplayhead: at\nevents: {{x: {{send: play}}}}")
    assert one.says(ts=written)[0]["playerTime"]["ts"] == expected


def test_the_records_time_may_stand_in(mapped: Make) -> None:
    """Where the mapping says so, and there is no other."""
    one = mapped("version: 1\nevent: type\ntime: {from: ts, default: record}\nplayhead: at\nevents: {x: {send: play}}")
    assert one.read({"type": "x", "at": 1}, timestamp_ms=77)[1][0]["playerTime"]["ts"] == 77  # type: ignore[index]
    assert one.says(ts=5)[0]["playerTime"]["ts"] == 5


START = """
session: session
start:
  params: {media.id: asset.id, media.length: asset.length, media.contentType: {constant: vod}, media.playerName: {constant: web},
    media.channel: {constant: one}}
  metadata: {plan: user.plan}
  copy_metadata: [{from: tags, matching: "[a-z ]+", prefix: tag_}]
events: {x: {send: play}, s: {send: sessionStart}}
"""


def test_every_event_brings_along_what_a_start_would_carry(mapped: Make) -> None:
    """So that the first one of an unknown session opens it. A start itself carries it, with the operator's defaults."""
    one = mapped(START, start_defaults={"analytics.reportSuite": "suite", "media.channel": "default"})
    raw = {"session": "s-1", "asset": {"id": "film", "length": 60}, "user": {"plan": "gold"}, "tags": {"ab test": 1, "no-fit": 2, "o": {}}}
    params = {
        "analytics.reportSuite": "suite",
        "media.id": "film",
        "media.length": 60,
        "media.contentType": "vod",
        "media.playerName": "web",
        "media.channel": "one",
    }
    metadata = {"tag_ab_test": "1", "plan": "gold"}
    (play,) = one.says(**raw)
    assert play["start"] == {"params": params, "customMetadata": metadata}
    (start,) = one.says(**raw | {"type": "s"})
    assert (start["params"], start["customMetadata"], "start" in start) == (params, metadata, False)


def test_what_is_brought_along_follows_the_raw_event(mapped: Make) -> None:
    """What is kept from the event before is not mistaken for that of this one, of this session or another."""
    one = mapped(START)
    seen = [one.says(session=session, asset={"id": name})[0]["start"]["params"]["media.id"] for session, name in ("aa", "ab", "bc", "aa")]
    assert seen == ["a", "b", "c", "a"]


def test_the_session_may_stand_in_the_event(mapped: Make) -> None:
    """It goes before the record's key, which counts where the event names none."""
    one = mapped('session: {template: "{user}-{play}"}\nevents: {x: {send: play}}')
    raw = {"type": "x", "ts": 1, "at": 1}
    assert one.read(raw | {"user": "u", "play": 7}, key=None)[0] == "u-7"
    assert one.read(raw | {"user": "u", "play": 7})[0] == "u-7"
    assert one.read(raw)[0] == "key"
    assert refusal(one, raw, key=None).startswith("invalid_key: session")


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"type": "y"}, "unknown_event_type: events: there is no rule for 'y'"),
        ({"ts": 1}, "unknown_event_type: event: there is no value"),
        ({"type": "only", "ts": 1}, "unknown_event_type: events: no rule for 'only' fits"),
        ({"type": "old", "ts": 1, "at": 1}, "invalid_event: events.old (line 12): players of version 1 are not read"),
        ({"type": "x"}, "invalid_event: time: there is no value"),
        ({"type": "x", "ts": "yesterday"}, "invalid_event: time: expected a number"),
        ({"type": "x", "ts": 1e15}, "invalid_event: time: the time is out of bounds; is it really in milliseconds?"),
        ({"type": "x", "ts": 1, "at": {}}, "invalid_event: playhead (line 5): expected a number, got an object"),
        ({"type": "x", "ts": 1, "at": None, "id": "a", "length": 1, "position": 1}, "invalid_event: playhead: there is no value"),
        (
            {"type": "x", "ts": 1, "at": 1, "length": "long"},
            "invalid_event: events.x.send.params.media.ad.length (line 9): expected a number",
        ),
        (
            {"type": "need", "ts": 1, "at": 1},
            "invalid_event: events.need.send.params.media.state.name (line 10): there is no value, and it is",
        ),
        ({"type": "enum", "ts": 1, "at": 1, "v": "q"}, "invalid_event: events.enum.send.params.media.state.name (line 11): 'q' is none of"),
        ({"type": "fails", "ts": 1, "at": 1, "v": 1}, "invalid_event: events.fails"),
        ([1], "invalid_event: $: expected a JSON object"),
    ],
)
def test_what_makes_no_sense_is_set_aside_with_path_and_line(mapped: Make, event: Any, reason: str) -> None:
    """The path and the line are those of the mapping."""
    one = mapped(
        """
version: 1
event: type
time: {from: ts}
playhead: at
events:
  only: {when: fits, send: play}

  x: {send: {type: adStart, params: AD}}
  need: {send: {type: stateStart, params: {media.state.name: {from: v, required: true}}}}
  enum: {send: {type: stateStart, params: {media.state.name: {from: v, values: {a: b}}}}}
  old: {refuse: players of version 1 are not read}
  fails: {when: "starts_with(v, 'x')", send: play}
""".replace("AD", f"{{{AD}}}")
    )
    assert refusal(one, event).startswith(reason)


@pytest.mark.parametrize(
    ("mapping", "event"),
    [
        ('events: {x: [{when: "avg(v) > `1`", send: play}, {send: ping}]}', {"v": [10**400, 10**400]}),
        ('events: {x: [{when: "ceil(to_number(v)) > `1`", send: play}]}', {"v": "1e999"}),
        ('events: {x: [{when: "to_string(sum(v))", send: play}]}', {"v": [10**4299 * 9] * 2}),
        ("session: sum(v)\nevents: {x: {send: play}}", {"v": [10**4299 * 9] * 2}),
        ("playhead: {from: at, unit: milliseconds}\nevents: {x: {send: play}}", {"at": 10**400}),
        ("playhead: {from: at, unit: minutes}\nevents: {x: {send: play}}", {"at": 1e308}),
        ("time: {from: ts, format: unix_seconds}\nevents: {x: {send: play}}", {"ts": 1e308}),
        ("time: {from: ts, format: unix_milliseconds}\nevents: {x: {send: play}}", {"ts": 10**400}),
        ("time: {from: ts, format: iso8601}\nevents: {x: {send: play}}", {"ts": "1969-12-31T23:59:59Z"}),
        (
            "events: {x: {send: {type: bitrateChange, qoe: {media.qoe.bitrate: {from: v, times: 1000}}}}}",
            {"v": 1e300},
        ),
    ],
)
def test_a_number_that_is_too_large_is_refused_wherever_it_stands(mapped: Make, mapping: str, event: Any) -> None:
    """It is a fact about the event, in a condition as in a value, and never an error of the relay."""
    others = [line for line in ("version: 1", "event: type", "time: {from: ts}", "playhead: at") if line.split(":")[0] + ":" not in mapping]
    one = mapped("\n".join([*others, mapping]))
    assert refusal(one, {"type": "x", "ts": 1, "at": 1} | event).startswith("invalid_event: ")


def test_a_number_of_thousands_of_digits_is_named(mapped: Make) -> None:
    """Python reads no more than 4,300 of them; that is not said to be no object."""
    with pytest.raises(Unreadable, match="a number has too many digits"):
        mapped("events: {x: {send: play}}").input.read(Record(1, key=b"k", value=b'{"type":"x","at":' + b"9" * 5_000 + b"}"))


def test_bytes_that_are_no_json_are_unreadable() -> None:
    """With the reason that native events have."""
    one = MappedInput(compile_mapping(read("version: 1\nevent: t\ntime: {from: t}\nplayhead: t\nevents: {x: {send: play}}")), PlainJson())
    for value, reason in (
        (b"{", Reason.NOT_JSON),
        (b"", Reason.EMPTY_VALUE),
        (b"[]", Reason.INVALID_EVENT),
        (b'{"a":"\xff"}', Reason.NOT_JSON),
    ):
        with pytest.raises(Unreadable) as raised:
            one.read(Record(0, key=b"k", value=value))
        assert raised.value.reason is reason
        assert raised.value.key == "k"

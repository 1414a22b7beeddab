"""The classic dialect: what goes over the wire, and what its answers mean."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.api.collection import MediaCollection
from relay.core.assignment import Assignment
from relay.core.commands import Cause, OpenSession, SendEvent
from relay.core.events import ApiSessionId, Details, EventType, PlayerEvent, SessionKey, as_session_id
from relay.core.inputs import Accepted, Lost, Misconfigured, Opened, Refused, TryAgain
from relay.core.lane import Lane
from relay.core.verdict import Answer, Unreachable

E = EventType
LANE = Lane(SessionKey("a"), Assignment("events", 0))
ID = "0123456789abcdef" * 4
DIALECT = MediaCollection()
AT = '"playerTime":{"playhead":12.5,"ts":1700000012500}'
CHAPTER = b'{"media.chapter.index":1,"media.chapter.offset":12.50}'


def event(kind: EventType, *, params: bytes = b"", qoe: bytes = b"", metadata: bytes = b"") -> PlayerEvent:
    """An event at 12.5 seconds."""
    return PlayerEvent(kind, 12.5, 1_700_000_012_500, params=params, qoe_data=qoe, custom_metadata=metadata)


GOLDEN: list[tuple[PlayerEvent, str]] = [
    (event(E.SESSION_COMPLETE), f'{{{AT},"eventType":"sessionComplete"}}'),
    (event(E.SESSION_END), f'{{{AT},"eventType":"sessionEnd"}}'),
    (event(E.PLAY), f'{{{AT},"eventType":"play"}}'),
    (event(E.PING), f'{{{AT},"eventType":"ping"}}'),
    (event(E.PAUSE_START), f'{{{AT},"eventType":"pauseStart"}}'),
    (event(E.BUFFER_START), f'{{{AT},"eventType":"bufferStart"}}'),
    (
        event(E.BITRATE_CHANGE, qoe=b'{"media.qoe.bitrate":20000}'),
        f'{{{AT},"eventType":"bitrateChange","qoeData":{{"media.qoe.bitrate":20000}}}}',
    ),
    (
        event(E.ERROR, qoe=b'{"media.qoe.errorID":"E7","media.qoe.errorSource":"player"}'),
        f'{{{AT},"eventType":"error","qoeData":{{"media.qoe.errorID":"E7","media.qoe.errorSource":"player"}}}}',
    ),
    (
        event(E.AD_BREAK_START, params=b'{"media.ad.podIndex":0,"media.ad.podSecond":0.0}'),
        f'{{{AT},"eventType":"adBreakStart","params":{{"media.ad.podIndex":0,"media.ad.podSecond":0.0}}}}',
    ),
    (event(E.AD_BREAK_COMPLETE), f'{{{AT},"eventType":"adBreakComplete"}}'),
    (
        event(E.AD_START, params=b'{"media.ad.id":"x","media.ad.length":15.0}', metadata=b'{"campaign":"\\u00e9"}'),
        f'{{{AT},"eventType":"adStart","params":{{"media.ad.id":"x","media.ad.length":15.0}},"customMetadata":{{"campaign":"\\u00e9"}}}}',
    ),
    (event(E.AD_COMPLETE), f'{{{AT},"eventType":"adComplete"}}'),
    (event(E.AD_SKIP), f'{{{AT},"eventType":"adSkip"}}'),
    (
        event(E.CHAPTER_START, params=CHAPTER, metadata=b'{"plan":"gold"}'),
        f'{{{AT},"eventType":"chapterStart","params":{CHAPTER.decode()},"customMetadata":{{"plan":"gold"}}}}',
    ),
    (event(E.CHAPTER_COMPLETE), f'{{{AT},"eventType":"chapterComplete"}}'),
    (event(E.CHAPTER_SKIP), f'{{{AT},"eventType":"chapterSkip"}}'),
    (
        event(E.STATE_START, params=b'{"media.state.name":"mute"}'),
        f'{{{AT},"eventType":"stateStart","params":{{"media.state.name":"mute"}}}}',
    ),
    (
        event(E.STATE_END, params=b'{"media.state.name":"mute"}'),
        f'{{{AT},"eventType":"stateEnd","params":{{"media.state.name":"mute"}}}}',
    ),
]


# --- what goes out ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sent", "body"), GOLDEN, ids=[str(sent.event_type) for sent, _ in GOLDEN])
def test_an_event_on_the_wire(sent: PlayerEvent, body: str) -> None:
    """Each event type's body, byte for byte; what is empty is left out; the path names the session."""
    call = DIALECT.sending(SendEvent(LANE, ApiSessionId(ID), sent))
    assert call.body == body.encode()
    assert call.target == f"/api/v1/sessions/{ID}/events".encode()


def test_the_golden_table_is_complete() -> None:
    """Each of the nineteen types is in it, but for the one that is posted elsewhere."""
    assert {sent.event_type for sent, _ in GOLDEN} == set(E) - {E.SESSION_START}


def test_an_opening_on_the_wire() -> None:
    """A sessionStart's body, byte for byte, to its own path."""
    start = Details(params=b'{"media.id" : "film","media.length":90.50}', custom_metadata=b'{"plan":"gold"}')
    call = DIALECT.opening(OpenSession(LANE, start, 0, 1_700_000_000_000, Cause.FIRST, b'{"media.qoe.bitrate":1}'))
    assert call.target == b"/api/v1/sessions"
    assert call.body == (
        b'{"playerTime":{"playhead":0,"ts":1700000000000},"eventType":"sessionStart","params":{"media.id" : "film","media.length":90.50},'
        b'"qoeData":{"media.qoe.bitrate":1},"customMetadata":{"plan":"gold"}}'
    )


def test_an_opening_leaves_out_what_is_empty() -> None:
    """No quality data, no metadata: no such members."""
    call = DIALECT.opening(OpenSession(LANE, Details(params=b'{"a":1}'), 1.5, 7, Cause.LOST))
    assert call.body == b'{"playerTime":{"playhead":1.5,"ts":7},"eventType":"sessionStart","params":{"a":1}}'


@pytest.mark.parametrize(("playhead", "written"), [(0, b"0"), (12, b"12"), (12.0, b"12.0"), (0.1, b"0.1"), (3600.0000001, b"3600.0000001")])
def test_a_playhead_is_written_as_what_it_is(playhead: float, written: bytes) -> None:
    """An int as an int, a float as a float."""
    call = DIALECT.sending(SendEvent(LANE, ApiSessionId(ID), PlayerEvent(E.PING, playhead, 1)))
    assert b'"playhead":' + written + b"," in call.body


@pytest.mark.parametrize("base", ["/gateway", "/gateway/", "/a/b"])
def test_the_api_may_stand_below_a_path(base: str) -> None:
    """A base path goes before both targets."""
    dialect = MediaCollection(base)
    prefix = base.rstrip("/").encode()
    assert dialect.opening(OpenSession(LANE, Details(), 0, 0, Cause.FIRST)).target == prefix + b"/api/v1/sessions"
    assert dialect.sending(SendEvent(LANE, ApiSessionId("x"), event(E.PING))).target == prefix + b"/api/v1/sessions/x/events"


def test_a_base_path_may_hold_a_percent_sign() -> None:
    """Percent-encoding in the configured address stays as it is."""
    assert MediaCollection("/a%20b").sending(SendEvent(LANE, ApiSessionId("x"), event(E.PING))).target == b"/a%20b/api/v1/sessions/x/events"


def test_the_required_params_are_those_of_the_api() -> None:
    """What the API's own schema requires of a sessionStart."""
    assert {
        "analytics.trackingServer",
        "analytics.reportSuite",
        "visitor.marketingCloudOrgId",
        "media.id",
        "media.length",
        "media.contentType",
        "media.playerName",
        "media.channel",
    } == DIALECT.required_start_params


# --- what comes back ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "session_id"),
    [
        (f"/api/v1/sessions/{ID}", ID),
        (f"https://company.hb-api.omtrdc.net/api/v1/sessions/{ID}", ID),
        (f"//elsewhere.example/api/v1/sessions/{ID}", ID),
        ("https://evil.example/whatever/abc", "abc"),
        ("abc", "abc"),
        ("/x/" + "a" * 128, "a" * 128),
        ("/api/v1/sessions/abc?expires=/9", "abc"),
        ("/api/v1/sessions/abc#/part", "abc"),
        ("/api/v1/sessions/A-b_9", "A-b_9"),
    ],
)
@pytest.mark.parametrize("status", [201, 200])
def test_the_id_is_the_last_segment_of_the_location(location: str, session_id: str, status: int) -> None:
    """Relative or absolute, with a query or without: the last segment is the id, and nothing else of it is used."""
    assert DIALECT.judge_opening(Answer(status, location=location)) == Opened(ApiSessionId(session_id))


@pytest.mark.parametrize(
    "location",
    [
        "",
        "/",
        "/api/v1/sessions/",
        "https://company.example",
        "/x/" + "a" * 129,
        "..",
        "/api/v1/sessions/..",
        "/api/v1/sessions/%2e%2e",
        "/api/v1/sessions/%61bc",
        "/api/v1/sessions/a%0d%0ab",
        "/api/v1/sessions/a b",
        "/api/v1/sessions/abc;v=1",
        "/api/v1/sessions/a.b",
        "/api/v1/sessions/séance",
        "/api/v1/sessions/a\\b",
        "http://[::1/abc",
        "http://[/abc",
        "?abc",
        "#abc",
    ],
)
def test_without_an_id_an_opening_has_failed(location: str) -> None:
    """Empty, too long, or with any other character: tried again, never part of a URL."""
    assert DIALECT.judge_opening(Answer(201, location=location)) == TryAgain("no_session_id", 201)


@pytest.mark.parametrize(
    "location",
    [
        "/api/v1/sessions/ab\r\ncd",
        "/api/v1/sessions/ab\ncd",
        "/api/v1/sessions/ab\tcd",
        "/api/v1/sessions/abcd\n",
        "/api/v1/sessions/\x00abcd",
        "\x00abcd",
    ],
)
def test_control_characters_are_not_quietly_taken_out_of_an_id(location: str) -> None:
    """What is not an id as it stands is not made into one."""
    assert DIALECT.judge_opening(Answer(201, location=location)) == TryAgain("no_session_id", 201)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(location=st.text(max_size=60) | st.text(alphabet="/:?#[]@%.abc\t\n ", max_size=30))
def test_whatever_the_location_says_only_an_id_is_an_id(location: str) -> None:
    """Any text is an id of the allowed form or a failed opening."""
    verdict = DIALECT.judge_opening(Answer(201, location=location))
    if isinstance(verdict, Opened):
        assert as_session_id(verdict.session_id) == verdict.session_id
        assert verdict.session_id in location
    else:
        assert verdict == TryAgain("no_session_id", 201)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(path=st.text(alphabet="/:?#[]@%.abc;= ", max_size=30))
def test_a_path_is_read_as_the_rest_of_a_url_is(path: str) -> None:
    """What makes no detour by the URL finds the same."""
    verdict = DIALECT.judge_opening(Answer(201, location=f"/v1{path}"))
    assert verdict == DIALECT.judge_opening(Answer(201, location=f"https://company.example/v1{path}"))


@pytest.mark.parametrize(
    ("status", "opening", "sending"),
    [
        (204, TryAgain("no_session_id", 204), Accepted()),
        (400, Refused(400, "media.id is missing"), Refused(400, "media.id is missing")),
        (413, Refused(413, "media.id is missing"), Refused(413, "media.id is missing")),
        (415, Refused(415, "media.id is missing"), Refused(415, "media.id is missing")),
        (422, Refused(422, "media.id is missing"), Refused(422, "media.id is missing")),
        (404, Misconfigured, Lost(404)),
        (410, Misconfigured, Lost(410)),
        (401, Misconfigured, Misconfigured),
        (403, Misconfigured, Misconfigured),
        (302, Misconfigured, Misconfigured),
        (408, TryAgain("status_408", 408, 3.0), TryAgain("status_408", 408, 3.0)),
        (429, TryAgain("status_429", 429, 3.0), TryAgain("status_429", 429, 3.0)),
        (500, TryAgain("status_500", 500, 3.0), TryAgain("status_500", 500, 3.0)),
        (503, TryAgain("status_503", 503, 3.0), TryAgain("status_503", 503, 3.0)),
    ],
)
def test_an_answer_means_by_whose_fault_it_is(status: int, opening: object, sending: object) -> None:
    """One table for both operations."""
    retry_after = 3.0 if isinstance(sending, TryAgain) else 0.0
    answer = Answer(status, retry_after, body=b'{"message":"media.id is missing"}')
    for verdict, expected in ((DIALECT.judge_opening(answer), opening), (DIALECT.judge_sending(answer), sending)):
        if isinstance(expected, type):
            assert isinstance(verdict, expected)
        else:
            assert verdict == expected


def test_an_error_with_a_location_opens_nothing() -> None:
    """A Location counts only with a success."""
    for status in (302, 400, 500):
        assert not isinstance(DIALECT.judge_opening(Answer(status, location="/api/v1/sessions/abc")), Opened)


def test_no_answer_is_tried_again() -> None:
    """For both operations."""
    assert DIALECT.judge_opening(Unreachable("reset", was_sent=True)) == TryAgain("reset", is_outcome_unknown=True)
    assert DIALECT.judge_sending(Unreachable("connect", was_sent=False)) == TryAgain("connect")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Bad Request</html>",
        b"null",
        b"[]",
        b"{}",
        b'"no"',
        b'{"message":5}',
        b'{"message":null}',
        b'{"message":{"a":1}}',
        b'{"message":"cut o',
        b'{"message":"\xff"}',
        b'{"\xff":1,"message":"x"}',
        b'{"message":"\\ud800"}',
        b"\xff\xfe",
        b"\x00" * 100,
        b"[" * 16_000,
        b'{"x":' * 3_000,
        b'{"x":' + b"[" * 16_000,
        b'{"message":"' + b"x" * 16_000 + b'"}',
    ],
)
@pytest.mark.parametrize("operation", ["opening", "sending"])
def test_whatever_a_refusal_says_it_is_a_refusal(body: bytes, operation: str) -> None:
    """A body that is not what the API documents, or that is hostile, changes nothing; its words can be written into a header."""
    judge = DIALECT.judge_opening if operation == "opening" else DIALECT.judge_sending
    verdict = judge(Answer(400, body=body))
    assert isinstance(verdict, Refused)
    assert verdict.status == 400
    verdict.detail.encode()
    json.dumps(verdict.detail)

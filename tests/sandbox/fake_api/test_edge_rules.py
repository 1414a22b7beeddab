"""The rules of the Media Edge API for one body: what is valid passes, and each fault is named by its path."""

import copy
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from relay.sandbox.fake_api.edge_fields import DETAILS, EVENTS, PLACED
from relay.sandbox.fake_api.edge_rules import Broken, Detail, Unfit, read_body

MakeBody = Callable[..., dict[str, Any]]
GONE = object()
MISSING = "Missing required field"
PLAIN = [event for event, rules in EVENTS.items() if rules == EVENTS["play"]]
COMPLETE_OR_SKIP = [event for event in EVENTS if event.endswith(("Complete", "Skip"))]


def put(body: dict, path: str, value: object) -> dict:
    """Copy a body with another value at a path below its event, or without it."""
    body = copy.deepcopy(body)
    *parents, last = path.split(".")
    at = body["events"][0]
    for parent in parents:
        at = at[parent]
    if value is GONE:
        del at[last]
    else:
        at[last] = value
    return body


def faults_of(event: str, body: dict) -> list[Detail] | str:
    """What is wrong with a body: nothing, all details, or a sentence."""
    try:
        read_body(event, msgspec.json.encode(body))
    except Broken as broken:
        return broken.details if isinstance(broken.details, str) else list(broken.details)
    return []


def root_of(event: str) -> str:
    """The path that answers put before those inside an event."""
    return "$" if event == "sessionStart" else "$.events[0]"


@pytest.mark.parametrize("event", EVENTS)
def test_a_valid_body_is_heard_with_its_time(edge_body: MakeBody, event: str) -> None:
    """The ts is the timestamp's in milliseconds, the type is the classic one, the id is the body's."""
    read = read_body(event, msgspec.json.encode(edge_body(event, 1_706_695_200_123)))
    [heard] = read.heard
    assert (heard.ts, heard.playhead) == (1_706_695_200_123, 1)
    assert heard.event_type == ("stateStart" if event == "statesUpdate" else event)
    assert read.session_id == ("" if event == "sessionStart" else "a" * 64)


FULL = {
    "sessionStart": {
        "sessionDetails": {
            **dict.fromkeys(DETAILS["sessionDetails"].optional, "x"),
            "streamType": "audio",
            "hasResume": True,
            "isDownloaded": False,
            "name": "n",
            "playerName": "",
            "length": -1,
            "channel": "",
            "contentType": "",
        },
        "customMetadata": [{"name": "_tenant.a", "value": ""}, {"name": "a-b", "value": "c", "more": 1}],
        "qoeDataDetails": {"bitrate": 1, "droppedFrames": 0, "framesPerSecond": 25, "timeToStart": 2_147_483_647},
    },
    "adBreakStart": {"advertisingPodDetails": {"index": 0, "offset": -1, "friendlyName": ""}, "qoeDataDetails": {}},
    "adStart": {
        "advertisingDetails": {
            **dict.fromkeys(DETAILS["advertisingDetails"].optional, "no uri"),
            "name": "a",
            "length": 0,
            "playerName": "",
            "podPosition": 0,
        },
        "customMetadata": [],
    },
    "chapterStart": {"chapterDetails": {"index": 1, "length": 2, "offset": 3, "friendlyName": "é"}, "customMetadata": []},
    "error": {"errorDetails": {"name": "e", "source": "external"}, "qoeDataDetails": {"bitrate": 1}},
    "bitrateChange": {"qoeDataDetails": {}},
    "statesUpdate": {"statesStart": [], "statesEnd": [{"name": "a.b_C9" + "x" * 58}, {"name": "mute", "more": None}]},
    "ping": {"qoeDataDetails": {"bitrate": 5, "unknown": "x"}, "unknown": {}},
}


@pytest.mark.parametrize("event", FULL)
def test_every_described_field_is_taken_and_every_undescribed_one_let_be(edge_body: MakeBody, event: str) -> None:
    """Adobe's description closes no object to unknown members."""
    assert faults_of(event, edge_body(event, **FULL[event])) == []


@pytest.mark.parametrize("event", ["sessionStart", "play"])
def test_what_sdks_add_is_let_be(edge_body: MakeBody, event: str) -> None:
    """Beside the events, and inside them."""
    body = edge_body(event) | {
        "xdm": {"implementationDetails": 1, "identityMap": 2},
        "query": {"identity": {"fetch": ["ECID"]}},
        "meta": {},
    }
    for path, value in (("xdm._id", "x"), ("xdm.implementationDetails", {"version": "1"}), ("query", {}), ("xdm.identityMap", {})):
        body = put(body, path, value)
    assert faults_of(event, body) == []


@pytest.mark.parametrize(
    ("timestamp", "ts"),
    [
        ("1970-01-01T00:00:01Z", 1_000),
        ("1970-01-01T00:00:01.9999Z", 1_999),
        ("1970-01-01T00:00:01.123456789Z", 1_123),
        ("1970-01-01T01:00:00.5+01:00", 500),
        ("1969-12-31T23:59:59.999-00:00", -1),
        ("2024-02-29T12:30:00.000-02:30", 1_709_218_800_000),
    ],
)
def test_a_timestamp_is_iso_8601_with_an_offset(edge_body: MakeBody, timestamp: str, ts: int) -> None:
    """Down to the millisecond."""
    body = put(edge_body("play"), "xdm.timestamp", timestamp)
    assert read_body("play", msgspec.json.encode(body)).heard[0].ts == ts


@pytest.mark.parametrize(
    "timestamp",
    [
        *("", "now", "2024-01-31", "2024-01-31T10:00:00", "2024-01-31 10:00:00Z", "2024-01-31T10:00Z", "2024-01-31T10:00:00.Z"),
        *("2024-01-31T10:00:00+0100", "2024-01-31T10:00:00+01", "2024-01-31T24:00:00Z", "2024-02-30T10:00:00Z", "0000-01-01T00:00:00Z"),
        *("2024-01-31T10:00:60Z", "2024-01-31T10:00:00Z\n", "٢٠٢٤-01-31T10:00:00Z", 1_706_695_200, None),
    ],
)
@pytest.mark.parametrize("event", ["sessionStart", "ping"])
def test_nothing_else_is_a_timestamp(edge_body: MakeBody, event: str, timestamp: object) -> None:
    """The reason says what would be one."""
    [detail] = faults_of(event, put(edge_body(event), "xdm.timestamp", timestamp))
    assert detail.name == f"{root_of(event)}.xdm.timestamp"
    assert "ISO 8601" in detail.reason


MEDIA = "xdm.mediaCollection"
# event, path below the event, value → path of the fault where it is another, start of the reason
BROKEN = {
    "no event type": ("play", "xdm.eventType", GONE, "", MISSING),
    "event type is a number": ("play", "xdm.eventType", 1, "", "Expected a string"),
    "no timestamp": ("play", "xdm.timestamp", GONE, "", MISSING),
    "no timestamp on a start": ("sessionStart", "xdm.timestamp", GONE, "", MISSING),
    "no media": ("play", MEDIA, GONE, "", MISSING),
    "media is a list": ("play", MEDIA, [], "", "Expected an object"),
    "no playhead": ("play", f"{MEDIA}.playhead", GONE, "", MISSING),
    "playhead is a fraction": ("play", f"{MEDIA}.playhead", 1.5, "", "Expected an integer that is not negative"),
    "playhead has a point": ("play", f"{MEDIA}.playhead", 1.0, "", "Expected an integer"),
    "playhead is a string": ("play", f"{MEDIA}.playhead", "1", "", "Expected an integer"),
    "playhead is negative": ("play", f"{MEDIA}.playhead", -1, "", "Expected an integer"),
    "playhead is true": ("sessionStart", f"{MEDIA}.playhead", True, "", "Expected an integer"),
    "no session id": ("play", f"{MEDIA}.sessionID", GONE, "", MISSING),
    "session id is a number": ("play", f"{MEDIA}.sessionID", 1, "", "Expected a string"),
    "session id is short": ("play", f"{MEDIA}.sessionID", "a" * 63, "", "Unexpected error. Hint: InvalidApiSidLength=63"),
    "session id is empty": ("play", f"{MEDIA}.sessionID", "", "", "Unexpected error. Hint: InvalidApiSidLength=0"),
    "session id is long": ("play", f"{MEDIA}.sessionID", "a" * 65, "", "Unexpected error. Hint: InvalidApiSidLength=65"),
    "session id on a start": ("sessionStart", f"{MEDIA}.sessionID", "a" * 64, "", "Not allowed on media.sessionStart"),
    "details is a list": ("adStart", f"{MEDIA}.advertisingDetails", [], "", "Expected an object"),
    "empty content id": ("sessionStart", f"{MEDIA}.sessionDetails.name", "", "", "Expected a string of at least one character"),
    "empty ad id": ("adStart", f"{MEDIA}.advertisingDetails.name", "", "", "Expected a string of at least one character"),
    "empty error id": ("error", f"{MEDIA}.errorDetails.name", "", "", "Expected a string of at least one character"),
    "length is a fraction": ("sessionStart", f"{MEDIA}.sessionDetails.length", 3600.5, "", "Expected an integer"),
    "length is huge": ("sessionStart", f"{MEDIA}.sessionDetails.length", 1 << 63, "", "Expected an integer"),
    "season is a number": ("sessionStart", f"{MEDIA}.sessionDetails.season", 1, "", "Expected a string"),
    "stream type": ("sessionStart", f"{MEDIA}.sessionDetails.streamType", "hologram", "", "Expected one of audio, video"),
    "resume is a string": ("sessionStart", f"{MEDIA}.sessionDetails.hasResume", "true", "", "Expected a boolean"),
    "downloaded is null": ("sessionStart", f"{MEDIA}.sessionDetails.isDownloaded", None, "", "Expected a boolean"),
    "pod index is a fraction": ("adBreakStart", f"{MEDIA}.advertisingPodDetails.index", 1.5, "", "Expected an integer"),
    "pod position is negative": ("adStart", f"{MEDIA}.advertisingDetails.podPosition", -1, "", "Expected an integer that is not"),
    "creative is a number": ("adStart", f"{MEDIA}.advertisingDetails.creativeID", 1, "", "Expected a string"),
    "chapter offset is a fraction": ("chapterStart", f"{MEDIA}.chapterDetails.offset", 0.5, "", "Expected an integer"),
    "error source": ("error", f"{MEDIA}.errorDetails.source", "sdk", "", "Expected one of player, external"),
    "quality is a list": ("ping", f"{MEDIA}.qoeDataDetails", [], "", "Expected an object"),
    "bitrate is a fraction": ("bitrateChange", f"{MEDIA}.qoeDataDetails.bitrate", 1.5, "", "Expected an integer of 32 bits"),
    "bitrate is large": ("bitrateChange", f"{MEDIA}.qoeDataDetails.bitrate", 1 << 31, "", "Expected an integer of 32 bits"),
    "metadata is an object": ("adStart", f"{MEDIA}.customMetadata", {"a": "b"}, "", "Expected an array"),
    "metadata holds a string": ("adStart", f"{MEDIA}.customMetadata", ["a"], "[0]", "Expected an object"),
    "metadata without a value": ("chapterStart", f"{MEDIA}.customMetadata", [{"name": "a"}], "[0].value", MISSING),
    "metadata value is a number": (
        "chapterStart",
        f"{MEDIA}.customMetadata",
        [{"name": "a", "value": 1}],
        "[0].value",
        "Expected a string",
    ),
    "metadata name is null": ("chapterStart", f"{MEDIA}.customMetadata", [{"name": None, "value": ""}], "[0].name", "Expected a string"),
    "states are an object": ("statesUpdate", f"{MEDIA}.statesStart", {"name": "mute"}, "", "Expected an array"),
    "state name has a blank": ("statesUpdate", f"{MEDIA}.statesStart", [{"name": "a b"}], "[0].name", "Expected 1 to 64 letters"),
    "state name is long": ("statesUpdate", f"{MEDIA}.statesEnd", [{"name": "a" * 65}], "[0].name", "Expected 1 to 64 letters"),
    "state name is empty": ("statesUpdate", f"{MEDIA}.statesEnd", [{"name": ""}], "[0].name", "Expected 1 to 64 letters"),
    "state without a name": ("statesUpdate", f"{MEDIA}.statesEnd", [{"name": "a"}, {}], "[1].name", MISSING),
    "identities are a list": ("sessionStart", "xdm.identityMap", [], "", "Expected an object"),
    "namespace is an object": ("sessionStart", "xdm.identityMap", {"ECID": {}}, ".ECID", "Expected an array"),
    "identity without an id": ("sessionStart", "xdm.identityMap", {"ECID": [{}]}, ".ECID[0].id", MISSING),
    "authentication": (
        *("sessionStart", "xdm.identityMap", {"a": [{"id": "1", "authenticatedState": 1}]}, ".a[0].authenticatedState"),
        "Expected one of ambiguous, authenticated, loggedOut",
    ),
    "primary": ("sessionStart", "xdm.identityMap", {"a": [{"id": "1", "primary": "yes"}]}, ".a[0].primary", "Expected a boolean"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_body_that_breaks_a_rule_is_refused_by_its_path(edge_body: MakeBody, case: str) -> None:
    """With one detail for one fault."""
    event, path, value, below, reason = BROKEN[case]
    [detail] = faults_of(event, put(edge_body(event), path, value))
    assert detail.name == f"{root_of(event)}.{path}{below}"
    assert detail.reason.startswith(reason)


@pytest.mark.parametrize(("event", "name"), [(event, name) for event, rules in EVENTS.items() for name in rules.required])
def test_what_an_event_needs_is_required(edge_body: MakeBody, event: str, name: str) -> None:
    """Without it, or with null in its place, the event is refused."""
    path = f"{root_of(event)}.{MEDIA}.{name}"
    assert faults_of(event, put(edge_body(event), f"{MEDIA}.{name}", GONE)) == [Detail(path, MISSING)]
    [detail] = faults_of(event, put(edge_body(event), f"{MEDIA}.{name}", None))
    assert (detail.name, detail.reason[:8]) == (path, "Expected")


@pytest.mark.parametrize(
    ("event", "name", "field"),
    [
        (event, name, field)
        for event, rules in EVENTS.items()
        for name in rules.required
        if name in DETAILS
        for field in DETAILS[name].required
    ],
)
def test_what_an_object_needs_is_required(edge_body: MakeBody, event: str, name: str, field: str) -> None:
    """Each field of its own."""
    body = put(edge_body(event), f"{MEDIA}.{name}.{field}", GONE)
    assert faults_of(event, body) == [Detail(f"{root_of(event)}.{MEDIA}.{name}.{field}", MISSING)]


@pytest.mark.parametrize(("event", "name"), [(event, name) for event, rules in EVENTS.items() for name in sorted(PLACED - rules.allowed)])
def test_what_belongs_to_another_event_is_refused(edge_body: MakeBody, event: str, name: str) -> None:
    """Complete and Skip events must not repeat what the Start said, and metadata stands on three events only."""
    body = put(edge_body(event), f"{MEDIA}.{name}", {})
    assert faults_of(event, body) == [Detail(f"{root_of(event)}.{MEDIA}.{name}", f"Not allowed on media.{event}")]


def test_the_tables_say_what_the_documents_say() -> None:
    """Eighteen endpoints; metadata on three of them; the closings bare."""
    assert len(EVENTS) == 18
    assert {event for event, rules in EVENTS.items() if "customMetadata" in rules.allowed} == {"sessionStart", "adStart", "chapterStart"}
    assert all("qoeDataDetails" in rules.allowed for rules in EVENTS.values())
    assert set(COMPLETE_OR_SKIP) < set(PLAIN)


@pytest.mark.parametrize("states", [{}, {"statesStart": []}, {"statesEnd": []}, {"statesStart": [], "statesEnd": []}])
def test_an_update_has_to_change_a_state(edge_body: MakeBody, states: dict) -> None:
    """One of both arrays with something in it."""
    [detail] = faults_of("statesUpdate", edge_body("statesUpdate", **({"statesStart": None} | states)))
    assert detail.name == "$.events[0].xdm.mediaCollection"
    assert detail.reason.startswith("Unexpected error. Hint: Empty statesUpdate event. ")


def test_all_faults_are_told_at_once(edge_body: MakeBody) -> None:
    """As in Adobe's own example: three missing fields and an id of the wrong length."""
    body = edge_body("adStart", session_id="a" * 63, advertisingDetails={"playerName": "p"})
    assert faults_of("adStart", body) == [
        Detail("$.events[0].xdm.mediaCollection.advertisingDetails.name", MISSING),
        Detail("$.events[0].xdm.mediaCollection.advertisingDetails.length", MISSING),
        Detail("$.events[0].xdm.mediaCollection.advertisingDetails.podPosition", MISSING),
        Detail("$.events[0].xdm.mediaCollection.sessionID", "Unexpected error. Hint: InvalidApiSidLength=63"),
    ]
    everywhere = {"events": [{"xdm": {"timestamp": 1, "mediaCollection": {"playhead": -1}, "identityMap": 0}}, {}]}
    assert [name for name, _ in faults_of("sessionStart", everywhere)] == [
        *("$.events", "$.xdm.eventType", "$.xdm.timestamp", "$.xdm.mediaCollection.playhead", "$.xdm.mediaCollection.sessionDetails"),
        "$.xdm.identityMap",
    ]


@pytest.mark.parametrize(
    ("event", "said"), [("adSkip", "media.adBreakSkip"), ("play", "play"), ("sessionStart", "media.play"), ("play", "x" * 999)]
)
def test_an_event_type_that_is_not_the_path_is_told_alone(edge_body: MakeBody, event: str, said: str) -> None:
    """In one sentence that names both, and not at any length; there is no room for other faults beside it."""
    details = faults_of(event, put(put(edge_body(event), "xdm.eventType", said), f"{MEDIA}.playhead", -1))
    assert isinstance(details, str)
    assert said[:80] in details
    assert f"media.{event}" in details
    assert len(details) < 200


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "0101-400"),
        (b"{", "0101-400"),
        (b"\xff", "0101-400"),
        (b"[" * 5_000, "0101-400"),
        (b"[]", "0101-400"),
        (b"{}", "0103-400"),
        (b'{"events": null}', "0102-400"),
        (b'{"events": []}', "0102-400"),
        (b'{"events": {"xdm": {}}}', "0102-400"),
        (b'{"events": [{}], "x": "' + b"x" * (64 << 10) + b'"}', "0112-413"),
    ],
)
def test_the_gateway_refuses_what_holds_no_event(body: bytes, code: str) -> None:
    """With an error of its own, whichever the endpoint."""
    for event in ("sessionStart", "play"):
        with pytest.raises(Unfit) as refused:
            read_body(event, body)
        assert refused.value.code == code


@pytest.mark.parametrize(
    ("elements", "faults"),
    [
        ([{}], [("$.events[0].xdm", MISSING)]),
        ([{"xdm": 1}], [("$.events[0].xdm", "Expected an object")]),
        ([1], [("$.events[0]", "Expected an object")]),
        ([{}, {}], [("$.events", "Expected exactly one event"), ("$.events[0].xdm", MISSING)]),
    ],
)
def test_there_is_exactly_one_event(elements: list, faults: list) -> None:
    """With an xdm object in it."""
    assert faults_of("play", {"events": elements}) == [Detail(*fault) for fault in faults]


def test_one_update_may_change_several_states(edge_body: MakeBody) -> None:
    """Each is heard, those that start first."""
    body = edge_body("statesUpdate", statesStart=[{"name": "mute"}, {"name": "inFocus"}], statesEnd=[{"name": "fullscreen"}])
    heard = read_body("statesUpdate", msgspec.json.encode(body)).heard
    assert [(one.event_type, one.state_name) for one in heard] == [
        *(("stateStart", "mute"), ("stateStart", "inFocus")),
        ("stateEnd", "fullscreen"),
    ]


def test_a_start_is_compared_without_its_resume_and_in_any_order(edge_body: MakeBody) -> None:
    """Everything else counts: details, metadata, identities, the implementation's details."""

    def heard(**parts: Any) -> Any:
        metadata = parts.pop("metadata", [("playerSession", "p"), ("plan", "gold")])
        xdm = parts.pop("xdm", {})
        details = {"name": "n", "playerName": "p", "length": 1, "channel": "c", "contentType": "vod"} | parts
        body = edge_body(
            "sessionStart", sessionDetails=details, customMetadata=[{"name": name, "value": value} for name, value in metadata]
        )
        body["events"][0]["xdm"] |= xdm
        return read_body("sessionStart", msgspec.json.encode(body)).heard[0]

    first = heard()
    assert (first.player_session, first.is_resumed) == ("p", False)
    again = heard(hasResume=True, metadata=[("plan", "gold"), ("playerSession", "p")])
    assert again.is_resumed
    assert again.content == first.content == heard(hasResume=False).content
    for other in (
        *({"show": "s"}, {"metadata": [("playerSession", "p")]}, {"xdm": {"identityMap": {"ECID": [{"id": "1"}]}}}),
        {"xdm": {"implementationDetails": {"version": "1"}}},
    ):
        assert heard(**other).content != first.content

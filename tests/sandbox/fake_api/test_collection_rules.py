"""The rules of the classic API for one body, one by one."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from relay.sandbox.fake_api.collection_fields import PARAMS
from relay.sandbox.fake_api.collection_rules import Fault, read_event
from relay.sandbox.fake_api.dialect import Operation

MakeEvent = Callable[..., dict[str, Any]]

OPENING, EVENT = Operation.SESSIONS, Operation.EVENTS
LONE = ["play", "ping", "pauseStart", "bufferStart", "bitrateChange", "error", "adBreakComplete", "adComplete", "adSkip", "chapterComplete"]
LONE += ["chapterSkip", "sessionComplete", "sessionEnd"]


def params(event: MakeEvent, event_type: str, **changes: object) -> dict:
    """The valid params of an event type, changed; None takes one out."""
    changed = event(event_type)["params"] | {name.replace("__", "."): value for name, value in changes.items()}
    return {name: value for name, value in changed.items() if value is not None}


@pytest.mark.parametrize("event_type", PARAMS)
def test_each_event_type_has_a_body_that_is_taken(event: MakeEvent, event_type: str) -> None:
    """There are nineteen event types, each with a valid body."""
    assert len(PARAMS) == 19
    operation = OPENING if event_type == "sessionStart" else EVENT
    heard = read_event(msgspec.json.encode(event(event_type, 1234)), operation)
    assert (heard.event_type, heard.ts, heard.playhead) == (event_type, 1234, 1.5)


ALLOWED = {
    "a playhead without fraction": ("play", {"playerTime": {"playhead": 3, "ts": 1}}),
    "a playhead that is negative": ("play", {"playerTime": {"playhead": -1.0, "ts": 1}}),
    "empty params where none are needed": ("play", {"params": {}}),
    "quality on any event": ("ping", {"qoeData": {"media.qoe.bitrate": 1, "media.qoe.droppedFrames": 2, "media.qoe.framesPerSecond": 3}}),
    "an error's id and source": ("error", {"qoeData": {"media.qoe.errorID": "x", "media.qoe.errorSource": "player"}}),
    "an error with neither": ("error", {}),
    "metadata on a start": ("sessionStart", {"customMetadata": {"a_B.9": ""}}),
    "metadata on a chapter": ("chapterStart", {"customMetadata": {"mood": "calm"}}),
    "metadata on an ad": ("adStart", {"customMetadata": {"mood": "calm"}}),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_the_documents_allow_is_taken(event: MakeEvent, case: str) -> None:
    """The fake is no stricter than the documents."""
    event_type, parts = ALLOWED[case]
    read_event(msgspec.json.encode(event(event_type, **parts)), OPENING if event_type == "sessionStart" else EVENT)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("media.resume", True),
        ("media.downloaded", False),
        ("media.streamType", "audio"),
        ("media.show", "s"),
        ("media.pass.mvpd", "m"),
        ("media.station", "s"),
        ("media.length", 12.5),
        ("visitor.aamLocationHint", 9),
        ("visitor.customerIDs", {"crm": {"id": "1", "authState": 1}}),
        ("appInstallationId", "i"),
    ],
)
def test_a_start_may_have_these_params(event: MakeEvent, name: str, value: object) -> None:
    """Optional params of a sessionStart are known by name and type."""
    read_event(msgspec.json.encode(event("sessionStart", params=params(event, "sessionStart", **{name: value}))), OPENING)


RAW = {
    "no bytes": b"",
    "no JSON": b"{",
    "no UTF-8": b'{"eventType":"\xff"}',
    "two values": b"{}{}",
    "too deep": b"[" * 100_000,
    "a number beyond any": b'{"playerTime":1e400}',
}


@pytest.mark.parametrize("case", RAW)
def test_a_body_that_is_no_json_is_refused(case: str) -> None:
    """Whatever the bytes, the answer is a message."""
    with pytest.raises(Fault, match=r"^the body is not JSON$"):
        read_event(RAW[case], EVENT)


TIME = {"playhead": 1.5, "ts": 1}
BROKEN = {
    "unknown top-level key": ("play", {"extra": 1}, "$: unknown key 'extra'"),
    "start object": ("play", {"start": {}}, "$: unknown key 'start'"),
    "no time": ("play", {"playerTime": None}, "$.playerTime: is required"),
    "time is no object": ("play", {"playerTime": [1, 2]}, "$.playerTime: must be an object"),
    "no playhead": ("play", {"playerTime": {"ts": 1}}, "$.playerTime['playhead']: is required"),
    "no ts": ("play", {"playerTime": {"playhead": 1}}, "$.playerTime['ts']: is required"),
    "playhead is text": ("play", {"playerTime": TIME | {"playhead": "1"}}, "$.playerTime['playhead']: must be a number"),
    "playhead is true": ("play", {"playerTime": TIME | {"playhead": True}}, "$.playerTime['playhead']: must be a number"),
    "ts has a fraction": ("play", {"playerTime": TIME | {"ts": 1.0}}, "$.playerTime['ts']: must be an integer"),
    "ts is text": ("play", {"playerTime": TIME | {"ts": "1"}}, "$.playerTime['ts']: must be an integer"),
    "ts is true": ("play", {"playerTime": TIME | {"ts": True}}, "$.playerTime['ts']: must be an integer"),
    "ts beyond 64 bits": ("play", {"playerTime": TIME | {"ts": 1 << 63}}, "$.playerTime['ts']: must be an integer"),
    "more in time": ("play", {"playerTime": TIME | {"zone": "UTC"}}, "$.playerTime: unknown key 'zone'"),
    "no type": ("play", {"eventType": None}, "$.eventType: is required"),
    "unknown type": ("play", {"eventType": "resume"}, "$.eventType: 'resume' is none"),
    "statesUpdate": ("play", {"eventType": "statesUpdate"}, "$.eventType: 'statesUpdate' is none"),
    "type of another spelling": ("play", {"eventType": "Play"}, "$.eventType: 'Play' is none"),
    "type is no text": ("play", {"eventType": ["play"]}, "$.eventType: ['play'] is none"),
    "params on ping": ("ping", {"params": {}}, "$.params: is not allowed on ping"),
    "params are a list": ("play", {"params": []}, "$.params: must be an object"),
    "quality is a list": ("play", {"qoeData": []}, "$.qoeData: must be an object"),
    "unknown quality": ("play", {"qoeData": {"bitrate": 1}}, "$.qoeData: unknown key 'bitrate'"),
    "quality has a fraction": ("ping", {"qoeData": {"media.qoe.framesPerSecond": 23.5}}, "$.qoeData['media.qoe.framesPerSecond']: must be"),
    "quality is text": ("ping", {"qoeData": {"media.qoe.bitrate": "1"}}, "$.qoeData['media.qoe.bitrate']: must be an integer"),
    "error id is no text": ("error", {"qoeData": {"media.qoe.errorID": 7}}, "$.qoeData['media.qoe.errorID']: must be a string"),
    "error of another source": ("error", {"qoeData": {"media.qoe.errorSource": "me"}}, "$.qoeData['media.qoe.errorSource']: must be"),
    "error on a start": ("sessionStart", {"qoeData": {"media.qoe.errorID": "x"}}, "$.qoeData: unknown key 'media.qoe.errorID'"),
    "metadata on play": ("play", {"customMetadata": {"a": "b"}}, "$.customMetadata: is not allowed on play"),
    "metadata on an ad break": ("adBreakStart", {"customMetadata": {"a": "b"}}, "$.customMetadata: is not allowed on adBreakStart"),
    "empty metadata on ping": ("ping", {"customMetadata": {}}, "$.customMetadata: is not allowed on ping"),
    "metadata is a list": ("adStart", {"customMetadata": []}, "$.customMetadata: must be an object"),
    "metadata key": ("adStart", {"customMetadata": {"a-b": "c"}}, "$.customMetadata: the key 'a-b'"),
    "metadata key is empty": ("adStart", {"customMetadata": {"": "c"}}, "$.customMetadata: the key ''"),
    "metadata key ends in a new line": ("adStart", {"customMetadata": {"a\n": "c"}}, "$.customMetadata: the key"),
    "metadata value": ("chapterStart", {"customMetadata": {"a": 1}}, "$.customMetadata['a']: must be a string"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_body_that_breaks_a_rule_is_refused_by_its_path(event: MakeEvent, case: str) -> None:
    """The message says where and what."""
    event_type, parts, message = BROKEN[case]
    with pytest.raises(Fault) as refused:
        read_event(msgspec.json.encode(event(event_type, **parts)), OPENING if event_type == "sessionStart" else EVENT)
    assert str(refused.value).startswith(message)


@pytest.mark.parametrize(("event_type", "name"), [(kind, name) for kind, rules in PARAMS.items() for name in rules.required])
def test_each_required_param_is_required(event: MakeEvent, event_type: str, name: str) -> None:
    """Without it, or with null in its place, the event is refused."""
    operation = OPENING if event_type == "sessionStart" else EVENT
    without = {key: value for key, value in event(event_type)["params"].items() if key != name}
    with pytest.raises(Fault) as missing:
        read_event(msgspec.json.encode(event(event_type, params=without)), operation)
    assert str(missing.value) == f"$.params[{name!r}]: is required"
    with pytest.raises(Fault) as mistyped:
        read_event(msgspec.json.encode(event(event_type, params=without | {name: None})), operation)
    assert str(mistyped.value).startswith(f"$.params[{name!r}]: must be")
    with pytest.raises(Fault, match=r"^\$\.params: is required"):
        read_event(msgspec.json.encode(event(event_type, params=None)), operation)


@pytest.mark.parametrize(
    ("event_type", "name", "value"),
    [
        ("sessionStart", "media.length", "3600"),
        ("sessionStart", "media.length", True),
        ("sessionStart", "media.season", 2),
        ("sessionStart", "media.resume", "true"),
        ("sessionStart", "media.downloaded", True),
        ("sessionStart", "media.streamType", "hologram"),
        ("sessionStart", "visitor.aamLocationHint", "9"),
        ("sessionStart", "visitor.customerIDs", {"crm": {"id": 1}}),
        ("sessionStart", "visitor.customerIDs", {"crm": {"id": "1", "authState": 3}}),
        ("adBreakStart", "media.ad.podIndex", 1.5),
        ("adStart", "media.ad.podPosition", "1"),
        ("adStart", "media.ad.name", 5),
        ("chapterStart", "media.chapter.index", 1.0),
        ("chapterStart", "media.chapter.friendlyName", []),
        ("stateStart", "media.state.name", 1),
    ],
)
def test_a_param_of_another_type_is_refused(event: MakeEvent, event_type: str, name: str, value: object) -> None:
    """Also an optional one."""
    body = msgspec.json.encode(event(event_type, params=event(event_type)["params"] | {name: value}))
    with pytest.raises(Fault) as refused:
        read_event(body, OPENING if event_type == "sessionStart" else EVENT)
    assert str(refused.value).startswith(f"$.params[{name!r}]: ")


def test_only_a_start_is_closed_to_unknown_params(event: MakeEvent) -> None:
    """The schema of sessionStart is published and closed; of the others nobody knows."""
    read_event(msgspec.json.encode(event("adStart", params=params(event, "adStart", media__ad__mood="x"))), EVENT)
    with pytest.raises(Fault, match=r"^\$\.params: unknown key 'media\.mood'$"):
        read_event(msgspec.json.encode(event("sessionStart", params=params(event, "sessionStart", media__mood="x"))), OPENING)


@pytest.mark.parametrize("event_type", [*LONE, "adBreakStart", "adStart", "chapterStart", "stateStart", "stateEnd"])
def test_only_a_start_opens_a_session(event: MakeEvent, event_type: str) -> None:
    """Anything else on /sessions is refused."""
    with pytest.raises(Fault, match="only sessionStart opens a session"):
        read_event(msgspec.json.encode(event(event_type)), OPENING)


def test_a_start_is_no_event_of_a_session(event: MakeEvent) -> None:
    """A sessionStart on /events is refused."""
    with pytest.raises(Fault, match="is for /api/v1/sessions"):
        read_event(msgspec.json.encode(event("sessionStart")), EVENT)


def test_a_list_opens_no_session(event: MakeEvent) -> None:
    """The deprecated way to send downloaded content is refused."""
    with pytest.raises(Fault, match=r"^\$: must be an object$"):
        read_event(msgspec.json.encode([event("sessionStart")]), OPENING)


def test_a_message_repeats_little_of_the_body(event: MakeEvent) -> None:
    """However long a key is, the message is short."""
    with pytest.raises(Fault) as refused:
        read_event(msgspec.json.encode(event("play") | {"x" * 10_000: 1}), EVENT)
    assert len(str(refused.value)) < 120

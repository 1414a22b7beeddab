"""Each event alone: what a strict classic API would check, written down once more and independently of what makes the events."""

import re
from typing import Any

from relay.sandbox.saying import Said

Sessions = dict[str, list[Said]]
Events = dict[str, list[dict[str, Any]]]

NUMBER, INTEGER, TEXT, YES_NO, OBJECT = "number", "integer", "text", "yes or no", "object"

FITS = {
    NUMBER: lambda value: type(value) in (int, float) and value >= 0,
    INTEGER: lambda value: type(value) is int and value >= 0,
    TEXT: lambda value: type(value) is str and value != "",
    YES_NO: lambda value: type(value) is bool,
    OBJECT: lambda value: type(value) is dict,
}

# event type → (required params, optional params); a type that is missing here takes no params
PARAMS = {
    "sessionStart": (
        {
            "analytics.trackingServer": TEXT,
            "analytics.reportSuite": TEXT,
            "visitor.marketingCloudOrgId": TEXT,
            "media.id": TEXT,
            "media.length": NUMBER,
            "media.contentType": TEXT,
            "media.playerName": TEXT,
            "media.channel": TEXT,
        },
        {
            "analytics.enableSSL": YES_NO,
            "visitor.marketingCloudUserId": TEXT,
            "visitor.aamLocationHint": INTEGER,
            "visitor.customerIDs": OBJECT,
            "appInstallationId": TEXT,
            "media.name": TEXT,
            "media.streamType": TEXT,
            "media.resume": YES_NO,
            "media.downloaded": YES_NO,
            "media.sdkVersion": TEXT,
            **dict.fromkeys(
                ("media.show", "media.season", "media.episode", "media.genre", "media.firstAirDate", "media.showType"),
                TEXT,
            ),
            **dict.fromkeys(("media.artist", "media.album", "media.station"), TEXT),
        },
    ),
    "adBreakStart": ({"media.ad.podIndex": INTEGER, "media.ad.podSecond": NUMBER}, {"media.ad.podFriendlyName": TEXT}),
    "adStart": (
        {"media.ad.id": TEXT, "media.ad.length": NUMBER, "media.ad.podPosition": INTEGER, "media.ad.playerName": TEXT},
        {"media.ad.name": TEXT, "media.ad.advertiser": TEXT, "media.ad.campaignId": TEXT},
    ),
    "chapterStart": (
        {"media.chapter.index": INTEGER, "media.chapter.offset": NUMBER, "media.chapter.length": NUMBER},
        {"media.chapter.friendlyName": TEXT},
    ),
    "stateStart": ({"media.state.name": TEXT}, {}),
    "stateEnd": ({"media.state.name": TEXT}, {}),
}
PLAIN = {
    *("sessionComplete", "sessionEnd", "play", "ping", "pauseStart", "bufferStart", "bitrateChange", "error"),
    *("adBreakComplete", "adComplete", "adSkip", "chapterComplete", "chapterSkip"),
}
QUALITY = {
    **dict.fromkeys(
        ("media.qoe.bitrate", "media.qoe.droppedFrames", "media.qoe.framesPerSecond", "media.qoe.timeToStart"),
        INTEGER,
    ),
    "media.qoe.errorID": TEXT,
    "media.qoe.errorSource": TEXT,
}
WITH_CUSTOM_METADATA = {"sessionStart", "adStart", "chapterStart"}


def check_params(event_type: str, params: dict[str, object]) -> None:
    """Hold params against the table."""
    required, optional = PARAMS[event_type]
    assert set(required) <= set(params) <= set(required) | set(optional), event_type
    for name, value in params.items():
        assert FITS[(required | optional)[name]](value), (event_type, name, value)


def check_custom_metadata(metadata: dict[str, object]) -> None:
    """Names of a few characters, values of text only."""
    assert all(re.fullmatch(r"[a-zA-Z0-9_.]+", name) for name in metadata)
    assert all(type(value) is str for value in metadata.values())


def check_event(event: dict[str, Any]) -> None:
    """Hold a whole event against the tables."""
    event_type = event["eventType"]
    assert event_type in PLAIN | set(PARAMS)
    assert set(event) <= {"eventType", "playerTime", "params", "qoeData", "customMetadata", "start"}
    assert set(event["playerTime"]) == {"playhead", "ts"}
    assert type(event["playerTime"]["playhead"]) is float
    assert type(event["playerTime"]["ts"]) is int
    assert ("params" in event) == (event_type in PARAMS)
    if "params" in event:
        check_params(event_type, event["params"])
    for name, value in event.get("qoeData", {}).items():
        assert FITS[QUALITY[name]](value), (event_type, name, value)
    assert "customMetadata" not in event or event_type in WITH_CUSTOM_METADATA
    check_custom_metadata(event.get("customMetadata", {}))


def test_each_event_is_what_a_strict_api_accepts(events: Events) -> None:
    """Required params are there, nothing unknown is, and each value has its type."""
    for session in events.values():
        for event in session:
            check_event(event)


def test_every_type_of_the_vocabulary_is_said(events: Events) -> None:
    """A crowd uses all nineteen types."""
    assert {event["eventType"] for session in events.values() for event in session} == PLAIN | set(PARAMS)


def test_errors_and_bitrate_changes_say_what_they_are_about(events: Events) -> None:
    """An error names itself and its source, a bitrate change the new bitrate."""
    for event in (event for session in events.values() for event in session):
        if event["eventType"] == "error":
            assert set(event["qoeData"]) == {"media.qoe.errorID", "media.qoe.errorSource"}
            assert event["qoeData"]["media.qoe.errorSource"] in {"player", "external"}
        if event["eventType"] == "bitrateChange":
            assert "media.qoe.bitrate" in event["qoeData"]


def test_the_start_carries_the_key_of_its_session(events: Events) -> None:
    """What arrives at an API can be traced to its player session by customMetadata alone."""
    for key, session in events.items():
        assert session[0]["customMetadata"]["playerSession"] == key


def test_the_start_object_repeats_the_start(events: Events) -> None:
    """An event that carries `start` carries what its own sessionStart said; the sessionStart itself carries none."""
    carried = 0
    for session in events.values():
        assert "start" not in session[0]
        for event in session[1:]:
            if "start" in event:
                carried += 1
                assert event["start"] == {"params": session[0]["params"], "customMetadata": session[0]["customMetadata"]}
    assert carried > 100


def test_the_record_is_what_was_said(said: Sessions, events: Events) -> None:
    """Key, type and ts beside a record are those inside it."""
    for key, session in said.items():
        for one, event in zip(session, events[key], strict=True):
            assert one.record_key == key.encode()
            assert (one.event_type, one.ts) == (event["eventType"], event["playerTime"]["ts"])
            assert one.at_seconds == (one.ts - session[0].ts) / 1000

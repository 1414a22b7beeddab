"""Classic → Edge → classic: nothing is lost but the fractions that the Edge does not take, and what the datastream knows."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

Object = dict[str, Any]

# Written down anew, from the Edge's side, so that a slip in the product's own table does not undo itself.
SESSION = {
    "name": "media.id",
    "friendlyName": "media.name",
    "length": "media.length",
    "contentType": "media.contentType",
    "streamType": "media.streamType",
    "playerName": "media.playerName",
    "channel": "media.channel",
    "hasResume": "media.resume",
    "isDownloaded": "media.downloaded",
    "appVersion": "media.sdkVersion",
    "assetID": "media.assetId",
    "mvpd": "media.pass.mvpd",
    "authorized": "media.pass.auth",
    "show": "media.show",
    "season": "media.season",
    "episode": "media.episode",
    "genre": "media.genre",
    "firstAirDate": "media.firstAirDate",
    "firstDigitalDate": "media.firstDigitalDate",
    "rating": "media.rating",
    "originator": "media.originator",
    "network": "media.network",
    "showType": "media.showType",
    "adLoad": "media.adLoad",
    "dayPart": "media.dayPart",
    "feed": "media.feed",
    "streamFormat": "media.streamFormat",
    "artist": "media.artist",
    "album": "media.album",
    "label": "media.label",
    "author": "media.author",
    "station": "media.station",
    "publisher": "media.publisher",
}
AD_BREAK = {"index": "media.ad.podIndex", "offset": "media.ad.podSecond", "friendlyName": "media.ad.podFriendlyName"}
AD = {
    "name": "media.ad.id",
    "friendlyName": "media.ad.name",
    "length": "media.ad.length",
    "playerName": "media.ad.playerName",
    "podPosition": "media.ad.podPosition",
    "advertiser": "media.ad.advertiser",
    "creativeURL": "media.ad.creativeURL",
    "campaignID": "media.ad.campaignId",
    "creativeID": "media.ad.creativeId",
    "siteID": "media.ad.siteId",
    "placementID": "media.ad.placementId",
}
CHAPTER = {
    "index": "media.chapter.index",
    "offset": "media.chapter.offset",
    "length": "media.chapter.length",
    "friendlyName": "media.chapter.friendlyName",
}
ERROR = {"name": "media.qoe.errorID", "source": "media.qoe.errorSource"}
QUALITY = {name: f"media.qoe.{name}" for name in ("bitrate", "droppedFrames", "framesPerSecond", "timeToStart")}
STATE = {"name": "media.state.name"}
PARAMS = {"sessionDetails": SESSION, "advertisingPodDetails": AD_BREAK, "advertisingDetails": AD, "chapterDetails": CHAPTER}
IN_QUALITY = {"qoeDataDetails": QUALITY, "errorDetails": ERROR}
STATES = {"statesStart": "stateStart", "statesEnd": "stateEnd"}
AUTH_STATES = {"ambiguous": 0, "authenticated": 1, "loggedOut": 2}
INTEGERS = {
    "media.length",
    "media.ad.podIndex",
    "media.ad.podSecond",
    "media.ad.length",
    "media.ad.podPosition",
    "media.chapter.index",
    "media.chapter.offset",
    "media.chapter.length",
}


def to_classic(body: Object) -> Object:
    """An Edge request in the words of the classic API."""
    (event,) = body["events"]
    xdm = event["xdm"]
    media = xdm["mediaCollection"]
    moment = datetime.fromisoformat(xdm["timestamp"])
    ts = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    native: Object = {
        "eventType": xdm["eventType"].removeprefix("media."),
        "playerTime": {"playhead": media["playhead"], "ts": ts},
        "params": {},
        "qoeData": {},
        "customMetadata": {pair["name"]: pair["value"] for pair in media.get("customMetadata", ())},
    }
    for member, names in PARAMS.items():
        native["params"] |= {names[name]: value for name, value in media.get(member, {}).items()}
    for member, names in IN_QUALITY.items():
        native["qoeData"] |= {names[name]: value for name, value in media.get(member, {}).items()}
    for member, event_type in STATES.items():
        for state in media.get(member, ()):
            native["eventType"] = event_type
            native["params"] |= {STATE[name]: value for name, value in state.items()}
    native["params"] |= identities(xdm.get("identityMap", {}))
    if "implementationDetails" in xdm:
        native["params"]["media.libraryVersion"] = xdm["implementationDetails"]["version"]
    return {name: member for name, member in native.items() if member or name in {"eventType", "playerTime"}}


def identities(identity_map: Object) -> Object:
    """The visitor's params. A customer's own namespace called ECID could not be told apart, and is not drawn below."""
    params: Object = {}
    for namespace, entries in identity_map.items():
        (entry,) = entries
        if namespace == "ECID":
            params["visitor.marketingCloudUserId"] = entry["id"]
        else:
            state = {"authState": AUTH_STATES[entry["authenticatedState"]]} if "authenticatedState" in entry else {}
            params.setdefault("visitor.customerIDs", {})[namespace] = {"id": entry["id"], **state}
    return params


def truncated(native: Object) -> Object:
    """The native event without the fractions that the Edge does not take, and without what the datastream knows."""
    params = {
        key: math.trunc(value) if key in INTEGERS else value
        for key, value in native.get("params", {}).items()
        if not key.startswith("analytics.") and key != "visitor.marketingCloudOrgId"
    }
    quality = {key: value if isinstance(value, str) else math.trunc(value) for key, value in native.get("qoeData", {}).items()}
    time = native["playerTime"] | {"playhead": math.trunc(native["playerTime"]["playhead"])}
    parts = {"params": params, "qoeData": quality, "customMetadata": native.get("customMetadata", {})}
    return {"eventType": native["eventType"], "playerTime": time} | {name: part for name, part in parts.items() if part}


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBER = st.integers(-(10**6), 2**53) | st.floats(-(10.0**6), 1e15)
VALUE: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(INTEGERS, NUMBER)
VALUE |= dict.fromkeys(QUALITY.values(), NUMBER) | dict.fromkeys(("media.resume", "media.downloaded"), st.booleans())


def some_of(*keys: str, required: tuple[str, ...] = ()) -> st.SearchStrategy[Object]:
    """Any of these keys, each with a value of its kind."""
    optional = {key: VALUE.get(key, TEXT) for key in keys if key not in required}
    return st.fixed_dictionaries({key: VALUE.get(key, TEXT) for key in required}, optional=optional)


CUSTOMER = st.fixed_dictionaries({"id": TEXT}, optional={"authState": st.sampled_from([0, 1, 2])})
VISITOR = st.fixed_dictionaries(
    {},
    optional={
        "visitor.marketingCloudUserId": TEXT,
        "visitor.customerIDs": st.dictionaries(TEXT.filter(lambda name: name != "ECID"), CUSTOMER, min_size=1, max_size=3),
        "visitor.marketingCloudOrgId": TEXT,
        "analytics.reportSuite": TEXT,
        "analytics.enableSSL": st.booleans(),
        "media.libraryVersion": TEXT,
    },
)
METADATA = st.dictionaries(TEXT, TEXT, max_size=4)
FIGURES = some_of(*QUALITY.values())
PLAIN = (
    "sessionComplete sessionEnd play ping pauseStart bufferStart bitrateChange"
    " adBreakComplete adComplete adSkip chapterComplete chapterSkip"
)


def event(
    kinds: str, params: st.SearchStrategy[Object] | None = None, *, has_metadata: bool = False, quality: st.SearchStrategy[Object] = FIGURES
) -> st.SearchStrategy[Object]:
    """Native events of some kinds."""
    time = st.fixed_dictionaries(
        {"playhead": st.integers(-(10**6), 10**9) | st.floats(-(10.0**6), 1e9), "ts": st.integers(-(10**13), 2 * 10**14)}
    )
    members: Object = {"eventType": st.sampled_from(kinds.split()), "playerTime": time}
    optional: Object = {"qoeData": quality} | ({"customMetadata": METADATA} if has_metadata else {})
    if params is not None:
        members["params"] = params
    if kinds == "error":
        members["qoeData"] = optional.pop("qoeData")
    return st.fixed_dictionaries(members, optional=optional)


EVENTS = st.one_of(
    event("sessionStart", st.tuples(some_of(*SESSION.values()), VISITOR).map(lambda both: both[0] | both[1]), has_metadata=True),
    event("adBreakStart", some_of(*AD_BREAK.values())),
    event("adStart", some_of(*AD.values()), has_metadata=True),
    event("chapterStart", some_of(*CHAPTER.values()), has_metadata=True),
    event("stateStart stateEnd", some_of(required=("media.state.name",))),
    event("error", quality=some_of(*QUALITY.values(), *ERROR.values(), required=("media.qoe.errorID",))),
    event(PLAIN),
)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(native=EVENTS)
def test_the_way_to_the_edge_and_back_loses_nothing(say: Callable[..., Any], native: Object) -> None:
    """All keys that have a counterpart, with any values, any time: what comes back is what went, without fractions."""
    assert to_classic(json.loads(say(native).edge().body)) == truncated(native)

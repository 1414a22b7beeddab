"""What a player event may say: the params, quality data and custom metadata of each event type, and their types.

In: nothing. Out: tables, by which a mapping is checked when it is compiled, and values are written in the type that the API takes.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from relay.core.events import EventType


class Kind(StrEnum):
    """The type of a value."""

    TEXT = "text"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    OBJECT = "object"


_STANDARD_METADATA: Final = (
    "show season episode assetId genre firstAirDate firstDigitalDate rating originator network showType adLoad pass.mvpd pass.auth dayPart"
    " feed streamFormat artist album label author station publisher"
)

START_REQUIRED: Final = frozenset(
    {"media.id", "media.length", "media.contentType", "media.playerName", "media.channel"}
)  # by both dialects; the classic one wants to know for whom as well, which is the same for all events: RELAY_SESSION__START_PARAMS

_START: Final = {
    "analytics.trackingServer": Kind.TEXT,
    "analytics.reportSuite": Kind.TEXT,
    "analytics.enableSSL": Kind.BOOLEAN,
    "analytics.visitorId": Kind.TEXT,
    "analytics.aid": Kind.TEXT,
    "analytics.optOutServerSideForwarding": Kind.BOOLEAN,
    "analytics.optOutShare": Kind.BOOLEAN,
    "visitor.marketingCloudOrgId": Kind.TEXT,
    "visitor.marketingCloudUserId": Kind.TEXT,
    "visitor.aamLocationHint": Kind.INTEGER,
    "visitor.customerIDs": Kind.OBJECT,
    "appInstallationId": Kind.TEXT,
    "media.id": Kind.TEXT,
    "media.name": Kind.TEXT,
    "media.length": Kind.NUMBER,
    "media.contentType": Kind.TEXT,
    "media.playerName": Kind.TEXT,
    "media.channel": Kind.TEXT,
    "media.streamType": Kind.TEXT,
    "media.resume": Kind.BOOLEAN,
    "media.downloaded": Kind.BOOLEAN,
    "media.sdkVersion": Kind.TEXT,
    "media.libraryVersion": Kind.TEXT,
} | {f"media.{name}": Kind.TEXT for name in _STANDARD_METADATA.split()}

PARAMS: Final[Mapping[EventType, Mapping[str, Kind]]] = {
    EventType.SESSION_START: _START,
    EventType.AD_BREAK_START: {
        "media.ad.podIndex": Kind.INTEGER,
        "media.ad.podSecond": Kind.NUMBER,
        "media.ad.podFriendlyName": Kind.TEXT,
    },
    EventType.AD_START: {
        "media.ad.id": Kind.TEXT,
        "media.ad.length": Kind.NUMBER,
        "media.ad.podPosition": Kind.INTEGER,
        "media.ad.playerName": Kind.TEXT,
    }
    | {
        f"media.ad.{name}": Kind.TEXT
        for name in ("podFriendlyName", "name", "advertiser", "campaignId", "creativeId", "siteId", "creativeURL", "placementId")
    },
    EventType.CHAPTER_START: {
        "media.chapter.index": Kind.INTEGER,
        "media.chapter.offset": Kind.NUMBER,
        "media.chapter.length": Kind.NUMBER,
        "media.chapter.friendlyName": Kind.TEXT,
    },
    EventType.STATE_START: {"media.state.name": Kind.TEXT},
    EventType.STATE_END: {"media.state.name": Kind.TEXT},
}

REQUIRED: Final[Mapping[EventType, frozenset[str]]] = {
    EventType.SESSION_START: START_REQUIRED,
    EventType.AD_BREAK_START: frozenset({"media.ad.podIndex", "media.ad.podSecond"}),
    EventType.AD_START: frozenset({"media.ad.id", "media.ad.length", "media.ad.podPosition", "media.ad.playerName"}),
    EventType.CHAPTER_START: frozenset({"media.chapter.index", "media.chapter.offset", "media.chapter.length"}),
    EventType.STATE_START: frozenset({"media.state.name"}),
    EventType.STATE_END: frozenset({"media.state.name"}),
}

_FIGURES: Final = dict.fromkeys(
    (f"media.qoe.{name}" for name in ("bitrate", "droppedFrames", "framesPerSecond", "timeToStart")), Kind.INTEGER
)
QOE: Final[Mapping[str, Kind]] = _FIGURES | {"media.qoe.errorID": Kind.TEXT, "media.qoe.errorSource": Kind.TEXT}
QOE_OF_START: Final[Mapping[str, Kind]] = _FIGURES  # the published schema of sessionStart has no other

TAKES_METADATA: Final = frozenset({EventType.SESSION_START, EventType.AD_START, EventType.CHAPTER_START})

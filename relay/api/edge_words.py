"""The vocabulary of the relay → the names of the Media Edge: which param of which event goes where.

In: nothing. Out: one `Form` per event type, and the two lists for quality data. `id` and `name` swap places on the way: what the relay
calls `media.id` is the Edge's `name`, what it calls `media.name` is the Edge's `friendlyName`; likewise for ads.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from relay.core.events import EventType


class Words(NamedTuple):
    """The name of each key in the Edge's object, and which of them must be integers there."""

    names: Mapping[str, str]
    integers: frozenset[str] = frozenset()


class Form(NamedTuple):
    """How an event type is written."""

    endpoint: str  # the last segment of the path; `xdm.eventType` is the same with "media." before it
    details: str = ""  # the object in `mediaCollection` that holds the params
    words: Words = Words({})
    takes_metadata: bool = False


_SAME: Final = (
    "length contentType streamType playerName channel show season episode genre firstAirDate firstDigitalDate rating originator network"
    " showType adLoad dayPart feed streamFormat artist album label author station publisher"
)
_AD_SAME: Final = "length playerName podPosition advertiser creativeURL"

_SESSION: Final = Words(
    {f"media.{name}": name for name in _SAME.split()}
    | {
        "media.id": "name",
        "media.name": "friendlyName",
        "media.resume": "hasResume",
        "media.downloaded": "isDownloaded",
        "media.sdkVersion": "appVersion",
        "media.assetId": "assetID",
        "media.pass.mvpd": "mvpd",
        "media.pass.auth": "authorized",
    },
    frozenset({"media.length"}),
)
_AD_BREAK: Final = Words(
    {"media.ad.podIndex": "index", "media.ad.podSecond": "offset", "media.ad.podFriendlyName": "friendlyName"},
    frozenset({"media.ad.podIndex", "media.ad.podSecond"}),
)
_AD: Final = Words(
    {f"media.ad.{name}": name for name in _AD_SAME.split()}
    | {
        "media.ad.id": "name",
        "media.ad.name": "friendlyName",
        "media.ad.campaignId": "campaignID",
        "media.ad.creativeId": "creativeID",
        "media.ad.siteId": "siteID",
        "media.ad.placementId": "placementID",
    },
    frozenset({"media.ad.length", "media.ad.podPosition"}),
)
_CHAPTER: Final = Words(
    {f"media.chapter.{name}": name for name in ("index", "offset", "length", "friendlyName")},
    frozenset({"media.chapter.index", "media.chapter.offset", "media.chapter.length"}),
)
_STATE: Final = Words({"media.state.name": "name"})

_FIGURES: Final = {f"media.qoe.{name}": name for name in ("bitrate", "droppedFrames", "framesPerSecond", "timeToStart")}
QUALITY: Final = Words(_FIGURES, frozenset(_FIGURES))
ERROR: Final = Words({"media.qoe.errorID": "name", "media.qoe.errorSource": "source"})

# A start's params that go elsewhere than into `sessionDetails`.
ECID: Final = "visitor.marketingCloudUserId"
CUSTOMER_IDS: Final = "visitor.customerIDs"
LIBRARY_VERSION: Final = "media.libraryVersion"

_FORMS_OF_THEIR_OWN: Final = {
    EventType.SESSION_START: Form("sessionStart", "sessionDetails", _SESSION, takes_metadata=True),
    EventType.AD_BREAK_START: Form("adBreakStart", "advertisingPodDetails", _AD_BREAK),
    EventType.AD_START: Form("adStart", "advertisingDetails", _AD, takes_metadata=True),
    EventType.CHAPTER_START: Form("chapterStart", "chapterDetails", _CHAPTER, takes_metadata=True),
    EventType.STATE_START: Form("statesUpdate", "statesStart", _STATE),
    EventType.STATE_END: Form("statesUpdate", "statesEnd", _STATE),
}
FORMS: Final[Mapping[EventType, Form]] = {kind: _FORMS_OF_THEIR_OWN.get(kind, Form(kind.value)) for kind in EventType}


def is_left_to_the_datastream(key: str) -> bool:
    """Whom to report for: the Edge has it from the datastream's configuration, so the param is dropped."""
    return key.startswith("analytics.") or key == "visitor.marketingCloudOrgId"


_CLASSIC: Final = (
    "analytics.trackingServer analytics.reportSuite analytics.visitorId analytics.enableSSL visitor.marketingCloudOrgId"
    " visitor.marketingCloudUserId visitor.aamLocationHint visitor.customerIDs media.libraryVersion appInstallationId id authState"
)
VOCABULARY: Final = frozenset(_CLASSIC.split()) | {
    name for words in (*(form.words for form in FORMS.values()), QUALITY, ERROR) for pair in words.names.items() for name in pair
}
"""Every name that either vocabulary has for a param. They are the API's words and nobody's secret."""

"""The fields of the classic Media Collection API: which there are, of which type, and where they must stand.

In: nothing. Out: tables, read by `collection_rules.py`.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, NamedTuple, TypeGuard

_INT64: Final = 1 << 63


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Whether JSON has an object here."""
    return type(value) is dict


def is_string(value: object) -> TypeGuard[str]:
    """Whether JSON has a string here."""
    return type(value) is str


def is_integer(value: object) -> TypeGuard[int]:
    """Whether JSON has an integer of 64 bits here: no fraction, not even `.0`."""
    return type(value) is int and -_INT64 <= value < _INT64


def is_number(value: object) -> TypeGuard[float]:
    """Whether JSON has a number here."""
    return type(value) is float or type(value) is int


def _is_boolean(value: object) -> bool:
    return type(value) is bool


def _is_stream_type(value: object) -> bool:
    return value in ("video", "audio")


def _is_error_source(value: object) -> bool:
    return value in ("player", "external")


def _is_customer_ids(value: object) -> bool:
    return is_object(value) and all(
        is_object(customer)
        and customer.keys() <= {"id", "authState"}
        and is_string(customer.get("id"))
        and customer.get("authState", 0) in (0, 1, 2)
        for customer in value.values()
    )


class Type(NamedTuple):
    """A type that a field may have."""

    name: str
    fits: Callable[[object], bool]


STRING: Final = Type("a string", is_string)
INTEGER: Final = Type("an integer", is_integer)
NUMBER: Final = Type("a number", is_number)
_BOOLEAN: Final = Type("a boolean", _is_boolean)
_STREAM_TYPE: Final = Type('"video" or "audio"', _is_stream_type)
_ERROR_SOURCE: Final = Type('"player" or "external"', _is_error_source)
_CUSTOMER_IDS: Final = Type('an object of {"id": string, "authState": 0, 1 or 2}', _is_customer_ids)


class Allowed(Enum):
    """Whether an event may have `params`."""

    REQUIRED = "required"
    TOLERATED = "tolerated"  # documents show them empty
    NEVER = "never"


class Params(NamedTuple):
    """The params of one event type."""

    allowed: Allowed
    required: Mapping[str, Type]
    known: Mapping[str, Type]  # the required ones too
    is_closed: bool = False  # an unknown key breaks a rule: published for sessionStart alone


_SESSION_START_REQUIRED: Final = {
    "analytics.trackingServer": STRING,
    "analytics.reportSuite": STRING,
    "visitor.marketingCloudOrgId": STRING,  # older tables say optional; the published schema requires it
    "media.id": STRING,
    "media.length": NUMBER,
    "media.contentType": STRING,
    "media.playerName": STRING,
    "media.channel": STRING,
}
_SESSION_START_OPTIONAL: Final = {
    "analytics.enableSSL": _BOOLEAN,
    "analytics.visitorId": STRING,
    "analytics.aid": STRING,
    "analytics.optOutServerSideForwarding": _BOOLEAN,
    "analytics.optOutShare": _BOOLEAN,
    "visitor.marketingCloudUserId": STRING,
    "visitor.aamLocationHint": INTEGER,
    "visitor.customerIDs": _CUSTOMER_IDS,
    "appInstallationId": STRING,
    "media.name": STRING,
    "media.streamType": _STREAM_TYPE,
    "media.resume": _BOOLEAN,
    "media.downloaded": _BOOLEAN,
    "media.sdkVersion": STRING,
    "media.libraryVersion": STRING,
}
_VIDEO: Final = (
    "show season episode assetId genre firstAirDate firstDigitalDate rating originator network showType adLoad "
    "pass.mvpd pass.auth dayPart feed streamFormat"
)
_AUDIO: Final = "artist album label author station publisher"
_STANDARD_METADATA: Final = {f"media.{name}": STRING for name in f"{_VIDEO} {_AUDIO}".split()}

_AD_BREAK: Final = {"media.ad.podIndex": INTEGER, "media.ad.podSecond": NUMBER}
_AD: Final = {
    "media.ad.id": STRING,
    "media.ad.length": NUMBER,
    "media.ad.podPosition": INTEGER,
    "media.ad.playerName": STRING,  # one sample leaves it out, the table requires it
}
_AD_OPTIONAL: Final = {
    f"media.ad.{name}": STRING
    for name in ("podFriendlyName", "name", "advertiser", "campaignId", "creativeId", "siteId", "creativeURL", "placementId")
}
_CHAPTER: Final = {"media.chapter.index": INTEGER, "media.chapter.offset": NUMBER, "media.chapter.length": NUMBER}
_STATE: Final = {"media.state.name": STRING}
_STATE_PARAMS: Final = Params(Allowed.REQUIRED, _STATE, _STATE)
_NONE: Final = Params(Allowed.TOLERATED, {}, {})

PARAMS: Final[Mapping[str, Params]] = {
    "sessionStart": Params(
        Allowed.REQUIRED,
        _SESSION_START_REQUIRED,
        _SESSION_START_REQUIRED | _SESSION_START_OPTIONAL | _STANDARD_METADATA,
        is_closed=True,
    ),
    "sessionComplete": _NONE,
    "sessionEnd": _NONE,
    "play": _NONE,
    "ping": Params(Allowed.NEVER, {}, {}),
    "pauseStart": _NONE,
    "bufferStart": _NONE,
    "bitrateChange": _NONE,
    "error": _NONE,
    "adBreakStart": Params(Allowed.REQUIRED, _AD_BREAK, _AD_BREAK | {"media.ad.podFriendlyName": STRING}),
    "adBreakComplete": _NONE,
    "adStart": Params(Allowed.REQUIRED, _AD, _AD | _AD_OPTIONAL),
    "adComplete": _NONE,
    "adSkip": _NONE,
    "chapterStart": Params(Allowed.REQUIRED, _CHAPTER, _CHAPTER | {"media.chapter.friendlyName": STRING}),
    "chapterComplete": _NONE,
    "chapterSkip": _NONE,
    "stateStart": _STATE_PARAMS,
    "stateEnd": _STATE_PARAMS,
}

_QOE_NUMBERS: Final = {f"media.qoe.{name}": INTEGER for name in ("bitrate", "droppedFrames", "framesPerSecond", "timeToStart")}
QOE: Final[Mapping[str, Type]] = _QOE_NUMBERS | {"media.qoe.errorID": STRING, "media.qoe.errorSource": _ERROR_SOURCE}
QOE_OF_SESSION_START: Final[Mapping[str, Type]] = _QOE_NUMBERS  # the published schema of sessionStart has no other

TOP_LEVEL: Final = frozenset({"playerTime", "eventType", "params", "qoeData", "customMetadata"})
PLAYER_TIME: Final[Mapping[str, Type]] = {"playhead": NUMBER, "ts": INTEGER}
HAS_CUSTOM_METADATA: Final = frozenset({"sessionStart", "adStart", "chapterStart"})

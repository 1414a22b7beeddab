"""The fields of the Media Edge API: which there are, of which type, and on which event they stand.

In: nothing. Out: tables, read by `edge_rules.py`.

Where sources disagree: `advertisingDetails.name` is required (Adobe's description lists it so and forgets to define it); ids must have at
least one character, and playheads and `podPosition` must not be negative (so says XDM); `creativeURL` may be any string (XDM alone calls it
a URI).
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple, TypeGuard

from relay.sandbox.fake_api.collection_fields import INTEGER, STRING, Type, is_integer, is_object, is_string
from relay.sandbox.fake_api.dialect import SESSION_START

STATES_UPDATE: Final = "statesUpdate"

_INT32: Final = 1 << 31
_STATE_NAME: Final = re.compile(r"[a-zA-Z0-9_.]{1,64}")


def _is_int32(value: object) -> bool:
    return is_integer(value) and -_INT32 <= value < _INT32


def _is_natural(value: object) -> bool:
    return is_integer(value) and value >= 0


def _is_name(value: object) -> bool:
    return is_string(value) and value != ""


def _is_state_name(value: object) -> bool:
    return is_string(value) and _STATE_NAME.fullmatch(value) is not None


def _is_boolean(value: object) -> bool:
    return type(value) is bool


def _is_stream_type(value: object) -> bool:
    return value in ("audio", "video")


def _is_source(value: object) -> bool:
    return value in ("player", "external")


def _is_authentication(value: object) -> bool:
    return value in ("ambiguous", "authenticated", "loggedOut")


def is_list(value: object) -> TypeGuard[list[object]]:
    """Whether JSON has an array here."""
    return type(value) is list


OBJECT: Final = Type("an object", is_object)
LIST: Final = Type("an array", is_list)
PLAYHEAD: Final = Type("an integer that is not negative", _is_natural)
_NAME: Final = Type("a string of at least one character", _is_name)
_STATE: Final = Type("1 to 64 letters, digits, underscores and dots", _is_state_name)
_BOOLEAN: Final = Type("a boolean", _is_boolean)
_INTEGER_32: Final = Type("an integer of 32 bits", _is_int32)
_STREAM_TYPE: Final = Type("one of audio, video", _is_stream_type)
_SOURCE: Final = Type("one of player, external", _is_source)
_AUTHENTICATED: Final = Type("one of ambiguous, authenticated, loggedOut", _is_authentication)


class Members(NamedTuple):
    """The members of an object. Others may stand beside them: Adobe's description closes no object to them."""

    required: Mapping[str, Type]
    optional: Mapping[str, Type] = {}


_SESSION_STRINGS: Final = (
    "friendlyName appVersion show season episode assetID genre firstAirDate firstDigitalDate rating originator network showType adLoad "
    "mvpd authorized dayPart feed streamFormat artist album label author station publisher"
)
_AD_STRINGS: Final = "friendlyName advertiser campaignID creativeID creativeURL placementID siteID"

DETAILS: Final[Mapping[str, Members]] = {
    "sessionDetails": Members(
        {"name": _NAME, "playerName": STRING, "length": INTEGER, "channel": STRING, "contentType": STRING},
        dict.fromkeys(_SESSION_STRINGS.split(), STRING) | {"streamType": _STREAM_TYPE, "hasResume": _BOOLEAN, "isDownloaded": _BOOLEAN},
    ),
    "advertisingPodDetails": Members({"index": INTEGER, "offset": INTEGER}, {"friendlyName": STRING}),
    "advertisingDetails": Members(
        {"name": _NAME, "length": INTEGER, "playerName": STRING, "podPosition": PLAYHEAD},
        dict.fromkeys(_AD_STRINGS.split(), STRING),
    ),
    "chapterDetails": Members({"index": INTEGER, "length": INTEGER, "offset": INTEGER}, {"friendlyName": STRING}),
    "errorDetails": Members({"name": _NAME, "source": _SOURCE}),
    "qoeDataDetails": Members({}, dict.fromkeys(("bitrate", "droppedFrames", "framesPerSecond", "timeToStart"), _INTEGER_32)),
}
"""The objects of `mediaCollection`."""

LISTS: Final[Mapping[str, Members]] = {
    "customMetadata": Members({"name": STRING, "value": STRING}),
    "statesStart": Members({"name": _STATE}),
    "statesEnd": Members({"name": _STATE}),
}
"""The arrays of `mediaCollection`, by the objects in them."""

IDENTITY: Final = Members({"id": STRING}, {"authenticatedState": _AUTHENTICATED, "primary": _BOOLEAN})

SESSION_ID: Final = "sessionID"
PLACED: Final = frozenset({SESSION_ID, *DETAILS, *LISTS})
"""What may stand in `mediaCollection` on some events only."""


class Event(NamedTuple):
    """What one event holds in `mediaCollection`, the playhead aside."""

    required: tuple[str, ...]
    allowed: frozenset[str]  # the required ones too


def _event(required: str = "", optional: str = "", *, is_start: bool = False) -> Event:
    names = tuple(required.split()) if is_start else (*required.split(), SESSION_ID)
    return Event(names, frozenset({*names, *optional.split(), "qoeDataDetails"}))


_BARE: Final = _event()

EVENTS: Final[Mapping[str, Event]] = {
    SESSION_START: _event("sessionDetails", "customMetadata", is_start=True),
    "sessionComplete": _BARE,
    "sessionEnd": _BARE,
    "play": _BARE,
    "ping": _BARE,
    "pauseStart": _BARE,
    "bufferStart": _BARE,
    "bitrateChange": _event("qoeDataDetails"),
    "error": _event("errorDetails"),
    "adBreakStart": _event("advertisingPodDetails"),
    "adBreakComplete": _BARE,
    "adStart": _event("advertisingDetails", "customMetadata"),
    "adComplete": _BARE,
    "adSkip": _BARE,
    "chapterStart": _event("chapterDetails", "customMetadata"),
    "chapterComplete": _BARE,
    "chapterSkip": _BARE,
    STATES_UPDATE: _event(optional="statesStart statesEnd"),
}
"""All endpoints but `downloaded`, which this fake does not have."""

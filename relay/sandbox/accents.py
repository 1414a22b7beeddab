"""What simulated players say, in the vocabulary of a preset: so that a mapping can be tried from a topic to the API.

In: native events as JSON. Out: raw events as a player of that kind would send them. What a vocabulary has no word for becomes the nearest
thing that it says now and then; records that are no events stay the bytes that they are.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from relay.api.edge_words import ERROR, FORMS, QUALITY
from relay.core.events import EventType
from relay.sandbox.saying import Said

Raw = dict[str, Any]

_PLAYER_MEDIA: Final = "contexts_com_snowplowanalytics_snowplow_media_"
_EVENT: Final = "unstruct_event_com_snowplowanalytics_snowplow_media_"


class Accent:
    """One vocabulary. It remembers what a session's start said, since those events carry it each time."""

    def __init__(self, preset: str) -> None:
        """Choose the vocabulary."""
        self._say = _ACCENTS[preset]
        self._starts: dict[str, Raw] = {}

    def __call__(self, said: Said) -> bytes | None:
        """The record's value, in other words."""
        if said.is_poison or said.value is None:
            return said.value
        event = json.loads(said.value)
        kind = event["eventType"]
        if kind == EventType.SESSION_START:
            self._starts[said.key] = event
        start = self._starts.get(said.key, {})
        if kind == EventType.SESSION_END:
            self._starts.pop(said.key, None)
        return json.dumps(self._say(said.key, event, start)).encode()


def presets() -> list[str]:
    """The vocabularies that players can speak besides the native one."""
    return sorted(_ACCENTS)


def _of(said: Raw, name: str, default: Any = None) -> Any:
    return said.get("params", {}).get(name, default)


def _without_gaps(raw: Raw) -> Raw:
    return {name: value for name, value in raw.items() if value is not None}


# --- Media Edge XDM -----------------------------------------------------------------------------------------------------------------------


def _say_edge(_key: str, event: Raw, _start: Raw) -> Raw:
    kind = EventType(event["eventType"])
    form = FORMS[kind]
    params, quality = event.get("params", {}), event.get("qoeData", {})
    words = form.words
    details = {words.names[name]: int(one) if name in words.integers else one for name, one in params.items() if name in words.names}
    media: Raw = {"playhead": int(event["playerTime"]["playhead"])}
    if form.details:
        media[form.details] = [details] if form.endpoint == "statesUpdate" else details
    if kind is EventType.ERROR:
        media["errorDetails"] = {ERROR.names[name]: one for name, one in quality.items() if name in ERROR.names}
    figures = {QUALITY.names[name]: one for name, one in quality.items() if name in QUALITY.names}
    if figures or kind is EventType.BITRATE_CHANGE:
        media["qoeDataDetails"] = figures
    if event.get("customMetadata"):
        media["customMetadata"] = [{"name": name, "value": value} for name, value in event["customMetadata"].items()]
    xdm: Raw = {"eventType": f"media.{form.endpoint}", "timestamp": _iso(event), "mediaCollection": media}
    return {"events": [{"xdm": xdm}]}


def _iso(event: Raw) -> str:
    return datetime.fromtimestamp(event["playerTime"]["ts"] / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- media elements -----------------------------------------------------------------------------------------------------------------------

_HTML5: Final = {
    "sessionStart": "loadedmetadata",
    "play": "playing",
    "pauseStart": "pause",
    "bufferStart": "waiting",
    "sessionComplete": "ended",
    "sessionEnd": "emptied",
    "error": "error",
    "adBreakStart": "adbreakstart",
    "adBreakComplete": "adbreakend",
    "adStart": "adstart",
    "adComplete": "adend",
    "adSkip": "adskip",
}


def _say_html5(key: str, event: Raw, start: Raw) -> Raw:
    kind, quality = event["eventType"], event.get("qoeData", {})
    raw: Raw = {
        "session": key,
        "type": _HTML5.get(kind, "timeupdate"),
        "timestamp": event["playerTime"]["ts"],
        "currentTime": event["playerTime"]["playhead"],
        "media": _without_gaps(
            {
                "id": _of(start, "media.id"),
                "title": _of(start, "media.name"),
                "duration": _of(start, "media.length"),
                "channel": _of(start, "media.channel"),
                "player": _of(start, "media.playerName"),
                "live": _of(start, "media.contentType") == "live",
            }
        ),
        "tags": start.get("customMetadata", {}),
        "quality": _without_gaps(
            {"bitrate": quality.get("media.qoe.bitrate"), "droppedVideoFrames": quality.get("media.qoe.droppedFrames")}
        ),
    }
    if kind in {"stateStart", "stateEnd"}:
        raw |= _html5_state(_of(event, "media.state.name"), is_on=kind == "stateStart")
    if kind == "adBreakStart":
        raw["ad"] = {"pod": _of(event, "media.ad.podIndex")}
    if kind == "adStart":
        raw["ad"] = {
            "id": _of(event, "media.ad.id"),
            "title": _of(event, "media.ad.name"),
            "duration": _of(event, "media.ad.length"),
            "position": _of(event, "media.ad.podPosition"),
        }
    if kind == "error":
        raw["error"] = {"code": quality.get("media.qoe.errorID")}
    return raw


def _html5_state(name: str, *, is_on: bool) -> Raw:
    if name == "mute":
        return {"type": "volumechange", "muted": is_on}
    if name == "fullscreen":
        return {"type": "fullscreenchange", "fullscreen": is_on}
    if name == "pictureInPicture":
        return {"type": f"{'enter' if is_on else 'leave'}pictureinpicture"}
    return {}


# --- Snowplow -----------------------------------------------------------------------------------------------------------------------------

_SNOWPLOW: Final = {
    "sessionStart": "ready",
    "play": "play",
    "pauseStart": "pause",
    "bufferStart": "buffer_start",
    "sessionComplete": "end",
    "sessionEnd": "end",
    "bitrateChange": "quality_change",
    "error": "error",
    "adBreakStart": "ad_break_start",
    "adBreakComplete": "ad_break_end",
    "adStart": "ad_start",
    "adComplete": "ad_complete",
    "adSkip": "ad_skip",
}
_SNOWPLOW_STATES: Final = {
    "fullscreen": ("fullscreen_change", "fullscreen"),
    "pictureInPicture": ("picture_in_picture_change", "pictureInPicture"),
}


def _say_snowplow(key: str, event: Raw, start: Raw) -> Raw:
    kind, quality = event["eventType"], event.get("qoeData", {})
    name, properties = _SNOWPLOW.get(kind, "ping"), dict[str, Any]()
    state = _SNOWPLOW_STATES.get(_of(event, "media.state.name", ""))
    if state is not None:
        name, properties = state[0], {state[1]: kind == "stateStart"}
    elif kind == "error":
        properties = {"errorCode": quality.get("media.qoe.errorID")}
    elif kind == "bitrateChange":
        properties = {"bitrate": quality.get("media.qoe.bitrate")}
    raw: Raw = {
        "app_id": _of(start, "media.channel"),
        "platform": "web",
        "event_name": f"{name}_event",
        "dvce_created_tstamp": _iso(event),
        f"{_PLAYER_MEDIA}player_2": [
            {
                "currentTime": event["playerTime"]["playhead"],
                "duration": _of(start, "media.length"),
                "label": _of(start, "media.name", _of(start, "media.id")),
                "livestream": _of(start, "media.contentType") == "live",
                "playerType": _of(start, "media.playerName"),
            }
        ],
        f"{_PLAYER_MEDIA}session_1": [{"mediaSessionId": key}],
        f"{_EVENT}{name}_event_1": _without_gaps(properties),
    }
    if kind == "adBreakStart":
        raw[f"{_PLAYER_MEDIA}ad_break_1"] = [{"startTime": _of(event, "media.ad.podSecond")}]
    if kind == "adStart":
        raw[f"{_PLAYER_MEDIA}ad_1"] = [
            {
                "adId": _of(event, "media.ad.id"),
                "name": _of(event, "media.ad.name"),
                "duration": _of(event, "media.ad.length"),
                "podPosition": _of(event, "media.ad.podPosition"),
            }
        ]
    return raw


# --- state changes ------------------------------------------------------------------------------------------------------------------------

_STATES: Final = {
    "play": ("state", "PLAYING"),
    "pauseStart": ("state", "PAUSED"),
    "bufferStart": ("state", "BUFFERING"),
    "sessionEnd": ("state", "STOPPED"),
    "sessionComplete": ("ended", None),
    "bitrateChange": ("bitrate", None),
    "error": ("error", None),
    "adBreakStart": ("adBreakStarted", None),
    "adBreakComplete": ("adBreakEnded", None),
    "adStart": ("adStarted", None),
    "adComplete": ("adEnded", None),
    "adSkip": ("adSkipped", None),
}


def _say_states(key: str, event: Raw, start: Raw) -> Raw:
    kind, quality = event["eventType"], event.get("qoeData", {})
    what, state = _STATES.get(kind, ("heartbeat", None))
    raw = _without_gaps(
        {
            "sessionId": key,
            "at": event["playerTime"]["ts"],
            "event": what,
            "state": state,
            "playheadMs": round(event["playerTime"]["playhead"] * 1000),
            "bitrateKbps": quality.get("media.qoe.bitrate"),
            "message": quality.get("media.qoe.errorID"),
            "podIndex": _of(event, "media.ad.podIndex"),
        }
    )
    raw["content"] = _without_gaps(
        {
            "assetId": _of(start, "media.id"),
            "assetName": _of(start, "media.name"),
            "duration": _of(start, "media.length"),
            "isLive": _of(start, "media.contentType") == "live",
            "applicationName": _of(start, "media.playerName"),
            "channel": _of(start, "media.channel"),
        }
    )
    raw["custom"] = start.get("customMetadata", {})
    if kind == "adStart":
        raw["ad"] = {
            "id": _of(event, "media.ad.id"),
            "title": _of(event, "media.ad.name"),
            "duration": _of(event, "media.ad.length"),
            "sequence": _of(event, "media.ad.podPosition"),
        }
    return raw


_ACCENTS: Final[dict[str, Callable[[str, Raw, Raw], Raw]]] = {
    "edge-xdm": _say_edge,
    "html5": _say_html5,
    "snowplow-media": _say_snowplow,
    "conviva-like": _say_states,
}

"""The rules of the classic Media Collection API for one body. Each body stands alone: order and sessions are no concern of these rules.

In: the body's bytes, and what is asked for. Out: the event that was heard, or a `Fault` whose message names the path and what
is wrong there.

Where documents leave a choice: params are closed to unknown keys only on sessionStart, the one type whose schema is published; params on
events that need none are let pass, save on a ping; custom metadata on any event but three is refused, even when empty.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from relay.sandbox.fake_api.collection_fields import (
    HAS_CUSTOM_METADATA,
    PARAMS,
    PLAYER_TIME,
    QOE,
    QOE_OF_SESSION_START,
    TOP_LEVEL,
    Allowed,
    Params,
    Type,
    is_integer,
    is_number,
    is_object,
    is_string,
)
from relay.sandbox.fake_api.dialect import PLAYER_SESSION_KEY, SESSION_START, Heard, Operation, canonical

_RESUME: Final = "media.resume"
_DOWNLOADED: Final = "media.downloaded"
_STATE_NAME: Final = "media.state.name"
_METADATA_KEY: Final = re.compile(r"[a-zA-Z0-9_.]+")
_QUOTED_MAX: Final = 80  # characters of the body that a message may repeat
_decode: Final = msgspec.json.Decoder().decode

Object = dict[str, object]


class Fault(Exception):  # noqa: N818  # it names what a body has, not what went wrong with us
    """The body breaks a rule; the message says which and where."""


def read_event(body: bytes, operation: Operation) -> Heard:
    """Read one body; raises `Fault`."""
    event = _read_object(body)
    for key in event:
        if key not in TOP_LEVEL:
            raise Fault(f"$: unknown key {_quote(key)}")
    event_type = _event_type(event, operation)
    playhead, ts = _player_time(event)
    params = _params(event, event_type)
    if "qoeData" in event:
        _check_object(event["qoeData"], "$.qoeData", QOE_OF_SESSION_START if event_type == SESSION_START else QOE)
    metadata = _custom_metadata(event, event_type)
    if PARAMS[event_type].allowed is not Allowed.REQUIRED:
        return Heard(event_type, ts, playhead)
    if event_type == SESSION_START:
        return _opening(ts, playhead, params, metadata)
    return Heard(event_type, ts, playhead, canonical(params, metadata), state_name=str(params.get(_STATE_NAME, "")))


def _opening(ts: int, playhead: float, params: Object, metadata: Object) -> Heard:
    if params.get(_DOWNLOADED) is True:
        raise Fault(f"$.params[{_DOWNLOADED!r}]: a live session cannot be downloaded content")
    return Heard(
        SESSION_START,
        ts,
        playhead,
        canonical({key: value for key, value in params.items() if key != _RESUME}, metadata),
        player_session=str(metadata.get(PLAYER_SESSION_KEY, "")),
        is_resumed=params.get(_RESUME) is True,
    )


def _read_object(body: bytes) -> Object:
    try:
        event: object = _decode(body)
    except (ValueError, RecursionError):
        raise Fault("the body is not JSON") from None
    if not is_object(event):
        raise Fault("$: must be an object")
    return event


def _event_type(event: Object, operation: Operation) -> str:
    event_type = event.get("eventType")
    if event_type is None:
        raise Fault("$.eventType: is required")
    if not is_string(event_type) or event_type not in PARAMS:
        raise Fault(f"$.eventType: {_quote(event_type)} is none of the event types")
    if (event_type == SESSION_START) is not (operation is Operation.SESSIONS):
        wanted = "only sessionStart opens a session" if operation is Operation.SESSIONS else "sessionStart is for /api/v1/sessions"
        raise Fault(f"$.eventType: {event_type} is not allowed here, {wanted}")
    return event_type


def _player_time(event: Object) -> tuple[float, int]:
    time = event.get("playerTime")
    if is_object(time) and len(time) == len(PLAYER_TIME):  # the usual case, kept short: it is on every event
        playhead, ts = time.get("playhead"), time.get("ts")
        if is_number(playhead) and is_integer(ts):
            return playhead, ts
    if "playerTime" not in event:
        raise Fault("$.playerTime: is required")
    _check_object(time, "$.playerTime", PLAYER_TIME, required=PLAYER_TIME)
    raise AssertionError("a playerTime is right or wrong")


def _params(event: Object, event_type: str) -> Object:
    rules: Params = PARAMS[event_type]
    if "params" not in event:
        if rules.allowed is Allowed.REQUIRED:
            raise Fault(f"$.params: is required on {event_type}")
        return {}
    if rules.allowed is Allowed.NEVER:
        raise Fault(f"$.params: is not allowed on {event_type}")
    return _check_object(event["params"], "$.params", rules.known, required=rules.required, is_closed=rules.is_closed)


def _custom_metadata(event: Object, event_type: str) -> Object:
    if "customMetadata" not in event:
        return {}
    if event_type not in HAS_CUSTOM_METADATA:
        raise Fault(f"$.customMetadata: is not allowed on {event_type}")
    metadata = event["customMetadata"]
    if not is_object(metadata):
        raise Fault("$.customMetadata: must be an object")
    for key, value in metadata.items():
        if not _METADATA_KEY.fullmatch(key):
            raise Fault(f"$.customMetadata: the key {_quote(key)} has other characters than letters, digits, underscore and dot")
        if not is_string(value):
            raise Fault(f"$.customMetadata[{_quote(key)}]: must be a string")
    return metadata


def _check_object(
    value: object,
    path: str,
    known: Mapping[str, Type],
    *,
    required: Mapping[str, Type] | None = None,
    is_closed: bool = True,
) -> Object:
    if not is_object(value):
        raise Fault(f"{path}: must be an object")
    for key in required or ():
        if key not in value:
            raise Fault(f"{path}[{key!r}]: is required")
    for key, field in value.items():
        wanted = known.get(key)
        if wanted is None:
            if is_closed:
                raise Fault(f"{path}: unknown key {_quote(key)}")
        elif not wanted.fits(field):
            raise Fault(f"{path}[{key!r}]: must be {wanted.name}")
    return value


def _quote(value: object) -> str:
    """Repeat what came in, but not at any length."""
    text = repr(value)
    return text if len(text) <= _QUOTED_MAX else f"{text[:_QUOTED_MAX]}…"

"""The native event: strict JSON, taken over byte for byte.

In: a record, by way of the decoder of its format. Out: its session key and its `PlayerEvent`, or `Unreadable` with the path and what was
expected there.

The three objects (params, qoeData, customMetadata) are checked and then kept as the bytes that came in, so a number goes out as it was
written. The common event, a ping, carries none of them and is decoded in one step of compiled code. Only an event that is refused pays for
a second look, which finds the path.
"""

from typing import Annotated, Any, Final

import msgspec

from relay.core.events import Details, EventType, PlayerEvent, Record, SessionKey
from relay.core.reasons import Reason
from relay.input.decoding import KEY_BYTES_MAX, RECORD_BYTES_MAX, Decodes, PlainJson, Unreadable

__all__ = ["NativeInput", "Unreadable", "decode"]

_STATE_NAME: Final = "media.state.name"
_TELLS_STATE: Final = frozenset({EventType.STATE_START, EventType.STATE_END})
_NONE: Final = msgspec.Raw(b"")

Value = str | int | float | bool
Params = dict[str, Value | dict[str, Any]]  # one level of objects: visitor.customerIDs


# JSON knows no bounds: an integer of hundreds of digits would be one to Python too, until somebody adds a fraction to it.
_Seconds = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _PlayerTime(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    playhead: _Seconds | float
    ts: int


class _RawDetails(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    params: msgspec.Raw = _NONE
    customMetadata: msgspec.Raw = _NONE  # noqa: N815  # the wire's name


class _RawEvent(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    eventType: EventType  # noqa: N815
    playerTime: _PlayerTime  # noqa: N815
    params: msgspec.Raw = _NONE
    qoeData: msgspec.Raw = _NONE  # noqa: N815
    customMetadata: msgspec.Raw = _NONE  # noqa: N815
    start: _RawDetails | None = None
    sessionKey: str = ""  # noqa: N815


class _LenientEvent(_RawEvent, forbid_unknown_fields=False, gc=False):
    """The same, with fields that it does not know."""


_decode_params = msgspec.json.Decoder(Params).decode
_decode_qoe = msgspec.json.Decoder(dict[str, Value]).decode
_decode_metadata = msgspec.json.Decoder(dict[str, str]).decode
_decode_members = msgspec.json.Decoder(dict[str, object]).decode
_CHECKS: Final = {"params": _decode_params, "qoeData": _decode_qoe, "customMetadata": _decode_metadata}


class NativeInput:
    """Reads native events."""

    def __init__(
        self, *, ignore_unknown_fields: bool = False, record_bytes_max: int = RECORD_BYTES_MAX, decoder: Decodes | None = None
    ) -> None:
        """Choose whether a field that nobody knows makes an event unreadable; a decoder has its own limit for the bytes of a record."""
        self._parse = msgspec.json.Decoder(_LenientEvent if ignore_unknown_fields else _RawEvent).decode
        decoder = decoder or PlainJson(record_bytes_max)
        self._json = decoder.json
        self._key = decoder.key

    def read(self, record: Record) -> tuple[SessionKey, PlayerEvent]:
        """The event in a record and the player session that it belongs to. Raises `Unreadable` or `Awaited`."""
        key = self._key(record)
        try:
            raw = self._raw(self._json(record))
            if key is None:
                key = _key_in_value(raw.sessionKey)
            return key, _event(raw, record)
        except Unreadable as unreadable:
            unreadable.key = key
            raise

    def _raw(self, json: bytes) -> _RawEvent:
        try:
            return self._parse(json)
        except msgspec.ValidationError as error:
            raise Unreadable(*_explain(str(error))) from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise Unreadable(Reason.NOT_JSON, str(error)) from None


def decode(value: bytes) -> PlayerEvent:
    """The event in a value that has no record around it, for those who try out samples. Raises `Unreadable`."""
    return NativeInput().read(Record(0, key=b"sample", value=value))[1]


def _key_in_value(text: str) -> SessionKey:
    if not text:
        raise Unreadable(Reason.INVALID_KEY, "$.sessionKey: the record has no key, and the value has no sessionKey either")
    if len(text.encode("utf-8", "surrogatepass")) > KEY_BYTES_MAX:
        raise Unreadable(Reason.INVALID_KEY, f"$.sessionKey: at most {KEY_BYTES_MAX} bytes are taken")
    return SessionKey(text)


def _event(raw: _RawEvent, record: Record) -> PlayerEvent:
    event_type = raw.eventType
    params = _checked("params", raw.params)
    return PlayerEvent(
        event_type,
        raw.playerTime.playhead,
        raw.playerTime.ts,
        params,
        _checked("qoeData", raw.qoeData),
        _checked("customMetadata", raw.customMetadata),
        _state_name(params) if event_type in _TELLS_STATE else "",
        None if raw.start is None else _start(raw.start, event_type),
        record,
    )


def _start(raw: _RawDetails, event_type: EventType) -> Details:
    if event_type is EventType.SESSION_START:
        raise Unreadable(Reason.INVALID_EVENT, "$.start: a sessionStart carries its own params; expected no start beside them")
    params = _checked("params", raw.params, "$.start.params")
    return Details(params, _checked("customMetadata", raw.customMetadata, "$.start.customMetadata"))


def _checked(name: str, raw: msgspec.Raw, path: str = "") -> bytes:
    """The object's bytes as they came; nothing for an empty object."""
    json = bytes(raw)
    if not json:
        return b""
    try:
        found = _CHECKS[name](json)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Unreadable(Reason.INVALID_EVENT, _explain_object(path or f"$.{name}", name, json, error)) from None
    return json if found else b""


def _state_name(params: bytes) -> str:
    name = _decode_params(params).get(_STATE_NAME) if params else None
    return name if isinstance(name, str) else ""


# --- the second look: only for what is refused ----------------------------------------------------------------------------------------


def _explain(message: str) -> tuple[Reason, str]:
    what, _, path = message.partition(" - at ")
    path = path.strip("`") or "$"
    if path == "$.eventType" and what.startswith("Invalid enum value"):
        return Reason.UNKNOWN_EVENT_TYPE, f"{path}: expected one of {', '.join(EventType)}"
    if what == "Expected `object`, got `array`" and path == "$":
        what = "Expected one event as an object, got an array"
    return Reason.INVALID_EVENT, f"{path}: {what[:1].lower()}{what[1:]}"


def _explain_object(path: str, name: str, json: bytes, error: Exception) -> str:
    """Name the member that is wrong: the library says only `[...]`."""
    if not json.startswith(b"{"):
        return f"{path}: expected an object"
    try:
        members = _decode_members(json)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as worse:
        return f"{path}: {worse}"
    for key, member in members.items():
        try:
            _CHECKS[name](msgspec.json.encode({key: member}))
        except msgspec.MsgspecError as cause:
            what = str(cause).partition(" - at ")[0]
            return f"{path}[{key!r}]: {what[:1].lower()}{what[1:]}"
    return f"{path}: {error}"

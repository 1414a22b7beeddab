"""The native event: strict JSON, taken over byte for byte.

In: the bytes of a record. Out: its session key and its `PlayerEvent`, or `Unreadable` with the path and what was expected there.

The three objects (params, qoeData, customMetadata) are checked and then kept as the bytes that came in, so a number goes out as it was
written. The common event, a ping, carries none of them and is decoded in one step of compiled code. Only an event that is refused pays for
a second look, which finds the path.
"""

from typing import Any, Final

import msgspec

from relay.core.events import Details, EventType, PlayerEvent, Record, SessionKey
from relay.core.reasons import Reason

RECORD_BYTES_MAX: Final = 262_144
KEY_BYTES_MAX: Final = 1_024
DETAIL_CHARACTERS_MAX: Final = 500
_STATE_NAME: Final = "media.state.name"
_TELLS_STATE: Final = frozenset({EventType.STATE_START, EventType.STATE_END})
_NONE: Final = msgspec.Raw(b"")

Value = str | int | float | bool
Params = dict[str, Value | dict[str, Any]]  # one level of objects: visitor.customerIDs


class Unreadable(Exception):  # noqa: N818  # a fact about a record, not an error of the relay
    """The record is no event: why, and where."""

    def __init__(self, reason: Reason, detail: str, key: SessionKey | None = None) -> None:
        """Say why; the key is there when it could be read."""
        super().__init__(f"{reason}: {detail[:DETAIL_CHARACTERS_MAX]}")
        self.reason = reason
        self.detail = detail[:DETAIL_CHARACTERS_MAX]  # it may quote what came in
        self.key = key


class _PlayerTime(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    playhead: int | float
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

    def __init__(self, *, ignore_unknown_fields: bool = False, record_bytes_max: int = RECORD_BYTES_MAX) -> None:
        """Choose whether a field that nobody knows makes an event unreadable."""
        self._decode = msgspec.json.Decoder(_LenientEvent if ignore_unknown_fields else _RawEvent).decode
        self._record_bytes_max = record_bytes_max

    def read(self, record: Record) -> tuple[SessionKey, PlayerEvent]:
        """The event in a record and the player session that it belongs to. Raises `Unreadable`."""
        key = read_key(record.key)
        try:
            raw = self._parse(record.value)
            if key is None:
                key = _key_in_value(raw.sessionKey)
            return key, _event(raw, record)
        except Unreadable as unreadable:
            unreadable.key = key
            raise

    def _parse(self, value: bytes | None) -> _RawEvent:
        if not value:
            raise Unreadable(Reason.EMPTY_VALUE, "the record has no value; expected a JSON object")
        if len(value) > self._record_bytes_max:
            raise Unreadable(Reason.RECORD_TOO_LARGE, f"{len(value)} bytes; at most {self._record_bytes_max} are read")
        try:
            return self._decode(value)
        except msgspec.ValidationError as error:
            raise Unreadable(*_explain(str(error))) from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise Unreadable(Reason.NOT_JSON, str(error)) from None


def decode(value: bytes) -> PlayerEvent:
    """The event in a value that has no record around it, for those who try out samples. Raises `Unreadable`."""
    return NativeInput().read(Record(0, key=b"sample", value=value))[1]


def read_key(key: bytes | None) -> SessionKey | None:
    """The record's key as a session key; None when there is none. Raises `Unreadable`."""
    if not key:
        return None
    if len(key) > KEY_BYTES_MAX:
        raise Unreadable(Reason.INVALID_KEY, f"the key has {len(key)} bytes; at most {KEY_BYTES_MAX} are taken")
    try:
        return SessionKey(key.decode())
    except UnicodeDecodeError as error:
        raise Unreadable(Reason.INVALID_KEY, f"the key is not UTF-8: byte {error.start} is 0x{key[error.start]:02x}") from None


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

"""What a player said → the body of a Media Edge request.

In: events and starts in the vocabulary of the relay. Out: JSON, or `Untranslatable` with the path of what has no place on the Edge.

A value goes over as the bytes that came in; only where the Edge wants an integer, a number with a fraction loses it. Whether a value has
the right type, and whether all is there that must be, is for the API to say: it names every fault of a body at once, and the relay must
not set aside what the API would have taken. Two things are refused here: a key that has no place, since it would be lost without a word;
and an `error` or a state of which nothing is said, since no request could be made of it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import msgspec

from relay.api.dialect import Untranslatable
from relay.api.edge_words import CUSTOMER_IDS, ECID, ERROR, FORMS, LIBRARY_VERSION, QUALITY, Form, Words, is_left_to_the_datastream
from relay.core.commands import Cause, OpenSession
from relay.core.events import ApiSessionId, EventType, PlayerEvent

_MEMBERS_NAMED_MAX: Final = 20  # in the detail of a dead letter
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AUTHENTICATED_STATES: Final = {b"0": "ambiguous", b"1": "authenticated", b"2": "loggedOut"}
_ELSEWHERE: Final = frozenset({ECID, CUSTOMER_IDS, LIBRARY_VERSION})

_Members = dict[str, msgspec.Raw]
_Unset = msgspec.UnsetType


class _Pair(msgspec.Struct, frozen=True, gc=False):
    name: str
    value: msgspec.Raw


class _Identity(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    id: msgspec.Raw
    authenticatedState: str | _Unset = msgspec.UNSET  # noqa: N815  # the wire's names, here and below


class _MediaCollection(msgspec.Struct, gc=False, omit_defaults=True):
    playhead: int
    sessionID: ApiSessionId | _Unset = msgspec.UNSET  # noqa: N815
    sessionDetails: _Members | _Unset = msgspec.UNSET  # noqa: N815
    advertisingPodDetails: _Members | _Unset = msgspec.UNSET  # noqa: N815
    advertisingDetails: _Members | _Unset = msgspec.UNSET  # noqa: N815
    chapterDetails: _Members | _Unset = msgspec.UNSET  # noqa: N815
    errorDetails: _Members | _Unset = msgspec.UNSET  # noqa: N815
    statesStart: list[_Members] | _Unset = msgspec.UNSET  # noqa: N815
    statesEnd: list[_Members] | _Unset = msgspec.UNSET  # noqa: N815
    customMetadata: list[_Pair] | _Unset = msgspec.UNSET  # noqa: N815
    qoeDataDetails: _Members | _Unset = msgspec.UNSET  # noqa: N815


class _Xdm(msgspec.Struct, gc=False, omit_defaults=True):
    eventType: str  # noqa: N815
    timestamp: str
    mediaCollection: _MediaCollection  # noqa: N815
    identityMap: dict[str, list[_Identity]] | _Unset = msgspec.UNSET  # noqa: N815
    implementationDetails: _Members | _Unset = msgspec.UNSET  # noqa: N815


class _Entry(msgspec.Struct, frozen=True, gc=False):
    xdm: _Xdm


class _Body(msgspec.Struct, frozen=True, gc=False):
    events: tuple[_Entry]


class _CustomerId(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    id: msgspec.Raw
    authState: msgspec.Raw | _Unset = msgspec.UNSET  # noqa: N815


_encode = msgspec.json.Encoder().encode
_decode_members = msgspec.json.Decoder(_Members).decode
_decode_customer_id = msgspec.json.Decoder(_CustomerId).decode
_EVENT_TYPES: Final = {kind: f"media.{form.endpoint}" for kind, form in FORMS.items()}
_WITH_DETAILS: Final = frozenset(kind for kind, form in FORMS.items() if form.details) | {EventType.ERROR, EventType.BITRATE_CHANGE}
_TELLS_STATE: Final = frozenset({EventType.STATE_START, EventType.STATE_END})


def event_body(event: PlayerEvent, session_id: ApiSessionId, dropped: frozenset[str] = frozenset()) -> bytes:
    """The request for an event, without the params that the operator drops."""
    kind = event.event_type
    media = _MediaCollection(_seconds(event.playhead), session_id)
    if event.params or event.qoe_data or event.custom_metadata or kind in _WITH_DETAILS:  # a ping has none of them
        form = FORMS[kind]
        _put_details(media, form, _translated("$.params", _params("$.params", event.params, dropped), form.words), kind)
        _put_quality(media, kind, event.qoe_data)
        _put_metadata(media, form, "$.customMetadata", event.custom_metadata)
    return _encode(_Body((_Entry(_Xdm(_EVENT_TYPES[kind], timestamp(event.ts), media)),)))


def opening_body(command: OpenSession, dropped: frozenset[str] = frozenset()) -> bytes:
    """The request that opens a session, likewise."""
    form = FORMS[EventType.SESSION_START]
    root = "$.start" if command.cause is Cause.REJOINED else "$"
    params = _params(f"{root}.params", command.start.params, dropped)
    described = {key: value for key, value in params.items() if key not in _ELSEWHERE}
    media = _MediaCollection(_seconds(command.playhead))
    media.sessionDetails = _translated(f"{root}.params", described, form.words)
    _put_quality(media, EventType.SESSION_START, command.qoe_data)
    _put_metadata(media, form, f"{root}.customMetadata", command.start.custom_metadata)
    xdm = _Xdm(_EVENT_TYPES[EventType.SESSION_START], timestamp(command.ts), media)
    xdm.identityMap = _identities(f"{root}.params", params) or msgspec.UNSET
    if LIBRARY_VERSION in params:
        xdm.implementationDetails = {"version": params[LIBRARY_VERSION]}
    return _encode(_Body((_Entry(xdm),)))


def timestamp(ts: int) -> str:
    """Unix milliseconds as ISO 8601 in UTC."""
    minutes, milliseconds = divmod(ts, 60_000)
    return f"{_to_the_minute(minutes)}:{milliseconds // 1000:02}.{milliseconds % 1000:03}Z"


# --- the parts of a body --------------------------------------------------------------------------------------------------------------


def _put_details(media: _MediaCollection, form: Form, details: _Members, kind: EventType) -> None:
    if kind in _TELLS_STATE:
        if not details:
            raise Untranslatable("$.params['media.state.name']: missing, and the Media Edge takes no state without its name")
        setattr(media, form.details, [details])
    elif form.details:
        setattr(media, form.details, details)


def _put_quality(media: _MediaCollection, kind: EventType, qoe_data: bytes) -> None:
    figures = _members("$.qoeData", qoe_data)
    if kind is EventType.ERROR:
        error = {key: figures.pop(key) for key in ERROR.names if key in figures}
        if not error:
            raise Untranslatable("$.qoeData['media.qoe.errorID']: missing, and the Media Edge takes no error without it")
        media.errorDetails = _translated("$.qoeData", error, ERROR)
    if figures or kind is EventType.BITRATE_CHANGE:  # there it must stand, even empty
        media.qoeDataDetails = _translated("$.qoeData", figures, QUALITY)


def _put_metadata(media: _MediaCollection, form: Form, path: str, custom_metadata: bytes) -> None:
    """In the order in which they came."""
    if not custom_metadata:
        return
    if not form.takes_metadata:
        raise Untranslatable(f"{path}: the Media Edge takes it with sessionStart, adStart and chapterStart only")
    media.customMetadata = [_Pair(name, value) for name, value in _members(path, custom_metadata).items()]


def _identities(path: str, params: Mapping[str, msgspec.Raw]) -> dict[str, list[_Identity]]:
    """Who watches: the Experience Cloud id, then the customer's own ids by namespace."""
    identities: dict[str, list[_Identity]] = {}
    if ECID in params:
        identities["ECID"] = [_Identity(params[ECID])]
    if CUSTOMER_IDS in params:
        path = f"{path}[{CUSTOMER_IDS!r}]"
        for namespace, entry in _members(path, params[CUSTOMER_IDS]).items():
            identities.setdefault(namespace, []).append(_identity(f"{path}[{namespace!r:.100}]", entry))
    return identities


def _identity(path: str, entry: msgspec.Raw) -> _Identity:
    try:
        customer = _decode_customer_id(entry)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise Untranslatable(f"{path}: the Media Edge has a place for id and authState, nothing else") from None
    if customer.authState is msgspec.UNSET:
        return _Identity(customer.id)
    state = _AUTHENTICATED_STATES.get(bytes(customer.authState))
    if state is None:
        raise Untranslatable(f"{path}.authState: expected 0, 1 or 2")
    return _Identity(customer.id, state)


# --- keys and values --------------------------------------------------------------------------------------------------------------------


def _members(path: str, json: bytes | msgspec.Raw) -> _Members:
    if not json:
        return {}
    try:
        return _decode_members(json)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise Untranslatable(f"{path}: expected a JSON object") from None


def _params(path: str, json: bytes, dropped: frozenset[str]) -> _Members:
    """What is neither left to the datastream nor dropped by the operator."""
    members = _members(path, json)
    return {key: value for key, value in members.items() if not is_left_to_the_datastream(key) and key not in dropped}


def _translated(path: str, members: _Members, words: Words) -> _Members:
    """Each member under its name on the Edge."""
    names = words.names
    translated: _Members = {}
    homeless: list[str] = []
    for key, value in members.items():
        name = names.get(key)
        if name is not None:
            translated[name] = _integer(path, key, value) if key in words.integers else value
        else:
            homeless.append(f"{path}[{key!r:.100}]")
    if homeless:
        raise Untranslatable(f"{', '.join(homeless[:_MEMBERS_NAMED_MAX])}: no place on the Media Edge for that")
    return translated


def _integer(path: str, key: str, value: msgspec.Raw) -> msgspec.Raw:
    """A number without its fraction; anything else as it is."""
    text = bytes(value)
    if text.isdigit() or text[0] not in b"-0123456789":
        return value
    try:
        return msgspec.Raw(b"%d" % int(float(text)))
    except OverflowError:
        raise Untranslatable(f"{path}[{key!r}]: out of range") from None


def _seconds(playhead: float) -> int:
    """Whole seconds, towards zero. A negative playhead stays negative: the API may say what it thinks of it."""
    try:
        return int(playhead)
    except (OverflowError, ValueError):
        raise Untranslatable("$.playerTime.playhead: out of range") from None


@lru_cache(maxsize=4096)  # nearly three days of minutes; to make one costs more than the rest of a ping
def _to_the_minute(minutes: int) -> str:
    try:
        return (_EPOCH + timedelta(minutes=minutes)).isoformat()[:16]
    except OverflowError:
        raise Untranslatable("$.playerTime.ts: out of range") from None

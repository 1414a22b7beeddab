"""The rules of the Media Edge API for one body. Each body stands alone: order and sessions are no concern of these rules.

In: the endpoint's name and the body's bytes. Out: what was heard, or an exception: `Unfit` where the gateway in front would refuse
the body, `Broken` with every fault where the Media Edge API itself would.

Where documents leave a choice: there is exactly one event in a body, as in every sample; objects take members that nobody has described,
but what belongs to one event is refused on another; an `eventType` that is not the endpoint's is told alone, because its answer has no room
for more; `xdm.timestamp` is required on a sessionStart too, although samples leave it out.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from relay.sandbox.fake_api.collection_fields import STRING, Type, is_object, is_string
from relay.sandbox.fake_api.dialect import SESSION_ID_LENGTH, SESSION_START, Heard
from relay.sandbox.fake_api.edge_fields import (
    DETAILS,
    EVENTS,
    IDENTITY,
    LIST,
    LISTS,
    OBJECT,
    PLACED,
    PLAYHEAD,
    SESSION_ID,
    STATES_UPDATE,
    Members,
    is_list,
)
from relay.sandbox.fake_api.edge_hearing import hear

BODY_BYTES_MAX: Final = 64 << 10

_MISSING: Final = "Missing required field"
_NO_TIMESTAMP: Final = "Expected an ISO 8601 date and time with an offset, as in 2024-01-31T10:00:00.000Z"
_EMPTY_UPDATE: Final = "Unexpected error. Hint: Empty statesUpdate event. It has to start or to end a state"
_QUOTED_MAX: Final = 80  # characters of the body that an answer may repeat

_TIMESTAMP: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-9]{2})"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

_decode: Final = msgspec.json.Decoder().decode

Object = dict[str, object]


class Unfit(Exception):  # noqa: N818  # it names what a body is, not what went wrong with us
    """The gateway refuses the body before any media is looked for in it."""

    def __init__(self, code: str, detail: str) -> None:
        """Take the number of the gateway's error, as in `0101-400`, and what is wrong in words."""
        super().__init__(detail)
        self.code = code


class Detail(NamedTuple):
    """One fault of a body."""

    name: str  # the path
    reason: str


class Broken(Exception):  # noqa: N818  # likewise
    """The body breaks rules: all of them, each with its path, or one sentence."""

    def __init__(self, details: Sequence[Detail] | str) -> None:
        """Take what `report.details` is to say."""
        super().__init__(details if isinstance(details, str) else "; ".join(f"{name}: {reason}" for name, reason in details))
        self.details = details


class Read(NamedTuple):
    """What a body says."""

    session_id: str  # empty for a sessionStart
    heard: tuple[Heard, ...]  # more than one only where a statesUpdate changes several states


def read_body(event: str, body: bytes) -> Read:
    """Read one body that came to this endpoint; raises `Unfit` or `Broken`."""
    elements = _elements(body)
    reading = _Reading(event)
    return reading.read(elements)


def _elements(body: bytes) -> list[object]:
    if len(body) > BODY_BYTES_MAX:
        raise Unfit("0112-413", f"the body is larger than {BODY_BYTES_MAX} bytes")
    try:
        content: object = _decode(body)
    except (ValueError, RecursionError):
        raise Unfit("0101-400", "the body is not JSON") from None
    if not is_object(content):
        raise Unfit("0101-400", "the body is not a JSON object")
    if "events" not in content:
        raise Unfit("0103-400", "the field events is required")
    elements = content["events"]
    if not is_list(elements) or not elements:
        raise Unfit("0102-400", "the field events has to be an array with an event in it")
    return elements


class _Reading:
    """One way through a body, on which all faults are gathered."""

    def __init__(self, event: str) -> None:
        self._event = event
        self._faults: list[Detail] = []
        # The answer to a sessionStart is the gateway's, which names paths from inside the event.
        self._root = "$" if event == SESSION_START else "$.events[0]"

    def read(self, elements: list[object]) -> Read:
        if len(elements) > 1:
            self._fault("$.events", "Expected exactly one event")
        element = elements[0]
        xdm = self._object(element, "xdm", self._root) if is_object(element) else None
        if xdm is None:
            if not is_object(element):
                self._fault(self._root, f"Expected {OBJECT.name}")
            raise Broken(self._faults)
        path = f"{self._root}.xdm"
        self._check_event_type(xdm, path)
        ts = self._timestamp(xdm, path)
        media = self._object(xdm, "mediaCollection", path)
        if media is not None:
            self._check_media(media, f"{path}.mediaCollection")
        if self._event == SESSION_START and "identityMap" in xdm:
            self._check_identities(xdm["identityMap"], f"{path}.identityMap")
        if self._faults or media is None:
            raise Broken(self._faults)
        return Read(str(media.get(SESSION_ID, "")), hear(self._event, ts, xdm, media))

    # --- around the media -------------------------------------------------------------------------------------------------------

    def _check_event_type(self, xdm: Object, path: str) -> None:
        wanted = f"media.{self._event}"
        if self._has(xdm, "eventType", STRING, path) and xdm["eventType"] != wanted:
            raise Broken(f"the event type {_quote(xdm['eventType'])} does not belong to the path of {wanted}")

    def _timestamp(self, xdm: Object, path: str) -> int:
        value = xdm.get("timestamp")
        if "timestamp" not in xdm:
            self._fault(f"{path}.timestamp", _MISSING)
        elif is_string(value) and _TIMESTAMP.fullmatch(value):
            try:
                return (datetime.fromisoformat(value) - _EPOCH) // _MILLISECOND
            except ValueError:  # a 30th of February
                self._fault(f"{path}.timestamp", _NO_TIMESTAMP)
        else:
            self._fault(f"{path}.timestamp", _NO_TIMESTAMP)
        return 0

    def _check_identities(self, identities: object, path: str) -> None:
        if not is_object(identities):
            self._fault(path, f"Expected {OBJECT.name}")
            return
        for namespace, listed in identities.items():
            self._check_list(listed, f"{path}.{namespace}", IDENTITY)

    # --- the media --------------------------------------------------------------------------------------------------------------

    def _check_media(self, media: Object, path: str) -> None:
        event = EVENTS[self._event]
        self._has(media, "playhead", PLAYHEAD, path)
        for name in event.required:
            if name not in media:
                self._fault(f"{path}.{name}", _MISSING)
        for name, value in media.items():
            if name not in PLACED:
                continue
            if name not in event.allowed:
                self._fault(f"{path}.{name}", f"Not allowed on media.{self._event}")
            elif name == SESSION_ID:
                self._check_session_id(value, f"{path}.{name}")
            elif name in DETAILS:
                self._check_members(value, f"{path}.{name}", DETAILS[name])
            else:
                self._check_list(value, f"{path}.{name}", LISTS[name])
        if self._event == STATES_UPDATE and all(media.get(name, []) == [] for name in ("statesStart", "statesEnd")):
            self._fault(path, _EMPTY_UPDATE)

    def _check_session_id(self, value: object, path: str) -> None:
        if not is_string(value):
            self._fault(path, f"Expected {STRING.name}")
        elif len(value) != SESSION_ID_LENGTH:
            self._fault(path, f"Unexpected error. Hint: InvalidApiSidLength={len(value)}")

    def _check_list(self, value: object, path: str, members: Members) -> None:
        if not is_list(value):
            self._fault(path, f"Expected {LIST.name}")
            return
        for index, element in enumerate(value):
            self._check_members(element, f"{path}[{index}]", members)

    def _check_members(self, value: object, path: str, members: Members) -> None:
        if not is_object(value):
            self._fault(path, f"Expected {OBJECT.name}")
            return
        for name, kind in members.required.items():
            self._has(value, name, kind, path)
        for name, kind in members.optional.items():
            if name in value and not kind.fits(value[name]):
                self._fault(f"{path}.{name}", f"Expected {kind.name}")

    # --- one field --------------------------------------------------------------------------------------------------------------

    def _object(self, parent: Object, name: str, path: str) -> Object | None:
        if not self._has(parent, name, OBJECT, path):
            return None
        value = parent[name]
        assert is_object(value)
        return value

    def _has(self, parent: Object, name: str, kind: Type, path: str) -> bool:
        """Whether a required field is there and of its type."""
        if name not in parent:
            self._fault(f"{path}.{name}", _MISSING)
        elif not kind.fits(parent[name]):
            self._fault(f"{path}.{name}", f"Expected {kind.name}")
        else:
            return True
        return False

    def _fault(self, path: str, reason: str) -> None:
        self._faults.append(Detail(path, reason))


def _quote(value: object) -> str:
    """Repeat what came in, but not at any length."""
    text = str(value)
    return text if len(text) <= _QUOTED_MAX else f"{text[:_QUOTED_MAX]}…"

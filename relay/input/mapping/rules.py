"""What compiled rules do with a raw event: build what it says.

In: a raw event as plain Python values. Out: player events. `compiling.py` makes these; each holds no more than its part of the file asks
for.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# What JSON and YAML hold has no type, and a look at it gives it half of one.

import re
from typing import Any, Final, NamedTuple

import msgspec

from relay.core.events import Details, EventType, Nothing, PlayerEvent, Record
from relay.core.reasons import Reason
from relay.input.decoding import Unreadable
from relay.input.mapping.expressions import Evaluate, Failed, is_true
from relay.input.mapping.values import Misfit, as_text

Fields = list[tuple[str, Evaluate]]

_encode: Final = msgspec.json.Encoder().encode
_UNFIT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9_.]")
_STARTS_MAX: Final = 4_096
PLAYHEAD_MAX: Final = 2**63 - 1  # as much as the native input takes
_STATE_NAME: Final = "media.state.name"


class Copies(NamedTuple):
    """Custom metadata by pattern."""

    evaluate: Evaluate
    matching: re.Pattern[str]
    prefix: str

    def into(self, metadata: dict[str, Any], event: Any) -> None:
        """Take over what fits; a name is written with the characters that the API takes."""
        found = self.evaluate(event)
        if type(found) is list:
            found = {one["name"]: one.get("value") for one in found if type(one) is dict and type(one.get("name")) is str}
        if type(found) is not dict:
            return
        for name, value in found.items():
            if value is not None and self.matching.fullmatch(name):
                try:
                    metadata[_UNFIT_IN_NAMES.sub("_", self.prefix + name)] = as_text(value)
                except Misfit:
                    continue  # an object is no metadata


class Metadata(NamedTuple):
    """Custom metadata: some by name, some by pattern."""

    fields: Fields
    copies: list[Copies]

    def build(self, event: Any) -> bytes:
        """As JSON; nothing when there is none."""
        metadata: dict[str, Any] = {}
        for copies in self.copies:
            copies.into(metadata, event)
        for name, evaluate in self.fields:
            value = evaluate(event)
            if value is not None:
                metadata[name] = value
        return _encode(metadata) if metadata else b""


def build(fields: Fields, event: Any) -> bytes:
    """As JSON; nothing when there is none."""
    found = {name: value for name, evaluate in fields if (value := evaluate(event)) is not None}
    return _encode(found) if found else b""


class StartOf:
    """What a sessionStart would carry.

    Every event of a session may bring it along, and nearly always the same: so what was made last for a session is kept, together with the
    members of the raw event that it was made of. To compare those costs less than to make it again.
    """

    def __init__(self, params: Fields, metadata: Metadata, defaults: dict[str, Any], members: list[str] | None) -> None:
        """Take the fields, what counts where they say nothing, and the members that they look at, if that is known."""
        self._params = params
        self._metadata = metadata
        self._defaults = defaults
        self._members = members
        self._made: dict[bytes, tuple[list[Any], Details]] = {}

    def details(self, event: Any, record: Record) -> Details:
        """What a sessionStart at this event would carry."""
        key = record.key
        if self._members is None or key is None:
            return self._make(event)
        seen = [event.get(name) for name in self._members]
        made = self._made.get(key)
        if made is not None and made[0] == seen:
            return made[1]
        details = self._make(event)
        if len(self._made) >= _STARTS_MAX:
            self._made.clear()
        self._made[key] = (seen, details)
        return details

    def _make(self, event: Any) -> Details:
        params = self._defaults | {name: value for name, evaluate in self._params if (value := evaluate(event)) is not None}
        return Details(_encode(params), self._metadata.build(event))


class SendOf(NamedTuple):
    """One event that a raw event becomes."""

    kind: str
    event_type: EventType
    when: Evaluate | None
    each: Evaluate | None
    playhead: Evaluate | None
    params: Fields
    qoe: Fields
    metadata: Metadata
    start: StartOf | None  # of a sessionStart: what it carries; of any other: what it brings along

    def events(self, event: Any, playhead: float, ts: int, record: Record) -> list[PlayerEvent]:
        """What the raw event becomes by this."""
        if self.when is not None and not is_true(self.when(event)):
            return []
        if self.each is None:
            return [self.one(event, playhead, ts, record)]
        elements = self.each(event)
        return [self.one(event | {"item": item}, playhead, ts, record) for item in elements] if type(elements) is list else []

    def one(self, event: Any, playhead: float, ts: int, record: Record) -> PlayerEvent:
        """The event."""
        if self.playhead is not None:
            found = self.playhead(event)
            playhead = playhead if found is None else found
        if not -PLAYHEAD_MAX <= playhead <= PLAYHEAD_MAX and type(playhead) is int:
            raise Misfit("the playhead is too large")
        params, metadata, start = b"", b"", None
        if self.event_type is EventType.SESSION_START and self.start is not None:
            details = self.start.details(event, record)
            params, metadata = details.params, details.custom_metadata
        else:
            if self.params:
                params = build(self.params, event)
            if self.metadata.fields or self.metadata.copies:
                metadata = self.metadata.build(event)
            if self.start is not None:
                start = self.start.details(event, record)
        return PlayerEvent(
            self.event_type,
            playhead,
            ts,
            params,
            build(self.qoe, event) if self.qoe else b"",
            metadata,
            _state_name(self.params, event) if self.event_type in _TELLS_STATE else "",
            start,
            record,
        )


_TELLS_STATE: Final = frozenset({EventType.STATE_START, EventType.STATE_END})


def _state_name(params: Fields, event: Any) -> str:
    return next((evaluate(event) or "" for name, evaluate in params if name == _STATE_NAME), "")


class RuleOf(NamedTuple):
    """What becomes of a raw event."""

    where: str  # in the file, for those who explain
    when: Evaluate | None
    sends: list[SendOf]
    drop: Nothing | None
    refuse: str


def choose(rules: list[RuleOf], event: Any) -> RuleOf | None:
    """The first rule whose condition is true."""
    for rule in rules:
        try:
            if rule.when is None or is_true(rule.when(event)):
                return rule
        except (Failed, RecursionError) as failed:
            raise Unreadable(Reason.INVALID_EVENT, f"{rule.where}.when: {failed}") from None
    return None

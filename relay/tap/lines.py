"""A record as it may be shown: what it says, or why nobody can read it; values masked unless asked for.

In: a record, and the reader that the relay itself would use. Out: a `Line`, fit for JSON.

Masked, a value is told by its kind (`text(8)`, `number`, `flag`, `object(2)`), a name by itself where one of the APIs has it and by `*`
otherwise, a session by the name that logs have for it. Types, playheads and times are shown as they are.
"""

from collections.abc import Collection, Iterator
from typing import Final, NamedTuple, Protocol, TypeAlias, cast

import msgspec

from relay.core.events import Facts, Nothing, PlayerEvent, Record, Said, SessionKey
from relay.input.decoding import Unreadable
from relay.observe.faults import Faults
from relay.observe.logs import hashed
from relay.observe.moments import written

Json: TypeAlias = dict[str, object]
UNKNOWN_NAMES: Final = "*"
_decode: Final = msgspec.json.Decoder(dict[str, object]).decode


class Reads(Protocol):
    """The input's face."""

    def read(self, record: Record) -> tuple[SessionKey, Said]:
        """What a record says. Raises `Unreadable`."""
        ...


class Line(msgspec.Struct, omit_defaults=True, rename={"qoe_data": "qoeData", "custom_metadata": "customMetadata"}):
    """One line: an event, or a record that says none. What does not apply is left out."""

    time: str  # when Kafka got it
    topic: str
    partition: int
    offset: int
    session: str = ""  # its key; masked, the name that logs have for it
    event: str = ""  # the type
    playhead: float | None = None
    ts: int = 0
    params: Json = {}
    qoe_data: Json = {}
    custom_metadata: Json = {}
    start: Json = {}  # what a sessionStart would carry, where the event brings it along
    reason: str = ""  # why nobody can read it, or the rule that leaves it out
    path: str = ""
    problem: str = ""
    detail: str = ""  # only unmasked
    is_left_out: bool = False  # by a rule of the mapping


class Filter(NamedTuple):
    """Which records are shown."""

    session: str = ""  # the key, or its name of twelve digits
    types: Collection[str] = ()
    unreadable_only: bool = False

    def admits(self, key: SessionKey | None, event_type: str, *, is_unreadable: bool) -> bool:
        """Whether a record is shown."""
        if self.session and (key is None or self.session not in {key, hashed(key)}):
            return False
        if self.unreadable_only:
            return is_unreadable
        return not self.types or event_type in self.types


class Lines:
    """Reads records, and tells what they say."""

    def __init__(self, reader: Reads, *, words: Collection[str], wanted: Filter, is_masked: bool) -> None:
        """Show what is wanted; the words are the names that may be shown."""
        self._reader = reader
        self._words = frozenset(words)
        self._faults = Faults(words)
        self._wanted = wanted
        self._is_masked = is_masked

    def of(self, topic: str, partition: int, record: Record) -> Iterator[Line]:
        """What a record says: a line for each event. Raises `Awaited` when it must be read again later."""
        line = Line(written(record.timestamp_ms), topic, partition, record.offset)
        try:
            key, said = self._reader.read(record)
        except Unreadable as unreadable:
            if self._wanted.admits(unreadable.key, "", is_unreadable=True):
                yield self._unreadable(line, unreadable)
            return
        if isinstance(said, Nothing):
            if self._wanted.admits(key, "", is_unreadable=False):
                yield msgspec.structs.replace(line, session=self._name(key), reason=said.reason, is_left_out=True)
            return
        if isinstance(said, Facts):
            for fact in said.facts:
                if self._wanted.admits(key, fact.kind, is_unreadable=False):
                    yield msgspec.structs.replace(self._event(line, key, fact.event), event=str(fact.kind))
            return
        for event in (said,) if isinstance(said, PlayerEvent) else said:
            if self._wanted.admits(key, event.event_type, is_unreadable=False):
                yield self._event(line, key, event)

    def _event(self, line: Line, key: SessionKey, event: PlayerEvent) -> Line:
        start: Json = {}
        if event.start is not None:
            start = {"params": self._shown(event.start.params), "customMetadata": self._shown(event.start.custom_metadata)}
        return msgspec.structs.replace(
            line,
            session=self._name(key),
            event=str(event.event_type),
            playhead=event.playhead,
            ts=event.ts,
            params=self._shown(event.params),
            qoe_data=self._shown(event.qoe_data),
            custom_metadata=self._shown(event.custom_metadata),
            start=start,
        )

    def _unreadable(self, line: Line, unreadable: Unreadable) -> Line:
        faults = self._faults.note(unreadable.reason, unreadable.detail)
        return msgspec.structs.replace(
            line,
            session="" if unreadable.key is None else self._name(unreadable.key),
            reason=str(unreadable.reason),
            path=faults[0].path if faults else "",
            problem=str(faults[0].problem) if faults else "",
            detail="" if self._is_masked else unreadable.detail,
        )

    def _name(self, key: SessionKey) -> str:
        return hashed(key) if self._is_masked else key

    def _shown(self, json: bytes) -> Json:
        members = _decode(json) if json else {}
        return self._masked(members) if self._is_masked else members

    def _masked(self, members: Json) -> Json:
        shown: Json = {name: _kind(value) for name, value in members.items() if name in self._words}
        unknown = len(members) - len(shown)
        return shown | ({UNKNOWN_NAMES: f"{unknown} more"} if unknown else {})


def _kind(value: object) -> str:
    match value:
        case bool():
            return "flag"
        case int() | float():
            return "number"
        case str():
            return f"text({len(value)})"
        case dict():
            return f"object({len(cast('Json', value))})"
        case _:
            return "other"

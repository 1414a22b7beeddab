"""Raw events → the requests that the relay would send for them, with nothing sent.

In: records, and how they are read. Out: for each record its events, the exact requests, and why it was dropped or set aside. Input, core
and dialect are the real ones. The answers that real sessions get decide what a real relay sends; here each opening succeeds at once, so a
session's requests are those of a good day.
"""

from typing import Any, Final, NamedTuple

import msgspec

from relay.api.dialect import Dialect, Untranslatable
from relay.core.assignment import Assignment
from relay.core.commands import Command, Drop, OpenSession, SendEvent, SetAside
from relay.core.events import ApiSessionId, Facts, Nothing, PlayerEvent, Record, Said, SessionKey
from relay.core.inputs import (
    Accepted,
    Answered,
    Arrived,
    ArrivedAsFacts,
    ArrivedInParts,
    Assigned,
    Input,
    Opened,
    Refused,
    SaysNothing,
    Verdict,
)
from relay.core.patience import Rules
from relay.core.pressure import Limits
from relay.core.reasons import Reason
from relay.core.router import Router
from relay.core.starts import Starts
from relay.input.decoding import Unreadable
from relay.ports import Reads

SESSION_ID: Final = "0" * 64  # as long as one of the Edge's


class Request(NamedTuple):
    """One POST."""

    path: str
    body: bytes


def as_native(event: PlayerEvent) -> dict[str, Any]:
    """A player event as the native input would read it."""
    written: dict[str, Any] = {"eventType": str(event.event_type), "playerTime": {"playhead": event.playhead, "ts": event.ts}}
    for name, json in (("params", event.params), ("qoeData", event.qoe_data), ("customMetadata", event.custom_metadata)):
        if json:
            written[name] = msgspec.json.decode(json)
    if event.start is not None:
        start = (("params", event.start.params), ("customMetadata", event.start.custom_metadata))
        written["start"] = {name: msgspec.json.decode(json) for name, json in start if json}
    return written


class Translated(NamedTuple):
    """What became of a record."""

    key: SessionKey | None
    events: tuple[PlayerEvent, ...]
    requests: list[Request]
    dropped: str  # the reason; empty when it was not
    reason: str  # why it was set aside; empty when it was not
    detail: str


class Translator:
    """One relay on a good day, with one dialect."""

    def __init__(self, reader: Reads, dialect: Dialect, starts: Starts) -> None:
        """Begin without sessions."""
        self._reader = reader
        self._dialect = dialect
        self._router = Router(limits=Limits(), rules=Rules(), starts=starts)
        self._assignment = Assignment("samples", 0)
        self._router.handle(Assigned(self._assignment), 0.0)

    def translate(self, record: Record) -> Translated:
        """What the relay would send for a record. Offsets must ascend."""
        try:
            key, said = self._reader.read(record)
        except Unreadable as unreadable:
            return Translated(unreadable.key, (), [], "", str(unreadable.reason), unreadable.detail)
        outcome = _Outcome()
        arrived = self._router.handle(self._arrival(record, key, said), 0.0)
        lane = self._assignment.lanes.get(key)
        events = () if lane is None else tuple(event for event in lane.waiting if event.part is None or not event.part.is_silent)
        self._carry_out(arrived, outcome)
        return Translated(key, events, outcome.requests, outcome.dropped, outcome.reason, outcome.detail)

    def _arrival(self, record: Record, key: SessionKey, said: Said) -> Input:
        if isinstance(said, Nothing):
            return SaysNothing(self._assignment, record, said.reason)
        if isinstance(said, Facts):
            return ArrivedAsFacts(self._assignment, key, said)
        if isinstance(said, PlayerEvent):
            return Arrived(self._assignment, key, said)
        return ArrivedInParts(self._assignment, key, said)

    def _carry_out(self, commands: list[Command], outcome: "_Outcome") -> None:
        """Until nobody has anything more to say."""
        while commands := [*commands, *self._router.turns(0.0)]:
            answers: list[Answered] = []
            for command in commands:
                match command:
                    case OpenSession() | SendEvent():
                        answers.append(Answered(command.lane, self._answer(command, outcome)))
                    case SetAside():
                        outcome.reason, outcome.detail = str(command.reason), command.detail
                    case Drop():
                        outcome.dropped = command.reason
                    case _:
                        pass
            commands = [one for answer in answers for one in self._router.handle(answer, 0.0)]

    def _answer(self, command: OpenSession | SendEvent, outcome: "_Outcome") -> Verdict:
        try:
            call = self._dialect.opening(command) if isinstance(command, OpenSession) else self._dialect.sending(command)
        except Untranslatable as untranslatable:
            return Refused(0, str(untranslatable), Reason.UNTRANSLATABLE)
        outcome.requests.append(Request(call.target.decode(), call.body))
        return Opened(ApiSessionId(SESSION_ID)) if isinstance(command, OpenSession) else Accepted()


class _Outcome:
    """What has been collected for the record at hand."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.dropped = ""
        self.reason = ""
        self.detail = ""

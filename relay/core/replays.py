"""Events that were set aside and come again: how they are marked, and what the mark says.

In: the headers of a record. Out: what is needed to open its session again, or that a replay ends here.

A replay puts the records of a session back into the partition that they came from, behind whatever is there. Each carries `relay.replay`,
the round, and `relay.origin`, its first place in the log. The first may bring along what its session's start said (`relay.start`), and
whether the API has counted the play already: then the session that is opened resumes it. A record without a value that carries
`relay.replay_end` is no event of the player: it ends the API session that the replay has opened, where the last event left it.

Only a lane whose session is not open looks at these headers, so events that were never set aside pay nothing for them.
"""

from typing import Annotated, Final

import msgspec

from relay.core.events import Details, EventType, PlayerEvent, Record, SessionKey
from relay.core.inputs import NextAgain, NextJoin, NextOver, NextUnknown
from relay.core.lane import Lane, State
from relay.core.starts import Starts

ROUND_HEADER: Final = "relay.replay"
ORIGIN_HEADER: Final = "relay.origin"
START_HEADER: Final = "relay.start"
END_HEADER: Final = "relay.replay_end"

_KNOW_THEIR_START: Final = frozenset({State.COMPLETED, State.PARKED})


class Start(msgspec.Struct, frozen=True, omit_defaults=True):
    """The value of `relay.start`: what the session's start said."""

    params: msgspec.Raw = msgspec.Raw(b"")
    custom_metadata: msgspec.Raw = msgspec.field(name="customMetadata", default=msgspec.Raw(b""))
    resume: bool = False  # the API has accepted the start before, so the play is counted

    @property
    def details(self) -> Details:
        """The same as the core has it."""
        return Details(params=bytes(self.params), custom_metadata=bytes(self.custom_metadata))


class End(msgspec.Struct, frozen=True):
    """The value of `relay.replay_end`: the session, and where its last event left it."""

    session: Annotated[str, msgspec.Meta(min_length=1, max_length=1_024)]
    playhead: float
    ts: int


class Replay(msgspec.Struct, frozen=True):
    """What a record that comes again says of itself."""

    round: int
    start: Start | None = None


_decode_start = msgspec.json.Decoder(Start).decode
_decode_end = msgspec.json.Decoder(End).decode
_decode_object = msgspec.json.Decoder(dict[str, object]).decode


def start_header(details: Details, *, resume: bool) -> bytes:
    """The value of `relay.start`."""
    raw = {"params": details.params, "customMetadata": details.custom_metadata}
    members: dict[str, object] = {name: msgspec.Raw(json) for name, json in raw.items() if json}
    return msgspec.json.encode(members | {"resume": resume})


def end_header(session: SessionKey, *, playhead: float, ts: int) -> bytes:
    """The value of `relay.replay_end`."""
    return msgspec.json.encode(End(session, playhead, ts))


def replay_of(record: Record) -> Replay | None:
    """What a record says of its replay; None for one that comes for the first time. A mark that is not understood is none."""
    marks = dict(record.headers)
    try:
        number = int(marks.get(ROUND_HEADER) or b"0")
    except ValueError:
        return None
    return Replay(number, _start_in(marks.get(START_HEADER))) if number > 0 else None


def end_of(record: Record) -> tuple[SessionKey, PlayerEvent] | None:
    """The end of a replay that stands in a record without a value; None in any other."""
    value = dict(record.headers).get(END_HEADER)
    if value is None or record.value:
        return None
    try:
        end = _decode_end(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return SessionKey(end.session), PlayerEvent(EventType.SESSION_END, playhead=end.playhead, ts=end.ts, record=record)


def next_again(lane: Lane, head: PlayerEvent, starts: Starts) -> NextAgain | NextJoin | NextUnknown | NextOver | None:
    """What it means that an event whose session is not open comes again; None when it comes for the first time, or needs no session.

    Puts what the start says into the lane.
    """
    record = head.record
    if record is None or not record.headers:
        return None
    is_an_end = head.event_type is EventType.SESSION_END and lane.state is State.COMPLETED
    if end_of(record) is not None:
        return None if is_an_end else NextOver()
    replay = replay_of(record)
    return None if replay is None or is_an_end else _next_opening(lane, head, replay.start, starts)


def _next_opening(lane: Lane, head: PlayerEvent, start: Start | None, starts: Starts) -> NextAgain | NextJoin | NextUnknown | None:
    if lane.start is not None and lane.state in _KNOW_THEIR_START:
        return NextAgain()
    if start is not None:
        lane.start = start.details
        return NextAgain() if start.resume else NextJoin()
    if lane.state is State.ABSENT:
        return None  # as if it came for the first time
    lane.start = starts.for_joining(head.start)
    return NextUnknown() if lane.start is None else NextJoin()


def _start_in(value: bytes | None) -> Start | None:
    if value is None:
        return None
    try:
        start = _decode_start(value)
        for raw in (start.params, start.custom_metadata):
            if bytes(raw):
                _decode_object(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
    return start

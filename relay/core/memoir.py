"""What a session needs to go on after a restart, as bytes for the state topic.

In: a lane. Out: its memoir as bytes, and back into a lane.

A memoir is written right after an opening was answered, before any receipt says that the sessionStart is finished; so it says itself up to
where the session is finished, and a restart in between does not open the session again.

Versioned and compact: fields that say nothing are left out, a later version may add fields that this one does not know, and a memoir of a
version that changed the meaning of a field is not read at all. Of two memoirs of one session the one with the higher place in the log
wins: a former owner may still have written after it lost the partition.
"""

from math import inf
from typing import Final

import msgspec

from relay.core.events import Derived, Details, EventType, as_session_id
from relay.core.lane import Lane, Silence, State
from relay.core.playback import PLAYBACK_STATES, Playback
from relay.core.reasons import Reason
from relay.core.sequence import lowest_waiting
from relay.core.split import Letter, Split

VERSION: Final = 1
ASIDES_MAX: Final = 100  # of those that wait for their dead letters; a memoir must stay small

_STANDINGS: Final = {
    State.READY: "open",
    State.COMPLETED: "completed",
    State.LOST: "lost",
    State.REFUSED: "refused",
    State.ENDED: "ended",
    State.PARKED: "parked",
}
_STATES: Final = {standing: state for state, standing in _STANDINGS.items()}
_LETTERS: Final = frozenset(Letter)
_PLAYING: Final = frozenset({"", *PLAYBACK_STATES})
_WITH_ID: Final = frozenset({"open", "completed"})
_WITH_START: Final = frozenset({"open", "completed", "lost"})
_RESTING: Final = {
    State.SENDING: State.READY,
    State.COMPLETING: State.READY,
    State.CLOSING: State.READY,
    State.CLOSING_COMPLETED: State.COMPLETED,
    State.TELLING: State.READY,
    State.REPLACING: State.READY,
    State.PINGING: State.READY,
    State.SUSPENDING: State.READY,
    State.REOPENING: State.LOST,
}


class NoMemoir(ValueError):  # noqa: N818  # a fact about bytes
    """The bytes are not a memoir that this version understands."""


class _Said(msgspec.Struct, gc=False, omit_defaults=True):
    """Details, with their JSON as it came."""

    p: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    m: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Memoir(msgspec.Struct, gc=False, omit_defaults=True):
    """The wire form; short names, since there is one per session."""

    v: int
    at: int  # place in the log: the offset of the last event that left the lane's head
    done: int  # all of this session up to here has left the head: delivered, or set aside
    standing: str
    id: str = ""
    route: str = ""
    start: _Said | None = None
    chapter: _Said | None = None
    brk: _Said | None = None
    ad: _Said | None = None
    states: dict[str, _Said] = {}
    playing: str = ""
    playhead: float = 0
    ts: int = 0
    asides: list[tuple[int, Reason]] = []  # set aside, and their dead letters not confirmed
    untold: bool = False  # opened in place of a lost session, and not yet told everything
    told: int = 0  # but so much of it
    derived: Derived | None = None  # from player states
    opened: float = 0.0  # when the API session was, as Unix time, where silent sessions are kept alive
    silent: tuple[float, int, float] | None = (
        None  # since when as Unix time, and the player's last ts and playhead; the relay speaks for him
    )
    suspended: bool = False  # lost by the relay's own word
    split: tuple[int, int, int] | None = None  # the offset of the record that has left in part, how many parts, and how far its letter is


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Memoir).decode
_decode_object = msgspec.json.Decoder(dict[str, object]).decode


def write(lane: Lane, epoch: float = 0.0) -> bytes | None:
    """The memoir of a lane; None when there is nothing worth remembering. `epoch` is the Unix time at which the core's clock began."""
    standing = _STANDINGS.get(_RESTING.get(lane.state, lane.state)) or _between(lane)
    if standing is None:
        return None
    asides = lane.unconfirmed()
    lane.done_offset = _done(lane, asides[ASIDES_MAX:])
    memory = lane.playback or Playback()
    return _encode(
        Memoir(
            v=VERSION,
            at=lane.last_offset,
            done=lane.done_offset,
            asides=asides[:ASIDES_MAX],
            standing=standing,
            id=lane.session_id or "" if standing in _WITH_ID else "",
            route=lane.route,
            start=_said(lane.start),
            chapter=_said(memory.chapter),
            brk=_said(memory.ad_break),
            ad=_said(memory.ad),
            states={name: _said(details) or _Said() for name, details in memory.states.items()},
            playing=memory.playing or "",
            playhead=lane.last_playhead,
            ts=lane.last_ts,
            untold=lane.is_untold or bool(lane.to_tell),
            told=lane.told_count,
            derived=lane.derived,
            opened=round(lane.opened_at + epoch, 1) if lane.opened_at < inf and lane.session_id else 0.0,
            silent=_silent(lane, epoch),
            suspended=lane.is_suspended,
            split=_split(lane, asides[ASIDES_MAX:]),
        )
    )


def read(value: bytes) -> Memoir:
    """The memoir in a value of the state topic. Raises `NoMemoir`."""
    try:
        memoir = _decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise NoMemoir("not understood") from error
    if memoir.v != VERSION:
        raise NoMemoir("another version")
    is_known = memoir.standing in _STATES and memoir.playing in _PLAYING
    has_id = as_session_id(memoir.id) is not None or memoir.standing not in _WITH_ID
    has_start = memoir.start is not None or memoir.standing not in _WITH_START
    said = (memoir.start, memoir.chapter, memoir.brk, memoir.ad, *memoir.states.values())
    derived = memoir.derived
    is_derived_well = derived is None or (derived.base in _PLAYING and derived.said in _PLAYING)
    is_split_well = memoir.split is None or _is_split_well(memoir.split, memoir.asides)
    if not (is_known and has_id and has_start and is_split_well and is_derived_well and all(map(_holds_objects, said))):
        raise NoMemoir("not consistent")
    return memoir


def start_of(memoir: Memoir) -> Details | None:
    """What the session's start said, when the memoir knows it: then the API has accepted it."""
    return _details(memoir.start)


def restore(lane: Lane, memoir: Memoir, epoch: float = 0.0) -> None:
    """Put a lane where its memoir says it stood."""
    lane.state = _STATES[memoir.standing]
    lane.session_id = as_session_id(memoir.id) if memoir.id else None
    lane.route = memoir.route
    lane.start = _details(memoir.start)
    lane.had_session = True
    lane.last_offset = memoir.at
    lane.done_offset = memoir.done
    lane.derived = memoir.derived
    if memoir.split is not None:
        offset, done, letter = memoir.split
        lane.split = Split(offset, done, Letter(letter))
    split_offset = memoir.done if memoir.split is None else memoir.split[0]
    lane.asides = {offset: reason for offset, reason in memoir.asides if offset <= memoir.done or offset == split_offset} or None
    lane.last_playhead = memoir.playhead
    lane.last_ts = memoir.ts
    if memoir.chapter or memoir.brk or memoir.ad or memoir.states or memoir.playing:
        memory = lane.playback = Playback()
        memory.chapter = _details(memoir.chapter)
        memory.ad_break = _details(memoir.brk)
        memory.ad = _details(memoir.ad)
        memory.states = {name: _details(said) or Details() for name, said in memoir.states.items()}
        memory.playing = EventType(memoir.playing) if memoir.playing else None
    lane.opened_at = memoir.opened - epoch if memoir.opened else inf
    lane.silence = None if memoir.silent is None else Silence(memoir.silent[0] - epoch, *memoir.silent[1:])
    if lane.silence is not None:
        lane.silence.is_known = True
    lane.is_suspended = memoir.suspended
    lane.is_untold = memoir.untold
    lane.told_count = max(0, memoir.told)


def _is_split_well(split: tuple[int, int, int], asides: list[tuple[int, Reason]]) -> bool:
    """A letter that is not confirmed is written again, for the reason that stands among the asides."""
    offset, done, letter = split
    return done > 0 and letter in _LETTERS and (letter != Letter.PENDING or any(aside == offset for aside, _ in asides))


def _holds_objects(said: _Said | None) -> bool:
    try:
        for raw in (said.p, said.m) if said is not None else ():
            if raw is not msgspec.UNSET:
                _decode_object(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    return True


def _between(lane: Lane) -> str | None:
    """One session is over and the next is not open yet: a restart must know that, and what of their record has left."""
    is_next_a_start = bool(lane.waiting) and lane.waiting[0].event_type is EventType.SESSION_START
    had_another = lane.had_session or lane.split is not None
    return "ended" if is_next_a_start and had_another else None


def _done(lane: Lane, unlisted: list[tuple[int, Reason]]) -> int:
    """The offset up to which all of the session has left the head, as far as this assignment has seen the log again."""
    ledger = lane.assignment.ledger
    if ledger.end is None or ledger.end <= lane.last_offset:
        return lane.done_offset
    lowest = lowest_waiting(lane)
    unfinished = [offset for offset, _ in unlisted[:1]] + ([] if lowest is None else [lowest])
    return max(lane.done_offset, min([lane.last_offset, *(offset - 1 for offset in unfinished)]))


def _split(lane: Lane, unlisted: list[tuple[int, Reason]]) -> tuple[int, int, int] | None:
    """How far the record at the head is, unless its dead letter would be forgotten: then all of its parts come again."""
    split = lane.split
    if split is None or split.offset <= lane.done_offset or any(offset == split.offset for offset, _ in unlisted):
        return None
    return split.offset, split.done, split.letter.value


def _silent(lane: Lane, epoch: float) -> tuple[float, int, float] | None:
    silence = lane.silence
    return None if silence is None else (round(silence.since + epoch, 1), silence.ts, silence.playhead)


def _said(details: Details | None) -> _Said | None:
    return None if details is None else _Said(_raw(details.params), _raw(details.custom_metadata))


def _details(said: _Said | None) -> Details | None:
    return None if said is None else Details(_bytes(said.p), _bytes(said.m))


def _raw(json: bytes) -> msgspec.Raw | msgspec.UnsetType:
    return msgspec.Raw(json) if json else msgspec.UNSET


def _bytes(raw: msgspec.Raw | msgspec.UnsetType) -> bytes:
    return b"" if raw is msgspec.UNSET else bytes(raw)

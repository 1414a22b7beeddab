"""The life of a session is one table: each pair in it answers as it says, each pair beside it is impossible."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import msgspec
import pytest

from relay.core.assignment import Assignment
from relay.core.commands import Announce, Cause, Change, Command, DropEvent, Finish, FinishUnknown, OpenSession, SendEvent, SetAside
from relay.core.events import ApiSessionId, Details, EventType, Part, PlayerEvent, Record, SessionKey
from relay.core.inputs import (
    Accepted,
    Foregone,
    GivenUp,
    Happened,
    Lost,
    LostTooOften,
    NextAgain,
    NextComplete,
    NextEnd,
    NextEvent,
    NextJoin,
    NextOver,
    NextPing,
    NextStart,
    NextStartTooOld,
    NextSuspension,
    NextTold,
    NextTooOld,
    NextUnknown,
    Opened,
    OutcomeUnknown,
    Parked,
    Refused,
    TryAgain,
)
from relay.core.lane import IN_FLIGHT_FROM, SENDING_FROM, Lane, State
from relay.core.memoir import write
from relay.core.reasons import Dropped, Reason
from relay.core.session import TRANSITIONS, ImpossibleTransition, advance
from relay.core.silence import Silence

S = State
E = EventType
OLD, NEW = ApiSessionId("old"), ApiSessionId("new")
START = Details(params=b'{"media.id":"film"}', custom_metadata=b'{"plan":"gold"}')
RESUMED = Details(params=b'{"media.id":"film","media.resume":true}', custom_metadata=START.custom_metadata)
CHAPTER = Details(params=b'{"media.chapter.index":1}')

OWN_PING, OWN_END = PlayerEvent(E.PING, playhead=3.5, ts=9), PlayerEvent(E.SESSION_END, playhead=3.5, ts=9)

HAPPENED: dict[type[Happened], Happened] = {
    Opened: Opened(NEW),
    Accepted: Accepted(),
    Lost: Lost(410),
    LostTooOften: LostTooOften(404),
    TryAgain: TryAgain("status_503", 503),
    Refused: Refused(400, "its words"),
    GivenUp: GivenUp(Reason.TOO_OLD, 503, "status_503"),
    NextStart: NextStart(),
    NextJoin: NextJoin(),
    NextEvent: NextEvent(),
    NextComplete: NextComplete(),
    NextEnd: NextEnd(),
    NextTold: NextTold(),
    NextAgain: NextAgain(),
    NextUnknown: NextUnknown(),
    NextOver: NextOver(),
    Parked: Parked(503, "status_503"),
    NextTooOld: NextTooOld(is_dropped=True),
    NextStartTooOld: NextStartTooOld(),
    OutcomeUnknown: OutcomeUnknown("timeout"),
    NextPing: NextPing(OWN_PING),
    NextSuspension: NextSuspension(OWN_END),
    Foregone: Foregone(),
}
HEADS: dict[type[Happened], EventType] = {
    NextStart: E.SESSION_START,
    NextStartTooOld: E.SESSION_START,
    NextComplete: E.SESSION_COMPLETE,
    NextEnd: E.SESSION_END,
}
HEAD_IN: dict[State, EventType] = {
    S.OPENING: E.SESSION_START,
    S.REPLACING: E.SESSION_START,
    S.COMPLETING: E.SESSION_COMPLETE,
    S.CLOSING: E.SESSION_END,
    S.CLOSING_COMPLETED: E.SESSION_END,
}


def event(kind: EventType, offset: int = 7) -> PlayerEvent:
    """An event that can be told from others."""
    details = START if kind is E.SESSION_START else Details()
    return PlayerEvent(
        kind,
        playhead=12.5,
        ts=1_700_000_000_007,
        params=details.params,
        custom_metadata=details.custom_metadata,
        qoe_data=b'{"media.qoe.bitrate":1}',
        record=Record(offset, key=b"a", value=b"the value"),
    )


def lane_in(state: State, happened: type[Happened]) -> Lane:
    """A lane as it is when this happens in this state."""
    lane = Lane(SessionKey("a"), Assignment("events", 0))
    lane.state = state
    lane.waiting = [event(HEADS.get(happened) or HEAD_IN.get(state, E.PING)), event(E.PLAY, offset=8)]
    lane.attempts, lane.first_tried_at, lane.failures = 3, 900.0, 2
    lane.had_session = state is not S.ABSENT
    lane.last_playhead, lane.last_ts = 3.5, 1_700_000_000_003
    lane.start = None if state in {S.ABSENT, S.ENDED, S.REFUSED} and happened not in {NextJoin, NextAgain} else START
    lane.session_id = OLD if state in {S.READY, S.COMPLETED} or state >= SENDING_FROM else None
    if state is S.TELLING or happened is NextTold:
        lane.to_tell = [PlayerEvent(E.CHAPTER_START, 12.5, 1_700_000_000_007, params=CHAPTER.params), PlayerEvent(E.PLAY, 12.5, 7)]
    if state in {S.LOST, S.REOPENING}:
        lane.remember(PlayerEvent(E.CHAPTER_START, 1.0, 1, params=CHAPTER.params))
    return lane


def opens(cause: Cause, start: Details = START, *, qoe: bytes = b"") -> Callable[[Lane, PlayerEvent], list[Command]]:
    """The lane asks for an API session."""
    return lambda lane, head: [OpenSession(lane, start, head.playhead, head.ts, cause, qoe)]


def sends_head(lane: Lane, head: PlayerEvent) -> list[Command]:
    """The head goes as it is."""
    return [SendEvent(lane, OLD, head)]


def tells(lane: Lane, _head: PlayerEvent) -> list[Command]:
    """The first thing to tell goes."""
    return [SendEvent(lane, OLD, PlayerEvent(E.CHAPTER_START, 12.5, 1_700_000_000_007, params=CHAPTER.params))]


def ends_old(lane: Lane, _head: PlayerEvent) -> list[Command]:
    """The relay's own end, at the last playhead."""
    return [SendEvent(lane, OLD, PlayerEvent(E.SESSION_END, playhead=3.5, ts=1_700_000_000_003))]


def says(event: PlayerEvent) -> Callable[[Lane, PlayerEvent], list[Command]]:
    """The relay speaks for the player."""
    return lambda lane, _head: [SendEvent(lane, OLD, event)]


def finishes(*changes: tuple[Change, str]) -> Callable[[Lane, PlayerEvent], list[Command]]:
    """The head is delivered."""
    return lambda lane, head: [Finish(lane, head), *announces(*changes)(lane, head)]


def skips(*changes: tuple[Change, str]) -> Callable[[Lane, PlayerEvent], list[Command]]:
    """The head does not go again, taken or not."""
    unknown = (Change.SKIPPED_UNKNOWN, "")
    return lambda lane, head: [FinishUnknown(lane, head), *announces(unknown, *changes)(lane, head)]


def drops(lane: Lane, head: PlayerEvent) -> list[Command]:
    """The head is not sent."""
    return [DropEvent(lane, head, Dropped.TOO_OLD)]


def announces(*changes: tuple[Change, str]) -> Callable[[Lane, PlayerEvent], list[Command]]:
    """Nothing but words."""
    return lambda lane, _head: [Announce(lane, change, detail) for change, detail in changes]


def adopts_and_finishes(lane: Lane, head: PlayerEvent) -> list[Command]:
    """The sessionStart at the head is delivered by the opening."""
    return [Announce(lane, Change.OPENED, Cause.RESTARTED), Finish(lane, head)]


def loses(status: int) -> Callable[[Lane, PlayerEvent], list[Command]]:
    """The API session is gone."""
    return lambda lane, _head: [Announce(lane, Change.LOST, status=status)]


def refused_telling(status: int) -> Callable[[Lane, PlayerEvent], list[Command]]:
    """One thing could not be told."""
    return lambda lane, _head: [Announce(lane, Change.TELLING_REFUSED, status=status)]


def aside(reason: Reason, status: int = 0, detail: str = "", then: Announce | None = None) -> Callable[[Lane, PlayerEvent], list[Command]]:
    """The head is set aside, with its account."""

    def expected(lane: Lane, head: PlayerEvent) -> list[Command]:
        assert head.record is not None
        letter = SetAside(lane.assignment, head.record, reason, detail, key=lane.key, attempts=3, status=status, first_tried_at=900.0)
        return [letter, *([] if then is None else [msgspec.structs.replace(then, lane=lane)])]

    return expected


NOBODY = Lane(SessionKey("nobody"), Assignment("events", 9))
REFUSED = Announce(NOBODY, Change.REFUSED, status=400)
GIVEN_UP = Announce(NOBODY, Change.GIVEN_UP, Reason.TOO_OLD)
QOE = b'{"media.qoe.bitrate":1}'
nothing = announces()
rejected = aside(Reason.REJECTED, 400, "its words")
given_up = aside(Reason.TOO_OLD, 503, "status_503", GIVEN_UP)
start_too_old = aside(Reason.TOO_OLD, then=GIVEN_UP)
start_refused = aside(Reason.REJECTED, 400, "its words", REFUSED)
session_refused = aside(Reason.SESSION_REFUSED, 400, "its words", REFUSED)
lost_too_often = aside(Reason.LOST_TOO_OFTEN, 404, "", Announce(NOBODY, Change.LOST, status=404))
over = aside(Reason.AFTER_END)
parked = aside(Reason.PARKED, 503, "status_503", Announce(NOBODY, Change.PARKED, "status_503", 503))
opens_again = opens(Cause.LOST, RESUMED)
replays = opens(Cause.REPLAYED, RESUMED)
restarts = opens(Cause.RESTARTED, qoe=QOE)
ended = finishes((Change.ENDED, ""))
old_ended = announces((Change.ENDED, ""))

# (state, what happened) → (next state, the commands). Written down a second time, on purpose: nobody changes the table by accident.
EXPECTED: dict[tuple[State, type[Happened]], tuple[State, Callable[[Lane, PlayerEvent], list[Command]]]] = {
    (S.ABSENT, NextStart): (S.OPENING, opens(Cause.FIRST, qoe=QOE)),
    (S.ABSENT, NextJoin): (S.JOINING, opens(Cause.REJOINED)),
    (S.ABSENT, NextEvent): (S.ABSENT, aside(Reason.NO_SESSION_START)),
    (S.ABSENT, NextComplete): (S.ABSENT, aside(Reason.NO_SESSION_START)),
    (S.ABSENT, NextEnd): (S.ABSENT, aside(Reason.NO_SESSION_START)),
    (S.ABSENT, Parked): (S.PARKED, parked),
    (S.ABSENT, NextAgain): (S.REOPENING, replays),
    (S.ABSENT, NextOver): (S.ABSENT, finishes()),
    (S.ABSENT, NextTooOld): (S.ABSENT, drops),
    (S.ABSENT, NextStartTooOld): (S.REFUSED, start_too_old),
    (S.OPENING, Opened): (S.READY, adopts_and_finishes),
    (S.OPENING, TryAgain): (S.ABSENT, nothing),
    (S.OPENING, Refused): (S.REFUSED, start_refused),
    (S.OPENING, GivenUp): (S.REFUSED, given_up),
    (S.JOINING, Opened): (S.READY, announces((Change.OPENED, Cause.REJOINED))),
    (S.JOINING, TryAgain): (S.ABSENT, nothing),
    (S.JOINING, Refused): (S.REFUSED, session_refused),
    (S.JOINING, GivenUp): (S.ABSENT, given_up),
    (S.READY, NextStart): (S.REPLACING, ends_old),
    (S.READY, NextTold): (S.TELLING, tells),
    (S.READY, NextEvent): (S.SENDING, sends_head),
    (S.READY, NextComplete): (S.COMPLETING, sends_head),
    (S.READY, NextEnd): (S.CLOSING, sends_head),
    (S.READY, Parked): (S.PARKED, parked),
    (S.READY, NextTooOld): (S.READY, drops),
    (S.READY, NextPing): (S.PINGING, says(OWN_PING)),
    (S.READY, NextSuspension): (S.SUSPENDING, says(OWN_END)),
    (S.SENDING, Accepted): (S.READY, finishes()),
    (S.SENDING, Lost): (S.LOST, loses(410)),
    (S.SENDING, LostTooOften): (S.LOST, lost_too_often),
    (S.SENDING, TryAgain): (S.READY, nothing),
    (S.SENDING, Refused): (S.READY, rejected),
    (S.SENDING, GivenUp): (S.READY, given_up),
    (S.SENDING, OutcomeUnknown): (S.READY, skips()),
    (S.COMPLETING, Accepted): (S.COMPLETED, finishes()),
    (S.COMPLETING, Lost): (S.LOST, loses(410)),
    (S.COMPLETING, LostTooOften): (S.LOST, lost_too_often),
    (S.COMPLETING, TryAgain): (S.READY, nothing),
    (S.COMPLETING, Refused): (S.READY, rejected),
    (S.COMPLETING, GivenUp): (S.READY, given_up),
    (S.COMPLETING, OutcomeUnknown): (S.COMPLETED, skips()),
    (S.CLOSING, Accepted): (S.ENDED, ended),
    (S.CLOSING, Lost): (S.ENDED, ended),
    (S.CLOSING, LostTooOften): (S.ENDED, ended),
    (S.CLOSING, TryAgain): (S.READY, nothing),
    (S.CLOSING, Refused): (S.READY, rejected),
    (S.CLOSING, GivenUp): (S.READY, given_up),
    (S.CLOSING, OutcomeUnknown): (S.ENDED, skips((Change.ENDED, ""))),
    (S.CLOSING_COMPLETED, Accepted): (S.ENDED, ended),
    (S.CLOSING_COMPLETED, Lost): (S.ENDED, ended),
    (S.CLOSING_COMPLETED, LostTooOften): (S.ENDED, ended),
    (S.CLOSING_COMPLETED, TryAgain): (S.COMPLETED, nothing),
    (S.CLOSING_COMPLETED, Refused): (S.COMPLETED, rejected),
    (S.CLOSING_COMPLETED, GivenUp): (S.COMPLETED, given_up),
    (S.CLOSING_COMPLETED, OutcomeUnknown): (S.ENDED, skips((Change.ENDED, ""))),
    (S.LOST, NextStart): (S.OPENING, restarts),
    (S.LOST, NextEvent): (S.REOPENING, opens_again),
    (S.LOST, NextComplete): (S.REOPENING, opens_again),
    (S.LOST, NextEnd): (S.ENDED, ended),
    (S.LOST, Parked): (S.PARKED, parked),
    (S.LOST, NextTooOld): (S.LOST, drops),
    (S.LOST, NextStartTooOld): (S.REFUSED, start_too_old),
    (S.REOPENING, Opened): (S.READY, announces((Change.OPENED, Cause.LOST))),
    (S.REOPENING, TryAgain): (S.LOST, nothing),
    (S.REOPENING, Refused): (S.REFUSED, session_refused),
    (S.REOPENING, GivenUp): (S.LOST, given_up),
    (S.TELLING, Accepted): (S.READY, announces((Change.TOLD, ""))),
    (S.TELLING, Lost): (S.LOST, loses(410)),
    (S.TELLING, LostTooOften): (S.LOST, lost_too_often),
    (S.TELLING, TryAgain): (S.READY, nothing),
    (S.TELLING, Refused): (S.READY, refused_telling(400)),
    (S.TELLING, GivenUp): (S.READY, refused_telling(503)),
    (S.TELLING, OutcomeUnknown): (S.READY, announces((Change.SKIPPED_UNKNOWN, ""))),
    (S.REPLACING, Accepted): (S.ENDED, old_ended),
    (S.REPLACING, Lost): (S.ENDED, old_ended),
    (S.REPLACING, LostTooOften): (S.ENDED, old_ended),
    (S.REPLACING, TryAgain): (S.READY, nothing),
    (S.REPLACING, Refused): (S.ENDED, old_ended),
    (S.REPLACING, GivenUp): (S.ENDED, old_ended),
    (S.REPLACING, OutcomeUnknown): (S.ENDED, announces((Change.SKIPPED_UNKNOWN, ""), (Change.ENDED, ""))),
    (S.PINGING, Accepted): (S.READY, announces((Change.PINGED, ""))),
    (S.PINGING, Lost): (S.LOST, loses(410)),
    (S.PINGING, Refused): (S.READY, nothing),
    (S.PINGING, Foregone): (S.READY, nothing),
    (S.SUSPENDING, Accepted): (S.LOST, announces((Change.SUSPENDED, ""))),
    (S.SUSPENDING, Lost): (S.LOST, announces((Change.SUSPENDED, ""))),
    (S.SUSPENDING, Refused): (S.LOST, announces((Change.SUSPENDED, ""))),
    (S.SUSPENDING, Foregone): (S.READY, nothing),
    (S.COMPLETED, NextStart): (S.OPENING, restarts),
    (S.COMPLETED, NextEvent): (S.COMPLETED, over),
    (S.COMPLETED, NextComplete): (S.COMPLETED, over),
    (S.COMPLETED, NextEnd): (S.CLOSING_COMPLETED, sends_head),
    (S.COMPLETED, Parked): (S.PARKED, parked),
    (S.COMPLETED, NextJoin): (S.JOINING, opens(Cause.REJOINED)),
    (S.COMPLETED, NextAgain): (S.REOPENING, replays),
    (S.COMPLETED, NextUnknown): (S.COMPLETED, aside(Reason.NO_SESSION_START)),
    (S.COMPLETED, NextTooOld): (S.COMPLETED, drops),
    (S.COMPLETED, NextStartTooOld): (S.REFUSED, start_too_old),
    (S.ENDED, NextStart): (S.OPENING, restarts),
    (S.ENDED, NextEvent): (S.ENDED, over),
    (S.ENDED, NextComplete): (S.ENDED, over),
    (S.ENDED, NextEnd): (S.ENDED, over),
    (S.ENDED, NextJoin): (S.JOINING, opens(Cause.REJOINED)),
    (S.ENDED, NextAgain): (S.REOPENING, replays),
    (S.ENDED, NextUnknown): (S.ENDED, aside(Reason.NO_SESSION_START)),
    (S.ENDED, NextOver): (S.ENDED, finishes()),
    (S.ENDED, NextStartTooOld): (S.REFUSED, start_too_old),
    (S.REFUSED, NextStart): (S.OPENING, restarts),
    (S.REFUSED, NextEvent): (S.REFUSED, aside(Reason.SESSION_REFUSED)),
    (S.REFUSED, NextComplete): (S.REFUSED, aside(Reason.SESSION_REFUSED)),
    (S.REFUSED, NextEnd): (S.REFUSED, aside(Reason.SESSION_REFUSED)),
    (S.REFUSED, NextJoin): (S.JOINING, opens(Cause.REJOINED)),
    (S.REFUSED, NextAgain): (S.REOPENING, replays),
    (S.REFUSED, NextUnknown): (S.REFUSED, aside(Reason.NO_SESSION_START)),
    (S.REFUSED, NextOver): (S.REFUSED, finishes()),
    (S.PARKED, NextStart): (S.OPENING, restarts),
    (S.PARKED, NextEvent): (S.PARKED, aside(Reason.PARKED)),
    (S.PARKED, NextComplete): (S.PARKED, aside(Reason.PARKED)),
    (S.PARKED, NextEnd): (S.PARKED, aside(Reason.PARKED)),
    (S.PARKED, NextJoin): (S.JOINING, opens(Cause.REJOINED)),
    (S.PARKED, NextAgain): (S.REOPENING, replays),
    (S.PARKED, NextUnknown): (S.PARKED, aside(Reason.NO_SESSION_START)),
    (S.PARKED, NextOver): (S.PARKED, finishes()),
    (S.REFUSED, NextStartTooOld): (S.REFUSED, start_too_old),
    (S.PARKED, NextStartTooOld): (S.REFUSED, start_too_old),
}

PAIRS = [(state, what) for state in State for what in get_args(Happened)]
POSSIBLE = [pair for pair in PAIRS if pair in TRANSITIONS]
IMPOSSIBLE = [pair for pair in PAIRS if pair not in TRANSITIONS]


def in_words(value: object) -> str:
    """A state's or an input's name, for the test's own."""
    return value.name if isinstance(value, State) else getattr(value, "__name__", "")


def test_each_pair_of_the_table_is_expected_here() -> None:
    """The table holds the pairs that are written down here, and no others."""
    assert set(TRANSITIONS) == set(EXPECTED)
    assert {what for _, what in PAIRS} == set(HAPPENED)


@pytest.mark.parametrize(("state", "what"), POSSIBLE, ids=in_words)
def test_a_possible_pair_answers_as_the_table_says(state: State, what: type[Happened]) -> None:
    """What happened moves the lane to the stated state, and asks for the stated commands."""
    lane = lane_in(state, what)
    head = lane.waiting[0]
    expected_state, expected_commands = EXPECTED[state, what]
    commands = advance(lane, HAPPENED[what])
    assert commands == expected_commands(lane, head)
    assert lane.state is expected_state
    assert TRANSITIONS[state, what][0] is expected_state


@pytest.mark.parametrize(("state", "what"), POSSIBLE, ids=in_words)
def test_the_head_leaves_only_when_it_is_finished_or_set_aside(state: State, what: type[Happened]) -> None:
    """An event stays at the head until it is delivered, skipped, dropped or set aside, and leaves once."""
    lane = lane_in(state, what)
    before = list(lane.waiting)
    commands = advance(lane, HAPPENED[what])
    leaves = sum(isinstance(command, Finish | FinishUnknown | DropEvent | SetAside) for command in commands)
    assert lane.waiting == before[leaves:]
    assert leaves <= 1
    assert lane.attempts == (0 if leaves else 3)


@pytest.mark.parametrize(("state", "what"), POSSIBLE, ids=in_words)
def test_a_call_leaves_just_when_the_lane_takes_off(state: State, what: type[Happened]) -> None:
    """A lane in flight has one call under way, a lane at rest has none."""
    lane = lane_in(state, what)
    commands = advance(lane, HAPPENED[what])
    calls = sum(isinstance(command, OpenSession | SendEvent) for command in commands)
    assert calls == (lane.state >= IN_FLIGHT_FROM)


@pytest.mark.parametrize(("state", "what"), POSSIBLE, ids=in_words)
def test_an_open_session_has_an_id_and_a_start(state: State, what: type[Happened]) -> None:
    """Whoever sends knows where to; whoever is lost, refused or over knows no id any more."""
    lane = lane_in(state, what)
    advance(lane, HAPPENED[what])
    if lane.state is S.READY or lane.state is S.COMPLETED or lane.state >= SENDING_FROM:
        assert lane.session_id is not None
    if lane.state in {S.READY, S.LOST, S.REOPENING}:
        assert lane.start is not None
    if lane.state in {S.LOST, S.ENDED, S.REFUSED, S.PARKED, S.REOPENING}:
        assert lane.session_id is None
    if lane.state in {S.ENDED, S.REFUSED}:
        assert (lane.start, lane.playback, lane.to_tell) == (None, None, []), "an over session costs next to nothing"


@pytest.mark.parametrize(("state", "what"), IMPOSSIBLE, ids=in_words)
def test_an_impossible_pair_stops_the_relay_and_leaves_the_lane_alone(state: State, what: type[Happened]) -> None:
    """What cannot be raises, names both, and has changed nothing."""
    lane = lane_in(state, what)
    before = {name: getattr(lane, name) for name in Lane.__slots__ if name != "__weakref__"}
    before |= {"waiting": list(lane.waiting), "to_tell": list(lane.to_tell)}
    with pytest.raises(ImpossibleTransition, match=f"^{what.__name__} while {state.name}$"):
        advance(lane, HAPPENED[what])
    assert {name: getattr(lane, name) for name in before} == before


OPENING_VERDICTS = (Opened, TryAgain, Refused, GivenUp)
OWN_VERDICTS = (Accepted, Lost, Refused, Foregone)  # to what has no event that could go again
SENDING_VERDICTS = (Accepted, Lost, LostTooOften, TryAgain, Refused, GivenUp, OutcomeUnknown)
NEXTS = (NextStart, NextEvent, NextComplete, NextEnd)


@pytest.mark.parametrize("state", [state for state in State if IN_FLIGHT_FROM <= state < SENDING_FROM], ids=in_words)
def test_a_lane_that_opens_handles_each_answer_to_an_opening(state: State) -> None:
    """Each verdict on an opening has its place, and no verdict on an event has one."""
    assert {what for when, what in TRANSITIONS if when is state} == set(OPENING_VERDICTS)


@pytest.mark.parametrize("state", [state for state in State if state >= SENDING_FROM], ids=in_words)
def test_a_lane_that_sends_handles_each_answer_to_an_event(state: State) -> None:
    """Each verdict on an event has its place, and no verdict on an opening has one."""
    verdicts = OWN_VERDICTS if state in {S.PINGING, S.SUSPENDING} else SENDING_VERDICTS
    assert {what for when, what in TRANSITIONS if when is state} == set(verdicts)


@pytest.mark.parametrize("state", [state for state in State if state < IN_FLIGHT_FROM], ids=in_words)
def test_a_lane_at_rest_handles_whatever_may_stand_at_its_head(state: State) -> None:
    """Each kind of head has its place; joining only where nothing is known, telling only where a session is open, parking before a call.

    The relay speaks for a silent player only where a session is open. A head is judged by its age where a call would follow, and a start
    where nothing has to be ended first.
    """
    again = {NextJoin, NextAgain, NextUnknown}
    special = {
        S.ABSENT: {NextJoin, NextAgain, NextOver, Parked},
        S.READY: {NextTold, Parked, NextPing, NextSuspension},
        S.LOST: {Parked},
        S.COMPLETED: {Parked, *again},
    }.get(state, {NextOver, *again})
    by_age: set[type[Happened]] = {NextTooOld} if state in {S.ABSENT, S.READY, S.LOST, S.COMPLETED} else set()
    by_age |= set() if state is S.READY else {NextStartTooOld}
    assert {what for when, what in TRANSITIONS if when is state} == {*NEXTS, *special, *by_age}


def test_a_call_that_may_succeed_later_puts_the_lane_back_where_it_was() -> None:
    """`TryAgain` leads back to a state from which the same head takes off again."""
    for (state, what), (back, _) in TRANSITIONS.items():
        if what is TryAgain:
            assert back < IN_FLIGHT_FROM
            kind = HEAD_IN.get(state, E.PING)
            by_head = next((turn for turn, head in HEADS.items() if head is kind), NextEvent)
            turn = {S.JOINING: NextJoin, S.TELLING: NextTold}.get(state, by_head)
            assert TRANSITIONS[back, turn][0] is state


def test_each_state_can_be_reached_and_left() -> None:
    """The table has no dead ends and no islands."""
    reached, more = {S.ABSENT}, {S.ABSENT}
    while more:
        more = {after for (before, _), (after, _) in TRANSITIONS.items() if before in more} - reached
        reached |= more
    assert reached == set(State)
    assert {before for (before, _), (after, _) in TRANSITIONS.items() if after is not before} == set(State)


def opens_next(state: State, what: type[Happened]) -> bool:
    """Whether this leads to an opening."""
    return IN_FLIGHT_FROM <= TRANSITIONS[state, what][0] < SENDING_FROM


def remembered(lane: Lane) -> dict[str, object]:
    """What a memoir says of a lane, but for how far it has come."""
    memoir = write(lane)
    said = msgspec.json.decode(memoir, type=dict[str, object]) if memoir is not None else {}
    return {name: value for name, value in said.items() if name not in {"at", "done", "playhead", "ts"}}


@pytest.mark.parametrize(("state", "what"), [pair for pair in POSSIBLE if not opens_next(*pair)], ids=in_words)
def test_whenever_a_memoir_would_say_something_else_it_is_due(state: State, what: type[Happened]) -> None:
    """What a restart must know is never left to the next occasion; only how far the session has come may be old.

    While a session is being opened, the old memoir says enough: after a restart, the event that asks for it comes again.
    """
    lane = lane_in(state, what)
    lane.told_count, lane.is_untold, lane.is_suspended = 2, True, state is S.LOST
    before, lane.is_changed = remembered(lane), False
    advance(lane, HAPPENED[what])
    after = remembered(lane)
    assert lane.is_changed or after in ({}, before)


@pytest.mark.parametrize(
    ("state", "what"),
    [(S.OPENING, Refused), (S.OPENING, GivenUp), (S.ABSENT, NextStartTooOld), (S.ABSENT, Parked)],
    ids=in_words,
)
def test_who_was_turned_away_has_something_to_be_forgotten(state: State, what: type[Happened]) -> None:
    """A key that is only known as refused, too old or parked has a memoir, which needs a tombstone; its next start is another one."""
    lane = lane_in(state, what)
    lane.had_session = False
    advance(lane, HAPPENED[what])
    assert lane.had_session
    lane.waiting = [event(E.SESSION_START)]
    (command,) = advance(lane, NextStart())
    assert isinstance(command, OpenSession)
    assert command.cause is Cause.RESTARTED


@pytest.mark.parametrize("state", [S.OPENING, S.JOINING, S.REOPENING], ids=in_words)
def test_a_session_that_was_just_opened_owes_nothing_of_the_one_before(state: State) -> None:
    """Half a telling, a silence, a suspension, a replay and failures were those of the session before."""
    lane = lane_in(state, Opened)
    lane.to_tell, lane.told_count, lane.is_untold = [OWN_PING], 2, True
    lane.is_replayed, lane.is_suspended, lane.silence = True, True, Silence(900.0, 1, 0.0)
    head = lane.waiting[0]
    advance(lane, HAPPENED[Opened])
    assert OWN_PING not in lane.to_tell
    assert (lane.told_count, lane.is_untold, lane.is_replayed, lane.is_suspended, lane.silence, lane.failures) == (
        0,
        False,
        False,
        False,
        None,
        0,
    )
    assert (lane.last_playhead, lane.last_ts) == (head.playhead, head.ts), "where it was opened"


@pytest.mark.parametrize("state", [S.SENDING, S.COMPLETING, S.TELLING, S.PINGING], ids=in_words)
def test_of_a_lost_session_only_what_was_open_stays(state: State) -> None:
    """What it had still to be told, and that the relay spoke for it, are over with it."""
    lane = lane_in(state, Lost)
    lane.to_tell, lane.is_untold, lane.is_replayed, lane.silence = [OWN_PING], True, True, Silence(900.0, 1, 0.0)
    advance(lane, HAPPENED[Lost])
    assert (lane.to_tell, lane.is_untold, lane.is_replayed, lane.silence) == ([], False, False, None)
    assert lane.start == START


@pytest.mark.parametrize("state", [S.READY, S.LOST, S.COMPLETED], ids=in_words)
def test_a_parked_session_is_told_everything_when_it_goes_on(state: State) -> None:
    """Half a telling is none: the session that it was meant for is left to expire."""
    lane = lane_in(state, Parked)
    lane.to_tell, lane.told_count, lane.is_untold = [OWN_PING], 2, True
    advance(lane, HAPPENED[Parked])
    assert (lane.to_tell, lane.told_count, lane.is_untold) == ([], 0, False)


@pytest.mark.parametrize("what", [Accepted, Lost, Refused], ids=in_words)
def test_who_is_ended_for_a_silent_player_is_resumed_by_the_next_event(what: type[Happened]) -> None:
    """Its session is over by the relay's word: the next one is opened as resumed, and told everything that was open."""
    lane = lane_in(S.SUSPENDING, what)
    lane.told_count, lane.silence = 2, Silence(900.0, 1, 0.0)
    advance(lane, HAPPENED[what])
    assert (lane.told_count, lane.silence) == (0, None)
    (command,) = advance(lane, NextEvent())
    assert isinstance(command, OpenSession)
    assert command.cause is Cause.RESUMED


def test_the_player_has_come_as_far_as_what_was_too_old() -> None:
    """What the relay says for it goes on from there, though that event was never sent."""
    lane = lane_in(S.READY, NextTooOld)
    head = lane.waiting[0]
    advance(lane, HAPPENED[NextTooOld])
    assert (lane.last_playhead, lane.last_ts) == (head.playhead, head.ts)


def test_a_dead_letter_says_which_part_of_a_record_it_is_about() -> None:
    """Where a record says one thing only, there is nothing to tell apart."""
    for count, detail in ((1, "its words"), (2, "part 1 of 2, ping: its words")):
        lane = lane_in(S.SENDING, Refused)
        lane.waiting[0] = msgspec.structs.replace(lane.waiting[0], part=Part(1, count))
        command, *_ = advance(lane, HAPPENED[Refused])
        assert isinstance(command, SetAside)
        assert command.detail == detail


@pytest.mark.parametrize(
    ("state", "what"), [(S.TELLING, Accepted), (S.TELLING, OutcomeUnknown), (S.REPLACING, Accepted), (S.REPLACING, Lost)], ids=in_words
)
def test_what_goes_well_before_the_head_ends_the_backoff(state: State, what: type[Happened]) -> None:
    """The next call need not wait for failures of the one before it."""
    lane = lane_in(state, what)
    advance(lane, HAPPENED[what])
    assert lane.failures == 0


@pytest.mark.parametrize("what", [Accepted, Refused, GivenUp, OutcomeUnknown], ids=in_words)
def test_the_head_is_not_blamed_for_what_is_told_before_it(what: type[Happened]) -> None:
    """Strikes against one thing that is told do not count against the next, nor against the event at the head."""
    lane = lane_in(S.TELLING, what)
    lane.strikes = 3
    advance(lane, HAPPENED[what])
    assert lane.strikes == 0
    assert lane.told_count == 1


def test_what_was_open_is_told_in_the_new_session() -> None:
    """After an opening in place of a lost one, what was open waits to be told, and is still remembered."""
    lane = lane_in(S.REOPENING, Opened)
    advance(lane, HAPPENED[Opened])
    head = lane.waiting[0]
    assert lane.to_tell == [PlayerEvent(E.CHAPTER_START, head.playhead, head.ts, params=CHAPTER.params)]
    assert lane.playback is not None
    assert lane.playback.chapter == CHAPTER
    assert (lane.session_id, lane.openings) == (NEW, 1)


def test_a_session_that_begins_again_forgets_what_was_open() -> None:
    """A sessionStart begins with nothing open, whatever was open before."""
    lane = lane_in(S.OPENING, Opened)
    lane.remember(PlayerEvent(E.CHAPTER_START, 1.0, 1, params=CHAPTER.params))
    advance(lane, HAPPENED[Opened])
    assert (lane.playback, lane.to_tell, lane.openings) == (None, [], 0)
    assert (lane.last_playhead, lane.last_ts) == (12.5, 1_700_000_000_007)


def test_the_first_session_of_a_key_is_told_from_a_later_one() -> None:
    """The cause of an opening is `first` once per key, then `restarted`."""
    lane = lane_in(S.OPENING, Opened)
    lane.had_session = False
    assert advance(lane, HAPPENED[Opened])[0] == Announce(lane, Change.OPENED, Cause.FIRST)
    assert lane.had_session


def test_a_parked_session_keeps_what_it_takes_to_go_on() -> None:
    """Its start and what was open stay, so that a replay can open it again and tell it."""
    lane = lane_in(S.LOST, Parked)
    advance(lane, HAPPENED[Parked])
    assert lane.start == START
    assert lane.playback is not None
    assert lane.playback.chapter == CHAPTER


def test_an_event_that_was_never_tried_has_no_time_of_its_first_try() -> None:
    """A dead letter tells of tries only where there were some."""
    lane = lane_in(S.ABSENT, NextEvent)
    lane.attempts = 0
    (command,) = advance(lane, HAPPENED[NextEvent])
    assert isinstance(command, SetAside)
    assert (command.attempts, command.first_tried_at) == (0, 0.0)


def test_what_the_dialect_has_no_words_for_has_its_own_reason() -> None:
    """A refusal that never left is set aside with the reason that it brings, by a start or by an event."""
    for state, after in ((S.SENDING, S.READY), (S.OPENING, S.REFUSED)):
        lane = lane_in(state, Refused)
        command, *_ = advance(lane, Refused(0, "$.params", Reason.UNTRANSLATABLE))
        assert isinstance(command, SetAside)
        assert (command.reason, command.status, command.detail) == (Reason.UNTRANSLATABLE, 0, "$.params")
        assert lane.state is after


def test_what_the_opening_gave_comes_back_with_each_event() -> None:
    """A route that came with the id goes out with everything that is sent to the session, until another is opened."""
    lane = lane_in(S.JOINING, Opened)
    advance(lane, Opened(NEW, route="or2"))
    (sent,) = advance(lane, NextEvent())
    assert sent == SendEvent(lane, NEW, lane.waiting[0], "or2")
    advance(lane, Lost(404))
    advance(lane, NextEvent())
    advance(lane, Opened(NEW))
    (again,) = advance(lane, NextEvent())
    assert again == SendEvent(lane, NEW, lane.waiting[0], "")

"""Events that were set aside come again: their session is opened from its start, and every play is counted once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from relay.core.commands import Cause, OpenSession
from relay.core.events import Details, EventType, Record, SessionKey
from relay.core.inputs import Lost, NextUnknown, Refused, TryAgain, Unreadable
from relay.core.lane import State
from relay.core.memoir import read, write
from relay.core.reasons import Reason
from relay.core.replays import (
    END_HEADER,
    ORIGIN_HEADER,
    ROUND_HEADER,
    START_HEADER,
    end_header,
    end_of,
    next_again,
    replay_of,
    start_header,
)
from relay.core.starts import Starts

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Driver

E = EventType
FILM = Details(params=b'{"media.id":"film"}', custom_metadata=b'{"plan":"gold"}')
FIRST_ROUND = ((ROUND_HEADER, b"1"),)
RESUMES = (*FIRST_ROUND, (START_HEADER, start_header(FILM, resume=True)))
BEGINS = (*FIRST_ROUND, (START_HEADER, start_header(FILM, resume=False)))


def end_replay(driver: Driver, key: str = "a", playhead: float = 99.5) -> int:
    """The record that ends a replay comes in, and no input can read it."""
    offset = 1_000
    record = Record(offset, key=key.encode(), headers=((END_HEADER, end_header(SessionKey(key), playhead=playhead, ts=7)),))
    driver.handle(Unreadable(driver.assignment, record, Reason.EMPTY_VALUE, "", SessionKey(key)))
    return offset


def ended(driver: Driver) -> None:
    """The session of `a` was played to its end."""
    driver.open("a")
    driver.arrive("a", E.SESSION_END)
    driver.accept()


def refused(driver: Driver) -> None:
    """The start of `a` was refused."""
    driver.arrive("a", E.SESSION_START)
    driver.answer(Refused(400))


def completed(driver: Driver) -> None:
    """The session of `a` was completed, and not ended."""
    driver.open("a")
    driver.arrive("a", E.SESSION_COMPLETE)
    driver.accept()


def unknown(driver: Driver) -> None:
    """Nobody knows `a`."""


@pytest.mark.parametrize("before", [ended, refused, unknown])
def test_a_session_that_is_gone_is_opened_with_the_start_that_was_brought(driver: Driver, before: Callable[[Driver], None]) -> None:
    """The play was counted before, so it is resumed; then the events go as always."""
    before(driver)
    since = len(driver.calls)
    driver.arrive("a", E.PING, headers=RESUMES)
    driver.arrive("a", E.PLAY, headers=FIRST_ROUND)
    driver.accept(3)
    assert driver.sent(since=since) == ["open again", "ping", "play"]
    opening = driver.calls[since]
    assert isinstance(opening, OpenSession)
    assert (opening.cause, opening.start.custom_metadata) == (Cause.REPLAYED, FILM.custom_metadata)
    assert driver.announced[-1].detail == Cause.REPLAYED


@pytest.mark.parametrize("before", [ended, refused, unknown])
def test_a_play_that_was_never_counted_is_not_resumed(driver: Driver, before: Callable[[Driver], None]) -> None:
    """When the API has never accepted the start, the session that is opened is its first."""
    before(driver)
    since = len(driver.calls)
    driver.arrive("a", E.PING, headers=BEGINS)
    driver.accept(2)
    assert driver.sent(since=since) == ["open", "ping"]


def test_a_start_that_was_refused_comes_again_as_it_was(driver: Driver) -> None:
    """Letters that begin with the sessionStart need nothing else."""
    refused(driver)
    driver.arrive("a", E.SESSION_START, E.PING, headers=FIRST_ROUND)
    driver.accept(2)
    assert driver.sent(since=1) == ["open", "ping"]


def test_without_a_start_the_event_is_set_aside_again(driver: Driver) -> None:
    """There is nothing that could be opened, and the reason says what is missing."""
    ended(driver)
    driver.arrive("a", E.PING, headers=FIRST_ROUND)
    assert driver.reasons()[-1][1] == Reason.NO_SESSION_START
    assert driver.lane("a").state is State.ENDED


def test_without_a_mark_late_is_late(driver: Driver) -> None:
    """A player's own late event opens nothing, whatever other headers it has."""
    ended(driver)
    driver.arrive("a", E.PING, headers=(("trace", b"1"), (START_HEADER, start_header(FILM, resume=True)), (ROUND_HEADER, b"x")))
    assert driver.reasons()[-1][1] == Reason.AFTER_END


def test_a_parked_session_goes_on_with_what_it_knows(driver: Driver) -> None:
    """Over a restart, too: it is resumed, told what was open, and then hears what was set aside."""
    lane = driver.open("a")
    driver.arrive("a", E.CHAPTER_START, params=b'{"media.chapter.index":1}')
    driver.accept()
    lane.state, lane.session_id = State.PARKED, None
    driver.router.sessions_open -= 1
    memoir = read(write(lane) or b"")
    driver.revoke()
    driver.assign()
    driver.router.restore(driver.assignment, SessionKey("a"), memoir, driver.now)
    since = len(driver.calls)
    driver.arrive("a", E.PING, headers=FIRST_ROUND)
    driver.arrive("a", E.PING)
    driver.accept(4)
    assert driver.sent(since=since) == ["open again", "chapterStart", "ping", "ping"]


def test_an_event_of_a_completed_session_goes_to_another_one(driver: Driver) -> None:
    """Nothing but its end may follow a sessionComplete, so what comes again needs a session of its own, which the end then ends."""
    completed(driver)
    since = len(driver.calls)
    driver.arrive("a", E.ERROR, E.SESSION_END, headers=FIRST_ROUND)
    driver.accept(3)
    assert driver.sent(since=since) == ["open again", "error", "sessionEnd"]


def test_the_end_of_a_replay_ends_the_session(driver: Driver) -> None:
    """No play is left open: the API session that was opened for a replay ends where the last event left it."""
    ended(driver)
    driver.arrive("a", E.PING, headers=RESUMES)
    driver.accept(2)
    offset = end_replay(driver)
    assert driver.sent()[-1] == "sessionEnd"
    driver.accept()
    assert driver.lane("a").state is State.ENDED
    assert driver.finished[-1] == offset
    assert driver.assignment.ledger.outstanding_count == 0


@pytest.mark.parametrize("before", [ended, refused, unknown])
def test_where_nothing_is_open_the_end_of_a_replay_is_done(driver: Driver, before: Callable[[Driver], None]) -> None:
    """It is no event of a player: it is neither sent nor set aside."""
    before(driver)
    calls, asides = len(driver.calls), len(driver.aside)
    offset = end_replay(driver)
    assert (len(driver.calls), len(driver.aside)) == (calls, asides)
    assert driver.finished[-1] == offset


def test_a_session_that_is_open_hears_what_comes_again_as_any_event(driver: Driver) -> None:
    """No other session is opened, whatever the mark says."""
    driver.open("a")
    driver.arrive("a", E.PING, headers=RESUMES)
    driver.accept()
    assert driver.sent() == ["open", "ping"]


def test_a_failed_opening_of_a_replay_is_tried_again_for_the_same_cause(driver: Driver) -> None:
    """And one that is lost later is lost."""
    ended(driver)
    driver.arrive("a", E.PING, headers=RESUMES)
    driver.answer(TryAgain("status_503", 503))
    driver.wake()
    driver.accept()
    assert driver.announced[-1].detail == Cause.REPLAYED
    driver.answer(Lost(410))
    driver.accept()
    assert driver.announced[-1].detail == Cause.LOST


def test_a_mark_that_is_damaged_is_none() -> None:
    """Whatever a header holds, it ends as a mark or as none."""
    assert replay_of(Record(0, headers=((ROUND_HEADER, b"-1"),))) is None
    assert replay_of(Record(0, headers=((ROUND_HEADER, None),))) is None
    for value in (b"", b"[]", b'{"params":7}', b'{"params":{"a":}}', b"\xff", b'{"params":{}, "resume":"yes"}'):
        replay = replay_of(Record(0, headers=((ROUND_HEADER, b"2"), (START_HEADER, value))))
        assert replay is not None
        assert (replay.round, replay.start) == (2, None)
        assert end_of(Record(0, headers=((END_HEADER, value),))) is None
    end = (END_HEADER, end_header(SessionKey("a"), playhead=1, ts=2))
    assert end_of(Record(0, value=b"{}", headers=(end,))) is None, "an event of a player is never taken for an end"


def test_an_end_that_was_read_is_finished_once(driver: Driver) -> None:
    """It has its place in the log like any record."""
    driver.open("a")
    end_replay(driver)
    driver.accept()
    assert [command for command in driver.finished if command == 1_000] == [1_000]


def test_the_headers_of_a_replay_stay_as_they_are() -> None:
    """They stand in topics, where another version of the relay may have written them, or may read them."""
    assert (ROUND_HEADER, ORIGIN_HEADER, START_HEADER, END_HEADER) == ("relay.replay", "relay.origin", "relay.start", "relay.replay_end")
    assert start_header(FILM, resume=True) == b'{"params":{"media.id":"film"},"customMetadata":{"plan":"gold"},"resume":true}'
    assert start_header(Details(), resume=False) == b'{"resume":false}'


@pytest.mark.parametrize("details", [FILM, Details(), Details(params=FILM.params), Details(custom_metadata=FILM.custom_metadata)])
@pytest.mark.parametrize("resume", [True, False])
def test_a_start_that_is_brought_says_what_it_said(details: Details, *, resume: bool) -> None:
    """With params or without, and whether its play was counted."""
    replay = replay_of(Record(1, headers=((ROUND_HEADER, b"2"), (START_HEADER, start_header(details, resume=resume)))))
    assert replay is not None
    assert replay.start is not None
    assert (replay.round, replay.start.details, replay.start.resume) == (2, details, resume)


def test_a_play_counts_as_never_counted_unless_it_is_said() -> None:
    """To resume what was never begun would lose a play; to begin once more what has been counted needs somebody to have said so."""
    replay = replay_of(Record(1, headers=((ROUND_HEADER, b"1"), (START_HEADER, b'{"params":{"media.id":"film"}}'))))
    assert replay is not None
    assert replay.start is not None
    assert not replay.start.resume


def test_an_opening_that_failed_counts_nothing(driver: Driver) -> None:
    """A play that was never counted is opened as a new one on the second try, too."""
    driver.arrive("a", E.PING, headers=BEGINS)
    driver.answer(TryAgain("status_503", 503))
    driver.wake()
    driver.accept(2)
    assert driver.sent() == ["open", "open", "ping"]


def test_an_end_that_comes_again_ends_the_completed_session(driver: Driver) -> None:
    """It is still open for just that."""
    completed(driver)
    since = len(driver.calls)
    driver.arrive("a", E.SESSION_END, headers=RESUMES)
    driver.accept()
    assert driver.sent(since=since) == ["sessionEnd"]


def test_an_event_may_bring_its_start_itself(make_driver: Callable[..., Driver]) -> None:
    """Where sessions may be joined, what an event says of its start opens a session for it, as it would the first time."""
    driver = make_driver(starts=Starts(required=frozenset({"media.id"})))
    ended(driver)
    since = len(driver.calls)
    driver.arrive("a", E.PING, headers=FIRST_ROUND, start=FILM)
    driver.accept(2)
    assert driver.sent(since=since) == ["open", "ping"]


def test_who_was_parked_before_it_was_opened_knows_no_start(driver: Driver) -> None:
    """What comes again brings it, or is set aside again."""
    driver.arrive("a", E.SESSION_START)
    driver.answer(TryAgain("status_503", 503))
    lane = driver.lane("a")
    lane.forget_session()
    lane.state = State.PARKED
    assert next_again(lane, lane.waiting[0], Starts(required=frozenset())) is None, "it comes for the first time"
    again = msgspec.structs.replace(lane.waiting[0], record=Record(9, headers=FIRST_ROUND))
    assert next_again(lane, again, Starts(required=frozenset({"media.id"}))) == NextUnknown()


def test_a_record_that_says_nothing_is_no_end() -> None:
    """Only its header makes it one, and only where no value says something else."""
    end = (END_HEADER, end_header(SessionKey("a"), playhead=1.5, ts=7))
    assert end_of(Record(1, key=b"a")) is None
    assert end_of(Record(1, key=b"a", value=b"{}", headers=(end,))) is None
    assert end_of(Record(1, key=b"a", headers=(end,))) is not None

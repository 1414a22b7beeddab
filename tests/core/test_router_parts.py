"""Records that say several things, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay.core.assignment import Assignment
from relay.core.events import Details, EventType, Record, SessionKey
from relay.core.inputs import Lost, Refused, SaysNothing, TryAgain
from relay.core.lane import Lane
from relay.core.memoir import ASIDES_MAX, NoMemoir, read, write
from relay.core.pressure import Limits
from relay.core.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Driver

E = EventType


def test_parts_leave_in_their_order_and_finish_their_record_together(driver: Driver) -> None:
    """They stand in the lane one behind the other, and the offset is safe once the last of them was taken."""
    driver.open()
    driver.arrive_in_parts("a", E.AD_SKIP, E.AD_BREAK_COMPLETE, E.PLAY)
    driver.arrive("a", E.PING)
    for done in range(3):
        assert driver.assignment.ledger.safe == 1, done
        driver.accept()
    assert driver.assignment.ledger.safe == 2
    driver.accept()
    assert driver.sent() == ["open", "adSkip", "adBreakComplete", "play", "ping"]


def test_a_record_may_begin_a_session_and_say_more(driver: Driver) -> None:
    """The opening is its first part."""
    driver.arrive_in_parts("a", E.SESSION_START, E.PLAY)
    driver.accept()
    assert driver.assignment.ledger.safe == 0
    driver.accept()
    assert driver.assignment.ledger.safe == 1


def test_a_record_may_end_a_session_and_begin_another(driver: Driver) -> None:
    """One lane, two API sessions."""
    driver.open()
    driver.arrive_in_parts("a", E.SESSION_END, E.SESSION_START, E.PLAY)
    driver.accept_all()
    assert driver.sent() == ["open", "sessionEnd", "open", "play"]
    assert driver.assignment.ledger.safe == 2


def test_a_part_that_finds_its_session_gone_goes_again(driver: Driver) -> None:
    """Only that part: those before it were taken."""
    driver.open()
    driver.arrive_in_parts("a", E.CHAPTER_START, E.PING, E.PLAY)
    driver.accept()
    driver.answer(Lost(410))
    driver.accept_all()
    assert driver.sent() == ["open", "chapterStart", "ping", "open again", "chapterStart", "ping", "play"]


def test_one_letter_holds_the_whole_record(driver: Driver) -> None:
    """It names the part that was set aside first; the others go out, or are in the same letter."""
    driver.stores_aside = False
    driver.open()
    offset = driver.arrive_in_parts("a", E.PLAY, E.ERROR, E.PING, E.BITRATE_CHANGE)
    driver.accept()
    driver.answer(Refused(400, "no"))
    driver.accept()
    driver.answer(Refused(400, "no"))
    assert [(aside.record.offset, aside.detail) for aside in driver.aside] == [(offset, "part 2 of 4, error: no")]
    assert driver.sent() == ["open", "play", "error", "ping", "bitrateChange"]
    assert driver.assignment.ledger.safe == offset
    driver.store_aside(offset)
    assert driver.assignment.ledger.safe == offset + 1


def test_a_letter_that_is_confirmed_early_waits_for_the_other_parts(driver: Driver) -> None:
    """The offset is finished with the last of the two."""
    driver.open()
    offset = driver.arrive_in_parts("a", E.ERROR, E.PLAY, E.ERROR)
    driver.answer(Refused(400))  # and its letter is confirmed at once
    assert driver.assignment.ledger.safe == offset
    driver.accept()
    driver.answer(Refused(400))
    assert driver.assignment.ledger.safe == offset + 1
    assert driver.reasons() == [(offset, "rejected")]


def test_parts_of_a_session_that_was_refused_share_a_letter(driver: Driver) -> None:
    """The start is refused, and what the same record says besides has no session to go to."""
    offset = driver.arrive_in_parts("a", E.SESSION_START, E.PLAY)
    driver.answer(Refused(400))
    assert driver.reasons() == [(offset, "rejected")]
    assert driver.assignment.ledger.safe == offset + 1


def test_a_restart_goes_on_behind_the_parts_that_have_left(driver: Driver) -> None:
    """No part that was delivered and written down is repeated."""
    driver.open()
    offset = driver.arrive_in_parts("a", E.AD_SKIP, E.AD_BREAK_COMPLETE, E.PLAY)
    driver.accept(2)
    driver.restart(from_offset=offset)
    since = len(driver.calls)
    driver.arrive_in_parts("a", E.AD_SKIP, E.AD_BREAK_COMPLETE, E.PLAY)
    driver.accept_all()
    assert driver.sent(since=since) == ["play"]
    assert driver.assignment.ledger.safe == offset + 1


@pytest.mark.parametrize("end", [E.SESSION_END, E.SESSION_COMPLETE])
@pytest.mark.parametrize("is_answered", [False, True])
def test_a_restart_while_the_next_session_is_not_open_repeats_no_end(driver: Driver, end: EventType, *, is_answered: bool) -> None:
    """A record ends one session and begins another: while the other waits to be opened, the memoir says that the end has left."""
    driver.open()
    offset = driver.arrive_in_parts("a", end, E.SESSION_START, E.PLAY)
    driver.accept()
    if is_answered:
        driver.answer(TryAgain("status_503", 503))
    driver.restart(from_offset=offset)
    since = len(driver.calls)
    driver.arrive_in_parts("a", end, E.SESSION_START, E.PLAY)
    driver.accept_all()
    assert driver.sent(since=since) == ["open", "play"]
    assert driver.reasons() == []
    assert driver.assignment.ledger.safe == offset + 1


@pytest.mark.parametrize("is_stored", [False, True])
def test_a_restart_knows_whether_the_letter_of_a_split_record_was_written(driver: Driver, *, is_stored: bool) -> None:
    """One that was not confirmed is written again; one that was is not, whatever becomes of the other parts."""
    driver.stores_aside = False
    driver.open()
    offset = driver.arrive_in_parts("a", E.ERROR, E.PLAY, E.ERROR)
    driver.answer(Refused(400))
    if is_stored:
        driver.store_aside(offset)
    driver.restart(from_offset=offset)
    driver.arrive_in_parts("a", E.ERROR, E.PLAY, E.ERROR)
    driver.accept()
    driver.answer(Refused(400))
    assert driver.reasons() == [(offset, "rejected")] * (1 if is_stored else 2)
    if not is_stored:
        assert driver.assignment.ledger.safe == offset
        driver.store_aside(offset)
    assert driver.assignment.ledger.safe == offset + 1


@pytest.mark.parametrize("kinds", [(E.AD_SKIP, E.AD_BREAK_COMPLETE), (E.PLAY,)])
def test_a_record_that_says_less_after_a_restart_is_finished(driver: Driver, kinds: tuple[EventType, ...]) -> None:
    """The mapping was changed meanwhile: what has left has left."""
    driver.open()
    offset = driver.arrive_in_parts("a", E.AD_SKIP, E.AD_BREAK_COMPLETE, E.PLAY)
    driver.accept(2)
    driver.restart(from_offset=offset)
    if len(kinds) == 1:
        driver.arrive("a", *kinds)
    else:
        driver.arrive_in_parts("a", *kinds)
    assert driver.flying == []
    assert driver.skipped == [offset]
    assert driver.lane().split is None, "nothing is left to go on with"
    assert driver.assignment.ledger.safe == offset + 1
    driver.arrive("a", E.PING)
    driver.accept()
    assert driver.assignment.ledger.safe == offset + 2


def test_a_split_record_whose_letter_would_be_forgotten_comes_again_whole(driver: Driver) -> None:
    """A memoir names so many letters; parts of a record beyond them are sent again rather than lost."""
    driver.stores_aside = False
    driver.open()
    driver.arrive("a", *[E.ERROR] * ASIDES_MAX)
    for _ in range(ASIDES_MAX):
        driver.answer(Refused(400))
    driver.arrive_in_parts("a", E.ERROR, E.PLAY)
    driver.answer(Refused(400))
    assert read(write(driver.lane()) or b"").split is None


def test_an_end_with_more_behind_it_is_remembered(driver: Driver) -> None:
    """The memoir of the ended session says how much of the record has left."""
    driver.open()
    offset = driver.arrive_in_parts("a", E.SESSION_END, E.SESSION_START)
    driver.accept()
    assert driver.remembered[-1] is driver.lane()
    memoir = read(write(Lane(SessionKey("a"), Assignment("events", 0))) or write(driver.lane()) or b"{}") if not driver.flying else None
    assert memoir is None, "the opening is under way"
    driver.answer(TryAgain("status_503", 503))
    driver.accept_all()
    driver.wake()
    driver.accept_all()
    assert driver.sent().count("sessionEnd") == 1
    assert driver.assignment.ledger.safe == offset + 1


def test_parts_count_as_events_and_their_record_once(make_driver: Callable[..., Driver]) -> None:
    """At its limit a session pauses the source, however the events came; the books are checked at each step."""
    driver = make_driver(limits=Limits(session_events_max=3))
    driver.open()
    driver.arrive_in_parts("a", E.PLAY, E.PING)
    assert not driver.router.buffer.is_full
    driver.arrive_in_parts("a", E.PING, E.PING, E.PING)
    assert driver.router.buffer.is_full
    driver.accept_all()
    assert not driver.router.buffer.is_full
    driver.arrive_in_parts("a", E.PING, E.PING)
    driver.revoke()
    assert (driver.router.buffer.event_count, driver.router.buffer.byte_count) == (0, 0)


def test_an_unknown_session_is_joined_from_a_part(make_driver: Callable[..., Driver]) -> None:
    """Its first part opens the session with what a start would have said."""
    from relay.core.starts import Starts  # noqa: PLC0415  # here only

    driver = make_driver(starts=Starts(required=frozenset({"media.id"})))
    driver.arrive_in_parts("a", E.PLAY, E.PING, start=Details(b'{"media.id":"film"}'))
    driver.accept_all()
    assert driver.sent() == ["open", "play", "ping"]


def test_what_says_nothing_is_finished_at_once(driver: Driver) -> None:
    """By the rule that left it out; it waits for nobody and delays nobody."""
    record = Record(0, key=b"a", value=b"{}")
    driver.handle(SaysNothing(driver.assignment, record, "heartbeat"))
    driver.handle(SaysNothing(driver.assignment, record, "heartbeat"))
    assert driver.dropped == [(0, "heartbeat")]
    assert driver.assignment.ledger.safe == 1


@pytest.mark.parametrize("split", ["[1,0,0]", "[1,1,3]", "[1,1]", '"x"', "[1,-1,0]"])
def test_a_split_that_cannot_be_is_no_memoir(split: str) -> None:
    """Nothing is believed of it."""
    value = b'{"v":1,"at":5,"done":4,"standing":"ended","split":%s}' % split.encode()
    with pytest.raises(NoMemoir):
        read(value)


def test_a_new_log_knows_no_split_record(driver: Driver) -> None:
    """A topic that was created again begins at its first part."""
    driver.open()
    driver.arrive_in_parts("a", E.AD_SKIP, E.PLAY)
    driver.accept()
    memoir = read(write(driver.lane()) or b"")
    assert memoir.split == (1, 1, 0)
    assignment = Assignment("events", 3, is_new_log=True)
    driver.router.restore(assignment, SessionKey("a"), memoir, driver.now)
    assert assignment.lanes[SessionKey("a")].split is None


def test_a_stale_split_harms_no_later_letter(driver: Driver) -> None:
    """A record that was split, and that nobody can read after a restart, is finished with its dead letter."""
    from relay.core.inputs import Unreadable  # noqa: PLC0415  # here only

    driver.stores_aside = False
    driver.open()
    offset = driver.arrive_in_parts("a", E.AD_SKIP, E.PLAY)
    driver.accept()
    driver.restart(from_offset=offset)
    driver.handle(Unreadable(driver.assignment, Record(offset, key=b"a", value=b"?"), Reason.NOT_JSON, key=SessionKey("a")))
    driver.store_aside(offset)
    assert driver.assignment.ledger.safe == offset + 1

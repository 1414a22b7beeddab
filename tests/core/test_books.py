"""The account of what waits: at which place of a log it begins, what it weighs, and that all of it comes back to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay.core.assignment import Assignment
from relay.core.books import EVENT_OVERHEAD_BYTES, size_of
from relay.core.events import EventType, Record, SessionKey
from relay.core.inputs import Accepted, Assigned, Refused
from relay.core.ledger import Ledger
from relay.core.memoir import read, write
from relay.core.sequence import Order, Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Driver

E = EventType


def test_the_committed_offset_belongs_to_the_log_that_was_committed(driver: Driver) -> None:
    """The first record that is read after a restart stands there: receipts and memoirs speak of it."""
    driver.open()
    memoir = read(write(driver.lane()) or b"")
    assignment = Assignment("events", 1, ledger=Ledger(((6, 7),)), starts_at=5)
    driver.handle(Assigned(assignment))
    driver.assignment = assignment
    driver.router.restore(assignment, SessionKey("a"), memoir, driver.now)
    driver._offsets["events", 1] = 5
    driver.arrive("a", E.PING, E.PING, E.PING)
    driver.accept_all()
    assert driver.skipped == [6]
    assert not assignment.is_new_log


def test_a_log_begins_anew_once(driver: Driver) -> None:
    """What was learned of the new one stays, though its offsets are still below the one that was committed in the old."""
    driver.open()
    memoir = read(write(driver.lane()) or b"")
    assignment = Assignment("events", 1, starts_at=1_000)
    driver.handle(Assigned(assignment))
    driver.assignment = assignment
    driver.arrive("a", E.SESSION_START)
    driver.accept()
    driver.arrive_in_parts("a", E.CHAPTER_START, E.PLAY)
    driver.accept()
    driver._offsets["events", 1] = 0
    driver.arrive("a", E.SESSION_START)  # read again
    driver._offsets["events", 1] = 2
    driver.arrive("a", E.PING)
    assert read(write(driver.lane()) or b"").split == (1, 1, 0), "of the record at the head, one part has left"
    driver.accept_all()
    assert driver.sent()[1:] == ["open", "chapterStart", "play", "ping"]
    assert assignment.ledger.safe == 3
    driver.router.restore(assignment, SessionKey("late"), memoir, driver.now)
    assert assignment.lanes[SessionKey("late")].last_offset == -1, "the places that memoirs name are those of the old log"


def test_a_new_log_knows_no_record_that_has_left_in_part(driver: Driver) -> None:
    """A memoir tells of one in the old log: what stands at its offset now is sent from its first part."""
    driver.open()
    driver.arrive_in_parts("a", E.AD_SKIP, E.PLAY)
    driver.accept()
    memoir = read(write(driver.lane()) or b"")
    assert memoir.split == (1, 1, 0)
    assignment = Assignment("events", 1, starts_at=1_000)
    driver.handle(Assigned(assignment))
    driver.router.restore(assignment, SessionKey("a"), memoir, driver.now)
    driver.revoke()
    driver.flying.clear()
    driver._checks_books = False  # that call never ends
    driver.assignment = assignment
    since = len(driver.calls)
    driver.arrive("b", E.SESSION_START)
    driver.arrive_in_parts("a", E.CHAPTER_START, E.PAUSE_START)
    driver.accept(2, key="a")
    assert driver.sent(since=since) == ["chapterStart", "pauseStart"]


def test_a_record_weighs_what_its_key_and_value_do() -> None:
    """Either may be missing; an event costs something besides."""
    assert size_of(Record(0)) == EVENT_OVERHEAD_BYTES
    assert size_of(Record(0, key=b"abc")) == EVENT_OVERHEAD_BYTES + 3
    assert size_of(Record(0, value=b"abcde")) == EVENT_OVERHEAD_BYTES + 5
    assert size_of(Record(0, key=b"abc", value=b"abcde")) == EVENT_OVERHEAD_BYTES + 8


def test_what_waits_in_parts_for_its_place_is_counted_out_with_its_partition(make_driver: Callable[..., Driver]) -> None:
    """All of its events, and its record once."""
    driver = make_driver(order=Order(policy=Policy.REORDER))
    driver.say(E.SESSION_START, 1)
    driver.accept_all()
    driver.arrive_in_parts("a", E.CHAPTER_START, E.PLAY, E.PING)
    driver.arrive_in_parts("a", E.PING, E.PING)
    assert driver.router.buffer.event_count == 5
    driver.revoke()
    assert (driver.router.buffer.event_count, driver.router.buffer.byte_count) == (0, 0)


OK, NO = Accepted(), Refused(400)


@pytest.mark.parametrize("stores_aside", [False, True])
@pytest.mark.parametrize("answers", [(OK, OK, OK), (OK, NO, OK), (NO, OK, OK), (OK, OK, NO), (NO, OK, NO), (NO, NO, NO)])
def test_whatever_becomes_of_a_record_in_parts_the_sum_is_right(
    driver: Driver, answers: tuple[Accepted | Refused, ...], *, stores_aside: bool
) -> None:
    """Each part that leaves is an outcome, and so is a letter: what these are beyond one for each record is known."""
    driver.stores_aside = stores_aside
    assert driver.router.extra_outcomes == 0
    driver.open()
    offset = driver.arrive_in_parts("a", E.ERROR, E.PING, E.BITRATE_CHANGE)
    driver.answer(*answers)
    if driver.aside and not stores_aside:
        driver.store_aside(offset)
    assert driver.assignment.ledger.safe == 2
    assert len(driver.finished) + len(driver.aside) == 2 + driver.router.extra_outcomes


def test_a_letter_is_that_of_its_own_record(driver: Driver) -> None:
    """One that is confirmed while parts of a later record still wait finishes the record that it holds."""
    driver.stores_aside = False
    driver.open()
    driver.arrive("a", E.ERROR)
    driver.answer(NO)
    driver.arrive_in_parts("a", E.CHAPTER_START, E.PLAY)
    driver.accept()
    driver.store_aside(1)
    assert driver.assignment.ledger.safe == 2
    driver.accept()
    assert driver.assignment.ledger.safe == 3

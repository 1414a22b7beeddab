"""What a restart may believe of what was written before it: receipts of another log, and a telling that was cut short."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.core.assignment import Assignment
from relay.core.events import EventType, Record, SessionKey
from relay.core.inputs import Assigned, Lost, TryAgain, Unreadable
from relay.core.ledger import Ledger
from relay.core.memoir import read, write
from relay.core.reasons import Reason

if TYPE_CHECKING:
    from conftest import Driver

E = EventType


def test_a_new_log_owes_nothing_to_old_receipts(driver: Driver) -> None:
    """A topic that was created again reaches the offsets that a receipt of the old one calls finished: they are events like any other."""
    assignment = Assignment("events", 1, ledger=Ledger(((3, 1_000),)), starts_at=2)
    driver.handle(Assigned(assignment))
    driver.arrive("a", E.SESSION_START, *[E.PING] * 9, assignment=assignment)
    driver.accept_all()
    driver.handle(Unreadable(assignment, Record(10, value=b"?"), Reason.NOT_JSON))
    assert driver.skipped == []
    assert driver.finished == list(range(10))
    assert driver.reasons() == [(10, "not_json")]
    assert assignment.ledger.safe == 11


def test_a_telling_goes_on_where_it_was_cut_short(driver: Driver) -> None:
    """What the new session has heard before a restart is not told to it once more."""
    driver.open()
    driver.arrive("a", E.CHAPTER_START, E.AD_BREAK_START, E.PLAY)
    driver.accept_all()
    driver.arrive("a", E.PING)
    driver.answer(Lost(404))
    driver.accept(2)  # the opening, and the chapter
    memoir = read(write(driver.lane()) or b"")
    driver.revoke()
    again = driver.assign(from_offset=4)
    driver.router.restore(again, SessionKey("a"), memoir, driver.now)
    since = len(driver.calls)
    driver.arrive("a", E.PING)
    driver.accept_all()
    assert driver.sent(since=since) == ["adBreakStart", "play", "ping"]


def test_that_a_session_is_over_is_known_while_the_next_is_not_open(driver: Driver) -> None:
    """Its memoir says so, and keeps what was derived so far: else a restart would end the old one once more, before the next."""
    driver.open()
    driver.arrive("a", E.SESSION_END)
    driver.accept()
    driver.arrive("a", E.SESSION_START)
    for is_answered in (False, True):
        if is_answered:
            driver.answer(TryAgain("status_503", 503))
        written = write(driver.lane())
        assert written is not None
        assert read(written).standing == "ended"
        assert read(written).id == ""

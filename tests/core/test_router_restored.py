"""What the router takes up from memoirs: which of two counts, how a telling goes on, and what odd ones do no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay.core.events import EventType, SessionKey
from relay.core.inputs import Lost, Refused
from relay.core.memoir import Memoir, read, write

if TYPE_CHECKING:
    from conftest import Driver

E = EventType
KEY = SessionKey("a")


def memoir_of(driver: Driver) -> Memoir:
    """What would be read back if it were written now."""
    return read(write(driver.lane()) or b"")


def take_up(driver: Driver, *memoirs: Memoir, from_offset: int) -> None:
    """The partition is given back, with these memoirs."""
    driver.revoke()
    again = driver.assign(from_offset=from_offset)
    for memoir in memoirs:
        driver.router.restore(again, KEY, memoir, driver.now)


def lost(driver: Driver) -> None:
    """A session in which a chapter is open and something plays is gone, and another is open in its place."""
    driver.open()
    driver.arrive("a", E.CHAPTER_START, E.PLAY)
    driver.accept_all()
    driver.arrive("a", E.PING)
    driver.answer(Lost(404))
    driver.accept()


def test_of_two_memoirs_with_one_place_the_one_that_was_written_last_counts(driver: Driver) -> None:
    """A session may be opened again, and told, without a step in the log."""
    lost(driver)
    early = memoir_of(driver)
    driver.accept()
    late = memoir_of(driver)
    assert early.at == late.at
    take_up(driver, early, late, from_offset=3)
    since = len(driver.calls)
    driver.arrive("a", E.PING)
    driver.accept_all()
    assert driver.sent(since=since) == ["play", "ping"], "the chapter was told before"


def test_what_is_opened_after_a_telling_is_told_to_nobody(driver: Driver) -> None:
    """The telling that a restart has cut short is over once it was done."""
    lost(driver)
    take_up(driver, memoir_of(driver), from_offset=3)
    since = len(driver.calls)
    driver.arrive("a", E.PING, E.AD_BREAK_START, E.PING)
    driver.accept_all()
    assert driver.sent(since=since) == ["chapterStart", "play", "ping", "adBreakStart", "ping"]


@pytest.mark.parametrize(
    ("memoir", "calls"),
    [
        (b'{"v":1,"at":0,"done":0,"standing":"open","id":"s","start":{},"untold":true}', ["ping"]),
        (b'{"v":1,"at":0,"done":0,"standing":"lost","start":{},"playing":"play","untold":true}', ["open again", "play", "ping"]),
    ],
    ids=["nothing is open", "there is no session"],
)
def test_a_telling_that_cannot_be_is_none(driver: Driver, memoir: bytes, calls: list[str]) -> None:
    """Whoever wrote that: the event goes, and what is open is told where a session is opened again."""
    take_up(driver, read(memoir), from_offset=1)
    driver.arrive("a", E.PING)
    driver.accept_all()
    assert driver.sent() == calls


def test_who_waits_for_a_letter_is_not_forgotten(driver: Driver) -> None:
    """Else a restart would neither know that its event was set aside nor why."""
    driver.stores_aside = False
    lane = driver.open()
    driver.arrive("a", E.PING)
    driver.answer(Refused(400))
    driver.now += 1e6
    assert driver.router.forget_idle(driver.assignment, driver.now) == []
    driver.store_aside(1)
    driver.carry_out(driver.router.forget_idle(driver.assignment, driver.now))
    assert driver.forgotten == [lane]


def test_a_session_restored_in_the_middle_of_the_telling_is_told_everything(driver: Driver) -> None:
    """Nobody knows how far the telling had got, so it begins again, before the event that waits."""
    lost(driver)
    take_up(driver, memoir_of(driver), from_offset=3)
    since = len(driver.calls)
    driver.arrive("a", E.PING)
    driver.accept_all()
    assert driver.sent(since=since)[-3:] == ["chapterStart", "play", "ping"]

"""What becomes of events that are too old when their turn comes, and of those whose answer was lost, where an operator has decided it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay.core.commands import Change
from relay.core.events import Details, EventType
from relay.core.inputs import Accepted, Lost, TryAgain
from relay.core.lane import State
from relay.core.patience import Rules
from relay.core.policies import skipped_when_unknown, too_old_by_kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Driver

E = EventType
BUSY = TryAgain("status_503", 503)
UNSURE = TryAgain("timeout", is_outcome_unknown=True)
OLD = 0.0  # appended a thousand seconds before the test begins


@pytest.fixture
def aging(make_driver: Callable[..., Driver]) -> Callable[..., Driver]:
    """For a router that looks at age: a minute is too old."""

    def make(**too_old: str) -> Driver:
        return make_driver(rules=Rules(age_seconds_max=60.0, too_old=too_old_by_kind(too_old)))

    return make


@pytest.fixture
def skipping(make_driver: Callable[..., Driver]) -> Callable[..., Driver]:
    """For a router that skips what may have been taken."""

    def make(*kinds: E) -> Driver:
        return make_driver(rules=Rules(skipped_when_unknown=skipped_when_unknown(dict.fromkeys(kinds, "skip"))))

    return make


# --- too old ------------------------------------------------------------------------------------------------------------------------


def test_by_default_an_old_event_is_sent(make_driver: Callable[..., Driver]) -> None:
    """Age alone is no reason."""
    driver = make_driver(rules=Rules(age_seconds_max=60.0))
    driver.open()
    driver.arrive("a", E.PING, appended_at=OLD)
    assert driver.sent() == ["open", "ping"]


def test_an_old_event_is_dropped_without_a_call(aging: Callable[..., Driver]) -> None:
    """It is finished for the ledger, and the next of its session goes."""
    driver = aging(ping="drop")
    driver.open()
    driver.arrive("a", E.PING, E.PING, E.PLAY, appended_at=OLD)
    assert driver.sent() == ["open", "play"]
    assert driver.dropped == [(1, "too_old"), (2, "too_old")]
    driver.accept()
    assert driver.assignment.ledger.safe == 4


def test_an_old_event_is_set_aside_by_its_kind(aging: Callable[..., Driver]) -> None:
    """Others of the same age go."""
    driver = aging(play="set_aside")
    driver.open()
    driver.arrive("a", E.PLAY, E.PING, appended_at=OLD)
    assert driver.reasons() == [(1, "too_old")]
    assert driver.aside[0].attempts == 0
    assert driver.sent() == ["open", "ping"]


def test_a_young_event_of_the_kind_goes(aging: Callable[..., Driver]) -> None:
    """The limit is one of age."""
    driver = aging(ping="drop")
    driver.open()
    driver.arrive("a", E.PING, appended_at=driver.now - 60.0)
    assert driver.sent() == ["open", "ping"]


def test_no_session_is_opened_for_what_is_dropped(aging: Callable[..., Driver]) -> None:
    """Neither for an event of an unknown session that brings its start, nor in place of a lost one."""
    driver = aging(ping="drop")
    driver.arrive("b", E.PING, start=Details(params=b'{"media.id":"film"}'), appended_at=OLD)
    driver.open()
    driver.arrive("a", E.PING)
    driver.answer(Lost(410), BUSY)
    driver.open("other")
    driver.now += 100.0
    driver.wake()
    assert (driver.sent("a"), driver.sent("b")) == (["open", "ping", "open again"], [])
    assert driver.dropped == [(0, "too_old"), (2, "too_old")]


def test_a_start_that_is_set_aside_takes_its_session_along(aging: Callable[..., Driver]) -> None:
    """What follows is set aside as of a session that was refused, until another start comes."""
    driver = aging(sessionStart="set_aside")
    driver.arrive("a", E.SESSION_START, E.PLAY, appended_at=OLD)
    assert driver.reasons() == [(0, "too_old"), (1, "session_refused")]
    driver.arrive("a", E.SESSION_START)
    assert driver.sent() == ["open"]


def test_an_old_start_does_not_leave_the_session_before_it_open(aging: Callable[..., Driver]) -> None:
    """That one is ended first, as for any other start."""
    driver = aging(sessionStart="set_aside")
    driver.open()
    driver.arrive("a", E.SESSION_START, appended_at=OLD)
    assert driver.sent() == ["open", "sessionEnd"]
    driver.accept()
    assert driver.reasons() == [(1, "too_old")]
    assert (driver.lane().state, driver.router.sessions_open) == (State.REFUSED, 0)


def test_what_would_be_set_aside_anyway_keeps_its_reason(aging: Callable[..., Driver]) -> None:
    """Age counts where a call would be made."""
    driver = aging(ping="drop")
    driver.open()
    driver.arrive("a", E.SESSION_END)
    driver.accept()
    driver.arrive("a", E.PING, appended_at=OLD)
    assert driver.reasons() == [(2, "after_end")]


def test_an_end_that_needs_no_call_is_done_however_old(aging: Callable[..., Driver]) -> None:
    """In a lost session nothing is left to end."""
    driver = aging(sessionEnd="set_aside")
    driver.open()
    driver.arrive("a", E.PING)
    driver.arrive("a", E.SESSION_END, appended_at=OLD)
    for _ in range(4):
        driver.answer(Lost(410))
        if driver.flying:
            driver.accept()
    assert driver.reasons()[:1] == [(1, "lost_too_often")]
    assert 2 in driver.finished


def test_in_an_outage_age_says_nothing(aging: Callable[..., Driver]) -> None:
    """The relay probes with what stands at the head; when the API serves again, what is too old leaves."""
    driver = aging(ping="drop")
    driver.open()
    driver.arrive("a", *[E.PING] * 20)
    driver.run(300.0, lambda _: BUSY)
    assert driver.dropped == []
    driver.run(30.0, lambda _: Accepted())
    assert driver.finished[1:] == [1], "the one that was probed with"
    assert [offset for offset, _ in driver.dropped] == list(range(2, 21))


@pytest.mark.parametrize(
    ("kind", "refused", "left"),
    [
        (E.SESSION_START, "opening", []),
        (E.SESSION_START, "sending", [(2, "too_old")]),
        (E.SESSION_END, "sending", []),
        (E.SESSION_END, "opening", [(2, "too_old")]),
    ],
)
def test_behind_a_complete_that_outage_counts_which_stops_the_call(
    aging: Callable[..., Driver], kind: E, refused: str, left: list[tuple[int, str]]
) -> None:
    """A start is held up by an outage of openings, an end by one of events; in the other's outage age counts as always."""
    driver = aging(sessionStart="set_aside", sessionEnd="set_aside")
    driver.open()
    driver.arrive("a", E.SESSION_COMPLETE)
    driver.accept()
    driver.now += 10.0
    assert getattr(driver.router, refused).misconfigured(driver.now, "check")
    driver.arrive("a", kind, appended_at=OLD)
    driver.pass_time(6.0)
    assert driver.reasons() == left
    assert len(driver.flying) == (not left)


def test_what_fails_and_is_dropped_by_age_is_not_set_aside_for_it(aging: Callable[..., Driver]) -> None:
    """The policy of its kind goes before the limit for failing events."""
    driver = aging(ping="drop")
    driver.open("other")
    driver.open()
    driver.arrive("a", E.PING)
    driver.answer(BUSY, key="a")
    driver.now += 100.0
    for _ in range(3):
        driver.arrive("other", E.PLAY)
        driver.accept(key="other")
        driver.wake()
    assert driver.reasons() == []
    assert driver.dropped == [(2, "too_old")]


# --- the answer was lost ------------------------------------------------------------------------------------------------------------


def test_by_default_what_may_have_been_taken_goes_again(driver: Driver) -> None:
    """And is counted as a repeat, by operation."""
    driver.arrive("a", E.SESSION_START, E.PING)
    driver.answer(UNSURE)
    driver.wake()
    driver.accept()
    driver.answer(UNSURE)
    driver.wake()
    assert driver.sent() == ["open", "open", "ping", "ping"]
    repeated = [announce.detail for announce in driver.announced if announce.change is Change.REPEATED_UNKNOWN]
    assert repeated == ["open", "send"]


def test_what_is_skipped_goes_once(skipping: Callable[..., Driver]) -> None:
    """It is finished without knowing, and the next event goes at once."""
    driver = skipping(E.PING)
    driver.open()
    driver.arrive("a", E.PING, E.PLAY)
    driver.answer(UNSURE)
    assert driver.sent() == ["open", "ping", "play"]
    assert (driver.unknown, driver.finished) == ([1], [0])
    assert driver.changes().count(Change.SKIPPED_UNKNOWN) == 1
    driver.accept()
    assert driver.assignment.ledger.safe == 3


def test_what_never_left_is_no_unknown_outcome(skipping: Callable[..., Driver]) -> None:
    """A connection that was refused, or an answer that says no, leads to another try."""
    driver = skipping(E.PING)
    driver.open()
    driver.arrive("a", E.PING)
    for failure in (TryAgain("connect"), BUSY):
        driver.answer(failure)
        driver.wake()
    assert driver.sent() == ["open", "ping", "ping", "ping"]
    assert driver.unknown == []


def test_what_a_skipped_event_opened_counts_as_open(skipping: Callable[..., Driver]) -> None:
    """It is what the player did: another session is told of it, and of nothing that was closed."""
    driver = skipping(E.CHAPTER_START, E.AD_BREAK_START, E.AD_BREAK_COMPLETE)
    driver.open()
    driver.arrive("a", E.CHAPTER_START, E.AD_BREAK_START, E.AD_BREAK_COMPLETE, E.PING)
    driver.answer(UNSURE, UNSURE, UNSURE, Lost(410))
    driver.accept(3)
    assert driver.sent()[5:] == ["open again", "chapterStart", "ping"]


def test_an_end_that_may_have_been_taken_is_the_end(skipping: Callable[..., Driver]) -> None:
    """What comes later comes after the end; so with a completion, but for the end itself."""
    driver = skipping(E.SESSION_COMPLETE, E.SESSION_END)
    driver.open()
    driver.arrive("a", E.SESSION_COMPLETE, E.PING, E.SESSION_END, E.PLAY)
    driver.answer(UNSURE, UNSURE)
    assert driver.sent() == ["open", "sessionComplete", "sessionEnd"]
    assert driver.unknown == [1, 3]
    assert driver.reasons() == [(2, "after_end"), (4, "after_end")]
    assert driver.router.sessions_open == 0


def test_what_is_told_again_is_skipped_by_its_own_kind(skipping: Callable[..., Driver]) -> None:
    """The chapter goes once, whatever stands at the head."""
    driver = skipping(E.CHAPTER_START)
    driver.open()
    driver.arrive("a", E.CHAPTER_START, E.PING)
    driver.accept()
    driver.answer(Lost(410))
    driver.accept()
    driver.answer(UNSURE, UNSURE)
    driver.wake()
    assert driver.sent()[3:] == ["open again", "chapterStart", "ping", "ping"]


def test_the_relays_own_end_is_skipped_like_the_players(skipping: Callable[..., Driver]) -> None:
    """A second start does not wait for it."""
    driver = skipping(E.SESSION_END)
    driver.open()
    driver.arrive("a", E.SESSION_START)
    driver.answer(UNSURE)
    assert driver.sent() == ["open", "sessionEnd", "open"]


# --- the account --------------------------------------------------------------------------------------------------------------------


def test_what_a_partition_leaves_unfinished_is_counted(driver: Driver) -> None:
    """Waiting, under way or on its way when it is taken: the next owner reads them again."""
    driver.arrive("a", E.SESSION_START, E.PLAY, E.PING)
    driver.accept()
    assert driver.router.unfinished_count == 2
    driver.leave()
    driver.arrive("a", E.PING)
    assert driver.router.left_count == 1
    driver.revoke()
    assert (driver.router.left_count, driver.router.unfinished_count) == (3, 0)


def test_a_letter_that_is_stored_after_all_is_not_left_behind(driver: Driver) -> None:
    """It was counted as left when its partition was taken, and is a dead letter now."""
    driver.stores_aside = False
    driver.arrive("a", E.PING)
    driver.revoke()
    assert driver.router.left_count == 1
    driver.store_aside(0)
    assert driver.router.left_count == 0

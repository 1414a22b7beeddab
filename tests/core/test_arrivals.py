"""The way in: what comes again or in parts, who is noticed in two places, and when those are let in who wait for their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.core.assignment import Assignment
from relay.core.commands import Change, Drop, Skip
from relay.core.events import Details, EventType, Fact, Facts, PlayerEvent, Record, SessionKey, StateRules
from relay.core.inputs import ArrivedAsFacts, Assigned, Refused
from relay.core.pressure import Limits
from relay.core.reasons import Dropped, Skipped
from relay.core.sequence import Order, Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Driver

    from relay.core.commands import Command

FILM = Details(b'{"media.id":"film"}')
START, PLAY, PING, END = EventType.SESSION_START, EventType.PLAY, EventType.PING, EventType.SESSION_END


def derive(driver: Driver, offset: int, *words: str) -> list[Command]:
    """A record of these facts comes in; what is to be done at once."""
    record = Record(offset, key=b"a", value=b"facts")
    events = (PlayerEvent(PLAY, playhead=1.5, ts=offset, start=FILM, record=record) for _ in words)
    facts = tuple(Fact(word, event) for word, event in zip(words, events, strict=True))
    commands = driver.router.handle(ArrivedAsFacts(driver.assignment, SessionKey("a"), Facts(facts, StateRules())), driver.now)
    driver.carry_out(commands)
    return commands


# --- states of players --------------------------------------------------------------------------------------------------------------


def test_facts_that_were_read_before_say_nothing_again(driver: Driver) -> None:
    """They are known by their offset, like events."""
    derive(driver, 0, "play")
    driver.turn()
    driver.accept_all()
    assert derive(driver, 0, "pauseStart") == [Skip(driver.assignment, 0, Skipped.READ_AGAIN)]


def test_what_is_only_remembered_needs_no_turn(driver: Driver) -> None:
    """Where nothing stands before it: its record is finished at once, and the next memoir says it."""
    derive(driver, 0, "play", "bufferStart")
    driver.turn()
    driver.accept_all()
    driver.assignment.changed.clear()
    assert derive(driver, 1, "pauseStart") == [Drop(driver.assignment, 1, Dropped.UNCHANGED)]
    assert driver.assignment.ledger.safe == 2
    assert driver.lane() in driver.assignment.changed


def test_facts_that_come_to_nothing_after_a_restart_lose_no_letter(driver: Driver) -> None:
    """The mapping was changed meanwhile: what was set aside of the record before is set aside again, since nobody has confirmed it."""
    driver.stores_aside = False
    derive(driver, 0, "play")
    driver.turn()
    driver.accept_all()
    derive(driver, 1, "chapterStart", "pauseStart")
    driver.turn()
    driver.answer(Refused(400))
    assert driver.reasons() == [(1, "rejected")]
    driver.restart(from_offset=1)
    derive(driver, 1, "tick")
    assert driver.reasons() == [(1, "rejected")] * 2
    assert driver.assignment.ledger.safe == 1
    driver.store_aside(1)
    assert driver.assignment.ledger.safe == 2


# --- parts --------------------------------------------------------------------------------------------------------------------------


def test_a_record_may_say_one_thing_in_parts(driver: Driver) -> None:
    """A mapping that could say several finds just one."""
    driver.arrive_in_parts("a", START)
    driver.accept_all()
    assert driver.sent() == ["open"]
    assert driver.assignment.ledger.safe == 1


def test_records_in_parts_may_stand_one_behind_the_other(driver: Driver) -> None:
    """What has left of the first says nothing about the second."""
    driver.open()
    driver.arrive_in_parts("a", EventType.CHAPTER_START, PLAY)
    driver.accept()
    driver.arrive_in_parts("a", EventType.PAUSE_START, END)
    driver.accept_all()
    assert driver.sent() == ["open", "chapterStart", "play", "pauseStart", "sessionEnd"]
    assert driver.assignment.ledger.safe == 3


# --- order --------------------------------------------------------------------------------------------------------------------------


def test_what_comes_late_with_the_value_of_the_last_one_is_late(make_driver: Callable[..., Driver]) -> None:
    """It is no repeat: it was said at another time."""
    driver = make_driver(order=Order(policy=Policy.SEND))
    for kind, ts in ((START, 10), (PING, 30), (PING, 20)):
        driver.say(kind, ts, value=b"the same")
    assert driver.changes().count(Change.CAME_LATE) == 1
    assert Change.CAME_TWICE not in driver.changes()


def test_a_number_that_comes_twice_is_counted_and_sent(make_driver: Callable[..., Driver]) -> None:
    """Where repeats are sent."""
    driver = make_driver(order=Order(policy=Policy.SEND, sequence_header="seq"))
    for number in (1, 2, 2):
        driver.say(START if number == 1 else PING, number, number=number)
    driver.accept_all()
    assert driver.sent() == ["open", "ping", "ping"]
    assert driver.changes().count(Change.CAME_TWICE) == 1


# --- two partitions -----------------------------------------------------------------------------------------------------------------


def test_an_open_session_that_says_nothing_is_noticed_elsewhere(driver: Driver) -> None:
    """Though nothing of it waits."""
    driver.open("a")
    driver.assign(1)
    driver.arrive("a", PLAY)
    assert Change.SCATTERED in driver.changes()


def test_a_session_whose_start_waits_for_its_turn_is_noticed_elsewhere(make_driver: Callable[..., Driver]) -> None:
    """Though nothing is open yet."""
    driver = make_driver(limits=Limits(concurrency_max=1))
    driver.arrive("b", START)
    driver.arrive("a", START)
    driver.assign(1)
    driver.arrive("a", PLAY)
    assert Change.SCATTERED in driver.changes()


def test_of_several_places_one_where_a_session_lives_is_enough(driver: Driver) -> None:
    """That it is over at another says nothing."""
    first = driver.assignment
    driver.arrive("a", START, END, assignment=first)
    driver.accept_all()
    driver.arrive("a", START, assignment=driver.assign(1))
    assert driver.changes().count(Change.SCATTERED) == 0
    driver.arrive("a", START, assignment=driver.assign(2))
    assert driver.changes().count(Change.SCATTERED) == 1


def test_other_sessions_elsewhere_are_no_matter(driver: Driver) -> None:
    """Nor is the same key in another topic: nobody promises an order over two of them."""
    driver.open("b")
    other = Assignment("other-events", 0)
    driver.handle(Assigned(other))
    driver.arrive("a", START, assignment=other)
    driver.assign(1)
    driver.arrive("a", START)
    assert Change.SCATTERED not in driver.changes()


# --- a window -----------------------------------------------------------------------------------------------------------------------


def test_the_end_of_a_window_is_waited_for(make_driver: Callable[..., Driver]) -> None:
    """By then something may go that waits for its place."""
    driver = make_driver(order=Order(policy=Policy.REORDER, window_seconds=3.0))
    driver.open()
    assert driver.router.wake_at() is None
    driver.say(PING, 1_800_000_000_000)
    assert driver.router.wake_at() == driver.now + 3.0


def test_what_waited_for_its_place_in_a_partition_that_has_gone_is_let_go(make_driver: Callable[..., Driver]) -> None:
    """When its time comes it fills no lane any more, and the source need not pause for it."""
    driver = make_driver(order=Order(policy=Policy.REORDER), limits=Limits(session_events_max=1))
    driver.say(START, 1)
    driver.accept_all()
    driver.say(PING, 3)
    driver.say(PING, 2)
    lane = driver.lane()
    driver.revoke()
    driver.pass_time(5)
    assert lane.waiting == []
    assert not driver.router.buffer.is_full
    assert driver.router.buffer.crowded_lanes == 0

"""The session that holds its partition back is found, with what it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.core.assignment import Assignment
from relay.core.events import EventType
from relay.core.head_of_line import Awaited, HeldBack, Standstills, finished_beyond, held_back
from relay.core.inputs import Refused, TryAgain

if TYPE_CHECKING:
    from conftest import Driver

E = EventType


def stuck(driver: Driver) -> HeldBack:
    """What holds the partition back."""
    held = held_back(driver.router, driver.assignment)
    assert held is not None
    return held


def test_who_waits_for_an_answer_is_named(driver: Driver) -> None:
    """Opening and answer are told apart, and what is finished beyond is counted."""
    assert held_back(driver.router, driver.assignment) is None
    driver.arrive("a", E.SESSION_START)
    assert (stuck(driver).key, stuck(driver).waits_for) == ("a", Awaited.OPENING)
    driver.open("b")
    driver.accept(key="a")
    assert held_back(driver.router, driver.assignment) is None
    driver.arrive("a", E.PING)
    driver.arrive("b", E.PING, E.PING)
    driver.accept(2, key="b")
    held = stuck(driver)
    assert (held.key, held.offset, held.waits_for, held.finished_beyond) == ("a", 2, Awaited.ANSWER, 2)
    assert (held.cause, held.status, held.attempts) == ("", 0, 1)


def test_who_failed_is_named_with_its_last_cause(driver: Driver) -> None:
    """A wait of our own and one that the API asked for are told apart."""
    driver.open("a")
    driver.arrive("a", E.PING)
    tried_at = driver.now
    driver.answer(TryAgain("status_503", 503))
    held = stuck(driver)
    assert (held.waits_for, held.cause, held.status, held.attempts, held.since) == (Awaited.BACKOFF, "status_503", 503, 1, tried_at)
    driver.wake()
    driver.answer(TryAgain("status_429", 429, retry_after_seconds=30.0))
    held = stuck(driver)
    assert (held.waits_for, held.cause, held.attempts, held.since) == (Awaited.RETRY_AFTER, "status_429", 2, tried_at)
    driver.run(30.1, lambda _: None)
    driver.answer(TryAgain("status_500", 500, retry_after_seconds=30.0))
    assert stuck(driver).waits_for is Awaited.RETRY_AFTER
    driver.wake()
    driver.accept()
    driver.arrive("a", E.PING)
    assert (stuck(driver).cause, stuck(driver).status) == ("", 0), "the next event has a fresh start"


def test_in_an_outage_everybody_waits_for_the_circuit(driver: Driver) -> None:
    """What holds the partition back then is the API."""
    driver.open("a")
    driver.arrive("a", E.PING)
    driver.run(60.0, lambda _: TryAgain("status_503", 503))
    assert stuck(driver).waits_for in {Awaited.CIRCUIT, Awaited.ANSWER}
    while driver.flying:
        driver.answer(TryAgain("status_503", 503))
    assert stuck(driver).waits_for is Awaited.CIRCUIT


def test_a_dead_letter_that_is_not_confirmed_holds_back_as_well(driver: Driver) -> None:
    """Then no session is named: it has moved on."""
    driver.stores_aside = False
    driver.open("a")
    driver.arrive("a", E.PING, E.PING)
    driver.answer(Refused(400))
    driver.accept()
    held = stuck(driver)
    assert (held.key, held.waits_for, held.offset, held.finished_beyond) == (None, Awaited.DEAD_LETTER, 1, 1)
    assert held.attempts == 0, "whoever tried it is gone"


def test_who_was_not_tried_yet_waits_since_its_record_was_appended(driver: Driver) -> None:
    """There is no first try to count from."""
    driver.open("a")
    driver.arrive("a", E.PING, appended_at=700.0, turns=False)
    held = stuck(driver)
    assert (held.waits_for, held.attempts, held.since) == (Awaited.TURN, 0, 700.0)


def test_who_stands_behind_the_safe_offset_holds_nobody_back(driver: Driver) -> None:
    """Of several that wait, the one at the safe offset is named, whoever came first."""
    driver.open("a")
    driver.open("b")
    driver.arrive("b", E.PING)
    driver.arrive("a", E.PING)
    assert (stuck(driver).key, stuck(driver).offset) == ("b", 2)


def test_gaps_in_the_log_hold_nothing_back(driver: Driver) -> None:
    """Offsets that are missing count only among those that are finished beyond the safe one."""
    assert finished_beyond(Assignment("events", 7)) == 0
    ledger = driver.assignment.ledger
    ledger.take(0)
    ledger.finish(0)
    ledger.take(1)
    ledger.take(5)
    assert finished_beyond(driver.assignment) == 0
    ledger.take(9)
    ledger.finish(9)
    assert finished_beyond(driver.assignment) == 7


def test_the_longest_standstill_is_known(driver: Driver) -> None:
    """A partition stands still while its safe offset does and others in it are finished; one that moves begins anew."""
    standstills = Standstills()
    first, second = driver.assignment, driver.assign(1)

    def look(moment: float) -> None:
        standstills.look([first, second], moment)

    look(1.0)
    assert standstills.longest() is None
    for assignment in (first, second):
        for offset in range(4):
            assignment.ledger.take(offset)
        assignment.ledger.finish(2)
    look(2.0)
    look(5.0)
    assert standstills.longest() == (first, 2.0)
    first.ledger.finish(0)
    look(9.0)
    assert standstills.longest() == (second, 2.0)
    assert standstills.since() == {first: 9.0, second: 2.0}
    second.ledger.finish(0)
    second.ledger.finish(1)
    second.ledger.finish(3)
    look(11.0)
    assert standstills.since() == {first: 9.0}


def test_what_is_awaited_has_a_name_that_stays() -> None:
    """It stands in the log and on the console, where others look for it."""
    names = ["opening", "answer", "circuit", "retry_after", "backoff", "turn", "dead_letter"]
    assert [str(awaited) for awaited in Awaited] == names

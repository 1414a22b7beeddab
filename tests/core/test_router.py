"""The one door into the core: whose turn it is, what is kept of what, and what the ledger hears."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relay.core.books import EVENT_OVERHEAD_BYTES
from relay.core.commands import Announce, Change, Forget, OpenSession, SendEvent, SetAside, Skip
from relay.core.events import EventType, Record, SessionKey
from relay.core.inputs import Accepted, Answered, Arrived, Lost, Refused, StoredAside, TryAgain, Unreadable, Woke
from relay.core.lane import State
from relay.core.ledger import Ledger
from relay.core.memoir import read, write
from relay.core.patience import Rules
from relay.core.playback import Playback
from relay.core.pressure import Limits
from relay.core.reasons import Reason, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Driver

E = EventType


# --- turns --------------------------------------------------------------------------------------------------------------------------


def test_one_call_per_session_is_under_way(driver: Driver) -> None:
    """However many events wait, a session has one call in flight; the next one leaves when it has landed."""
    driver.open()
    driver.arrive("a", *[E.PING] * 50)
    for flown in range(1, 51):
        assert len(driver.flying) == 1
        assert len(driver.sent()) == flown + 1
        driver.accept()
    assert driver.flying == []


def test_no_more_calls_than_the_limit_are_under_way(make_driver: Callable[..., Driver]) -> None:
    """A call leaves when another has landed; an eighth of the places is for openings alone, another for events alone."""
    driver = make_driver(limits=Limits(concurrency_max=8))
    for number in range(10):
        driver.arrive(f"k{number}", E.SESSION_START, E.PING)
    assert len(driver.flying) == 7
    driver.accept(7)
    assert {"k7", "k8", "k9"} < {call.lane.key for call in driver.flying}
    assert len(driver.flying) == 8
    driver.accept_all()
    assert len(driver.finished) == 20


def test_openings_go_before_events(make_driver: Callable[..., Driver]) -> None:
    """A flood of pings does not delay the start of a session."""
    driver = make_driver(limits=Limits(concurrency_max=1))
    keys = [f"k{number}" for number in range(5)]
    for key in keys:
        driver.arrive(key, E.SESSION_START)
    driver.accept_all()
    for key in keys:
        driver.arrive(key, *[E.PING] * 3)
    driver.arrive("new", E.SESSION_START)
    since = len(driver.calls)
    driver.accept()
    assert driver.calls[since].lane.key == "new"


def test_a_busy_session_does_not_delay_the_others(make_driver: Callable[..., Driver]) -> None:
    """Turns go round: between two events of one session each of the others has had its turn."""
    driver = make_driver(limits=Limits(concurrency_max=1))
    keys = ["busy", "b", "c"]
    for key in keys:
        driver.open(key)
    driver.arrive("busy", *[E.PING] * 20)
    driver.arrive("b", *[E.PING] * 3)
    driver.arrive("c", *[E.PING] * 3)
    since = len(driver.calls)
    driver.accept_all()
    turns = [call.lane.key for call in driver.calls[since - 1 :]]
    assert turns[:9] == ["busy", "b", "c"] * 3
    assert turns[9:] == ["busy"] * 17


def test_nothing_leaves_while_draining(driver: Driver) -> None:
    """After `drain` calls under way may end and count, and nothing new leaves."""
    driver.open()
    driver.arrive("a", E.PING, E.PING)
    driver.router.drain()
    driver.accept()
    driver.arrive("b", E.SESSION_START)
    assert driver.flying == []
    assert driver.finished == [0, 1]
    assert driver.router.wake_at() is None


def test_a_healthy_router_asks_for_no_timer(driver: Driver) -> None:
    """Where nothing happens by time alone, there is nothing to wake for."""
    assert driver.router.wake_at() is None
    driver.open()
    driver.arrive("a", E.PING)
    assert driver.router.wake_at() is None
    driver.accept_all()
    assert driver.router.wake_at() is None


def test_an_unknown_timer_is_void(driver: Driver) -> None:
    """A ticket that is not the current one, or comes a second time, wakes nobody."""
    driver.open()
    driver.arrive("a", E.PING)
    driver.answer(TryAgain("timeout"))
    (_, _, wait) = driver.timers.pop()
    driver.handle(Woke(wait.lane, wait.ticket - 1), Woke(wait.lane, wait.ticket + 1))
    assert driver.flying == []
    driver.handle(Woke(wait.lane, wait.ticket), Woke(wait.lane, wait.ticket))
    assert len(driver.flying) == 1
    driver.handle(Woke(wait.lane, wait.ticket))
    driver.accept_all()
    assert driver.sent() == ["open", "ping", "ping"]


def test_who_waits_for_a_timer_is_not_hurried_by_new_events(driver: Driver) -> None:
    """An event that arrives for a session which waits to try again waits behind the head."""
    driver.open()
    driver.arrive("a", E.PING)
    driver.answer(TryAgain("timeout"))
    driver.arrive("a", E.PLAY)
    assert driver.flying == []
    driver.wake()
    driver.accept_all()
    assert driver.sent() == ["open", "ping", "ping", "play"]


# --- the ledger ---------------------------------------------------------------------------------------------------------------------


def test_sessions_finish_in_any_order_and_the_safe_offset_waits(driver: Driver) -> None:
    """The offset to commit stays before the first unfinished event, however far the others have got."""
    driver.arrive("slow", E.SESSION_START)
    driver.arrive("quick", E.SESSION_START, E.PING, E.PING)
    driver.accept(3, key="quick")
    assert driver.assignment.ledger.safe == 0
    driver.accept(key="slow")
    assert driver.assignment.ledger.safe == 4


def test_an_event_set_aside_is_finished_once_its_dead_letter_is_confirmed(driver: Driver) -> None:
    """The lane moves on at once, the ledger waits for Kafka."""
    driver.stores_aside = False
    driver.open()
    driver.arrive("a", E.AD_START, E.PING)
    driver.answer(Refused(400))
    driver.accept()
    assert driver.finished == [0, 2]
    assert driver.assignment.ledger.safe == 1
    assert driver.assignment.asides_pending == 1
    driver.store_aside(1)
    assert driver.assignment.ledger.safe == 3
    assert driver.assignment.asides_pending == 0


def test_a_session_of_which_all_is_set_aside_costs_no_more_with_each_event(driver: Driver) -> None:
    """What Kafka has confirmed leaves nothing behind in its lane, however long it goes on."""
    driver.arrive("a", *[E.PING] * 2_000)
    driver.open("b")
    driver.arrive("b", E.SESSION_END, *[E.PING] * 2_000)
    driver.accept_all()
    assert len(driver.aside) == 4_000
    assert driver.assignment.ledger.outstanding_count == 0
    assert driver.lane("a").asides is None
    assert driver.lane("b").asides is None


def test_a_record_that_was_finished_before_a_restart_is_skipped(driver: Driver) -> None:
    """What a receipt names reaches no lane, and needs nothing more."""
    assignment = driver.assign(1, ledger=Ledger(((0, 2),)))
    driver.arrive("a", E.SESSION_START, E.PLAY, E.SESSION_START, assignment=assignment)
    driver.accept_all()
    assert driver.skipped == [0, 1]
    assert driver.finished == [2]
    assert assignment.ledger.safe == 3


def test_a_record_that_is_read_twice_is_taken_once(driver: Driver) -> None:
    """When Kafka reads the log again, nothing is sent again."""
    (event,) = driver.arrive("a", E.SESSION_START)
    driver.handle(Arrived(driver.assignment, SessionKey("a"), event))
    driver.accept_all()
    driver.handle(Arrived(driver.assignment, SessionKey("a"), event))
    assert driver.sent() == ["open"]


def test_a_record_that_cannot_be_read_is_set_aside_without_a_lane(driver: Driver) -> None:
    """It goes to the dead letters with its reason, delays nobody, and counts once it is stored."""
    driver.stores_aside = False
    record = Record(7, key=b"a", value=b"nope")
    before = driver.router.buffer.byte_count
    commands = driver.router.handle(Unreadable(driver.assignment, record, Reason.NOT_JSON, "byte 0", SessionKey("a")), driver.now)
    assert commands == [SetAside(driver.assignment, record, Reason.NOT_JSON, "byte 0", key=SessionKey("a"))]
    assert (driver.router.buffer.byte_count, len(driver.assignment.lanes)) == (before, 0)
    assert driver.assignment.ledger.safe == 7
    driver.router.handle(StoredAside(driver.assignment, 7), driver.now)
    assert driver.assignment.ledger.safe == 8
    again = driver.router.handle(Unreadable(driver.assignment, record, Reason.NOT_JSON), driver.now)
    assert again == [Skip(driver.assignment, 7, Skipped.READ_AGAIN)]


def test_an_unreadable_record_may_have_been_finished_before(driver: Driver) -> None:
    """A receipt counts for poison as well: no second dead letter."""
    assignment = driver.assign(1, ledger=Ledger(((5, 6),)))
    commands = driver.router.handle(Unreadable(assignment, Record(5), Reason.EMPTY_VALUE), driver.now)
    assert commands == [Skip(assignment, 5)]


def test_gaps_in_the_log_hold_nothing_up(driver: Driver) -> None:
    """Compaction and transaction markers leave holes; what lies in them needs nothing."""
    assignment = driver.assign(2, from_offset=1_000)
    driver.arrive("a", E.SESSION_START, assignment=assignment)
    driver._offsets["events", 2] = 5_000
    driver.arrive("a", E.PING, assignment=assignment)
    driver.accept_all()
    assert assignment.ledger.safe == 5_001


# --- what is kept -------------------------------------------------------------------------------------------------------------------


def test_what_waits_is_counted_and_what_left_is_not(driver: Driver) -> None:
    """Bytes and events grow with what arrives and shrink with what is delivered or set aside."""
    driver.arrive("a", E.SESSION_START, E.PING, E.PING)
    assert driver.router.buffer.event_count == 3
    assert driver.router.buffer.byte_count == 3 * (100 + 1 + EVENT_OVERHEAD_BYTES)
    driver.accept()
    driver.answer(Refused(400))
    assert driver.router.buffer.event_count == 1
    driver.accept()
    assert (driver.router.buffer.event_count, driver.router.buffer.byte_count) == (0, 0)


@pytest.mark.parametrize(
    "limits", [Limits(buffer_events_max=4), Limits(buffer_bytes_max=4 * (101 + EVENT_OVERHEAD_BYTES)), Limits(session_events_max=4)]
)
def test_at_a_limit_the_source_pauses_and_nothing_is_dropped(make_driver: Callable[..., Driver], limits: Limits) -> None:
    """A batch may overshoot the limit; all of it is delivered, in order."""
    driver = make_driver(limits=limits)
    driver.arrive("a", E.SESSION_START, E.PING, E.PING)
    assert not driver.router.buffer.is_full
    driver.arrive("a", E.PING, E.PING, E.PING)
    assert driver.router.buffer.is_full
    driver.accept_all()
    assert not driver.router.buffer.is_full
    assert driver.finished == [0, 1, 2, 3, 4, 5]


def test_a_session_is_not_forgotten_while_its_events_may_wait_in_the_log(driver: Driver) -> None:
    """An outage that is longer than sessions may be silent keeps the source paused: whoever says nothing then has perhaps spoken."""
    lane = driver.open("a")
    driver.assignment.is_read_up = False
    driver.now += 10_000.0
    assert driver.router.forget_idle(driver.assignment, driver.now) == []
    driver.assignment.is_read_up = True
    assert driver.router.forget_idle(driver.assignment, driver.now)[-1] == Forget(lane)


def test_too_many_sessions_make_room_though_events_wait_in_the_log(make_driver: Callable[..., Driver]) -> None:
    """Nothing more is read before some are forgotten."""
    driver = make_driver(limits=Limits(lanes_max=1))
    driver.open("a")
    driver.assignment.is_read_up = False
    driver.now += 10_000.0
    assert driver.router.forget_idle(driver.assignment, driver.now) != []


def test_too_many_sessions_pause_the_source(make_driver: Callable[..., Driver]) -> None:
    """At the limit of lanes the source pauses until some are forgotten; those that are over go at once."""
    driver = make_driver(limits=Limits(lanes_max=2))
    lane = driver.open("a")
    driver.open("b")
    assert driver.router.buffer.is_full
    driver.router.forget_idle(driver.assignment, driver.now)
    assert driver.router.buffer.is_full, "open sessions are not idle"
    driver.arrive("a", E.SESSION_END)
    driver.accept_all()
    assert driver.router.forget_idle(driver.assignment, driver.now) == [Forget(lane)]
    assert not driver.router.buffer.is_full
    assert list(driver.assignment.lanes) == ["b"]


def test_a_silent_session_is_forgotten(make_driver: Callable[..., Driver]) -> None:
    """After the idle time an open session is let go and announced; what comes later is unknown again."""
    driver = make_driver(rules=Rules(idle_seconds_max=1_800.0))
    lane = driver.open()
    driver.now += 1_799.0
    assert driver.router.forget_idle(driver.assignment, driver.now) == []
    driver.now += 1.0
    assert driver.router.forget_idle(driver.assignment, driver.now) == [Announce(lane, Change.FORGOTTEN), Forget(lane)]
    driver.check_books()
    assert (driver.router.sessions_open, driver.router.buffer.lane_count) == (0, 0)
    driver.arrive("a", E.PING)
    assert driver.reasons() == [(1, "no_session_start")]


def test_a_session_with_something_to_say_is_never_forgotten(driver: Driver) -> None:
    """Neither one in flight nor one that waits to try again is idle, however long it takes."""
    driver.arrive("flying", E.SESSION_START)
    driver.open("waiting")
    driver.arrive("waiting", E.PING)
    driver.answer(TryAgain("timeout"), key="waiting")
    driver.now += 1e6
    assert driver.router.forget_idle(driver.assignment, driver.now) == []
    assert set(driver.assignment.lanes) == {"flying", "waiting"}


def test_a_session_that_is_over_is_forgotten_silently(driver: Driver) -> None:
    """Whoever has no API session any more leaves a tombstone and no word."""
    lane = driver.open()
    driver.arrive("a", E.SESSION_END)
    driver.accept_all()
    assert driver.lane().state is State.ENDED
    driver.now += 1e6
    assert driver.router.forget_idle(driver.assignment, driver.now) == [Forget(lane)]
    assert driver.assignment.lanes == {}


def test_open_sessions_are_counted(driver: Driver) -> None:
    """A session is open from its opening until it is ended, lost or forgotten."""
    driver.open("a")
    driver.open("b")
    assert driver.router.sessions_open == 2
    driver.arrive("a", E.SESSION_END)
    driver.accept_all()
    assert driver.router.sessions_open == 1
    assert set(driver.router.lanes()) == set(driver.assignment.lanes.values())


def test_an_event_out_of_order_would_be_noticed(driver: Driver) -> None:
    """The watch over the order counts an event that leaves after a later one."""
    lane = driver.open()
    lane.sent_offset = 99
    driver._checks_books = False
    driver.arrive("a", E.PING)
    assert driver.router.order_violations == 1


def test_what_leaves_is_compared_with_what_left_before_it(make_driver: Callable[..., Driver]) -> None:
    """Two events that change their places are one violation, and what is in order after them is none."""
    driver = make_driver(checks_books=False)
    lane = driver.open()
    driver.arrive("a", *[E.PING] * 5)
    lane.waiting[1], lane.waiting[2] = lane.waiting[2], lane.waiting[1]
    driver.accept_all()
    assert driver.finished == [0, 1, 3, 2, 4, 5]
    assert driver.router.order_violations == 1


def test_commands_name_the_lane_that_they_are_for(driver: Driver) -> None:
    """An answer is reported with the lane of its call, and finds its way back by it alone."""
    driver.arrive("a", E.SESSION_START)
    driver.arrive("b", E.SESSION_START)
    assert [call.lane for call in driver.calls] == [driver.lane("a"), driver.lane("b")]
    assert all(isinstance(call, OpenSession | SendEvent) for call in driver.calls)


def test_an_answer_that_nobody_asked_for_stops_the_relay(driver: Driver) -> None:
    """A second answer to one call is a bug of the relay, not something to live with."""
    lane = driver.open()
    with pytest.raises(AssertionError):
        driver.router.handle(Answered(lane, Accepted()), driver.now)


# --- memory -------------------------------------------------------------------------------------------------------------------------


def test_an_opening_is_remembered_at_once(driver: Driver) -> None:
    """Each new API session is written down before anything else happens in it, so that a crash does not open it again."""
    driver.open("a")
    driver.open("b")
    assert driver.remembered == [driver.lane("a"), driver.lane("b")]
    assert driver.assignment.changed == {}, "it is written once, and not again with the next receipt"
    driver.arrive("a", E.PING)
    driver.answer(Lost(404))
    driver.accept()
    assert driver.remembered == [driver.lane("a"), driver.lane("b"), driver.lane("a")]


@pytest.mark.parametrize("kind", sorted(Playback.CHANGED_BY | {E.SESSION_COMPLETE, E.SESSION_END}))
def test_what_changes_a_session_is_remembered_in_time(driver: Driver, kind: EventType) -> None:
    """A lane whose memoir no longer says what is open is listed until its memoir is written again."""
    driver.open("a")
    driver.open("b")
    driver.assignment.changed.clear()
    driver.arrive("a", kind)
    assert driver.assignment.changed == {}, "nothing is true before the API has taken it"
    driver.accept_all()
    assert list(driver.assignment.changed) == [driver.lane("a")]


def test_a_ping_changes_nothing_worth_remembering(driver: Driver) -> None:
    """The events that are sent most cost no memoir."""
    driver.open()
    driver.assignment.changed.clear()
    driver.arrive("a", E.PING, E.BITRATE_CHANGE, E.ERROR)
    driver.accept_all()
    assert driver.assignment.changed == {}


def test_a_forgotten_session_is_no_longer_listed_as_changed(driver: Driver) -> None:
    """A tombstone is not followed by a memoir."""
    lane = driver.open()
    driver.arrive("a", E.PLAY)
    driver.accept_all()
    driver.now += 1e6
    driver.router.forget_idle(driver.assignment, driver.now)
    assert lane not in driver.assignment.changed


def test_a_restored_session_goes_on_where_it_stood(driver: Driver) -> None:
    """After a restart the next event goes to the session that its memoir names, and nothing that it says is finished goes again."""
    driver.open()
    driver.arrive("a", E.CHAPTER_START, E.PLAY, E.PING)
    driver.accept_all()
    memoir = read(write(driver.lane()) or b"")
    driver.revoke()
    again = driver.assign(from_offset=2)
    driver.router.restore(again, SessionKey("a"), memoir, driver.now)
    since = len(driver.calls)
    driver.arrive("a", E.PLAY, E.PING, E.PING)
    driver.accept_all()
    assert driver.skipped == [2, 3]
    assert again.ledger.safe == 5
    assert driver.sent(since=since) == ["ping"]
    driver.arrive("a", E.PING)
    driver.answer(Lost(404))
    driver.accept_all()
    assert driver.sent(since=since) == ["ping", "ping", "open again", "chapterStart", "play", "ping"]


def test_of_two_memoirs_the_later_one_wins(driver: Driver) -> None:
    """A former owner may have written after it lost the partition."""
    driver.open()
    early = read(write(driver.lane()) or b"")
    driver.arrive("a", E.PLAY)
    driver.accept_all()
    late = read(write(driver.lane()) or b"")
    for memoirs in ((early, late), (late, early)):
        driver.revoke()
        again = driver.assign(from_offset=2)
        for memoir in memoirs:
            driver.router.restore(again, SessionKey("a"), memoir, driver.now)
        driver.check_books()
        assert driver.lane().last_offset == 1
        assert driver.lane().playback is not None


def test_a_tombstone_takes_back_what_was_restored(driver: Driver) -> None:
    """A session that is over is unknown after a restart, and the counters know it."""
    driver.open()
    memoir = read(write(driver.lane()) or b"")
    driver.revoke()
    again = driver.assign(from_offset=1)
    driver.router.restore(again, SessionKey("a"), memoir, driver.now)
    assert driver.router.sessions_open == 1
    driver.router.erase(again, SessionKey("a"))
    driver.router.erase(again, SessionKey("never"))
    driver.check_books()
    assert (driver.router.sessions_open, driver.router.buffer.lane_count) == (0, 0)

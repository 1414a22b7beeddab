"""Order on the way in: what comes late or twice is counted, dropped or put right, and nothing is ever lost over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.core.commands import Change
from relay.core.events import EventType, Fact, Facts, PlayerEvent, Record, SessionKey, StateRules
from relay.core.inputs import ArrivedAsFacts
from relay.core.patience import Rules
from relay.core.pressure import Limits
from relay.core.reasons import Reason
from relay.core.sequence import Order, Policy, Sequence, lowest_waiting
from relay.core.silence import KeepAlive
from relay.settings.groups import InputSettings

if TYPE_CHECKING:
    from collections.abc import Callable

START, PLAY, PING, END = EventType.SESSION_START, EventType.PLAY, EventType.PING, EventType.SESSION_END
QUICK = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it is a class
)
NUMBERED = {"sequence_header": "seq"}


@pytest.fixture
def make(make_driver: Callable[..., Any]) -> Callable[..., Any]:
    """A router with a policy."""

    def one(policy: Policy, *, limits: Limits | None = None, **choices: Any) -> Any:
        return make_driver(order=Order(policy=policy, **choices), limits=limits)

    return one


def found(driver: Any) -> list[Change]:
    """What was said of the order."""
    return [change for change in driver.changes() if change in (Change.CAME_LATE, Change.CAME_TWICE, Change.SCATTERED)]


def times(driver: Any) -> list[int]:
    """The `ts` of what left, in the order in which it did; an opening is its start's."""
    return [call.ts if not hasattr(call, "event") else call.event.ts for call in driver.calls]


# --- what is found ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [Policy.SEND, Policy.DROP_REPEATS])
def test_what_comes_late_is_counted_and_sent(make: Any, policy: Policy) -> None:
    """As it comes: nobody may withhold what a player said."""
    driver = make(policy)
    for kind, ts in ((START, 10), (PLAY, 20), (PING, 15), (PING, 20), (PING, 30), (END, 25)):
        driver.say(kind, ts)
    driver.accept_all()
    assert found(driver) == [Change.CAME_LATE, Change.CAME_LATE]
    assert times(driver) == [10, 20, 15, 20, 30, 25]


def test_nobody_looks_when_nobody_wants_it(make: Any) -> None:
    """Neither late nor twice is anything then."""
    driver = make(Policy.IGNORE)
    for ts in (10, 20, 15, 15):
        driver.say(START if ts == 10 else PING, ts)
    driver.accept_all()
    assert found(driver) == []
    assert len(times(driver)) == 4


def test_what_comes_twice_is_counted_and_sent_by_default(make: Any) -> None:
    """The same value at the same time, right after the first."""
    driver = make(Policy.SEND)
    for ts in (10, 20, 20, 30):
        driver.say(START if ts == 10 else PING, ts)
    driver.accept_all()
    assert (found(driver), times(driver)) == ([Change.CAME_TWICE], [10, 20, 20, 30])


def test_what_comes_twice_is_dropped_where_that_is_wanted(make: Any) -> None:
    """Also behind others; its offset needs nothing more, and the safe offset goes on."""
    driver = make(Policy.DROP_REPEATS)
    for ts in (10, 20, 30, 20, 10, 40):
        driver.say(START if ts == 10 else PING, ts)
    driver.accept_all()
    assert found(driver) == [Change.CAME_TWICE, Change.CAME_TWICE]
    assert (times(driver), driver.skipped, driver.assignment.ledger.safe) == ([10, 20, 30, 40], [3, 4], 6)


@pytest.mark.parametrize("policy", [Policy.SEND, Policy.DROP_REPEATS, Policy.REORDER])
def test_another_value_at_the_same_time_is_another_event(make: Any, policy: Policy) -> None:
    """Players say several things within a millisecond."""
    driver = make(policy)
    driver.say(START, 10)
    driver.say(PLAY, 10)
    driver.say(PING, 10, value=b"one")
    driver.say(PING, 10, value=b"another")
    driver.pass_time(3)
    driver.accept_all()
    assert (found(driver), len(times(driver))) == ([], 4)


def test_a_number_says_it_by_itself(make: Any) -> None:
    """Whatever stands beside it, and whatever the clock of the player says."""
    driver = make(Policy.DROP_REPEATS, **NUMBERED)
    for number, ts in ((1, 50), (2, 40), (2, 41), (4, 30), (3, 60), (5, 20)):
        driver.say(START if number == 1 else PING, ts, number=number)
    driver.accept_all()
    assert found(driver) == [Change.CAME_TWICE, Change.CAME_LATE]
    assert times(driver) == [50, 40, 30, 60, 20]


@pytest.mark.parametrize("value", [None, b"", b"-1", b"1.0", b"x", b"9" * 20, b"0" * 19 + b"3", b"9223372036854775808"])
@pytest.mark.parametrize("policy", [Policy.SEND, Policy.DROP_REPEATS, Policy.REORDER])
def test_what_has_no_number_passes_by(make: Any, policy: Policy, value: bytes | None) -> None:
    """Where numbers are looked at: it goes as it comes."""
    driver = make(policy, **NUMBERED)
    driver.say(START, 10, number=7)
    driver.say(PING, 5, headers=(("seq", value), ("other", b"1")))
    driver.say(PING, 4)
    driver.accept_all()
    assert (found(driver), times(driver)) == ([], [10, 5, 4])


def test_only_recent_events_are_remembered() -> None:
    """32 of a session: memory is bounded."""
    sequence = Sequence()
    assert not any(sequence.is_repeated(digest) for digest in range(33))
    assert len(sequence.recent) == 32
    assert sequence.is_repeated(32)
    assert sequence.is_repeated(1)
    assert not sequence.is_repeated(0)


def test_numbers_have_up_to_nineteen_digits(make: Any) -> None:
    """And stop where 64 bits do."""
    driver = make(Policy.SEND, **NUMBERED)
    for ts, value in ((10, b"9223372036854775807"), (20, b"0000000000000000003")):
        driver.say(START if ts == 10 else PING, ts, headers=(("seq", value),))
    assert found(driver) == [Change.CAME_LATE]


def test_numbers_may_begin_at_nought(make: Any) -> None:
    """The first one follows on nothing, so that it waits for nothing, whatever event it is."""
    driver = make(Policy.REORDER, **NUMBERED)
    driver.say(PING, 10, number=0)
    assert [aside.reason for aside in driver.aside] == [Reason.NO_SESSION_START]


def test_the_words_of_the_setting_are_these() -> None:
    """`RELAY_INPUT__ORDER`, with a window as the settings have it."""
    assert set(map(str, Policy)) == {"ignore", "send", "drop_repeats", "reorder"}
    order, settings_ = Order(), InputSettings()
    assert (order.policy, order.window_seconds, order.window_events) == (
        settings_.order,
        settings_.reorder_seconds_max,
        settings_.reorder_events_max,
    )


@pytest.mark.parametrize("policy", [Policy.SEND, Policy.DROP_REPEATS, Policy.REORDER])
@pytest.mark.parametrize("choices", [{}, NUMBERED])
@pytest.mark.parametrize("mark", ["relay.replay", "relay.replay_end"])
def test_a_replay_is_no_surprise(make: Any, policy: Policy, choices: dict[str, Any], mark: str) -> None:
    """What was set aside comes again late and perhaps twice, and its record says so."""
    driver = make(policy, **choices)
    driver.say(START, 10, number=1)
    driver.say(PING, 20, number=2)
    driver.pass_time(3)
    driver.accept_all()
    driver.say(PING, 15, number=1 if choices else None, headers=((mark, b"1"),))
    driver.say(PING, 20, number=2 if choices else None, headers=((mark, b"1"),))
    driver.accept_all()
    assert (found(driver), times(driver)) == ([], [10, 20, 15, 20])


@pytest.mark.parametrize("policy", [Policy.SEND, Policy.DROP_REPEATS, Policy.REORDER])
@pytest.mark.parametrize("choices", [{}, NUMBERED])
def test_a_session_that_begins_anew_begins_its_order_anew(make: Any, policy: Policy, choices: dict[str, Any]) -> None:
    """With a clock that was set back, and numbers that begin at one again."""
    driver = make(policy, **choices)
    for ts, number in ((10_000, 1), (10_001, 2), (10, 1), (11, 2), (12, 3)):
        driver.say(START if number == 1 else PING, ts, number=number)
        driver.pass_time(3)
        driver.accept_all()
    assert found(driver) == []
    assert [ts for ts in times(driver) if ts != 10_001][-3:] == [10, 11, 12]


@pytest.mark.parametrize("policy", [Policy.DROP_REPEATS, Policy.REORDER])
@pytest.mark.parametrize("choices", [{}, NUMBERED])
def test_a_start_that_comes_twice_opens_one_session(make: Any, policy: Policy, choices: dict[str, Any]) -> None:
    """The dearest repeat of all."""
    driver = make(policy, **choices)
    for _ in range(2):
        driver.say(START, 10, number=1)
    driver.say(PING, 20, number=2)
    driver.pass_time(3)
    driver.accept_all()
    assert (driver.opened, driver.sent()) == (1, ["open", "ping"])


def test_another_session_begins_as_the_first_did(make: Any) -> None:
    """At any moment, also that of its start; and its start may come twice as well."""
    driver = make(Policy.DROP_REPEATS)
    for kind, ts in ((START, 10), (START, 0), (PING, 0)):
        driver.say(kind, ts)
    assert found(driver) == []
    driver.say(START, 0)
    assert found(driver) == [Change.CAME_TWICE]


# --- order that is put right ------------------------------------------------------------------------------------------------------------


def test_events_wait_for_those_that_belong_before_them(make: Any) -> None:
    """As long as the window is, then they go in the order of their time."""
    driver = make(Policy.REORDER, window_seconds=2.0)
    for kind, ts in ((START, 10), (PING, 40), (PLAY, 20), (PING, 30)):
        driver.say(kind, ts)
    driver.accept_all()
    assert times(driver) == [10]
    assert driver.assignment.ledger.safe == 1
    driver.pass_time(2.1)
    driver.accept_all()
    assert (times(driver), found(driver)) == ([10, 20, 30, 40], [])
    assert driver.assignment.ledger.safe == 4


@pytest.mark.parametrize(("seconds", "left"), [(1.9, [10]), (2.0, [10, 20])])
def test_a_window_is_over_to_the_moment(make: Any, seconds: float, left: list[int]) -> None:
    """And the router says when it wants to be asked."""
    driver = make(Policy.REORDER, window_seconds=2.0)
    driver.say(START, 10)
    driver.accept_all()
    driver.say(PING, 20)
    assert driver.router.wake_at() == driver.now + 2.0
    driver.now += seconds
    driver.turn()
    assert times(driver) == left


def test_the_next_number_waits_for_nothing(make: Any) -> None:
    """And a gap only until it is filled."""
    driver = make(Policy.REORDER, **NUMBERED)
    for number in (1, 2, 5, 4):
        driver.say(START if number == 1 else PING, number, number=number)
    driver.accept_all()
    assert times(driver) == [1, 2]
    driver.say(PING, 3, number=3)
    driver.accept_all()
    assert times(driver) == [1, 2, 3, 4, 5]


def test_a_gap_that_stays_is_not_waited_for_any_longer(make: Any) -> None:
    """What comes after the window is late, counted, and sent."""
    driver = make(Policy.REORDER, **NUMBERED)
    for number in (1, 3):
        driver.say(START if number == 1 else PING, number, number=number)
    driver.pass_time(2.1)
    driver.say(PING, 2, number=2)
    driver.say(PING, 4, number=4)
    driver.accept_all()
    assert (times(driver), found(driver)) == ([1, 3, 2, 4], [Change.CAME_LATE])


def test_a_start_goes_before_what_came_before_it(make: Any) -> None:
    """The session is opened for its start, not joined at its second event."""
    driver = make(Policy.REORDER, **NUMBERED)
    for number in (3, 2, 1):
        driver.say({1: START, 2: PLAY, 3: PING}[number], number, number=number)
    driver.accept_all()
    assert driver.sent() == ["open", "play", "ping"]
    assert driver.aside == []


@pytest.mark.parametrize("first", [100, 0])
def test_a_new_start_sends_those_ahead_that_wait(make: Any, first: int) -> None:
    """They belong to the session before, be it that of the very first moment of a clock."""
    driver = make(Policy.REORDER)
    for kind, ts in ((START, first), (PING, 130), (END, 140), (START, 50), (PING, 60)):
        driver.say(kind, ts)
    driver.pass_time(3)
    driver.accept_all()
    driver.pass_time(3)
    driver.accept_all()
    assert times(driver) == [first, 130, 140, 50, 60]


def test_each_session_has_a_window_of_its_own(make: Any) -> None:
    """One that waits since a moment ago does not go with one that waits for long."""
    driver = make(Policy.REORDER, window_seconds=2.0)
    for key in ("a", "b"):
        driver.say(START, 10, key=key)
    driver.accept_all()
    driver.say(PING, 20, key="a")
    driver.pass_time(1.5)
    driver.say(PING, 30, key="b")
    driver.pass_time(1.0)
    assert times(driver) == [10, 10, 20]


def test_a_start_goes_with_those_that_wait_before_it(make: Any) -> None:
    """Not before them, nor do they go for its sake; and when they go it waits for nobody else."""
    driver = make(Policy.REORDER, **NUMBERED)
    driver.say(PING, 2, number=2)
    driver.say(START, 5, number=5)
    assert (driver.calls, driver.aside) == ([], [])
    for number in (0, 1):
        driver.say(PING, number, number=number)
    assert (len(driver.aside), driver.sent()) == (3, ["open"])


def test_the_lowest_that_waits_is_known_though_it_goes_last(make: Any) -> None:
    """A memoir must not claim what stands beyond it; and what has changed places is forgotten when it has left."""
    driver = make(Policy.REORDER, **NUMBERED)
    driver.say(START, 1, number=1)
    driver.accept_all()
    for number in (4, 3, 2):
        driver.say(PING, number, number=number)
    assert lowest_waiting(driver.lane()) == 1
    driver.accept(2)
    driver.say(PING, 6, number=6)
    assert lowest_waiting(driver.lane()) == 1
    driver.accept_all()
    assert lowest_waiting(driver.lane()) == 4
    driver.say(PING, 5, number=5)
    assert driver.lane().sequence.displaced == {4}


def test_a_new_start_at_the_same_moment_goes_at_once(make: Any) -> None:
    """Also at the very first moment of a clock."""
    driver = make(Policy.REORDER)
    driver.say(START, 0)
    driver.accept_all()
    driver.say(START, 0, value=b"another")
    driver.accept_all()
    assert driver.sent() == ["open", "sessionEnd", "open"]


def test_a_window_holds_so_many_events_and_no_more(make: Any) -> None:
    """The lowest goes when there are more."""
    driver = make(Policy.REORDER, window_events=3, window_seconds=60.0)
    driver.say(START, 1)
    for ts in (50, 40, 30, 20):
        driver.say(PING, ts)
    driver.accept_all()
    assert times(driver) == [1, 20]
    assert len(driver.lane().sequence.held) == 3


def test_what_waits_counts_as_waiting(make: Any) -> None:
    """For the limits: the source pauses, nothing is dropped, and everything comes back to nothing when the partition goes."""
    driver = make(Policy.REORDER, limits=Limits(buffer_events_max=4))
    driver.say(START, 1)
    driver.accept_all()
    for ts in (50, 40, 30, 20):
        driver.say(PING, ts)
    assert driver.router.buffer.is_full
    driver.revoke()
    buffer = driver.router.buffer
    assert (buffer.event_count, buffer.byte_count, buffer.lane_count, driver.router.left_count) == (0, 0, 0, 4)
    driver.pass_time(5)
    assert times(driver) == [1]


def test_several_things_of_one_record_stay_together(make: Any) -> None:
    """They are one place."""
    driver = make(Policy.REORDER)
    driver.say(START, 1)
    driver.say(PING, 1_700_000_000_009)
    offset = driver.arrive_in_parts("a", PLAY, PING)
    driver.pass_time(3)
    driver.accept_all()
    assert driver.sent() == ["open", "play", "ping", "ping"]
    assert times(driver)[1] == 1_700_000_000_000 + offset


def test_a_silent_session_is_not_forgotten_while_something_waits(make: Any) -> None:
    """However short the patience with silent ones is."""
    driver = make(Policy.REORDER, window_seconds=30.0)
    driver.say(PING, 1)
    driver.now += 10_000
    assert driver.router.forget_idle(driver.assignment, driver.now) == []


def test_the_relay_does_not_speak_for_a_session_while_something_waits(make_driver: Callable[..., Any]) -> None:
    """The player is not silent: what it said waits for its place."""
    driver = make_driver(order=Order(policy=Policy.REORDER, window_seconds=60.0), rules=Rules(keep_alive=KeepAlive(10.0)))
    driver.say(START, 1)
    driver.accept_all()
    driver.say(PING, 2)
    for _ in range(30):
        driver.pass_time(1.0)
        driver.router.look_for_silence(driver.now)
        driver.turn()
    assert times(driver) == [1]


def test_nothing_leaves_the_window_while_draining(make: Any) -> None:
    """The next owner reads it again."""
    driver = make(Policy.REORDER)
    driver.say(START, 1)
    driver.accept_all()
    driver.say(PING, 2)
    driver.router.drain()
    assert driver.router.wake_at() is None
    driver.pass_time(5)
    assert times(driver) == [1]
    assert driver.assignment.ledger.safe == 1


def test_a_restart_loses_nothing_that_waited(make: Any) -> None:
    """The memoir knows of nothing beyond the lowest that waits, though higher ones have left."""
    driver = make(Policy.REORDER, window_seconds=2.0, **NUMBERED)
    driver.say(START, 1, number=1)
    driver.accept_all()
    driver.say(PING, 5, number=5)
    for number in (2, 3):
        driver.say(PING, number, number=number)
    driver.accept_all()
    assert times(driver) == [1, 2, 3]
    driver.restart(from_offset=driver.assignment.ledger.safe)
    assert driver.lane().done_offset == 0
    for number in (5, 2, 3):
        driver.say(PING, number, number=number)
    driver.pass_time(3)
    driver.accept_all()
    assert times(driver) == [1, 2, 3, 2, 3, 5]


def test_what_changed_places_is_no_violation_of_order(make: Any) -> None:
    """The watch over the order knows who was let go before; all others are still watched."""
    driver = make(Policy.REORDER, **NUMBERED)
    driver.say(START, 1, number=1)
    driver.accept_all()
    for number in (4, 3, 2):
        driver.say(PING, number, number=number)
    driver.accept_all()
    assert driver.router.order_violations == 0
    lane = driver.lane()
    driver.say(PING, 5, number=5)
    lane.sent_offset = 99
    lane.attempts = 0
    driver.router._check_order(lane)
    assert driver.router.order_violations == 1
    driver.router.order_violations = 0
    driver.accept_all()


@QUICK
@given(st.data())
def test_whatever_comes_in_whatever_order_goes_once_and_in_order(make_driver: Callable[..., Any], data: st.DataObject) -> None:
    """Within the window: a permutation with repeats, some seconds between, by number or by time. Nothing is lost, and all is committed."""
    count = data.draw(st.integers(1, 12))
    choices = data.draw(st.sampled_from([{}, NUMBERED]))
    shuffled = data.draw(st.permutations(range(2, count + 2)))
    repeats = data.draw(st.lists(st.sampled_from(range(1, count + 2)), max_size=4))
    driver = make_driver(order=Order(policy=Policy.REORDER, window_seconds=10.0, window_events=50, **choices))
    driver.say(START, 1, number=1)
    for number in [*shuffled, *repeats]:
        driver.say(START if number == 1 else PING, number, number=number)
        if data.draw(st.booleans()):
            driver.pass_time(0.1)
        if driver.flying and data.draw(st.booleans()):
            driver.accept()
    driver.pass_time(11)
    driver.accept_all()
    assert times(driver) == list(range(1, count + 2))
    assert len(driver.skipped) == len(repeats)
    assert driver.assignment.ledger.safe == 1 + len(shuffled) + len(repeats)
    assert driver.router.buffer.event_count == 0


@QUICK
@given(st.lists(st.tuples(st.sampled_from([START, PLAY, PING, END]), st.integers(0, 6), st.integers(0, 3)), max_size=25), st.data())
def test_any_input_is_accounted_for(make_driver: Callable[..., Any], said: list[tuple[EventType, int, int]], data: st.DataObject) -> None:
    """Under each policy every record is sent, dropped as a repeat, or set aside, once; the books are right at each step."""
    policy = data.draw(st.sampled_from(list(Policy)))
    choices = data.draw(st.sampled_from([{}, NUMBERED]))
    driver = make_driver(order=Order(policy=policy, window_seconds=1.0, window_events=3, **choices))
    for kind, ts, seconds in said:
        driver.say(kind, ts, number=ts)
        driver.pass_time(seconds / 2)
        if driver.flying and data.draw(st.booleans()):
            driver.accept()
    for _ in range(4):
        driver.pass_time(2)
        driver.accept_all()
    outcomes = [*driver.finished, *driver.skipped, *(aside.record.offset for aside in driver.aside)]
    assert sorted(outcomes) == list(range(len(said)))
    assert driver.assignment.ledger.safe == (len(said) or None)


# --- two partitions ---------------------------------------------------------------------------------------------------------------------


def test_a_session_that_lives_in_two_partitions_is_noticed(make: Any) -> None:
    """Once, when it begins in the second; whatever is looked at otherwise."""
    driver = make(Policy.IGNORE)
    first, second = driver.assignment, driver.assign(1)
    driver.say(START, 1, assignment=first)
    assert found(driver) == []
    for ts in (2, 3):
        driver.say(PING, ts, assignment=second)
    assert found(driver) == [Change.SCATTERED]


def test_a_session_that_is_over_elsewhere_is_not_scattered(make: Any) -> None:
    """A key that moves to another partition between two sessions harms nobody."""
    driver = make(Policy.IGNORE)
    first, second = driver.assignment, driver.assign(1)
    for kind in (START, END):
        driver.say(kind, 1, assignment=first)
    driver.accept_all()
    driver.say(START, 2, assignment=second)
    assert found(driver) == []


# --- states of players ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", list(Policy))
def test_states_of_players_are_counted_and_never_held_back(make: Any, policy: Policy) -> None:
    """What a record comes to rests on those before it."""
    driver = make(policy)
    driver.say(START, 1)
    driver.pass_time(3)
    driver.accept_all()
    for ts in (40, 30):
        event = PlayerEvent(PLAY, playhead=1.5, ts=ts, record=Record(driver.assignment.ledger.end, value=b"%d" % ts))
        driver.handle(ArrivedAsFacts(driver.assignment, SessionKey("a"), Facts((Fact("play", event),), StateRules())))
    driver.accept_all()
    assert found(driver) == ([] if policy is Policy.IGNORE else [Change.CAME_LATE])
    assert driver.router.buffer.event_count == 0
    assert driver.assignment.ledger.outstanding_count == 0

"""How many calls leave per second: what the operator allows, and what an API bears that refuses the rest. All in virtual time."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

import pytest

from relay.core.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable
from random import Random

TICK: Final = 0.001
ROUND_TRIP: Final = 0.05


def by_the_clock(per_second: int) -> Callable[[float], bool]:
    """So many in each second of the clock."""
    taken: Counter[int] = Counter()

    def takes(now: float) -> bool:
        taken[int(now)] += 1
        return taken[int(now)] <= per_second

    return takes


def in_any_second(per_second: int) -> Callable[[float], bool]:
    """So many in any second that has just passed."""
    taken: deque[float] = deque()

    def takes(now: float) -> bool:
        while taken and taken[0] <= now - 1.0:
            taken.popleft()
        if len(taken) >= per_second:
            return False
        taken.append(now)
        return True

    return takes


def bucket(per_second: float, size: int) -> Callable[[float], bool]:
    """So many per second, and some saved up."""
    left, since = float(size), 0.0

    def takes(now: float) -> bool:
        nonlocal left, since
        left, since = min(float(size), left + (now - since) * per_second), now
        if left < 1.0:
            return False
        left -= 1.0
        return True

    return takes


class Caller:
    """Lanes that want to go all the time, so many side by side."""

    def __init__(self, pace: Pace, takes: Callable[[float], bool], *, asks_seconds: float = 0.0, side_by_side: int = 50) -> None:
        """Begin with nothing under way."""
        self.pace, self.takes, self.asks_seconds, self.side_by_side = pace, takes, asks_seconds, side_by_side
        self.now = 100.0
        self.total = 0
        self.departed: Counter[int] = Counter()
        self.served: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()
        self._flying: deque[tuple[float, bool]] = deque()

    def run(self, seconds: float, *, wanted_per_second: float = float("inf")) -> None:
        """Time passes."""
        began, wanted = self.now, 0.0
        while self.now < began + seconds:
            self.now += TICK
            second = int(self.now)
            while self._flying and self._flying[0][0] <= self.now:
                if self._flying.popleft()[1]:
                    self.total += 1
                    self.served[second] += 1
                else:
                    self.refused[second] += 1
                    self.pace.refuse(self.now, self.total, asked_seconds=self.asks_seconds)
            self.pace.pass_by(self.now, self.total)
            self.pace.is_holding = False
            wanted = min(wanted + wanted_per_second * TICK, 1_000.0)
            while len(self._flying) < self.side_by_side and wanted >= 1.0 and not (self.pace.is_on and self.pace.holds(self.now)):
                wanted -= 1.0
                self.pace.depart(self.now)
                self.departed[second] += 1
                self._flying.append((self.now + ROUND_TRIP, self.takes(self.now + ROUND_TRIP / 2)))


@pytest.mark.parametrize(
    ("limit", "numbers"),
    [(by_the_clock, (10,)), (in_any_second, (10,)), (bucket, (10, 10)), (bucket, (10, 100)), (by_the_clock, (300,))],
)
def test_a_hard_limit_is_met(limit: Callable[..., Callable[[float], bool]], numbers: tuple[int, ...]) -> None:
    """An API that takes so many per second is given at least nine tenths of that, in no second less than two thirds, and hardly more."""
    per_second = numbers[0]
    caller = Caller(Pace(), limit(*numbers))
    caller.run(5.0)
    begun = int(caller.now)
    caller.run(120.0)
    seconds = range(begun + 1, begun + 119)
    served = [caller.served[second] for second in seconds]
    assert sum(served) >= 0.92 * per_second * len(served)
    assert min(served) >= 0.66 * per_second
    assert max(caller.departed[second] for second in seconds) <= 1.2 * per_second + 1
    assert sum(caller.refused[second] for second in seconds) <= 0.025 * sum(served)


@pytest.mark.parametrize("asks_seconds", [1.0, 5.0, 30.0])
def test_the_dearer_a_refusal_the_rarer(asks_seconds: float) -> None:
    """Where each refusal costs a wait, a limit of 10 per second is still used to 80 % and more."""
    caller = Caller(Pace(), in_any_second(10), asks_seconds=asks_seconds)
    caller.run(60.0)
    caller.run(600.0)
    assert sum(caller.served[second] for second in range(160, 760)) >= 0.8 * 10 * 600


def test_retry_after_stops_everything() -> None:
    """Nothing leaves until then, not a moment before; a shorter wait that is asked for meanwhile does not shorten it."""
    pace = Pace()
    pace.pass_by(100.0, 1_000)
    pace.refuse(100.0, 1_000, asked_seconds=7.0)
    pace.refuse(101.0, 1_000, asked_seconds=2.0)
    assert (pace.is_on, pace.throttled_until) == (True, 107.0)
    assert pace.holds(106.999)
    assert pace.ask_again_at() >= 107.0
    assert not pace.pass_by(106.9, 1_000)
    assert pace.pass_by(107.0, 1_000), "it is over just now"
    assert not pace.pass_by(107.1, 1_000)
    assert pace.throttled_until == 0.0


def test_a_few_refusals_among_hundreds_are_not_about_the_rate() -> None:
    """Ten 429 while 500 are served in a second: no pace. A hundred: a pace, a little below what was served."""
    pace = Pace()
    for step in range(10):
        pace.pass_by(100.0 + step / 4, 125 * step)
    for _ in range(10):
        pace.refuse(102.25, 1_125, asked_seconds=0.0)
    assert pace.per_second is None
    for _ in range(90):
        pace.refuse(102.25, 1_125, asked_seconds=0.0)
    assert pace.per_second == pytest.approx(0.93 * 500, rel=0.02)


@pytest.mark.parametrize("wanted_per_second", [20.0, 500.0])
def test_who_is_refused_now_and_then_at_random_is_not_slowed_down(wanted_per_second: float) -> None:
    """One call in a hundred is answered 429, whatever the rate: all that is wanted leaves."""
    dice = Random(1)  # noqa: S311  # moments, no secrets
    caller = Caller(Pace(), lambda _: dice.random() > 0.01)
    caller.run(300.0, wanted_per_second=wanted_per_second)
    assert sum(caller.departed.values()) >= 0.97 * 300 * wanted_per_second


def test_what_was_sent_before_a_cut_does_not_cut_again() -> None:
    """Fifty calls that were under way when the first was refused are one lesson, not fifty."""
    caller = Caller(Pace(), by_the_clock(10), side_by_side=200)
    caller.run(0.9)
    assert caller.refused[100] > 100
    assert caller.pace.per_second == pytest.approx(9.3, abs=0.4)


def test_when_nothing_is_served_one_call_per_second_asks() -> None:
    """All are refused: about one per second leaves, however long; when the API takes calls again, all flows within twelve seconds."""
    is_open = False
    caller = Caller(Pace(), lambda _: is_open, side_by_side=20)
    caller.run(10.0)
    caller.run(50.0)
    assert 40 <= sum(caller.departed[second] for second in range(110, 160)) <= 75
    is_open = True
    caller.run(12.0)
    assert caller.served[int(caller.now) - 1] > 300


def test_a_limit_that_was_lifted_is_forgotten() -> None:
    """From 10 per second to no limit: within a minute ten times as much, and half a minute after that no pace at all."""
    limit = in_any_second(10)
    is_lifted = False
    caller = Caller(Pace(), lambda now: is_lifted or limit(now))
    caller.run(30.0)
    is_lifted = True
    caller.run(45.0)
    assert caller.served[int(caller.now) - 1] >= 100
    caller.run(60.0)
    assert caller.pace.per_second is None
    assert not caller.pace.is_on


def test_a_pace_that_holds_nobody_is_forgotten() -> None:
    """Half a minute with less demand than the pace, and it is gone."""
    caller = Caller(Pace(), in_any_second(10))
    caller.run(10.0)
    assert caller.pace.is_slowed_down
    caller.run(32.0, wanted_per_second=3.0)
    assert not caller.pace.is_slowed_down
    assert not caller.pace.is_on


def test_a_lower_limit_is_found_within_seconds() -> None:
    """From 300 to 20 per second: three seconds later it is met."""
    now_20, then_300 = in_any_second(20), by_the_clock(300)
    is_lower = False
    caller = Caller(Pace(), lambda now: now_20(now) if is_lower else then_300(now))
    caller.run(20.0)
    is_lower = True
    caller.run(3.0)
    begun = int(caller.now)
    caller.run(10.0)
    assert all(12 <= caller.served[second] <= 21 for second in range(begun + 1, begun + 9))
    assert sum(caller.refused[second] for second in range(begun + 1, begun + 9)) <= 8


@pytest.mark.parametrize("per_second", [1.0, 10.0, 333.0])
def test_the_operators_limit_holds_in_any_second(per_second: float) -> None:
    """Never more than that within any second, and hardly less."""
    pace = Pace(per_second_max=per_second)
    moments: list[float] = []
    now, late = 100.0, 0
    while now < 130.0:
        late += 1
        now += 0.015 if late % 50 == 0 else 0.001  # a timer that is late now and then
        pace.is_holding = False
        while not pace.holds(now):
            pace.depart(now)
            moments.append(now)
    assert len(moments) >= 0.95 * 30 * per_second
    window: deque[float] = deque()
    for moment in moments:
        window.append(moment)
        while window[0] <= moment - 1.0:
            window.popleft()
        assert len(window) <= per_second


def test_the_operators_limit_stays_when_the_learned_one_goes() -> None:
    """A pace that was learned never exceeds the operator's, and leaves it behind."""
    caller = Caller(Pace(per_second_max=40.0), in_any_second(10))
    caller.run(10.0)
    assert (caller.pace.per_second or 0.0) < 12.0
    caller.takes = lambda _: True
    caller.run(120.0)
    assert caller.pace.per_second == pytest.approx(39.2)
    assert caller.pace.is_on

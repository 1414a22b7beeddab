"""How the limit of calls moves, window by window: what a dozen answers at a known moment do to it, and what they do not."""

from __future__ import annotations

import pytest

from relay.core.concurrency import (
    BEGIN,
    LAG_WEIGHT,
    LATENCY_ALLOWED_SECONDS,
    LATENCY_RATIO_MAX,
    LOOK_AGAIN_SECONDS,
    SAMPLES_MIN,
    Concurrency,
)

QUICK = 0.0625  # sums of it are exact
SLOW = 0.5  # beyond twice the quick ones and twenty milliseconds


class Steps:
    """A limit, and answers that come at moments of our choice."""

    def __init__(self, limit: int = 64, *, maximum: int = 1_000, minimum: int = 1) -> None:
        """Begin at a limit, with a baseline of quick calls."""
        self.now = 0.0
        self.concurrency = Concurrency(maximum=maximum, minimum=minimum, is_adaptive=True)
        self.concurrency.limit = limit
        self.window(QUICK, is_binding=False)

    @property
    def limit(self) -> int:
        """The limit."""
        return self.concurrency.limit

    def window(  # noqa: PLR0913  # facts of a window, each by its name
        self, seconds: float, *, served: int = SAMPLES_MIN, failed: int = 0, lag: float = 0.0, in_flight: int = 0, is_binding: bool = True
    ) -> int:
        """As many answers as a window needs, all at once, after it may close: the limit then."""
        self.now += 1.0
        for _ in range(served):
            self.concurrency.is_binding = self.concurrency.is_binding or is_binding
            self.concurrency.served(self.now, seconds, lag, in_flight)
        for _ in range(failed):
            self.concurrency.is_binding = self.concurrency.is_binding or is_binding
            self.concurrency.failed(self.now, in_flight)
        return self.limit

    def look(self, seconds: float) -> int:
        """A slow window, then one at a quarter of the limit, where calls take so long: the limit then."""
        self.window(SLOW)
        return self.window(seconds, is_binding=False)


def test_the_first_window_is_the_baseline_whatever_it_says() -> None:
    """Calls that take three seconds from the beginning on are what is usual there."""
    concurrency = Concurrency(maximum=100, is_adaptive=True)
    for _ in range(SAMPLES_MIN):
        concurrency.is_binding = True
        concurrency.served(0.0, 3.0, 0.0, 8)
    assert concurrency.limit == 2 * BEGIN


def test_who_turned_somebody_away_did_so_in_this_window_only() -> None:
    """The limit grows for a window that was too narrow, and not for the next, which was not."""
    steps = Steps()
    assert steps.window(QUICK) == 72
    assert steps.window(QUICK, is_binding=False) == 72


@pytest.mark.parametrize(
    ("in_flight", "is_binding", "shrinks"), [(0, True, True), (32, False, True), (31, False, False), (22, False, False)]
)
def test_latency_shrinks_a_limit_that_is_used(in_flight: int, *, is_binding: bool, shrinks: bool) -> None:
    """By whoever was turned away, or by calls that fill half of it; else it cannot be the limit's doing."""
    assert (Steps().window(SLOW, in_flight=in_flight, is_binding=is_binding) < 64) is shrinks


def test_what_is_bearable_is_bearable_up_to_the_last_millisecond() -> None:
    """Twice the baseline and twenty milliseconds: with that the limit still grows, with more it shrinks."""
    concurrency = Concurrency(maximum=100, is_adaptive=True)
    concurrency.begin_anew(0)  # one call makes a window
    concurrency.served(0.0, 0.25, 0.0, 0)
    concurrency.is_binding = True
    concurrency.served(1.0, LATENCY_RATIO_MAX * 0.25 + LATENCY_ALLOWED_SECONDS, 0.0, 0)
    assert concurrency.limit == 2


@pytest.mark.parametrize(("seconds", "lag", "shrinks"), [(0.25, 0.03, True), (0.23, 0.03, False), (SLOW, 0.01, True)])
def test_three_times_our_own_lag_is_taken_off(seconds: float, lag: float, *, shrinks: bool) -> None:
    """What then remains is the server's: 0.16, 0.14 and 0.26 s, where 0.145 are bearable and no call counts more than twice that."""
    assert LAG_WEIGHT == 3.0
    assert (Steps().window(seconds, lag=lag) < 64) is shrinks


@pytest.mark.parametrize(("served", "failed", "limit"), [(6, 2, 64), (5, 3, 48)])
def test_more_than_a_quarter_of_failures_shrinks_the_limit_by_a_quarter(served: int, failed: int, limit: int) -> None:
    """A quarter itself does not."""
    assert Steps().window(QUICK, served=served, failed=failed, is_binding=False) == limit


def test_a_window_lasts_a_tenth_of_a_second_and_a_call() -> None:
    """Failures before are counted, and nothing is judged; at that very moment it is."""
    steps = Steps()
    opened, concurrency = steps.now, steps.concurrency
    for _ in range(2 * SAMPLES_MIN):
        concurrency.failed(opened + 0.09, 0)
    assert steps.limit == 64
    concurrency.failed(opened + 0.1, 0)
    assert steps.limit == 48
    for _ in range(SAMPLES_MIN):  # a window of failures tells nothing of how long calls take: the next is as short as may be
        concurrency.failed(opened + 0.3, 0)
    assert steps.limit == 36


def test_calls_that_left_under_the_limit_before_say_nothing_of_this_one() -> None:
    """As many answers as were under way when it shrank are passed over, failures as well; each is one."""
    steps = Steps()
    assert steps.window(QUICK, served=0, failed=SAMPLES_MIN, in_flight=SAMPLES_MIN) == 48
    assert steps.window(QUICK, served=0, failed=SAMPLES_MIN) == 48
    assert steps.window(QUICK, served=0, failed=SAMPLES_MIN - 1) == 48
    assert steps.window(QUICK, served=0, failed=1) == 36


def test_after_it_shrank_the_limit_grows_by_a_tenth_and_by_one_at_least() -> None:
    """Twofold only as long as nothing has spoken against it."""
    steps = Steps(27)
    assert steps.window(QUICK, served=5, failed=3) == 20
    assert steps.window(QUICK) == 22
    few = Steps(8)
    few.window(QUICK, served=0, failed=8)
    assert (few.limit, few.window(QUICK, served=6)) == (6, 7)


def test_without_a_minimum_one_call_may_go() -> None:
    """Whatever fails."""
    concurrency = Concurrency(maximum=8, is_adaptive=True)
    for number in range(100):
        concurrency.failed(1.0 + number, 0)
    assert concurrency.limit == 1


def test_a_look_at_little_load_comes_with_the_first_latency() -> None:
    """At any time: a quarter of what it has shrunk to, for one window, and back."""
    concurrency = Concurrency(maximum=64, is_adaptive=True)
    concurrency.limit = 64
    for now, seconds in ((0.0, QUICK), (0.5, SLOW)):
        for _ in range(SAMPLES_MIN):
            concurrency.is_binding = seconds == SLOW
            concurrency.served(now, seconds, 0.0, 0)
    assert concurrency.limit == 64 // 2 // 4
    assert Steps().look(QUICK) == 32


@pytest.mark.parametrize(("waited", "is_due"), [(-1.0, False), (0.0, True)])
def test_who_was_as_quick_as_before_is_not_looked_at_for_a_while(waited: float, *, is_due: bool) -> None:
    """For fifteen seconds; latency until then only shrinks the limit."""
    steps = Steps()
    steps.window(SLOW)
    looked_at = steps.now
    steps.window(1.25 * QUICK, is_binding=False)
    steps.now = looked_at + 15.0 + waited - 1.0
    assert steps.window(SLOW) == (16 // 4 if is_due else 16)


@pytest.mark.parametrize(("waited", "is_due"), [(-0.5, False), (0.0, True)])
def test_who_was_slower_is_looked_at_again_soon(waited: float, *, is_due: bool) -> None:
    """It may have been the crowd of a moment ago: in three seconds."""
    steps = Steps()
    steps.look(1.5 * QUICK)
    steps.now += LOOK_AGAIN_SECONDS + waited - 1.0
    assert steps.window(SLOW) == (16 // 4 if is_due else 16)


@pytest.mark.parametrize(("seconds", "limit"), [(2.0 * QUICK, 35), (2.1 * QUICK, 40)])
def test_who_is_slow_by_himself_gets_back_quickly_what_he_was_denied(seconds: float, limit: int) -> None:
    """Whoever takes more than twice as long when little is asked of him: from there the limit grows by as much as was served."""
    steps = Steps()
    assert steps.look(seconds) == 32
    assert steps.window(seconds) == limit


@pytest.mark.parametrize(("seconds", "limits"), [(SLOW, [16, 8 // 4]), (0.24, [19, 11 // 4])])
def test_a_limit_that_falls_below_half_of_where_it_was_looked_at_is_looked_at_again(seconds: float, limits: list[int]) -> None:
    """Before its time: half is not below half."""
    steps = Steps()
    assert steps.look(QUICK) == 32
    assert [steps.window(seconds) for _ in limits] == limits


def test_failures_in_a_look_end_it() -> None:
    """What it would have led back to is forgotten."""
    steps = Steps()
    steps.window(SLOW)
    assert steps.limit == 8
    assert steps.window(QUICK, served=0, failed=SAMPLES_MIN) == 6
    assert steps.window(QUICK, served=6, is_binding=False) == 6


def test_to_begin_anew_forgets_what_was_going_on() -> None:
    """A look, calls that left before, the growth by tenths, and the moment at which a window may close."""
    steps = Steps()
    steps.window(SLOW, in_flight=5)
    steps.concurrency.begin_anew(3)
    assert steps.limit == 4
    steps.now = -0.5
    assert steps.window(QUICK, served=4) == 8

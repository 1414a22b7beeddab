"""What a pace learns from counts, and on which curve it returns and feels its way upward: exact figures at exact moments."""

from __future__ import annotations

import pytest

from relay.core.pace import Pace

AT = 100.0  # when the pace is cut


def seen(*counts: tuple[float, int]) -> Pace:
    """A pace that was told at these moments how many calls had been served."""
    pace = Pace()
    for at, served in counts:
        pace.pass_by(at, served)
    return pace


def refuse(pace: Pace, times: int, at: float, served: int, *, asked_seconds: float = 0.0) -> None:
    """So many calls are refused at once."""
    for _ in range(times):
        pace.refuse(at, served, asked_seconds=asked_seconds)


def cut(*, asked_seconds: float = 0.0, per_second_max: float | None = None) -> Pace:
    """A pace that was cut when 100 calls per second were served, 1,000 so far: its peak is 100 per second."""
    pace = Pace(per_second_max=per_second_max)
    for step in range(9):
        pace.pass_by(AT - 2.0 + step / 4, 800 + 25 * step)
    refuse(pace, 11, AT, 1_000, asked_seconds=asked_seconds)  # of 211 answers in two seconds
    return pace


def run_into(pace: Pace, at: float) -> None:
    """Let go as many as may, until one is held."""
    pace.is_holding = False
    while not pace.holds(at):
        pace.depart(at)


def rate_at(pace: Pace, at: float, served: int = 1_000) -> float | None:
    """The rate that is in force then."""
    pace.pass_by(at, served)
    return pace.per_second


# --- the curve ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "share"),
    [
        (0.0, 0.93),
        (2.5, 1 - 0.07 * 0.75**3),
        (5.0, 1 - 0.07 / 8),
        (9.0, 1 - 0.07 / 1_000),
        (10.0, 1.0),
        (12.0, 1.01),
        (14.0, 1.03),
        (20.0, 1.31),
        (26.0, 3.55),
    ],
)
def test_the_curve(seconds: float, share: float) -> None:
    """A little less than the peak, back within ten seconds and slower from one to the next, then more by 1 %, doubling each two seconds."""
    assert rate_at(cut(), AT + seconds) == pytest.approx(100 * share, rel=1e-9)


@pytest.mark.parametrize("seconds", [0.0, 1.0, 2.0, 5.0, 9.0])
def test_when_nothing_was_served_the_pace_doubles_each_second(seconds: float) -> None:
    """From one call per second on."""
    pace = seen((98.0, 0), (99.0, 0))
    refuse(pace, 3, AT, 0)
    assert pace.is_slowed_down
    assert rate_at(pace, AT + seconds, 0) == 2.0**seconds


@pytest.mark.parametrize(("asked_seconds", "return_seconds"), [(0.0, 10.0), (0.5, 10.0), (5.0, 50.0), (12.0, 120.0), (60.0, 120.0)])
def test_the_dearer_a_refusal_the_slower_the_return(asked_seconds: float, return_seconds: float) -> None:
    """Ten times the wait that was asked for, at least ten seconds, at most two minutes; it begins when the wait is over."""
    pace = cut(asked_seconds=asked_seconds)
    over = AT + asked_seconds
    assert rate_at(pace, over) == pytest.approx(93.0)
    for seconds in range(25, int(return_seconds), 25):
        run_into(pace, over + seconds)  # so that it is not forgotten
    assert rate_at(pace, over + return_seconds / 2) == pytest.approx(100 * (1 - 0.07 / 8))
    assert rate_at(pace, over + return_seconds) == pytest.approx(100.0, rel=1e-9)


def test_each_wait_that_is_asked_for_says_anew_how_long_the_return_takes() -> None:
    """A refusal that asks for none leaves it as it was."""
    pace = cut()
    pace.refuse(AT + 2.0, 1_000, asked_seconds=2.0)
    assert rate_at(pace, AT + 4.0) == pytest.approx(93.0)
    pace.refuse(AT + 5.0, 1_000, asked_seconds=0.0)
    assert rate_at(pace, AT + 14.0) == pytest.approx(100 * (1 - 0.07 / 8))
    assert rate_at(pace, AT + 24.0) == pytest.approx(100.0, rel=1e-9)


def test_a_shorter_wait_shortens_the_return() -> None:
    """Five seconds were asked for, and then half a second: the pace is back ten seconds later."""
    pace = cut(asked_seconds=5.0)
    pace.pass_by(AT + 5.0, 1_000)
    pace.refuse(AT + 6.0, 1_000, asked_seconds=0.5)
    assert rate_at(pace, AT + 6.5) == pytest.approx(93.0)
    assert rate_at(pace, AT + 16.5) == pytest.approx(100.0, rel=1e-9)


def test_who_was_forgotten_begins_anew() -> None:
    """A refusal that asks for no wait, when no pace is in force: the return takes ten seconds, whatever it took the last time."""
    pace = cut(asked_seconds=5.0)
    pace.pass_by(AT + 5.0, 1_000)
    assert rate_at(pace, AT + 40.0) is None
    assert rate_at(pace, AT + 41.0, 1_100) is None
    refuse(pace, 6, AT + 41.0, 1_100)
    assert rate_at(pace, AT + 51.0, 1_100) == pytest.approx(100.0, rel=1e-9)


# --- how long it holds --------------------------------------------------------------------------------------------------------------


def test_a_pace_is_forgotten_half_a_minute_after_it_held_somebody() -> None:
    """Exactly then, and with it that the API has asked for less."""
    pace = cut()
    pace.pass_by(AT + 5.0, 1_000)
    run_into(pace, AT + 5.0)
    pace.pass_by(AT + 34.999, 1_000)
    assert (pace.is_on, pace.is_slowed_down) == (True, True)
    pace.pass_by(AT + 35.0, 1_000)
    assert (pace.is_on, pace.is_slowed_down, pace.per_second) == (False, False, None)


def test_a_long_wait_forgets_nothing() -> None:
    """The API has asked for a minute: until then the pace stays as it is, and afterwards it is felt for from there."""
    pace = cut(asked_seconds=60.0)
    assert rate_at(pace, AT + 59.9) == pytest.approx(93.0)
    assert rate_at(pace, AT + 60.0) == pytest.approx(93.0)


def test_a_wait_alone_is_less_too() -> None:
    """Whoever is asked to wait is slowed down, with no pace at all; the very moment when the wait ends, somebody may go."""
    pace = seen((AT, 1_000))
    pace.refuse(AT, 1_000, asked_seconds=0.5)
    assert (pace.per_second, pace.is_slowed_down, pace.throttled_until) == (None, True, AT + 0.5)
    assert pace.holds(AT + 0.4)
    pace.is_holding = False
    assert not pace.holds(AT + 0.5)
    assert pace.pass_by(AT + 0.5, 1_000)
    assert (pace.is_on, pace.is_slowed_down) == (False, False)


def test_the_operators_limit_is_not_what_the_api_asks_for() -> None:
    """A limit of the API was lifted, and the operator's holds somebody all the time: half a minute, and the API asks for less no more."""
    pace = cut(per_second_max=110.0)
    for step in range(1, 200):
        now = AT + step / 4
        pace.pass_by(now, 1_000)
        run_into(pace, now)
    assert pace.per_second == pytest.approx(107.8)
    assert not pace.is_slowed_down


def test_a_pace_that_is_learned_never_exceeds_the_operators() -> None:
    """What was served before the operator's limit was met is more than that."""
    pace = cut(per_second_max=50.0)
    assert pace.per_second == pytest.approx(0.93 * 49.0)
    assert rate_at(pace, AT + 12.0) == pytest.approx(49.0)


# --- when it is cut -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("refused", "served", "is_cut"), [(2, 0, False), (3, 0, True), (3, 57, False), (3, 56, True)])
def test_how_many_refusals_are_about_the_rate(refused: int, served: int, *, is_cut: bool) -> None:
    """More than two, and more than a twentieth of the answers of the last two seconds."""
    pace = seen((98.0, 1_000), (99.0, 1_000))
    refuse(pace, refused, AT, 1_000 + served)
    assert (pace.per_second is not None) == is_cut


@pytest.mark.parametrize(("refused", "served", "is_cut"), [(2, 0, False), (3, 0, True), (3, 197, False), (3, 196, True)])
def test_how_many_refusals_cut_once_more(refused: int, served: int, *, is_cut: bool) -> None:
    """More than two, and more than 1.5 % of the answers since the last cut."""
    pace = cut()
    refuse(pace, refused, AT + 3.0, 1_000 + served)
    assert ((pace.per_second or 0.0) < 92.0) == is_cut


def test_a_pace_is_cut_once_per_second() -> None:
    """What is refused before had left before the cut; exactly a second later it counts."""
    pace = cut()
    refuse(pace, 100, AT + 0.999, 1_050)
    assert pace.per_second == pytest.approx(93.0)
    refuse(pace, 3, AT + 1.0, 1_050)
    assert (pace.per_second or 0.0) < 90.0


@pytest.mark.parametrize(
    ("asked_seconds", "later", "is_cut"), [(0.5, 9.999, False), (0.5, 10.0, True), (0.0, 10.0, False), (0.0, 15.0, False)]
)
def test_one_dear_refusal_is_enough_once_the_pace_has_returned(asked_seconds: float, later: float, *, is_cut: bool) -> None:
    """One that asks for a wait, when the pace is what was learned, or above it; one that asks for none never is."""
    pace = cut()
    before = rate_at(pace, AT + later, 2_000)
    pace.refuse(AT + later, 2_000, asked_seconds=asked_seconds)
    assert ((pace.per_second or 0.0) < (before or 0.0)) == is_cut


def test_a_refusal_cuts_below_the_pace_that_was_refused() -> None:
    """However much was served in the last second: that had left before."""
    pace = cut()
    pace.pass_by(AT + 1.5, 1_000)
    pace.pass_by(AT + 2.5, 1_000)
    refused_at = rate_at(pace, AT + 2.75, 1_000)
    refuse(pace, 20, AT + 3.0, 1_500)
    assert pace.per_second == pytest.approx(0.93 * (refused_at or 0.0))


# --- what was served ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("later", "served", "then", "per_second"),
    [
        (0.5, 1_200, 0.5, 250.0),
        (0.999, 1_200, 0.999, 225 / 1.249),
        (1.0, 1_200, 1.0, 100.0),
        (0.5, 1_010, 0.5, 100.0),
        (0.5, 1_200, 0.9, 250.0),
    ],
)
def test_what_is_served_in_the_first_second_may_show_that_more_is_borne(later: float, served: int, then: float, per_second: float) -> None:
    """What had left before the first refusal is still being answered: the peak is the most that is seen, within one second."""
    pace = cut()
    pace.pass_by(AT + later, served)
    assert rate_at(pace, AT + then, served) == pytest.approx(per_second * (1 - 0.07 * (1 - then / 10) ** 3), rel=0.001)


def test_nothing_is_learned_from_what_is_served_after_a_wait() -> None:
    """Nor after a second cut: what had left before has landed long ago."""
    pace = cut()
    pace.refuse(AT + 0.1, 1_000, asked_seconds=0.1)
    assert pace.pass_by(AT + 0.25, 1_000)
    assert rate_at(pace, AT + 0.5, 1_200) == pytest.approx(100 * (1 - 0.07 * 0.975**3))


def test_the_first_rate_that_shows_is_the_peak() -> None:
    """Nothing was served at the first refusal; half a second later one call was: the pace is one per second, and doubles no more."""
    pace = seen((98.0, 0), (99.0, 0))
    refuse(pace, 3, AT, 0)
    assert rate_at(pace, AT + 0.5, 1) == pytest.approx(1 - 0.07 * 0.95**3)
    assert rate_at(pace, AT + 2.5, 1) == pytest.approx(1 - 0.07 * 0.75**3)


def test_one_call_in_two_seconds_is_a_rate() -> None:
    """And no sign that nothing is served: the pace is the least that there is, less a little."""
    pace = seen((98.0, 0), (98.25, 1), (99.0, 1))
    refuse(pace, 3, AT, 1)
    assert pace.per_second == pytest.approx(0.93)


QUARTERS = tuple(AT + step / 4 for step in range(-12, 1))


@pytest.mark.parametrize(
    ("began", "per_second"),
    [(-0.25, 100.0), (-1.0, 100.0), (-1.25, 50.0), (-2.0, 50.0), (-2.25, 0.0)],
)
def test_what_was_served_in_the_last_second_or_two(began: float, per_second: float) -> None:
    """A hundred calls within a quarter of a second: the better of the last second and the mean of the last two."""
    pace = seen(*((at, 100 if at > AT + began else 0) for at in QUARTERS))
    refuse(pace, 6, AT, 100)
    assert pace.per_second == pytest.approx(0.93 * per_second or 1.0)


@pytest.mark.parametrize(
    ("looks", "served", "per_second"),
    [
        ([(1.5, 0)], 60, 40.0),
        ([(4.0, 0)], 60, 15.0),
        ([(4.001, 0), (0.0, 60)], 60, 0.0),
        ([(5.0, 0), (0.0, 60)], 60, 0.0),
        ([(2.5, 0), (0.5, 50)], 100, 50.0),
        ([(10.0, 0), (0.5, 50), (0.25, 60)], 70, 20.0),
    ],
)
def test_where_nobody_looked_in_between(looks: list[tuple[float, int]], served: int, per_second: float) -> None:
    """What was served between two looks counts in proportion; if they are far apart, only what was served since the later one does."""
    pace = seen(*((AT - ago, count) for ago, count in looks))
    refuse(pace, 12, AT, served)
    assert pace.per_second == pytest.approx(0.93 * per_second or 1.0)


@pytest.mark.parametrize(("refused", "is_cut"), [(5, False), (6, True)])
def test_refusals_count_in_proportion(refused: int, *, is_cut: bool) -> None:
    """Nobody looked for four seconds: half of them count as those of the last two."""
    pace = seen((AT - 4.0, 0))
    refuse(pace, refused, AT, 0)
    assert (pace.per_second is not None) == is_cut


def test_refusals_of_long_ago_do_not_count() -> None:
    """Two, and three seconds later two more, are no more than two."""
    pace = seen((AT - 3.5, 0))
    refuse(pace, 2, AT - 3.5, 0)
    for at in QUARTERS:
        pace.pass_by(at, 0)
    refuse(pace, 2, AT, 0)
    assert pace.per_second is None


def test_what_was_served_longer_ago_than_two_seconds_excuses_nothing() -> None:
    """A thousand calls, then two seconds of nothing, then three refusals: they are about the rate."""
    pace = seen((AT - 3.0, 0), (AT - 2.0, 1_000), (AT - 1.0, 1_000), (AT, 1_000))
    refuse(pace, 3, AT, 1_000)
    assert pace.per_second == 1.0

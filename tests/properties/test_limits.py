"""Whatever an API answers, and whenever: limits stay within their bounds, and nobody waits for a moment that never comes."""

from hypothesis import given
from hypothesis import strategies as st

from relay.core.concurrency import Concurrency
from relay.core.pace import FLOOR_PER_SECOND, Pace

seconds = st.floats(min_value=0.0, max_value=100.0)
answers = st.lists(
    st.tuples(st.sampled_from(["served", "failed", "interrupted"]), seconds, seconds, st.integers(0, 500), st.booleans()),
    max_size=200,
)


@given(answers=answers, maximum=st.integers(1, 600), minimum=st.integers(1, 600), is_adaptive=st.booleans())
def test_the_limit_stays_within_its_bounds(
    answers: list[tuple[str, float, float, int, bool]], maximum: int, minimum: int, *, is_adaptive: bool
) -> None:
    """At least one call may always go, never more than the maximum, and never fewer than the minimum but after an interruption."""
    concurrency = Concurrency(maximum=maximum, minimum=minimum, is_adaptive=is_adaptive)
    now, was_interrupted = 100.0, False
    for what, took, passed, in_flight, is_binding in answers:
        now += passed
        concurrency.is_binding = concurrency.is_binding or is_binding
        if what == "served":
            concurrency.served(now, took, took / 10, in_flight)
        elif what == "failed":
            concurrency.failed(now, in_flight)
        else:
            concurrency.begin_anew(in_flight)
            was_interrupted = True
        assert 1 <= concurrency.limit <= maximum
        if not was_interrupted:
            assert concurrency.limit >= (min(minimum, maximum) if is_adaptive else maximum)


@given(
    st.lists(
        st.tuples(st.sampled_from(["refused", "served", "departs", "passes"]), seconds, st.sampled_from([0.0, 1.0, 300.0])), max_size=200
    ),
    st.sampled_from([None, 0.1, 5.0, 1_000.0]),
)
def test_who_is_held_goes_on_when_it_was_said(happenings: list[tuple[str, float, float]], per_second_max: float | None) -> None:
    """Nobody is held beyond the moment that was named, nor is that later than what was asked and one interval; no pace is too low."""
    pace = Pace(per_second_max=per_second_max)
    now, served = 100.0, 0
    for what, passed, asked in happenings:
        now += passed
        pace.pass_by(now, served)
        if what == "refused":
            pace.refuse(now, served, asked_seconds=asked)
        elif what == "served":
            served += 1
        elif what == "departs":
            pace.is_holding = False
            if not (pace.is_on and pace.holds(now)):
                pace.depart(now)
        rate = pace.per_second
        assert rate is None or rate >= min(0.9 * FLOOR_PER_SECOND, 0.98 * (per_second_max or 1.0))
        interval = 1.0 / rate if rate else 0.0
        assert pace.ask_again_at() <= max(now, pace.throttled_until) + 2 * interval + 1e-6
        assert pace.throttled_until <= now + 300.0
    pace.is_holding = False
    later = max(now, pace.ask_again_at())
    pace.pass_by(later, served)
    assert not pace.holds(later)

"""How the soak judges what a process holds: growth is noticed, and what comes and goes is not taken for it."""

import pytest
from system.flatness import HANDLES_GROWTH_MAX, RSS_GROWTH_MAX, Sample, trend, trend_of_lanes, trends

STEADY = Sample(80 * 2**20, 50, 18, 25, 1000, 10, 20, 0.5)
COUNT = 100


def test_what_does_not_grow_is_flat() -> None:
    """Also when it was less in the beginning, and when a quarter of the samples of each quarter fall into some trouble."""
    warm_up = [STEADY._replace(rss_bytes=40 * 2**20, handles=10, tasks=3)] * (COUNT // 4)
    troubled = [STEADY._replace(handles=300, tasks=200) if number % 4 == 0 else STEADY for number in range(COUNT - len(warm_up))]
    assert all(one.is_flat for one in trends([*warm_up, *troubled]))
    assert trend_of_lanes([1000] * COUNT).is_flat


@pytest.mark.parametrize(
    ("name", "growth"), [("rss_bytes", 3 * RSS_GROWTH_MAX), ("handles", 3 * HANDLES_GROWTH_MAX), ("threads", 4), ("tasks", 120)]
)
def test_what_grows_steadily_is_noticed(name: str, growth: int) -> None:
    """Little by little, from begin to end; and nothing else is blamed."""
    samples = [STEADY._replace(**{name: getattr(STEADY, name) + number * growth // COUNT}) for number in range(COUNT)]
    assert [one.name for one in trends(samples) if not one.is_flat] == [name]


def test_lanes_that_nobody_forgets_are_noticed() -> None:
    """A third more at the end."""
    assert not trend_of_lanes([1000 + 4 * number for number in range(COUNT)]).is_flat


def test_few_samples_say_nothing() -> None:
    """Without a quarter there is no trend."""
    with pytest.raises(AssertionError, match="only 3 samples"):
        trend("tasks", [1, 2, 3], 0)

"""How often it failed → how long to wait."""

import pytest

from relay.core.backoff import Backoff


@pytest.mark.parametrize(("failures", "seconds"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (8, 30.0), (10_000, 30.0)])
def test_the_wait_doubles_up_to_its_maximum(failures: int, seconds: float) -> None:
    """The longest wait doubles with each failure in a row, and never grows past the limit."""
    assert Backoff(seconds_initial=0.5, seconds_max=30.0).jitter_seconds(failures) == seconds


def test_the_first_wait_respects_the_maximum() -> None:
    """A maximum below the initial wait wins."""
    assert Backoff(seconds_initial=60.0, seconds_max=1.0).jitter_seconds(1) == 1.0


@pytest.mark.parametrize(
    ("asked", "seconds"), [(0.0, 0.0), (7.5, 7.5), (300.0, 300.0), (86_400.0, 300.0), (-5.0, 0.0), (float("inf"), 300.0)]
)
def test_what_the_api_asks_for_is_obeyed_within_reason(asked: float, seconds: float) -> None:
    """A longer `Retry-After` than the limit counts as the limit; one in the past as none."""
    assert Backoff().asked_seconds(asked) == seconds

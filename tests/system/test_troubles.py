"""An API that fails everything for a while, and one with a hard limit, against real processes; at length in `bench/endurance.py`."""

from collections.abc import Callable

import pytest
from system.rig import Rig
from system.stories import Crowd
from system.troubles import outage, throttle

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


def test_an_outage_leaves_an_exact_account(new_rig: Callable[..., Rig], tell: Callable[[str], None]) -> None:
    """The fake API answers 503 to everything for 20 seconds, while it runs: few requests, a gentle return, consumed = delivered."""
    figures = outage(new_rig(), Crowd(600, 300.0), seconds=20.0, tell=tell)
    tell(figures.in_words())
    figures.assert_held()


def test_a_hard_limit_is_met(new_rig: Callable[..., Rig], tell: Callable[[str], None]) -> None:
    """The fake API takes 50 requests per second from a crowd that says 150: the limit is used, and little is refused."""
    figures = throttle(new_rig(), Crowd(600, 150.0), seconds=15.0, per_second=50, asks_seconds=0, tell=tell)
    tell(figures.in_words())
    figures.assert_held()

"""A restart, a crash and a rebalance under steady input, on a real Kafka.

How often is set by the environment; `bench/endurance.py` tells the same stories at length.
"""

import os
from collections.abc import Callable
from random import Random

import pytest
from system.rig import Rig
from system.stories import SLOW, Crowd, come_and_go, crash, restart

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

RESTARTS = int(os.environ.get("SYSTEM_RESTARTS", "5"))
CRASHES = int(os.environ.get("SYSTEM_CRASHES", "5"))
CHANGES = int(os.environ.get("SYSTEM_CHANGES", "6"))
CROWD = Crowd(sessions=int(os.environ.get("SYSTEM_SESSIONS", "300")), rate=float(os.environ.get("SYSTEM_RATE", "300")))


def test_a_restart_repeats_nothing(new_rig: Callable[..., Rig], dice: Random, tell: Callable[[str], None]) -> None:
    """SIGTERM at random moments: nothing is lost, overtaken or repeated, no session is opened again, and the exit code is 0 in time."""
    figures = restart(new_rig(faults=SLOW), CROWD, times=RESTARTS, random=dice, tell=tell)
    tell(figures.in_words())
    figures.assert_repeated_nothing()


def test_a_crash_repeats_little(new_rig: Callable[..., Rig], dice: Random, tell: Callable[[str], None]) -> None:
    """SIGKILL at random moments: nothing is lost or overtaken, and only what was delivered since the last receipt is repeated.

    A session is opened again only when the answer to its opening, or to its end, had not been made durable.
    """
    figures = crash(new_rig(faults=SLOW), CROWD, times=CRASHES, random=dice, tell=tell)
    tell(figures.in_words())
    figures.assert_repeated_little()


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_relays_come_and_go(new_rig: Callable[..., Rig], dice: Random, tell: Callable[[str], None], protocol: str) -> None:
    """Relays that join, leave, die and freeze beyond the group's patience, on both group protocols: nothing is lost or overtaken."""
    figures = come_and_go(new_rig(faults=SLOW, protocol=protocol), CROWD, times=CHANGES, random=dice, tell=tell)
    tell(figures.in_words())
    figures.assert_kept_in_order()
    assert figures.partitions_lost, "nobody froze for long enough"
    assert not figures.openings_by_zombies, "who thaws lets Kafka speak first"

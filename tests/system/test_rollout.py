"""A rolling update of static members, on a real Kafka and with both group protocols. `bench/endurance.py rollout` tells it at length."""

import os
from collections.abc import Callable

import pytest
from system.rig import Rig
from system.rollout import roll_out
from system.stories import SLOW, Crowd

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

ROUNDS = int(os.environ.get("SYSTEM_ROUNDS", "1"))
CROWD = Crowd(sessions=int(os.environ.get("SYSTEM_SESSIONS", "300")), rate=float(os.environ.get("SYSTEM_RATE", "300")))


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_rolling_update_does_no_harm(new_rig: Callable[..., Rig], tell: Callable[[str], None], protocol: str) -> None:
    """Three members are replaced one by one: nothing is lost or repeated, and no session is opened again.

    With the classic protocol each gets its own partitions back and the others do not notice. With KIP-848 it is so as long as the member is
    back within the broker's session timeout, which is short here.
    """
    figures = roll_out(new_rig(faults=SLOW, protocol=protocol), CROWD, rounds=ROUNDS, tell=tell)
    tell(figures.in_words())
    figures.assert_no_harm()
    if protocol == "classic":
        figures.assert_nothing_moved()

"""How a relay ends when it cannot go on: each kind of trouble has its exit code, and one line that says what to change."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from system.processes import RelayProcess, free_port
from system.rig import Rig
from system.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


def test_each_trouble_has_its_exit_code(new_rig: Callable[..., Rig], tmp_path: Path) -> None:
    """Wrong settings end with 3, a broker that cannot be reached with 4, and a static member whose place was taken with 5."""
    rig = new_rig(partitions=2)
    nowhere = f"127.0.0.1:{free_port()}"
    # Half a minute is given to a broker; the others are looked at meanwhile.
    unreachable = rig.start_relay(RELAY_KAFKA__BOOTSTRAP_SERVERS=nowhere)

    wrong = RelayProcess("wrong", folder=tmp_path, settings=rig.settings(RELAY_API__URL="example.net", RELAY_LIMITS__LANES_MAX="none"))
    try:
        assert wrong.exit_code(20) == 3
        assert "RELAY_API__URL" in wrong.log
        assert "RELAY_LIMITS__LANES_MAX" in wrong.log
        assert "Traceback" not in wrong.log
    finally:
        wrong.close()

    first = rig.start_relay(RELAY_KAFKA__GROUP_INSTANCE_ID="the-only-one")
    first.wait_until_ready()
    second = rig.start_relay(RELAY_KAFKA__GROUP_INSTANCE_ID="the-only-one")
    assert first.exit_code(30) == 5, first.log_tail()
    assert "RELAY_KAFKA__GROUP_INSTANCE_ID" in first.log
    second.wait_until_ready()
    second.terminate()
    assert second.exit_code(20) == 0

    assert unreachable.exit_code(60) == 4, unreachable.log_tail()
    assert nowhere in unreachable.log
    assert "RELAY_KAFKA__BOOTSTRAP_SERVERS" in unreachable.log
    assert "Traceback" not in unreachable.log


def test_a_second_signal_leaves_at_once(new_rig: Callable[..., Rig]) -> None:
    """While calls hang, SIGTERM waits for them; a second SIGTERM does not, and loses nothing."""
    rig = new_rig(partitions=2, faults=["events:hang:1"], settings={"RELAY_API__TIMEOUT_SECONDS": "60", "RELAY_DRAIN_SECONDS_MAX": "60"})
    relay = rig.start_relay()
    relay.wait_until_ready()
    rig.start_players(sessions=5, rate=100, shape={"events_exactly": 5, "ramp_up_seconds": 0}).exit_code(20)
    relay.wait_until(lambda scrape: scrape.total("relay_api_requests_in_flight") == 5, "all sessions wait for an answer")
    relay.terminate()
    relay.wait_until_logged("asked to stop")
    assert relay.is_running
    relay.terminate()
    assert relay.exit_code(15) == 0
    rig.api.set_faults()
    rig.start_relay()
    rig.settle()
    findings = rig.judge()
    findings.assert_nothing_lost()
    findings.assert_no_repeats()


def test_a_relay_that_only_begins_can_be_stopped(new_rig: Callable[..., Rig]) -> None:
    """SIGTERM while topics are created, the group is joined or sessions are restored ends the relay as soon as one that serves."""
    rig = new_rig(partitions=12)
    for number in range(6):
        relay = rig.start_relay(RELAY_KAFKA__GROUP_ID=f"{rig.group}.{number}")
        wait_for(lambda one=relay: one.health("/livez")[0], "it listens to signals", 30)
        time.sleep(number / 10)
        relay.terminate()
        assert relay.exit_code(15) == 0, relay.log_tail()
        assert "Traceback" not in relay.log

"""Topics that are deleted and created again, and topics that take nothing: nothing is lost, and the relay goes on by itself."""

from collections.abc import Callable

import pytest
from system.changes import Trouble, settle, withstand
from system.rig import Rig
from system.waiting import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

PLAYERS = {"content_seconds_min": 30, "content_seconds_max": 60, "ramp_up_seconds": 1000, "hostile_share": 0.02, "oversize_bytes": 1_000}
PARTITIONS = 4
SESSIONS = [f"player-{number}" for number in range(20)]


def test_a_state_topic_that_is_deleted_is_written_anew(new_rig: Callable[..., Rig], tell: Callable[[str], None]) -> None:
    """The relay stands still until it is there again; the next one finds all sessions that are open, and opens none again."""
    rig = new_rig(partitions=PARTITIONS)
    relay = rig.start_relay()
    relay.wait_until_ready()
    rig.start_players(sessions=3000, rate=150, shape=PLAYERS)
    relay.wait_until(lambda scrape: scrape.events("delivered") > 150, "the players play")
    gone = Trouble("the state topic is gone", "state", "create the state topic", rig.delete_state_topic, rig.create_state_topic)
    withstand(relay, gone, hold_seconds=2.0, tell=tell)
    delivered = relay.scrape().events("delivered")
    relay.wait_until(lambda scrape: scrape.events("delivered") > delivered + 150, "it goes on")
    relay.terminate()
    assert relay.exit_code(20) == 0

    successor = rig.start_relay()
    successor.wait_until_ready()
    changed = settle(rig, successor)
    tell(changed.in_words())
    changed.assert_exact()


def test_sessions_go_on_in_a_topic_that_was_created_again(new_rig: Callable[..., Rig]) -> None:
    """Offsets begin anew, and nothing of the new log is taken for a repeat; sessions that are open stay open."""
    rig = new_rig(partitions=PARTITIONS)
    relay = rig.start_relay()
    relay.wait_until_ready()
    rig.say(SESSIONS, "sessionStart", "play", "ping", "ping")
    wait_for(lambda: rig.cluster.uncommitted(rig.group, rig.topic) == 0, "the old topic is done with", 20)
    rig.cluster.delete(rig.topic)
    rig.cluster.create(rig.topic, PARTITIONS)
    rig.say(SESSIONS, "ping", "pauseStart", "play")
    relay.wait_until(lambda scrape: scrape.events("delivered") == 7 * len(SESSIONS), "what the new topic says is delivered", 60)
    rig.say(SESSIONS, "ping", "sessionComplete", "sessionEnd")
    changed = settle(rig, relay)
    changed.assert_exact()
    assert changed.findings.total["openings"] == len(SESSIONS)


@pytest.mark.parametrize("part", ["state", "dead_letters"])
def test_a_topic_that_takes_nothing_is_waited_for(new_rig: Callable[..., Rig], tell: Callable[[str], None], part: str) -> None:
    """The broker refuses what is written, as it does when a disk is full or replicas are missing; nothing that rests on it is committed."""
    rig = new_rig(partitions=PARTITIONS)
    topic = f"{rig.group}.{'sessions' if part == 'state' else 'dead-letters'}"
    relay = rig.start_relay()
    relay.wait_until_ready()
    rig.start_players(sessions=3000, rate=150, shape=PLAYERS)
    relay.wait_until(lambda scrape: scrape.events("delivered") > 150, "the players play")

    def take(size: int) -> None:
        rig.cluster.alter(topic, max_message_bytes=str(size))

    full = Trouble(f"{part} is full", part, "Message size too large", lambda: take(10), lambda: take(12 << 20))
    withstand(relay, full, hold_seconds=2.0, tell=tell)
    changed = settle(rig, relay)
    tell(changed.in_words())
    changed.assert_exact()

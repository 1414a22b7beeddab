"""Rights that are withdrawn from a relay that runs, on a broker with an authorizer: it says which, and goes on with nothing lost."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AclOperation, ResourceType
from system.brokers import GUARDED, Brokers
from system.changes import Trouble, settle, withstand
from system.cluster import Cluster
from system.rig import Rig

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

PLAYERS = {"content_seconds_min": 30, "content_seconds_max": 60, "ramp_up_seconds": 1000, "hostile_share": 0.02, "oversize_bytes": 1_000}
HOLD_SECONDS = 2.0
RECEIPT_SECONDS = 1.0  # on a busy machine


@pytest.fixture(scope="module")
def guarded(real_kafka: str) -> Iterator[Cluster]:
    """A broker of its own: whoever is denied something on the common one would be in the way of others."""
    assert real_kafka, "without Java there is none"
    brokers = Brokers(f"tests-{os.getpid()}-guarded")
    try:
        cluster = Cluster(brokers.start(properties=GUARDED))
        yield cluster
        cluster.close()
    finally:
        brokers.do("destroy")


@pytest.fixture
def guarded_rig(guarded: Cluster, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """A stage there."""
    rigs: list[Rig] = []

    def make(protocol: str = "classic") -> Rig:
        rigs.append(Rig(guarded, tmp_path, partitions=4, protocol=protocol))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def denied(rig: Rig, part: str, kind: ResourceType, name: str, operation: AclOperation) -> Trouble:
    """One right that is withdrawn and given back."""
    words = "Group authorization failed" if kind is ResourceType.GROUP else "Topic authorization failed"
    return Trouble(
        f"no {operation.name} on {part}",
        part,
        words,
        lambda: rig.cluster.withdraw(kind, name, operation),
        lambda: rig.cluster.give_back(kind, name),
    )


def test_rights_on_topics_may_be_withdrawn(guarded_rig: Callable[..., Rig], tell: Callable[[str], None]) -> None:
    """To read the source, to write letters, to write memoirs: each is named while it lasts; nothing is lost, and nothing comes twice."""
    rig = guarded_rig()
    relay = rig.start_relay()
    relay.wait_until_ready()
    rig.start_players(sessions=3000, rate=150, shape=PLAYERS)
    relay.wait_until(lambda scrape: scrape.events("delivered") > 150, "the players play")
    for part, name, operation in (
        ("source", rig.topic, AclOperation.READ),
        ("dead_letters", f"{rig.group}.dead-letters", AclOperation.WRITE),
        ("state", f"{rig.group}.sessions", AclOperation.WRITE),
    ):
        withstand(relay, denied(rig, part, ResourceType.TOPIC, name, operation), hold_seconds=HOLD_SECONDS, tell=tell)
    changed = settle(rig, relay)
    tell(changed.in_words())
    assert changed.poison > 10
    changed.assert_exact()


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_the_right_on_the_group_may_be_withdrawn(guarded_rig: Callable[..., Rig], tell: Callable[[str], None], protocol: str) -> None:
    """Commits are refused, then the group lets the relay go; it joins again by itself. Only what could not be committed comes twice."""
    rig = guarded_rig(protocol)
    relay = rig.start_relay()
    relay.wait_until_ready()
    rig.start_players(sessions=3000, rate=150, shape=PLAYERS)
    relay.wait_until(lambda scrape: scrape.events("delivered") > 150, "the players play")
    withdrawn = time.monotonic()
    trouble = denied(rig, "source", ResourceType.GROUP, rig.group, AclOperation.READ)
    withstand(relay, trouble, hold_seconds=5.0, tell=tell)
    (lost,) = relay.moments_logged("partitions lost")
    changed = settle(rig, relay)
    tell(changed.in_words())
    changed.findings.assert_nothing_lost()
    assert changed.findings.total["openings_needless"] == changed.findings.total["retold_wrong"] == 0
    for repeat in changed.findings.repeats:
        assert withdrawn - RECEIPT_SECONDS <= repeat.taken_at[0] <= lost + RECEIPT_SECONDS, repeat
    assert changed.account["unaccounted"] == 0

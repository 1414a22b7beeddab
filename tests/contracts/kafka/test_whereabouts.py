"""Where a key lies, and who holds its partition, as far as the brokers say."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import murmur2
from confluent_kafka.admin import MemberDescription

from relay.kafka.whereabouts import Locator, holders_in

KEYS = [f"player-{number}" for number in range(20)]


def test_holders_are_read_from_the_group() -> None:
    """A static member goes by its own name, another by the id that the broker gave it; hosts come without their slash."""
    places = [SimpleNamespace(topic="t", partition=number) for number in range(3)]
    static = MemberDescription("id-1", "relay", "/10.1.0.7", SimpleNamespace(topic_partitions=places[:2]), "relay-0")
    other = MemberDescription("id-2", "relay", "/10.1.0.8", SimpleNamespace(topic_partitions=places[2:]))
    assert holders_in(SimpleNamespace(members=[static, other])) == {
        ("t", 0): ("relay-0", "relay", "10.1.0.7"),
        ("t", 1): ("relay-0", "relay", "10.1.0.7"),
        ("t", 2): ("id-2", "relay", "10.1.0.8"),
    }


def test_without_a_word_of_the_brokers_the_partitions_are_known() -> None:
    """By each partitioner; a partition that both choose is named once."""

    async def run() -> None:
        locator = Locator(bootstrap_servers="127.0.0.1:1", group_id="g", partitions={"t": 7})
        for key in KEYS:
            found = await locator.locate(key)
            assert found[0].partition == murmur2(key.encode(), 7)
            assert {name for one in found for name in one.partitioner.split(", ")} == {"murmur2", "crc32"}
            assert len({one.partition for one in found}) == len(found)
            assert all(one.holder is None for one in found)

    asyncio.run(run())


async def _holders(broker: Any, topic: str, group: str) -> dict[int, str]:
    """Partition → who holds it, of those of which the brokers know."""
    locator = Locator(bootstrap_servers=broker.bootstrap, group_id=group, partitions={topic: 4})
    holders: dict[int, str] = {}
    for key in KEYS:
        for found in await locator.locate(key):
            if found.holder is not None:
                assert found.holder[2] == "127.0.0.1"
                holders[found.partition] = found.holder[0]
    return holders


@pytest.mark.kafka
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_the_group_says_who_holds_a_partition(broker: Any, listening: Any, run: Any, protocol: Any) -> None:
    """Each of two members holds the partitions that it was given."""
    topic, group = broker.new_topic(), broker.name()
    broker.fill(topic, 1)

    async def scenario() -> None:
        async with (
            listening(broker, topic, group, group_protocol=protocol) as one,
            listening(broker, topic, group, group_protocol=protocol) as two,
        ):
            await two.until(lambda: len(two.assigned) == 2, "the second has its half")
            async with asyncio.timeout(30):  # while the group agrees on something, its members have nothing for the brokers to tell
                while len(holders := await _holders(broker, topic, group)) < 4:  # noqa: ASYNC110  # nobody announces it
                    await asyncio.sleep(0.1)
            mine = {partition for _, partition in two.assigned}
            assert len({holders[partition] for partition in mine}) == 1
            assert len({holders[partition] for partition in set(holders) - mine}) == 1
            assert len(set(holders.values())) == 2
            await one.until(lambda: True, "the first goes on")

    run(scenario())

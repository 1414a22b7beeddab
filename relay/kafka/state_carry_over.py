"""Carries the sessions over when the source topic got more partitions: each memoir goes where its session's next events will be.

In: the state topic as it was, and an empty one with as many partitions as the source topic has now. Out: how many sessions were carried.

When it is right. With more partitions, Kafka puts a key's next records into another partition than those before, and a relay looks for a
session only in the partition that its events come from. So:

1. Stop the producers, or accept that sessions whose events are still waiting in their former partition are opened again.
2. Let the relays finish what is there (lag 0), and stop them all.
3. Carry over into a new topic, with the partitioner that the source's producers use: `murmur2` for Java and for clients that were told so,
   `crc32` for librdkafka's own default. With a partitioner of their own, or with explicit partitions, nothing here is right.
4. Start the relays with RELAY_KAFKA__STATE_TOPIC set to the new topic.

A memoir says how far its session got as an offset of its former partition. In another one this would pass for events that were never seen,
so there it begins at nothing.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

import msgspec
from confluent_kafka import consistent, murmur2

from relay.core.events import SessionKey
from relay.core.memoir import Memoir
from relay.kafka.client import Scalar
from relay.kafka.state_topic import StateTopic

Partitioner: TypeAlias = Literal["murmur2", "crc32"]

PARTITIONERS: Final[Mapping[Partitioner, Callable[[bytes, int], int]]] = {"murmur2": murmur2, "crc32": consistent}

_encode: Final = msgspec.json.Encoder().encode


async def carry_over(  # noqa: PLR0913  # settings, each by its name
    *,
    bootstrap_servers: str,
    group_id: str,
    former: str,
    former_partitions: int,
    new: str,
    new_partitions: int,
    partitioner: Partitioner,
    client: Mapping[str, Scalar] | None = None,
) -> int:
    """Copy every session of the one topic to its place in the other, and return how many there are. The former topic stays as it is."""
    choose = PARTITIONERS[partitioner]
    loop = asyncio.get_running_loop()

    def open_topic(name: str) -> StateTopic:
        return StateTopic(bootstrap_servers=bootstrap_servers, name_of=lambda _: name, group_id=group_id, loop=loop, client=client)

    source, target = open_topic(former), open_topic(new)
    try:
        carried = 0
        for partition in range(former_partitions):
            for key, memoir in await _read(source, partition):
                place = choose(key.encode("utf-8", "surrogatepass"), new_partitions)
                moved = memoir if place == partition else msgspec.structs.replace(memoir, at=-1, done=-1)
                target.write("", place, key, _encode(moved))
                carried += 1
        for place in range(new_partitions):
            is_written = asyncio.Event()
            target.after_written("", place, is_written.set)
            await is_written.wait()
        return carried
    finally:
        source.close()
        target.close()


async def _read(source: StateTopic, partition: int) -> list[tuple[SessionKey, Memoir]]:
    entries: list[tuple[SessionKey, Memoir]] = []
    is_read = asyncio.Event()
    source.restore("", partition, lambda found: entries.extend((key, memoir) for key, memoir in found if memoir is not None), is_read.set)
    await is_read.wait()
    return entries

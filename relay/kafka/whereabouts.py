"""Where the records of a key lie, and which member of the group holds that partition.

In: a key. Out: a partition for each way in which producers place keys, and who holds it as far as the brokers say. Asked now and then by
somebody who looks for a session, never on the way of an event.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription  # type: ignore[attr-defined]

from relay.kafka.client import ClientErrors, Properties, Scalar, properties
from relay.kafka.state_carry_over import PARTITIONERS

ANSWER_SECONDS: Final = 2.0  # whoever asks waits for a page
REMEMBERED_SECONDS: Final = 5.0

Place = tuple[str, int]
Holder = tuple[str, str, str]  # member, client, host


class Found(NamedTuple):
    """A partition that a key may lie in."""

    topic: str
    partition: int
    partitioner: str
    holder: Holder | None


class Locator:
    """Asks the brokers, by a client that is made when somebody asks for the first time."""

    def __init__(
        self, *, bootstrap_servers: str, group_id: str, partitions: Mapping[str, int], client: Mapping[str, Scalar] | None = None
    ) -> None:
        """Look in this group, among the partitions of these topics."""
        self._properties: Properties = properties(
            "whereabouts", bootstrap_servers=bootstrap_servers, extra=client or {}, ours={}, errors=ClientErrors("whereabouts")
        )
        self._group_id = group_id
        self._partitions = partitions
        self._admin: AdminClient | None = None
        self._holders: dict[Place, Holder] = {}
        self._asked_at = float("-inf")

    async def locate(self, key: str) -> list[Found]:
        """The partitions that a record with this key may lie in; each once, the murmur2 of Java first."""
        holders = await self._ask()
        value = key.encode("utf-8", "surrogatepass")
        found: dict[Place, Found] = {}
        for topic, count in sorted(self._partitions.items()):
            for partitioner, choose in PARTITIONERS.items():
                place = (topic, choose(value, count))
                before = found.get(place)
                name = partitioner if before is None else f"{before.partitioner}, {partitioner}"
                found[place] = Found(*place, name, holders.get(place))
        return list(found.values())

    async def _ask(self) -> Mapping[Place, Holder]:
        """Who holds what; nothing, where the brokers do not say."""
        now = asyncio.get_running_loop().time()
        if now - self._asked_at >= REMEMBERED_SECONDS:
            self._asked_at = now
            try:
                self._holders = holders_in(await self._describe())
            except (KafkaException, TimeoutError):
                self._holders = {}
        return self._holders

    async def _describe(self) -> ConsumerGroupDescription:
        if self._admin is None:
            self._admin = AdminClient(self._properties)
        asked: dict[str, Future[Any]] = self._admin.describe_consumer_groups([self._group_id], request_timeout=ANSWER_SECONDS)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        async with asyncio.timeout(ANSWER_SECONDS):
            description: ConsumerGroupDescription = await asyncio.wrap_future(asked[self._group_id])
        return description


def holders_in(group: ConsumerGroupDescription) -> dict[Place, Holder]:
    """Each partition that somebody holds."""
    holders: dict[Place, Holder] = {}
    for member in group.members or []:
        holder = (str(member.group_instance_id or member.member_id), str(member.client_id), str(member.host).lstrip("/"))
        for place in member.assignment.topic_partitions or []:
            holders[place.topic, place.partition] = holder
    return holders

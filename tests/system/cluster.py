"""What a test sees of a real Kafka beside the relay: topics, ends, what a group has committed, and what lies in a topic.

In: a bootstrap address. Out: `Cluster`.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from system.waiting import wait_for

SECONDS: Final = 20.0
_SILENT: Final = logging.getLogger("tests.silent")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class Cluster:
    """A Kafka that runs."""

    def __init__(self, bootstrap: str) -> None:
        """Reach it."""
        self.bootstrap = bootstrap
        self._quiet: dict[str, Any] = {"bootstrap.servers": bootstrap, "logger": _SILENT, "error_cb": lambda _error: None}
        self._admin = AdminClient(self._quiet)
        self._asking: dict[str, Consumer] = {}
        self._count = 0

    def new_name(self) -> str:
        """A name that nobody had before."""
        self._count += 1
        return f"system-{time.time_ns():x}-{self._count}"

    def create(self, topic: str, partitions: int, config: Mapping[str, str] | None = None) -> None:
        """Create a topic."""
        self._admin.create_topics([NewTopic(topic, partitions, -1, config=dict(config or {}))])[topic].result(SECONDS)

    def delete(self, topic: str) -> None:
        """Delete a topic, and wait until no broker knows it."""
        self._admin.delete_topics([topic], operation_timeout=SECONDS)[topic].result(SECONDS)
        wait_for(lambda: topic not in self._admin.list_topics(timeout=SECONDS).topics, f"{topic} is gone", SECONDS)

    def withdraw(self, kind: ResourceType, name: str, operation: AclOperation) -> None:
        """Nobody may do this any more; everything else with it is allowed as before. For brokers that have an authorizer."""
        everybody = {
            "restype": kind,
            "name": name,
            "resource_pattern_type": ResourcePatternType.LITERAL,
            "principal": "User:*",
            "host": "*",
        }
        rules = [
            AclBinding(**everybody, operation=AclOperation.ALL, permission_type=AclPermissionType.ALLOW),
            AclBinding(**everybody, operation=operation, permission_type=AclPermissionType.DENY),
        ]
        for future in self._admin.create_acls(rules, request_timeout=SECONDS).values():
            future.result(SECONDS)

    def give_back(self, kind: ResourceType, name: str) -> None:
        """Everybody may do everything with it again."""
        every = AclBindingFilter(kind, name, ResourcePatternType.LITERAL, None, None, AclOperation.ANY, AclPermissionType.ANY)
        for future in self._admin.delete_acls([every], request_timeout=SECONDS).values():
            future.result(SECONDS)

    def alter(self, topic: str, **config: str) -> None:
        """Change how a topic is kept; underscores stand for dots."""
        entries = [
            ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET) for name, value in config.items()
        ]
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
        for future in self._admin.incremental_alter_configs([resource]).values():
            future.result(SECONDS)

    def leaders(self, topic: str) -> dict[int, int]:
        """Which broker leads each partition."""
        listed = self._admin.list_topics(topic, timeout=SECONDS).topics[topic].partitions
        return {number: partition.leader for number, partition in listed.items()}

    def warm_up(self, brokers: int = 1) -> None:
        """A new broker keeps its first idempotent producers waiting for seconds; until then no memoir is durable."""
        self.create("warm-up", 12)
        for _ in range(4 * brokers):  # each asks a broker of its choice
            self.produce("warm-up", [{"value": b"", "partition": partition} for partition in range(12)])

    def produce(self, topic: str, records: list[dict[str, Any]]) -> None:
        """Write records, and wait until they are there."""
        producer = Producer({**self._quiet, "enable.idempotence": True, "message.max.bytes": 15_000_000, "partitioner": "murmur2_random"})
        try:
            for record in records:
                producer.produce(topic, **record)
            assert producer.flush(SECONDS) == 0, "Kafka does not confirm"
        finally:
            producer.close()

    def ends(self, topic: str) -> dict[int, int]:
        """The offset after the last record of each partition."""
        consumer = self._consumer("")
        partitions = consumer.list_topics(topic, timeout=SECONDS).topics[topic].partitions
        return {one: consumer.get_watermark_offsets(TopicPartition(topic, one), timeout=SECONDS)[1] for one in partitions}

    def committed(self, group: str, topic: str, partitions: list[int]) -> dict[int, int]:
        """What a group has committed, 0 where it has nothing."""
        found = self._consumer(group).committed([TopicPartition(topic, one) for one in partitions], timeout=SECONDS)
        return {one.partition: max(0, one.offset) for one in found}

    def uncommitted(self, group: str, topic: str) -> int:
        """How many offsets of a topic a group has not committed."""
        ends = self.ends(topic)
        committed = self.committed(group, topic, list(ends))
        return sum(end - committed[partition] for partition, end in ends.items())

    def join_and_leave(self, group: str, topic: str) -> None:
        """One more member of a group, until it was given something; it reads nothing and commits nothing."""
        own = {"partition.assignment.strategy": "cooperative-sticky", "enable.auto.commit": False, "auto.offset.reset": "earliest"}
        consumer = Consumer({**self._quiet, "group.id": group, **own})
        given: list[TopicPartition] = []

        def take(member: Consumer, partitions: list[TopicPartition]) -> None:
            given.extend(partitions)
            member.incremental_assign(partitions)
            member.pause(partitions)

        try:
            consumer.subscribe([topic], on_assign=take)
            wait_for(lambda: consumer.poll(0.05) is None and given, "the member is given partitions", SECONDS)
        finally:
            consumer.close()

    def read(self, topic: str) -> Iterator[Any]:
        """Everything in a topic up to its end of now."""
        ends = self.ends(topic)
        consumer = self._new_consumer("reading")
        try:
            consumer.assign([TopicPartition(topic, one, 0) for one in ends])
            left = {
                one for one, end in ends.items() if end > consumer.get_watermark_offsets(TopicPartition(topic, one), timeout=SECONDS)[0]
            }
            deadline = time.monotonic() + SECONDS
            while left:
                assert time.monotonic() < deadline, f"{topic} cannot be read to its end"
                for message in consumer.consume(500, 0.2):
                    if message.error() is None:
                        yield message
                        if message.offset() >= ends[message.partition()] - 1:
                            left.discard(message.partition())
        finally:
            consumer.close()

    def close(self) -> None:
        """Let go."""
        for consumer in self._asking.values():
            consumer.close()

    def _consumer(self, group: str) -> Consumer:
        """A consumer that only asks, and never joins its group."""
        if group not in self._asking:
            self._asking[group] = self._new_consumer(group or "asking")
        return self._asking[group]

    def _new_consumer(self, group: str) -> Consumer:
        return Consumer({**self._quiet, "group.id": group, "enable.auto.commit": False, "auto.offset.reset": "earliest"})

"""Parts of topics, read without a group: from offset to offset, message by message, so that memory does not grow with the topic.

In: a topic, and where to begin and to end. Out: messages, each partition in the order of its log; bounds; what a group has committed.

Only what is committed is read, as the relay itself does. Nothing is ever committed for a group, and none is joined.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from relay.errors import TopicError, Unreachable
from relay.kafka.client import ClientErrors, Scalar, advice, error_in, not_configured, properties

ANSWER_SECONDS: Final = 10.0
WAIT_SECONDS: Final = 0.2
MESSAGES_MAX: Final = 1_000
SILENT_WAITS_MAX: Final = 150  # half a minute without any message although some are due

_OURS: Final[Mapping[str, Scalar]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    "enable.partition.eof": True,
    "fetch.queue.backoff.ms": 10,
    "fetch.wait.max.ms": 50,
    "queued.max.messages.kbytes": 16_384,
    "topic.metadata.propagation.max.ms": 5_000,
}


class Committed(NamedTuple):
    """What a group has committed for a partition; None when it has not."""

    offset: int | None
    metadata: str


class Excerpts:
    """Reads parts of topics. To be closed."""

    def __init__(self, *, bootstrap_servers: str, group_id: str, client: Mapping[str, Scalar] | None = None) -> None:
        """Take the settings; the group is only asked for what it has committed."""
        self._bootstrap_servers = bootstrap_servers
        self._errors = ClientErrors("excerpts")
        given = properties("excerpts", bootstrap_servers=bootstrap_servers, extra=client or {}, ours=_OURS, errors=self._errors)
        given |= {"group.id": group_id, "enable.partition.eof": "true", "allow.auto.create.topics": "false"}
        try:
            self._consumer = Consumer(given)
        except KafkaException as exception:
            raise not_configured(exception) from exception

    def close(self) -> None:
        """Let go of the client."""
        self._consumer.close()

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """For each partition, the first offset that is there, and the one after the last."""
        try:
            found = self._consumer.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic]
            if found.error is not None:
                raise TopicError(f"the topic {topic} cannot be read: {found.error.str()}; check the topics and the group in RELAY_KAFKA__…")
            places = [TopicPartition(topic, partition) for partition in found.partitions]
            return {place.partition: self._bounds(place) for place in places}
        except KafkaException as exception:
            raise self._unreachable(error_in(exception)) from exception

    def _bounds(self, place: TopicPartition) -> tuple[int, int]:
        low, high = self._consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
        return low, high

    def committed(self, topic: str, partitions: Sequence[int]) -> dict[int, Committed]:
        """What the group has committed."""
        try:
            found = self._consumer.committed([TopicPartition(topic, partition) for partition in partitions], timeout=ANSWER_SECONDS)
        except KafkaException as exception:
            raise self._unreachable(error_in(exception)) from exception
        return {one.partition: Committed(one.offset if one.offset >= 0 else None, one.metadata or "") for one in found}

    def read(self, topic: str, begins: Mapping[int, int], ends: Mapping[int, int]) -> Iterator[Message]:
        """The messages from where each partition begins up to where it ends, which is not included."""
        left = {partition for partition, begin in begins.items() if begin < ends.get(partition, 0)}
        if not left:
            return
        consumer, silent = self._consumer, 0
        consumer.assign([TopicPartition(topic, partition, begins[partition]) for partition in left])
        try:
            while left:
                messages = consumer.consume(1, WAIT_SECONDS)
                messages += consumer.consume(MESSAGES_MAX, 0) if messages else []
                silent = 0 if messages else silent + 1
                if silent > SILENT_WAITS_MAX:
                    raise self._unreachable(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001  # one of the library's public names
                for message in messages:
                    partition = message.partition() or 0
                    error = message.error()
                    if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                        raise self._unreachable(error)
                    if partition not in left:
                        continue
                    if error is not None or (message.offset() or 0) >= ends[partition]:
                        left.discard(partition)
                        consumer.incremental_unassign([TopicPartition(topic, partition)])
                    else:
                        yield message
                        if (message.offset() or 0) + 1 >= ends[partition]:
                            left.discard(partition)
                            consumer.incremental_unassign([TopicPartition(topic, partition)])
        finally:
            consumer.unassign()

    def _unreachable(self, error: KafkaError) -> Unreachable:
        hint = advice(error) or "check RELAY_KAFKA__BOOTSTRAP_SERVERS, and the security properties in RELAY_KAFKA__CLIENT"
        return Unreachable(f"Kafka at {self._bootstrap_servers}: {self._errors.last or error.str()}; {hint}")

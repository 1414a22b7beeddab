"""Looks into topics beside whoever reads them: no group is joined, nothing is committed, nobody is disturbed.

In: topics, and since when. Out: records as they come, in about the order of their time.
"""

import re
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from relay.core.events import Record
from relay.errors import TopicError, Unreachable
from relay.kafka.client import ClientErrors, Scalar, advice, error_in, not_configured, properties
from relay.kafka.reading import read

ANSWER_SECONDS: Final = 10.0
WAIT_SECONDS: Final = 0.2
BATCH: Final = 500
BEGINNING: Final = 0
_OURS: Final[Mapping[str, Scalar]] = {
    "group.id": "relay-tap",  # the library wants one; it is never joined, and nothing is committed for it
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "fetch.message.max.bytes": 12 * 2**20,
    "queued.max.messages.kbytes": 16 * 1024,
}
_FORBIDDEN: Final = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART})


class Tap:
    """A reader of its own. Its calls block: keep them off the loop."""

    def __init__(self, *, bootstrap_servers: str, client: Mapping[str, Scalar]) -> None:
        """Raises `SettingsError` when the library refuses a property."""
        self._address = bootstrap_servers
        self._errors = ClientErrors("tap")
        self._in_use = threading.Lock()  # who is interrupted closes while a read may still wait on its thread
        try:
            self._consumer = Consumer(properties("tap", bootstrap_servers=bootstrap_servers, extra=client, ours=_OURS, errors=self._errors))
        except KafkaException as error:
            raise not_configured(error) from error

    def open(self, topics: Sequence[str], *, since_ms: int | None = None, partition: int | None = None) -> int:
        """Stand at the end, or at a moment; returns how many partitions are read. Raises `Unreachable` or `TopicError`."""
        try:
            listed = self._consumer.list_topics(timeout=ANSWER_SECONDS).topics
            names = {name for topic in topics for name in listed if topic == name or (topic.startswith("^") and re.match(topic, name))}
            places = [
                TopicPartition(name, number)
                for name in sorted(names)
                for number in sorted(listed[name].partitions)
                if partition in (None, number)
            ]
            if not places:
                which = "" if partition is None else f" with a partition {partition}"
                raise TopicError(f"there is no topic {', '.join(topics)}{which}, or we may not see it; correct --topic or --partition")
            self._consumer.assign(self._stand(places, since_ms))
        except KafkaException as exception:
            error = error_in(exception)
            hint = advice(error) or "check RELAY_KAFKA__BOOTSTRAP_SERVERS, and the security properties in RELAY_KAFKA__CLIENT"
            raise Unreachable(f"Kafka at {self._address} does not answer: {self._errors.last or error.str()}; {hint}") from exception
        return len(places)

    def read(self) -> list[tuple[str, int, Record]]:
        """What came in; nothing after a moment without. Raises `TopicError` when we may not read."""
        with self._in_use:
            came = self._consumer.consume(BATCH, WAIT_SECONDS)
        messages: list[Message] = []
        for message in came:
            error = message.error()
            if error is None:
                messages.append(message)
            elif error.code() in _FORBIDDEN:
                raise TopicError(f"the topic {message.topic()} cannot be read: {error.str()}; grant the user READ and DESCRIBE on it")
        batches, _ = read(messages, time.monotonic())
        found = [(topic, number, record) for topic, number, records in batches for record in records]
        return sorted(found, key=lambda one: one[2].timestamp_ms)  # stable: the order within a partition stays where clocks agree

    def close(self) -> None:
        """Leave."""
        with self._in_use:
            self._consumer.close()

    def _stand(self, places: list[TopicPartition], since_ms: int | None) -> list[TopicPartition]:
        if since_ms == BEGINNING:
            return [TopicPartition(one.topic, one.partition, OFFSET_BEGINNING) for one in places]
        asked = OFFSET_END if since_ms is None else since_ms
        found = self._consumer.offsets_for_times(
            [TopicPartition(one.topic, one.partition, asked) for one in places], timeout=ANSWER_SECONDS
        )
        return [TopicPartition(one.topic, one.partition, one.offset if one.offset >= 0 else OFFSET_END) for one in found]

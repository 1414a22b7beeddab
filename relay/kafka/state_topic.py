"""The state topic: what each player session needs to go on after a restart is kept in Kafka, in the partition that its events have.

In: memoirs to write, partitions to restore, on the loop's thread. Out: word that they are durable; the memoirs that count.

A compacted topic with as many partitions as the source topic; the key is the session's, and a tombstone says that it is over. Each record
names the group that wrote it. Two owners may write for a moment: the highest place in the log wins when the topic is read.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from relay.core.events import SessionKey
from relay.kafka.client import ClientErrors, Properties, Scalar, properties
from relay.kafka.letter import MESSAGE_BYTES_MAX
from relay.kafka.state_outbox import Outbox
from relay.kafka.state_reader import StateReader
from relay.kafka.state_reading import GROUP_HEADER, Found, Reading
from relay.kafka.state_writer import StateWriter

__all__ = ["Found", "MemoryState", "StateTopic", "state_topic_of"]

log = logging.getLogger("relay.kafka.state_topic")

_WRITING: Final[Mapping[str, Scalar]] = {
    "enable.idempotence": True,  # off by default; with it, memoirs are neither doubled nor out of order when the client tries again
    "acks": "all",
    "linger.ms": 5,
    "message.timeout.ms": 0,  # the client tries as long as there is hope: a memoir that timed out could still arrive, after a newer one
    "message.max.bytes": MESSAGE_BYTES_MAX,
    "queue.buffering.max.kbytes": 65_536,  # what has no room waits with us, where only the latest of each session is kept
    "topic.metadata.propagation.max.ms": 5_000,  # a missing topic is reported after this; the default is 30 s
}
_READING: Final[Mapping[str, Scalar]] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    # An open transaction of some stranger would hide everything after it; our own writes are in none.
    "isolation.level": "read_uncommitted",
    "fetch.queue.backoff.ms": 10,  # the default of 1 s stalls the fetcher whenever the queue is full
    "fetch.wait.max.ms": 100,
    "queued.max.messages.kbytes": 65_536,
    "topic.metadata.propagation.max.ms": 5_000,
}
# Above whatever an operator sets. A topic that a client lets appear would have the broker's default settings: not compacted.
_NEVER_CREATE: Final = {"allow.auto.create.topics": "false"}
_TELL_THE_END: Final = {"enable.partition.eof": "true"}


def state_topic_of(name: str, source_topics: int) -> Callable[[str], str]:
    """Which state topic belongs to a source topic: all have the one, or each has its own when there are several."""
    return (lambda _: name) if source_topics == 1 else lambda topic: f"{name}.{topic}"


class StateTopic:
    """Keeps memoirs in Kafka. To be used on the loop's thread."""

    def __init__(  # noqa: PLR0913  # settings, each by its name
        self,
        *,
        bootstrap_servers: str,
        name_of: Callable[[str], str],
        group_id: str,
        loop: asyncio.AbstractEventLoop,
        client: Mapping[str, Scalar] | None = None,
        skipped: Callable[[str], None] = lambda _cause: None,
    ) -> None:
        """Take the settings. `skipped` hears, on the loop's thread, the cause for each memoir that was not understood."""
        self._name_of = name_of
        self._loop = loop
        self._outboxes: dict[tuple[str, int], Outbox] = {}
        self._is_closed = False
        extra = client or {}

        def client_properties(name: str, ours: Mapping[str, Scalar]) -> tuple[Properties, ClientErrors]:
            errors = ClientErrors(name)
            return properties(name, bootstrap_servers=bootstrap_servers, extra=extra, ours=ours, errors=errors), errors

        writing, errors = client_properties("state, writing", _WRITING)
        self._writer = StateWriter(
            properties=writing | _NEVER_CREATE, errors=errors, headers=[(GROUP_HEADER, group_id.encode())], loop=loop
        )
        reading, errors = client_properties("state, reading", {**_READING, "group.id": group_id})
        self._reader = StateReader(
            properties=reading | _NEVER_CREATE | _TELL_THE_END, errors=errors, group=group_id, skipped=skipped, loop=loop
        )

    @property
    def is_failing(self) -> bool:
        """Whether memoirs cannot be written now."""
        return bool(self._writer.failures)

    @property
    def failure(self) -> str:
        """Why memoirs cannot be written; empty when they can."""
        return next(iter(self._writer.failures.values()), "")

    @property
    def restoring(self) -> dict[tuple[str, int], int]:
        """The partitions of state topics that are being read, and how many records of each were."""
        return {place: reading.record_count for place, reading in self._reader.readings.items()}

    @property
    def restoring_count(self) -> int:
        """How many partitions are being read."""
        return len(self._reader.readings)

    def write(self, topic: str, partition: int, key: SessionKey, memoir: bytes | None) -> None:
        """Write a memoir, or a tombstone. Returns at once."""
        outbox = self._outboxes.get((topic, partition))
        if outbox is None:
            outbox = self._outboxes[topic, partition] = Outbox(self._name_of(topic), partition)
        self._writer.write(outbox, key, memoir)

    def after_written(self, topic: str, partition: int, then: Callable[[], None]) -> None:
        """Call back once all that was written for the partition so far is confirmed."""
        outbox = self._outboxes.get((topic, partition))
        if outbox is None or outbox.is_empty:
            self._loop.call_soon(then)
        else:
            outbox.wait(then)

    def restore(self, topic: str, partition: int, found: Found, done: Callable[[], None]) -> None:
        """Read the partition to its end and hand over each of its sessions once, in chunks; then say that it is done.

        What an earlier assignment could not write is let go of, and what is still under way for it is waited for, so that it is found.
        """
        former = self._let_go(topic, partition)
        reading = Reading(self._name_of(topic), partition, found, done)
        if former is None or former.is_empty:
            self._reader.begin(reading)
            return
        self._reader.announce(reading)
        former.wait(lambda: self._reader.begin(reading))

    def let_go(self, topic: str, partition: int) -> None:
        """The partition is no longer ours: stop reading it, and write no memoir of it that is not under way already.

        A memoir that waits for better times would otherwise be written over those of the next owner. Nobody who waits is called any more.
        """
        self._let_go(topic, partition)

    def close(self, seconds_max: float = 2.0) -> bool:
        """Wait, within the bound, for what is under way, then let go of everything. Whether all was written. Blocks the loop."""
        self._reader.close(seconds_max)
        return self._writer.close(seconds_max)

    def _let_go(self, topic: str, partition: int) -> Outbox | None:
        self._reader.let_go(self._name_of(topic), partition)
        outbox = self._outboxes.pop((topic, partition), None)
        if outbox is not None:
            outbox.let_go()
            self._writer.forget(outbox)
        return outbox


class _Soon(Protocol):
    """What memory needs of an event loop; a simulation brings its own."""

    def call_soon(self, callback: Callable[[], None]) -> object:
        """Call back in the next pass of the loop."""
        ...


class MemoryState:
    """Remembers nothing: after a restart each session is opened again."""

    def __init__(self, *, loop: _Soon) -> None:
        """Take the loop on which to answer."""
        self._loop = loop
        self.is_failing = False
        self.failure = ""
        self.restoring_count = 0

    def write(self, topic: str, partition: int, key: SessionKey, memoir: bytes | None) -> None:
        """Do nothing."""

    def after_written(self, topic: str, partition: int, then: Callable[[], None]) -> None:  # noqa: ARG002  # the other one's face
        """Call back at once: there is nothing to wait for."""
        self._loop.call_soon(then)

    def restore(self, topic: str, partition: int, found: Found, done: Callable[[], None]) -> None:  # noqa: ARG002  # likewise
        """Say at once that there is nothing."""
        self._loop.call_soon(done)

    def let_go(self, topic: str, partition: int) -> None:
        """Do nothing."""

    def close(self, seconds_max: float = 0) -> bool:  # noqa: ARG002  # likewise
        """Say that nothing is left behind."""
        return True

"""The reading half of the state topic: partitions are read from their beginning to their end, and their sessions handed to the loop.

In: which partitions to read. Out: the memoir that counts of each session, in chunks on the loop's thread, then word that it is done.

- One consumer and one thread serve all partitions at once, and live only as long as there is something to read. More threads would not
  help: decoding holds the interpreter's lock, and the brokers are asked for all partitions together. One that cannot be read holds up
  none of the others, and memory is bounded by the client's queue and by what is handed over in the end.
- The end is where the client reports it. Offsets are never compared, for compaction and transactions leave gaps in them.
- Nothing is given up: what cannot be read is tried again until the partition is let go of, and the log says so now and then.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from relay.core.events import SessionKey
from relay.core.memoir import Memoir
from relay.kafka.client import ClientErrors, Properties, Seldom, error_in, not_configured
from relay.kafka.state_reading import Reading
from relay.kafka.state_writer import advice

log = logging.getLogger("relay.kafka.state_topic")

MESSAGES_MAX: Final = 1_000  # decoded in one go
WAIT_SECONDS: Final = 0.1
CHUNK: Final = 1_000  # sessions handed over at once: a few milliseconds of the loop's time
PROGRESS_SECONDS: Final = 3.0
AGAIN_SECONDS: Final = 2.0


class StateReader:
    """Reads partitions of the state topic. `begin` and `let_go` are for the loop's thread."""

    def __init__(
        self,
        *,
        properties: Properties,
        errors: ClientErrors,
        group: str,
        skipped: Callable[[str], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Take the settings; a thread runs only while there is something to read."""
        self.readings: dict[tuple[str, int], Reading] = {}
        self._properties = properties
        self._errors = errors
        self._group = group.encode()
        self._skipped = skipped
        self._loop = loop
        self._thread: _ReadingThread | None = None

    def announce(self, reading: Reading) -> None:
        """A partition will be read soon; it may be let go of already."""
        if self.readings.get((reading.name, reading.partition)) is not reading:
            self.let_go(reading.name, reading.partition)
            self.readings[reading.name, reading.partition] = reading

    def begin(self, reading: Reading) -> None:
        """Read a partition, and hand over what is in it."""
        if reading.is_let_go:
            return
        self.announce(reading)
        if self._thread is None or not self._thread.accept(reading):
            self._thread = _ReadingThread(self._properties, self._errors, self._group, self._is_read)
            self._thread.accept(reading)
            self._thread.start()

    def let_go(self, name: str, partition: int) -> None:
        """The partition is no longer ours: whatever was found of it is not handed over any more."""
        reading = self.readings.pop((name, partition), None)
        if reading is not None:
            reading.is_let_go = True

    def close(self, seconds_max: float) -> None:
        """Stop reading."""
        for name, partition in list(self.readings):
            self.let_go(name, partition)
        if self._thread is not None:
            self._thread.join(seconds_max)

    def _is_read(self, reading: Reading) -> None:
        """On the reading thread."""
        try:
            self._loop.call_soon_threadsafe(self._begin_to_hand_over, reading)
        except RuntimeError:  # the loop is closed: nobody is left to hear it
            reading.is_let_go = True

    def _begin_to_hand_over(self, reading: Reading) -> None:
        self._hand_over(reading, list(reading.sessions.items()), 0)

    def _hand_over(self, reading: Reading, entries: list[tuple[SessionKey, Memoir | None]], first: int) -> None:
        """One chunk, and the next one in the loop's next round."""
        if reading.is_let_go:
            return
        if first == 0:
            self._report_skipped(reading)
        if first < len(entries):
            reading.found(entries[first : first + CHUNK])
            self._loop.call_soon(self._hand_over, reading, entries, first + CHUNK)
            return
        del self.readings[reading.name, reading.partition]
        reading.done()

    def _report_skipped(self, reading: Reading) -> None:
        for cause, count in reading.skipped.items():
            fields = {"topic": reading.name, "partition": reading.partition, "cause": cause, "count": count}
            log.warning("memoirs skipped: their sessions are not known", extra=fields)
            for _ in range(count):
                self._skipped(cause)


class _ReadingThread:
    """The consumer and its thread."""

    def __init__(self, properties: Properties, errors: ClientErrors, group: bytes, is_read: Callable[[Reading], None]) -> None:
        try:
            self._consumer = Consumer(properties)
        except KafkaException as exception:
            raise not_configured(exception) from exception
        self._errors = errors
        self._group = group
        self._is_read = is_read
        self._lock = threading.Lock()
        self._is_over = False
        self._accepted: list[Reading] = []
        self._readings: dict[tuple[str | None, int | None], Reading] = {}
        self._progress_at = time.monotonic()
        self._seldom = Seldom()
        self._thread = threading.Thread(target=self._run, name="relay-restore", daemon=True)
        self.start = self._thread.start
        self.join = self._thread.join

    def accept(self, reading: Reading) -> bool:
        """On the loop's thread: one more to read. False when this thread is about to end."""
        with self._lock:
            if not self._is_over:
                self._accepted.append(reading)
            return not self._is_over

    def _run(self) -> None:
        consumer = self._consumer
        try:
            while self._has_work(consumer):
                try:
                    self._read(consumer)
                except KafkaException as exception:
                    self._complain(error_in(exception), None)
                    time.sleep(WAIT_SECONDS)
        finally:
            consumer.close()

    def _has_work(self, consumer: Consumer) -> bool:
        """Take up what was accepted, let go of what nobody waits for, and end when there is nothing left."""
        with self._lock:
            accepted, self._accepted = self._accepted, []
        for reading in accepted:
            former = self._readings.get((reading.name, reading.partition))
            if former is not None:
                _unassign(consumer, former)
            self._readings[reading.name, reading.partition] = reading
        for place in [place for place, reading in self._readings.items() if reading.is_let_go]:
            _unassign(consumer, self._readings.pop(place))
        now = time.monotonic()
        for reading in self._readings.values():
            if not reading.is_assigned and reading.again_at <= now:
                # From 0 instead of the logical beginning: that has to be asked for, which takes half a second when it is the first thing a
                # client does. Where the log begins later, `auto.offset.reset` leads there.
                consumer.incremental_assign([TopicPartition(reading.name, reading.partition, 0)])
                reading.is_assigned = True
        if self._readings:
            return True
        with self._lock:
            self._is_over = not self._accepted
            return not self._is_over

    def _read(self, consumer: Consumer) -> None:
        # The first wait ends with the first message; a wait for a full batch would last until its time is up.
        messages = consumer.consume(1, WAIT_SECONDS)
        if messages:
            messages += consumer.consume(MESSAGES_MAX, 0)
        for message in messages:
            reading = self._readings.get((message.topic(), message.partition()))
            if reading is None or not reading.is_assigned:
                continue
            error = message.error()
            if error is None:
                reading.take(message, self._group)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # one of the library's public names
                del self._readings[reading.name, reading.partition]
                _unassign(consumer, reading)
                self._is_read(reading)
            else:
                self._complain(error, reading)
                self._begin_again(consumer, reading)
        self._tell_progress()

    def _begin_again(self, consumer: Consumer, reading: Reading) -> None:
        """Whatever the error was, what was read so far may no longer be what the topic holds."""
        _unassign(consumer, reading)
        reading.again_at = time.monotonic() + AGAIN_SECONDS
        reading.sessions.clear()
        reading.skipped.clear()
        reading.record_count = 0

    def _complain(self, error: KafkaError, reading: Reading | None) -> None:
        kept_back = self._seldom.count(error.name())
        if kept_back is not None:
            place = {"topic": reading.name, "partition": reading.partition} if reading is not None else {}
            fields = {"cause": error.str(), "advice": advice(error), "kept_back": kept_back}
            log.error("sessions cannot be restored yet, their partitions wait", extra=place | fields)

    def _tell_progress(self) -> None:
        now = time.monotonic()
        if not self._readings or now - self._progress_at < PROGRESS_SECONDS:
            return
        self._progress_at = now
        silent = [reading for reading in self._readings.values() if reading.record_count == 0]
        records = sum(reading.record_count for reading in self._readings.values())
        log.info("restoring sessions", extra={"partitions_left": len(self._readings), "partitions_silent": len(silent), "records": records})
        if silent:
            cause = self._errors.last or "no answer from Kafka"
            self._complain(KafkaError(KafkaError._TIMED_OUT, cause), silent[0])  # noqa: SLF001


def _unassign(consumer: Consumer, reading: Reading) -> None:
    if reading.is_assigned:
        reading.is_assigned = False
        consumer.incremental_unassign([TopicPartition(reading.name, reading.partition)])

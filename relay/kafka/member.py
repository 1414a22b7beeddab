"""The source's thread: one member of the consumer group, from joining to leaving. Only this thread touches the consumer.

In: requests of the loop's thread, rebalances, records. Out: the messages of `reports.py`, by way of `tell`.

- It polls always, or nearly so: whoever stops polling loses his partitions.
- A newly assigned partition is paused before the client is told to begin with it, and read once the pump has released it.
- Flow control stops the reading of all partitions, never of some: some would starve. To pause at the client throws away what was fetched
  ahead. So for the first minute of a stop one record is taken now and then instead: with it come commits and rebalances, which stand before
  records in the client's queue. Only a longer stop pauses at the client, and polls on.
- A request carries the serial number of the assignment that it means. The broker itself would accept a commit for a partition that is
  somebody else's.
- A static member whose name is still another's waits for it: of two, KIP-848 refuses the newer, which may be the restart of the older.
  Likewise one that may not read its group: with KIP-848 the client gives up for good, where rights may be given back in a moment.
- A revoke waits for the pump's word, but never longer than its bound. What was lost is never committed.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, OFFSET_STORED, Consumer, KafkaError, KafkaException, Message, TopicPartition

from relay.core.events import Record
from relay.errors import FatalConsumerError, SettingsError
from relay.kafka.beginnings import Beginnings
from relay.kafka.client import Properties, Seldom, advice, error_in, not_configured
from relay.kafka.hindrances import Hindrances
from relay.kafka.holdings import Holdings
from relay.kafka.lag import Lag
from relay.kafka.reading import read
from relay.kafka.reports import (
    CommitFailed,
    CommitPoint,
    Committed,
    CommittedPosition,
    Fetched,
    PartitionsAssigned,
    PartitionsLeaving,
    PartitionsLost,
    Place,
    SourceFailed,
    SourceMessage,
)

log = logging.getLogger("relay.kafka.source")

BATCH_RECORDS_MAX: Final = 500
POLL_SECONDS: Final = 0.05  # how long a request of the loop may wait while nothing comes
GATHER_SECONDS: Final = 0.002  # after a first record: consume() waits for its full time unless its batch is full
HAND_OVERS_MAX: Final = 4  # batches that the loop has not yet taken
PATIENCE_SECONDS: Final = 60.0  # a stop that is shorter throws nothing away, and exceeds the limit by 300 records at most
SIP_SECONDS: Final = 0.2  # between two records of such a stop
HUNG_SECONDS: Final = 1.0  # a loop that takes nothing for so long gets nothing more, not even one
SLICE_SECONDS: Final = 0.05
REPLY_EXTRA_SECONDS: Final = 2.0  # the pump keeps its own bound; this is for one that hangs
COMMITTED_SECONDS: Final = 5.0
COMMITTED_TRIES: Final = 3
BEGINS_SECONDS: Final = 5.0
OUTSIDE_SECONDS: Final = 1.0
_NAME_IS_HELD: Final = KafkaError(KafkaError.UNRELEASED_INSTANCE_ID).str()
_NOT_ALLOWED: Final = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED).str()


class Tell(Protocol):
    """Takes a message to the loop; with it go the serial numbers of new assignments."""

    def __call__(self, message: SourceMessage, serials: Mapping[Place, int] | None = None, /) -> None:
        """Return at once."""
        ...


class _ShutOutError(Exception):
    """The consumer is of no use any more, and another one may be in a moment: its name will be free, or it will be allowed to join.

    KIP-848 keeps a static member's name for the one that has it, be it dead, until its session times out.
    """


class _Reply:
    """What the pump says when partitions leave, and the wait for it."""

    def __init__(self) -> None:
        self._points: list[CommitPoint] | None = None
        self._is_given = threading.Event()

    def give(self, points: list[CommitPoint]) -> None:
        self._points = points
        self._is_given.set()

    def wait(self, seconds: float) -> list[CommitPoint] | None:
        self._is_given.wait(seconds)
        return self._points


class Member:
    """One member of the group. What has no underscore may be used from the loop's thread as well."""

    def __init__(self, tell: Tell, *, revoke_seconds_max: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin outside the group."""
        self.is_closing = False
        self.is_paused = False
        self.last_poll_at = clock()
        self.consumed_bytes = 0
        self.consumed_records = 0
        self.lag = Lag()
        self.hindrances = Hindrances()
        self._tell = tell
        self._reply_seconds = revoke_seconds_max + REPLY_EXTRA_SECONDS
        self._clock = clock
        self._requests: queue.SimpleQueue[Callable[[Consumer], None]] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._untaken = 0
        self._untaken_lock = threading.Lock()
        self._holdings = Holdings()
        self._beginnings = Beginnings()
        self._next: dict[Place, int] = {}  # the offset after the last record of each partition
        self._standing_since: float | None = None
        self._seldom = Seldom()
        self._joined_with: tuple[Properties, Sequence[str]] = {}, ()

    def join(self, consumer_properties: Properties, topics: Sequence[str]) -> Consumer:
        """Ask for membership. Returns the consumer, for `run`."""
        self._joined_with = consumer_properties, topics
        try:
            consumer = Consumer(consumer_properties | {"on_commit": self._on_commit})
            consumer.subscribe(list(topics), on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        except KafkaException as error:
            raise not_configured(error) from error
        except ValueError as error:
            raise SettingsError(f"RELAY_KAFKA__TOPICS or RELAY_KAFKA__CLIENT: {error}") from error
        self.last_poll_at = self._clock()
        return consumer

    def request(self, request: Callable[[Consumer], None]) -> None:
        """Have something carried out on the source's thread."""
        self._requests.put(request)
        self._wake.set()

    def wake(self) -> None:
        """Something was changed: look at it now, if possible."""
        self._wake.set()

    def taken(self) -> None:
        """The loop is done with one `Fetched`."""
        with self._untaken_lock:
            self._untaken -= 1
        self._wake.set()

    def release(self, tagged: Sequence[tuple[Place, int]]) -> None:
        """Read these from now on. To be requested."""
        for place, serial in tagged:
            self._holdings.release(place, serial)

    def run(self, consumer: Consumer) -> None:
        """The thread, until it is asked to close or Kafka excludes us."""
        try:
            while not self.is_closing:
                self._carry_out_requests(consumer)
                try:
                    self._step(consumer)
                except _ShutOutError as error:
                    consumer = self._wait_outside(consumer, str(error))
                now, places = self._clock(), self._holdings.places
                self.lag.measure(consumer, places, now, is_standing=self._standing_since is not None)
                self.hindrances.look(consumer, self._next, places, now)
        except Exception as error:  # noqa: BLE001  # a thread that ends without a word would look like a quiet topic
            self._fail(error)
        try:
            consumer.close()  # revokes what is ours on the way
        except (KafkaException, RuntimeError) as error:
            log.warning("the consumer was not closed cleanly", extra={"text": str(error)})

    def _wait_outside(self, consumer: Consumer, words: str) -> Consumer:
        """Ask again in a moment. The broker frees the name of one that died when its session has timed out."""
        self._lose(self._holdings.places)
        event = "another member has our name: waiting for it" if _NAME_IS_HELD in words else "not allowed to join the group: waiting"
        kept_back = self._seldom.count(event)
        if kept_back is not None:
            log.warning(event, extra={"text": words, "kept_back": kept_back})
        until = self._clock() + OUTSIDE_SECONDS
        while not self.is_closing and self._clock() < until:
            self._wake.wait(SLICE_SECONDS)
            self._wake.clear()
            self.last_poll_at = self._clock()
        if self.is_closing:
            return consumer
        with suppress(KafkaException, RuntimeError):
            consumer.close()
        return self.join(*self._joined_with)

    def _fail(self, error: Exception) -> None:
        if isinstance(error, KafkaException):
            error = FatalConsumerError(f"Kafka does not serve this consumer any more: {error_in(error).str()}")
        self._lose(self._holdings.places)  # the client does not say so when it was fenced
        self._tell(SourceFailed(error))

    def _carry_out_requests(self, consumer: Consumer) -> None:
        while True:
            try:
                request = self._requests.get_nowait()
            except queue.Empty:
                return
            request(consumer)

    # --- reading ----------------------------------------------------------------------------------------------------------------------

    def _step(self, consumer: Consumer) -> None:
        """Read, or stand still: first by a record now and then, and when that takes long by pausing at the client and polling on."""
        is_flooded = self._untaken >= HAND_OVERS_MAX
        if not self.is_paused and not is_flooded:
            self._standing_since = None
        elif self._standing_since is None:
            self._standing_since = self._clock()
        is_standing = self._standing_since is not None
        if self._standing_since is not None:
            patience = HUNG_SECONDS if is_flooded else PATIENCE_SECONDS
            if self._clock() - self._standing_since < patience:
                self._wake.wait(SLICE_SECONDS)
                self._wake.clear()
                if not is_flooded and self._clock() - self.last_poll_at >= SIP_SECONDS:
                    self._read(consumer, is_sip=True)
                return
        pause, resume = self._holdings.settle(is_stopped=is_standing)
        if pause:
            consumer.pause([TopicPartition(*place) for place in pause])
        if resume:
            consumer.resume([TopicPartition(*place) for place in resume])
            self.lag.ask(consumer, resume)  # which wakes the client as well: it looks only once a second what there is to fetch
            self._beginnings.released(resume, self._clock())
        has_more = self._read(consumer)
        self._beginnings.look(consumer, self._clock(), has_more=has_more)

    def _read(self, consumer: Consumer, *, is_sip: bool = False) -> bool:
        """Hand over what the client has at hand; whether there is more."""
        serial = self._holdings.last_serial
        first = consumer.poll(0 if is_sip else POLL_SECONDS)
        self.last_poll_at = self._clock()
        if first is None:
            return False
        others = [] if is_sip else consumer.consume(BATCH_RECORDS_MAX - 1, GATHER_SECONDS)
        messages = [message for message in (first, *others) if self._is_record(message)]
        has_more = len(others) == BATCH_RECORDS_MAX - 1
        if self.is_closing:
            return has_more
        batches, byte_count = read(messages, self._clock())
        batches = [batch for batch in batches if self._is_due(consumer, serial, *batch) and self._goes_on(consumer, *batch)]
        if batches:
            self.consumed_bytes += byte_count
            self.consumed_records += sum(len(records) for _, _, records in batches)
            self.hindrances.came({topic for topic, _, _ in batches}, self._clock())
            with self._untaken_lock:
                self._untaken += 1
            self._tell(Fetched(batches))
        return has_more

    def _is_due(self, consumer: Consumer, serial: int, topic: str, partition: int, records: list[Record]) -> bool:
        """Whether these are of an assignment that was there before they came, and released.

        A rebalance may have come between two records of a batch: what belongs to an assignment that has ended must not be taken for the
        beginning of the next one. And the client may lose the order to hold a partition back: what came too early comes once more.
        """
        place = topic, partition
        if self._holdings.is_held(place):
            log.warning("records of a partition came too early: they come again", extra={"topic": topic, "partition": partition})
            consumer.pause([TopicPartition(*place)])
            self._beginnings.begin_again(consumer, place, records[0].offset)
            return False
        return self._holdings.is_older_than(place, serial)

    def _goes_on(self, consumer: Consumer, topic: str, partition: int, records: list[Record]) -> bool:
        """Whether these follow what came before, or what the group has committed.

        A topic that is deleted and created again, or cut short by an unclean election, shows other records under offsets that were there
        before, without a rebalance: taken for repeats they would be lost. Then our assignment begins anew, at the first of them.

        The client itself may go back too: given a partition anew after a long stop, it was seen to begin at the log's begin, where it had
        once been about to begin, instead of at the committed offset. Then it is sent forward again.
        """
        place, first = (topic, partition), records[0].offset
        self._beginnings.came(place)
        next_offset = self._next.get(place, first)
        if first >= next_offset:
            self._next[place] = records[-1].offset + 1
            return True
        fields = {"topic": topic, "partition": partition, "offset": first, "next_offset": next_offset}
        if consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)[1] >= next_offset:
            log.warning("the client has gone back in the log: sent forward again", extra=fields)
            consumer.seek(TopicPartition(topic, partition, next_offset))
            return False
        log.warning("the log of a partition has begun anew", extra=fields)
        self._lose([place])
        consumer.pause([TopicPartition(topic, partition)])
        consumer.seek(TopicPartition(topic, partition, first))
        self._beginnings.assigned(TopicPartition(topic, partition, first))
        self._tell(PartitionsAssigned([CommittedPosition(topic, partition, is_new_log=True)]), self._holdings.add([place]))
        return False

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001  # the error in a message does not say that it is fatal
            if _NOT_ALLOWED in error.str():  # the code says no more than that it is fatal
                self.hindrances.refused(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED), None, self._clock())
                raise _ShutOutError(error.str())
            if _NAME_IS_HELD in error.str():
                raise _ShutOutError(error.str())
            raise FatalConsumerError(
                f"Kafka excludes this consumer: {error.str()}; does another relay run with the same RELAY_KAFKA__GROUP_INSTANCE_ID?"
            )
        if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
            self.hindrances.refused(error, message.topic(), self._clock())
            kept_back = self._seldom.count(f"{error.name()} {message.topic()}")
            if kept_back is not None:
                fields = {
                    "topic": message.topic(),
                    "code": error.name(),
                    "text": error.str(),
                    "advice": advice(error),
                    "kept_back": kept_back,
                }
                log.warning("cannot read for now", extra=fields)
        return False

    # --- rebalances -------------------------------------------------------------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self.hindrances.served()
        if not partitions:
            return
        found = self._find_committed(consumer, partitions)
        begins = _find_begins(consumer, found)
        consumer.position(begins)  # what it has never heard of it does not pause
        consumer.pause(begins)  # now: what it fetches before a pause is thrown away
        consumer.incremental_assign(begins)
        serials = self._holdings.add((one.topic, one.partition) for one in found)
        positions = [
            CommittedPosition(one.topic, one.partition, one.offset, one.metadata or "")
            if one.offset >= 0
            else CommittedPosition(one.topic, one.partition)
            for one in found
        ]
        for begin in begins:
            if begin.offset >= 0:
                self._beginnings.assigned(begin)
        for one in positions:
            if one.offset is not None:
                self._next[one.topic, one.partition] = one.offset
                self.lag.committed((one.topic, one.partition), one.offset)
        self._tell(PartitionsAssigned(positions), serials)

    def _find_committed(self, consumer: Consumer, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """The committed positions; without an answer the client looks for them by itself, and what was written beside them is not known."""
        for _ in range(COMMITTED_TRIES):
            if self.is_closing:
                break
            self.last_poll_at = self._clock()
            try:
                found = consumer.committed(partitions, timeout=COMMITTED_SECONDS)
            except KafkaException as error:
                log.warning("committed offsets not read", extra={"text": error_in(error).str()})
                continue
            except (SystemError, UnicodeDecodeError):  # somebody else has committed there, and no text
                log.warning("committed offsets not read", extra={"text": "the metadata is not UTF-8"})
                break
            for one in found:
                if one.error is not None:
                    one.offset = OFFSET_STORED
            return found
        return [TopicPartition(one.topic, one.partition, OFFSET_STORED) for one in partitions]

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [(one.topic, one.partition) for one in partitions]
        if not places:
            return
        reply = _Reply()
        self._tell(PartitionsLeaving(places, reply.give))
        points = reply.wait(self._reply_seconds)
        if points is None:
            log.warning("partitions leave without a commit: no word in time", extra={"seconds": self._reply_seconds, "count": len(places)})
        self._forget(places)
        self.last_poll_at = self._clock()
        offsets = [_position(point) for point in points or [] if (point.topic, point.partition) in places]
        if offsets:
            try:
                consumer.commit(offsets=offsets, asynchronous=False)
            except KafkaException as error:
                log.warning("commit failed as partitions left", extra={"text": error_in(error).str(), "count": len(offsets)})

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._lose([(one.topic, one.partition) for one in partitions])

    def _lose(self, places: list[Place]) -> None:
        if places:
            self._forget(places)
            self._tell(PartitionsLost(places))

    def _forget(self, places: list[Place]) -> None:
        self._holdings.remove(places)
        self._beginnings.forget(places)
        self.lag.forget(places)
        for place in places:
            self._next.pop(place, None)

    # --- commits ----------------------------------------------------------------------------------------------------------------------

    def commit(self, consumer: Consumer, tagged: Sequence[tuple[CommitPoint, int]]) -> None:
        """Commit what is still ours. To be requested."""
        points = [point for point, serial in tagged if self._holdings.is_current((point.topic, point.partition), serial)]
        if not points:
            self._tell(Committed([]))
            return
        try:
            consumer.commit(offsets=[_position(point) for point in points], asynchronous=True)
        except KafkaException as error:
            self._tell(CommitFailed(points, error_in(error).str()))

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        stored: list[CommitPoint] = []
        failed: list[CommitPoint] = []
        is_partial = any(one.error is not None for one in partitions)  # else the error, if there is one, is everybody's
        for one in partitions:
            cause = one.error if is_partial else error
            (stored if cause is None else failed).append(CommitPoint(one.topic, one.partition, one.offset, one.metadata or ""))
            error = error or cause
        for point in stored:
            if (point.topic, point.partition) in self._holdings:
                self.lag.committed((point.topic, point.partition), point.offset)
        if stored or error is None:
            self.hindrances.served()
            self._tell(Committed(stored))
        if error is not None:
            self.hindrances.refused(error, None, self._clock())
            self._tell(CommitFailed(failed, error.str()))


def _find_begins(consumer: Consumer, committed: list[TopicPartition]) -> list[TopicPartition]:
    """At the committed offset or, where none is, at the log's begin. Left to itself the client asks later, at the time of other orders."""
    new = [TopicPartition(one.topic, one.partition, OFFSET_BEGINNING) for one in committed if one.offset == OFFSET_INVALID]
    try:
        found = consumer.offsets_for_times(new, timeout=BEGINS_SECONDS) if new else []
    except KafkaException as error:
        log.warning("it was not found where logs begin", extra={"text": error_in(error).str()})
        found = []
    begins = {(one.topic, one.partition): one for one in found if one.error is None}
    return [begins.get((one.topic, one.partition), one) for one in committed]


def _position(point: CommitPoint) -> TopicPartition:
    return TopicPartition(point.topic, point.partition, point.offset, point.metadata)

"""The dead letters: each is written to its topic until Kafka confirms it, and only then is it reported as stored.

In: letters, on the loop's thread. Out: their confirmations, on the same thread; what is pending, and why, for `/readyz`.

Letters of one key wait for each other: the next one leaves when the one before is confirmed, so their order holds whatever fails. Letters
of different keys, and those without a key, do not wait for each other. A letter that Kafka refuses is kept and tried again, for ever and
at a slow pace: the record's offset is not committed before.

Kafka refuses whole batches, so a letter that the topic does not take makes those beside it fail as well. Hence, after a failure, one letter
leaves at a time, and twice as many with each success; one that fails alone is to blame itself, and is tried alone from then on.

Nothing here blocks: the producer works on threads of its own, and the loop
asks it for news as long as something is pending.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, TypeAlias

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from relay.kafka.client import ClientErrors, Scalar, Seldom, advice, error_in, not_configured, properties
from relay.kafka.letter import MESSAGE_BYTES_MAX, DeadLetter, size_of, write

__all__ = ["DeadLetter", "DeadLetters"]

log = logging.getLogger("relay.kafka.dead_letters")

NEWS_SECONDS: Final = 0.01  # between two questions for confirmations
RETRY_SECONDS: Final = 5.0
SLOW_SECONDS: Final = 15.0  # without any confirmation while some are due: something is wrong
IN_FLIGHT_MAX: Final = 5_000

_OURS: Final[Mapping[str, Scalar]] = {
    "enable.idempotence": True,  # off by default; with it, letters are neither doubled nor out of order when the client tries again
    "linger.ms": 2,
    "message.timeout.ms": 0,  # the client tries for ever: a letter that timed out could have been stored, and would be doubled
    "message.max.bytes": MESSAGE_BYTES_MAX,
    "queue.buffering.max.kbytes": 65_536,
    "topic.metadata.propagation.max.ms": 5_000,  # a missing topic is reported after this; the default is 30 s
    "partitioner": "murmur2_random",  # a key lands where any Java producer would put it
}

_Lane: TypeAlias = bytes | int
"""A key; or a number, for the one letter that has no key."""


class _Waiting:
    __slots__ = ("byte_count", "letter", "stored")

    def __init__(self, letter: DeadLetter, stored: Callable[[], None]) -> None:
        self.letter = letter
        self.stored = stored
        self.byte_count = size_of(letter.record)


class DeadLetters:
    """Writes dead letters to one topic. To be used on the loop's thread."""

    def __init__(
        self,
        *,
        bootstrap_servers: str,
        topic: str,
        version: str,
        loop: asyncio.AbstractEventLoop,
        client: Mapping[str, Scalar] | None = None,
    ) -> None:
        """Take the settings; raises `SettingsError` when the client refuses a property."""
        self.pending_count = 0
        self.pending_bytes = 0
        self.failure_count = 0
        self._topic = topic
        self._version = version
        self._loop = loop
        self._errors = ClientErrors("dead letters")
        self._properties = properties(
            "dead letters", bootstrap_servers=bootstrap_servers, extra=client or {}, ours=_OURS, errors=self._errors
        )
        self._producer = self._new_producer()
        self._lanes: dict[_Lane, deque[_Waiting]] = {}
        self._ready: deque[_Lane] = deque()  # lanes whose first letter may leave
        self._failed: dict[_Lane, str] = {}  # lanes whose first letter was refused when it was alone, and how
        self._confirmed: list[Callable[[], None]] = []
        self._flying: set[_Lane] = set()  # lanes whose first letter the producer has
        self._in_flight_max = IN_FLIGHT_MAX  # 1 after a failure
        self._alone: _Lane | None = None  # the one that left when only one might
        self._keyless_count = 0
        self._progress_at = loop.time()
        self._turn_is_due = False
        self._must_renew = False
        self._is_closed = False
        self._seldom = Seldom(clock=loop.time)

    @property
    def is_failing(self) -> bool:
        """Whether letters cannot be stored at present."""
        return bool(self._failed) or (self.pending_count > 0 and self._loop.time() - self._progress_at > SLOW_SECONDS)

    @property
    def failure(self) -> str:
        """Why letters cannot be stored; empty when they can."""
        if self._failed:
            return next(iter(self._failed.values()))
        return f"no confirmation from Kafka: {self._errors.last or 'no answer'}" if self.is_failing else ""

    def put(self, letter: DeadLetter, stored: Callable[[], None]) -> None:
        """Write a letter; `stored` is called once Kafka has confirmed it, never before."""
        lane: _Lane | None = letter.record.key
        if lane is None:
            self._keyless_count += 1
            lane = self._keyless_count
        waiting = _Waiting(letter, stored)
        if self.pending_count == 0:
            self._progress_at = self._loop.time()
        self.pending_count += 1
        self.pending_bytes += waiting.byte_count
        if lane in self._lanes:
            self._lanes[lane].append(waiting)
        else:
            self._lanes[lane] = deque((waiting,))
            self._ready.append(lane)
        if not self._turn_is_due:
            self._turn_is_due = True
            self._loop.call_soon(self._turn)

    async def flush(self, seconds: float) -> bool:
        """Wait until nothing is pending, but not longer than this. Whether nothing is."""
        end = self._loop.time() + seconds
        # The producer has no event to wait for: it is asked for news.
        while self.pending_count and not self._is_closed and self._loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(NEWS_SECONDS)
        return self.pending_count == 0

    def close(self) -> None:
        """Let go of the producer. What is pending is not stored, and its offsets are not committed: it comes again."""
        if self._is_closed:
            return
        self._is_closed = True
        if self.pending_count:
            log.warning("dead letters left behind: their records come again", extra={"count": self.pending_count})
        self._drop_producer()

    # --- one turn after the other, as long as something is pending --------------------------------------------------------------------

    def _turn(self) -> None:
        self._turn_is_due = False
        if self._is_closed:
            return
        try:
            self._producer.poll(0)  # calls _delivered
        except KafkaException as exception:  # a fatal error: it will report no letter any more
            log.warning("the producer of dead letters is renewed", extra={"cause": error_in(exception).str()})
            self._must_renew = True
        if self._must_renew:
            self._must_renew = False
            self._renew_producer()
        self._send()
        confirmed, self._confirmed = self._confirmed, []
        if self.is_failing:
            self._complain()
        if self.pending_count:
            self._turn_is_due = True
            self._loop.call_later(NEWS_SECONDS, self._turn)
        for stored in confirmed:  # last: whoever hears it may put another letter
            stored()

    def _send(self) -> None:
        while self._ready and len(self._flying) < self._in_flight_max:
            lane = self._ready[0]
            if lane in self._failed:
                if self._flying:
                    return  # it leaves when those before it have arrived, and the others wait for it
                self._in_flight_max = 1
            try:
                self._produce(lane)
            except BufferError:
                return  # the producer's queue is full; there is room again after some confirmations
            except KafkaException as exception:
                self._ready.popleft()
                self._blame(lane, error_in(exception))
                continue
            self._ready.popleft()
            self._flying.add(lane)
            self._alone = lane if self._in_flight_max == 1 else None

    def _produce(self, lane: _Lane) -> None:
        written = write(self._lanes[lane][0].letter, self._version)
        delivered = partial(self._delivered, lane)
        self._producer.produce(self._topic, value=written.value, key=written.key, headers=written.headers, on_delivery=delivered)

    def _delivered(self, lane: _Lane, error: KafkaError | None, _message: Message) -> None:
        self._flying.discard(lane)
        if error is None:
            self._in_flight_max = min(2 * self._in_flight_max, IN_FLIGHT_MAX)
            self._store(lane)
            return
        self.failure_count += 1
        self._in_flight_max = 1
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001  # one of the library's public names
            self._must_renew = True  # this producer will take nothing more
        if lane == self._alone:
            self._blame(lane, error)
        else:
            self._ready.append(lane)

    def _store(self, lane: _Lane) -> None:
        self._progress_at = self._loop.time()
        self._failed.pop(lane, None)
        waiting = self._lanes[lane].popleft()
        self.pending_count -= 1
        self.pending_bytes -= waiting.byte_count
        if self._lanes[lane]:
            self._ready.append(lane)
        else:
            del self._lanes[lane]
        self._confirmed.append(waiting.stored)

    def _blame(self, lane: _Lane, error: KafkaError) -> None:
        if self._is_closed:
            return
        text = error.str()
        hint = advice(error)
        self._failed[lane] = f"{text}; {hint}" if hint else text
        self._loop.call_later(RETRY_SECONDS, self._try_again, lane)

    def _try_again(self, lane: _Lane) -> None:
        if not self._is_closed:
            self._ready.append(lane)

    def _complain(self) -> None:
        kept_back = self._seldom.count("failing")
        if kept_back is not None:
            fields = {"dead_letter_topic": self._topic, "cause": self.failure, "pending": self.pending_count, "bytes": self.pending_bytes}
            log.error("dead letters are not stored, their records stay uncommitted", extra=fields)

    # --- the producer -----------------------------------------------------------------------------------------------------------------

    def _new_producer(self) -> Producer:
        try:
            return Producer(self._properties)
        except KafkaException as exception:
            raise not_configured(exception) from exception

    def _renew_producer(self) -> None:
        """Begin again with a new one. A letter that the old one stored without a word is stored twice; none is lost."""
        self._drop_producer()
        self._producer = self._new_producer()
        self._ready.extend(self._flying)
        self._flying.clear()
        self._alone = None

    def _drop_producer(self) -> None:
        with suppress(KafkaException):  # a fatal error is told again at each call
            self._producer.purge()  # else it would wait for what it still holds
            self._producer.poll(0)
        with suppress(KafkaException):
            self._producer.close()

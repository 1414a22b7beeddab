"""Puts what the simulated players say into a topic, at a pace, and reports what Kafka confirmed.

In: `Said` items in the order of time. Out: records, and for each confirmed one a `Confirmed` with its partition and offset.

The producer is idempotent and places keys as Java clients do. Nothing blocks the loop: confirmations are collected between the turns
of `run`, so it may share a loop with the relay itself. `run` may be called again; `close` ends it.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Self, TypeAlias

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from relay.errors import RelayError, SettingsError, TopicError, Unreachable
from relay.sandbox.manifest import Confirmed
from relay.sandbox.saying import Said

ClientSettings: TypeAlias = Mapping[str, str | int | float | bool]

CONNECT_SECONDS: Final = 10.0
RECORD_BYTES_MAX: Final = 11_000_000  # above the 10 MB up to which a dead letter is kept whole

_CONFIRM_SECONDS_MAX: Final = 60  # librdkafka gives a record up after this, and says so
_UNCONFIRMED_RECORDS_MAX: Final = 50_000
_UNCONFIRMED_KB_MAX: Final = 65_536
_TURN_SECONDS: Final = 0.01  # between two looks at the pace and at confirmations
_TURN_RECORDS_MAX: Final = 500  # then the others of the loop get their turn

_SILENT: Final = logging.getLogger("relay.sandbox.librdkafka")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False  # while it cannot connect it repeats itself many times a second; we say it once, in an exception


class Producing:
    """One producer for one topic. `produced`, `confirmed` and `failed` may be read at any time."""

    def __init__(
        self,
        *,
        bootstrap_servers: str,
        topic: str,
        client: ClientSettings | None = None,
        on_confirmed: Callable[[Confirmed], None] | None = None,
        encode: Callable[[Said], bytes | None] | None = None,
    ) -> None:
        """Prepare; nothing is awaited yet. A manifest's `add` is what fits `on_confirmed`; `encode` writes values in another format."""
        self.topic = topic
        self.produced = 0
        self.confirmed = 0
        self.failed = 0
        self.failure = ""  # what was said of the last record that failed
        self._on_confirmed = on_confirmed
        self._encode = encode
        self._bootstrap_servers = bootstrap_servers
        self._is_stopping = False
        try:
            self._producer = Producer(_settings(bootstrap_servers, client or {}))
        except (KafkaException, TypeError, ValueError) as error:
            raise SettingsError(f"the Kafka client refuses its properties: {_words(error)}") from error

    async def connect(self, *, within_seconds: float = CONNECT_SECONDS) -> int:
        """Find the topic, which may appear only because somebody asks for it; return how many partitions it has."""
        deadline = time.monotonic() + within_seconds
        while True:
            remaining = max(0.1, deadline - time.monotonic())
            try:
                found = (await asyncio.to_thread(self._producer.list_topics, self.topic, remaining)).topics[self.topic]
            except KafkaException as error:
                raise Unreachable(f"cannot reach Kafka at {self._bootstrap_servers}: {_words(error)}") from error
            if found.error is None and found.partitions:
                return len(found.partitions)
            if time.monotonic() > deadline:
                raise TopicError(f"Kafka at {self._bootstrap_servers} has no topic {self.topic}: create it first")
            await self._turn(0.1)

    async def run(self, crowd: Iterable[Said], *, events_per_second: float = 0, speed: float = 0) -> None:
        """Produce everything, and return when each record is confirmed or given up.

        The pace is a number of records per second, or a multiple of the players' own time; with neither, as fast as it goes.
        """
        began = time.monotonic()
        first_ts: int | None = None
        for count, said in enumerate(crowd):
            if first_ts is None:
                first_ts = said.ts
            due = began
            if events_per_second:
                due += count / events_per_second
            elif speed:
                due += (said.ts - first_ts) / 1000 / speed
            await self._wait_until(due)
            if self._is_stopping:
                break
            if count % _TURN_RECORDS_MAX == 0:
                await self._turn(0)
            await self._produce(said)
        # This ends, because librdkafka itself gives each record up after its time.
        while len(self._producer):
            await self._turn(_TURN_SECONDS)

    def stop(self) -> None:
        """Let `run` end early: nothing more is produced, what is under way is still confirmed."""
        self._is_stopping = True

    def close(self) -> None:
        """Let go of what is unconfirmed, and of the connections."""
        self._producer.purge()
        self._producer.close()

    def __enter__(self) -> Self:
        """Use it in a `with` block, which closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    async def _wait_until(self, due: float) -> None:
        # Whole turns: a fast pace is kept by a burst each turn, for a sleep per record would be slower than the pace.
        while time.monotonic() < due and not self._is_stopping:
            await self._turn(_TURN_SECONDS)

    async def _turn(self, seconds: float) -> None:
        self._producer.poll(0)
        await asyncio.sleep(seconds)

    async def _produce(self, said: Said) -> None:
        confirm = functools.partial(self._take_confirmation, said)
        value = said.value if self._encode is None else self._encode(said)
        while True:
            try:
                self._producer.produce(self.topic, value=value, key=said.record_key, on_delivery=confirm)
            except BufferError:  # full: there is room again once something is confirmed
                await self._turn(_TURN_SECONDS)
                continue
            except KafkaException as error:
                if _code(error) != KafkaError.MSG_SIZE_TOO_LARGE:
                    raise RelayError(f"the producer cannot go on: {_words(error)}") from error
                self._count_failure(_words(error))
            self.produced += 1
            return

    def _take_confirmation(self, said: Said, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._count_failure(error.str())
            return
        self.confirmed += 1
        if self._on_confirmed is None:
            return
        partition, offset = message.partition(), message.offset()
        assert partition is not None, "Kafka confirmed a record without saying where it is"
        assert offset is not None, "Kafka confirmed a record without saying where it is"
        self._on_confirmed(Confirmed(said.key, said.ts, said.event_type, self.topic, partition, offset, said.is_poison))

    def _count_failure(self, words: str) -> None:
        self.failed += 1
        self.failure = words


def _settings(bootstrap_servers: str, client: ClientSettings) -> dict[str, object]:
    ours: dict[str, object] = {
        "enable.idempotence": True,
        "linger.ms": 5,
        "partitioner": "murmur2_random",
        "message.max.bytes": RECORD_BYTES_MAX,
        "message.timeout.ms": _CONFIRM_SECONDS_MAX * 1000,
        "queue.buffering.max.messages": _UNCONFIRMED_RECORDS_MAX,
        "queue.buffering.max.kbytes": _UNCONFIRMED_KB_MAX,
    }
    return ours | dict(client) | {"bootstrap.servers": bootstrap_servers, "error_cb": _ignore, "logger": _SILENT}


def _ignore(_: KafkaError) -> None:
    """Let pass what librdkafka says of its connections: what matters comes back with the records."""


def _code(error: KafkaException) -> int | None:
    cause = error.args[0] if error.args else None
    return cause.code() if isinstance(cause, KafkaError) else None


def _words(error: Exception) -> str:
    cause = error.args[0] if error.args else None
    return cause.str() if isinstance(cause, KafkaError) else str(error)

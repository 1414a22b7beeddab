"""Messages of the client → records, by partition. Keys and values stay the bytes that they are.

In: a batch of messages without errors. Out: runs of `Record`, with Kafka's timestamps also on the core's clock.
"""

import logging
import time
from collections.abc import Iterable
from typing import Final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from relay.core.events import Record
from relay.kafka.client import Seldom

log = logging.getLogger("relay.kafka.source")

_seldom: Final = Seldom()


def read(messages: Iterable[Message], now: float) -> tuple[list[tuple[str, int, list[Record]]], int]:
    """The records by partition, each partition in the order of the log; and how many bytes of key and value they hold."""
    shift = now - time.time()  # wall clock → core's clock, taken anew for each batch since the wall clock may be set
    batches: dict[tuple[str | None, int | None], list[Record]] = {}
    byte_count = 0
    for message in messages:
        record = _record(message, now, shift)
        byte_count += len(record.key or b"") + len(record.value or b"")
        place = (message.topic(), message.partition())
        batch = batches.get(place)
        if batch is None:
            batches[place] = [record]
        else:
            batch.append(record)
    return [(topic or "", partition or 0, records) for (topic, partition), records in batches.items()], byte_count


def record_of(message: Message) -> Record:
    """One message, for those who have no use for the core's clock."""
    return _record(message, 0.0, 0.0)


def _record(message: Message, now: float, shift: float) -> Record:
    kind, timestamp_ms = message.timestamp()
    has_time = kind != TIMESTAMP_NOT_AVAILABLE
    return Record(
        offset=message.offset() or 0,
        key=message.key(),
        value=message.value(),
        headers=_headers(message),
        timestamp_ms=timestamp_ms if has_time else 0,
        # A producer whose clock is ahead must not make an event come from the future.
        appended_at=min(now, timestamp_ms / 1000 + shift) if has_time else now,
    )


def _headers(message: Message) -> tuple[tuple[str, bytes | None], ...]:
    try:
        found = message.headers()
    except (SystemError, UnicodeDecodeError):
        # The client cannot give us any header when the name of one is not UTF-8. The record itself is as good as any other.
        if _seldom.count("headers") is not None:
            fields = {"topic": message.topic(), "partition": message.partition(), "offset": message.offset()}
            log.warning("headers left out: the name of one is not UTF-8", extra=fields)
        return ()
    if not found:
        return ()
    pairs = found.items() if isinstance(found, dict) else found
    return tuple((name, value.encode() if isinstance(value, str) else value) for name, value in pairs)

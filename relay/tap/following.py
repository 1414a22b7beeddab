"""Follows topics, and hands over lines until there are enough.

In: a tap and what turns records into lines. Out: lines, one after the other.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from relay.core.events import Record
from relay.input.decoding import Awaited
from relay.tap.lines import Line, Lines

AWAIT_SECONDS_MAX: Final = 10.0  # for a schema that is being fetched
LOOK_AGAIN_SECONDS: Final = 0.1


class Taps(Protocol):
    """The tap's face."""

    def read(self) -> list[tuple[str, int, Record]]:
        """What came in; nothing after a moment without."""
        ...


async def follow(tap: Taps, lines: Lines, show: Callable[[Line], None], *, count_max: int | None, seconds_max: float | None) -> int:
    """Show lines until there are so many, or it has lasted so long; without both, until somebody stops it. Returns how many were shown."""
    ends_at = None if seconds_max is None else time.monotonic() + seconds_max
    count = 0
    while True:
        for topic, partition, record in await asyncio.to_thread(tap.read):
            for line in await _patiently(lines, topic, partition, record):
                show(line)
                count += 1
                if count == count_max:
                    return count
        if ends_at is not None and time.monotonic() >= ends_at:
            return count


async def _patiently(lines: Lines, topic: str, partition: int, record: Record) -> Iterator[Line]:
    """What a record says, once it can be read."""
    ends_at = time.monotonic() + AWAIT_SECONDS_MAX
    while True:
        try:
            return iter(list(lines.of(topic, partition, record)))
        except Awaited:
            if time.monotonic() >= ends_at:
                return iter([Line("", topic, partition, record.offset, reason="awaited")])
        await asyncio.sleep(LOOK_AGAIN_SECONDS)

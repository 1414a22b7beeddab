"""Reads records one after the other where the relay would read on elsewhere meanwhile: waits for a schema that has to be fetched.

In: the relay's reader, and the loop that its schemas answer on. Out: a reader that never raises `Awaited`.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from relay.core.events import Record, Said, SessionKey
from relay.errors import Unreachable
from relay.input.decoding import Awaited

PATIENCE_SECONDS: Final = 30.0
PAUSE_SECONDS: Final = 0.02


def patient(
    read: Callable[[Record], tuple[SessionKey, Said]], loop: asyncio.AbstractEventLoop, *, seconds_max: float = PATIENCE_SECONDS
) -> Callable[[Record], tuple[SessionKey, Said]]:
    """The same reader, which waits. The loop must not be running: it runs while there is something to wait for."""

    def read_patiently(record: Record) -> tuple[SessionKey, Said]:
        end = time.monotonic() + seconds_max
        while True:
            try:
                return read(record)
            except Awaited:
                if time.monotonic() > end:
                    address = "check RELAY_INPUT__SCHEMA_REGISTRY__URL"
                    raise Unreachable(f"the schema registry did not answer within {seconds_max:.0f} s; {address}") from None
                loop.run_until_complete(asyncio.sleep(PAUSE_SECONDS))

    return read_patiently

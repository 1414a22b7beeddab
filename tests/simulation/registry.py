"""A decoder whose schemas come from a registry that takes its time: what some records are written in must be fetched first.

In: records. Out: their values, or `Awaited` until the schema has come; then the pump hears that there is news. Each process has its own.
"""

from collections.abc import Callable
from random import Random
from typing import Final

from simulation.faults import Faults
from simulation.loop import HostLoop
from simulation.situations import Situations

from relay.core.events import Record, SessionKey
from relay.input.decoding import Awaited, PlainJson, read_key

AGAIN_SECONDS: Final = 1.0


class Registry:
    """What decodes a record, once its schema is known."""

    def __init__(self, host: HostLoop, random: Random, faults: Faults, is_down: Callable[[], bool], situations: Situations) -> None:
        """Know no schema yet."""
        self._host = host
        self._random = random
        self._faults = faults
        self._is_down = is_down
        self._situations = situations
        self._known: set[int] = set()
        self._asked: set[int] = set()
        self._news: Callable[[], None] = lambda: None
        self._plain = PlainJson()

    def tell(self, news: Callable[[], None]) -> None:
        """Somebody wants to hear when a schema has come."""
        self._news = news

    def key(self, record: Record) -> SessionKey | None:
        """The key is text."""
        return read_key(record.key)

    def json(self, record: Record) -> bytes:
        """The value, once its schema is known. Every ninth record or so is written in one that the process may not know."""
        schema = record.offset // 9
        if self._faults.schema_seconds and record.offset % 9 == 0 and schema not in self._known:
            if schema not in self._asked:
                self._asked.add(schema)
                self._host.call_later(self._random.random() * self._faults.schema_seconds, lambda: self._answer(schema))
            self._situations.sometimes("the schema of a record was waited for")
            raise Awaited
        return self._plain.json(record)

    def _answer(self, schema: int) -> None:
        if self._is_down():
            self._host.call_later(AGAIN_SECONDS, lambda: self._answer(schema))
            return
        self._known.add(schema)
        self._news()

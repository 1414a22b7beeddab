"""The schemas that are known, and those that are being fetched: never on the loop, and never given up for a moment's failure.

In: ids of schemas, as records name them. Out: how to read what is written in one, `Unreadable`, or `Awaited` and news later.

- A schema is fetched and made ready on a thread; meanwhile `Awaited` is raised, and the record waits in front of all of its partition.
- A registry that does not answer is asked again, at growing intervals, for as long as it takes.
- "No such schema" is believed once the record is older than a few seconds: a registry may lag behind the producer that registered it. It
  then holds for what is older than this answer; younger records ask again, and the next such answer is believed at once.
- A schema that nobody can read with sets its records aside for a minute, then it is looked at again.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from relay.core.reasons import Reason
from relay.input.avro import UnusableSchema
from relay.input.decoding import Awaited, Unreadable
from relay.input.framing import SchemaId
from relay.input.registry import FetchesSchemas, NoSuchSchema, NotNow, Schema

log = logging.getLogger("relay.input")

SCHEMAS_MAX: Final = 1_000
THREADS: Final = 4  # one that gets no answer does not hold up the others
BELIEVED_AFTER_SECONDS: Final = 5.0
LOOK_AGAIN_SECONDS: Final = 60.0
WAIT_SECONDS_INITIAL: Final = 0.5
WAIT_SECONDS_MAX: Final = 15.0
SAY_SECONDS: Final = 30.0

Reads = TypeVar("Reads")


class Loop(Protocol):
    """What is needed of an event loop."""

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> object:
        """Call back on the loop's thread."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> object:
        """Call back after so many seconds."""
        ...


class _None(NamedTuple):
    """There is none."""

    since: float


class _Unusable(NamedTuple):
    """Nobody can read with it."""

    detail: str
    since: float


class _Asking:
    """It is being fetched."""

    __slots__ = ("appended_at", "failures", "is_doubted")

    def __init__(self, appended_at: float, *, is_doubted: bool) -> None:
        self.appended_at = appended_at  # of the record that asked first
        self.failures = 0
        self.is_doubted = is_doubted  # it was said before that there is none


class Schemas(Generic[Reads]):
    """How to read what is written in each schema. To be used on the loop."""

    def __init__(
        self,
        registry: FetchesSchemas,
        prepare: Callable[[Schema], Reads],
        *,
        loop: Loop,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know none. `prepare` makes a schema ready, on a thread, or raises `UnusableSchema`."""
        self.failure = ""  # why the registry is of no use now, where only an operator can help
        self._registry = registry
        self._prepare = prepare
        self._loop = loop
        self._clock = clock
        self._known: dict[SchemaId, Reads] = {}
        self._others: dict[SchemaId, _None | _Unusable | _Asking] = {}
        self._news: Callable[[], None] = lambda: None
        self._wanted: queue.SimpleQueue[SchemaId | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._said_at = float("-inf")
        self._is_closed = False

    def tell(self, news: Callable[[], None]) -> None:
        """Have `news` called whenever something awaited has come."""
        self._news = news

    def find(self, schema_id: SchemaId, appended_at: float) -> Reads:
        """How to read what is written in this schema. Raises `Awaited` or `Unreadable`."""
        known = self._known.get(schema_id)
        if known is not None:
            return known
        other = self._others.get(schema_id)
        match other:
            case _Asking():
                raise Awaited
            case _None(since) if appended_at <= since:
                raise Unreadable(Reason.UNKNOWN_SCHEMA, f"the registry has no schema {schema_id}")
            case _Unusable(detail, since) if self._clock() - since < LOOK_AGAIN_SECONDS:
                raise Unreadable(Reason.UNUSABLE_SCHEMA, f"schema {schema_id}: {detail}")
            case _:
                self._make_room()
                self._others[schema_id] = _Asking(appended_at, is_doubted=isinstance(other, _None))
                self._ask(schema_id)
                raise Awaited

    def close(self) -> None:
        """Ask no more. A thread that waits for an answer is left alone."""
        self._is_closed = True
        for _ in self._threads:
            self._wanted.put(None)
        if not self._threads:
            self._registry.close()

    # --- on the loop ------------------------------------------------------------------------------------------------------------------

    def _ask(self, schema_id: SchemaId) -> None:
        if self._is_closed:
            return
        asking = sum(isinstance(one, _Asking) for one in self._others.values())
        if len(self._threads) < min(THREADS, asking):
            thread = threading.Thread(target=self._fetch_all, name=f"relay-schemas-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._wanted.put(schema_id)

    def _came(self, schema_id: SchemaId, reads: Reads) -> None:
        self._others.pop(schema_id, None)
        self._known[schema_id] = reads
        self._answered()

    def _is_unusable(self, schema_id: SchemaId, detail: str) -> None:
        log.warning("a schema cannot be used", extra={"schema": schema_id, "cause": detail})
        self._others[schema_id] = _Unusable(detail, self._clock())
        self._answered()

    def _is_none(self, schema_id: SchemaId) -> None:
        asking = self._others[schema_id]
        assert isinstance(asking, _Asking)
        now = self._clock()
        wait = asking.appended_at + BELIEVED_AFTER_SECONDS - now
        if wait > 0 and not asking.is_doubted:
            self._loop.call_later(min(wait + 0.01, 1.0), lambda: self._ask(schema_id))
            return
        log.warning("the schema registry has no such schema", extra={"schema": schema_id})
        self._others[schema_id] = _None(now)
        self._answered()

    def _failed(self, schema_id: SchemaId, failure: NotNow) -> None:
        asking = self._others[schema_id]
        assert isinstance(asking, _Asking)
        asking.failures += 1
        wait = min(WAIT_SECONDS_MAX, WAIT_SECONDS_INITIAL * 2 ** min(10, asking.failures - 1))
        self.failure = failure.advice
        now = self._clock()
        if now - self._said_at >= SAY_SECONDS:
            self._said_at = now
            fields = {"schema": schema_id, "cause": failure.cause, "advice": failure.advice or "its records wait; nothing is lost"}
            log.warning("the schema registry does not give a schema", extra=fields)
        self._loop.call_later(wait, lambda: self._ask(schema_id))

    def _answered(self) -> None:
        if self._said_at > float("-inf") and not any(isinstance(one, _Asking) and one.failures for one in self._others.values()):
            self._said_at = float("-inf")
            log.info("the schema registry answers again")
        self.failure = ""
        self._news()

    def _make_room(self) -> None:
        """What was learnt first is forgotten first; it can be asked for again."""
        while len(self._known) >= SCHEMAS_MAX:
            del self._known[next(iter(self._known))]
        settled = [one for one, state in self._others.items() if not isinstance(state, _Asking)]
        for schema_id in settled[: max(0, len(self._others) + 1 - SCHEMAS_MAX)]:
            del self._others[schema_id]

    # --- on a thread ------------------------------------------------------------------------------------------------------------------

    def _fetch_all(self) -> None:
        while (schema_id := self._wanted.get()) is not None:
            told = self._fetch(schema_id)
            try:
                self._loop.call_soon_threadsafe(told)
            except RuntimeError:  # the loop is closed: nobody listens any more
                break
        if self._is_closed:
            self._registry.close()

    def _fetch(self, schema_id: SchemaId) -> Callable[[], None]:
        """What the loop is to be told."""
        try:
            schema = self._registry.fetch(schema_id)
            reads = self._prepare(schema)
        except NoSuchSchema:
            return partial(self._is_none, schema_id)
        except NotNow as failure:
            return partial(self._failed, schema_id, failure)
        except UnusableSchema as unusable:
            return partial(self._is_unusable, schema_id, str(unusable))
        return partial(self._came, schema_id, reads)

"""What is on its way to one partition of the state topic: which writes Kafka has confirmed, which come back, and who waits for them.

In: memoirs to write, and reports of their delivery. Out: writes to hand to the client, and callbacks once all before them is confirmed.

Pure: no client, no clock, no thread. The rules:

- Of each session only the latest memoir matters. What fails, or finds no room, waits in the backlog under its key, and a newer memoir of
  that session takes its place. So the backlog is bounded by the number of sessions, and an old memoir never overwrites a newer one.
- After a failure the backlog is taken up with a single write, and twice as many after each success: what is refused for its size takes
  along whatever shares a batch with it.
- While there is a backlog everything goes through it, so that no memoir overtakes an older one of its session.
- Whoever waits is called once every write issued before is confirmed, or a newer one of the same session in its place.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaError, Message

from relay.core.events import SessionKey

Reports = deque[tuple["Write", KafkaError | None]]
"""Filled by the client's thread, emptied by the event loop's."""


STRIDE_MAX: Final = 1_000  # so that the loop breathes


class Write:
    """One memoir on its way, and the callback that the client reports its delivery to."""

    __slots__ = ("began_at", "is_again", "is_reported", "key", "memoir", "number", "outbox", "reports")

    def __init__(  # noqa: PLR0913  # one of each
        self, outbox: "Outbox", key: SessionKey, memoir: bytes | None, *, number: int, began_at: float, reports: Reports
    ) -> None:
        """Remember what is written, in case that it has to be written again."""
        self.outbox = outbox
        self.key = key
        self.memoir = memoir
        self.number = number
        self.began_at = began_at
        self.is_again = bool(outbox.failure)
        self.is_reported = False
        self.reports = reports

    def __call__(self, error: KafkaError | None, _message: Message) -> None:
        """Called on the client's thread."""
        self.reports.append((self, error))


class Outbox:
    """The writes of one partition."""

    def __init__(self, name: str, partition: int) -> None:
        """Begin empty. The name is that of the state topic."""
        self.name = name
        self.partition = partition
        self.backlog: dict[SessionKey, bytes | None] = {}
        self.failure = ""  # why the latest write failed for good; empty once all that failed is written
        self.stride = STRIDE_MAX  # how much of the backlog may be issued again at once
        self.is_let_go = False  # the partition is no longer ours: what fails now is not written again
        self._number = 0
        self._again_count = 0
        self._under_way: deque[Write] = deque()
        self._latest: dict[SessionKey, Write] = {}
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is under way, and nothing waits to be."""
        return not self._under_way and not self.backlog

    @property
    def began_at(self) -> float | None:
        """When the oldest of the writes under way was begun."""
        return self._under_way[0].began_at if self._under_way else None

    def begin(self, key: SessionKey, memoir: bytes | None, now: float, reports: Reports) -> Write:
        """A write is about to be handed to the client."""
        self._number += 1
        write = Write(self, key, memoir, number=self._number, began_at=now, reports=reports)
        self._under_way.append(write)
        self._latest[key] = write
        self._again_count += write.is_again
        return write

    def undo(self, write: Write) -> None:
        """The client did not take it: it goes to the end of the backlog."""
        self._under_way.pop()
        self._again_count -= write.is_again
        if self._latest.get(write.key) is write:
            del self._latest[write.key]
        self.backlog[write.key] = write.memoir

    def report(self, write: Write, cause: str) -> None:
        """Kafka has confirmed a write, or it has failed for good."""
        write.is_reported = True
        while self._under_way and self._under_way[0].is_reported:
            self._under_way.popleft()
        self._again_count -= write.is_again
        is_latest = self._latest.get(write.key) is write
        if is_latest:
            del self._latest[write.key]
        if cause:
            self.failure = cause
            self.stride = 1
            if is_latest and not self.is_let_go:
                self.backlog.setdefault(write.key, write.memoir)
        elif not self.backlog and not self._again_count:
            self.failure = ""

    def lengthen_stride(self) -> None:
        """Something was written: take up more at once."""
        self.stride = min(2 * self.stride, STRIDE_MAX)

    def taken_up(self) -> None:
        """The backlog has been issued again, all of it: who waits, waits for that."""
        self._waiting = deque((self._number, then) for _, then in self._waiting)

    def wait(self, then: Callable[[], None]) -> None:
        """Call back, by way of `due`, once all that was issued so far is confirmed."""
        self._waiting.append((self._number, then))

    def due(self) -> list[Callable[[], None]]:
        """Who needs to wait no longer."""
        called: list[Callable[[], None]] = []
        while self._waiting and not self.backlog and (not self._under_way or self._under_way[0].number > self._waiting[0][0]):
            called.append(self._waiting.popleft()[1])
        return called

    def let_go(self) -> None:
        """The partition is no longer ours: nothing is written again, and nobody waits any longer."""
        self.is_let_go = True
        self.backlog.clear()
        self._waiting.clear()

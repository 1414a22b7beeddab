"""What the pump and the keeper need of the outside, as small faces: the real parts have them, and those of a simulation."""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from relay.core.commands import Command, OpenSession, SendEvent
from relay.core.events import Record, Said, SessionKey
from relay.core.memoir import Memoir
from relay.kafka.dead_letters import DeadLetter
from relay.kafka.source import CommitPoint

Found: TypeAlias = Callable[[list[tuple[SessionKey, Memoir | None]]], None]
"""Takes sessions that were found, each once; None for one that is over."""


class Handle(Protocol):
    """A timer that can be called off."""

    def cancel(self) -> None:
        """Call it off."""
        ...


class Loop(Protocol):
    """What the pump needs of an event loop; a simulation brings its own."""

    def call_soon(self, callback: Callable[[], None]) -> object:
        """Call back in the next pass of the loop."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> Handle:
        """Call back after so many seconds."""
        ...


class Reads(Protocol):
    """The input's face."""

    def read(self, record: Record) -> tuple[SessionKey, Said]:
        """What a record says. Raises `Unreadable`, or `Awaited` when it must be read again later."""
        ...


class StartsCalls(Protocol):
    """The calls' face."""

    def start(self, command: OpenSession | SendEvent) -> None:
        """Begin a call; its end comes back as `Answered`."""
        ...


class StoresLetters(Protocol):
    """The dead letters' face."""

    @property
    def pending_bytes(self) -> int:
        """What is written and not yet confirmed."""
        ...

    def put(self, letter: DeadLetter, stored: Callable[[], None]) -> None:
        """Write a letter; call back once Kafka has confirmed it."""
        ...


class KeepsTraces(Protocol):
    """The traces' face."""

    def watching(self, performers: Mapping[type[Command], Callable[..., None]]) -> Mapping[type[Command], Callable[..., None]]:
        """Performers in place of some of these, which tell the traces as well."""
        ...

    def context_of(self, topic: str, partition: int, record: Record) -> str:
        """The context for the dead letter of a record."""
        ...


class Flows(Protocol):
    """The source's face."""

    def commit(self, points: list[CommitPoint]) -> None:
        """Commit; `Committed` or `CommitFailed` comes back."""
        ...

    def pause(self) -> None:
        """Let no more records come."""
        ...

    def resume(self) -> None:
        """Let records come again."""
        ...

    def release(self, partitions: list[tuple[str, int]]) -> None:
        """Let records of newly assigned partitions come."""
        ...

    def ends(self) -> Mapping[tuple[str, int], int]:
        """Where the logs of our partitions end, as far as Kafka has said."""
        ...

    def taken(self) -> None:
        """A batch has been taken in."""
        ...


class KeepsMemoirs(Protocol):
    """The state topic's face."""

    @property
    def is_failing(self) -> bool:
        """Whether memoirs cannot be written now."""
        ...

    def write(self, topic: str, partition: int, key: SessionKey, memoir: bytes | None) -> None:
        """Write a memoir, or a tombstone."""
        ...

    def after_written(self, topic: str, partition: int, then: Callable[[], None]) -> None:
        """Call back once all that was written for the partition so far is confirmed."""
        ...

    def restore(self, topic: str, partition: int, found: Found, done: Callable[[], None]) -> None:
        """Read the partition, hand over each of its sessions once, in chunks; then say that it is done."""
        ...

    def let_go(self, topic: str, partition: int) -> None:
        """The partition is no longer ours: what waits to be written for it must not be written over the next owner's."""
        ...

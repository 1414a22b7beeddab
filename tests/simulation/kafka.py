"""A simulated Kafka: the log, the consumer group, its commits, the state topic and the dead letters.

In: what players produce, and what processes ask for. Out: what was confirmed, when it was confirmed. What a broker has stored stays when a
process dies; of what was sent and not yet confirmed, a beginning may be stored as well.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final, Protocol

from simulation.faults import Faults
from simulation.loop import VirtualLoop
from simulation.stories import Said

from relay.core.events import Record
from relay.kafka.source import CommitPoint

if TYPE_CHECKING:
    from simulation.consumer import Consumer

TOPIC: Final = "player-events"
SESSION_TIMEOUT_SECONDS: Final = 6.0


class Watches(Protocol):
    """Whoever checks what is committed."""

    def committed(self, consumer: "Consumer", point: CommitPoint) -> None:
        """A commit is about to be stored."""
        ...

    def sometimes(self, name: str, *, happens: bool = True) -> None:
        """Something happens that must happen in some world."""
        ...


class Topic:
    """The log of the players' events. Offsets have gaps, as compaction and transactions leave them."""

    def __init__(self, partition_count: int, random: Random, *, has_gaps: bool) -> None:
        """Begin empty, or far from zero."""
        self._random = random
        self._has_gaps = has_gaps
        first = random.choice((0, 0, 5_000_000_000))
        self.ends = [first] * partition_count
        self.records: list[list[Record]] = [[] for _ in range(partition_count)]
        self._offsets: list[list[int]] = [[] for _ in range(partition_count)]
        self.saids: list[dict[int, list[Said]]] = [{} for _ in range(partition_count)]

    def append(self, said: Said, now: float, wall: float) -> None:
        """A record is produced."""
        partition = said.partition
        if self._has_gaps and self._random.random() < 0.1:
            self.ends[partition] += self._random.randrange(1, 300)
        offset = self.ends[partition]
        self.ends[partition] += 1
        for part in said.parts or [said]:
            part.offset, part.partition, part.appended_at = offset, partition, now
        record = Record(offset, said.key.encode(), said.value, timestamp_ms=int(wall * 1000), appended_at=now)
        self.records[partition].append(record)
        self._offsets[partition].append(offset)
        self.saids[partition][offset] = said.parts

    def read(self, partition: int, offset: int, count: int) -> list[Record]:
        """Records from an offset on."""
        first = bisect_left(self._offsets[partition], offset)
        return self.records[partition][first : first + count]

    def offsets_within(self, partition: int, first: int, end: int) -> list[int]:
        """The offsets of records from one place to before another."""
        offsets = self._offsets[partition]
        return offsets[bisect_left(offsets, first) : bisect_left(offsets, end)]

    def is_complete(self, partition: int, offset: int | None) -> bool:
        """Whether a committed offset stands after the last record."""
        records = self.records[partition]
        return not records or (offset is not None and offset > records[-1].offset)


class Group:
    """The coordinator: who owns which partition, and what is committed. It grants a partition only when nobody holds it.

    Both protocols tell a member what to let go of, and later what it is given; what differs is when. With the consumer protocol (KIP-848)
    each member hears for itself, as soon as something is free. With the classic one (cooperative) the group agrees in rounds: all let go
    first, then all are given what is free, and while they agree no commit is taken.
    """

    def __init__(  # noqa: PLR0913  # the parts
        self, loop: VirtualLoop, random: Random, faults: Faults, topic: Topic, watch: Watches, *, is_classic: bool
    ) -> None:
        """Begin without members."""
        self.is_classic = is_classic
        self._agreeing_until = 0.0
        self.members: list[Consumer] = []
        self.owners: list[Consumer | None] = [None] * len(topic.ends)
        self.committed: dict[int, tuple[int, str]] = {}
        self.is_refusing = False
        self._loop, self._random, self._faults, self._watch = loop, random, faults, watch
        self._targets: list[Consumer | None] = list(self.owners)
        self._is_due = False

    def join(self, consumer: "Consumer") -> None:
        """A member comes."""
        self.members.append(consumer)
        self.rebalance()

    def leave(self, consumer: "Consumer") -> None:
        """A member goes, by its own word or for its silence; what it held is free."""
        if consumer in self.members:
            self.members.remove(consumer)
            self.owners[:] = [None if owner is consumer else owner for owner in self.owners]
            self.rebalance()

    def shuffle(self) -> None:
        """Deal the partitions anew, for no reason."""
        self._targets = [self._random.choice(self.members) if self.members else None for _ in self.owners]
        self._arrange_soon()

    def rebalance(self) -> None:
        """Give each member its share, and move as little as possible."""
        targets: list[Consumer | None] = [target if target in self.members else None for target in self._targets]
        most = -(-len(targets) // max(1, len(self.members)))
        for index, target in enumerate(targets):
            if target is not None and targets[: index + 1].count(target) > most:
                targets[index] = None
        for index, target in enumerate(targets):
            if target is None and self.members:
                targets[index] = min(self.members, key=targets.count)
        self._targets = targets
        self._arrange_soon()

    def released(self, consumer: "Consumer", partition: int) -> None:
        """A member has let go of a partition."""
        if self.owners[partition] is consumer:
            self.owners[partition] = None
            self._arrange_soon()

    def commit(self, consumer: "Consumer", points: list[CommitPoint]) -> str:
        """Store offsets; as the real one it asks only whether the member is one. Returns why not."""
        if consumer not in self.members:
            return "UNKNOWN_MEMBER_ID"
        if self._loop.now < self._agreeing_until:
            self._watch.sometimes("a commit refused while the group agreed")
            return "REBALANCE_IN_PROGRESS"
        if self.is_refusing or self._random.random() < self._faults.commit_failures:
            return "COORDINATOR_LOAD_IN_PROGRESS"
        for point in points:
            self._watch.committed(consumer, point)
            self.committed[point.partition] = (point.offset, point.metadata)
        if self._random.random() < self._faults.commit_unknown:
            self._watch.sometimes("a commit stored, and said to have failed")
            return "REQUEST_TIMED_OUT"
        return ""

    def heal(self) -> None:
        """Nothing fails any more."""
        self.is_refusing = False
        self._faults = Faults()

    def _arrange_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_later(self._random.choice((0.01, 0.1, 1.0)), self._arrange)

    def _arrange(self) -> None:
        self._is_due = False
        leaving: dict[Consumer, list[int]] = {}
        coming: dict[Consumer, list[int]] = {}
        for partition, (owner, target) in enumerate(zip(self.owners, self._targets, strict=True)):
            if owner is None and target is not None:
                coming.setdefault(target, []).append(partition)
            elif owner is not None and owner is not target:
                leaving.setdefault(owner, []).append(partition)
        for owner, partitions in leaving.items():
            owner.revoke(partitions)
        if not self.is_classic:
            self._grant(coming)
        elif coming and not leaving:
            self._agreeing_until = self._loop.now + self._random.choice((0.01, 0.1, 1.0))
            self._loop.call_later(self._agreeing_until - self._loop.now, lambda: self._grant(coming))

    def _grant(self, coming: "dict[Consumer, list[int]]") -> None:
        """To each what is meant for it, unless something has changed meanwhile."""
        for target, partitions in coming.items():
            free = [one for one in partitions if self.owners[one] is None and self._targets[one] is target and target in self.members]
            for partition in free:
                self.owners[partition] = target
            if free:
                target.grant(free)


@dataclass
class Entry:
    """A record of the state topic."""

    key: str
    value: bytes | None
    writer: str


class StateLog:
    """The state topic: per partition what was written, in order, less what compaction has removed."""

    def __init__(self, partition_count: int) -> None:
        """Begin empty."""
        self.is_down = False
        self.entries: list[list[Entry]] = [[] for _ in range(partition_count)]
        self.heard: Callable[[Entry], None] = lambda _entry: None

    def append(self, partition: int, entry: Entry) -> None:
        """Store."""
        self.entries[partition].append(entry)
        self.heard(entry)

    def compact(self, *, drops_tombstones: bool) -> None:
        """Of each key keep the last; tombstones go when they are old."""
        for partition, entries in enumerate(self.entries):
            last = {entry.key: entry for entry in entries}
            self.entries[partition] = [
                entry for entry in entries if last[entry.key] is entry and not (entry.value is None and drops_tombstones)
            ]

"""The source as one process has it: a member of the simulated group, with the habits of the real one's thread.

In: what the pump asks for, and what the group says. Out: the source's messages, in the order in which they happened. A revoke blocks
everything else until the pump has replied or the bound is reached, as the callback of the real client does.
"""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Protocol

from simulation.faults import Faults
from simulation.kafka import SESSION_TIMEOUT_SECONDS, TOPIC, Group, Topic
from simulation.loop import HostLoop, VirtualLoop
from simulation.situations import Situations

from relay.errors import FatalConsumerError
from relay.kafka.source import (
    CommitFailed,
    CommitPoint,
    Committed,
    CommittedPosition,
    Fetched,
    PartitionsAssigned,
    PartitionsLeaving,
    PartitionsLost,
    SourceFailed,
    SourceMessage,
)

HAND_OVERS_MAX = 4
REPLY_EXTRA_SECONDS = 2.0


class Listens(Protocol):
    """The process that the consumer belongs to."""

    def hear(self, message: SourceMessage) -> None:
        """On the loop of the process."""
        ...

    def replied(self, partitions: list[int], points: list[CommitPoint] | None) -> None:
        """The pump has said what to commit for partitions that leave, or nothing in time."""
        ...

    def excluded(self) -> None:
        """The group has given away what was held."""
        ...

    def passed(self, step: str) -> None:
        """Something is about to happen at which a trap may spring."""
        ...

    def let_go(self, partitions: list[int], cause: str) -> None:
        """The partitions are no longer held: `left` after the final commit, `unstored` when that failed, `lost`."""
        ...


class Consumer:
    """One member."""

    def __init__(  # noqa: PLR0913  # the parts, each by its name
        self,
        *,
        name: str,
        group: Group,
        topic: Topic,
        world_loop: VirtualLoop,
        host: HostLoop,
        thread: HostLoop,
        random: Random,
        faults: Faults,
        listener: Listens,
        situations: Situations,
        reply_seconds_max: float,
    ) -> None:
        """Join the group soon. The thread of the consumer lives and dies with the process, but may go on while its loop hangs."""
        self.name = name
        self.is_cut_off = False
        self.has_left = False
        self._join_count = 0
        self._group, self._topic, self._loop, self._random, self._faults = group, topic, world_loop, random, faults
        self._host, self._thread = host, thread
        self._listener = listener
        self._situations = situations
        self._reply_seconds_max = reply_seconds_max + REPLY_EXTRA_SECONDS
        self._positions: dict[int, int] = {}  # where to read on, of what is ours
        self._began: dict[int, int] = {}  # where reading began, of what is ours
        self._ends: dict[tuple[str, int], int] = {}
        self._serials: dict[int, int] = {}
        self._heard_serials: dict[int, int] = {}  # those that the loop of the process has heard of
        self._serial = 0
        self._held: set[int] = set()
        self._requests: deque[Callable[[], None]] = deque()
        self._events: deque[Callable[[], None]] = deque()  # of the group
        self._is_paused = False
        self._is_closing = False
        self._is_blocked = False
        self._is_due = False
        self._untaken = 0
        self._told_at = 0.0
        self._commit_at = 0.0
        self._closed: Callable[[], None] = lambda: None
        thread.call_later(random.uniform(0.0, 0.5), self._join)

    @property
    def is_quiet(self) -> bool:
        """In the group, with nothing to do."""
        is_member = self in self._group.members and not self.is_cut_off
        return is_member and not (self._requests or self._events or self._is_blocked or self._is_closing)

    # --- what the pump asks for -------------------------------------------------------------------------------------------------------

    def commit(self, points: list[CommitPoint]) -> None:
        """Ask for a commit."""
        tagged = [(point, self._heard_serials.get(point.partition, 0)) for point in points]
        self._requests.append(lambda: self._commit(tagged))
        self._wake()

    def release(self, partitions: list[tuple[str, int]]) -> None:
        """Read these from now on."""
        tagged = [(partition, self._heard_serials.get(partition, 0)) for _, partition in partitions]

        def release() -> None:
            for partition, serial in tagged:
                if self._serials.get(partition) == serial:
                    self._held.discard(partition)

        self._requests.append(release)
        self._wake()

    def pause(self) -> None:
        """Hand over no more records."""
        self._situations.sometimes("the source was paused")
        self._is_paused = True

    def resume(self) -> None:
        """Hand over records again."""
        self._is_paused = False
        self._wake()

    def ends(self) -> dict[tuple[str, int], int]:
        """Where the logs end, as far as this member has heard."""
        if not self.is_cut_off:
            self._ends = {(TOPIC, partition): self._topic.ends[partition] for partition in self._positions}
        return self._ends

    def taken(self) -> None:
        """One `Fetched` has been dealt with."""
        self._untaken -= 1
        self._wake()

    def close(self, closed: Callable[[], None]) -> None:
        """Stop reading, revoke what is ours, leave the group."""
        self._is_closing = True
        self._closed = closed
        self._wake()

    # --- what the group says ----------------------------------------------------------------------------------------------------------

    def grant(self, partitions: list[int]) -> None:
        """Partitions are ours."""
        self._events.append(lambda: self._assign(partitions))
        self._wake()

    def revoke(self, partitions: list[int]) -> None:
        """Partitions shall go elsewhere."""
        self._events.append(lambda: self._revoke([one for one in partitions if one in self._positions]))
        self._wake()

    def exclude(self) -> None:
        """The coordinator has not heard of us for too long."""
        if self in self._group.members:
            self._group.leave(self)
            self._events.clear()
            self._listener.excluded()
            self._thread.call_later(self._random.uniform(0.1, 1.0), self._wake)  # its next heartbeat is refused

    def cut_off(self, seconds: float) -> None:
        """No broker can be reached for a while."""
        self.is_cut_off = True
        self._loop.call_later(SESSION_TIMEOUT_SECONDS, self._missed)
        self._thread.call_later(seconds, self._reconnect)

    def missing(self, seconds: float) -> None:
        """The process stands still: the coordinator notices when that takes long."""
        if seconds > SESSION_TIMEOUT_SECONDS:
            self._loop.call_later(SESSION_TIMEOUT_SECONDS, self.exclude)

    def reread(self) -> None:
        """The client reads a part of the log again, as it may when it resumes."""
        for partition, position in self._positions.items():
            begin = self._began[partition]
            before = [record.offset for record in self._topic.records[partition] if begin <= record.offset < position]
            if before:
                self._situations.sometimes("read again from before")
                self._positions[partition] = self._random.choice(before[-5:])
        self._wake()

    def give_back(self) -> None:
        """A partition is taken from us and given back at once."""
        if self._positions:
            self.revoke([self._random.choice(list(self._positions))])

    def fence(self) -> None:
        """Another member has taken our place: what was ours is lost, and nothing comes any more."""
        self._group.leave(self)
        self._events.clear()
        lost = list(self._positions)
        self._forget(lost)
        self.has_left = True
        self._listener.let_go(lost, "lost")
        if lost:
            self._tell(PartitionsLost([(TOPIC, partition) for partition in lost]))
        self._tell(SourceFailed(FatalConsumerError("fenced")))

    def wake(self) -> None:
        """There may be something to read."""
        self._wake()

    # --- the thread -------------------------------------------------------------------------------------------------------------------

    def _join(self) -> None:
        if not self.has_left:
            self._join_count += 1
            self._group.join(self)

    def _missed(self) -> None:
        if self.is_cut_off:
            self.exclude()

    def _reconnect(self) -> None:
        self.is_cut_off = False
        self._wake()

    def _wake(self) -> None:
        if not self._is_due and not self.has_left:
            self._is_due = True
            self._thread.call_later(self._random.uniform(0.0005, 0.02), self._turn)

    def _turn(self) -> None:
        self._is_due = False
        if self._is_blocked or self.has_left:
            return
        if not self._join_count:
            if self._is_closing:
                self._leave()
            return
        if self not in self._group.members and not self.is_cut_off:
            self._notice_exclusion()
            return
        while self._requests:
            self._requests.popleft()()
        if self._is_closing:
            self._revoke(list(self._positions))
        elif self._events and not self.is_cut_off:
            self._events.popleft()()
            self._wake()
        elif not self.is_cut_off and not self._is_paused and self._untaken < HAND_OVERS_MAX and self._read():
            self._wake()

    def _notice_exclusion(self) -> None:
        lost = list(self._positions)
        self._forget(lost)
        if lost:
            self._listener.let_go(lost, "lost")
            self._tell(PartitionsLost([(TOPIC, partition) for partition in lost]))
        if self._is_closing:
            self._leave()
        else:
            self._join()
            self._wake()

    def _read(self) -> bool:
        partitions = [one for one, position in self._positions.items() if one not in self._held and self._topic.read(one, position, 1)]
        self._random.shuffle(partitions)
        batches = []
        for partition in partitions[: self._random.randrange(1, 4)]:
            records = self._topic.read(partition, self._positions[partition], self._random.choice((1, 3, 10, 100)))
            self._positions[partition] = records[-1].offset + 1
            batches.append((TOPIC, partition, records))
        if batches:
            self._untaken += 1
            self._tell(Fetched(batches))
        return bool(batches)

    def _assign(self, partitions: list[int]) -> None:
        granted = [one for one in partitions if self._group.owners[one] is self and one not in self._positions]
        if not granted:
            return
        positions: list[CommittedPosition] = []
        serials: dict[int, int] = {}
        for partition in granted:
            offset, metadata = self._group.committed.get(partition, (None, ""))
            self._serial += 1
            serials[partition] = self._serials[partition] = self._serial
            self._held.add(partition)
            self._began[partition] = self._positions[partition] = offset or 0
            positions.append(CommittedPosition(TOPIC, partition, offset, metadata))
        self._tell(PartitionsAssigned(positions), lambda: self._heard_serials.update(serials))

    def _revoke(self, partitions: list[int]) -> None:
        if not partitions:
            if self._is_closing:
                self._leave()
            return
        self._is_blocked = True
        self._listener.passed("revoking")
        replies: list[list[CommitPoint] | None] = []

        def reply(points: list[CommitPoint] | None) -> None:
            if not replies:
                replies.append(points)
                self._listener.replied(partitions, points)
                self._thread.call_later(self._random.uniform(0.0, 0.005), lambda: self._part(partitions, points or []))

        self._tell(PartitionsLeaving([(TOPIC, partition) for partition in partitions], reply))
        self._thread.call_later(self._reply_seconds_max, lambda: reply(None))

    def _part(self, partitions: list[int], points: list[CommitPoint]) -> None:
        """The commit within the callback, and then the word to the group that these are free."""
        if self.has_left:
            return  # fenced meanwhile
        self._forget(partitions)

        def end(cause: str) -> None:
            self._listener.let_go(partitions, cause)
            for partition in partitions:
                self._group.released(self, partition)
            self._is_blocked = False
            if self._is_closing:
                self._leave()
            self._wake()

        if not points:
            end("left")
            return

        def stored(error: str) -> None:
            self._thread.call_soon(lambda: end("unstored" if error else "left"))

        self._store(points, stored)

    def _leave(self) -> None:
        if not self.has_left:
            self.has_left = True
            self._group.leave(self)
            self._closed()

    def _forget(self, partitions: list[int]) -> None:
        for partition in partitions:
            del self._positions[partition]
            del self._serials[partition]
            self._held.discard(partition)

    def _commit(self, tagged: list[tuple[CommitPoint, int]]) -> None:
        points = [point for point, serial in tagged if self._serials.get(point.partition) == serial]
        if not points:
            self._tell(Committed([]))
            return
        self._store(points, lambda error: self._tell(CommitFailed(points, error) if error else Committed(points)))

    def _store(self, points: list[CommitPoint], ended: Callable[[str], None]) -> None:
        """One connection: the broker stores in the order in which it was asked. A process that dies may still have asked."""
        asked_at = self._loop.now
        self._commit_at = max(self._commit_at, self._loop.now + self._random.uniform(*self._faults.commit_latency))

        joined = self._join_count

        def store() -> None:
            if not self._thread.is_alive and self._random.random() < 0.5:
                return
            self._situations.sometimes("a commit that took a second", happens=self._loop.now - asked_at > 1.0)
            if self.is_cut_off:
                error = "TRANSPORT"
            else:
                error = self._group.commit(self, points) if joined == self._join_count else "ILLEGAL_GENERATION"
            self._thread.call_later(self._random.uniform(*self._faults.commit_latency), lambda: ended(error))

        self._loop.call_later(self._commit_at - self._loop.now, store)

    def _tell(self, message: SourceMessage, heard: Callable[[], None] | None = None) -> None:
        """Over to the loop of the process: later, and in order."""
        self._told_at = max(self._told_at, self._loop.now + self._random.uniform(0.0, 0.01))

        def hear() -> None:
            if heard is not None:
                heard()
            self._listener.hear(message)

        self._host.call_later(self._told_at - self._loop.now, hear)

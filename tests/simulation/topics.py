"""How one process writes to the state topic and to the dead letters.

In: memoirs and letters. Out: confirmations, after a while, in order; and memoirs read back when a partition is assigned.
"""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

from simulation.facts import Tenure
from simulation.faults import Faults
from simulation.kafka import Entry, StateLog
from simulation.loop import HostLoop, VirtualLoop
from simulation.situations import TAKEN_UP, Situations
from simulation.stories import Said

from relay.core import memoir
from relay.core.events import SessionKey
from relay.core.memoir import Memoir
from relay.core.reasons import Reason
from relay.kafka.dead_letters import DeadLetter

Found = Callable[[list[tuple[SessionKey, Memoir | None]]], None]
FAILING_AFTER_SECONDS: Final = 5.0


class Outbox:
    """Writes of one assignment: sent in order, confirmed in order, tried again until they are. They land even when it has ended."""

    def __init__(self, partition: int) -> None:
        """Begin with nothing on its way."""
        self.partition = partition
        self.sent: list[Entry] = []
        self.due = 0
        self.confirmed = 0
        self.waiting: list[tuple[int, Callable[[], None]]] = []
        self.is_busy = False

    @property
    def is_empty(self) -> bool:
        """Whether everything is confirmed."""
        return self.confirmed == self.due


class Memoirs:
    """The state topic's face for one process. What it has sent lands even when the process is gone, or not."""

    def __init__(  # noqa: PLR0913  # the parts, each by its name
        self, *, name: str, world_loop: VirtualLoop, host: HostLoop, random: Random, faults: Faults, log: StateLog, situations: Situations
    ) -> None:
        """Write under a name, so that each entry says who wrote it."""
        self._name, self._loop, self._host, self._random, self._faults, self._log = name, world_loop, host, random, faults, log
        self._situations = situations
        self._outboxes: dict[int, Outbox] = {}
        self._former: dict[int, Outbox] = {}  # of an earlier assignment, with something on its way
        self._restorations: dict[int, object] = {}
        self._confirmed_at = world_loop.now

    @property
    def is_failing(self) -> bool:
        """Whether nothing was confirmed for a while although something is due."""
        return self.pending_count > 0 and self._loop.now - self._confirmed_at > FAILING_AFTER_SECONDS

    @property
    def pending_count(self) -> int:
        """How many writes are not confirmed."""
        return sum(box.due - box.confirmed for box in (*self._outboxes.values(), *self._former.values()))

    def write(self, _topic: str, partition: int, key: SessionKey, value: bytes | None) -> None:
        """Write a memoir, or a tombstone."""
        if self.pending_count == 0:
            self._confirmed_at = self._loop.now
        box = self._outboxes.get(partition)
        if box is None:
            box = self._outboxes[partition] = Outbox(partition)
        box.sent.append(Entry(key, value, self._name))
        box.due += 1
        self._send(box)

    def after_written(self, _topic: str, partition: int, then: Callable[[], None]) -> None:
        """Call back once all that was written so far is confirmed."""
        box = self._outboxes.get(partition)
        if box is None or box.is_empty:
            self._host.call_soon(then)
        else:
            box.waiting.append((box.due, then))

    def let_go(self, _topic: str, partition: int) -> None:
        """Nobody who waits is called any more; what is under way still lands."""
        self._restorations.pop(partition, None)
        box = self._outboxes.pop(partition, None)
        if box is not None:
            box.waiting.clear()
            if not box.is_empty:
                self._former[partition] = box

    def restore(self, topic: str, partition: int, found: Found, done: Callable[[], None]) -> None:
        """Read the partition up to its end and hand over each session once, in chunks."""
        self.let_go(topic, partition)
        mine = self._restorations[partition] = object()
        entries: list[tuple[SessionKey, Memoir | None]] = []

        def begin() -> None:
            if self._restorations.get(partition) is not mine:
                return
            former = self._former.get(partition)
            if self._log.is_down or (former is not None and not former.is_empty):
                self._host.call_later(0.3, begin)
                return
            entries.extend(_count(self._log.entries[partition]))
            for _, taken_up in entries:
                self._notice(taken_up)
            hand_over()

        def hand_over() -> None:
            if self._restorations.get(partition) is not mine:
                return
            if entries:
                found([entries.pop(0) for _ in range(min(len(entries), self._random.randrange(1, 4)))])
                self._host.call_soon(hand_over)
            else:
                done()

        self._host.call_later(self._random.uniform(*self._faults.state_latency), begin)

    def abandon(self) -> None:
        """The process is gone: a beginning of what was under way still lands."""
        for box in (*self._former.values(), *self._outboxes.values()):
            landing = box.sent[: self._random.randrange(len(box.sent) + 1)]
            box.sent.clear()
            self._loop.call_later(self._random.uniform(0.0, 0.2), partial(self._store, box, landing))

    def _notice(self, taken_up: Memoir | None) -> None:
        if taken_up is None:
            return
        derived = taken_up.derived
        self._situations.sometimes(TAKEN_UP[taken_up.standing])
        for what, happens in (
            ("split", taken_up.split),
            ("untold", taken_up.untold),
            ("asides", taken_up.asides),
            ("silent", taken_up.silent),
            ("suspended", taken_up.suspended),
            ("break", taken_up.brk),
            ("derived", derived),
            ("derived_break", derived is not None and derived.ad),
        ):
            self._situations.sometimes(TAKEN_UP[what], happens=bool(happens))

    def _store(self, box: Outbox, entries: list[Entry]) -> None:
        for entry in entries:
            self._log.append(box.partition, entry)

    def _send(self, box: Outbox) -> None:
        if not box.is_busy and box.sent:
            box.is_busy = True
            self._loop.call_later(self._random.uniform(*self._faults.state_latency), lambda: self._land(box))

    def _land(self, box: Outbox) -> None:
        """The broker stores a batch; the confirmation comes a moment later."""
        if self._log.is_down:
            self._situations.sometimes("a memoir could not be written")
            self._loop.call_later(0.2, lambda: self._land(box))
            return
        landing, box.sent = box.sent, []
        self._store(box, landing)
        self._host.call_later(self._random.uniform(*self._faults.state_latency), lambda: self._confirm(box, len(landing)))

    def _confirm(self, box: Outbox, count: int) -> None:
        box.is_busy = False
        box.confirmed += count
        self._confirmed_at = self._loop.now
        ready = [then for number, then in box.waiting if number <= box.confirmed]
        box.waiting = [(number, then) for number, then in box.waiting if number > box.confirmed]
        for then in ready:
            then()
        self._send(box)


class Letters:
    """The dead letters' face for one process."""

    def __init__(  # noqa: PLR0913, PLR0917  # the parts
        self,
        world_loop: VirtualLoop,
        host: HostLoop,
        random: Random,
        faults: Faults,
        stored: Callable[[Said, Reason], None],
        situations: Situations,
    ) -> None:
        """`stored` hears of what the broker has stored."""
        self.is_down: Callable[[], bool] = lambda: False
        self.find: Callable[[DeadLetter], tuple[Said, Tenure]]
        self.pending: list[tuple[Said, Reason]] = []
        self._situations = situations
        self._loop, self._host, self._random, self._faults, self._store = world_loop, host, random, faults, stored

    @property
    def pending_bytes(self) -> int:
        """What is written and not yet confirmed."""
        return len(self.pending) * 1_000

    def put(self, letter: DeadLetter, stored: Callable[[], None]) -> None:
        """Write a letter; call back once it is confirmed."""
        said, tenure = self.find(letter)
        said.put_by.append(tenure)
        entry = (said, Reason(letter.reason))
        self.pending.append(entry)
        self._loop.call_later(self._random.uniform(*self._faults.letter_latency), lambda: self._land(entry, stored))

    def abandon(self) -> None:
        """The process is gone: some letters still land."""
        for entry in self.pending:
            if self._random.random() < 0.5:
                self._store(*entry)
        self.pending.clear()

    def _land(self, entry: tuple[Said, Reason], stored: Callable[[], None]) -> None:
        if not self._host.is_alive or entry not in self.pending:
            return
        if self.is_down():
            self._situations.sometimes("a dead letter could not be written")
            self._loop.call_later(0.3, lambda: self._land(entry, stored))
            return
        self.pending.remove(entry)
        self._store(*entry)
        self._host.call_later(self._random.uniform(*self._faults.letter_latency), stored)


def _count(entries: list[Entry]) -> list[tuple[SessionKey, Memoir | None]]:
    """The memoir that counts of each session: the highest place in the log wins, and a tombstone ends what came before it."""
    sessions: dict[SessionKey, Memoir] = {}
    for entry in entries:
        key = SessionKey(entry.key)
        if entry.value is None:
            sessions.pop(key, None)
            continue
        read = memoir.read(entry.value)
        former = sessions.get(key)
        if former is None or read.at >= former.at:
            sessions[key] = read
    return list(sessions.items())

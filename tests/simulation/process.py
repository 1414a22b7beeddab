"""One relay process of the world: the real pump, router and input, between simulated outsides.

In: seeds, limits, and the shared outside. Out: a process that can be stopped in an orderly way, killed or frozen. The order of its parts is
that of `app.py`.
"""

import re
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from simulation.api import Calls, Flight
from simulation.consumer import Consumer
from simulation.facts import Tenure, Violation
from simulation.kafka import TOPIC
from simulation.loop import HostLoop
from simulation.registry import Registry
from simulation.several import SeveralAtOnce
from simulation.situations import KILLED, OUTCOMES, TAKEN_UP, Situations
from simulation.stories import Said
from simulation.topics import Letters, Memoirs

from relay.api.collection import MediaCollection
from relay.core import receipts
from relay.core.assignment import Assignment
from relay.core.backoff import Backoff
from relay.core.commands import Change, OpenSession, SendEvent
from relay.core.events import EventType
from relay.core.inputs import Answered, Opened
from relay.core.lane import State
from relay.core.patience import Rules
from relay.core.policies import TooOld, UnknownOutcome, skipped_when_unknown, too_old_by_kind
from relay.core.pressure import CircuitState, Limits
from relay.core.reasons import Reason
from relay.core.router import Router
from relay.core.sequence import Order, Policy
from relay.core.silence import KeepAlive
from relay.core.starts import Starts
from relay.errors import FatalConsumerError
from relay.kafka.dead_letters import DeadLetter
from relay.kafka.source import CommitPoint, Committed, PartitionsAssigned, PartitionsLeaving, PartitionsLost, SourceMessage
from relay.observe.account import account
from relay.observe.metrics import Tallies
from relay.observe.witness import Witness
from relay.pump import Pump

if TYPE_CHECKING:
    from simulation.world import World

DRAIN_SECONDS_MAX: Final = 20.0
FRAME: Final = (EventType.SESSION_START, EventType.SESSION_COMPLETE, EventType.SESSION_END)


@dataclass(frozen=True)
class Settings:
    """What the operator of a world has chosen."""

    receipt_seconds: float
    leaving_seconds_max: float
    limits: Limits
    rules: Rules
    order: Order = Order()  # noqa: RUF009  # frozen

    @classmethod
    def draw(cls, random: Random) -> "Settings":
        """Mostly the defaults, sometimes something small."""
        small = random.random() < 0.3
        decides = random.random() < 0.3  # about single events
        has_few_lanes = random.random() < 0.05  # only what is forgotten makes room then, so it is forgotten soon
        return cls(
            receipt_seconds=random.choice((0.2, 0.2, 1.0)),
            leaving_seconds_max=random.choice((10.0, 2.0)),
            limits=Limits(
                concurrency_max=random.choice((1, 3, 512)),
                is_concurrency_adaptive=random.random() < 0.7,
                requests_per_second_max=random.choice((None, None, None, 20.0)),
                retry_after_seconds_max=15.0,
                buffer_events_max=random.choice((3, 20)) if small else 100_000,
                session_events_max=random.choice((2, 10)) if small else 1_000,
                lanes_max=random.choice((2, 5)) if has_few_lanes else 500_000,
                reopenings_per_second_max=random.choice((0.5, 50.0)),
                shed_pings_after_seconds=random.choice((1.0, 3.0)) if decides else None,
            ),
            rules=Rules(
                backoff=Backoff(0.5, random.choice((2.0, 30.0)), 15.0),
                age_seconds_max=random.choice((3.0, 30.0)) if random.random() < (0.5 if decides else 0.1) else 82_800.0,
                too_old=_draw_too_old(random) if decides else {},
                skipped_when_unknown=_draw_skipped(random) if decides else frozenset(),
                idle_seconds_max=random.choice((5.0, 30.0)) if has_few_lanes or random.random() < 0.1 else 1_800.0,
                keep_alive=_draw_keep_alive(random) if random.random() < 0.3 else None,
                park_after_seconds=random.choice((1.0, 5.0, 30.0)),
            ),
        )


def draw_order(random: Random) -> Order:
    """What is looked at on the way in. Players of a world speak in order, so nothing of it may show."""
    return Order(random.choice(list(Policy)), window_seconds=random.choice((0.1, 2.0)), window_events=random.choice((2, 32)))


def _draw_too_old(random: Random) -> dict[EventType, TooOld]:
    """Some kinds are not sent when they are old; what frames a session is never dropped."""
    given = {kind: str(random.choice(list(TooOld))) for kind in EventType if random.random() < 0.5}
    return too_old_by_kind(given | {kind: "set_aside" for kind in FRAME if given.get(kind) == "drop"})


def _draw_keep_alive(random: Random) -> KeepAlive:
    """An API with little patience."""
    return KeepAlive(random.choice((1.0, 3.0)), random.choice((6.0, 20.0)), random.choice((15.0, 86_340.0)), 0.7)


def _draw_skipped(random: Random) -> frozenset[EventType]:
    """Some kinds do not go again when their answer was lost; an opening always does."""
    given = {kind: str(random.choice(list(UnknownOutcome))) for kind in EventType if kind is not EventType.SESSION_START}
    return skipped_when_unknown(given)


class Noticing(Tallies):
    """The metrics of a process, some of which say that something has happened."""

    def __init__(self, situations: Situations) -> None:
        """Begin at nothing."""
        super().__init__()
        self._situations = situations

    def event(self, outcome: str, reason: str) -> None:
        """An event is finished without a delivery."""
        super().event(outcome, reason)
        if outcome in {"unknown", "dropped"}:
            self._situations.sometimes(OUTCOMES["unknown" if outcome == "unknown" else reason])

    def change(self, change: Change, detail: str) -> None:
        """Something became of a session."""
        super().change(change, detail)
        if change in (Change.PINGED, Change.SUSPENDED):
            self._situations.sometimes(OUTCOMES["kept alive" if change is Change.PINGED else "ended for"])


class Process:
    """A relay."""

    def __init__(self, world: "World", name: str) -> None:
        """Start it."""
        settings = world.settings
        self.name = name
        self.host = HostLoop(world.loop)
        self.thread = HostLoop(world.loop)  # the consumer's
        self.tenures: dict[Assignment, Tenure] = {}
        self.is_stopping = False
        self.was_frozen = False
        self.tallies = Noticing(world.situations)
        self._is_draining = False
        self._is_hurried = False
        self._world = world
        dialect = MediaCollection()
        self.router = Router(
            limits=settings.limits,
            rules=settings.rules,
            starts=Starts(required=dialect.required_start_params),
            order=settings.order,
        )
        self.memoirs = Memoirs(
            name=name,
            world_loop=world.loop,
            host=self.host,
            random=world.random,
            faults=world.faults,
            log=world.state,
            situations=world.situations,
        )
        self.letters = Letters(world.loop, self.host, world.random, world.faults, self._stored, world.situations)
        self.letters.find = self._find
        self.letters.is_down = lambda: world.are_letters_down
        self.calls = Calls(
            api=world.api, world_loop=world.loop, host=self.host, random=world.random, checks=world.account, flight_of=self._flight_of
        )
        self.consumer = Consumer(
            name=name,
            group=world.group,
            topic=world.topic,
            world_loop=world.loop,
            host=self.host,
            thread=self.thread,
            random=world.random,
            faults=world.faults,
            listener=self,
            situations=world.situations,
            reply_seconds_max=max(settings.leaving_seconds_max, DRAIN_SECONDS_MAX),
        )
        registry = Registry(self.host, world.random, world.faults, lambda: world.is_registry_down, world.situations)
        self.witness = Witness(lines_max=3, clock=world.loop.clock)  # so few that lines come and go
        self.pump = Pump(
            router=self.router,
            reader=SeveralAtOnce(registry),
            calls=self.calls,
            letters=self.letters,
            memoirs=self.memoirs,
            source=self.consumer,
            tallies=self.tallies,
            loop=self.host,
            failed=self._failed,
            receipt_seconds=settings.receipt_seconds,
            leaving_seconds_max=settings.leaving_seconds_max,
            idle_seconds_max=settings.rules.idle_seconds_max,
            witness=self.witness,
            random=world.random,
            clock=world.loop.clock,
            wall_clock=world.loop.wall_clock,
        )
        self._answered = self.witness.answering(self.pump.put)
        registry.tell(self.pump.read_on)
        self.calls.report = self._report
        self.pump.begin()

    # --- its life ---------------------------------------------------------------------------------------------------------------------

    def terminate(self) -> None:
        """SIGTERM: drain, reply to the revoke of everything, leave, exit."""
        sometimes = self._world.account.sometimes
        sometimes("SIGTERM with a call under way", happens=bool(self.calls.flights))
        sometimes("SIGTERM before the group was joined", happens=not self.pump.has_joined)
        sometimes("SIGTERM in an outage", happens=self.router.sending.state is CircuitState.PROBING)
        self.is_stopping = True
        self.router.drain()
        self._is_draining = True
        self.pump.leaving_seconds_max = DRAIN_SECONDS_MAX
        self.consumer.close(lambda: self._exit("exited"))

    def hurry(self, seconds: float) -> None:
        """SIGTERM, and another one soon after."""
        self.terminate()
        self._is_hurried = True
        self.host.call_later(seconds, self._hurry)

    def _hurry(self) -> None:
        self._world.account.sometimes("a second SIGTERM with a call under way", happens=bool(self.calls.flights))
        self.pump.hurry()

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after a while."""
        self.hang(seconds)
        self.thread.freeze()
        self.consumer.missing(seconds)
        self._world.loop.call_later(seconds, self.thread.thaw)

    def hang(self, seconds: float) -> None:
        """The loop stands still, and the thread of the consumer goes on: the group notices nothing."""
        self.was_frozen = True
        for tenure in self.tenures.values():
            tenure.stood_still = True
        self.host.freeze()
        self._world.loop.call_later(seconds, self._thaw)

    def _thaw(self) -> None:
        owners = self._world.group.owners
        is_elsewhere = any(
            owners[one.partition] not in (None, self.consumer) for one in self.tenures.values() if not one.ended and self.host.is_alive
        )
        self._world.account.sometimes("a relay stood still, and others had its partitions when it woke", happens=is_elsewhere)
        self.host.thaw()

    def passed(self, step: str) -> None:
        """The process comes to a step at which a trap may spring."""
        self._world.passed(step, self)

    @property
    def is_quiet(self) -> bool:
        """Nothing is under way."""
        is_outside_quiet = not (self.calls.flights or self.router.in_flight or self.letters.pending or self.memoirs.pending_count)
        return is_outside_quiet and not self.host.is_frozen and self.consumer.is_quiet

    def check_rest(self) -> None:
        """When everything is quiet, all that was counted has come back to nothing."""
        router, buffer = self.router, self.router.buffer
        counts = (
            router.in_flight,
            self.pump.unfinished_count,
            buffer.event_count,
            buffer.byte_count,
            buffer.crowded_lanes,
            router.orphan_count,
            router.order_violations,
            self.pump.backlog.record_count,
            self.pump.backlog.byte_count,
        )
        if any(counts):
            raise Violation(f"{self.name} is at rest, and has not come back to nothing: {counts}")
        self._check_account()
        lanes = list(router.lanes())
        counted = (buffer.lane_count, router.sessions_open)
        if counted != (len(lanes), sum(lane.session_id is not None for lane in lanes)):
            raise Violation(f"{self.name} has miscounted its lanes and sessions: {counted}")

    def _check_account(self) -> None:
        """What was read is what became of it, to the last record."""
        figures = account(self.tallies, not_committed=self.pump.unfinished_count + self.pump.left_count, extra=self.router.extra_outcomes)
        if figures["unaccounted"]:
            raise Violation(f"{self.name} has lost count: {figures}")

    def crash(self) -> None:
        """SIGKILL: everything in memory is gone; the group hears of it when its patience ends."""
        self.is_stopping = True
        self._notice_what_is_killed()
        self._world.loop.call_later(6.0, self.consumer.exclude)
        self._exit("crashed")

    def _notice_what_is_killed(self) -> None:
        lanes = list(self.router.lanes())
        held = [assignment.ledger for assignment in self.router.assignments.values()]
        sessions = [session for those in self._world.account.sessions.values() for session in those if session.tenure.process == self.name]
        killed = {
            "a call": self.calls.flights,
            "memoirs": self.memoirs.pending_count,
            "letters": self.letters.pending,
            "telling": any(flight.kind == "told" for flight in self.calls.flights),
            "opened": any(session.was_answered and session.durable_at is None for session in sessions),
            "leaving": any(tenure.leaving_since and not tenure.ended for tenure in self.tenures.values()),
            "waiting": self.router.buffer.event_count,
            "backlog": self.pump.backlog.record_count,
            "parts": any(lane.split is not None and lane.split.done for lane in lanes),
            "silent": any(lane.silence is not None for lane in lanes),
            "held_up": any(ledger.safe is not None and receipts.read(receipts.write(ledger), ledger.safe) for ledger in held),
        }
        for what, was_under_way in killed.items():
            self._world.account.sometimes(KILLED[what], happens=bool(was_under_way))

    def _failed(self, error: BaseException) -> None:
        if not isinstance(error, FatalConsumerError):
            raise error
        self._world.account.sometimes("fenced by another member of its name")
        self.is_stopping = True
        self.host.call_soon(lambda: self._exit("fenced"))

    def _exit(self, how: str) -> None:
        if not self.host.is_alive:
            return
        if how == "exited":
            self._check_account()
        self.host.die()
        self.thread.die()
        for tenure in self.tenures.values():
            if not tenure.ended:
                self._world.account.ended(tenure, how, self._in_flight(tenure))
        self._world.account.gone(self.calls.flights)
        self.memoirs.abandon()
        self.letters.abandon()
        self._world.exited(self, how)

    # --- what its source says ---------------------------------------------------------------------------------------------------------

    def hear(self, message: SourceMessage) -> None:
        """A message reaches the loop of the process."""
        world = self._world
        world.trace("%s hears %s", self.name, message)
        if isinstance(message, PartitionsLost):
            world.account.sometimes("partitions lost, and the relay went on", happens=not self.is_stopping)
            self._lose([partition for _, partition in message.partitions])
        elif isinstance(message, PartitionsLeaving):
            world.account.sometimes("several partitions taken in one revoke", happens=len(message.partitions) > 1)
            for tenure in self._current([partition for _, partition in message.partitions]):
                tenure.leaving_since = world.loop.now
        self.pump.deliver(message)
        if isinstance(message, PartitionsAssigned):
            for position in message.partitions:
                self._notice_what_comes(position.partition)
                offset = position.offset or 0
                assignment = self.router.assignments[TOPIC, position.partition]
                ranges = receipts.read(position.metadata, offset)
                world.account.sometimes(TAKEN_UP["receipt"], happens=bool(ranges))
                self.tenures[assignment] = Tenure(self.name, position.partition, offset, ranges, world.loop.now)
                world.account.tenure_counts[position.partition] += 1
            self.passed("assigned")
        elif isinstance(message, PartitionsLeaving):
            self.passed("leaving")
        elif isinstance(message, Committed):
            self.passed("commit")

    def _notice_what_comes(self, partition: int) -> None:
        account = self._world.account
        has_call = any(flight.tenure.partition == partition for flight in self.calls.flights)
        account.sometimes("a partition given back with its call under way", happens=has_call)
        former = {
            tenure.process for process in self._world.processes for tenure in process.tenures.values() if tenure.partition == partition
        }
        has_open = any(
            not (session.is_gone or session.has_ended) and session.head.partition == partition
            for those in account.sessions.values()
            for session in those[-1:]
        )
        account.sometimes(
            "a partition moved from one relay to another with a session open", happens=has_open and bool(former - {self.name})
        )

    def replied(self, partitions: list[int], points: list[CommitPoint] | None) -> None:
        """Remember how many calls were under way when the partitions were let go."""
        self._world.trace("%s replies %s for %s", self.name, points, partitions)
        self.passed("replied")
        for tenure in self._current(partitions):
            tenure.in_flight_at_end = self._in_flight(tenure)
            waited = self._world.loop.now - tenure.leaving_since
            tenure.was_hurried = self._is_hurried or waited >= self.pump.leaving_seconds_max
            if points is None:
                tenure.ended = "silent"
                if not self.was_frozen:
                    raise Violation(f"{self.name} says nothing when {tenure} leaves")

    def let_go(self, partitions: list[int], cause: str) -> None:
        """The consumer no longer holds these."""
        for tenure in self._current(partitions):
            self._world.account.sometimes("a commit refused as its partition left", happens=cause == "unstored")
            if cause == "left" and (tenure.ended or self._world.is_state_troubled):
                cause = "unstored"  # the farewell was not written in time, and the pump rightly said nothing
            self._world.account.ended(tenure, cause, tenure.in_flight_at_end)

    def _report(self, answered: Answered) -> None:
        if isinstance(answered.verdict, Opened):
            self.passed("opened")
        self._answered(answered)

    def _lose(self, partitions: list[int]) -> None:
        for tenure in self._current(partitions):
            tenure.is_excluded = True

    def excluded(self) -> None:
        """The group has given away what this process held."""
        for tenure in self.tenures.values():
            if not tenure.ended:
                tenure.is_excluded = True

    def _current(self, partitions: list[int]) -> list[Tenure]:
        return [tenure for tenure in self.tenures.values() if tenure.partition in partitions and not tenure.ended_at]

    def _in_flight(self, tenure: Tenure) -> int:
        return sum(flight.tenure is tenure for flight in self.calls.flights)

    # --- who is meant -----------------------------------------------------------------------------------------------------------------

    def _flight_of(self, command: OpenSession | SendEvent) -> Flight:
        lane = command.lane
        if lane.state in (State.PINGING, State.SUSPENDING):
            return self._own_flight_of(command)
        event = lane.waiting[0]
        assert event.record is not None
        self._world.account.check_track(lane.key)
        head = self._world.topic.saids[lane.assignment.partition][event.record.offset][event.part.number - 1 if event.part else 0]
        if isinstance(command, OpenSession):
            kind = "open"
        elif command.event.record is not None:
            kind = "event"
        else:
            kind = "end" if command.event.event_type == "sessionEnd" else "told"
        if kind == "told":
            self.passed("telling")
        if self._is_draining:
            raise Violation(f"{self.name} calls for {head} after SIGTERM")
        flight = Flight(kind, lane.key, head, self.tenures[lane.assignment], command, self._world.loop.now)
        self._world.trace("%s calls: %s %s", self.name, kind, head)
        return flight

    def _own_flight_of(self, command: OpenSession | SendEvent) -> Flight:
        """A call for a silent player belongs to the last event that has left the head of its lane."""
        lane = command.lane
        self._world.account.check_track(lane.key)
        player = self._world.account.players[lane.key]
        head = next((said for said in reversed(player) if -1 < said.offset <= lane.last_offset), player[0])
        kind = "ping" if lane.state is State.PINGING else "rest"
        self.passed("speaking")
        tenure = self.tenures[lane.assignment]
        if self._is_draining:
            raise Violation(f"{self.name} speaks for {head} after SIGTERM")
        if not (tenure.is_excluded or self.was_frozen or self.consumer.is_cut_off):
            self._world.account.check_silence(head)
        self._world.trace("%s calls: %s after %s", self.name, kind, head)
        return Flight(kind, lane.key, head, tenure, command, self._world.loop.now)

    def _find(self, letter: DeadLetter) -> tuple[Said, Tenure]:
        self.passed("letter")
        if letter.session is not None and letter.session in self._world.account.players:
            self._world.account.check_track(letter.session)
        tenure = self.tenures[self.router.assignments[TOPIC, letter.partition]]
        parts = self._world.topic.saids[letter.partition][letter.record.offset]
        named = re.match(r"part (\d+) of", letter.detail)
        before = next((part for part in parts if part.put_by), parts[0])
        said = parts[int(named[1]) - 1] if named else before  # written again after a restart, it names none
        self._world.account.put_aside(said, Reason(letter.reason))
        return said, tenure

    def _stored(self, said: Said, reason: Reason) -> None:
        self._world.trace("dead letter of %s: %s", said, reason)
        self._world.account.stored(said, reason)

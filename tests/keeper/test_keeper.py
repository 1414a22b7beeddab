"""The order is the promise: memoirs, then the commit, then tombstones; and nothing for partitions that are gone."""

from collections.abc import Callable
from typing import Any

import pytest

from relay.core.assignment import Assignment
from relay.core.events import ApiSessionId, Details, EventType, Part, PlayerEvent, Record, SessionKey
from relay.core.inputs import Accepted, Answered, Arrived, ArrivedInParts, Assigned, Opened
from relay.core.lane import Lane
from relay.core.memoir import Memoir, read
from relay.core.patience import Rules
from relay.core.pressure import Limits
from relay.core.router import Router
from relay.core.starts import Starts
from relay.kafka.source import CommitFailed, CommitPoint, Committed
from relay.keeper import FAREWELL_SECONDS_MAX, Keeper
from relay.observe.metrics import Tallies

E = EventType
KEY = SessionKey("a")


class Timer:
    """Something that is due, unless it is called off."""

    def __init__(self, seconds: float, callback: Callable[[], None]) -> None:
        """Wait."""
        self.seconds = seconds
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Call it off."""
        self.callback = None


class Stage:
    """A keeper, with a source, a state topic and a loop that do what a test says; `told` is all that they were told, in order."""

    def __init__(self) -> None:
        """Begin with one partition and an open session in it."""
        self.told: list[Any] = []
        self.timers: list[Timer] = []
        self.soon: list[Callable[[], None]] = []
        self.unwritten: list[Callable[[], None]] = []
        self.is_failing = False
        self.router = Router(limits=Limits(), rules=Rules(), starts=Starts(required=frozenset()))
        self.tallies = Tallies()
        self.keeper = Keeper(router=self.router, memoirs=self, source=self, tallies=self.tallies, loop=self, clock=lambda: 0.0)
        self.assignment = self.assign()
        self.count = 0

    # --- the outside, as the keeper sees it -----------------------------------------------------------------------------------------

    def call_soon(self, callback: Callable[[], None]) -> None:
        """In the next pass."""
        self.soon.append(callback)

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Set a timer."""
        self.timers.append(Timer(delay, callback))
        return self.timers[-1]

    def commit(self, points: list[CommitPoint]) -> None:
        """A commit is asked for."""
        self.told.append(points)

    def write(self, _topic: str, _partition: int, key: SessionKey, memoir: bytes | None) -> None:
        """A memoir is written, or a tombstone."""
        self.told.append((key, None if memoir is None else read(memoir)))

    def after_written(self, _topic: str, _partition: int, then: Callable[[], None]) -> None:
        """Somebody waits until it is confirmed."""
        self.unwritten.append(then)

    def let_go(self, _topic: str, partition: int) -> None:
        """What waits is not written any more."""
        self.told.append(f"let go {partition}")

    def pause(self) -> None:
        """Of no interest here, like the next ones."""

    resume = taken = release = restore = pause

    # --- what happens -----------------------------------------------------------------------------------------------------------------

    def assign(self) -> Assignment:
        """The partition becomes ours."""
        assignment = Assignment("events", 0)
        self.router.handle(Assigned(assignment), 0.0)
        return assignment

    def deliver(self, kind: EventType, *, is_answered: bool = True) -> Lane:
        """An event comes in, and the API takes it."""
        event = PlayerEvent(kind, float(self.count), self.count, start=Details(b"{}"), record=Record(self.count, value=b"x"))
        self.count += 1
        self.router.handle(Arrived(self.assignment, KEY, event), 0.0)
        (call,) = self.router.turns(0.0)
        if is_answered:
            verdict = Opened(ApiSessionId("api")) if kind is E.SESSION_START else Accepted()
            self.router.handle(Answered(call.lane, verdict), 0.0)
        return call.lane

    def confirm_memoirs(self) -> None:
        """Kafka has them."""
        unwritten, self.unwritten = self.unwritten, []
        for then in unwritten:
            then()

    def pass_(self) -> None:
        """The loop turns once."""
        soon, self.soon = self.soon, []
        for callback in soon:
            callback()

    def commits(self) -> list[int]:
        """The offsets of all commits that were asked for."""
        return [point.offset for told in self.told if isinstance(told, list) for point in told]

    def memoirs(self) -> list[Memoir | None]:
        """All memoirs, and None for each tombstone."""
        return [told[1] for told in self.told if isinstance(told, tuple)]

    def receipt(self) -> list[CommitPoint]:
        """A receipt is due, its memoirs are confirmed, and its commit is asked for."""
        self.keeper.write_receipts()
        self.confirm_memoirs()
        self.pass_()
        last = self.told[-1]
        assert isinstance(last, list)
        return last


@pytest.fixture
def stage() -> Stage:
    """A stage with one open session of two events."""
    stage = Stage()
    stage.deliver(E.SESSION_START)
    stage.deliver(E.PLAY)
    return stage


def test_a_commit_waits_for_the_memoirs_that_it_rests_on(stage: Stage) -> None:
    """What a receipt calls finished is never ahead of what the state topic knows of the session."""
    stage.keeper.write_receipts()
    stage.pass_()
    (memoir,) = stage.memoirs()
    assert memoir is not None
    assert (memoir.done, memoir.playing) == (1, "play")
    assert stage.commits() == []
    stage.confirm_memoirs()
    stage.pass_()
    assert stage.commits() == [2]


def test_a_tombstone_waits_for_the_commit_of_the_end(stage: Stage) -> None:
    """Until then the memoir says that the session is over: a crash in between must not make it an unknown one."""
    stage.deliver(E.SESSION_END)
    points = stage.receipt()
    (memoir,) = stage.memoirs()
    assert memoir is not None
    assert memoir.standing == "ended"
    stage.keeper.commit_ended(Committed(points))
    assert stage.memoirs()[1:] == [None]


def test_a_failed_commit_leaves_no_tombstone(stage: Stage) -> None:
    """The next receipt says the same once more, and the tombstone follows that."""
    stage.deliver(E.SESSION_END)
    stage.keeper.commit_failed(CommitFailed(stage.receipt(), "no"))
    assert None not in stage.memoirs()
    points = stage.receipt()
    assert None not in stage.memoirs()
    stage.keeper.commit_ended(Committed(points))
    assert stage.memoirs()[-1] is None


def test_a_session_whose_last_record_says_more_gets_no_tombstone(stage: Stage) -> None:
    """Its end is one part of a record, and a restart must know that this part has left."""
    record = Record(stage.count, value=b"x")
    kinds = (E.SESSION_END, E.SESSION_START)
    events = tuple(PlayerEvent(kind, 1.0, 1, record=record, part=Part(number, 2)) for number, kind in enumerate(kinds, start=1))
    stage.router.handle(ArrivedInParts(stage.assignment, KEY, events), 0.0)
    (call,) = stage.router.turns(0.0)
    stage.router.handle(Answered(call.lane, Accepted()), 0.0)
    points = stage.receipt()
    stage.keeper.commit_ended(Committed(points))
    memoir = stage.memoirs()[-1]
    assert memoir is not None
    assert memoir.split == (record.offset, 1, 0)


def test_a_session_that_began_again_gets_no_tombstone(stage: Stage) -> None:
    """Its end is committed while its next start is under way or done: what there is to say of it is newer."""
    stage.deliver(E.SESSION_END)
    points = stage.receipt()
    stage.deliver(E.SESSION_START)
    stage.keeper.commit_ended(Committed(points))
    assert None not in stage.memoirs()


def test_nothing_new_is_committed_twice(stage: Stage) -> None:
    """A commit that Kafka has is not asked for again while nothing changes, and only one is under way for a partition."""
    stage.keeper.write_receipts()
    stage.keeper.write_receipts()
    stage.confirm_memoirs()
    stage.pass_()
    assert stage.commits() == [2]
    stage.keeper.commit_ended(Committed(stage.told[-1]))
    stage.keeper.write_receipts()
    stage.pass_()
    assert stage.commits() == [2]


def test_a_commit_that_is_due_dies_with_its_partition(stage: Stage) -> None:
    """Lost, and ours anew, before the loop has turned: the old account is not committed in the name of the new assignment."""
    stage.keeper.write_receipts()
    stage.confirm_memoirs()
    stage.keeper.lose([stage.assignment])
    stage.assign()
    stage.pass_()
    assert stage.commits() == []


def test_memoirs_confirmed_after_a_loss_commit_nothing(stage: Stage) -> None:
    """Nor does what Kafka confirms late."""
    stage.keeper.write_receipts()
    stage.keeper.lose([stage.assignment])
    stage.confirm_memoirs()
    stage.pass_()
    assert stage.commits() == []
    assert stage.told[-1] == "let go 0"


def test_a_farewell_waits_for_calls_under_way(stage: Stage) -> None:
    """Then it writes the memoirs, and only then says what may be committed."""
    lane = stage.deliver(E.PING, is_answered=False)
    replies: list[list[CommitPoint]] = []
    stage.keeper.begin_departure([stage.assignment], replies.append, 10.0)
    stage.keeper.depart_if_quiet()
    assert stage.memoirs() == []
    stage.router.handle(Answered(lane, Accepted()), 0.0)
    stage.keeper.depart_if_quiet()
    (memoir,) = stage.memoirs()
    assert memoir is not None
    assert (memoir.done, memoir.playhead, memoir.playing) == (2, 2.0, "play")
    assert replies == []
    assert sum(stage.tallies.revoke_seconds.counts) == 0
    stage.confirm_memoirs()
    assert [[point.offset for point in points] for points in replies] == [[3]]
    assert sum(stage.tallies.revoke_seconds.counts) == 1


def test_a_farewell_waits_no_longer_than_its_bound(stage: Stage) -> None:
    """A call that hangs is left behind: its event is not committed, and its answer counts no more."""
    lane = stage.deliver(E.PING, is_answered=False)
    replies: list[list[CommitPoint]] = []
    stage.keeper.begin_departure([stage.assignment], replies.append, 10.0)
    (timer,) = stage.timers
    assert timer.seconds == 10.0
    assert timer.callback is not None
    timer.callback()
    stage.confirm_memoirs()
    assert [[point.offset for point in points] for points in replies] == [[2]]
    stage.router.handle(Answered(lane, Accepted()), 0.0)
    assert stage.assignment.ledger.safe == 2


def test_without_its_memoirs_a_farewell_commits_nothing(stage: Stage) -> None:
    """The next owner repeats what was delivered since the last receipt, rather than to know too little of the session."""
    replies: list[list[CommitPoint]] = []
    stage.keeper.begin_departure([stage.assignment], replies.append, 10.0)
    stage.keeper.depart_if_quiet()
    timer = stage.timers[-1]
    assert timer.seconds == FAREWELL_SECONDS_MAX
    assert timer.callback is not None
    timer.callback()
    assert replies == [[]]
    stage.confirm_memoirs()
    assert replies == [[]]


def test_a_farewell_writes_no_tombstone(stage: Stage) -> None:
    """The commit may fail yet, and then the end comes again."""
    stage.deliver(E.SESSION_END)
    stage.keeper.begin_departure([stage.assignment], lambda _: None, 10.0)
    stage.keeper.depart_if_quiet()
    stage.confirm_memoirs()
    assert [memoir.standing for memoir in stage.memoirs() if memoir is not None] == ["ended"]
    assert None not in stage.memoirs()

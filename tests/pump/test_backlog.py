"""Records that nobody can read yet hold up their own partition, in order, and nothing else."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from relay import backlog
from relay.core.assignment import Assignment, Stage
from relay.core.events import Record
from relay.core.inputs import Arrived, Assigned, Input
from relay.core.pressure import Limits
from relay.core.router import Router, Rules
from relay.core.starts import Starts
from relay.input.decoding import Awaited, PlainJson
from relay.input.native import NativeInput
from relay.kafka.source import Fetched, PartitionsLeaving, PartitionsLost
from relay.observe.metrics import Tallies
from relay.pump import Pump

PING = b'{"eventType": "ping", "playerTime": {"playhead": 1.5, "ts": 17}}'


class Schemas(PlainJson):
    """Values that begin with a blank are written in a schema that nobody knows, until it comes."""

    is_known = False

    def json(self, record: Record) -> bytes:
        """The value, if it can be read."""
        if not self.is_known and (record.value or b"").startswith(b" "):
            raise Awaited
        return super().json(record)


class Watched(Router):
    """A router that tells what has arrived."""

    def __init__(self) -> None:
        """Nothing has."""
        super().__init__(limits=Limits(), rules=Rules(), starts=Starts(required=frozenset()))
        self.arrived: list[tuple[int, int]] = []

    def handle(self, happened: Input, now: float) -> list[Any]:
        """Take it in."""
        if isinstance(happened, Arrived):
            assert happened.event.record is not None
            self.arrived.append((happened.assignment.partition, happened.event.record.offset))
        return super().handle(happened, now)


class Rig:
    """A pump with two partitions, and a decoder that lacks a schema."""

    def __init__(self) -> None:
        """Assign them."""
        self.router = Watched()
        self.schemas = Schemas()
        self.soon: list[Callable[[], None]] = []
        self.flow: list[str] = []
        self.replied: list[Any] = []
        outside: Any = SimpleNamespace(
            start=lambda _command: None,
            pending_bytes=0,
            is_failing=False,
            pause=lambda: self.flow.append("pause"),
            resume=lambda: self.flow.append("resume"),
            taken=lambda: None,
            let_go=lambda _topic, _partition: None,
            after_written=lambda _topic, _partition, then: then(),
            write=lambda *_: None,
        )
        loop: Any = SimpleNamespace(call_soon=self.soon.append, call_later=lambda _delay, _callback: SimpleNamespace(cancel=lambda: None))
        self.pump = Pump(
            router=self.router,
            reader=NativeInput(decoder=self.schemas),
            calls=outside,
            letters=outside,
            memoirs=outside,
            source=outside,
            tallies=Tallies(),
            loop=loop,
            failed=lambda bug: pytest.fail(repr(bug)),
            clock=lambda: 1_000.0,
        )
        self.assignments = [Assignment("t", partition) for partition in (0, 1)]
        for assignment in self.assignments:
            self.router.handle(Assigned(assignment), 1_000.0)

    def fetch(self, partition: int, *records: Record) -> None:
        """Records come, and a pass follows."""
        self.pump.deliver(Fetched([("t", partition, list(records))]))
        self.pass_on()

    def pass_on(self) -> None:
        """Let the loop turn."""
        while self.soon:
            self.soon.pop(0)()

    def learn(self) -> None:
        """The schema has come."""
        self.schemas.is_known = True
        self.pump.read_on()
        self.pass_on()


@pytest.fixture
def rig() -> Rig:
    """Two partitions."""
    return Rig()


def ping(offset: int, *, is_unknown: bool = False) -> Record:
    """A ping of its own session."""
    return Record(offset, key=b"player", value=(b" " if is_unknown else b"") + PING, appended_at=990.0 + offset)


def test_a_record_that_cannot_be_read_yet_holds_up_its_partition_only(rig: Rig) -> None:
    """What comes behind it waits, also in later batches; the other partition goes on; then all arrives in the order of the log."""
    rig.fetch(0, ping(0), ping(1, is_unknown=True), ping(2))
    rig.fetch(0, ping(3))
    rig.fetch(1, ping(0))
    assert rig.router.arrived == [(0, 0), (1, 0)]
    assert (rig.pump.backlog.record_count, rig.pump.backlog.oldest_appended_at()) == (3, [991.0])
    rig.learn()
    assert rig.router.arrived == [(0, 0), (1, 0), (0, 1), (0, 2), (0, 3)]
    assert (rig.pump.backlog.record_count, rig.pump.backlog.byte_count) == (0, 0)


def test_nothing_beyond_it_is_safe_to_commit(rig: Rig) -> None:
    """It is not in the account yet, so the account ends before it."""
    rig.fetch(0, ping(7, is_unknown=True), ping(8))
    assert rig.assignments[0].ledger.safe is None
    rig.schemas.is_known = True
    rig.fetch(1, ping(3), ping(4))
    assert rig.assignments[1].ledger.end == 5


def test_news_that_do_not_help_change_nothing(rig: Rig) -> None:
    """The schema of another partition has come: this one waits on."""
    rig.fetch(0, ping(0, is_unknown=True), ping(1))
    rig.pump.read_on()
    rig.pass_on()
    assert rig.router.arrived == []
    assert rig.pump.backlog.record_count == 2
    rig.learn()
    assert rig.router.arrived == [(0, 0), (0, 1)]


def test_when_too_much_waits_the_source_pauses(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is dropped, and it goes on when there is news."""
    monkeypatch.setattr(backlog, "RECORDS_MAX", 3)
    rig.fetch(0, ping(0, is_unknown=True), ping(1))
    assert rig.flow == []
    rig.fetch(0, ping(2))
    assert rig.flow == ["pause"]
    rig.learn()
    assert rig.flow == ["pause", "resume"]
    assert rig.router.arrived == [(0, 0), (0, 1), (0, 2)]


def test_many_bytes_are_too_much_as_well(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few records may be large."""
    monkeypatch.setattr(backlog, "BYTES_MAX", 100)
    rig.fetch(0, ping(0, is_unknown=True), ping(1))
    assert rig.flow == ["pause"]


def test_what_waits_leaves_with_its_partition(rig: Rig) -> None:
    """The next owner reads it: nothing of it arrives here any more, and nothing is committed for it."""
    rig.fetch(0, ping(0, is_unknown=True))
    rig.pump.deliver(PartitionsLeaving([("t", 0)], rig.replied.append))
    rig.pass_on()
    assert rig.pump.backlog.record_count == 0
    rig.learn()
    assert rig.router.arrived == []
    assert rig.replied == [[]]


def test_what_waits_is_lost_with_its_partition(rig: Rig) -> None:
    """A partition that was lost is somebody else's, and the others keep what waits for them."""
    rig.fetch(0, ping(0, is_unknown=True))
    rig.fetch(1, ping(0, is_unknown=True))
    rig.pump.deliver(PartitionsLost([("t", 0)]))
    assert rig.pump.backlog.record_count == 1
    rig.learn()
    assert rig.router.arrived == [(1, 0)]


def test_what_was_read_before_is_not_read_again() -> None:
    """Keys, events and places of an assignment that is gone are dropped, whoever asks for them."""
    waiting = backlog.Backlog()
    gone, ours = Assignment("t", 0), Assignment("t", 0)
    waiting.add(gone, [Record(0, value=b"ab")])
    waiting.add(ours, [Record(0, value=b"c", key=b"d")])
    gone.stage = Stage.GONE
    waiting.drop_foreign()
    assert (waiting.record_count, waiting.byte_count) == (1, 2)
    assert [records for _, records in waiting.take_all()] == [[Record(0, value=b"c", key=b"d")]]

"""Schemas are fetched off the loop, kept, and never given up for a moment's failure."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from relay.core.reasons import Reason
from relay.input import schemas as module
from relay.input.avro import UnusableSchema
from relay.input.decoding import Awaited, Unreadable
from relay.input.framing import SchemaId
from relay.input.registry import NoSuchSchema, NotNow, Schema
from relay.input.schemas import BELIEVED_AFTER_SECONDS, LOOK_AGAIN_SECONDS, WAIT_SECONDS_MAX, Schemas

OLD = 900.0  # when a record was appended that is older than any doubt; the clock begins at 1,000


class Paper:
    """A registry on paper: what it answers is the test's."""

    def __init__(self) -> None:
        """Know everything."""
        self.failure: Exception | None = None
        self.asked: list[SchemaId] = []
        self.held: dict[SchemaId, threading.Event] = {}
        self.is_closed = threading.Event()

    def fetch(self, schema_id: SchemaId) -> Schema:
        """Answer."""
        self.asked.append(schema_id)
        if schema_id in self.held:
            assert self.held[schema_id].wait(20)
        if self.failure is not None:
            raise self.failure
        return Schema("AVRO", f"text of {schema_id}", {})

    def close(self) -> None:
        """No more."""
        self.is_closed.set()


class Rig:
    """Schemas, and what is heard of them."""

    def __init__(self, loop: Any, prepare: Callable[[Schema], str] = lambda schema: schema.text) -> None:
        """Begin with none."""
        self.loop = loop
        self.paper = Paper()
        self.news = 0
        self.schemas = Schemas(self.paper, prepare, loop=loop, clock=loop.clock)
        self.schemas.tell(self._heard)

    def _heard(self) -> None:
        self.news += 1

    def find(self, schema_id: SchemaId = 7, appended_at: float = OLD) -> str | Reason | None:
        """How to read, or why not, or None when it is awaited."""
        try:
            return self.schemas.find(schema_id, appended_at)
        except Awaited:
            return None
        except Unreadable as unreadable:
            return unreadable.reason


@pytest.fixture
def rig(patient_loop: Any) -> Iterator[Rig]:
    """One, closed at the end."""
    made = Rig(patient_loop)
    yield made
    made.schemas.close()
    assert made.paper.is_closed.wait(20)


def test_a_schema_is_fetched_once_and_kept(rig: Rig) -> None:
    """However many records ask for it meanwhile; there is news when it has come."""
    assert [rig.find(), rig.find(), rig.news] == [None, None, 0]
    rig.loop.hear()
    assert (rig.find(), rig.news, rig.paper.asked) == ("text of 7", 1, [7])


def test_the_loop_never_waits_for_the_registry(rig: Rig) -> None:
    """A registry that takes its time holds up nobody but those that ask for that schema."""
    rig.paper.held[7] = threading.Event()
    assert rig.find(7) is None
    assert rig.find(8) is None
    rig.loop.hear()
    assert (rig.find(8), rig.find(7), rig.news) == ("text of 8", None, 1)
    rig.paper.held[7].set()
    rig.loop.hear()
    assert rig.find(7) == "text of 7"


def test_a_registry_that_does_not_answer_is_asked_again_for_as_long_as_it_takes(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is set aside; it is said once in a while, and when it answers again."""
    caplog.set_level("INFO", "relay.input")
    rig.paper.failure = NotNow("ConnectError")
    assert rig.find() is None
    for _ in range(12):
        rig.loop.hear()
        assert rig.find() is None
        rig.loop.pass_time(WAIT_SECONDS_MAX)
    rig.loop.hear()
    rig.paper.failure = None
    rig.loop.pass_time(WAIT_SECONDS_MAX)
    rig.loop.hear()
    assert (rig.find(), rig.news) == ("text of 7", 1)
    events = [record.message for record in caplog.records]
    assert 2 <= events.count("the schema registry does not give a schema") <= 8
    assert events[-1] == "the schema registry answers again"


def test_it_is_asked_at_growing_intervals(rig: Rig) -> None:
    """At first soon, then seldom."""
    rig.paper.failure = NotNow("status_503")
    rig.find()
    waits = []
    for _ in range(8):
        rig.loop.hear()
        waits.append(rig.loop.later[0][0] - rig.loop.now)
        rig.loop.pass_time(waits[-1])
    rig.loop.hear()
    assert waits == [0.5, 1, 2, 4, 8, WAIT_SECONDS_MAX, WAIT_SECONDS_MAX, WAIT_SECONDS_MAX]


def test_a_refusal_is_the_operators(rig: Rig) -> None:
    """Until the registry serves us again."""
    rig.paper.failure = NotNow("status_401", "check the password")
    rig.find()
    rig.loop.hear()
    assert (rig.schemas.failure, rig.find()) == ("check the password", None)
    rig.paper.failure = None
    rig.loop.pass_time(1)
    rig.loop.hear()
    assert (rig.schemas.failure, rig.find()) == ("", "text of 7")


def test_a_schema_that_does_not_exist_sets_old_records_aside_at_once(rig: Rig) -> None:
    """Nobody may be about to register it."""
    rig.paper.failure = NoSuchSchema()
    rig.find()
    rig.loop.hear()
    assert (rig.find(), rig.news) == (Reason.UNKNOWN_SCHEMA, 1)


def test_a_young_record_waits_a_while_for_its_schema(rig: Rig) -> None:
    """A registry may lag behind the producer that has just registered it."""
    rig.paper.failure = NoSuchSchema()
    young = rig.loop.now - 1
    rig.find(7, young)
    for _ in range(3):
        rig.loop.hear()
        assert rig.find(7, young) is None
        rig.loop.pass_time(1)
    rig.paper.failure = None
    rig.loop.hear()
    if rig.find(7, young) is None:
        rig.loop.pass_time(1)
        rig.loop.hear()
    assert rig.find(7, young) == "text of 7"


def test_it_does_not_wait_for_ever(rig: Rig) -> None:
    """After some seconds the registry is believed."""
    rig.paper.failure = NoSuchSchema()
    young = rig.loop.now
    rig.find(7, young)
    while rig.find(7, young) is None:
        rig.loop.hear()
        rig.loop.pass_time(1)
        assert rig.loop.now < young + BELIEVED_AFTER_SECONDS + 3
    assert rig.find(7, young) is Reason.UNKNOWN_SCHEMA


def test_the_answer_holds_for_older_records_only(rig: Rig) -> None:
    """A younger one asks again, and is believed at once: a schema may have come meanwhile, and somebody may send nonsense for ever."""
    rig.paper.failure = NoSuchSchema()
    rig.find()
    rig.loop.hear()
    said_at = rig.loop.now
    rig.loop.now += 1
    assert rig.find(7, said_at) is Reason.UNKNOWN_SCHEMA
    assert rig.find(7, said_at + 0.5) is None
    rig.loop.hear()
    assert (rig.find(7, said_at + 0.5), len(rig.paper.asked)) == (Reason.UNKNOWN_SCHEMA, 2)
    rig.paper.failure = None
    assert rig.find(7, rig.loop.now + 1) is None
    rig.loop.hear()
    assert rig.find(7, OLD) == "text of 7"


def test_a_schema_that_cannot_be_used_is_looked_at_again_after_a_while(patient_loop: Any) -> None:
    """What it lacks may be registered later."""
    faults = ["it imports x.proto"]

    def prepare(schema: Schema) -> str:
        if faults:
            raise UnusableSchema(faults[0])
        return schema.text

    rig = Rig(patient_loop, prepare)
    rig.find()
    rig.loop.hear()
    assert (rig.find(), rig.find(), rig.news) == (Reason.UNUSABLE_SCHEMA, Reason.UNUSABLE_SCHEMA, 1)
    faults.clear()
    rig.loop.pass_time(LOOK_AGAIN_SECONDS)
    assert rig.find() is None
    rig.loop.hear()
    assert rig.find() == "text of 7"
    rig.schemas.close()


def test_so_many_are_kept_and_no_more(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were learnt first are forgotten, and can be learnt again. What is being fetched is never forgotten."""
    monkeypatch.setattr(module, "SCHEMAS_MAX", 3)
    for number in range(5):
        rig.find(number)
        rig.loop.hear()
    assert [rig.find(number) is not None for number in (2, 3, 4)] == [True, True, True]
    assert rig.find(0) is None
    rig.loop.hear()
    rig.paper.failure = NoSuchSchema()
    for number in range(10, 20):
        rig.find(number)
        rig.loop.hear()
    asked = len(rig.paper.asked)
    assert [rig.find(19), rig.find(10), len(rig.paper.asked) <= asked + 1] == [Reason.UNKNOWN_SCHEMA, None, True]
    rig.loop.hear()


def test_who_is_closed_asks_no_more(rig: Rig) -> None:
    """Also not at a time that was set before."""
    rig.paper.failure = NotNow("ConnectError")
    rig.find()
    rig.loop.hear()
    rig.schemas.close()
    rig.loop.pass_time(10)
    assert rig.paper.asked == [7]


def test_a_loop_that_has_ended_ends_the_thread(patient_loop: Any) -> None:
    """Nobody listens any more."""
    rig = Rig(patient_loop)

    def refuse(_callback: Callable[[], None]) -> None:
        raise RuntimeError

    rig.loop.call_soon_threadsafe = refuse
    rig.find()
    rig.schemas.close()
    assert rig.paper.is_closed.wait(20)

"""What players say is what the relay reads and the fake API accepts; what poison says is not."""

import pytest

from relay.core.events import EventType, Record
from relay.core.reasons import Reason
from relay.input.native import NativeInput, Unreadable
from relay.sandbox.crowd import crowd
from relay.sandbox.fake_api.collection_rules import read_event
from relay.sandbox.fake_api.dialect import Operation
from relay.sandbox.poison import Poison
from relay.sandbox.saying import Said
from relay.sandbox.shapes import Shape

SET_ASIDE_FOR = {
    Poison.BAD_JSON: {Reason.NOT_JSON},
    Poison.NULL_VALUE: {Reason.EMPTY_VALUE},
    Poison.WRONG_TYPES: {Reason.INVALID_EVENT, Reason.UNKNOWN_EVENT_TYPE},
    Poison.UNKNOWN_EVENT_TYPE: {Reason.UNKNOWN_EVENT_TYPE},
    Poison.OVERSIZE: {Reason.RECORD_TOO_LARGE},
    Poison.KEY_NOT_UTF8: {Reason.INVALID_KEY},
    Poison.KEY_MISSING: {Reason.INVALID_KEY},
}


@pytest.fixture(scope="module")
def records() -> list[Said]:
    """A crowd with some poison in it."""
    return list(crowd(60, 4, Shape().having(hostile_share=0.05, oversize_bytes=300_000), began_ms=1_700_000_000_000))


def test_the_relay_reads_every_event(records: list[Said]) -> None:
    """Under the key of its session, with the ts that the manifest will name."""
    native = NativeInput()
    for said in records:
        if not said.is_poison:
            key, event = native.read(Record(0, key=said.record_key, value=said.value))
            assert (key, event.event_type, event.ts) == (said.key, said.event_type, said.ts)


def test_the_relay_sets_every_poison_aside(records: list[Said]) -> None:
    """Each for the reason that its kind stands for."""
    native = NativeInput()
    for said in records:
        if said.is_poison:
            with pytest.raises(Unreadable) as refused:
                native.read(Record(0, key=said.record_key, value=said.value))
            assert refused.value.reason in SET_ASIDE_FOR[Poison(said.event_type)]


def test_the_fake_api_accepts_every_event(records: list[Said]) -> None:
    """As it is: the classic wire has the shape of the native event, and the checks there were written by others."""
    for said in records:
        if not said.is_poison:
            operation = Operation.SESSIONS if said.event_type == EventType.SESSION_START else Operation.EVENTS
            assert read_event(said.value or b"", operation).ts == said.ts

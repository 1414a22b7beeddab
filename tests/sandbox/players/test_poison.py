"""Hostile records: each kind is what it says, and the sessions around it stay whole."""

import msgspec
import pytest

from relay.sandbox.crowd import crowd
from relay.sandbox.poison import POISONS, Poison
from relay.sandbox.saying import Said
from relay.sandbox.shapes import Shape

SHAPE = Shape().having(hostile_share=0.1, oversize_bytes=20_000)


@pytest.fixture(scope="module")
def records() -> list[Said]:
    """What a hostile crowd said."""
    return list(crowd(40, 9, SHAPE, began_ms=1_700_000_000_000))


@pytest.fixture(scope="module")
def poison(records: list[Said]) -> list[Said]:
    """Only what is no event."""
    return [said for said in records if said.is_poison]


def of_kind(poison: list[Said], kind: Poison) -> list[Said]:
    """Pick one kind, which must be there."""
    found = [said for said in poison if said.event_type == kind]
    assert found
    return found


def test_a_shape_is_harmless_unless_it_says_otherwise() -> None:
    """Nothing hostile is said by default."""
    assert not any(said.is_poison for said in crowd(20, 1, Shape(), began_ms=0))


def test_the_share_of_hostile_records_is_as_asked(records: list[Said], poison: list[Said]) -> None:
    """One record in ten, of every kind."""
    assert 0.08 < len(poison) / len(records) < 0.12
    assert {said.event_type for said in poison} == set(POISONS)


def test_sessions_stay_whole_around_poison(records: list[Said]) -> None:
    """What is no poison is an event with the key of its session, and each session still begins with its start."""
    seen: set[str] = set()
    for said in records:
        if said.is_poison:
            assert said.key in seen
            continue
        assert said.record_key == said.key.encode()
        assert said.value is not None
        assert (msgspec.json.decode(said.value)["eventType"] == "sessionStart") == (said.key not in seen)
        seen.add(said.key)


def test_bad_json_cannot_be_parsed(poison: list[Said]) -> None:
    """It is an event that was cut off."""
    for said in of_kind(poison, Poison.BAD_JSON):
        assert said.value
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(said.value)


def test_a_null_value_is_null(poison: list[Said]) -> None:
    """Kafka calls it a tombstone."""
    assert all(said.value is None for said in of_kind(poison, Poison.NULL_VALUE))


def test_wrong_types_are_json_all_the_same(poison: list[Said]) -> None:
    """They parse, and differ from a good ping in one place."""
    values = {bytes(said.value or b"") for said in of_kind(poison, Poison.WRONG_TYPES)}
    assert all(msgspec.json.decode(value) for value in values)
    assert any(b'"playhead":"' in value for value in values)
    assert any(value.startswith(b"[") for value in values)


def test_an_unknown_type_is_none_of_the_nineteen(poison: list[Said]) -> None:
    """Players of other makers say seekStart; this vocabulary has no such word."""
    assert all(b'"eventType":"seekStart"' in (said.value or b"") for said in of_kind(poison, Poison.UNKNOWN_EVENT_TYPE))


def test_an_oversize_record_has_the_size_that_the_shape_names(poison: list[Said]) -> None:
    """And it is valid JSON, so that only its size or its customMetadata can be the reason to refuse it."""
    for said in of_kind(poison, Poison.OVERSIZE):
        assert len(said.value or b"") == 20_000
        assert msgspec.json.decode(said.value or b"")["eventType"] == "ping"


def test_bad_keys_are_not_text(poison: list[Said]) -> None:
    """One kind is not UTF-8, the other is missing; their values are good events."""
    for said in of_kind(poison, Poison.KEY_NOT_UTF8):
        assert said.record_key is not None
        with pytest.raises(UnicodeDecodeError):
            said.record_key.decode()
        assert msgspec.json.decode(said.value or b"")["eventType"] == "ping"
    assert all(said.record_key is None for said in of_kind(poison, Poison.KEY_MISSING))

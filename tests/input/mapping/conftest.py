"""Mappings written in a test, and what becomes of raw events by them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from relay.core.events import Nothing, Part, PlayerEvent, Record
from relay.input.decoding import PlainJson
from relay.input.mapping.compiling import compile_mapping
from relay.input.mapping.document import BadMapping, read
from relay.input.mapping.mapped import MappedInput
from relay.translation import as_native

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = """
version: 1
event: type
time: {from: ts}
playhead: {from: at, default: 0}
"""


class Mapped:
    """A mapping at work."""

    def __init__(self, text: str, **defaults: Any) -> None:
        """Compile it."""
        self.input = MappedInput(compile_mapping(read(text, "test.yaml"), **defaults), PlainJson())

    def read(self, event: Any, *, key: bytes | None = b"key", timestamp_ms: int = 0) -> tuple[str, list[dict[str, Any]] | str]:
        """The session key, and what the raw event says in native words; the reason, when it says nothing."""
        found, said = self.input.read(Record(7, key=key, value=json.dumps(event).encode(), timestamp_ms=timestamp_ms))
        if isinstance(said, Nothing):
            return found, said.reason
        events = [said] if isinstance(said, PlayerEvent) else list(said)
        for number, one in enumerate(events, start=1):
            assert one.record is not None
            assert one.record.offset == 7
            assert one.part == (None if len(events) == 1 else Part(number, len(events)))
        return found, [as_native(one) for one in events]

    def says(self, **event: Any) -> Any:
        """What a raw event says."""
        return self.read({"type": "x", "ts": 1, "at": 2.5} | event)[1]


@pytest.fixture
def mapped() -> Callable[..., Mapped]:
    """A mapping from its members, below a head that names event, time and playhead; or from a whole text."""
    return lambda members, **defaults: Mapped(members if "version:" in members else HEAD + members, **defaults)


@pytest.fixture
def mistakes() -> Callable[[str], list[str]]:
    """What is wrong with a mapping, one line each."""

    def find(text: str) -> list[str]:
        with pytest.raises(BadMapping) as raised:
            compile_mapping(read(text if "version:" in text else HEAD + text, "test.yaml"))
        return [f"{line}: {path}: {message}" for line, path, message in raised.value.problems]

    return find

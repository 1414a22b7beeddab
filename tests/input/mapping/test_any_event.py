"""Whatever comes in, a mapping makes events of it, leaves it out, or says why not; nothing else ever comes of it."""

from __future__ import annotations

import contextlib
import json

import msgspec
import pytest
from hostile.tampering import places, replaced
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.core.events import Facts, Nothing, PlayerEvent, Record
from relay.input.decoding import PlainJson, Unreadable
from relay.input.mapping.compiling import compile_mapping
from relay.input.mapping.document import read
from relay.input.mapping.mapped import MappedInput
from relay.input.native import decode
from relay.input.presets import names, text_of
from relay.translation import as_native

MAPPINGS = [name for name in names() if name != "native"]
INPUTS = {name: MappedInput(compile_mapping(read(text_of(name) or "", name)), PlainJson()) for name in MAPPINGS}
SAMPLES = {name: [json.loads(line) for line in (text_of(name, ".samples.jsonl") or "").splitlines()] for name in MAPPINGS}

odd_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5),
        st.sampled_from(
            [
                "",
                "1e999",
                "9" * 5_000,
                "9" * 400,
                10**400,
                -(10**309),
                2**63,
                -1.7e308,
                "2024-13-45T00:00:00Z",
                "0001-01-01T00:00:00+23:59",
                -1,
                1e308,
                10**30,
                [[]],
                {"": None},
            ]
        ),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=6,
)


@pytest.mark.parametrize("name", MAPPINGS)
@settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_event_is_read_or_refused(name: str, data: st.DataObject) -> None:
    """Samples in which something is not as it should be; what comes of them is what the native input would take."""
    event = data.draw(st.sampled_from(SAMPLES[name]))
    for _ in range(data.draw(st.integers(1, 3))):
        event = replaced(event, data.draw(st.sampled_from(places(event))), data.draw(odd_values))
    try:
        key, said = INPUTS[name].read(Record(1, key=b"k", value=msgspec.json.encode(event)))
    except Unreadable:
        return
    assert isinstance(key, str)
    if isinstance(said, Nothing):
        return
    events = [fact.event for fact in said.facts] if isinstance(said, Facts) else [said] if isinstance(said, PlayerEvent) else list(said)
    for one in events:
        native = as_native(one)
        if native["eventType"] == "sessionStart":
            native.pop("start", None)
        assert decode(msgspec.json.encode(native)).event_type is one.event_type


@pytest.mark.parametrize(
    "value", [b'{"a":' * 900 + b"1" + b"}" * 900, b'{"type":"playing","media":' + b"[" * 900 + b"]" * 900 + b"}", b'{"a":"\\ud800"}']
)
@pytest.mark.parametrize("name", MAPPINGS)
def test_hostile_bytes_harm_nobody(name: str, value: bytes) -> None:
    """Depth and broken text are facts about a record, not errors of the relay."""
    for _ in range(2):
        with contextlib.suppress(Unreadable):
            _, said = INPUTS[name].read(Record(1, key=b"k", value=value))
            assert said == Nothing("not_about_media")  # by a rule that catches the rest


def test_elements_that_are_no_objects_are_refused() -> None:
    """In a record that holds a list of raw events."""
    with pytest.raises(Unreadable, match="each of them an object"):
        INPUTS["edge-xdm"].read(Record(1, key=b"k", value=b'{"events":[{"xdm":1}]}'))

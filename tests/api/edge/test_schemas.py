"""What goes to the Edge is valid under Adobe's own schemas, where they are at hand.

`corrected` in conftest.py says which of their slips are put right first.
"""

import itertools
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay.api.dialect import Untranslatable
from relay.core.events import EventType
from relay.sandbox.crowd import crowd
from relay.sandbox.shapes import Shape

ROWS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("golden.json").read_text("utf-8"))
BODIES = int(os.environ.get("TESTS_EDGE_BODIES", "4000"))  # the pipeline, and whoever has ten seconds, takes 50,000

# What simulated players say as the mobile clients do, and the Edge has no place for.
DROPS = ("visitor.aamLocationHint", "appInstallationId")

Validators = dict[str, Any]


def faults(validators: Validators, call: Any) -> list[str]:
    """What the schema of its endpoint finds wrong with a request."""
    endpoint = call.target.decode().partition("?")[0].rpartition("/")[2]
    return [f"{fault.json_path}: {fault.message}" for fault in validators[endpoint].iter_errors(json.loads(call.body))]


@pytest.mark.parametrize("row", [row for row in ROWS if "body" in row["edge"]], ids=lambda row: str(row["says"]))
def test_a_golden_request_is_valid(row: dict[str, Any], say: Callable[..., Any], validators: Validators) -> None:
    """Each golden request is valid, but for those that are there to be refused."""
    found = faults(validators, say(row["native"], joins=row.get("joins", False)).edge())
    assert bool(found) == ("refused_because" in row), found


def test_what_players_say_is_valid(say: Callable[..., Any], validators: Validators) -> None:
    """Whatever a crowd of players with every habit says, each request that it causes is valid, and nothing is set aside."""
    shape = Shape().having(start_object_share=0.05, ad_ping_seconds=2, ad_pause_share=0.1, errors_per_hour=30, ping_quality_share=0.5)
    seen: Counter[str] = Counter()
    everybody = itertools.chain.from_iterable(crowd(10, seed, shape, began_ms=1_700_000_000_000) for seed in itertools.count(1))
    for said in itertools.islice(everybody, BODIES):
        assert said.value is not None
        assert not faults(validators, say(said.value, drops=DROPS).edge()), said.value
        if said.event_type != EventType.SESSION_START and b'"start"' in said.value:
            assert not faults(validators, say(said.value, joins=True, drops=DROPS).edge()), said.value
        seen[said.event_type] += 1
    assert sum(seen.values()) == BODIES
    assert set(seen) == set(EventType)


def test_the_corrected_schemas_find_what_is_wrong(say: Callable[..., Any], validators: Validators) -> None:
    """A misspelt key, a wrong event type, an id of another length: the validators are no rubber stamp."""
    call = say({"eventType": "adSkip", "playerTime": {"playhead": 1, "ts": 1}}).edge()
    for good, bad in (
        (b"media.adSkip", b"media.adBreakSkip"),
        (b"sessionID", b"sessionId"),
        (b'"playhead":1', b'"playhead":1.5'),
        (b"0123456789abcdef", b"0123456789abcde"),
        (b'"timestamp"', b'"ts"'),
    ):
        assert not faults(validators, call)
        assert faults(validators, type(call)(call.target, call.body.replace(good, bad)))


def test_the_schemas_know_no_event_that_the_relay_does_not(validators: Validators) -> None:
    """Nineteen endpoints: two event types share one, and offline content is not the relay's business."""
    assert len(validators) == 19
    assert "downloaded" in validators
    assert {"stateStart", "stateEnd"} == {kind.value for kind in EventType} - set(validators)


def test_poison_of_the_dialect_is_named(say: Callable[..., Any]) -> None:
    """What cannot be said on the Edge never becomes a request."""
    with pytest.raises(Untranslatable, match=r"^\$\.params\['x'\]"):
        say({"eventType": "play", "playerTime": {"playhead": 1, "ts": 1}, "params": {"x": 1}}).edge()

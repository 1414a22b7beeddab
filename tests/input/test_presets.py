"""Each preset as it comes: its samples and cases hold, and the strict API takes all that its samples become."""

import json

import pytest

from relay import rehearsal
from relay.errors import SettingsError
from relay.input import presets
from relay.input.reading import find

MAPPINGS = [name for name in presets.names() if name != presets.NATIVE]


@pytest.mark.parametrize("name", presets.names())
def test_the_samples_of_a_preset_become_sessions_that_the_api_takes(name: str) -> None:
    """In both dialects, without a refusal and without a dead letter."""
    samples = presets.text_of(name, ".samples.jsonl")
    assert samples is not None
    one = rehearsal.Rehearsal(name)
    count, problems, _ = rehearsal.check_samples(one, samples.encode().splitlines())
    assert problems == []
    assert count > 5
    for dialect in ("media-collection", "media-edge"):
        again = rehearsal.Rehearsal(name, dialects=(dialect,))
        sent = [request.path for line in samples.encode().splitlines() for request in again.hear(line)[0].translated.requests]
        assert len(sent) > 5
        assert sent[0].endswith(("/sessions", "sessionStart?configId=datastream"))


@pytest.mark.parametrize("name", MAPPINGS)
def test_the_cases_of_a_preset_hold(name: str) -> None:
    """Each says what becomes of some raw events."""
    cases = rehearsal.cases_beside(name)
    assert cases is not None
    count, problems = rehearsal.check_cases(name, None, cases[1], cases[0])
    assert problems == []
    assert count >= 3


@pytest.mark.parametrize("name", MAPPINGS)
def test_a_preset_says_where_its_facts_come_from(name: str) -> None:
    """Public documents, by their addresses."""
    assert "https://" in (presets.text_of(name) or "")
    assert find(name).mapping.description


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_may_stand_in_an_envelope(name: str) -> None:
    """A CloudEvents envelope, structured or binary, changes nothing of what is inside."""
    samples = (presets.text_of(name, ".samples.jsonl") or "").encode().splitlines()
    bare, structured, binary = (rehearsal.Rehearsal(mapping, dialects=("media-edge",)) for mapping in (name, *[f"cloudevents+{name}"] * 2))
    for sample in samples:
        envelope = {"specversion": "1.0", "type": "player", "source": "/web", "id": "1", "data": json.loads(sample)}
        expected = bare.hear(sample)[0].translated.requests
        assert structured.hear(json.dumps(envelope).encode())[0].translated.requests == expected
        assert binary.hear(sample, headers=(("ce_specversion", b"1.0"), ("ce_id", b"1")))[0].translated.requests == expected


def test_a_name_that_is_no_preset_is_told() -> None:
    """With the nearest one, and all there are."""
    with pytest.raises(SettingsError, match=r"neither a file nor a preset; did you mean edge-xdm\?; presets are .*native"):
        find("edge-xmd")

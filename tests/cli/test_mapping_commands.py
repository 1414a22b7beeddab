"""`relay translate` and `relay validate` on mappings: what they show, and their exit codes."""

import json
from pathlib import Path

import pytest

from relay.cli import main

MAPPING = """
version: 1
event: type
time: {from: ts}
playhead: {from: at, default: 0}
start:
  params: {media.id: film, media.length: {constant: 60}, media.contentType: {constant: vod}, media.playerName: {constant: web},
    media.channel: {constant: one}}
events:
  playing: {send: play}
  tick: {drop: noise}
  bad: {send: {type: stateStart, params: {media.state.name: name}}}
"""
EVENTS = [{"type": "playing", "ts": 1, "film": "f"}, {"type": "tick"}]


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    """A mapping file."""
    path = tmp_path / "mapping.yaml"
    path.write_text(MAPPING, "utf-8")
    return path


def samples(folder: Path, *events: object) -> str:
    """A file with raw events."""
    path = folder / "samples.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in events), "utf-8")
    return str(path)


def test_translate_shows_the_exact_requests(mapping: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of both dialects, openings included: method, path and body."""
    assert main(["translate", "--mapping", str(mapping), "--json", samples(tmp_path, *EVENTS)]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    classic, edge = first["requests"]["media-collection"], first["requests"]["media-edge"]
    assert [(one["method"], one["path"]) for one in classic] == [
        ("POST", "/api/v1/sessions"),
        ("POST", f"/api/v1/sessions/{'0' * 64}/events"),
    ]
    assert classic[1]["body"] == {"eventType": "play", "playerTime": {"playhead": 0, "ts": 1}}
    assert [one["path"] for one in edge] == ["/ee/va/v1/sessionStart?configId=datastream", "/ee/va/v1/play?configId=datastream"]
    assert second == {"line": 2, "events": [], "requests": {"media-collection": [], "media-edge": []}, "dropped": "noise"}


def test_translate_explains(mapping: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which rule was applied, where it stands, and what the event is in native words."""
    assert main(["translate", "--mapping", str(mapping), "--dialect", "media-edge", "--explain", samples(tmp_path, *EVENTS)]) == 0
    shown = capsys.readouterr().out
    assert "by events.playing (line 10)" in shown
    assert '"start": {"params": {' in shown
    assert "media-collection" not in shown
    assert "line 2: dropped: noise" in shown


def test_translate_tells_of_what_cannot_be(mapping: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line, the path, and what the strict API would say; the exit code is 1."""
    file = samples(tmp_path, EVENTS[0], {"type": "bad", "ts": 1}, {"type": "dance"}, {"type": "playing", "ts": "x"})
    assert main(["translate", "--mapping", str(mapping), file]) == 1
    shown = capsys.readouterr().out
    assert "the API would refuse it" in shown
    assert "unknown_event_type: events: there is no rule for 'dance'" in shown
    assert "invalid_event: time: expected a number" in shown


def test_translate_reads_native_events_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a mapping an event is taken as it is."""
    event = {"eventType": "ping", "playerTime": {"playhead": 1, "ts": 2}, "start": {"params": {"media.id": "f"}}}
    assert main(["translate", "--json", samples(tmp_path, event)]) == 1
    assert json.loads(capsys.readouterr().out)["problems"][0]["reason"] == "no_session_start"


def test_a_mapping_with_mistakes_is_told_of_with_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each mistake."""
    path = tmp_path / "broken.yaml"
    path.write_text(MAPPING.replace("send: play", "send: plya"), "utf-8")
    assert main(["validate", "--mapping", str(path)]) == 3
    assert "broken.yaml, line 10: events.playing.send: 'plya' is not known here; did you mean play?" in capsys.readouterr().err
    assert main(["translate", "--mapping", str(tmp_path / "nosuch.yaml"), "-"]) == 3


def test_validate_checks_samples_against_a_mapping(mapping: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is dropped is counted; what the API would refuse is a problem."""
    assert main(["validate", "--mapping", str(mapping), "--samples", samples(tmp_path, *EVENTS)]) == 0
    assert "samples: 2 events, 1 dropped as noise, 0 with problems" in capsys.readouterr().out
    assert main(["validate", "--mapping", str(mapping), samples(tmp_path, EVENTS[0], {"type": "bad", "ts": 1})]) == 1
    assert "line 2: rejected: media-collection:" in capsys.readouterr().out


CASES = """
- {name: one that holds, raw: {type: playing, ts: 1, film: f}, says: [sessionStart, {eventType: play, playerTime: {ts: 1}}]}
- {name: dropped, raw: {type: tick}, drops: noise}
- {name: refused, raw: {type: dance}, refuses: no rule for}
"""


def test_validate_checks_the_cases_beside_a_mapping(mapping: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An operator's pipeline can test the mapping: 0 when all hold, 1 when one does not."""
    (tmp_path / "mapping.cases.yaml").write_text(CASES, "utf-8")
    assert main(["validate", "--mapping", str(mapping)]) == 0
    assert "cases: 3, 0 failed" in capsys.readouterr().out
    for wrong, message in (
        (CASES.replace("ts: 1}}]", "ts: 2}}]"), "case 1, one that holds: play (2): $.playerTime.ts: expected 2, got 1"),
        (
            CASES.replace("eventType: play,", "eventType: ping,"),
            "case 1, one that holds: expected sessionStart, ping, got sessionStart, play",
        ),
        (
            CASES.replace("drops: noise", "drops: other"),
            "case 2, dropped: expected it to be dropped as other, got nothing (dropped as noise)",
        ),
        (CASES.replace("no rule for", "another"), "case 3, refused: expected it to be refused with 'another', got unknown_event_type"),
    ):
        (tmp_path / "mapping.cases.yaml").write_text(wrong, "utf-8")
        assert main(["validate", "--mapping", str(mapping), "--json"]) == 1
        (failed,) = json.loads(capsys.readouterr().out)["failed_cases"]
        assert message in f"case {failed['case']}, {failed['name']}: {failed['detail']}"


@pytest.mark.parametrize("text", ["[", "a: b", "- {raw: {}}", "- {raw: {}, sais: []}", "- {says: []}"])
def test_cases_that_cannot_be_read_are_a_mistake(mapping: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They end with exit code 3, and never pass."""
    mapping.with_name("mapping.cases.yaml").write_text(text, "utf-8")
    assert main(["validate", "--mapping", str(mapping)]) == 3
    assert "mapping.cases.yaml" in capsys.readouterr().err

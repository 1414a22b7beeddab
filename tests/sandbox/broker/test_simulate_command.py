"""`relay simulate`: its output and its exit codes."""

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Message

from relay.sandbox import simulate_command

Outcome = tuple[int, str, str]
Simulate = Callable[..., Outcome]
ReadTopic = Callable[..., list[Message]]


@pytest.fixture
def simulate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Simulate:
    """Run the command as the command line would: exit code, stdout, stderr."""
    monkeypatch.delenv("RELAY_KAFKA__BOOTSTRAP_SERVERS", raising=False)

    def simulate(*words: object) -> Outcome:
        parser = argparse.ArgumentParser(prog="relay simulate")
        simulate_command.add_arguments(parser)
        try:
            code = asyncio.run(simulate_command.run(parser.parse_args([str(word) for word in words])))
        except SystemExit as left:
            code = int(left.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return simulate


def test_sessions_reach_the_topic(simulate: Simulate, bootstrap_servers: str, read_topic: ReadTopic) -> None:
    """So many sessions with so many events each; the summary is one line."""
    code, out, err = simulate("--bootstrap-servers", bootstrap_servers, "--sessions", 20, "--events", 10, "--rate", 0)
    assert (code, err) == (0, "")
    assert out.startswith("20 sessions, seed 1: 200 of 200 records confirmed in player-events")
    assert out.count("\n") == 1
    assert len({message.key() for message in read_topic(bootstrap_servers, 200)}) == 20


def test_the_address_may_come_from_the_environment(simulate: Simulate, bootstrap_servers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the same name as the relay's own setting."""
    monkeypatch.setenv("RELAY_KAFKA__BOOTSTRAP_SERVERS", bootstrap_servers)
    assert simulate("--sessions", 1, "--events", 2)[0] == 0


def test_json_prints_the_summary_as_an_object(simulate: Simulate, bootstrap_servers: str) -> None:
    """For scripts; nothing else is on stdout."""
    code, out, _ = simulate(
        "--bootstrap-servers", bootstrap_servers, "--sessions", 3, "--events", 5, "--rate", 0, "--began-ms", 1000, "--json"
    )  # fmt: skip
    summary = msgspec.json.decode(out)
    assert code == 0
    assert summary.pop("seconds") >= 0
    assert summary == {
        "topic": "player-events", "sessions": 3, "seed": 1, "beganMs": 1000, "produced": 15, "confirmed": 15, "failed": 0,
        "isComplete": True,
    }  # fmt: skip


def test_the_same_seed_and_moment_give_the_same_records(simulate: Simulate, bootstrap_servers: str, read_topic: ReadTopic) -> None:
    """Two runs into two topics hold the same values."""
    for topic in ("one", "two"):
        code, _, _ = simulate(
            "--bootstrap-servers", bootstrap_servers, "--topic", topic, "--sessions", 4, "--events", 5, "--began-ms", 1000, "--rate", 0
        )  # fmt: skip
        assert code == 0
    one, two = (sorted(message.value() for message in read_topic(bootstrap_servers, 20, topic)) for topic in ("one", "two"))
    assert one == two


def test_the_manifest_is_written(simulate: Simulate, bootstrap_servers: str, tmp_path: Path) -> None:
    """A line for each record."""
    file = tmp_path / "manifest.jsonl"
    simulate("--bootstrap-servers", bootstrap_servers, "--sessions", 3, "--events", 5, "--rate", 0, "--manifest", file)
    assert len(file.read_bytes().splitlines()) == 15


def test_the_shape_is_read_from_a_file(simulate: Simulate, bootstrap_servers: str, tmp_path: Path) -> None:
    """And `--events` stands above it."""
    shape = tmp_path / "shape.yaml"
    shape.write_text("events_exactly: 7\n")
    base = ("--bootstrap-servers", bootstrap_servers, "--sessions", 2, "--rate", 0, "--shape", shape)
    assert "14 of 14 records" in simulate(*base)[1]
    assert "6 of 6 records" in simulate(*base, "--events", 3)[1]


def test_a_bad_shape_exits_3(simulate: Simulate, tmp_path: Path) -> None:
    """Before Kafka is asked for anything, with one line that names the field."""
    shape = tmp_path / "shape.yaml"
    shape.write_text("preroll_share: 7\n")
    code, out, err = simulate("--bootstrap-servers", "127.0.0.1:1", "--shape", shape)
    assert (code, out) == (3, "")
    assert err.count("\n") == 1
    assert "$.preroll_share" in err


def test_an_unreachable_broker_exits_4(simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one line on stderr."""
    monkeypatch.setattr("relay.sandbox.producing.Producing.connect.__kwdefaults__", {"within_seconds": 0.5})
    code, out, err = simulate("--bootstrap-servers", "127.0.0.1:1")
    assert (code, out) == (4, "")
    assert err.startswith("relay simulate: cannot reach Kafka at 127.0.0.1:1")
    assert err.count("\n") == 1


def test_records_that_kafka_does_not_take_exit_1(simulate: Simulate, bootstrap_servers: str, tmp_path: Path) -> None:
    """The summary counts them, stderr says what was wrong."""
    shape = tmp_path / "shape.json"
    shape.write_text('{"hostile_share": 0.5, "oversize_bytes": 50000, "events_exactly": 50}')
    code, out, err = simulate(
        "--bootstrap-servers", bootstrap_servers, "--sessions", 5, "--rate", 0, "--shape", shape,
        "--client", '{"message.max.bytes": 40000}',
    )  # fmt: skip
    assert code == 1
    assert "records confirmed" in out
    assert "were not confirmed" in err


@pytest.mark.parametrize("words", [
    (),
    ("--bootstrap-servers", "127.0.0.1:1", "--manifest", "/"),
    ("--sessions", "0"),
    ("--sessions", "many"),
    ("--rate", "-1"),
    ("--rate", "nan"),
    ("--rate", "10", "--speed", "2"),
    ("--client", "[]"),
    ("--client", "{"),
])  # fmt: skip
def test_wrong_usage_exits_2(simulate: Simulate, words: tuple[str, ...]) -> None:
    """And says so on stderr only."""
    code, out, err = simulate(*words)
    assert (code, out) == (2, "")
    assert err


@pytest.mark.parametrize("words", [("--events", "1"), ("--events", "-3"), ("--client", '{"no.such.property": 1}')])
def test_values_that_are_understood_but_out_of_bounds_exit_3(simulate: Simulate, words: tuple[str, ...]) -> None:
    """They are settings, not usage."""
    code, _, err = simulate("--bootstrap-servers", "127.0.0.1:1", *words)
    assert code == 3
    assert err.count("\n") == 1

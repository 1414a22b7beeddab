"""The command line: what each command prints, and the exit codes that scripts rely on."""

import asyncio
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.cli import COMMANDS, main
from relay.observe.admin import Admin, Handler, as_json

Capture = pytest.CaptureFixture[str]
LIGHT = ["run", "validate", "health", "settings", "reference", "version"]


@pytest.fixture
def _required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_KAFKA__BOOTSTRAP_SERVERS", "broker:9092")
    monkeypatch.setenv("RELAY_API__URL", "https://api.example")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, capsys: Capture) -> None:
    """`relay COMMAND --help` ends with an example and succeeds."""
    assert main([name, "--help"]) == 0
    assert "example: " in capsys.readouterr().out
    example: str = importlib.import_module(f"relay.cli.{name.replace('-', '_')}").EXAMPLE
    assert f"relay {name}" in example


@pytest.mark.parametrize(
    ("arguments", "said"), [([], "usage:"), (["rum"], "did you mean run?"), (["version", "--jsn"], "--jsn"), (["xyzzy"], "--help")]
)
def test_wrong_usage_exits_with_2(arguments: list[str], said: str, capsys: Capture) -> None:
    """What cannot be understood is named on standard error, with a way on."""
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert not printed.out


def test_the_overview_names_every_command(capsys: Capture) -> None:
    """`relay --help` lists all commands."""
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    assert all(f"  {name} " in overview for name in COMMANDS)


@pytest.mark.parametrize("name", ["run", "settings", "validate", "health"])
def test_invalid_settings_exit_with_3(name: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for each setting that is wrong, before anything else happens."""
    monkeypatch.setenv("RELAY_KAFKA__TOPIC", "x")
    assert main([name]) == 3
    assert "RELAY_KAFKA__TOPIC: no such setting" in capsys.readouterr().err


@pytest.mark.usefixtures("_required")
def test_settings_are_shown_with_their_sources(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """`relay settings --json` is a list of name, value and source, with secrets masked."""
    monkeypatch.setenv("RELAY_API__HEADERS", '{"x-key": "geheim"}')
    assert main(["settings"]) == 0
    assert "geheim" not in capsys.readouterr().out
    assert main(["settings", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {"name": "RELAY_API__HEADERS", "value": {"x-key": "********"}, "source": "environment"} in shown


def test_the_schema_needs_no_settings(capsys: Capture) -> None:
    """`relay settings --schema` describes the settings file even where none is set."""
    assert main(["settings", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["additionalProperties"] is False


def test_the_version_names_what_it_stands_on(capsys: Capture) -> None:
    """`relay version --json` names the relay, Python, the libraries and librdkafka."""
    assert main(["version", "--json"]) == 0
    assert {"relay", "python", "confluent-kafka", "httpx", "librdkafka"} <= json.loads(capsys.readouterr().out).keys()


def test_samples_are_judged_line_by_line(tmp_path: Path, capsys: Capture) -> None:
    """Each raw event that would go to the dead letters is named by its line, reason and path; one is enough to fail."""
    good = '{"eventType": "ping", "playerTime": {"playhead": 1, "ts": 2}}'
    samples = tmp_path / "samples.jsonl"
    samples.write_text(f'{good}\n\n{{\n{good.replace("ping", "pong")}\n{good[:-1]}, "x": 1}}\n')
    assert main(["validate", "--samples-only", str(samples), "--json"]) == 1
    account = json.loads(capsys.readouterr().out)
    assert account["events"] == 4
    assert [(problem["line"], problem["reason"]) for problem in account["problems"]] == [
        (3, "not_json"),
        (4, "unknown_event_type"),
        (5, "invalid_event"),
    ]
    assert main(["validate", "--samples-only", str(samples)]) == 1
    assert "line 4: unknown_event_type: $.eventType" in capsys.readouterr().out


@pytest.mark.usefixtures("_required")
def test_samples_are_judged_as_the_relay_would(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the settings allow is fine."""
    samples = tmp_path / "samples.jsonl"
    samples.write_text('{"eventType": "ping", "playerTime": {"playhead": 1, "ts": 2}, "x": 1}\n')
    assert main(["validate", str(samples)]) == 1
    monkeypatch.setenv("RELAY_INPUT__UNKNOWN_FIELDS", "ignore")
    assert main(["validate", str(samples)]) == 0
    assert "samples: 1 events, 0 with problems" in capsys.readouterr().out


def test_samples_that_cannot_be_read(tmp_path: Path, capsys: Capture) -> None:
    """A missing file is named, and so is a missing name."""
    assert main(["validate", "--samples-only", str(tmp_path / "none")]) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert main(["validate", "--samples-only"]) == 2


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_health_tells_by_its_exit_code(status: int, code: int, capsys: Capture) -> None:
    """0 when the relay says that it is well, 1 when it says that it is not."""

    async def ask() -> int:
        answer: Handler = lambda _: as_json({"ok": status == 200}, status)  # noqa: E731
        admin = Admin("127.0.0.1", 0, {"/livez": answer, "/readyz": answer})
        await admin.start()
        command: Callable[[list[str]], int] = main
        try:
            return await asyncio.to_thread(command, ["health", "--ready", "--json", "--port", str(admin.port)])
        finally:
            await admin.stop()

    assert asyncio.run(ask()) == code
    assert json.loads(capsys.readouterr().out) == {"ok": status == 200}


def test_health_without_an_answer_fails(capsys: Capture) -> None:
    """Nobody there is not well either."""
    assert main(["health", "--port", "1", "--timeout", "1"]) == 1
    assert "no answer" in capsys.readouterr().err


@pytest.mark.parametrize("name", LIGHT)
def test_a_command_imports_only_what_it_needs(name: str) -> None:
    """To look at the help of a light command loads neither Kafka's client nor httpx nor pydantic."""
    probe = (
        "import sys; from relay.cli import main; code = main([sys.argv[1], '--help']);"
        "heavy = {'confluent_kafka', 'httpx', 'pydantic', 'asyncio'} & set(sys.modules); sys.exit(f'{heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", probe, name], capture_output=True, text=True, check=False)  # noqa: S603  # our own words
    assert done.returncode == 0, done.stderr


def test_python_m_relay_is_the_same() -> None:
    """`python -m relay` hands over to the command line."""
    done = subprocess.run([sys.executable, "-m", "relay", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: relay COMMAND")

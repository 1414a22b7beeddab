"""`relay check` as a command: text, JSON, exit codes, and the bound of time."""

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest

from relay.check.findings import Report
from relay.check.whole import Ask, _bounded
from relay.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("RELAY_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("RELAY_API__URL", "http://127.0.0.1:1")
    yield
    assert logging.root.manager.disable == logging.NOTSET


def test_nobody_answers(capsys: Capture) -> None:
    """4, a line for each thing with what to do below it, and nothing on standard error."""
    assert main(["check", "--timeout", "20"]) == 4
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "ok    settings  all: 2 set, the others by default"
    assert lines[1].startswith("fail  kafka.brokers  127.0.0.1:1: no answer")
    assert "RELAY_KAFKA__BOOTSTRAP_SERVERS" in lines[2]
    assert lines[-1] == "1 ok, 2 fail, 2 skip"
    assert printed.err == ""


def test_settings_that_are_wrong_are_findings_too(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """3, each with its name, in JSON as well; nothing is connected to."""
    monkeypatch.setenv("RELAY_KAFKA__TOPIC", "x")
    monkeypatch.setenv("RELAY_API__URL", "ftp://h")
    assert main(["check", "--json"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["exit_code"]) == (False, 3)
    assert [(one["check"], one["subject"], one["outcome"]) for one in report["checks"]] == [
        ("settings", "RELAY_KAFKA__TOPIC", "fail"),
        ("settings", "RELAY_API__URL", "fail"),
    ]


def test_certificates_that_are_none_are_a_setting(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is there, and holds something else."""
    monkeypatch.setenv("RELAY_API__CA_FILE", __file__)
    assert main(["check", "--json"]) == 3
    (_, finding) = json.loads(capsys.readouterr().out)["checks"]
    assert (finding["outcome"], "RELAY_API__CA_FILE" in finding["subject"]) == ("fail", True)


def test_it_ends_in_time() -> None:
    """What is not finished by then is a failure of its own."""
    report = Report()
    asyncio.run(_bounded(Ask("kafka", "b:9092", lambda _: asyncio.Event().wait()), report, 0.05))  # type: ignore[arg-type,return-value]
    (finding,) = report.findings
    assert (finding.check, finding.outcome, report.exit_code) == ("kafka.time", "fail", 4)

"""Log lines: machines can read them, people too, and no key of a player is in them."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime

import pytest

from relay.observe.logs import Columns, Sparse, configure, hashed


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Pretend."""
        return True


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_an_object() -> None:
    """Time, level, event and logger, then the fields, in one line."""
    stream = io.StringIO()
    configure("info", "json", stream)
    logging.getLogger("relay.test").warning("session lost", extra={"session": "ab12", "status": 410, "level": "no"})
    logging.getLogger("relay.test").debug("not at this level")
    (line,) = stream.getvalue().splitlines()
    found = json.loads(line)
    assert datetime.fromisoformat(found.pop("time")).tzinfo is not None
    assert found == {"level": "warning", "event": "session lost", "logger": "relay.test", "session": "ab12", "status": 410}


def test_a_bug_leaves_its_trace_in_the_same_line() -> None:
    """An exception is a field of the line and breaks none."""
    stream = io.StringIO()
    configure("info", "json", stream)
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logging.getLogger("relay.test").exception("a bug")
    (line,) = stream.getvalue().splitlines()
    assert "ZeroDivisionError" in json.loads(line)["trace"]


def test_the_form_follows_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON where nobody looks, columns on a terminal, colours only where they are wanted."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal, pipe = Terminal(), io.StringIO()
    configure("info", None, terminal)
    logging.getLogger("relay.test").error("it fails", extra={"cause": "timeout"})
    assert "it fails  cause=timeout" in terminal.getvalue()
    assert "\x1b[31m" in terminal.getvalue()
    configure("info", None, pipe)
    logging.getLogger("relay.test").error("it fails")
    assert json.loads(pipe.getvalue())["event"] == "it fails"
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    configure("info", None, plain)
    logging.getLogger("relay.test").error("it fails")
    assert "\x1b" not in plain.getvalue()


def test_columns_hold_one_line_for_an_event() -> None:
    """Without an exception there is no second line."""
    record = logging.makeLogRecord({"msg": "serving", "levelname": "INFO", "port": 8080})
    assert Columns(has_colours=False).format(record).endswith("info    serving  port=8080")


def test_libraries_that_name_addresses_are_quiet() -> None:
    """Httpx logs every address at info, and an address holds the id of a session."""
    stream = io.StringIO()
    configure("debug", "json", stream)
    logging.getLogger("httpx").info("HTTP Request: POST https://h/sessions/1/events")
    assert not stream.getvalue()


def test_a_repeated_warning_is_thinned_out() -> None:
    """Once in a while it comes through, with the number of those that did not."""
    now = 100.0
    stream = io.StringIO()
    configure("info", "json", stream)
    sparse = Sparse(logging.getLogger("relay.test"), seconds=10, clock=lambda: now)
    for _ in range(5):
        sparse.warning("call failed", {"cause": "timeout"})
    sparse.warning("something else")
    now += 10
    sparse.warning("call failed", {"cause": "reset"})
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["event"], line.get("cause"), line.get("left_out")) for line in lines] == [
        ("call failed", "timeout", None),
        ("something else", None, None),
        ("call failed", "reset", 4),
    ]


def test_a_key_is_named_by_its_hash() -> None:
    """The same key has the same short name everywhere, and any text has one."""
    assert hashed("viewer-1") == hashed("viewer-1") != hashed("viewer-2")
    assert len(hashed("\udc80")) == 12

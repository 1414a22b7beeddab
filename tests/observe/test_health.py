"""Liveness by progress, and readiness: what is no reason to restart, and what only operators can mend."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from relay.core.pressure import CircuitState
from relay.health import LOOP_SILENT_SECONDS_MAX, POLL_SILENT_SECONDS_MAX, STALLED_SECONDS_MAX, is_live, is_ready


def parts(*, loop: float = 0.0, poll: float = 0.0, progress: float = 0.0, **more: Any) -> Any:
    """Parts that fell silent so many seconds ago; `more` replaces what is well."""
    now = time.monotonic()
    fine = {
        "opening": CircuitState.CLOSED,
        "sending": CircuitState.CLOSED,
        "letters": "",
        "memoirs": "",
        "source": "",
        "has_joined": True,
        "credentials": None,
    } | more
    return SimpleNamespace(
        pump=SimpleNamespace(last_pass_at=now - loop, last_progress_at=now - progress, has_joined=fine["has_joined"]),
        source=SimpleNamespace(last_poll_at=now - poll, failure=fine["source"]),
        router=SimpleNamespace(
            assignments={},
            opening=SimpleNamespace(state=fine["opening"], advice="check the address"),
            sending=SimpleNamespace(state=fine["sending"], advice="check the credentials"),
        ),
        letters=SimpleNamespace(is_failing=bool(fine["letters"]), failure=fine["letters"]),
        memoirs=SimpleNamespace(is_failing=bool(fine["memoirs"]), failure=fine["memoirs"]),
        tokens=None if fine["credentials"] is None else SimpleNamespace(failure=fine["credentials"]),
    )


@pytest.mark.parametrize(
    ("silent", "limit"),
    [("loop", LOOP_SILENT_SECONDS_MAX), ("poll", POLL_SILENT_SECONDS_MAX), ("progress", STALLED_SECONDS_MAX)],
)
def test_whoever_makes_no_progress_is_not_alive(silent: str, limit: float) -> None:
    """A loop that does not turn, a consumer that is not polled, events that could leave and do not: each has its bound."""
    assert is_live(parts(**{silent: limit - 5}))[0]
    assert not is_live(parts(**{silent: limit + 1}))[0]


@pytest.mark.parametrize("state", [CircuitState.PROBING, CircuitState.HELD])
def test_an_outage_of_the_api_fails_no_liveness(state: CircuitState) -> None:
    """To restart the relay would not mend the API."""
    assert is_live(parts(opening=state, sending=state, memoirs="no broker", letters="no broker"))[0]


def test_whoever_only_starts_is_alive_and_not_ready() -> None:
    """A start may wait for a topic as long as it takes."""
    assert is_live(None)[0]
    assert not is_ready(None, is_stopping=False)[0]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"opening": CircuitState.HELD}, "check the address"),
        ({"sending": CircuitState.HELD}, "check the credentials"),
        ({"letters": "topic missing"}, "topic missing"),
        ({"memoirs": "may not write"}, "may not write"),
        ({"source": "may not read"}, "may not read"),
        ({"has_joined": False}, "has_joined"),
        ({"credentials": "check the secret"}, "check the secret"),
    ],
)
def test_what_operators_must_mend_fails_readiness_and_is_named(wrong: dict[str, Any], words: str) -> None:
    """And nothing else does: while the API only fails, the relay is ready."""
    is_well, reasons = is_ready(parts(**wrong), is_stopping=False)
    assert not is_well
    assert words in str(reasons)
    assert is_ready(parts(opening=CircuitState.PROBING, sending=CircuitState.PROBING, credentials=""), is_stopping=False)[0]


def test_whoever_stops_is_not_ready() -> None:
    """Nobody should count on it any more."""
    assert not is_ready(parts(), is_stopping=True)[0]

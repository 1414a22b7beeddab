"""No secret, payload or personal value is in logs, pages, requests' heads or error messages."""

import asyncio
import json
import os
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

from relay.cli import main
from relay.errors import SettingsError
from relay.settings import load

TOKEN, PASSWORD = "mk1token9c4e", "mk2password71ab"
MARK: Final = re.compile("mk[0-9](?:token|password|key|param|metadata|quality|name|broken|header|memoir)[0-9a-f]*", re.IGNORECASE)
API_SESSION: Final = re.compile(r"\b[0-9a-f]{64}\b")
REQUIRED: Final = {"RELAY_KAFKA__BOOTSTRAP_SERVERS": "broker:9092", "RELAY_API__URL": "https://api.example"}
SECRETS: Final = {
    "RELAY_KAFKA__CLIENT": json.dumps({"sasl.username": "relay", "sasl.password": PASSWORD, "ssl.key.password": PASSWORD}),
    "RELAY_API__HEADERS": json.dumps({"Authorization": f"Bearer {TOKEN}", "x-plain": TOKEN}),
}


def test_the_run_had_something_to_hide(seen: Any) -> None:
    """All kinds of things happened, so that silence means something."""
    assert seen.delivered > 300
    assert {"empty_value", "record_too_large", "invalid_key", "not_json", "invalid_event", "unknown_event_type"} <= set(seen.letters)
    assert set(seen.letters) & {"rejected", "untranslatable"}
    assert seen.exit_codes == [0, 1]
    events = ("session opened", "session lost", "event set aside", "call failed, to be tried again", "told again what was open")
    for event in (*events, "sessions restored", "a bug of the relay: stopping, nothing more is committed", "serving"):
        assert event in seen.log, event
    assert "unknown_field" in seen.log
    assert '"level":"debug"' in seen.log or " debug " in seen.log
    assert sum("relay_events_total{" in page for page in seen.pages) == 2


def test_no_log_line_shows_a_mark(seen: Any) -> None:
    """At level debug, in JSON or in columns, with the trace of a bug in it: no key, no value, no token."""
    assert not MARK.findall(seen.log)


def test_nothing_is_written_past_the_log(seen: Any) -> None:
    """Neither by the relay nor by the C library below it."""
    assert seen.written == ""


def test_no_page_shows_a_mark(seen: Any) -> None:
    """Health, readiness, metrics, the console with its sessions, and what is not found."""
    assert len(seen.pages) >= 2 * (17 + 4) + 2 * 10
    assert sum("Dead letters · relay" in page for page in seen.pages) == 2
    assert sum("Time line</h2>" in page for page in seen.pages) >= 10
    assert not MARK.findall("".join(seen.pages))


def test_no_command_that_looks_at_a_relay_shows_a_mark(seen: Any) -> None:
    """`relay sessions`, `session` and `top`, for people and as JSON: sessions go by their short names."""
    assert len(seen.printed) >= 2 * (2 * 3 + 4)
    assert sum("SESSION" in printed for printed in seen.printed) >= 2
    assert sum('"sessions"' in printed for printed in seen.printed) >= 2
    assert not MARK.findall("".join(seen.printed))
    assert not API_SESSION.findall("".join(seen.printed))


def test_ids_of_api_sessions_are_not_shown_either(seen: Any) -> None:
    """Who holds one can write into the session."""
    assert not API_SESSION.findall(seen.log + "".join(seen.pages))


def test_log_lines_cannot_be_forged(seen: Any) -> None:
    """Keys with line ends and control characters begin no line and move no cursor."""
    assert "X-Evil" not in seen.log
    for line in seen.log.splitlines():
        assert line.startswith(("{", "  ", "Traceback", "relay.")) or re.match(r"\d\d:\d\d:\d\d\.\d{3} ", line), line
        assert line.isprintable()


def test_requests_go_where_they_should(seen: Any) -> None:
    """Whatever keys, ids and hints were: no path but the API's, nothing of a player in a target or a header, the token where it belongs."""
    classic = re.compile(r"POST /api/v1/sessions(/[A-Za-z0-9_-]{1,128}/events)?")
    edge = re.compile(r"POST /ee(/[a-z0-9]{1,16})?/va/v1/[A-Za-z]+\?configId=stream-1")
    assert len(seen.targets) > 10
    for target in seen.targets:
        assert classic.fullmatch(target) or edge.fullmatch(target), target
        assert not MARK.search(target)
    assert {value for name, value in seen.headers if name == "authorization"} == {f"Bearer {TOKEN}"}
    others = " ".join(value for name, value in seen.headers if name != "authorization")
    assert not MARK.search(others)
    assert {name for name, _ in seen.headers} <= {"host", "content-type", "accept", "content-length", "authorization"}


@pytest.mark.parametrize("arguments", [["settings"], ["settings", "--json"]], ids=" ".join)
def test_settings_are_shown_without_secrets(
    arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`relay settings` names what is set, and masks it."""
    for name in [name for name in os.environ if name.startswith("RELAY_")]:
        monkeypatch.delenv(name)
    for name, value in {**REQUIRED, **SECRETS}.items():
        monkeypatch.setenv(name, value)
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert "Authorization" in shown.out
    assert "sasl.password" in shown.out
    assert not MARK.search(shown.out + shown.err)


def test_settings_have_no_secrets_in_their_repr() -> None:
    """Who logs them by mistake shows none."""
    settings = load(None, {**REQUIRED, **SECRETS})
    assert not MARK.search(f"{settings!r} {settings} {settings.api!r} {settings.kafka!r} {settings.api.headers}")


@pytest.mark.parametrize(
    "wrong",
    [
        {"RELAY_KAFKA__CLIENT": f'{{"sasl.password": "{PASSWORD}"'},
        {"RELAY_KAFKA__CLIENT": f'{{"sasl.password": ["{PASSWORD}"]}}'},
        {"RELAY_KAFKA__CLIENT": f'{{"sasl.password": {{"a": "{PASSWORD}"}}}}'},
        {"RELAY_KAFKA__CLIENT": f'["{PASSWORD}"]'},
        {"RELAY_KAFKA__CLIENT": f'"{PASSWORD}"'},
        {"RELAY_API__HEADERS": f"Authorization: Bearer {TOKEN}"},
        {"RELAY_API__HEADERS": f'{{"Authorization": "Bearer {TOKEN}\\r\\nX-Evil: 1"}}'},
        {"RELAY_API__HEADERS": f'{{"Author ization": "{TOKEN}"}}'},
        {"RELAY_API__HEADERS": f'{{"Authorization": {{"Bearer": "{TOKEN}"}}}}'},
        {"RELAY_API__HEADERS": f'{{"Host": "{TOKEN}"}}'},
        {"RELAY_API__URL": f"https://relay:{PASSWORD}@api.example"},
        {"RELAY_API__URL": f"ftp://relay:{PASSWORD}@api.example"},
        {"RELAY_API__URL": f"https://api.example/?token={TOKEN}"},
        {"RELAY_API__URL": f"https://[{TOKEN}"},
        {"RELAY_SESSION__START_PARAMS": f'{{"a": ["{TOKEN}"]}}'},
    ],
    ids=" ".join,
)
def test_no_problem_with_settings_shows_a_secret(wrong: dict[str, str]) -> None:
    """What is wrong is said by name, and the value left out wherever it may be a secret."""
    with pytest.raises(SettingsError) as refused:
        load(None, {**REQUIRED, **SECRETS, **wrong})
    assert next(iter(wrong)) in str(refused.value)
    assert not MARK.search(str(refused.value))


@pytest.mark.parametrize("client", [{"security.protocol": "NONSENSE"}, {"no.such.property": PASSWORD}, {"retries": PASSWORD}], ids=str)
def test_a_client_that_is_refused_shows_no_secret(client: dict[str, str], rig: Callable[..., Any]) -> None:
    """The C library's own words go into the message."""

    async def run() -> None:
        async with rig(RELAY_KAFKA__CLIENT=json.dumps({"sasl.password": PASSWORD, **client})) as one, one.relay():
            pytest.fail("it serves")

    with pytest.raises(SettingsError) as refused:
        asyncio.run(run())
    assert "RELAY_KAFKA__CLIENT" in str(refused.value)
    assert not MARK.search(str(refused.value))

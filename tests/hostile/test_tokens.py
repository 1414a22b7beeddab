"""A gateway that asks for tokens: it takes them back under load, its desk closes, its secret changes; nothing is lost or shown."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from relay.sandbox.fake_api.tokens import TokenDesk

SECRET, OTHER_SECRET = "mk1token5e1d", "mk1token77aa"
MARK: Final = re.compile(r"mk1token[0-9a-f]*|\b[0-9a-f]{32}\b")  # the desk's tokens are 32 hex digits
SESSIONS, EVENTS = 60, 12


@pytest.fixture
def desk() -> TokenDesk:
    """A desk that knows one client."""
    return TokenDesk("relay", SECRET)


def settings(**more: str) -> dict[str, str]:
    """A relay that fetches tokens at the desk."""
    return {
        "RELAY_API__HEADERS": "{}",
        "RELAY_OAUTH__TOKEN_URL": "{url}/oauth/token",
        "RELAY_OAUTH__CLIENT_ID": "relay",
        "RELAY_OAUTH__CLIENT_SECRET": SECRET,
        **more,
    }


def counted(app: Any, name: str) -> dict[tuple[str, ...], float]:
    """What a counter has counted."""
    return app.tallies.counters[f"relay_{name}"].counts


def check_account(one: Any, app: Any) -> None:
    """Everything arrived once and in order, and nothing was set aside."""
    assert app.tallies.delivered_count == SESSIONS * EVENTS
    assert not counted(app, "events_total")
    total = one.api.account().total
    assert (total.received, total.repeats, total.out_of_order) == (SESSIONS * EVENTS, 0, 0)
    assert app.router.order_violations == 0


def test_a_token_that_is_taken_back_under_load_costs_one_refresh(
    desk: TokenDesk, rig: Callable[..., Any], crowd_of: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is set aside, lost or repeated, and neither the token nor the secret is shown."""
    caplog.set_level("DEBUG")

    async def run() -> None:
        async with rig(tokens=desk, faults=["events:slow+0.02:1"], **settings()) as one:
            one.produce(sessions(crowd_of))
            async with one.relay() as app:
                await one.wait_until(lambda: app.tallies.delivered_count > SESSIONS * EVENTS / 3)
                desk.revoke()
                await one.settle(app)
                assert desk.turned_away > 0
                assert desk.granted == 2
                assert counted(app, "token_refresh_total") == {("success",): 2}
                assert counted(app, "retries_total") == {("credentials",): desk.turned_away}
                check_account(one, app)
                assert app.is_ready()[0]
                page = one.pages[-1]
            assert 'relay_token_refresh_total{outcome="success"} 2.0' in page
            assert "relay_token_expiry_timestamp_seconds" in page
            assert not MARK.findall("".join(one.pages) + caplog.text)

    asyncio.run(run())


def sessions(crowd_of: Callable[..., Any]) -> list[Any]:
    """Sessions with something of each kind in them, and without the poison that comes with such a crowd."""
    return [record for record in crowd_of(SESSIONS, "load", with_poison=True) if b"-load-" in (record[0] or b"")]


def test_while_there_are_no_tokens_everything_waits(
    desk: TokenDesk, rig: Callable[..., Any], crowd_of: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing leaves without one, /readyz says why, and all goes on by itself."""
    desk.status = 503

    async def run() -> None:
        async with rig(tokens=desk, **settings()) as one:
            one.produce(sessions(crowd_of))
            async with one.relay() as app:
                await one.wait_until(lambda: desk.denied and app.router.buffer.event_count)
                await one.wait_until(lambda: "status_503" in str(app.is_ready()[1]))
                assert not app.is_ready()[0]
                assert app.is_live()[0]
                desk.status = 0
                await one.settle(app)
                assert desk.turned_away == 0
                assert {status for _, status in app.tallies.requests} == {201, 204}  # a call that is held back is no request
                assert counted(app, "token_refresh_total")["failed",] == desk.denied
                check_account(one, app)
                assert app.is_ready()[0]
            assert not MARK.findall("".join(one.pages) + caplog.text)

    asyncio.run(run())


def test_a_secret_file_that_changes_is_read_for_the_next_token(
    desk: TokenDesk, rig: Callable[..., Any], crowd_of: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The old secret is refused, which is our configuration; the new one lets everything go, without a restart."""
    file = tmp_path / "oauth__client_secret"
    file.write_text(f"{SECRET}\n")
    desk.client = ("relay", OTHER_SECRET)

    async def run() -> None:
        chosen = settings(RELAY_SECRETS_DIR=str(tmp_path))
        del chosen["RELAY_OAUTH__CLIENT_SECRET"]
        async with rig(tokens=desk, **chosen) as one:
            one.produce(sessions(crowd_of))
            async with one.relay() as app:
                await one.wait_until(lambda: "RELAY_OAUTH__CLIENT_SECRET" in str(app.is_ready()[1]))
                file.write_text(f"{OTHER_SECRET}\n")
                await one.settle(app)
                assert counted(app, "token_refresh_total")["refused",] == desk.denied
                check_account(one, app)
            assert not MARK.findall("".join(one.pages) + caplog.text)

    asyncio.run(run())


def test_headers_in_a_secret_file_are_read_anew_when_the_gateway_refuses_them(
    desk: TokenDesk, rig: Callable[..., Any], crowd_of: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Static headers need no restart either."""
    desk._good_until[OTHER_SECRET] = float("inf")
    file = tmp_path / "api__headers"
    file.write_text(f'{{"Authorization": "Bearer {SECRET}"}}')

    async def run() -> None:
        async with rig(tokens=desk, RELAY_API__HEADERS="", RELAY_SECRETS_DIR=str(tmp_path)) as one:
            one.produce(sessions(crowd_of))
            async with one.relay() as app:
                await one.wait_until(lambda: "RELAY_API__HEADERS" in str(app.is_ready()[1]))
                file.write_text(f'{{"Authorization": "Bearer {OTHER_SECRET}"}}')
                await one.settle(app)
                check_account(one, app)
            assert not MARK.findall("".join(one.pages) + caplog.text)

    asyncio.run(run())

"""`relay fake-api`: one line at the start, the account at the end."""

import argparse
import asyncio
import json
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from relay.sandbox.fake_api import command

MakeEvent = Callable[..., dict[str, Any]]
Until = Callable[[Callable[[], bool]], Awaitable[None]]
Run = Callable[..., tuple[int, str, str]]


def parse(*arguments: str) -> argparse.Namespace:
    """Read a command line."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(arguments)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], event: MakeEvent, until: Until) -> Run:
    """Run the command, open a session with it, stop it by a signal: its exit code and both lines."""

    def whole(stop: signal.Signals, *arguments: str) -> tuple[int, str, str]:
        async def scene() -> tuple[int, str, str]:
            running = asyncio.create_task(command.run(parse("--port", "0", *arguments)))
            printed: list[str] = []

            def has_printed() -> bool:
                printed.append(capsys.readouterr().out)
                return "\n" in "".join(printed)

            await until(has_printed)
            first = "".join(printed)
            url = json.loads(first)["url"] if "--json" in arguments else first.split()[-1]
            async with httpx.AsyncClient(trust_env=False) as http:
                await http.post(f"{url}/api/v1/sessions", json=event("sessionStart"))
            os.kill(os.getpid(), stop)
            async with asyncio.timeout(5):
                code = await running
            return code, first, capsys.readouterr().out

        return asyncio.run(scene())

    return whole


def test_it_serves_until_a_signal_and_gives_account(run: Run) -> None:
    """In words, with the figures first and the judgement last."""
    code, first, last = run(signal.SIGTERM, "--fault", "events:500:0.5", "--seed", "7")
    assert (code, first.count("\n")) == (0, 1)
    assert first.startswith("the fake API listens at http://127.0.0.1:")
    assert last.splitlines()[0].split() == ["1", "events", "received"]
    assert last.splitlines()[-1] == "clean"
    assert "requests by status: 201 1" in last


def test_it_gives_account_in_json(run: Run) -> None:
    """One value to a line, the first with the URL."""
    code, _, last = run(signal.SIGINT, "--json")
    account = json.loads(last)
    assert (code, account["is_clean"], account["total"]["received"]) == (0, True, 1)


def test_it_asks_for_tokens_when_told_to(run: Run) -> None:
    """Who has none is answered 401."""
    _, _, last = run(signal.SIGTERM, "--token-client", "relay:secret", "--token-seconds", "30")
    assert "requests by status: 401 1" in last


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--fault", "events:500"], 2, "is not of the form"),
        (["--tls-key", "/nowhere"], 2, "needs --tls-cert"),
        (["--tls-cert", "/nowhere"], 2, "there is no file /nowhere"),
        (["--tls-cert", __file__], 2, "cannot use"),
        (["--port", "99999"], 2, "--port 99999 is none"),
        (["--token-client", "relay"], 2, "wants ID:SECRET"),
        (["--token-client", "relay:s", "--token-seconds", "0"], 2, "more than 0"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, reason: str) -> None:
    """On stderr, with the exit code of its kind."""
    assert asyncio.run(command.run(parse(*arguments))) == code
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert reason in printed.err


def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """That is no matter of usage."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert asyncio.run(command.run(parse("--port", str(port)))) == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in capsys.readouterr().err

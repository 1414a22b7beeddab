"""The fake's own endpoints."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from relay.sandbox.fake_api import FakeApi

Client = Any  # made in conftest.py, which cannot be imported
OnSocket = Callable[..., None]

PRODUCED = [(1, "sessionStart"), (2, "play"), (3, "ping"), (4, "ping")]


def lines(*produced: tuple[int, str], session: str = "p") -> bytes:
    """Spell events as JSON lines."""
    return b"".join(json.dumps({"session": session, "ts": ts, "eventType": what}).encode() + b"\n" for ts, what in produced)


def ask(client: Client, method: str, target: str, body: bytes = b"") -> tuple[int, object]:
    """Ask one of the endpoints; the status and what the answer holds."""
    reply = client.api.exchange(method, target, (), body).reply
    return int(reply.status), json.loads(reply.body) if reply.body else None


def test_faults_are_read_and_replaced(client: Client) -> None:
    """A wrong list changes nothing and is answered with what is wrong."""
    assert ask(client, "PUT", "/_fake/faults", b'["events:500:0.01"]') == (200, ["events:500:0.01"])
    assert ask(client, "GET", "/_fake/faults") == (200, ["events:500:0.01"])
    status, answer = ask(client, "PUT", "/_fake/faults", b'["events:500"]')
    assert (status, "is not of the form" in answer["message"]) == (400, True)
    assert ask(client, "PUT", "/_fake/faults", b"{")[0] == 400
    assert client.api.faults == ("events:500:0.01",)


def test_faults_do_not_strike_here(client: Client) -> None:
    """Else nobody could take them away."""
    client.api.set_faults(["all:500:1"])
    assert ask(client, "GET", "/_fake/account")[0] == 200


def test_the_account_lists_what_is_asked_for(client: Client) -> None:
    """By default the player sessions in which something is wrong."""
    client.send_all(client.open(1), ("play", 3), ("ping", 2))
    client.open(1, player="q")
    status, account = ask(client, "GET", "/_fake/account")
    assert (status, account["is_clean"], account["total"]["out_of_order"], account["player_sessions"]) == (200, False, 1, 2)
    assert list(account["sessions"]) == ["p"]
    assert list(ask(client, "GET", "/_fake/account?sessions=all")[1]["sessions"]) == ["p", "q"]
    assert ask(client, "GET", "/_fake/account?sessions=none")[1]["sessions"] == {}
    assert ask(client, "GET", "/_fake/account?sessions=few")[0] == 400


def test_a_purge_and_a_reset_are_done(client: Client) -> None:
    """A purge keeps what was received, a reset does not."""
    session = client.open(1)
    assert ask(client, "POST", "/_fake/purge") == (204, None)
    assert client.send(session, "ping", 2) == 404
    assert client.api.account().total.received == 1
    assert ask(client, "POST", "/_fake/reset") == (204, None)
    assert client.api.account().total.received == 0


def test_what_was_received_is_listed_by_player_session(client: Client) -> None:
    """A line each, in the order in which it was taken; bounded, and the last line says so."""
    session = client.open(1)
    client.send_all(session, ("play", 2))
    client.api.purge()
    client.send(session, "ping", 3)
    client.open(1, player="q")
    reply = client.api.exchange("GET", "/_fake/sessions", (), b"").reply
    first, second = (json.loads(line) for line in reply.body.splitlines())
    assert (first["session"], second["session"]) == ("p", "q")
    assert [(told["ts"], told["eventType"], told["outcome"]) for told in first["events"]] == [
        (1, "sessionStart", "accepted"),
        (2, "play", "accepted"),
        (3, "ping", "gone"),
    ]
    assert {told["apiSession"] for told in first["events"]} == {session}
    bounded = client.api.exchange("GET", "/_fake/sessions?limit=1", (), b"").reply.body.splitlines()
    assert [json.loads(line) for line in bounded][1:] == [{"sessions_left_off": 1}]


def test_what_was_produced_is_compared(client: Client) -> None:
    """Missing, extra, repeated, out of order; and what is remembered does not change by it."""
    client.send_all(client.open(1), ("ping", 4), ("play", 2), ("play", 2), ("pauseStart", 9))
    client.open(1, player="unheard of")
    status, answer = ask(client, "POST", "/_fake/compare", lines(*PRODUCED) + b"\n" + lines((1, "sessionStart"), session="lost"))
    found = answer["total"]
    assert (status, answer["is_clean"]) == (200, False)
    assert (found["missing"], found["extra"], found["repeats"], found["out_of_order"]) == (2, 2, 1, 1)
    assert answer["sessions"]["lost"]["findings"] == ["missing: sessionStart at 1"]
    assert client.api.account().total.missing == 0


def test_expectations_may_be_told_here_too(client: Client) -> None:
    """They are remembered."""
    assert ask(client, "POST", "/_fake/expect", lines(*PRODUCED)) == (204, None)
    assert client.api.account().total.missing == len(PRODUCED)


@pytest.mark.parametrize("body", [b"{", b'{"session": "p"}', b'{"session": 1, "ts": 1, "eventType": "play"}', b"\xff"])
def test_a_line_that_cannot_be_read_is_named(client: Client, body: bytes) -> None:
    """By its number."""
    status, answer = ask(client, "POST", "/_fake/compare", lines(*PRODUCED) + body)
    assert (status, answer["message"][:8]) == (400, "line 5: ")


@pytest.mark.parametrize(
    ("method", "target"), [("GET", "/_fake/purge"), ("POST", "/_fake/faults"), ("GET", "/_fake/"), ("GET", "/_fake/sessions?limit=x")]
)
def test_anything_else_is_refused(client: Client, method: str, target: str) -> None:
    """With a message."""
    status, answer = ask(client, method, target)
    assert status in {400, 404}
    assert answer["message"]


def test_the_endpoints_are_on_the_socket_too(on_socket: OnSocket) -> None:
    """With the content type of what they hold."""

    async def scene(_api: FakeApi, http: httpx.AsyncClient) -> None:
        assert (await http.put("/_fake/faults", json=["all:500:0"])).json() == ["all:500:0"]
        assert (await http.get("/_fake/sessions")).headers["content-type"] == "application/jsonl"
        assert (await http.post("/_fake/compare", content=lines(*PRODUCED))).json()["total"]["missing"] == 4

    on_socket(scene)

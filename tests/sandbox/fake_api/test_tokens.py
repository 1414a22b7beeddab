"""The fake gateway: who is given a token, who is let pass, and how those who test take part."""

import json
from urllib.parse import urlencode

import pytest

from relay.sandbox.fake_api import FakeApi
from relay.sandbox.fake_api.dialect import Headers
from relay.sandbox.fake_api.tokens import TokenDesk

FORM: Headers = (("content-type", "application/x-www-form-urlencoded"),)
ASKED = {"grant_type": "client_credentials", "client_id": "relay", "client_secret": "s cret"}


class Clock:
    """A time that a test turns."""

    now = 100.0

    def __call__(self) -> float:
        """Now."""
        return self.now


def gateway() -> tuple[FakeApi, TokenDesk, Clock]:
    """A fake API behind a desk."""
    clock = Clock()
    desk = TokenDesk("relay", "s cret", seconds=60, clock=clock)
    return FakeApi(tokens=desk), desk, clock


def ask(api: FakeApi, form: dict[str, str], headers: Headers = FORM) -> tuple[int, dict[str, object]]:
    """Ask for a token."""
    reply = api.exchange("POST", "/oauth/token", headers, urlencode(form).encode()).reply
    return int(reply.status), json.loads(reply.body)


def status_with(api: FakeApi, token: object, path: str = "/api/v1/sessions") -> int:
    """What a request is answered that carries a token. Its body is wrong, so who is let pass is answered 400."""
    return int(api.exchange("POST", path, (("authorization", f"Bearer {token}"),), b"").reply.status)


@pytest.mark.parametrize("path", ["/api/v1/sessions", "/api/v1/sessions/abc/events", "/ee/va/v1/sessionStart?configId=x"])
def test_nobody_passes_without_a_good_token(path: str) -> None:
    """In both dialects; a token is good until it expires or is taken back."""
    api, desk, clock = gateway()
    _, answer = ask(api, ASKED)
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 60)
    token = answer["access_token"]
    reply = api.exchange("POST", path, (), b"").reply
    assert (int(reply.status), dict(reply.headers)["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert status_with(api, "other", path) == 401
    assert status_with(api, token, path) != 401
    clock.now += 59
    assert status_with(api, token, path) != 401
    clock.now += 1
    assert status_with(api, token, path) == 401
    _, answer = ask(api, ASKED)
    desk.revoke()
    assert status_with(api, answer["access_token"], path) == 401
    assert (desk.granted, desk.turned_away) == (2, 4)
    assert api.account().requests["401"] == 4


def test_a_client_may_name_itself_in_a_header() -> None:
    """Form-encoded, then in base64, as the RFC has it."""
    api, _, _ = gateway()
    form = {"grant_type": "client_credentials"}
    assert ask(api, form, (*FORM, ("authorization", "Basic cmVsYXk6cytjcmV0")))[0] == 200
    assert ask(api, form, (*FORM, ("authorization", "Basic cmVsYXk6b3RoZXI=")))[0] == 401
    assert ask(api, form, (*FORM, ("authorization", "Basic ===")))[0] == 401


@pytest.mark.parametrize(
    ("form", "headers", "status", "error"),
    [
        (ASKED | {"client_secret": "other"}, FORM, 401, "invalid_client"),
        (ASKED | {"client_id": ""}, FORM, 401, "invalid_client"),
        (ASKED | {"grant_type": "password"}, FORM, 400, "unsupported_grant_type"),
        (ASKED, (), 400, "invalid_request"),
    ],
)
def test_who_asks_wrongly_gets_no_token(form: dict[str, str], headers: Headers, status: int, error: str) -> None:
    """With the words of the RFC."""
    api, desk, _ = gateway()
    assert ask(api, form, headers) == (status, {"error": error})
    assert (desk.granted, desk.denied) == (0, 1)


def admin(api: FakeApi, method: str, target: str, body: bytes = b"") -> tuple[int, object]:
    """Ask one of the fake's own endpoints."""
    reply = api.exchange(method, target, (), body).reply
    return int(reply.status), json.loads(reply.body) if reply.body else None


def test_tokens_are_taken_back_and_denied_while_it_runs() -> None:
    """By the fake's own endpoints, which ask for no token."""
    api, desk, _ = gateway()
    _, answer = ask(api, ASKED)
    assert admin(api, "POST", "/_fake/tokens/revoke") == (204, None)
    assert status_with(api, answer["access_token"]) == 401
    assert admin(api, "PUT", "/_fake/tokens", b'{"seconds":5,"status":503}')[0] == 200
    assert ask(api, ASKED)[0] == 503
    assert admin(api, "PUT", "/_fake/tokens", b'{"status":0}')[0] == 200
    assert ask(api, ASKED)[1]["expires_in"] == 5
    assert admin(api, "GET", "/_fake/tokens") == (200, {"granted": 2, "denied": 1, "turned_away": 1, "seconds": 5.0, "status": 0})
    assert admin(api, "PUT", "/_fake/tokens", b'{"seconds":-1}')[0] == 400
    assert desk.seconds == 5


def test_without_a_desk_nobody_asks_for_tokens() -> None:
    """And its endpoints say so."""
    api = FakeApi()
    assert status_with(api, "") == 400
    status, answer = admin(api, "GET", "/_fake/tokens")
    assert (status, "--token-client" in str(answer)) == (400, True)

"""The token endpoint: what is asked, and what each answer means."""

import asyncio
import base64
import json
from collections.abc import Callable
from urllib.parse import parse_qsl

import httpx
import pytest

from relay.api.token_endpoint import Application, NoToken, Token, TokenEndpoint

URL = "https://ims.example/ims/token/v3?x=1"
CLIENT = Application("the id", "s+cr&t", "openid,AdobeID", (("audience", "https://api.example"),))


def fetch(handler: Callable[[httpx.Request], httpx.Response], application: Application = CLIENT) -> Token | NoToken:
    """Ask once."""
    return asyncio.run(TokenEndpoint(httpx.MockTransport(handler), URL).fetch(application))


def answering(status: int, body: object) -> Callable[[httpx.Request], httpx.Response]:
    """An endpoint that always answers so."""
    return lambda _: httpx.Response(status, content=body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize("how", ["form", "header"])
def test_a_token_is_asked_for(how: str) -> None:
    """One POST of a form, with id and secret in it or in a Basic header; everything is encoded."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"access_token": "abc.DEF-1", "token_type": "Bearer", "expires_in": 86399})

    assert fetch(handler, CLIENT._replace(authentication=how)) == Token("abc.DEF-1", 86399.0)  # type: ignore[arg-type]
    (request,) = seen
    assert (request.method, str(request.url), request.headers["content-type"]) == ("POST", URL, "application/x-www-form-urlencoded")
    form = dict(parse_qsl(request.content.decode()))
    common = {"grant_type": "client_credentials", "scope": "openid,AdobeID", "audience": "https://api.example"}
    if how == "form":
        assert form == common | {"client_id": "the id", "client_secret": "s+cr&t"}
        assert "authorization" not in request.headers
    else:
        assert form == common
        kind, _, pair = request.headers["authorization"].partition(" ")
        assert (kind, base64.b64decode(pair)) == ("Basic", b"the+id:s%2Bcr%26t")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [(60, 60), ("3599", 3599), (None, 3600), (0, 3600), (-5, 3600), ("soon", 3600), (86_399_991, 86_400), ("inf", 86_400), ("nan", 3600)],
)
def test_a_lifetime_is_read_with_caution(said: object, seconds: float) -> None:
    """As number or text; unsaid or senseless it is an hour, and never more than a day."""
    assert fetch(answering(200, {"access_token": "a", "expires_in": said})) == Token("a", seconds)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>sign in</html>",
        b"[" * 100_000,
        b'{"access_token":"\xff"}',
        {"access_token": ""},
        {"access_token": "a b"},
        {"access_token": "a\r\nX-Evil: 1"},
        {"access_token": "ä"},
        {"access_token": "x" * 20_000},
        {"access_token": 7},
        {"access_token": "a", "token_type": "mac"},
    ],
    ids=repr,
)
def test_a_success_without_a_usable_token_is_our_configuration(body: object) -> None:
    """Something else answers there; nothing of what it says becomes a header."""
    found = fetch(answering(200, body))
    assert isinstance(found, NoToken)
    assert "RELAY_OAUTH__TOKEN_URL" in found.advice


@pytest.mark.parametrize(
    ("status", "body", "cause", "setting"),
    [
        (400, {"error": "invalid_client", "error_description": "geheim"}, "invalid_client", "RELAY_OAUTH__CLIENT_SECRET"),
        (400, {"error": "invalid_scope"}, "invalid_scope", "RELAY_OAUTH__SCOPE"),
        (401, b"geheim", "status_401", "RELAY_OAUTH__CLIENT_SECRET"),
        (400, {"error": "geheim"}, "status_400", "RELAY_OAUTH__FORM"),
        (403, {"error": ["geheim"]}, "status_403", "RELAY_OAUTH__TOKEN_URL"),
        (404, b"", "status_404", "RELAY_OAUTH__TOKEN_URL"),
        (302, b"", "status_302", "RELAY_OAUTH__TOKEN_URL"),
    ],
)
def test_a_refusal_names_what_to_check(status: int, body: object, cause: str, setting: str) -> None:
    """Codes of the RFC are taken over, other words of the endpoint never."""
    found = fetch(answering(status, body))
    assert isinstance(found, NoToken)
    assert found.cause == cause
    assert setting in found.advice
    assert "geheim" not in repr(found)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_failure_of_the_moment_blames_nobody(status: int) -> None:
    """It may go better in a while."""
    assert fetch(answering(status, b"")) == NoToken(f"status_{status}")


@pytest.mark.parametrize(
    ("error", "cause"),
    [(httpx.ReadTimeout, "timeout"), (httpx.ConnectError, "connect"), (httpx.ReadError, "reset"), (httpx.RemoteProtocolError, "reset")],
)
def test_no_answer_is_the_moments_fault(error: type[httpx.TransportError], cause: str) -> None:
    """Whatever the transport says."""

    def handler(_: httpx.Request) -> httpx.Response:
        raise error("geheim")

    assert fetch(handler) == NoToken(cause)


def test_neither_secret_nor_token_is_in_a_representation() -> None:
    """Who logs them by mistake shows none."""
    assert "s+cr&t" not in repr(CLIENT)
    assert "geheim" not in repr(Token("geheim", 1))

"""A gateway before the fake API: it lets nobody pass without a bearer token, and gives tokens to one client.

In: requests. Out: tokens by the client credentials grant of OAuth2 at `POST /oauth/token`, and a 401 for who has none that is good.
"""

import base64
import time
from collections.abc import Callable
from http import HTTPStatus
from random import Random
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

import msgspec

from relay.sandbox.fake_api.dialect import Headers, Reply

PATH: Final = "/oauth/token"
SECONDS: Final = 3_600.0

_JSON: Final[Headers] = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
_CHALLENGE: Final[Headers] = (("Content-Type", "application/json"), ("WWW-Authenticate", 'Bearer error="invalid_token"'))


class TokenDesk:
    """Gives tokens, and knows which are good."""

    def __init__(
        self, client_id: str, client_secret: str, *, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Know one client."""
        self.client = (client_id, client_secret)
        self.seconds = seconds
        self.status = 0  # with which every request for a token fails; 0 for none
        self.granted = 0
        self.denied = 0
        self.turned_away = 0  # requests to the API without a token that is good
        self._clock = clock
        self._good_until: dict[str, float] = {}
        self._random = Random()  # noqa: S311  # tokens that nobody has to guess

    def grant(self, method: str, headers: Headers, body: bytes) -> Reply:
        """Answer a request for a token."""
        fault = self._fault(method, dict(headers), body)
        if fault is not None:
            self.denied += 1
            status, error = fault
            return Reply(status, _JSON, msgspec.json.encode({"error": error}))
        self.granted += 1
        now = self._clock()
        self._good_until = {token: until for token, until in self._good_until.items() if until > now}
        token = f"{self._random.getrandbits(128):032x}"
        self._good_until[token] = now + self.seconds
        return Reply(
            HTTPStatus.OK, _JSON, msgspec.json.encode({"access_token": token, "token_type": "bearer", "expires_in": int(self.seconds)})
        )

    def turn_away(self, headers: Headers) -> Reply | None:
        """Refuse a request whose token is not good; None lets it pass."""
        kind, _, token = dict(headers).get("authorization", "").partition(" ")
        if kind == "Bearer" and self._good_until.get(token, 0.0) > self._clock():
            return None
        self.turned_away += 1
        return Reply(HTTPStatus.UNAUTHORIZED, _CHALLENGE, msgspec.json.encode({"message": "the token is missing, expired or revoked"}))

    def revoke(self) -> None:
        """From now on no token is good that was given so far."""
        self._good_until.clear()

    def _fault(self, method: str, headers: dict[str, str], body: bytes) -> tuple[int, str] | None:
        if self.status:
            return self.status, "temporarily_unavailable"
        if method != "POST" or headers.get("content-type") != "application/x-www-form-urlencoded":
            return HTTPStatus.BAD_REQUEST, "invalid_request"
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        if form.get("grant_type") != "client_credentials":
            return HTTPStatus.BAD_REQUEST, "unsupported_grant_type"
        named = (
            _basic(headers["authorization"]) if "authorization" in headers else (form.get("client_id", ""), form.get("client_secret", ""))
        )
        return None if named == self.client else (HTTPStatus.UNAUTHORIZED, "invalid_client")


def _basic(header: str) -> tuple[str, str]:
    try:
        client_id, _, secret = base64.b64decode(header.removeprefix("Basic "), validate=True).decode("ascii").partition(":")
    except ValueError:
        return "", ""
    return unquote_plus(client_id), unquote_plus(secret)

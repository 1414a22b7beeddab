"""The token endpoint of OAuth2: the client credentials grant, one request for one token.

In: who we are. Out: a `Token`, or `NoToken` with the cause, and with what to check where it is our own configuration. Neither the secret
nor the token gets into an error, and of the endpoint's words only the codes of RFC 6749 are taken over.
"""

import base64
from typing import Final, Literal, NamedTuple, TypeAlias
from urllib.parse import quote_plus, urlencode

import httpx
import msgspec

from relay.api.bodies import ANSWER_BYTES_READ_MAX, read_body

TOKEN_CHARACTERS_MAX: Final = 16_384  # servers take no longer head
LIFETIME_SECONDS_UNSAID: Final = 3_600.0  # `expires_in` is only recommended; a token that dies earlier is noticed by a 401
LIFETIME_SECONDS_MAX: Final = 86_400.0  # some endpoints speak of milliseconds: then a token is renewed once a day
_OURS: Final = frozenset(
    {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope"}
)
_MOMENT: Final = frozenset({408, 425, 429})
_OK: Final = range(200, 300)
_SERVER_ERROR: Final = 500

ClientAuthentication: TypeAlias = Literal["form", "header"]


class Application(NamedTuple):
    """Who asks for a token."""

    client_id: str
    client_secret: str
    scope: str = ""
    form: tuple[tuple[str, str], ...] = ()  # what this endpoint wants besides
    authentication: ClientAuthentication = "form"

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Application({self.client_id!r})"


class Token(msgspec.Struct, frozen=True):
    """A bearer token, and for how long it is good."""

    value: str
    seconds: float

    def __repr__(self) -> str:
        """Without the token."""
        return f"Token(seconds={self.seconds})"


class NoToken(msgspec.Struct, frozen=True):
    """No token was given."""

    cause: str  # "status_503", "timeout", "invalid_client", …: a closed list
    advice: str = ""  # what to check, where it is our own fault; else it is the moment's


class _Granted(msgspec.Struct):
    access_token: str = ""
    token_type: str = "bearer"  # noqa: S105  # the kind of it, no secret
    expires_in: float | str | None = None


class _Problem(msgspec.Struct):
    error: str = ""


_decode_granted = msgspec.json.Decoder(_Granted).decode
_decode_problem = msgspec.json.Decoder(_Problem).decode


class TokenEndpoint:
    """Asks one endpoint, over a transport that it does not own."""

    def __init__(self, transport: httpx.AsyncBaseTransport, url: str, *, timeout_seconds: float = 10.0) -> None:
        """Nothing is asked yet."""
        self._transport = transport
        self._url = httpx.URL(url)
        self._timeout = dict.fromkeys(("connect", "read", "write", "pool"), timeout_seconds)

    async def fetch(self, application: Application) -> Token | NoToken:
        """Ask for a token. Never raises for what the outside does."""
        try:
            status, body = await self._post(application)
        except httpx.TransportError as error:
            return NoToken(
                "timeout" if isinstance(error, httpx.TimeoutException) else "connect" if isinstance(error, httpx.ConnectError) else "reset"
            )
        return _read_token(body) if status in _OK else _read_refusal(status, body)

    async def _post(self, application: Application) -> tuple[int, bytes]:
        fields = {
            "grant_type": "client_credentials",
            **({"scope": application.scope} if application.scope else {}),
            **dict(application.form),
        }
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if application.authentication == "header":
            headers["authorization"] = f"Basic {_basic(application)}"
        else:
            fields |= {"client_id": application.client_id, "client_secret": application.client_secret}
        request = httpx.Request(
            "POST", self._url, headers=headers, content=urlencode(fields).encode("ascii"), extensions={"timeout": self._timeout}
        )
        response = await self._transport.handle_async_request(request)
        body = await read_body(response)
        return response.status_code, body[:ANSWER_BYTES_READ_MAX]


def _basic(application: Application) -> str:
    """Both parts are form-encoded first, says RFC 6749."""
    pair = f"{quote_plus(application.client_id)}:{quote_plus(application.client_secret)}"
    return base64.b64encode(pair.encode("ascii")).decode("ascii")


def _read_token(body: bytes) -> Token | NoToken:
    try:
        granted = _decode_granted(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        granted = _Granted()
    token = granted.access_token
    is_usable = 0 < len(token) <= TOKEN_CHARACTERS_MAX and token.isascii() and token.isprintable() and " " not in token
    if not is_usable or granted.token_type.lower() != "bearer":
        return NoToken("no_token", "the token endpoint answers without a bearer token: check RELAY_OAUTH__TOKEN_URL")
    return Token(token, _lifetime_seconds(granted.expires_in))


def _lifetime_seconds(said: float | str | None) -> float:
    """Seconds, as a number or as text; nonsense counts as unsaid."""
    try:
        seconds = float(said or 0.0)
    except ValueError:
        seconds = 0.0
    return min(seconds, LIFETIME_SECONDS_MAX) if seconds > 0 else LIFETIME_SECONDS_UNSAID


def _read_refusal(status: int, body: bytes) -> NoToken:
    if status >= _SERVER_ERROR or status in _MOMENT or status < _OK.start:
        return NoToken(f"status_{status}")
    try:
        error = _decode_problem(body).error
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        error = ""
    cause = error if error in _OURS else f"status_{status}"
    return NoToken(cause, f"the token endpoint refuses us ({cause}): {_what_to_check(cause)}")


def _what_to_check(cause: str) -> str:
    match cause:
        case "invalid_scope":
            return "check RELAY_OAUTH__SCOPE"
        case "invalid_client" | "unauthorized_client" | "status_401":
            return "check RELAY_OAUTH__CLIENT_ID, RELAY_OAUTH__CLIENT_SECRET and RELAY_OAUTH__CLIENT_AUTHENTICATION"
        case "invalid_request" | "invalid_grant" | "unsupported_grant_type" | "status_400":
            return "check RELAY_OAUTH__CLIENT_ID, RELAY_OAUTH__SCOPE and RELAY_OAUTH__FORM"
        case _:
            return "check RELAY_OAUTH__TOKEN_URL"

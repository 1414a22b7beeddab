"""An answer of the API, or the lack of one → what it means, by whose fault it is.

The event's fault: set it aside. The session's: open another. The moment's: try again. Our own: hold, and say what to check.
The dialects read what is special in their answers and leave the rest to the two functions here.
"""

from http import HTTPStatus
from typing import Final

import msgspec

from relay.core.inputs import Accepted, Lost, Misconfigured, Refused, TryAgain


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What the API answered."""

    status: int
    retry_after_seconds: float = 0.0
    location: str = ""
    body: bytes = b""  # at most the first few kilobytes


class Unreachable(msgspec.Struct, frozen=True, gc=False):
    """No answer came."""

    cause: str  # "connect", "timeout", "reset", "protocol", "tls": fit for a metric's label
    was_sent: bool  # the request, or a part of it, had left: it may have been applied


_LOST: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_MOMENT: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_ADVICE: Final[dict[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "the API asks for credentials: check RELAY_API__HEADERS, RELAY_OAUTH__CLIENT_ID and the gateway before it",
    HTTPStatus.FORBIDDEN: "the API refuses us: check RELAY_API__HEADERS, the client certificate and the address that we come from",
    HTTPStatus.METHOD_NOT_ALLOWED: "there is something else at this address: check RELAY_API__URL",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: "a proxy asks for credentials: check the environment's proxy settings",
}
_WRONG_ADDRESS: Final = "there is no such API at this address: check RELAY_API__URL and RELAY_API__DIALECT"
_REDIRECTED: Final = "the API redirects, which is never followed: check RELAY_API__URL"

ACCEPTED: Final = Accepted()


def judge_sending(answer: Answer | Unreachable, detail: str = "") -> Accepted | Lost | TryAgain | Misconfigured | Refused:
    """What an answer to an event means for its session."""
    if isinstance(answer, Unreachable):
        return _unreachable(answer)
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return ACCEPTED
    if answer.status in _LOST:
        return Lost(answer.status)
    return _judge_failure(answer, detail)


def judge_opening(answer: Answer | Unreachable, detail: str = "") -> TryAgain | Misconfigured | Refused:
    """What it means that a session was not opened: here a 404 is our own wrong address."""
    if isinstance(answer, Unreachable):
        return _unreachable(answer)
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return TryAgain("no_session_id", answer.status, answer.retry_after_seconds)
    if answer.status in _LOST:
        return Misconfigured(answer.status, _WRONG_ADDRESS)
    return _judge_failure(answer, detail)


def _judge_failure(answer: Answer, detail: str) -> TryAgain | Misconfigured | Refused:
    status = answer.status
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _MOMENT or status < HTTPStatus.OK:
        return TryAgain(f"status_{status}", status, answer.retry_after_seconds)
    if status < HTTPStatus.BAD_REQUEST:
        return Misconfigured(status, _REDIRECTED)
    advice = _ADVICE.get(status)
    return Misconfigured(status, advice) if advice else Refused(status, detail)


def _unreachable(answer: Unreachable) -> TryAgain:
    return TryAgain(answer.cause, is_outcome_unknown=answer.was_sent)

"""How the Media Edge API words its answers: the envelope of the gateway, and problem objects (RFC 7807).

In: what happened. Out: replies. Request ids, the order of handles and what a customer cannot choose are drawn from a seed.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from random import Random
from typing import Final
from uuid import UUID

import msgspec

from relay.sandbox.fake_api.dialect import Headers, Location, Operation, Reply
from relay.sandbox.fake_api.edge_rules import Detail

HINTS: Final = ("or2", "va6", "irl1", "ind1", "jpn3", "sgp3", "aus3")
HINT_SECONDS: Final = 1_800

_TYPES: Final = "https://ns.adobe.com/aep/errors/"
_IDENTITY_SECONDS: Final = 34_128_000
_COOKIES: Final = "kndctr_0123456789ABCDEF01234567_AdobeOrg_"
_UNUSABLE_ID: Final = "../evil"
_ELSEWHERE: Final = "//elsewhere.invalid/"

# What the gateway has an error of its own for, by status.
_GATEWAY: Final[Mapping[int, str]] = {
    HTTPStatus.UNAUTHORIZED: "0501-401",
    HTTPStatus.FORBIDDEN: "0400-403",
    HTTPStatus.REQUEST_TIMEOUT: "0109-408",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "0112-413",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "0111-415",
    HTTPStatus.UNPROCESSABLE_ENTITY: "0104-422",
    HTTPStatus.INTERNAL_SERVER_ERROR: "0001-500",
    HTTPStatus.BAD_GATEWAY: "0203-502",
    HTTPStatus.SERVICE_UNAVAILABLE: "0000-503",
    HTTPStatus.GATEWAY_TIMEOUT: "0200-504",
}
_INVALID_REQUEST: Final = "0101-400"
_OTHER_UPSTREAMS: Final = (("0200-504", "the call to the personalization service took too long"), ("0201-503", "audiences are unavailable"))

_JSON: Final = ("Content-Type", "application/json;charset=utf-8")
_PROBLEM: Final = ("Content-Type", "application/problem+json")  # what the gateway says of its own; media answers say plain JSON

Object = dict[str, object]


class Answers:
    """The wording of one fake."""

    def __init__(self, random: Random) -> None:
        """Take where chance comes from."""
        self._random = random

    # --- openings ---------------------------------------------------------------------------------------------------------------

    def opened(self, session_id: str, location: Location) -> Reply:
        """200 and the id in a handle among others; a fault may word it otherwise."""
        handles = self._handles(session_id, hint=_ELSEWHERE if location is Location.OTHER_HOST else None)
        if location is not Location.MISSING:
            told = _UNUSABLE_ID if location is Location.UNUSABLE else session_id
            handles.append({"payload": [{"sessionId": told}], "type": "media-analytics:new-session", "eventIndex": 0})
        if location is not Location.UPSTREAM:
            return self._envelope(HTTPStatus.OK, handles)
        code, title = self._random.choice(_OTHER_UPSTREAMS)
        return self._envelope(HTTPStatus.MULTI_STATUS, handles, {"type": _exeg(code), "status": int(code[-3:]), "title": title})

    def not_opened(self, details: Sequence[Detail] | str) -> Reply:
        """207: the gateway is content, but the body of the sessionStart breaks rules. There is no session."""
        error: Object = {
            "type": _va_edge(HTTPStatus.BAD_REQUEST),
            "status": int(HTTPStatus.BAD_REQUEST),
            "title": "Invalid request",
            "report": {"eventIndex": 0, "details": _details(details)},
        }
        return self._envelope(HTTPStatus.MULTI_STATUS, self._handles("", hint=None), error)

    def _handles(self, session_id: str, *, hint: str | None) -> list[Object]:
        """The handles that come along. Scopes of other solutions have hints of their own, which are no part of any path."""
        cluster = HINTS[int(session_id[:8] or "0", 16) % len(HINTS)]
        hints: list[Object] = [
            {"scope": "Target", "hint": "35", "ttlSeconds": HINT_SECONDS},
            {"scope": "AAM", "hint": "9", "ttlSeconds": HINT_SECONDS},
            {"scope": "EdgeNetwork", "hint": cluster if hint is None else hint, "ttlSeconds": HINT_SECONDS},
        ]
        self._random.shuffle(hints)
        stored = [
            {"key": f"{_COOKIES}cluster", "value": cluster, "maxAge": HINT_SECONDS},
            {"key": f"{_COOKIES}identity", "value": f"{self._random.getrandbits(96):024x}", "maxAge": _IDENTITY_SECONDS},
        ]
        return [{"payload": stored, "type": "state:store"}, {"payload": hints, "type": "locationHint:result"}]

    def _envelope(self, status: HTTPStatus, handles: list[Object], *errors: Object) -> Reply:
        request_id = self._request_id()
        self._random.shuffle(handles)
        envelope: Object = {"requestId": request_id, "handle": handles}
        if errors:
            envelope["errors"] = list(errors)
        return Reply(status, (_JSON, *_headers(request_id)), msgspec.json.encode(envelope))

    # --- events -----------------------------------------------------------------------------------------------------------------

    def accepted(self) -> Reply:
        """204, no body."""
        return Reply(HTTPStatus.NO_CONTENT, _headers(self._request_id()))

    def broken(self, details: Sequence[Detail] | str) -> Reply:
        """400 with everything that is wrong."""
        return self._problem(HTTPStatus.BAD_REQUEST, _va_edge(HTTPStatus.BAD_REQUEST), "the request is invalid, see its report", details)

    def gone(self, status: HTTPStatus) -> Reply:
        """404 or 410."""
        advice = "the session is unknown, or it is too old: after 24 hours at the latest a new one has to be started"
        return self._problem(status, _va_edge(status), "no session takes this event", advice)

    # --- both -------------------------------------------------------------------------------------------------------------------

    def failed(self, operation: Operation, status: int, message: str) -> Reply:
        """Any other status. A sessionStart is never answered 400 for its media, so there it is the gateway's."""
        if operation is Operation.SESSIONS and status == HTTPStatus.BAD_REQUEST:
            return self.unfit(_INVALID_REQUEST, message)
        if status in _GATEWAY:
            return self.unfit(_GATEWAY[status], message)
        return self._problem(status, _va_edge(status), message, message)

    def unfit(self, code: str, message: str) -> Reply:
        """The gateway refuses or fails; the last digits of its code are the status."""
        return self._problem(int(code[-3:]), _exeg(code), message)

    def nothing_here(self, status: HTTPStatus, message: str) -> Reply:
        """An answer that has nothing to do with media."""
        return self._problem(status, "about:blank", message)

    def _problem(self, status: int, kind: str, detail: str, details: Sequence[Detail] | str | None = None) -> Reply:
        request_id = self._request_id()
        report: Object = {} if details is None else {"details": _details(details)}
        problem = {
            "type": kind,
            "status": int(status),
            "title": _title(status),
            "detail": detail,
            "report": report | {"requestId": request_id},
        }
        content_type = _PROBLEM if details is None else _JSON
        return Reply(status, (content_type, *_headers(request_id)), msgspec.json.encode(problem))

    def _request_id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))


def _details(details: Sequence[Detail] | str) -> object:
    return details if isinstance(details, str) else [detail._asdict() for detail in details]


def _exeg(code: str) -> str:
    return f"{_TYPES}EXEG-{code}"


def _va_edge(status: int) -> str:
    return f"{_TYPES}va-edge-0{int(status)}-{int(status)}"


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _headers(request_id: str) -> Headers:
    return (
        ("x-request-id", request_id),
        ("x-rate-limit-remaining", "599"),
        ("cache-control", "no-cache, no-store, max-age=0, no-transform"),
    )

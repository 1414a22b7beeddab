"""The classic dialect, the Media Collection API: its paths and the wording of its answers.

In: requests. Out: what they ask for, or an answer. `collection_rules.py` has the rules for a body.
"""

from http import HTTPStatus
from typing import Final

import msgspec

from relay.sandbox.fake_api.collection_rules import Fault, read_event
from relay.sandbox.fake_api.dialect import Asked, Headers, Location, Operation, Reply

_PREFIX: Final = "/api/v1/"
_SESSIONS: Final = "/api/v1/sessions"
_EVENTS_SUFFIX: Final = "/events"
_SCHEMAS: Final = "/api/v1/schemas/"

# The documents show these on every 201 and 204.
_CORS: Final[Headers] = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "OPTIONS,POST,PUT"),
    ("Access-Control-Allow-Headers", "Content-Type"),
    ("Access-Control-Expose-Headers", "Location"),
)
_OPENED_HEADERS: Final[Headers] = (("Content-Type", "application/octet-stream"), *_CORS)
_ACCEPTED: Final = Reply(HTTPStatus.NO_CONTENT, _CORS)
_JSON: Final[Headers] = (("Content-Type", "application/json"),)
_UNUSABLE: Final = "..%2Fevil"  # no id: with a plain slash the last segment, "evil", would pass as one
_ELSEWHERE: Final = "https://elsewhere.invalid"


class Collection:
    """The classic dialect."""

    def owns(self, path: str) -> bool:
        """Whether the path is below `/api/v1/`."""
        return path.startswith(_PREFIX)

    def understand(self, method: str, target: str, body: bytes) -> Asked | Reply:
        """Read a request; a reply means that it breaks a rule."""
        path = target.partition("?")[0]
        if path == _SESSIONS:
            operation, session_id = Operation.SESSIONS, ""
        elif path.startswith(f"{_SESSIONS}/") and path.endswith(_EVENTS_SUFFIX):
            operation, session_id = Operation.EVENTS, path[len(_SESSIONS) + 1 : -len(_EVENTS_SUFFIX)]
        elif path.startswith(_SCHEMAS):
            return self._complain(HTTPStatus.NOT_FOUND, "this fake publishes no schemas")
        else:
            return self._complain(HTTPStatus.NOT_FOUND, "there is nothing at this path")
        if method != "POST":
            return self._complain(HTTPStatus.METHOD_NOT_ALLOWED, "use POST")
        try:
            return Asked(operation, read_event(body, operation), session_id)
        except Fault as fault:
            return self._complain(HTTPStatus.BAD_REQUEST, str(fault))

    def opened(self, session_id: str, location: Location) -> Reply:
        """201, an empty body and the id in a relative `Location`, unless a fault words it otherwise."""
        path = f"{_SESSIONS}/{session_id}"
        if location is Location.MISSING:
            return Reply(HTTPStatus.CREATED, _OPENED_HEADERS)
        if location is Location.UNUSABLE:
            path = f"{path}/{_UNUSABLE}"
        elif location is Location.OTHER_HOST:
            path = f"{_ELSEWHERE}{path}"
        return Reply(HTTPStatus.CREATED, (("Location", path), *_OPENED_HEADERS))

    def accepted(self) -> Reply:
        """204, no body."""
        return _ACCEPTED

    def gone(self, session_id: str, *, was_known: bool) -> Reply:  # noqa: ARG002  # the id changes nothing here
        """404, or 410 for a session that was known."""
        if was_known:
            return self._complain(HTTPStatus.GONE, "this session has ended or expired")
        return self._complain(HTTPStatus.NOT_FOUND, "there is no session with this id")

    def failed(self, operation: Operation, status: int, message: str) -> Reply:  # noqa: ARG002  # both speak alike here
        """Any other status, with a message."""
        return self._complain(status, message)

    def _complain(self, status: int, message: str) -> Reply:
        return Reply(status, _JSON, msgspec.json.encode({"message": message}))

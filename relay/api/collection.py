"""The classic dialect: the Media Collection API, `/api/v1/sessions`.

In: commands. Out: calls whose bodies hold the player's JSON as it came; and answers → verdicts. The id of a session is the last segment of
`Location`, whatever else stands there: requests always go to the configured host.
"""

from typing import Final
from urllib.parse import urlsplit

import msgspec

from relay.api.dialect import ApiCall
from relay.core.commands import OpenSession, SendEvent
from relay.core.events import EventType, as_session_id
from relay.core.inputs import Opened, Verdict
from relay.core.verdict import Answer, Unreachable, judge_opening, judge_sending

_CREATED_FROM: Final = 200
_CREATED_BELOW: Final = 300


class _PlayerTime(msgspec.Struct, frozen=True, gc=False):
    playhead: float
    ts: int


class _Body(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    playerTime: _PlayerTime  # noqa: N815  # the wire's names
    eventType: EventType  # noqa: N815
    params: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    qoeData: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815
    customMetadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815


class _Problem(msgspec.Struct, gc=False):
    message: str = ""


_encode = msgspec.json.Encoder().encode
_decode_problem = msgspec.json.Decoder(_Problem).decode


class MediaCollection:
    """The dialect, below a base path."""

    required_start_params: frozenset[str] = frozenset(
        {
            "analytics.trackingServer",
            "analytics.reportSuite",
            "visitor.marketingCloudOrgId",
            "media.id",
            "media.length",
            "media.contentType",
            "media.playerName",
            "media.channel",
        }
    )

    def __init__(self, base_path: str = "") -> None:
        """Address the API below a path of the configured host."""
        self._sessions = f"{base_path.rstrip('/')}/api/v1/sessions".encode("ascii")

    def opening(self, command: OpenSession) -> ApiCall:
        """`POST /api/v1/sessions`."""
        start = command.start
        body = _Body(
            _PlayerTime(command.playhead, command.ts),
            EventType.SESSION_START,
            _raw(start.params),
            _raw(command.qoe_data),
            _raw(start.custom_metadata),
        )
        return ApiCall(self._sessions, _encode(body))

    def sending(self, command: SendEvent) -> ApiCall:
        """`POST /api/v1/sessions/{id}/events`."""
        event = command.event
        body = _Body(
            _PlayerTime(event.playhead, event.ts),
            event.event_type,
            _raw(event.params),
            _raw(event.qoe_data),
            _raw(event.custom_metadata),
        )
        return ApiCall(b"%s/%s/events" % (self._sessions, command.session_id.encode("ascii")), _encode(body))

    def impossible_opening(self) -> ApiCall:
        """An empty object: nothing that is required is in it."""
        return ApiCall(self._sessions, b"{}")

    def judge_opening(self, answer: Answer | Unreachable) -> Verdict:
        """Opened only with an id that is one; a 2xx without it is a failed opening."""
        if isinstance(answer, Answer) and _CREATED_FROM <= answer.status < _CREATED_BELOW:
            session_id = as_session_id(_last_segment(answer.location))
            if session_id is not None:
                return Opened(session_id)
        return judge_opening(answer, _words(answer))

    def judge_sending(self, answer: Answer | Unreachable) -> Verdict:
        """Nothing is special here."""
        return judge_sending(answer, _words(answer))


def _raw(json: bytes) -> msgspec.Raw | msgspec.UnsetType:
    return msgspec.Raw(json) if json else msgspec.UNSET


def _last_segment(location: str) -> str:
    if not location.isprintable():  # urlsplit would quietly take line ends out
        return ""
    if location.startswith("/") and not location.startswith("//"):  # as the API writes it; urlsplit finds the same, at five times the cost
        return location.partition("#")[0].partition("?")[0].rpartition("/")[2]
    try:
        return urlsplit(location).path.rpartition("/")[2]
    except ValueError:  # "http://[" is no URL
        return ""


def _words(answer: Answer | Unreachable) -> str:
    """The API's own words on what it refused, for the dead letter."""
    if isinstance(answer, Unreachable) or not answer.body:
        return ""
    try:
        return _decode_problem(answer.body).message or "the API gave no message"
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return "the API's answer is not the JSON that it documents"

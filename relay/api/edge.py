"""The Edge dialect: the Media Edge API, `/ee/va/v1/{event}`.

In: commands. Out: calls, whose bodies `edge_translation.py` makes; and answers → verdicts, read by `edge_answers.py`. A session's events
carry its id in the body; the route that goes with them is the location hint which the opening was answered with.
"""

from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from relay.api.dialect import ApiCall
from relay.api.edge_answers import Reply, is_hint, read_reply, reasons
from relay.api.edge_translation import event_body, opening_body
from relay.api.edge_words import FORMS
from relay.core.commands import OpenSession, SendEvent
from relay.core.events import EventType
from relay.core.inputs import Misconfigured, Opened, Refused, TryAgain, Verdict
from relay.core.reasons import Reason
from relay.core.verdict import Answer, Unreachable, judge_opening, judge_sending

UPSTREAM_ERROR: Final = "upstream_error"  # a session was opened, though another product behind the datastream failed
_MEDIA_IS_OFF: Final = (
    "the Edge opened no session and names no error: switch Media Analytics on in the datastream, or check RELAY_API__DATASTREAM_ID"
)


class MediaEdge:
    """The dialect, below a base path, for one datastream."""

    required_start_params: frozenset[str] = frozenset(
        {"media.id", "media.length", "media.contentType", "media.playerName", "media.channel"}
    )

    def __init__(  # noqa: PLR0913  # each is a thing that an operator chooses
        self,
        datastream_id: str,
        base_path: str = "",
        *,
        follows_location_hints: bool = True,
        retries_500: bool = True,
        dropped_params: frozenset[str] = frozenset(),
        warned: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Choose what to do about location hints, 500s and params that nobody needs; `warned` hears why an opening was not flawless."""
        query = quote(datastream_id, safe="")
        self._ends = {kind: f"/va/v1/{form.endpoint}?configId={query}".encode("ascii") for kind, form in FORMS.items()}
        self._base = f"{base_path.rstrip('/')}/ee".encode("ascii")
        self._follows_location_hints = follows_location_hints
        self._retries_500 = retries_500
        self._dropped_params = dropped_params
        self._warned = warned

    def opening(self, command: OpenSession) -> ApiCall:
        """`POST /ee/va/v1/sessionStart`."""
        return ApiCall(self._base + self._ends[EventType.SESSION_START], opening_body(command, self._dropped_params))

    def sending(self, command: SendEvent) -> ApiCall:
        """`POST /ee/va/v1/{event}`, with the location hint after `/ee` where there is one."""
        event = command.event
        base = self._base
        if command.route and self._follows_location_hints:
            base += _segment(command.route)
        return ApiCall(base + self._ends[event.event_type], event_body(event, command.session_id, self._dropped_params))

    def impossible_opening(self) -> None:
        """None: the gateway hands a sessionStart to every product behind the datastream, whatever the Media API thinks of it."""

    def judge_opening(self, answer: Answer | Unreachable) -> Verdict:
        """Opened only with a session's handle, whatever the status says; with it, whatever else the answer says."""
        if isinstance(answer, Unreachable):
            return judge_opening(answer)
        reply = read_reply(answer.body)
        if not _is_success(answer):
            return _ours(answer, reply) or judge_opening(answer, reasons(reply))
        if reply.session_id is not None:
            if reply.problems:
                self._warned(UPSTREAM_ERROR)
            return Opened(reply.session_id, reply.hint if self._follows_location_hints else "")
        return _not_opened(answer, reply)

    def judge_sending(self, answer: Answer | Unreachable) -> Verdict:
        """A gateway that cannot use our datastream is no fault of the event's; and Adobe advises against another try after a 500."""
        if isinstance(answer, Unreachable) or _is_success(answer):
            return judge_sending(answer)
        reply = read_reply(answer.body)
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR and not self._retries_500:
            return Refused(answer.status, reasons(reply), Reason.ATTEMPTS_EXHAUSTED)
        return _ours(answer, reply) or judge_sending(answer, reasons(reply))


def _not_opened(answer: Answer, reply: Reply) -> Verdict:
    """A success that opened nothing: 207 when something behind the gateway failed, 200 when nothing there listens."""
    if any(problem.is_of_the_body for problem in reply.problems):
        return Refused(answer.status, reasons(reply))
    ours = _ours(answer, reply)
    if ours is not None:
        return ours
    if answer.status == HTTPStatus.OK and reply.is_envelope and not reply.problems and not reply.named_session:
        return Misconfigured(answer.status, _MEDIA_IS_OFF)
    return TryAgain("no_session_id", answer.status, answer.retry_after_seconds)


def _ours(answer: Answer, reply: Reply) -> Misconfigured | None:
    advice = next((problem.advice for problem in reply.problems if problem.advice), "")
    return Misconfigured(answer.status, advice) if advice else None


def _is_success(answer: Answer) -> bool:
    return HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES


@lru_cache(maxsize=256)
def _segment(route: str) -> bytes:
    """The hint as a segment of the path. It may come out of the state topic, so it is looked at once more."""
    return b"/" + route.encode("ascii") if is_hint(route) else b""

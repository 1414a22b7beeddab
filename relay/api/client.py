"""Commands → requests of httpx → answers → verdicts.

In: `OpenSession` and `SendEvent`. Out: a `Verdict`, always: no failure of the outside travels further as an exception.

The client speaks to `httpx.AsyncBaseTransport` itself: `AsyncClient` would add cookies, redirects and a hundred microseconds to each call,
and the relay wants none of them. The session's path goes as httpx's `target` extension beside one base URL, since to parse a URL for each
session would cost more than the rest of the request. Our own transport also takes a POST as plain bytes when a connection is at hand; both
ways send the same request and read the answer alike.
"""

import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Final, TypeAlias

import httpx

from relay.api.bodies import ANSWER_BYTES_READ_MAX, body_at_hand, read_body
from relay.api.calls import Broke, Hear
from relay.api.connection import Answer as RawAnswer
from relay.api.connection import encode_head, encode_header
from relay.api.dialect import ApiCall, Dialect, Untranslatable
from relay.api.transport import Destination, Transport
from relay.core.commands import OpenSession, SendEvent
from relay.core.inputs import Refused, Verdict
from relay.core.reasons import Reason
from relay.core.verdict import ACCEPTED, Answer, Unreachable

_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.LocalProtocolError)
_CAUSES: Final[tuple[tuple[type[httpx.TransportError], str], ...]] = (
    (httpx.TimeoutException, "timeout"),
    (httpx.ConnectError, "connect"),
    (httpx.NetworkError, "reset"),
    (httpx.RemoteProtocolError, "protocol"),
)
_OK: Final = range(200, 300)

Header: TypeAlias = tuple[bytes, bytes]


class ApiClient:
    """Carries out one call at a time per lane, any number side by side."""

    def __init__(  # noqa: PLR0913  # settings, each by its name
        self,
        transport: httpx.AsyncBaseTransport,
        dialect: Dialect,
        *,
        url: str,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = 10.0,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Speak a dialect to one host, over a transport that the client does not own."""
        self._transport = transport
        self._direct = transport if isinstance(transport, Transport) else None
        self._dialect = dialect
        self._url = httpx.URL(url)
        self._timeout: dict[str, float | None] = dict.fromkeys(("connect", "read", "write", "pool"), timeout_seconds)
        self._headers: list[tuple[bytes, bytes]] = []
        self._destination = Destination(self._url, b"", self._timeout)
        self.carry(headers or {})
        self._wall_clock = wall_clock

    def carry(self, headers: Mapping[str, str]) -> None:
        """Send these headers with each request from now on, besides those of the relay's own."""
        own = {"host": self._url.netloc.decode("ascii"), "content-type": "application/json", "accept": "application/json"}
        self._headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in (own | dict(headers)).items()]
        self._destination = Destination(self._url, encode_head(self._headers), self._timeout)

    def begin(self, command: OpenSession | SendEvent, hear: Hear, broke: Broke, also: Header | None = None) -> bool:
        """Carry out a command on a connection that is at hand; False when there is none, or when something is odd about the command."""
        if self._direct is None:
            return False
        try:
            call = self._dialect.sending(command) if isinstance(command, SendEvent) else self._dialect.opening(command)
            heard = partial(self._heard, command, hear, broke)
            destination = self._destination
            if also is not None:
                destination = Destination(destination.url, destination.head + encode_header(also), destination.limits)
            return self._direct.post_at_once(destination, call.target, call.body, heard)
        except (Untranslatable, httpx.LocalProtocolError):
            return False

    async def perform(self, command: OpenSession | SendEvent, also: Header | None = None) -> tuple[Verdict, int]:
        """Carry out a command: what its answer means, and the status (0 without an answer). One more header may go with it."""
        try:
            return await self._perform(command, () if also is None else (also,))
        except Untranslatable as untranslatable:
            return Refused(0, str(untranslatable), Reason.UNTRANSLATABLE), 0

    async def _perform(self, command: OpenSession | SendEvent, also: tuple[Header, ...]) -> tuple[Verdict, int]:
        if isinstance(command, SendEvent):
            return self._judge(command, await self._post(self._dialect.sending(command), also))
        return self._judge(command, await self._post(self._dialect.opening(command), also, reads_success=True))

    def _judge(self, command: OpenSession | SendEvent, answer: Answer | Unreachable) -> tuple[Verdict, int]:
        if answer is ACCEPTED_ANSWER:
            return ACCEPTED, ACCEPTED_ANSWER.status
        judge = self._dialect.judge_sending if isinstance(command, SendEvent) else self._dialect.judge_opening
        return judge(answer), answer.status if isinstance(answer, Answer) else 0

    # --- by way of our own transport ----------------------------------------------------------------------------------------------

    def _heard(self, command: OpenSession | SendEvent, hear: Hear, broke: Broke, raw: RawAnswer | httpx.TransportError) -> None:
        try:
            hear(*self._judge(command, self._answer(raw, reads_success=not isinstance(command, SendEvent))))
        except Exception as bug:  # noqa: BLE001  # it would end in the event loop, and nobody would hear of this call again
            broke(bug)

    def _answer(self, raw: RawAnswer | httpx.TransportError, *, reads_success: bool) -> Answer | Unreachable:
        if isinstance(raw, httpx.TransportError):
            return _unreachable(raw)
        status, headers, content = raw
        if status in _OK and not reads_success:
            return _accepted(status)
        known = httpx.Headers(headers)
        if "content-encoding" in known:
            content = body_at_hand(httpx.Response(status, headers=known, stream=httpx.ByteStream(content)))
        return self._read_head(status, known, content)

    # --- by way of any other ------------------------------------------------------------------------------------------------------

    async def _post(self, call: ApiCall, also: tuple[Header, ...], *, reads_success: bool = False) -> Answer | Unreachable:
        request = httpx.Request(
            "POST",
            self._url,
            headers=[*self._headers, *also, (b"content-length", b"%d" % len(call.body))],
            stream=httpx.ByteStream(call.body),
            extensions={"timeout": self._timeout, "target": call.target},
        )
        try:
            response = await self._transport.handle_async_request(request)
            if response.status_code in _OK and not reads_success and type(response.stream) is httpx.ByteStream:
                return _accepted(response.status_code)
            return self._read_head(response.status_code, response.headers, await read_body(response))
        except httpx.TransportError as error:
            return _unreachable(error)

    def _read_head(self, status: int, headers: httpx.Headers, body: bytes) -> Answer:
        return Answer(
            status,
            self._retry_after_seconds(headers.get("retry-after")),
            headers.get("location", ""),
            body[:ANSWER_BYTES_READ_MAX],
        )

    def _retry_after_seconds(self, text: str | None) -> float:
        """Both forms, seconds and a date; nonsense counts as nothing."""
        if not text:
            return 0.0
        if text.strip().isdecimal():
            return float(text)
        try:
            return max(0.0, parsedate_to_datetime(text).timestamp() - self._wall_clock())
        except (ValueError, OverflowError):
            return 0.0


ACCEPTED_ANSWER: Final = Answer(204)


def _accepted(status: int) -> Answer:
    """A success that says nothing more; nearly all are the one that is made already."""
    return ACCEPTED_ANSWER if status == ACCEPTED_ANSWER.status else Answer(status)


def _unreachable(error: httpx.TransportError) -> Unreachable:
    return Unreachable(_cause(error), was_sent=not isinstance(error, _NOT_SENT))


def _cause(error: httpx.TransportError) -> str:
    return next((cause for kind, cause in _CAUSES if isinstance(error, kind)), "transport")

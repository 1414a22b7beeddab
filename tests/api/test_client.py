"""Commands → requests of httpx → verdicts, over a transport that answers what a test says."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.api.bodies import ANSWER_BYTES_READ_MAX
from relay.api.client import ApiClient
from relay.api.collection import MediaCollection
from relay.api.dialect import ApiCall, Untranslatable
from relay.core.assignment import Assignment
from relay.core.commands import Cause, OpenSession, SendEvent
from relay.core.events import ApiSessionId, Details, EventType, PlayerEvent, SessionKey
from relay.core.inputs import Accepted, Lost, Opened, Refused, TryAgain, Verdict
from relay.core.lane import Lane
from relay.core.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Handler = Callable[[httpx.Request], httpx.Response]

LANE = Lane(SessionKey("a"), Assignment("events", 0))
SEND = SendEvent(LANE, ApiSessionId("the-id"), PlayerEvent(EventType.PING, 12.5, 1_700_000_012_500))
OPEN = OpenSession(LANE, Details(params=b'{"media.id":"film"}'), 0, 1_700_000_000_000, Cause.FIRST)
NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


def perform(handler: Handler, command: OpenSession | SendEvent = SEND, **options: object) -> tuple[Verdict, int]:
    """Carry out one command."""
    settings_ = {"url": "https://company.hb-api.example:8443/ignored", "wall_clock": lambda: NOW} | options
    client = ApiClient(httpx.MockTransport(handler), MediaCollection(), **settings_)  # type: ignore[arg-type]
    return asyncio.run(client.perform(command))


def answering(status: int, **parts: object) -> Handler:
    """A server that always answers so."""
    return lambda _: httpx.Response(status, **parts)  # type: ignore[arg-type]


class Chunks(httpx.AsyncByteStream):
    """A body that comes bit by bit, and tells whether it was closed."""

    def __init__(self, *chunks: bytes, ends_with: Exception | None = None) -> None:
        """Send these, then end or break."""
        self.chunks = chunks
        self.ends_with = ends_with
        self.sent = 0
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Send."""
        for chunk in self.chunks:
            self.sent += len(chunk)
            yield chunk
        if self.ends_with is not None:
            raise self.ends_with

    async def aclose(self) -> None:
        """Remember it."""
        self.is_closed = True


# --- requests -----------------------------------------------------------------------------------------------------------------------


def test_an_event_is_posted_to_the_configured_host() -> None:
    """Method, host, target, headers, body and time limits of a request."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    verdict, status = perform(handler, headers={"X-Gateway": "secret"}, timeout_seconds=7.0)
    assert (verdict, status) == (Accepted(), 204)
    (request,) = seen
    assert request.method == "POST"
    assert (request.url.scheme, request.url.host, request.url.port) == ("https", "company.hb-api.example", 8443)
    assert request.extensions["target"] == b"/api/v1/sessions/the-id/events"
    assert request.extensions["timeout"] == {"connect": 7.0, "read": 7.0, "write": 7.0, "pool": 7.0}
    body = b'{"playerTime":{"playhead":12.5,"ts":1700000012500},"eventType":"ping"}'
    assert request.content == body
    assert dict(request.headers) == {
        "host": "company.hb-api.example:8443",
        "content-type": "application/json",
        "accept": "application/json",
        "x-gateway": "secret",
        "content-length": str(len(body)),
    }


def test_an_opening_is_posted_and_its_id_is_read() -> None:
    """The Location is read from a success without a body."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, headers={"Location": "/api/v1/sessions/abc"})

    assert perform(handler, OPEN) == (Opened(ApiSessionId("abc")), 201)
    assert seen[0].extensions["target"] == b"/api/v1/sessions"
    assert b'"sessionStart"' in seen[0].content


def test_the_host_may_be_set_by_the_operator() -> None:
    """A gateway may want another Host header; there is only one of them then."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    perform(handler, headers={"host": "inner.example"})
    assert seen[0].headers.get_list("host") == ["inner.example"]


def test_a_redirect_is_never_followed() -> None:
    """One request leaves, whatever its answer points to."""
    count = 0

    def handler(_: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        return httpx.Response(307, headers={"Location": "https://evil.example/"})

    _, status = perform(handler)
    assert (status, count) == (307, 1)


# --- answers ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 100_000])
def test_any_success_is_a_delivery(status: int, body: bytes) -> None:
    """Whatever stands in its body, and whatever its figure: reported as it was."""
    assert perform(answering(status, content=body)) == (Accepted(), status)


def test_a_success_that_streams_is_read_to_its_bound_and_closed() -> None:
    """A body that nobody asked for is not kept, and its connection is let go of."""
    stream = Chunks(*[b"x" * 10_000] * 100)
    assert perform(answering(200, stream=stream)) == (Accepted(), 200)
    assert stream.is_closed
    assert stream.sent <= ANSWER_BYTES_READ_MAX + 10_000


def test_a_huge_refusal_is_read_to_its_bound_and_closed() -> None:
    """The API's words are bounded, and its connection is let go of."""
    stream = Chunks(*[b"x" * 10_000] * 1_000)
    verdict, status = perform(answering(400, stream=stream))
    assert (status, type(verdict)) == (400, Refused)
    assert stream.is_closed
    assert stream.sent <= ANSWER_BYTES_READ_MAX + 10_000


def test_the_words_of_a_refusal_are_kept() -> None:
    """For the dead letter."""
    assert perform(answering(400, json={"message": "media.id is missing", "more": [1]})) == (Refused(400, "media.id is missing"), 400)


def test_a_refusal_may_be_compressed() -> None:
    """A gateway may compress; one that lies about it does no harm."""
    body = gzip.compress(b'{"message":"no"}')
    assert perform(answering(400, content=body, headers={"content-encoding": "gzip"})) == (Refused(400, "no"), 400)
    lying = Chunks(b"this is not gzip")
    verdict, status = perform(answering(400, stream=lying, headers={"content-encoding": "gzip"}))
    assert (type(verdict), status, lying.is_closed) == (Refused, 400, True)


def test_a_body_that_breaks_is_a_moments_failure() -> None:
    """The status of an answer that never ended counts for nothing, and the connection is let go of."""
    stream = Chunks(b'{"mess', ends_with=httpx.ReadError("reset"))
    assert perform(answering(400, stream=stream)) == (TryAgain("reset", is_outcome_unknown=True), 0)
    assert stream.is_closed


def test_a_lost_session_is_told_with_its_status() -> None:
    """404 and 410 are kept apart."""
    assert perform(answering(404, json={"message": "unknown"})) == (Lost(404), 404)
    assert perform(answering(410)) == (Lost(410), 410)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("120", 120.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30.0),
        ("Tuesday, 14-Nov-23 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:12:00 GMT", 0.0),
        ("", 0.0),
        ("-7", 0.0),
        ("7.5", 0.0),
        ("soon", 0.0),
        ("7 seconds", 0.0),
        ("Tue, 99 Nov 2023 22:13:50 GMT", 0.0),
        ("Tue, 14 Nov 99999 22:13:50 GMT", 0.0),
        ("Tue, 14 Nov 2023 22:13:50 +9999999", 0.0),
        ("0x10", 0.0),
        ("nan", 0.0),
        ("inf", 0.0),
        ("1e3", 0.0),
    ],
)
def test_retry_after_is_read_in_both_forms(text: str, seconds: float) -> None:
    """Seconds or a date; nonsense and the past count as nothing."""
    verdict, _ = perform(answering(503, headers={"Retry-After": text}))
    assert verdict == TryAgain("status_503", 503, seconds)


def test_an_absurd_retry_after_is_still_a_number() -> None:
    """The core bounds it; the client only has to survive it."""
    verdict, _ = perform(answering(429, headers={"Retry-After": "9" * 5_000}))
    assert isinstance(verdict, TryAgain)
    assert verdict.retry_after_seconds > 1e6


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    text=st.text(alphabet=st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=30)
    | st.lists(st.sampled_from(["Mon,", "31", "Feb", "2023", "-1", "25:61:61", "::", "GMT", "+9999", "99999", "."]), max_size=7).map(
        " ".join
    )
)
def test_any_retry_after_is_survived(text: str) -> None:
    """Whatever the header says, the call has a verdict."""
    verdict, status = perform(answering(503, headers=[(b"Retry-After", text.encode("latin-1"))]))
    assert isinstance(verdict, TryAgain)
    assert status == 503
    assert verdict.retry_after_seconds >= 0.0


def test_a_location_in_any_encoding_is_survived() -> None:
    """Bytes that are no text make no id."""
    headers = [(b"Location", b"/api/v1/sessions/\xff\xfe")]
    assert perform(answering(201, headers=headers), OPEN) == (TryAgain("no_session_id", 201), 201)


# --- no answer ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "cause", "may_have_arrived"),
    [
        (httpx.ConnectError, "connect", False),
        (httpx.ConnectTimeout, "timeout", False),
        (httpx.PoolTimeout, "timeout", False),
        (httpx.ReadTimeout, "timeout", True),
        (httpx.WriteTimeout, "timeout", True),
        (httpx.ReadError, "reset", True),
        (httpx.WriteError, "reset", True),
        (httpx.CloseError, "reset", True),
        (httpx.RemoteProtocolError, "protocol", True),
        (httpx.LocalProtocolError, "transport", False),
        (httpx.UnsupportedProtocol, "transport", False),
        (httpx.ProxyError, "transport", True),
    ],
)
@pytest.mark.parametrize("command", [SEND, OPEN], ids=["send", "open"])
def test_each_failure_of_the_transport_has_a_cause(
    error: type[httpx.TransportError],
    cause: str,
    *,
    may_have_arrived: bool,
    command: OpenSession | SendEvent,
) -> None:
    """A closed list of causes, and whether the request may have been applied all the same."""

    def handler(_: httpx.Request) -> httpx.Response:
        raise error("it failed")

    assert perform(handler, command) == (TryAgain(cause, is_outcome_unknown=may_have_arrived), 0)


def test_no_failure_of_the_transport_is_forgotten() -> None:
    """Each exception that httpx knows for a transport has been thought of above."""

    def leaves(kind: type[Exception]) -> set[type[Exception]]:
        below = kind.__subclasses__()
        return {kind} if not below else set().union(*(leaves(one) for one in below))

    (mark, *_) = [
        mark for mark in test_each_failure_of_the_transport_has_a_cause.pytestmark if mark.args[0] == ("error", "cause", "may_have_arrived")
    ]
    thought_of = {case[0] for case in mark.args[1]}
    assert {kind for kind in leaves(httpx.TransportError) if kind.__module__ == "httpx"} <= thought_of


def test_an_event_without_words_never_leaves() -> None:
    """What the dialect cannot say is refused with a reason of its own, and no request is made."""

    class Mute(MediaCollection):
        def sending(self, command: SendEvent) -> ApiCall:
            raise Untranslatable(f"$.eventType: no words for {command.event.event_type}")

    client = ApiClient(httpx.MockTransport(answering(204)), Mute(), url="https://company.example")
    verdict, status = asyncio.run(client.perform(SEND))
    assert (verdict, status) == (Refused(0, "$.eventType: no words for ping", Reason.UNTRANSLATABLE), 0)


def test_a_bug_is_not_swallowed() -> None:
    """What is not the outside's doing travels on, and stops the relay."""

    def handler(_: httpx.Request) -> httpx.Response:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        perform(handler)

"""What goes out: the bytes of a request, and what must never be among them."""

from collections.abc import AsyncIterator
from typing import Any

import h11
import httpx
import pytest

from relay.api.transport import NOT_SENT

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


def test_a_request_goes_out_as_given(carrier: Any, serve: Any, always: Any) -> None:
    """Names keep their case, headers their order, and the body its bytes."""
    body = bytes(range(256))

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server, carrier.transport() as transport:
            headers = [(b"Host", b"api.example"), (b"X-One", b"1"), (b"x-two", b"caf\xe9"), (b"Content-Length", b"256")]
            await carrier.post(transport, server.url + "a/b?c=d", body=body, headers=headers)
            (received,) = server.received
            assert received.lines == [b"POST /a/b?c=d HTTP/1.1", *(name + b": " + value for name, value in headers)]
            assert received.body == body

    carrier.run(test())


def test_the_target_may_be_given_apart(carrier: Any, serve: Any, always: Any) -> None:
    """The extension `target` takes the place of path and query of the URL."""

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server, carrier.transport() as transport:
            await carrier.post(transport, server.url + "ignored", target=b"/api/v1/sessions/a%2Fb/events?x")
            assert server.received[0].lines[0] == b"POST /api/v1/sessions/a%2Fb/events?x HTTP/1.1"

    carrier.run(test())


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        ([(b"X", b"a\r\nY: b")], b"/"),
        ([(b"X", b"a\nY: b")], b"/"),
        ([(b"X", b"a\rb")], b"/"),
        ([(b"X", b"a\0b")], b"/"),
        ([(b"X: a\r\nY", b"b")], b"/"),
        ([(b"X Y", b"b")], b"/"),
        ([(b"", b"b")], b"/"),
        ([], b"/a HTTP/1.1\r\nX: y\r\n\r\n"),
        ([], b"/a b"),
        ([], b"/a\0"),
        ([], "/ä".encode()),
    ],
)
def test_a_request_cannot_be_forged(carrier: Any, serve: Any, always: Any, headers: list[tuple[bytes, bytes]], target: bytes) -> None:
    """What would end a header, or the request, before its time is refused before anything is sent; the transport stays of use."""

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server, carrier.transport(connections_max=1) as transport:
            given = [(b"Host", b"api.example"), *headers]
            with pytest.raises(httpx.LocalProtocolError):
                await carrier.post(transport, server.url, headers=given, target=target)
            assert not server.received
            assert (await carrier.post(transport, server.url)).status_code == 204

    carrier.run(test())


def test_the_length_of_the_body_must_be_true(carrier: Any, serve: Any, always: Any) -> None:
    """A Content-Length that is not the body's would let the rest of the body pass for a request."""

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server, carrier.transport() as transport:
            # httpx's transport has sent the head by then, and lets h11's own exception through.
            expected = h11.LocalProtocolError if carrier.is_stock else httpx.LocalProtocolError
            with pytest.raises(expected):
                await carrier.post(transport, server.url, body=b"{}", headers=[(b"Host", b"a"), (b"Content-Length", b"1")])
            assert not server.received or carrier.is_stock

    carrier.run(test())


def test_what_the_message_needs_is_added(carrier: Any, serve: Any, always: Any) -> None:
    """A request made from a bare stream has neither Host nor Content-Length; it gets both."""

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server, carrier.transport() as transport:
            request = httpx.Request("POST", server.url, headers=[], stream=httpx.ByteStream(b"four"))
            if carrier.is_stock:  # h11 refuses a request without Host
                with pytest.raises(httpx.LocalProtocolError):
                    await transport.handle_async_request(request)
                return
            await transport.handle_async_request(request)
            (received,) = server.received
            assert sorted(received.lines[1:]) == [b"Content-Length: 4", b"Host: 127.0.0.1:%d" % server.port]
            assert received.body == b"four"

    carrier.run(test())


def test_a_body_may_come_in_pieces(carrier: Any, serve: Any, always: Any) -> None:
    """Whatever the body is read from, all of it arrives. Ours reads it whole and sends its length, httpx sends chunks."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server, carrier.transport() as transport:
            response = await transport.handle_async_request(httpx.Request("POST", server.url, content=pieces()))
            await response.aclose()
            assert server.received[0].body == b"one two"

    carrier.run(test())


@pytest.mark.parametrize("method", ["HEAD", "CONNECT"])
def test_methods_whose_answers_are_framed_otherwise_are_refused(carrier: Any, serve: Any, always: Any, method: str) -> None:
    """The answer to HEAD has a length but no body: ours does not speak it, and nobody needs it; httpx's does."""

    async def test() -> None:
        async with serve(always(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")) as server, carrier.transport() as transport:
            request = httpx.Request(method, server.url)
            if carrier.is_stock:
                await (await transport.handle_async_request(request)).aclose()
            else:
                with pytest.raises(NOT_SENT):
                    await transport.handle_async_request(request)
            assert bool(server.received) is carrier.is_stock

    carrier.run(test())


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "/path/only", "http:///path"])
def test_other_protocols_are_refused(carrier: Any, url: str) -> None:
    """Only http and https, and only with a host: nothing is sent."""

    async def test() -> None:
        async with carrier.transport() as transport:
            with pytest.raises(NOT_SENT if not carrier.is_stock or url != "http:///path" else httpx.TransportError):
                await transport.handle_async_request(httpx.Request("POST", url, content=b""))

    carrier.run(test())

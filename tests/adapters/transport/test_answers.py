"""What comes back: every form of answer that HTTP/1.1 knows, and what is none."""

import asyncio
import gzip
from typing import Any

import httpx
import pytest

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (OK, 200, b"ok"),
        (b"HTTP/1.1 201 Created\r\nLocation: /api/v1/sessions/a\r\nContent-Length: 0\r\n\r\n", 201, b""),
        (NO_CONTENT, 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 700\r\n\r\n", 304, b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3;name=value\r\ncde\r\n0\r\n\r\n", 200, b"abcde"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n", 200, b"a"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + NO_CONTENT, 204, b""),
        (b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy", 503, b"busy"),
    ],
    ids=["length", "created", "204", "304 with length", "chunked", "trailer", "100 first", "102 and 103 first", "503"],
)
@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_an_answer_is_understood_however_it_is_cut(carrier: Any, serve: Any, answer: bytes, status: int, body: bytes, step: int) -> None:  # noqa: PLR0913, PLR0917
    """Status and body are the same for any division into packets, and the connection serves the next request too."""

    async def script(peer: Any) -> None:
        while await peer.read():
            for start in range(0, len(answer), step):
                await peer.write(answer[start : start + step])
                await asyncio.sleep(0)

    async def test() -> None:
        async with serve(script) as server, carrier.transport() as transport:
            for _ in range(2):
                response = await carrier.post(transport, server.url)
                assert (response.status_code, response.content) == (status, body)
            assert server.opened == 1

    carrier.run(test())


def test_headers_come_as_they_were_sent(carrier: Any, serve: Any, always: Any) -> None:
    """Repeated headers stay apart, and those of an answer that preceded (1xx) or followed (trailer) are not among them."""
    answer = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 201 Created\r\nLocation: /s/1\r\nX-A: 1\r\nx-a:  2 \r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Late: 1\r\n\r\n"
    )

    async def test() -> None:
        async with serve(always(answer)) as server, carrier.transport() as transport:
            response = await carrier.post(transport, server.url)
            assert response.headers["location"] == "/s/1"
            assert response.headers.get_list("x-a") == ["1", "2"]
            assert "link" not in response.headers
            assert "x-late" not in response.headers

    carrier.run(test())


def test_an_answer_may_end_with_its_connection(carrier: Any, serve: Any) -> None:
    """A body without a length lasts until the server hangs up, and the next request takes a new connection."""

    async def script(peer: Any) -> None:
        await peer.read()
        await peer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf ")
        await peer.write(b"and half")

    async def test() -> None:
        async with serve(script) as server, carrier.transport() as transport:
            for count in (1, 2):
                assert (await carrier.post(transport, server.url)).content == b"half and half"
                assert server.opened == count

    carrier.run(test())


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"],
    ids=["close", "HTTP/1.0"],
)
def test_a_connection_that_must_not_be_used_again_is_closed(carrier: Any, serve: Any, always: Any, answer: bytes) -> None:
    """The client hangs up itself, without waiting for the server to do so."""

    async def test() -> None:
        async with serve(always(answer)) as server, carrier.transport() as transport:
            for count in (1, 2):
                assert (await carrier.post(transport, server.url)).content == b"ok"
                assert server.opened == count
            await server.until(lambda: server.open_now == 0, "the client hung up")

    carrier.run(test())


@pytest.mark.parametrize("surplus", [b"H", b"nonsense", OK], ids=["a byte", "nonsense", "another answer"])
def test_what_follows_an_answer_is_not_the_next_answer(carrier: Any, serve: Any, surplus: bytes) -> None:
    """A connection that brought more than its answer is given up; httpx's keeps it, and takes the surplus for an answer."""

    async def script(peer: Any) -> None:
        await peer.read()
        await peer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n" + surplus)
        await peer.gone()

    async def test() -> None:
        async with serve(script) as server, carrier.transport() as transport:
            assert (await carrier.post(transport, server.url)).status_code == 201
            if carrier.is_stock:
                try:
                    second = (await carrier.post(transport, server.url, read=0.2)).status_code
                except httpx.TransportError:
                    second = 0
                assert second != 201, "httpx's transport has learnt it: expect of it what is expected of ours"
            else:
                assert (await carrier.post(transport, server.url)).status_code == 201
                assert server.opened == 2

    carrier.run(test())


def test_what_comes_unasked_is_not_the_next_answer(carrier: Any, serve: Any) -> None:
    """A 408 sent to an idle connection costs the connection, and no request is answered by it."""
    said = asyncio.Event()

    async def script(peer: Any) -> None:
        await peer.read()
        await peer.write(OK)
        await asyncio.sleep(0.02)
        await peer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        said.set()
        await peer.gone()

    async def test() -> None:
        async with serve(script) as server, carrier.transport() as transport:
            for count in (1, 2):
                assert (await carrier.post(transport, server.url)).status_code == 200
                assert server.opened == count
                await said.wait()
                said.clear()
                await asyncio.sleep(0.01)

    carrier.run(test())


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
    ids=["another protocol", "two lengths", "no number", "no chunk", "endless head", "half a body", "half a chunk", "half a head"],
)
def test_what_is_no_answer_is_an_error_of_the_protocol(carrier: Any, serve: Any, answer: bytes) -> None:
    """The request may have been applied: the error says that the answer was at fault, and the place is free again."""

    async def script(peer: Any) -> None:
        await peer.read()
        await peer.write(answer)

    async def test() -> None:
        async with serve(script) as server, carrier.transport(connections_max=1) as transport:
            for count in (1, 2):
                with pytest.raises(httpx.RemoteProtocolError) as caught:
                    await carrier.post(transport, server.url)
                if not carrier.is_stock:  # httpx's transport leaves this to its client
                    assert caught.value.request.method == "POST"
                assert server.opened == count

    carrier.run(test())


def test_another_protocol_is_not_taken_up(carrier: Any, serve: Any, always: Any) -> None:
    """Nobody asked for 101."""
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"

    async def test() -> None:
        async with serve(always(answer)) as server, carrier.transport() as transport:
            with pytest.raises(httpx.RemoteProtocolError):
                await carrier.post(transport, server.url)

    carrier.run(test())


def test_an_upgrade_that_is_merely_offered_is_declined(carrier: Any, serve: Any, always: Any) -> None:
    """Apache offers HTTP/2 in each answer; the answer counts, and the connection lives on."""
    answer = b"HTTP/1.1 200 OK\r\nUpgrade: h2,h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok"

    async def test() -> None:
        async with serve(always(answer)) as server, carrier.transport() as transport:
            for _ in range(2):
                assert (await carrier.post(transport, server.url)).content == b"ok"
            assert server.opened == 1

    carrier.run(test())


@pytest.mark.parametrize("form", ["length", "chunked", "close"])
def test_a_body_is_bounded(carrier: Any, serve: Any, form: str) -> None:
    """More than the limit is an error; as much as the limit is not."""
    head = {"length": b"Content-Length: %d", "chunked": b"Transfer-Encoding: chunked", "close": b"X: y"}[form]

    async def script(peer: Any) -> None:
        while received := await peer.read():
            size = int(received.body)
            await peer.write(b"HTTP/1.1 200 OK\r\n" + (head % size if form == "length" else head) + b"\r\n\r\n")
            await peer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size) if form == "chunked" else b"x" * size)
            if form == "close":
                break

    async def test() -> None:
        async with serve(script) as server, carrier.transport(answer_bytes_max=1000) as transport:
            assert len((await carrier.post(transport, server.url, body=b"1000")).content) == 1000
            if carrier.is_stock:  # it yields the body piece by piece, and leaves the bound to its reader
                assert len((await carrier.post(transport, server.url, body=b"1001")).content) == 1001
            else:
                for size in (b"1001", b"500000"):
                    with pytest.raises(httpx.RemoteProtocolError):
                        await carrier.post(transport, server.url, body=size)

    carrier.run(test())


def test_an_encoded_body_is_left_to_httpx(carrier: Any, serve: Any, always: Any) -> None:
    """The transport passes gzip on; `aread` decodes it."""
    body = gzip.compress(b"plain")
    answer = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    async def test() -> None:
        async with serve(always(answer)) as server, carrier.transport() as transport:
            assert (await carrier.post(transport, server.url)).content == b"plain"

    carrier.run(test())


def test_it_stands_below_the_client_of_httpx(carrier: Any, serve: Any, always: Any) -> None:
    """`httpx.AsyncClient` works over the transport as over any other."""

    async def test() -> None:
        async with serve(always(OK)) as server, httpx.AsyncClient(transport=carrier.transport()) as client:
            response = await client.post(server.url + "a?b=c", json={"d": 1})
            assert (response.text, response.http_version, response.reason_phrase) == ("ok", "HTTP/1.1", "OK")
            assert server.received[0].lines[0] == b"POST /a?b=c HTTP/1.1"

    carrier.run(test())

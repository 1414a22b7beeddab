"""Each of httpx's four limits, and that nothing is lost when one is reached."""

import asyncio
import os
import socket
import ssl
import time
from typing import Any

import httpx
import pytest

from relay.api.transport import NOT_SENT

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


async def silent(peer: Any) -> None:
    """Read whatever comes, and say nothing."""
    await peer.gone()


def test_connecting_is_limited(carrier: Any, serve: Any, client_tls: ssl.SSLContext) -> None:
    """A server that never answers the handshake is given up in time: nothing was sent, and the place is free again."""

    async def test() -> None:
        async with serve(silent) as server, carrier.transport(connections_max=1, tls=client_tls) as transport:
            for _ in range(2):
                with pytest.raises(httpx.ConnectTimeout) as caught:
                    await carrier.post(transport, f"https://127.0.0.1:{server.port}/", connect=0.1)
                assert isinstance(caught.value, NOT_SENT)
            await server.until(lambda: server.open_now == 0, "the attempts are given up")

    carrier.run(test())


def test_waiting_for_the_answer_is_limited(carrier: Any, serve: Any) -> None:
    """The request may have been applied; its connection is closed, and the next request gets another."""

    async def script(peer: Any) -> None:
        await peer.read()
        if peer.number == 1:
            await peer.gone()
        await peer.write(NO_CONTENT)

    async def test() -> None:
        async with serve(script) as server, carrier.transport(connections_max=1) as transport:
            with pytest.raises(httpx.ReadTimeout) as caught:
                await carrier.post(transport, server.url, read=0.1)
            assert not isinstance(caught.value, NOT_SENT)
            assert (await carrier.post(transport, server.url)).status_code == 204
            assert server.opened == 2

    carrier.run(test())


def test_an_answer_that_trickles_is_limited_as_a_whole(carrier: Any, serve: Any) -> None:
    """A byte now and then does not keep a request alive. For httpx's transport it does."""

    async def script(peer: Any) -> None:
        await peer.read()
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":
            await peer.write(bytes([byte]))
            await asyncio.sleep(0.02)

    async def test() -> None:
        async with serve(script) as server, carrier.transport() as transport:
            if carrier.is_stock:
                assert (await carrier.post(transport, server.url, read=0.2)).status_code == 200
            else:
                with pytest.raises(httpx.ReadTimeout):
                    await carrier.post(transport, server.url, read=0.2)

    carrier.run(test())


def test_writing_is_limited(carrier: Any, serve: Any) -> None:
    """A server that does not read holds nobody for ever."""
    given_up = asyncio.Event()

    async def script(peer: Any) -> None:
        peer.writer.transport.pause_reading()
        await given_up.wait()

    async def test() -> None:
        async with serve(script) as server, carrier.transport() as transport:
            with pytest.raises(httpx.WriteTimeout):
                await carrier.post(transport, server.url, body=b"x" * 2**24, write=0.1)
            given_up.set()

    carrier.run(test())


def test_a_body_that_is_read_slowly_is_sent_all_the_same(carrier: Any, serve: Any, always: Any) -> None:
    """More than the socket takes at once goes out bit by bit."""

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server, carrier.transport() as transport:
            await carrier.post(transport, server.url, body=b"x" * 2**23)
            assert len(server.received[0].body) == 2**23

    carrier.run(test())


def test_waiting_for_a_connection_is_limited(carrier: Any, serve: Any) -> None:
    """Nothing was sent; who holds the connection is not disturbed."""
    gate = asyncio.Event()

    async def script(peer: Any) -> None:
        while await peer.read():
            await gate.wait()
            await peer.write(NO_CONTENT)

    async def test() -> None:
        async with serve(script) as server, carrier.transport(connections_max=1) as transport:
            first = asyncio.ensure_future(carrier.post(transport, server.url))
            await server.until(lambda: len(server.received) == 1, "the first request arrived")
            with pytest.raises(httpx.PoolTimeout) as caught:
                await carrier.post(transport, server.url, pool=0.1)
            assert isinstance(caught.value, NOT_SENT)
            gate.set()
            assert (await first).status_code == 204
            assert (await carrier.post(transport, server.url)).status_code == 204
            assert (server.opened, len(server.received)) == (1, 2)

    carrier.run(test())


def test_without_limits_nothing_is_limited(carrier: Any, serve: Any, always: Any) -> None:
    """A request without the extension, or with None in it, waits as long as it takes."""

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server, carrier.transport() as transport:
            nothing = dict.fromkeys(("connect", "read", "write", "pool"))
            for extensions in ({}, {"timeout": nothing}):
                request = httpx.Request("POST", server.url, content=b"", extensions=extensions)
                response = await transport.handle_async_request(request)
                await response.aclose()
                assert response.status_code == 204

    carrier.run(test())


class HoldsUp(asyncio.Protocol):
    """A server that answers behind the loop's back, and then keeps the loop from everything else: from timers and from reading alike."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the socket."""
        self.transport = transport

    def data_received(self, _data: bytes) -> None:
        """Answer, and hold up."""
        with socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno())) as twin:
            twin.sendall(NO_CONTENT)
        time.sleep(0.3)


def test_an_answer_that_came_in_time_counts_though_the_loop_was_held_up(carrier: Any) -> None:
    """The limit is reached while the process does something else, and the answer lies in the socket: it is read first."""

    async def test() -> None:
        server = await asyncio.get_running_loop().create_server(HoldsUp, "127.0.0.1", 0)
        async with server, carrier.transport() as transport:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            assert (await carrier.post(transport, url, read=0.15)).status_code == 204

    carrier.run(test())

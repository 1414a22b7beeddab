"""TLS: what the socket brings and takes, in whatever pieces, and the ends of connections."""

import asyncio
import os
import socket
import ssl
import threading
from typing import Any

import httpx
import pytest

from relay.api.transport import NOT_SENT

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
LONG = b"x" * 100_000  # several records of TLS, and more than a socket takes at once


def test_long_messages_pass_whole(carrier: Any, serve: Any, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """A record of TLS holds 16 KiB; neither a request nor an answer has to."""

    async def script(peer: Any) -> None:
        while received := await peer.read():
            await peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(received.body), received.body))

    async def test() -> None:
        async with serve(script, tls=server_tls) as server, carrier.transport(tls=client_tls) as transport:
            for _ in range(2):
                assert (await carrier.post(transport, server.url, body=LONG)).content == LONG
            assert server.opened == 1

    carrier.run(test())


def test_an_answer_may_come_in_many_records(carrier: Any, serve: Any, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """One byte in each, some of them together in what the socket brings at once."""

    async def script(peer: Any) -> None:
        while await peer.read():
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok":
                peer.writer.write(bytes((byte,)))
            await peer.writer.drain()

    async def test() -> None:
        async with serve(script, tls=server_tls) as server, carrier.transport(tls=client_tls) as transport:
            for _ in range(3):
                assert (await carrier.post(transport, server.url)).content == b"ok"
            assert server.opened == 1

    carrier.run(test())


def test_who_hangs_up_in_the_handshake_has_read_nothing(carrier: Any, serve: Any, client_tls: ssl.SSLContext) -> None:
    """The request was not sent."""

    async def script(peer: Any) -> None:
        await peer.reader.read(1)

    async def test() -> None:
        async with serve(script) as server, carrier.transport(tls=client_tls) as transport:
            with pytest.raises(httpx.ConnectError) as caught:
                await carrier.post(transport, f"https://127.0.0.1:{server.port}/")
            assert isinstance(caught.value, NOT_SENT)

    carrier.run(test())


def test_who_is_cancelled_in_the_handshake_hangs_up(only_ours: Any, serve: Any, client_tls: ssl.SSLContext) -> None:
    """And leaves its place to the next."""

    async def script(peer: Any) -> None:
        await peer.gone()

    async def test() -> None:
        async with serve(script) as server, only_ours.transport(tls=client_tls, connections_max=1) as transport:
            for count in (1, 2):
                asked = asyncio.ensure_future(only_ours.post(transport, f"https://127.0.0.1:{server.port}/"))
                await server.until(lambda count=count: server.opened == count, "another connection")
                asked.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asked
                await server.until(lambda: server.open_now == 0, "the client hangs up")

    only_ours.run(test())


def test_a_servers_farewell_harms_nobody(carrier: Any, serve: Any, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """A server that closes an idle connection properly is met on another one."""

    async def script(peer: Any) -> None:
        await peer.read()
        await peer.write(NO_CONTENT)

    async def test() -> None:
        async with serve(script, tls=server_tls) as server, carrier.transport(tls=client_tls) as transport:
            for count in (1, 2, 3):
                assert (await carrier.post(transport, server.url)).status_code == 204
                await server.until(lambda: server.open_now == 0, "the server says farewell")
                await asyncio.sleep(0.1)  # for the farewell to arrive: httpx's own looks at the socket only
                assert server.opened == count

    carrier.run(test())


@pytest.mark.parametrize("end", ["farewell", "reset"])
def test_half_an_answer_is_none(carrier: Any, serve: Any, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, end: str) -> None:
    """However the connection ends in the middle of it, and the request may have been applied."""

    async def script(peer: Any) -> None:
        await peer.read()
        await peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        if end == "reset":
            peer.reset()

    async def test() -> None:
        async with serve(script, tls=server_tls) as server, carrier.transport(tls=client_tls) as transport:
            with pytest.raises(httpx.TransportError) as caught:
                await carrier.post(transport, server.url)
            assert not isinstance(caught.value, NOT_SENT)

    carrier.run(test())


def test_what_was_tampered_with_is_no_answer(only_ours: Any, serve: Any, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """Bytes that are no record of this connection end it, and the request may have been applied."""

    async def script(peer: Any) -> None:
        await peer.read()
        with socket.socket(fileno=os.dup(peer.writer.get_extra_info("socket").fileno())) as twin:
            twin.send(b"\x17\x03\x03\x00\x20" + bytes(32))  # it has the look of a record
        await peer.gone()

    async def test() -> None:
        async with serve(script, tls=server_tls) as server, only_ours.transport(tls=client_tls) as transport:
            with pytest.raises(httpx.ReadError) as caught:
                await only_ours.post(transport, server.url)
            assert not isinstance(caught.value, NOT_SENT)
            await server.until(lambda: server.open_now == 0, "the client hangs up")

    only_ours.run(test())


def test_we_say_farewell(only_ours: Any, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """A server can tell our end of a connection from one that was cut."""
    ends: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with server_tls.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False) as secure:
            secure.recv(65536)
            secure.sendall(NO_CONTENT)
            ends.append(secure.recv(65536))  # raises when there is an end without a farewell

    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=serve, args=(listener,))
            thread.start()
            async with only_ours.transport(tls=client_tls) as transport:
                await only_ours.post(transport, f"https://127.0.0.1:{listener.getsockname()[1]}/")
            await asyncio.to_thread(thread.join)
        assert ends == [b""]

    only_ours.run(test())


def test_writing_is_limited_with_tls_too(only_ours: Any, serve: Any, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    """A server that does not read keeps nobody waiting for longer than he will."""

    async def script(peer: Any) -> None:
        peer.writer.transport.pause_reading()
        await asyncio.sleep(10)

    async def test() -> None:
        async with serve(script, tls=server_tls) as server, only_ours.transport(tls=client_tls) as transport:
            with pytest.raises(httpx.WriteTimeout):
                await only_ours.post(transport, server.url, body=b"x" * 2**24, write=0.2)

    only_ours.run(test())

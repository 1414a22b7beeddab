"""Connections: used again, closed in time, bounded in number, and never leaked, whatever becomes of the requests."""

import asyncio
import contextlib
import gc
import random
import ssl
from collections.abc import Coroutine
from types import FrameType
from typing import Any

import httpx
import pytest

from relay.api.connection import Connection
from relay.api.tls import TlsLayer
from relay.api.transport import NOT_SENT

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class Gate:
    """A server that answers each request as soon as the test lets it."""

    def __init__(self) -> None:
        """Begin closed."""
        self.open = asyncio.Event()

    async def script(self, peer: Any) -> None:
        """Read, wait, answer."""
        while await peer.read():
            await self.open.wait()
            await peer.write(NO_CONTENT)


def test_a_connection_is_used_again(carrier: Any, serve: Any, always: Any) -> None:
    """Requests that follow each other share one connection."""

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server, carrier.transport() as transport:
            for _ in range(20):
                await carrier.post(transport, server.url)
            assert server.opened == 1

    carrier.run(test())


def test_the_connection_used_last_is_used_next(carrier: Any, serve: Any) -> None:
    """What is in excess after a rush stays idle, and can expire. httpx's transport takes the one opened first."""

    async def test() -> None:
        gate = Gate()
        async with serve(gate.script) as server, carrier.transport() as transport:
            rush = [asyncio.ensure_future(carrier.post(transport, server.url)) for _ in range(5)]
            await server.until(lambda: len(server.received) == 5, "five requests")
            gate.open.set()
            await asyncio.gather(*rush)
            for _ in range(10):
                await carrier.post(transport, server.url)
            assert len({received.connection for received in server.received[5:]}) == 1

    carrier.run(test())


def test_connections_are_limited(carrier: Any, serve: Any, always: Any) -> None:
    """However many requests there are, no more connections are open than allowed, and each request gets its turn."""

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server, carrier.transport(connections_max=3) as transport:
            await asyncio.gather(*(carrier.post(transport, server.url) for _ in range(60)))
            assert len(server.received) == 60
            assert server.open_most == 3

    carrier.run(test())


def test_those_who_wait_are_served_in_their_order(carrier: Any, serve: Any, always: Any) -> None:
    """First come, first served. httpx's transport serves everybody, and promises no order."""

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server, carrier.transport(connections_max=1) as transport:
            await asyncio.gather(*(carrier.post(transport, server.url, target=b"/%d" % number) for number in range(20)))
            order = [received.lines[0].split()[1] for received in server.received]
            expected = [b"/%d" % number for number in range(20)]
            assert sorted(order) == sorted(expected)
            assert order == expected or carrier.is_stock

    carrier.run(test())


def test_a_server_that_hangs_up_an_idle_connection_harms_nobody(carrier: Any, serve: Any) -> None:
    """The next request takes a new connection, however soon it comes."""

    async def script(peer: Any) -> None:
        await peer.read()
        await peer.write(NO_CONTENT)

    async def test() -> None:
        async with serve(script) as server, carrier.transport(connections_max=1) as transport:
            for count in range(1, 6):
                assert (await carrier.post(transport, server.url)).status_code == 204
                assert server.opened == count
                await server.until(lambda: server.open_now == 0, "the server hung up")
                await asyncio.sleep(0.01)  # the loop reads the end of the connection

    carrier.run(test())


def test_the_end_of_a_connection_is_seen_though_the_loop_has_not_read_it(carrier: Any, serve: Any) -> None:
    """A connection that was idle for a while is looked at before it is used: the loop may have been busy with other things."""
    peers: list[Any] = []

    async def script(peer: Any) -> None:
        peers.append(peer)
        await peer.read()
        await peer.write(NO_CONTENT)
        await peer.gone()

    async def test() -> None:
        async with serve(script) as server, carrier.transport(connections_max=1) as transport:
            await carrier.post(transport, server.url)
            await asyncio.sleep(0.1)
            peers[0].hang_up_at_once()
            assert (await carrier.post(transport, server.url)).status_code == 204
            assert server.opened == 2

    carrier.run(test())


@pytest.mark.parametrize("is_first", [True, False], ids=["new", "used again"])
@pytest.mark.parametrize(("how", "error"), [("hang up", httpx.RemoteProtocolError), ("reset", httpx.ReadError)])
def test_a_request_that_was_sent_is_not_sent_again(carrier: Any, serve: Any, how: str, error: type[Exception], *, is_first: bool) -> None:
    """If the connection ends without an answer, the request may have been applied: the caller is told, and decides."""

    async def script(peer: Any) -> None:
        if not is_first:
            await peer.read()
            await peer.write(NO_CONTENT)
        await peer.read()
        if how == "reset":
            peer.reset()

    async def test() -> None:
        async with serve(script) as server, carrier.transport(connections_max=1) as transport:
            if not is_first:
                await carrier.post(transport, server.url)
            with pytest.raises(error) as caught:
                await carrier.post(transport, server.url, target=b"/once")
            assert not isinstance(caught.value, NOT_SENT)
            await server.until(lambda: server.open_now == 0, "the connection is closed")
            assert [received.lines[0] for received in server.received].count(b"POST /once HTTP/1.1") == 1

    carrier.run(test())


def test_a_request_that_could_not_be_sent_says_so(carrier: Any, serve: Any, always: Any) -> None:
    """Nobody listens, or the name is unknown: no byte has left, and places are not used up."""

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server:
            port = server.port
        async with carrier.transport(connections_max=1) as transport:
            for url in (f"http://127.0.0.1:{port}/", "http://name.invalid/") * 2:
                with pytest.raises(httpx.ConnectError) as caught:
                    await carrier.post(transport, url)
                assert isinstance(caught.value, NOT_SENT)

    carrier.run(test())


def test_idle_connections_expire(carrier: Any, serve: Any, always: Any) -> None:
    """After the idle time the client hangs up by itself. httpx's transport does so when the next request comes."""

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server, carrier.transport(idle_seconds_max=0.1) as transport:
            await asyncio.gather(*(carrier.post(transport, server.url) for _ in range(3)))
            if carrier.is_stock:
                await asyncio.sleep(0.15)
                await carrier.post(transport, server.url)
                await server.until(lambda: server.open_now == 1, "the idle ones are closed")
            else:
                await server.until(lambda: server.open_now == 0, "the idle ones are closed")
            assert server.received
            before = server.opened
            await carrier.post(transport, server.url)
            assert server.opened == before + (0 if carrier.is_stock else 1)

    carrier.run(test())


def test_a_name_that_moves_is_followed(carrier: Any, serve: Any, always: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though a connection is never idle, its maximum age leads to the new address. httpx's transport knows no such age."""

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as old, serve(always(NO_CONTENT), host="127.0.0.2", port=old.port) as new:
            loop = asyncio.get_running_loop()
            address = old.host
            connect = loop.create_connection

            async def connect_to_address(factory: Any, host: str, port: int, **options: Any) -> Any:
                return await connect(factory, address if host in {"api.example", old.host} else host, port, **options)

            async def resolve(_host: Any, port: Any, **_: Any) -> Any:
                return [(2, 1, 6, "", (address, port))]

            monkeypatch.setattr(loop, "create_connection", connect_to_address)
            monkeypatch.setattr(loop, "getaddrinfo", resolve)
            async with carrier.transport(connections_max=2, age_seconds_max=0.2) as transport:
                url = f"http://api.example:{old.port}/"
                await carrier.post(transport, url)
                address = new.host
                end = loop.time() + (0.4 if carrier.is_stock else 5)
                while not new.received and loop.time() < end:
                    await carrier.post(transport, url)
                assert bool(new.received) is not carrier.is_stock
                assert old.opened == 1

    carrier.run(test())


def test_who_is_cancelled_takes_the_connection_along(carrier: Any, serve: Any) -> None:
    """An answer nobody waits for must not meet the next request: the connection is closed, its place is free."""

    async def test() -> None:
        gate = Gate()
        async with serve(gate.script) as server, carrier.transport(connections_max=1) as transport:
            task = asyncio.ensure_future(carrier.post(transport, server.url))
            await server.until(lambda: len(server.received) == 1, "the request arrived")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            gate.open.set()
            assert (await carrier.post(transport, server.url)).status_code == 204
            assert server.opened == 2

    carrier.run(test())


def test_who_is_cancelled_while_waiting_leaves_the_queue(carrier: Any, serve: Any) -> None:
    """The next in the queue gets the place."""

    async def test() -> None:
        gate = Gate()
        async with serve(gate.script) as server, carrier.transport(connections_max=1) as transport:
            tasks = [asyncio.ensure_future(carrier.post(transport, server.url, target=b"/%d" % number)) for number in range(3)]
            await server.until(lambda: len(server.received) == 1, "the first request arrived")
            tasks[1].cancel()
            gate.open.set()
            await tasks[2]
            assert [received.lines[0].split()[1] for received in server.received] == [b"/0", b"/2"]

    carrier.run(test())


async def disturbed(dice: random.Random, post: Coroutine[Any, Any, Any]) -> None:
    """Begin a request, and perhaps cancel it some turns of the loop later."""
    task = asyncio.ensure_future(post)
    for _ in range(dice.randrange(25)):
        await asyncio.sleep(0)
    if dice.random() < 0.7:
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("seed", range(4))
def test_cancellations_leak_nothing(carrier: Any, serve: Any, seed: int) -> None:
    """After hundreds of requests cancelled at any moment (waiting, connecting, sent, answered), all places are there to be used.

    httpx's transport loses places (httpcore #1093 and its kin), which is why it must not be cancelled; all that is expected of it here is
    that who waits in vain is told.
    """
    limits = {"pool": 0.02} if carrier.is_stock else {}
    dice = random.Random(seed)  # noqa: S311 - to be repeated

    async def script(peer: Any) -> None:
        while await peer.read():
            for _ in range(dice.randrange(4)):
                await asyncio.sleep(0)
            await peer.write(NO_CONTENT)
            if dice.random() < 0.1:
                return

    async def test() -> None:
        async with serve(script) as server, carrier.transport(connections_max=4) as transport:
            for _ in range(20):
                await asyncio.gather(*(disturbed(dice, carrier.post(transport, server.url, **limits)) for _ in range(15)))
            if not carrier.is_stock:
                await check_places(carrier, transport, server)

    carrier.run(test())


async def check_places(carrier: Any, transport: Any, server: Any) -> None:
    """Look that each place in use belongs to an open connection, that nobody is left waiting, and that all places can be used."""
    (pool,) = transport._pools.values()
    assert pool._places_taken == sum(connection.is_open for connection in pool._connections)
    assert not pool._waiting
    await server.until(lambda: server.open_now <= 4, "the places agree with the sockets")
    answers = await asyncio.gather(*(carrier.post(transport, server.url) for _ in range(4)), return_exceptions=True)
    assert all(isinstance(answer, httpx.RemoteProtocolError | httpx.Response) for answer in answers)


def test_closing_hangs_up(carrier: Any, serve: Any, always: Any) -> None:
    """After `aclose` no socket is open."""

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server:
            async with carrier.transport() as transport:
                await asyncio.gather(*(carrier.post(transport, server.url) for _ in range(3)))
            await server.until(lambda: server.open_now == 0, "all are closed")
            assert len(server.received) == 3

    carrier.run(test())


def test_closing_ends_what_is_under_way(carrier: Any, serve: Any) -> None:
    """Who waits for an answer learns that there will be none; who waits for a place, that nothing was sent."""

    async def test() -> None:
        if carrier.is_stock:  # it refuses to be closed while it is used
            return
        gate = Gate()
        async with serve(gate.script) as server:
            async with carrier.transport(connections_max=1) as transport:
                tasks = [asyncio.ensure_future(carrier.post(transport, server.url)) for _ in range(2)]
                await server.until(lambda: len(server.received) == 1, "the first request arrived")
            sent, not_sent = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(sent, httpx.ReadError)
            assert isinstance(not_sent, NOT_SENT)
            with pytest.raises(httpx.ConnectError):
                await carrier.post(transport, server.url)

    carrier.run(test())


@pytest.mark.parametrize("is_secure", [False, True])
def test_what_is_over_is_freed_at_once(
    only_ours: Any, serve: Any, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, *, is_secure: bool
) -> None:
    """A connection that is lost does not wait for the garbage collector, which comes by seldom."""

    async def script(peer: Any) -> None:
        await peer.read()
        await peer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    def left() -> int:
        return sum(isinstance(thing, Connection | TlsLayer) for thing in gc.get_objects())

    async def test() -> None:
        gc.collect()
        before = left()
        gc.disable()
        try:
            async with serve(script, tls=server_tls if is_secure else None) as server, only_ours.transport(tls=client_tls) as transport:
                for _ in range(5):
                    assert (await only_ours.post(transport, server.url)).status_code == 204
                await server.until(lambda: left() == before, "all of them are gone")
        finally:
            gc.enable()

    only_ours.run(test())


@pytest.mark.parametrize("end", ["hangs up", "does not answer", "is not there", "is not trusted", "hangs up in the handshake"])
def test_a_call_that_fails_leaves_nothing_behind(only_ours: Any, serve: Any, server_tls: ssl.SSLContext, end: str) -> None:
    """Its error is freed with all that its trace leads to: none of it waits for the garbage collector, which comes by seldom."""

    async def script(peer: Any) -> None:
        if end != "hangs up in the handshake":
            await peer.read()
        if end == "does not answer":
            await asyncio.sleep(0.2)

    async def test() -> None:
        async with only_ours.transport() as transport:
            async with serve(script, tls=server_tls if end == "is not trusted" else None) as server:
                url = server.url.replace("http:", "https:") if end == "hangs up in the handshake" else server.url
                if end != "is not there":
                    await fail(transport, url)
            if end == "is not there":
                await fail(transport, url)

    def is_ours(thing: object) -> bool:
        return isinstance(thing, FrameType) and thing.f_globals["__name__"].startswith("relay.")

    async def fail(transport: httpx.AsyncBaseTransport, url: str) -> None:
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                with contextlib.suppress(httpx.TransportError):
                    await only_ours.post(transport, url, read=0.05)
            await asyncio.sleep(0)  # so that sockets are closed
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            assert not [thing for thing in gc.garbage if isinstance(thing, Connection | TlsLayer | httpx.TransportError) or is_ours(thing)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()

    only_ours.run(test())

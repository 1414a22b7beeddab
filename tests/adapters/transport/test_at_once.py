"""A POST that is sent at once, on a connection that is at hand: the same request and the same ends as by way of httpx's seam."""

import asyncio
from typing import Any

import httpx
import pytest

from relay.api.connection import Answer, encode_head
from relay.api.transport import Destination, Transport

NO_CONTENT = b"HTTP/1.1 204 No Content\r\nX-Words: some\r\n\r\n"
HEADERS = [(b"host", b"api.example"), (b"content-type", b"application/json"), (b"X-Gateway", b"caf\xe9")]
PATIENCE = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}


async def ask(transport: Transport, url: str, *, target: bytes = b"/there", **limits: float) -> Answer | httpx.TransportError | None:
    """Send at once, and wait for the end; None when there was no connection at hand."""
    future: asyncio.Future[Answer | httpx.TransportError] = asyncio.get_running_loop().create_future()
    destination = Destination(httpx.URL(url), encode_head(HEADERS), PATIENCE | limits)
    return await future if transport.post_at_once(destination, target, b"{}", future.set_result) else None


async def warm(transport: Transport, url: str, **limits: float) -> None:
    """Have a connection at hand: post by way of the seam."""
    request = httpx.Request("POST", url, content=b"{}", headers=HEADERS, extensions={"timeout": PATIENCE | limits, "target": b"/there"})
    response = await transport.handle_async_request(request)
    await response.aclose()


def test_both_ways_send_the_same_bytes_and_bring_the_same_answer(only_ours: Any, serve: Any, always: Any) -> None:
    """Nobody at the other end can tell them apart."""

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server, only_ours.transport() as transport:
            await warm(transport, server.url)
            assert await ask(transport, server.url) == (204, [(b"X-Words", b"some")], b"")
            first, second = server.received
            assert (first.head.lower(), first.body) == (second.head.lower(), second.body)
            assert server.opened == 1

    only_ours.run(test())


def test_nothing_leaves_without_a_connection_at_hand(only_ours: Any, serve: Any, always: Any) -> None:
    """At first there is none, and one that carries a request is not at hand."""

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server, only_ours.transport(connections_max=1) as transport:
            assert await ask(transport, server.url) is None
            await warm(transport, server.url)
            answers = await asyncio.gather(ask(transport, server.url), ask(transport, server.url))
            assert [answer is None for answer in answers] == [False, True]

    only_ours.run(test())


def test_a_connection_that_the_server_left_is_not_at_hand(only_ours: Any, serve: Any) -> None:
    """A request on it would be lost."""

    async def script(peer: Any) -> None:
        await peer.read()
        await peer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")

    async def test() -> None:
        async with serve(script) as server, only_ours.transport() as transport:
            await warm(transport, server.url)
            assert await ask(transport, server.url) is None

    only_ours.run(test())


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        ("hang_up", httpx.RemoteProtocolError),
        ("reset", httpx.ReadError),
        ("nonsense", httpx.RemoteProtocolError),
        ("silence", httpx.ReadTimeout),
    ],
)
def test_what_goes_wrong_is_told(only_ours: Any, serve: Any, ending: str, error: type[Exception]) -> None:
    """By the exception that the other way raises; and the connection is not used again."""

    async def script(peer: Any) -> None:
        await peer.read()
        await peer.write(NO_CONTENT)
        await peer.read()
        if ending == "reset":
            peer.reset()
        elif ending == "nonsense":
            await peer.write(b"this is not HTTP\r\n\r\n")
            await peer.gone()
        elif ending == "silence":
            await peer.gone()

    async def test() -> None:
        async with serve(script) as server, only_ours.transport() as transport:
            await warm(transport, server.url)
            assert isinstance(await ask(transport, server.url, read=0.1), error)
            assert await ask(transport, server.url) is None

    only_ours.run(test())


def test_closing_ends_what_is_under_way(only_ours: Any, serve: Any) -> None:
    """Whoever waits is told."""

    async def script(peer: Any) -> None:
        await peer.read()
        await peer.write(NO_CONTENT)
        await peer.gone()

    async def test() -> None:
        async with serve(script) as server:
            transport = only_ours.transport()
            await warm(transport, server.url)
            waiting = asyncio.ensure_future(ask(transport, server.url))
            await asyncio.sleep(0)
            await transport.aclose()
            assert isinstance(await waiting, httpx.ReadError)

    only_ours.run(test())


def test_a_target_cannot_forge_a_request(only_ours: Any, serve: Any, always: Any) -> None:
    """It is refused before anything leaves, and the connection stays at hand."""

    async def test() -> None:
        async with serve(always(NO_CONTENT)) as server, only_ours.transport() as transport:
            await warm(transport, server.url)
            with pytest.raises(httpx.LocalProtocolError):
                await ask(transport, server.url, target=b"/a HTTP/1.1\r\nX: y")
            assert await ask(transport, server.url) is not None
            assert server.opened == 1

    only_ours.run(test())

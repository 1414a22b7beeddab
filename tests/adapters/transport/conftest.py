"""The transports under test, and a server that does exactly what a test tells it to.

A test says what the server does on each connection as a coroutine over a `Peer`. `carrier` is one transport on one event loop: all tests
run for ours on asyncio and on uvloop, and for httpx's own, so that either may stand below the seam.
"""

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import trustme
import uvloop

from relay.api.tls import tls_context
from relay.api.transport import Transport, stock_transport

DEADLINE_SECONDS = 20.0
PATIENCE = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}


@dataclass(frozen=True)
class Received:
    """A request as the server saw it."""

    head: bytes
    body: bytes
    connection: int

    @property
    def lines(self) -> list[bytes]:
        """The request line and the headers."""
        return self.head.split(b"\r\n")


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: "Server", number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Count from 1."""
        self.server = server
        self.number = number
        self.reader = reader
        self.writer = writer

    async def read(self) -> Received | None:
        """A whole request; None at the end."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n"))[:-4]
            lower = head.lower()
            body = b""
            if b"\r\ntransfer-encoding: chunked" in lower:
                while size := int(await self.reader.readuntil(b"\r\n"), 16):
                    body += (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readexactly(2)
            elif b"\r\ncontent-length: " in lower:
                body = await self.reader.readexactly(int(lower.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0]))
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return None
        received = Received(head, body, self.number)
        self.server.received.append(received)
        return received

    async def write(self, data: bytes) -> None:
        """Some bytes, sent before this returns unless the client does not read."""
        self.writer.write(data)
        await self.writer.drain()

    def hang_up_at_once(self) -> None:
        """End the connection before any event loop takes another turn."""
        with socket.socket(fileno=os.dup(self.writer.get_extra_info("socket").fileno())) as twin:
            twin.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Close as a server does that crashes: by RST."""
        with socket.socket(fileno=os.dup(self.writer.get_extra_info("socket").fileno())) as twin:
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def gone(self) -> None:
        """Wait until the client hangs up."""
        try:
            while await self.reader.read(65536):
                pass
        except (ConnectionError, ssl.SSLError):
            return


Script = Callable[[Peer], Awaitable[None]]


@dataclass
class Server:
    """What the tests look at."""

    host: str
    port: int = 0
    scheme: str = "http"
    opened: int = 0
    open_now: int = 0
    open_most: int = 0
    received: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self.scheme}://{self.host}:{self.port}/"

    async def until(self, fact: Callable[[], bool], name: str) -> None:
        """Wait for a fact."""
        try:
            async with asyncio.timeout(5):
                while not fact():  # noqa: ASYNC110 - any fact, not only those that somebody announces
                    await asyncio.sleep(0.005)
        except TimeoutError:
            pytest.fail(f"waited in vain: {name}")


@asynccontextmanager
async def serving(script: Script, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Run the script for each connection; when it returns, the connection is closed."""
    server = Server(host, scheme="https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.opened += 1
        server.open_now += 1
        server.open_most = max(server.open_most, server.open_now)
        try:
            await script(Peer(server, server.opened, reader, writer))
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            server.open_now -= 1
            writer.close()
            if tls:
                with suppress(AttributeError):  # Python before 3.11.4, where the transport is gone already
                    writer.transport.abort()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(converse(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await asyncio.start_server(begin, host, port, ssl=tls, backlog=512)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


def always_answering(answer: bytes) -> Script:
    """Give the same answer to each request, for as long as the client likes."""

    async def script(peer: Peer) -> None:
        while await peer.read():
            await peer.write(answer)

    return script


@dataclass(frozen=True)
class Carrier:
    """One transport on one event loop."""

    is_stock: bool
    loop_factory: Callable[[], asyncio.AbstractEventLoop]

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        """Run a test to its end, and look that nothing complained behind its back."""
        complaints: list[dict[str, Any]] = []

        async def bounded() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
            async with asyncio.timeout(DEADLINE_SECONDS):
                await test

        with asyncio.Runner(loop_factory=self.loop_factory) as runner:
            runner.run(bounded())
        assert not complaints

    def transport(self, *, connections_max: int = 10, **only_ours: Any) -> AbstractAsyncContextManager[httpx.AsyncBaseTransport]:
        """Build the transport; what httpx's has no word for (age, size of answers) goes to ours alone."""
        if self.is_stock:
            known = {name: only_ours[name] for name in ("tls", "idle_seconds_max") if name in only_ours}
            return stock_transport(connections_max=connections_max, **known)
        return Transport(connections_max=connections_max, **only_ours)

    async def post(
        self,
        transport: httpx.AsyncBaseTransport,
        url: str,
        *,
        body: bytes = b"{}",
        headers: list[tuple[bytes, bytes]] | None = None,
        target: bytes | None = None,
        **limits: float,
    ) -> httpx.Response:
        """POST, and read the answer whole."""
        extensions: dict[str, Any] = {"timeout": PATIENCE | limits}
        if target is not None:
            extensions["target"] = target
        request = httpx.Request("POST", url, content=body, headers=headers, extensions=extensions)
        response = await transport.handle_async_request(request)
        try:
            await response.aread()
        finally:
            await response.aclose()
        return response


CARRIERS = {
    "fast-asyncio": Carrier(is_stock=False, loop_factory=asyncio.new_event_loop),
    "fast-uvloop": Carrier(is_stock=False, loop_factory=uvloop.new_event_loop),
    "stock": Carrier(is_stock=True, loop_factory=asyncio.new_event_loop),
}


@pytest.fixture(params=CARRIERS)
def carrier(request: pytest.FixtureRequest) -> Carrier:
    """A transport under test."""
    return CARRIERS[request.param]


@pytest.fixture(params=["fast-asyncio", "fast-uvloop"])
def only_ours(request: pytest.FixtureRequest) -> Carrier:
    """Our transport, for what httpx's has no way to do."""
    return CARRIERS[request.param]


@pytest.fixture
def serve() -> Callable[..., AbstractAsyncContextManager[Server]]:
    """Start a scripted server."""
    return serving


@pytest.fixture
def always() -> Callable[[bytes], Script]:
    """Make the script of a server that always gives the same answer."""
    return always_answering


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Who signs the server's certificates, and is trusted by nobody else."""
    return trustme.CA()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A server that is 127.0.0.1."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The certificate of the authority."""
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(scope="session")
def client_tls(ca_file: str) -> ssl.SSLContext:
    """A client that trusts the authority."""
    return tls_context(ca_file)

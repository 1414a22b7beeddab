"""What one small POST costs the client, for each transport that could stand below httpx's seam.

In: nothing but what is installed (pyreqwest, aiohttp and httpx2 are measured if they are there). Out: a table of CPU microseconds per
request (user and system time of this process with all its threads, `httpx.Request` and `httpx.Response` included), by number of
connections, plain and over TLS. The server is another process. Each figure is the median of alternating turns; the last columns compare it
with stock httpx and with the floor: the same bytes over bare asyncio protocols, without pool, limits or httpx.

    python bench/transports.py [--rounds 5] [--turn-seconds 0.25]
"""

import argparse
import asyncio
import os
import platform
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

import httptools
import httpx
import trustme
import uvloop

from relay.api.tls import tls_context
from relay.api.transport import Transport, stock_transport

PATH: Final = "/api/v1/sessions/0123456789abcdef0123456789abcdef/events"
BODY: Final = b'{"playerTime":{"playhead":12.5,"ts":1700000012500},"eventType":"ping","params":{}}'.ljust(190)
ANSWER: Final = b"HTTP/1.1 204 No Content\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: bench\r\nX-Request-ID: 0123456789abcdef\r\n\r\n"
EXTENSIONS: Final = {"target": PATH.encode(), "timeout": {"connect": 10.0, "read": 10.0, "write": 10.0, "pool": 10.0}}
CONNECTIONS: Final = (1, 64, 512)
IDLE_SECONDS: Final = 60.0  # connections stay open while the others take their turns
STOCK_CONNECTIONS_MAX: Final = 64  # beyond, the pools of httpx and its fork take 10 to 100 ms for each request, and a minute for a turn

Post = Callable[[], Awaitable[int]]
Candidate = Callable[[str, Path, int], AbstractAsyncContextManager[Post]]


class Answering(asyncio.Protocol):
    """The server: 204 to whatever is a whole request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Answer."""
        self.transport.write(ANSWER)  # type: ignore[attr-defined]


async def serve(folder: Path) -> None:
    """Serve plain and TLS until the other process closes our standard input; say the ports first."""
    loop = asyncio.get_running_loop()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    plain = await loop.create_server(Answering, "127.0.0.1", 0, backlog=2048)
    secure = await loop.create_server(Answering, "127.0.0.1", 0, backlog=2048, ssl=context)
    print(plain.sockets[0].getsockname()[1], secure.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def headers_for(url: str) -> list[tuple[bytes, bytes]]:
    """What the relay sends."""
    host = httpx.URL(url).netloc
    return [(b"Host", host), (b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(BODY)), (b"Accept", b"*/*")]


@asynccontextmanager
async def over(transport: httpx.AsyncBaseTransport, url: str, extensions: Mapping[str, object] = EXTENSIONS) -> AsyncIterator[Post]:
    """The hot path of the relay: the transport itself, one URL object, the target beside it."""
    parsed, headers = httpx.URL(url), headers_for(url)

    async def post() -> int:
        request = httpx.Request("POST", parsed, headers=headers, stream=httpx.ByteStream(BODY), extensions={**extensions})
        response = await transport.handle_async_request(request)
        if type(response.stream) is not httpx.ByteStream:
            await response.aread()
        return response.status_code

    async with transport:
        yield post


def fast(url: str, ca: Path, connections: int) -> AbstractAsyncContextManager[Post]:
    """Our own."""
    return over(Transport(connections_max=connections, tls=tls_context(str(ca)), idle_seconds_max=IDLE_SECONDS), url)


def stock(url: str, ca: Path, connections: int) -> AbstractAsyncContextManager[Post]:
    """httpx's own."""  # noqa: D403 - a name
    return over(stock_transport(connections_max=connections, tls=tls_context(str(ca)), idle_seconds_max=IDLE_SECONDS), url)


def pyreqwest(url: str, ca: Path, connections: int) -> AbstractAsyncContextManager[Post]:
    """Rust's reqwest, through its own transport for httpx. It knows no extension `target`: the whole URL it is."""
    from pyreqwest.client import ClientBuilder  # noqa: PLC0415 - measured if installed
    from pyreqwest.compatibility.httpx import HttpxTransport  # noqa: PLC0415

    builder = ClientBuilder().max_connections(connections).add_root_certificate_pem(ca.read_bytes()).http1_only()
    return over(HttpxTransport(builder.build()), url + PATH, {})


@asynccontextmanager
async def httpx2(url: str, ca: Path, connections: int) -> AsyncIterator[Post]:
    """The fork of httpx, with types of its own."""
    import httpx2 as library  # noqa: PLC0415 - measured if installed

    limits = library.Limits(max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=IDLE_SECONDS)
    parsed, headers = library.URL(url), headers_for(url)
    async with library.AsyncHTTPTransport(verify=tls_context(str(ca)), limits=limits) as transport:

        async def post() -> int:
            body, extensions = library.ByteStream(BODY), {**EXTENSIONS}
            request = library.Request("POST", parsed, headers=headers, stream=body, extensions=extensions)
            response = await transport.handle_async_request(request)
            await response.aread()
            return response.status_code

        yield post


@asynccontextmanager
async def aiohttp(url: str, ca: Path, connections: int) -> AsyncIterator[Post]:
    """aiohttp's own client, without httpx."""  # noqa: D403 - a name
    import aiohttp as library  # noqa: PLC0415 - measured if installed

    connector = library.TCPConnector(limit=connections, ssl=tls_context(str(ca)), keepalive_timeout=IDLE_SECONDS)
    whole = url + PATH
    headers = {"Content-Type": "application/json"}
    async with library.ClientSession(connector=connector, timeout=library.ClientTimeout(total=10)) as session:

        async def post() -> int:
            async with session.post(whole, data=BODY, headers=headers) as response:
                await response.read()
                return response.status

        yield post


class Bare(asyncio.Protocol):
    """One connection of the floor."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = transport
        self.parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        """The answer came."""
        self.answer.set_result(self.parser.get_status_code())

    def send(self, message: bytes) -> asyncio.Future[int]:
        """Ask."""
        self.answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.transport.write(message)  # type: ignore[attr-defined]
        return self.answer


@asynccontextmanager
async def floor(url: str, ca: Path, connections: int) -> AsyncIterator[Post]:
    """What nobody can do without."""
    parsed = httpx.URL(url)
    context = tls_context(str(ca)) if parsed.scheme == "https" else None
    loop = asyncio.get_running_loop()
    idle = [(await loop.create_connection(Bare, parsed.host, parsed.port, ssl=context))[1] for _ in range(connections)]
    head = [f"POST {PATH} HTTP/1.1".encode(), *(name + b": " + value for name, value in headers_for(url)), b"", BODY]
    message = b"\r\n".join(head)
    everyone = tuple(idle)

    async def post() -> int:
        connection = idle.pop()
        status = await connection.send(message)
        idle.append(connection)
        return status

    try:
        yield post
    finally:
        for connection in everyone:
            connection.transport.close()


CANDIDATES: Final[tuple[Candidate, ...]] = (floor, fast, aiohttp, pyreqwest, httpx2, stock)


def cpu_seconds() -> float:
    """User and system time of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def take_turn(post: Post, connections: int, seconds: float) -> float:
    """CPU microseconds per request, with as many requests in flight as there are connections."""
    count = 0
    end = time.monotonic() + seconds

    async def worker() -> None:
        nonlocal count
        while True:
            assert await post() == httpx.codes.NO_CONTENT
            count += 1
            if time.monotonic() >= end:
                return

    before = cpu_seconds()
    await asyncio.gather(*(worker() for _ in range(connections)))
    return (cpu_seconds() - before) / count * 1e6


async def compare(url: str, ca: Path, connections: int, *, rounds: int, turn_seconds: float) -> dict[str, list[float]]:
    """Let the candidates take turns, each with connections that stay open throughout."""
    figures: dict[str, list[float]] = {}
    opened: list[tuple[str, AbstractAsyncContextManager[Post], Post]] = []
    for candidate in CANDIDATES:
        if candidate in {stock, httpx2} and connections > STOCK_CONNECTIONS_MAX:
            continue
        try:
            context = candidate(url, ca, connections)
            opened.append((candidate.__name__, context, await context.__aenter__()))
        except ImportError:
            continue
    for turn in range(rounds + 1):  # the first opens the connections
        for name, _, post in opened:
            figure = await take_turn(post, connections, turn_seconds if turn else 0.0)
            if turn:
                figures.setdefault(name, []).append(figure)
    for _, context, _ in reversed(opened):
        await context.__aexit__(None, None, None)
    return figures


def report(title: str, figures: dict[str, list[float]]) -> None:
    """One block of the table."""
    medians = {name: statistics.median(values) for name, values in figures.items()}
    for name, median in medians.items():
        turns = figures[name]
        ratio = f"{medians['stock'] / median:.1f}" if "stock" in medians else "-"
        print(
            f"{title:22} {name:10} {median:9.1f} {min(turns):9.1f} {max(turns):9.1f} {len(turns):9}"
            f" {median / medians['floor']:9.2f} {ratio:>9}",
            flush=True,
        )
    print()


def measure(rounds: int, turn_seconds: float) -> None:
    """Start the server, and print the table."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
        command = [sys.executable, __file__, "--serve", name]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            plain, secure = server.stdout.readline().split()
            versions = f"Python {platform.python_version()}, httpx {httpx.__version__}, uvloop {uvloop.__version__}"
            print(f"{versions}; {os.cpu_count()} cores, loopback\n")
            print(f"{'':22} {'µs CPU per POST':>40}")
            titles = ("median", "least", "most", "turns", "÷ floor", "stock ÷")
            print(f"{'connections':22} {'transport':10}", *(f"{title:>9}" for title in titles))
            for kind, url in (("plain", f"http://127.0.0.1:{plain}"), ("TLS", f"https://127.0.0.1:{secure}")):
                for connections in CONNECTIONS:
                    figures = uvloop.run(compare(url, folder / "ca.pem", connections, rounds=rounds, turn_seconds=turn_seconds))
                    report(f"{connections} {kind}", figures)
            server.stdin.close()
    print(f"{time.monotonic() - began:.0f} s in all")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="CPU per POST of each transport")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turn-seconds", type=float, default=0.25)
    parser.add_argument("--serve", metavar="FOLDER", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        uvloop.run(serve(arguments.serve))
    else:
        measure(arguments.rounds, arguments.turn_seconds)

"""The small server beside the relay: health and metrics by GET, and whatever else is put into its table of routes.

In: a table path → function. Out: answers, one per connection. It runs on the relay's own loop, so that a stuck loop shows as no answer.
"""

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from relay.errors import SettingsError

HEAD_BYTES_MAX: Final = 16_384
CONNECTIONS_MAX: Final = 64  # scrapers and probes; more is somebody's mistake
SECONDS_MAX: Final = 5.0  # for a request to come, and for its answer to go
_REQUEST_LINE_PARTS: Final = 3


class Request(NamedTuple):
    """What was asked for."""

    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}  # names in lower case


class Response(NamedTuple):
    """What is answered."""

    body: bytes
    content_type: str = "application/json"
    status: int = HTTPStatus.OK
    headers: Mapping[str, str] = {}  # besides those that every answer has, or in their place


Handler: TypeAlias = Callable[[Request], Response | Awaitable[Response]]
Check: TypeAlias = Callable[[], tuple[bool, Mapping[str, object]]]
"""Whether it is well, and the reasons."""


class Exposes(Protocol):
    """The face of the metrics."""

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """The page and its content type."""
        ...


def health_routes(*, live: Check, ready: Check, metrics: Exposes) -> dict[str, Handler]:
    """`/livez`, `/readyz` and `/metrics`."""

    def show_metrics(request: Request) -> Response:
        body, content_type = metrics.expose(request.headers.get("accept", ""))
        return Response(body, content_type)

    return {"/livez": lambda _: _judge(live), "/readyz": lambda _: _judge(ready), "/metrics": show_metrics}


def as_json(value: object, status: int = HTTPStatus.OK) -> Response:
    """An answer in JSON."""
    return Response(json.dumps(value, default=str).encode() + b"\n", status=status)


def _judge(check: Check) -> Response:
    is_well, reasons = check()
    return as_json({"ok": is_well, **reasons}, HTTPStatus.OK if is_well else HTTPStatus.SERVICE_UNAVAILABLE)


class Admin:
    """The server. A route that ends in a slash answers for everything below it."""

    def __init__(self, host: str, port: int, routes: Mapping[str, Handler]) -> None:
        """Listen there once started; port 0 takes any that is free."""
        self._host = host
        self._port = port
        self._routes = routes
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen. Raises `SettingsError` when the address cannot be had."""
        try:
            self._server = await asyncio.start_server(self._connected, self._host, self._port, limit=HEAD_BYTES_MAX)
        except OSError as error:
            reason = error.strerror or "the address is not known here"
            raise SettingsError(
                f"RELAY_ADMIN__PORT: cannot listen on {self._host}:{self._port} ({reason}); choose another port, or 0 for any"
            ) from error

    async def stop(self) -> None:
        """Let go of the port; answers under way are cut short."""
        if self._server is None:
            return
        self._server.close()
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        """A plain callback and a task of our own: the library's would log each one that is cut short."""
        if len(self._connections) >= CONNECTIONS_MAX:
            writer.transport.abort()
            return
        connection = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            async with asyncio.timeout(SECONDS_MAX):
                await self._answer(reader, writer)
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # who asked has gone away
        finally:
            writer.transport.abort()

    async def _answer(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            response, method = _problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), "GET"
        else:
            response, method = await self._respond(head.decode("latin-1"))
        writer.write(_head(response) + (b"" if method == "HEAD" else response.body))
        await writer.drain()

    async def _respond(self, head: str) -> tuple[Response, str]:
        line, *fields = head.split("\r\n")
        parts = line.split(" ")
        if len(parts) != _REQUEST_LINE_PARTS or not parts[2].startswith("HTTP/1."):
            return _problem(HTTPStatus.BAD_REQUEST), "GET"
        method, target, _ = parts
        if method not in {"GET", "HEAD"}:
            return _problem(HTTPStatus.METHOD_NOT_ALLOWED), method
        try:
            url = urlsplit(target)
        except ValueError:
            return _problem(HTTPStatus.BAD_REQUEST), method
        handler = self._route(url.path)
        if handler is None:
            return _problem(HTTPStatus.NOT_FOUND), method
        headers = {name.strip().lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        response = handler(Request(unquote(url.path), dict(parse_qsl(url.query)), headers))
        return (response if isinstance(response, Response) else await response), method

    def _route(self, path: str) -> Handler | None:
        if path in self._routes:
            return self._routes[path]
        above = [route for route in self._routes if route.endswith("/") and route != "/" and path.startswith(route)]
        return self._routes[max(above, key=len)] if above else None


def _problem(status: HTTPStatus) -> Response:
    return as_json({"error": status.phrase}, status)


def _head(response: Response) -> bytes:
    headers = {
        "Content-Type": response.content_type,
        "Content-Length": str(len(response.body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
        **response.headers,
    }
    if response.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = "GET, HEAD"
    lines = [f"HTTP/1.1 {int(response.status)} {HTTPStatus(response.status).phrase}", *(f"{name}: {it}" for name, it in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

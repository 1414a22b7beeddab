"""A small HTTP/1.1 server: keeps connections alive, answers in order, bounds what it reads.

In: bytes. Out: the bytes of the replies that the function which it was given returns, as late and as incomplete as they ask for.
"""

import asyncio
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Protocol, cast

import httptools
import msgspec

from relay.sandbox.fake_api.dialect import Ending, Headers, Reply
from relay.sandbox.fake_api.encoding import encode
from relay.sandbox.fake_api.record import Entry

BODY_BYTES_MAX: Final = 1 << 20
ADMIN_BODY_BYTES_MAX: Final = 256 << 20  # a list of everything that was produced
HEAD_BYTES_MAX: Final = 64 << 10
WAITING_MAX: Final = 100  # requests that a client sent ahead before reading pauses
LINGER_SECONDS: Final = 1.0  # how long the rest of a refused request is thrown away
ADMIN_PREFIX: Final = "/_fake/"

_LINGER_ZERO: Final = struct.pack("ii", 1, 0)  # closing then sends a reset
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Answered(Protocol):
    """A reply, and what was remembered of the request."""

    @property
    def reply(self) -> Reply:
        """The reply."""
        ...

    @property
    def entry(self) -> Entry | None:
        """What is to be marked when the reply finds nobody."""
        ...


Exchange = Callable[[str, str, Headers, bytes], Answered]
WentUnanswered = Callable[[Entry | None], None]


class _Request(msgspec.Struct):
    method: str
    target: str
    headers: Headers
    body: bytes
    is_kept_alive: bool


class Server:
    """Listens on one address."""

    def __init__(self, exchange: Exchange, went_unanswered: WentUnanswered) -> None:
        """Take the functions that answer a request, and that hear of a client who left early."""
        self.exchange = exchange
        self.went_unanswered = went_unanswered
        self.connections: set[_Connection] = set()
        self._listening: asyncio.Server | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> str:
        """Listen, and return the base URL."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(lambda: _Connection(self, loop), host, port, ssl=tls, backlog=4096)
        name = f"[{host}]" if ":" in host else host
        return f"{'https' if tls else 'http'}://{name}:{self._listening.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Listen no longer and close every connection."""
        assert self._listening is not None
        self._listening.close()
        gone = [connection.gone for connection in self.connections]
        for connection in list(self.connections):
            connection.abort()
        if gone:
            await asyncio.wait(gone)
        await self._listening.wait_closed()


class _Connection(asyncio.Protocol):
    """One client. The `on_…` methods are httptools' callbacks."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.gone: asyncio.Future[None] = loop.create_future()
        self._server = server
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[_Request] = deque()  # behind a reply that takes its time
        self._late: tuple[asyncio.TimerHandle, Answered] | None = None
        self._is_silent = False  # a request is never answered, nor any after it
        self._is_closing = False
        self._begin_message()

    def _begin_message(self) -> None:
        self._target = b""
        self._headers: list[tuple[str, str]] = []
        self._head_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0

    # --- the transport ----------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop has transports of its own, which are no subclass
        self._transport = transport
        self._server.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._is_closing:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise  # our own mistake, not the client's
        except httptools.HttpParserUpgrade:
            self._close()  # the request itself was answered; another protocol is not spoken here
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST)

    def eof_received(self) -> bool:
        return False  # whoever stops sending has left

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio says so
        self._is_closing = True
        if self._late is not None:
            timer, late = self._late
            timer.cancel()
            self._late = None
            self._server.went_unanswered(late.entry)
        self._waiting.clear()
        self._server.connections.discard(self)
        if not self.gone.done():
            self.gone.set_result(None)

    def abort(self) -> None:
        self._is_closing = True
        if self._transport is not None:
            self._transport.abort()

    # --- the parser -------------------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._begin_message()

    def on_url(self, url: bytes) -> None:
        self._target += url
        self._bound_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))
        self._bound_head(len(name) + len(value))

    def on_headers_complete(self) -> None:
        if ("expect", "100-continue") in self._headers and not self._is_closing:
            self._write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > (ADMIN_BODY_BYTES_MAX if self._target.startswith(ADMIN_PREFIX.encode()) else BODY_BYTES_MAX):
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._is_closing:
            return
        request = _Request(
            method=self._parser.get_method().decode("ascii"),
            target=self._target.decode("latin-1"),
            headers=tuple(self._headers),
            body=b"".join(self._body),
            is_kept_alive=self._parser.should_keep_alive(),
        )
        if self._late is None and not self._is_silent:
            self._answer(request)
            return
        self._waiting.append(request)
        if len(self._waiting) == WAITING_MAX and self._transport is not None:
            self._transport.pause_reading()

    def _bound_head(self, length: int) -> None:
        self._head_bytes += length
        if self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    # --- answering --------------------------------------------------------------------------------------------------------------

    def _answer(self, request: _Request) -> None:
        answered = self._server.exchange(request.method, request.target, request.headers, request.body)
        reply = answered.reply
        if reply.delay_seconds:
            timer = self._loop.call_later(reply.delay_seconds, self._answer_late, request, reply)
            self._late = (timer, answered)
        else:
            self._send(request, reply)

    def _answer_late(self, request: _Request, reply: Reply) -> None:
        self._late = None
        self._send(request, reply)
        while self._waiting and self._late is None and not self._is_silent and not self._is_closing:
            self._answer(self._waiting.popleft())
        if not self._is_closing and self._transport is not None:
            self._transport.resume_reading()

    def _send(self, request: _Request, reply: Reply) -> None:
        if reply.ending is Ending.NEVER:
            self._is_silent = True
        elif reply.ending is Ending.RESET:
            self._reset()
        elif reply.ending is Ending.CLOSED:
            self._close()
        else:
            is_kept_alive = request.is_kept_alive and reply.ending is Ending.ANSWERED
            encoded = encode(reply, is_kept_alive=is_kept_alive, has_body=request.method != "HEAD")
            self._write(encoded if reply.ending is Ending.ANSWERED else encoded[: len(encoded) // 2])
            if not is_kept_alive:
                self._close()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _refuse(self, status: HTTPStatus) -> None:
        if not self._is_closing:
            self._write(encode(Reply(status), is_kept_alive=False))
            self._close_gently()

    def _close_gently(self) -> None:
        """What still comes in is read and thrown away for a moment: to close over it would reset the connection, and the answer with it."""
        self._is_closing = True
        if self._transport is not None and self._transport.can_write_eof():
            self._transport.write_eof()
            self._loop.call_later(LINGER_SECONDS, self._transport.abort)
        else:
            self._close()

    def _close(self) -> None:
        self._is_closing = True
        if self._transport is not None:
            self._transport.close()

    def _reset(self) -> None:
        if self._transport is not None:
            below: socket.socket | None = self._transport.get_extra_info("socket")
            if below is not None:
                below.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self.abort()

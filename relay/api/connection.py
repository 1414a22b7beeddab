"""One keep-alive connection: the bytes of a request go out in one write, the answer is put together from what comes back.

In: a whole request, when patience ends and who hears of it, then whatever the socket brings. Out: the answer or what went wrong, told once;
and to the owner, whether the connection may carry another request or is gone.

The owner is told `release` when an answer is complete and nothing speaks against another request, `forget` as soon as there will be no
other, and `lost` when the socket is closed. A connection without a request that receives anything but its end is closed: what a server
sends unasked (a 408 before it hangs up, say) must never be taken for the answer to the next request.
"""

import asyncio
import math
import re
import select
import ssl
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypeAlias, cast

import httptools
import httpx

HEAD_BYTES_MAX: Final = 64 * 1024  # status line and headers together; servers stop at 8 or 16 KiB of their own accord
FRAMING_FACTOR: Final = 8  # a chunk of one byte costs six on the wire; more than this is not an honest answer
QUIET_SECONDS: Final = 0.05  # idle for longer than this: ask the kernel whether the server has hung up meanwhile

# With TLS 1.3 the client has finished, and has sent its request, before the server has looked at its certificate. These alerts say that
# the server never finished the handshake, hence never read the request.
REFUSED_HANDSHAKE: Final = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE")

RawHeaders: TypeAlias = list[tuple[bytes, bytes]]
Answer: TypeAlias = tuple[int, RawHeaders, bytes]
Hear: TypeAlias = Callable[[Answer | httpx.TransportError], None]


# What a header means to the one who frames the message.
ORDINARY, HOST, LENGTH, ENCODING = 0, 1, 2, 4
LINES_MAX: Final = 1024  # of those remembered; most headers are the same for every request, lengths are a few hundred
TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
BREAKING: Final = re.compile(rb"[\r\n\0]")
METHODS: Final = frozenset({"POST", "PUT", "PATCH", "GET", "DELETE", "OPTIONS"})  # HEAD and CONNECT frame their answers otherwise
VISIBLE: Final = bytes(range(0x21, 0x7F))


class _Lines(dict[tuple[bytes, bytes], tuple[bytes, int]]):
    """Header → its line, and what it means. The same header is looked at once."""

    def __missing__(self, header: tuple[bytes, bytes]) -> tuple[bytes, int]:
        name, value = header
        if not TOKEN.fullmatch(name):
            raise httpx.LocalProtocolError("a header name has a character that it must not have")
        if BREAKING.search(value):
            raise httpx.LocalProtocolError("a header value has a line break or NUL in it")
        role = {b"host": HOST, b"content-length": LENGTH, b"transfer-encoding": ENCODING}.get(name.lower(), ORDINARY)
        if len(self) >= LINES_MAX:
            self.clear()
        line = self[header] = (name + b": " + value, role)
        return line


_lines: Final = _Lines()


def encode_request(request: httpx.Request, body: bytes) -> bytes:
    """A whole request as bytes. Headers go out as given; Host and Content-Length are added where missing."""
    target: bytes = request.extensions.get("target") or request.url.raw_path
    if request.method not in METHODS:
        raise httpx.UnsupportedProtocol("the transport does not speak this method")
    if target.translate(None, VISIBLE):
        raise httpx.LocalProtocolError("the target has a character that it must not have")
    parts = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), target)]
    seen = 0
    for header in request.headers.raw:
        line, role = _lines[header]
        if role:
            seen |= role
            if role == ENCODING:
                continue  # the body is whole by now, and goes out with its length
            if role == LENGTH and header[1] != b"%d" % len(body):
                raise httpx.LocalProtocolError("Content-Length is not the length of the body")
        parts.append(line)
    if not seen & HOST:
        parts.append(b"Host: " + request.url.netloc)
    if not seen & LENGTH and (body or seen & ENCODING or request.method in {"POST", "PUT", "PATCH"}):
        parts.append(b"Content-Length: %d" % len(body))
    parts.append(b"")
    parts.append(body)
    return b"\r\n".join(parts)


def encode_head(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The headers of many requests, encoded once."""
    return b"".join(_lines[header][0] + b"\r\n" for header in headers)


def encode_header(header: tuple[bytes, bytes]) -> bytes:
    """One header that is another for each request; it is not remembered. Whoever makes it answers for what is in it."""
    return b"%b: %b\r\n" % header


def encode_post(target: bytes, head: bytes, body: bytes) -> bytes:
    """A whole POST with such a head: byte for byte what `encode_request` makes of the same request."""
    if target.translate(None, VISIBLE):
        raise httpx.LocalProtocolError("the target has a character that it must not have")
    return b"POST %b HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n%b" % (target, head, len(body), body)


class Wire(Protocol):
    """What a connection wants of its socket."""

    def write(self, data: bytes, /) -> None:
        """Send, now or as soon as the socket takes it."""

    def close(self) -> None:
        """Close it when everything is sent."""

    def abort(self) -> None:
        """Close it at once."""

    def is_closing(self) -> bool:
        """Whether it is being closed."""
        ...

    def get_write_buffer_size(self) -> int:
        """How many bytes are not sent yet."""
        ...

    def get_extra_info(self, name: str, /) -> Any:
        """Look at what lies below: `socket`."""
        ...


class Owner(Protocol):
    """Who lends connections out."""

    def release(self, connection: "Connection") -> None:
        """The connection may carry another request."""

    def forget(self, connection: "Connection") -> None:
        """The connection will carry no other request."""

    def lost(self, connection: "Connection") -> None:
        """The socket is closed."""


class Connection(asyncio.Protocol):
    """A socket, the parser of its answers, and the request that waits."""

    __slots__ = (
        "_answer_bytes_max",
        "_body",
        "_body_bytes",
        "_bytes_received",
        "_bytes_unchecked",
        "_has_surplus",
        "_headers",
        "_hear",
        "_is_complete",
        "_loop",
        "_may_go_on",
        "_owner",
        "_parser",
        "_read_by",
        "_status",
        "_wire",
        "_written_by",
        "has_place",
        "idle_since",
        "is_open",
        "retire_at",
    )

    def __init__(self, owner: Owner, *, loop: asyncio.AbstractEventLoop, answer_bytes_max: int, retire_at: float) -> None:
        """Begin without a socket."""
        self._owner = owner
        self._loop = loop
        self._answer_bytes_max = answer_bytes_max
        self._bytes_unchecked = min(answer_bytes_max, HEAD_BYTES_MAX)  # no limit can be broken by so few
        self._wire: Wire | None = None
        self._hear: Hear | None = None
        self._status = 0
        self._headers: RawHeaders = []
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._bytes_received = 0
        self._is_complete = False
        self._may_go_on = False
        self._has_surplus = False
        self.is_open = False
        self.has_place = False  # the owner's: whether this connection counts against the limit
        self.idle_since = 0.0  # the owner's
        self.retire_at = retire_at
        self._read_by = math.inf
        self._written_by = math.inf

    # What the owner and the one who sends ask for.

    def send(self, message: bytes, hear: Hear, *, read_seconds: float | None, write_seconds: float | None) -> None:
        """Hand a whole request to the socket; `hear` is told how it ended, unless it is abandoned."""
        assert self._wire is not None
        assert self._hear is None, "one request at a time"
        self._expect_answer()
        now = self._loop.time()
        self._read_by = math.inf if read_seconds is None else now + read_seconds
        self._written_by = math.inf if write_seconds is None else now + write_seconds
        self._hear = hear
        self._wire.write(message)

    def abandon(self, hear: Hear) -> None:
        """Nobody waits for this answer any more. If it is still to come, the connection is of no use."""
        if self._hear is hear:
            self._hear = None
            self.abort()

    @property
    def is_busy(self) -> bool:
        """Whether a request waits for its answer."""
        return self._hear is not None

    def is_quiet(self, now: float) -> bool:
        """Whether an idle connection may be trusted: the end of a connection may lie in the kernel, not yet read by the loop."""
        if now - self.idle_since < QUIET_SECONDS or sys.platform == "win32":
            return True
        assert self._wire is not None
        if self._wire.is_closing():
            return False
        poll = select.poll()
        poll.register(self._wire.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def check_patience(self, now: float) -> None:
        """Give the request up when its time has passed."""
        if now >= self._read_by:
            self.fail(httpx.ReadTimeout("the answer took too long"))
        elif now >= self._written_by:
            self._written_by = math.inf
            if self._wire is not None and self._wire.get_write_buffer_size():
                self.fail(httpx.WriteTimeout("the request could not be written in time"))

    def fail(self, error: httpx.TransportError) -> None:
        """End the request that waits, if any, and the connection with it."""
        hear, self._hear = self._hear, None
        self.abort()
        if hear is not None:
            hear(error)

    def close(self) -> None:
        """Take leave of the server."""
        self._retire()
        if self._wire is not None:
            self._wire.close()

    def abort(self) -> None:
        """Close the socket at once."""
        self._retire()
        if self._wire is not None:
            self._wire.abort()

    def _retire(self) -> None:
        self.is_open = False
        self._read_by = self._written_by = math.inf
        self._owner.forget(self)

    # What the socket tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected and, with TLS, the server is verified."""
        self._wire = cast("Wire", transport)
        self._parser = httptools.HttpResponseParser(self)  # not before: they hold each other until the socket is closed
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """Some of the answer came."""
        if self._hear is None:
            self.abort()
            return
        self._bytes_received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._is_complete:
                self.fail(httpx.RemoteProtocolError(f"the answer is not HTTP/1.1: {error}"))
                return
            self._has_surplus = True
        if self._bytes_received > self._bytes_unchecked and (excess := self._excess()):
            self.fail(httpx.RemoteProtocolError(excess))
        elif self._is_complete:
            self._finish(may_go_on=self._may_go_on and not self._has_surplus)

    def eof_received(self) -> None:
        """The server has hung up: the loop closes the socket next, and nobody may be given it in between."""
        self.is_open = False

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed, whoever closed it."""
        self._retire()
        self._owner.lost(self)
        if self._hear is not None:
            if exc is None and self._status and self._ends_with_connection():
                self._finish(may_go_on=False)
            else:
                self.fail(self._what_went_wrong(exc))
        self._wire = None
        del self._parser  # what is over must not wait for the garbage collector

    def _what_went_wrong(self, exc: Exception | None) -> httpx.TransportError:
        if exc is None:
            return httpx.RemoteProtocolError(
                "the server hung up in the middle of its answer" if self._bytes_received else "the server hung up without an answer"
            )
        if isinstance(exc, ssl.SSLError) and not self._bytes_received and any(word in str(exc) for word in REFUSED_HANDSHAKE):
            return httpx.ConnectError(f"the server refused the handshake: {exc}")
        if isinstance(exc, BrokenPipeError):
            return httpx.WriteError(str(exc))
        return httpx.ReadError(str(exc) or type(exc).__name__)

    # What the parser tells.

    def on_message_begin(self) -> None:
        """An answer begins; one that begins after the answer was complete belongs to nobody."""
        if self._is_complete:
            self._has_surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header. Those after the body (trailers) are let go."""
        if not self._status:
            self._headers.append((name, value.rstrip(b" \t")))  # the parser takes white space off the front only

    def on_headers_complete(self) -> None:
        """Status and headers are known. 1xx is no answer yet: what was gathered so far belongs to it."""
        if self._is_complete:
            return
        status = self._parser.get_status_code()
        if status >= 200:  # noqa: PLR2004 - the first status that is an answer
            self._status = status
        else:
            self._headers = []

    def on_body(self, body: bytes) -> None:
        """Some of the body."""
        self._body_bytes += len(body)
        if self._body_bytes <= self._answer_bytes_max:
            self._body.append(body)

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was a 1xx."""
        if self._status and not self._is_complete:
            self._is_complete = True
            self._may_go_on = self._parser.should_keep_alive()  # the parser knows it only here

    # The answer.

    def _expect_answer(self) -> None:
        self._status = 0
        self._headers = []
        self._body = []
        self._body_bytes = 0
        self._bytes_received = 0
        self._is_complete = False
        self._may_go_on = False
        self._has_surplus = False

    def _excess(self) -> str:
        """What of this answer is longer than it may be: the head, the body, or what frames it (chunk extensions, trailers)."""
        head_bytes = sum(len(name) + len(value) for name, value in self._headers) if self._status else self._bytes_received
        if head_bytes > HEAD_BYTES_MAX:
            return f"the head of the answer is longer than {HEAD_BYTES_MAX} bytes"
        if self._body_bytes > self._answer_bytes_max or self._bytes_received > HEAD_BYTES_MAX + FRAMING_FACTOR * self._answer_bytes_max:
            return f"the answer is longer than {self._answer_bytes_max} bytes"
        return ""

    def _ends_with_connection(self) -> bool:
        """Whether the answer has no length of its own. Over TLS a forged end would pass here; such a body carries nothing that we use."""
        return not any(name.lower() in {b"content-length", b"transfer-encoding"} for name, _ in self._headers)

    def _finish(self, *, may_go_on: bool) -> None:
        hear, self._hear = self._hear, None
        self._read_by = self._written_by = math.inf
        if may_go_on and self.is_open:
            self._owner.release(self)
        else:
            self.close()
        if hear is not None:
            hear((self._status, self._headers, b"".join(self._body)))

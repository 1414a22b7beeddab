"""The transport below httpx's seam: requests of httpx go in, answers of httpx come out, at a fraction of the cost of httpx's own.

In: `httpx.Request`, with httpx's extensions `timeout` (connect, read, write, pool; `read` bounds the whole answer, from the moment the
request was handed to the socket; accurate to SWEEP_SECONDS) and `target` (the raw target, instead of the one in the URL).
Out: an `httpx.Response` whose body has been read whole, up to `answer_bytes_max`, and is not decoded (httpx does that); or one of
httpx's exceptions.

Nothing is ever sent twice. An exception in `NOT_SENT` says that no byte of the request has left; after any other
`httpx.TransportError` the request may have been applied, with the exception of `httpx.LocalProtocolError`, which refuses a request that
must not be sent at all. A cancelled request takes its connection with it.

The pool (one for each scheme, host and port) lends the connection that was used last, so that those in excess grow idle and are closed.
Those who wait for a place are served in their order. What a request costs does not depend on the number of connections: nothing walks
over them but one timer, and it does so for all limits at once.

HTTP/1.1 to the origin itself is all there is. Who must pass a proxy, or doubts this transport, takes `stock_transport`.
"""

import asyncio
import math
import random
import ssl
from collections import OrderedDict, deque
from collections.abc import AsyncIterable, Mapping
from typing import Final, NamedTuple, TypeAlias, cast

import httpx

from relay.api.connection import Answer, Connection, Hear, encode_post, encode_request
from relay.api.tls import TlsLayer, tls_context

NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

IDLE_SECONDS_MAX: Final = 4.0  # Node and Apache hang up after 5, load balancers after 60: whoever hangs up first must be us
AGE_SECONDS_MAX: Final = 300.0  # a name that moves is followed within this; five minutes is also what resolvers commonly cache
ANSWER_BYTES_MAX: Final = 2**20
SWEEP_SECONDS: Final = 0.05

Limits: TypeAlias = Mapping[str, float | None]
NO_LIMITS: Final[Limits] = {}


class Destination(NamedTuple):
    """What many requests have in common."""

    url: httpx.URL
    head: bytes  # of `encode_head`
    limits: Limits


class Origin(NamedTuple):
    """Where connections lead."""

    scheme: str
    host: str
    port: int


def origin_of(url: httpx.URL) -> Origin:
    """The origin of a URL."""
    if url.scheme not in {"http", "https"} or not url.raw_host:
        raise httpx.UnsupportedProtocol("the transport speaks http:// and https:// only")
    return Origin(url.scheme, url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80))


class Pool:
    """The connections to one origin, and those who wait for one.

    A place is held by each connection that may carry another request, and by each attempt to connect. As long as somebody waits,
    nothing is idle and no place is free: a place or a connection that comes free is handed to the one who waits longest.
    """

    def __init__(  # noqa: PLR0913 - all but the origin are Transport's, passed on
        self,
        origin: Origin,
        *,
        tls: ssl.SSLContext,
        connections_max: int,
        idle_seconds_max: float,
        age_seconds_max: float,
        answer_bytes_max: int,
    ) -> None:
        """Begin without a connection."""
        self._origin = origin
        self._tls = tls
        self._connections_max = connections_max
        self._idle_seconds_max = idle_seconds_max
        self._age_seconds_max = age_seconds_max
        self._answer_bytes_max = answer_bytes_max
        self._loop = asyncio.get_running_loop()
        self._idle: deque[Connection] = deque()  # used last at the right; those that closed meanwhile are dropped when met
        self._waiting: OrderedDict[asyncio.Future[Connection | None], float] = OrderedDict()  # → when patience ends
        self._connections: set[Connection] = set()  # until their socket is closed
        self._all_lost: asyncio.Future[None] | None = None
        self._places_taken = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_was_late = False
        self._is_closed = False

    def take(self) -> Connection | None:
        """An idle connection, if there is one that can be trusted."""
        now = self._loop.time()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                if now < connection.retire_at and now - connection.idle_since < self._idle_seconds_max and connection.is_quiet(now):
                    return connection
                connection.close()
        return None

    async def obtain(self, limits: Limits) -> Connection:
        """A connection that may take a while: a new one, or one that another request gives back."""
        seconds = limits.get("pool")
        patience_ends = math.inf if seconds is None else self._loop.time() + seconds
        is_first = True
        while True:
            if self._is_closed:
                raise httpx.ConnectError("the transport is closed")
            if (connection := self.take()) is not None:
                return connection
            if self._places_taken < self._connections_max:
                self._places_taken += 1
                return await self._connect(limits)
            connection = await self._wait(patience_ends, at_front=not is_first)
            if connection is None:
                return await self._connect(limits)
            if connection.is_open:
                return connection
            is_first = False  # it closed on its way from hand to hand, and its place went to another

    async def _wait(self, patience_ends: float, *, at_front: bool) -> Connection | None:
        """A connection, or None: a place to connect."""
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting[waiter] = patience_ends
        if at_front:
            self._waiting.move_to_end(waiter, last=False)
        self._keep_time()
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and waiter.exception() is None:  # served at the very moment: pass it on
                connection = waiter.result()
                if connection is None:
                    self._free_place()
                elif connection.is_open:
                    self.release(connection)
            raise
        finally:
            self._waiting.pop(waiter, None)

    async def _connect(self, limits: Limits) -> Connection:
        """Use a place to connect; without success it is free again."""
        seconds = limits.get("connect")
        # Connections that were opened together must not all be renewed together.
        lifetime = self._age_seconds_max * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, guards nothing
        connection = Connection(self, loop=self._loop, answer_bytes_max=self._answer_bytes_max, retire_at=self._loop.time() + lifetime)
        try:
            async with asyncio.timeout(seconds):
                await self._open_socket(connection)
            if self._is_closed or not connection.is_open:
                raise httpx.ConnectError("the connection was closed at once")  # noqa: TRY301
        except BaseException as error:
            connection.abort()
            self._free_place()
            if isinstance(error, TimeoutError):
                raise httpx.ConnectTimeout("connecting took too long") from error
            if isinstance(error, OSError | ValueError):
                raise httpx.ConnectError(str(error) or type(error).__name__) from error
            raise
        connection.has_place = True
        self._connections.add(connection)
        self._keep_time()
        return connection

    async def _open_socket(self, connection: Connection) -> None:
        scheme, host, port = self._origin
        if scheme == "http":
            await self._loop.create_connection(lambda: connection, host, port)
            return
        socket, layer = await self._loop.create_connection(lambda: TlsLayer(connection, self._tls, host, self._loop), host, port)
        try:
            await layer.verified
        except BaseException:
            socket.abort()
            raise
        finally:
            del layer, socket  # else a failed handshake, whose trace holds them, would wait with them for the garbage collector

    # What connections tell.

    def release(self, connection: Connection) -> None:
        """A connection may carry another request: now, or once somebody asks."""
        now = self._loop.time()
        if now >= connection.retire_at:
            connection.close()
            return
        if (waiter := self._next_waiter()) is not None:
            waiter.set_result(connection)
            return
        connection.idle_since = now
        self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """A connection will carry no other request."""
        if connection.has_place:
            connection.has_place = False
            self._free_place()

    def lost(self, connection: Connection) -> None:
        """The socket of a connection is closed."""
        self._connections.discard(connection)
        if self._all_lost is not None and not self._connections and not self._all_lost.done():
            self._all_lost.set_result(None)

    def _free_place(self) -> None:
        if (waiter := self._next_waiter()) is not None:
            waiter.set_result(None)  # the place stays taken: it is the waiter's now
        else:
            self._places_taken -= 1

    def _next_waiter(self) -> "asyncio.Future[Connection | None] | None":
        while self._waiting:
            waiter, _ = self._waiting.popitem(last=False)
            if not waiter.done():
                return waiter
        return None

    # The timer. One for the pool instead of one for each request; it runs while there is anything to limit.

    def _keep_time(self) -> None:
        if self._timer is None and not self._is_closed:
            self._timer = self._loop.call_later(SWEEP_SECONDS, self._sweep, self._loop.time() + SWEEP_SECONDS)

    def _sweep(self, due: float) -> None:
        now = self._loop.time()
        self._timer = None
        # After the loop was held up, answers that came in time may lie unread in the sockets: they are read before anything is judged.
        self._timer_was_late = now - due > SWEEP_SECONDS and not self._timer_was_late
        if not self._timer_was_late:
            for connection in tuple(self._connections):
                connection.check_patience(now)
            for waiter, patience_ends in self._waiting.items():
                if now >= patience_ends and not waiter.done():
                    waiter.set_exception(httpx.PoolTimeout("no connection came free in time"))
        while self._idle and (not self._idle[0].is_open or now - self._idle[0].idle_since >= self._idle_seconds_max):
            self._idle.popleft().close()
        if self._connections or self._waiting:
            self._keep_time()

    async def aclose(self) -> None:
        """Close every connection, and return when the sockets are closed. Requests that are still under way fail."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        while (waiter := self._next_waiter()) is not None:
            waiter.set_exception(httpx.ConnectError("the transport was closed"))
        for connection in tuple(self._connections):
            if connection.is_busy:
                connection.fail(httpx.ReadError("the transport was closed"))
            else:
                connection.close()
        if self._connections:
            self._all_lost = self._loop.create_future()
            await self._all_lost


class Transport(httpx.AsyncBaseTransport):
    """What httpx calls. Belongs to the event loop in which it is used first."""

    def __init__(
        self,
        *,
        connections_max: int,
        tls: ssl.SSLContext | None = None,
        idle_seconds_max: float = IDLE_SECONDS_MAX,
        age_seconds_max: float = AGE_SECONDS_MAX,
        answer_bytes_max: int = ANSWER_BYTES_MAX,
    ) -> None:
        """`connections_max` holds for each origin. Without `tls`, the system's authorities are trusted."""
        self._connections_max = connections_max
        self._tls = tls or tls_context()
        self._idle_seconds_max = idle_seconds_max
        self._age_seconds_max = age_seconds_max
        self._answer_bytes_max = answer_bytes_max
        self._pools: dict[Origin, Pool] = {}
        self._recent: tuple[object, Pool] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and read its answer."""
        try:
            pool = self._pool_for(request.url)
            stream = request.stream
            body = b"".join(stream) if isinstance(stream, httpx.ByteStream) else await _read_whole(stream)
            message = encode_request(request, body)
            limits = cast("Limits", request.extensions.get("timeout", NO_LIMITS))
            connection = pool.take() or await pool.obtain(limits)
            status, headers, content = await _exchange(connection, message, limits)
        except httpx.TransportError as error:
            error.request = request
            raise
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(content), request=request)

    def post_at_once(self, destination: Destination, target: bytes, body: bytes, hear: Hear) -> bool:
        """Send a POST now, if a connection is at hand, and let `hear` be told how it ended; False, and nothing has left, if none is.

        The same request and the same answer as by `handle_async_request`, without httpx's types in between and without a task to wake.
        """
        message = encode_post(target, destination.head, body)
        connection = self._pool_for(destination.url).take()
        if connection is None:
            return False
        limits = destination.limits
        connection.send(message, hear, read_seconds=limits.get("read"), write_seconds=limits.get("write"))
        return True

    def _pool_for(self, url: httpx.URL) -> Pool:
        # Each httpx.Request wraps the URL anew around the same parsed parts, which never change: seen once, they need no second look.
        # The attribute is httpx's own affair; without it all goes well, at some microseconds for each request.
        parts: object = getattr(url, "_uri_reference", None)
        if self._recent is not None and self._recent[0] is parts:
            return self._recent[1]
        origin = origin_of(url)
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = Pool(
                origin,
                tls=self._tls,
                connections_max=self._connections_max,
                idle_seconds_max=self._idle_seconds_max,
                age_seconds_max=self._age_seconds_max,
                answer_bytes_max=self._answer_bytes_max,
            )
        if parts is not None:
            self._recent = (parts, pool)
        return pool

    async def aclose(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(pool.aclose() for pool in self._pools.values()))


async def _exchange(connection: Connection, message: bytes, limits: Limits) -> Answer:
    """A request and its answer. Who is cancelled meanwhile takes the connection with him."""
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    hear = _telling(future)
    connection.send(message, hear, read_seconds=limits.get("read"), write_seconds=limits.get("write"))
    try:
        return await future
    except asyncio.CancelledError:
        connection.abandon(hear)
        if future.done() and not future.cancelled():
            future.exception()  # it failed at this very moment; asyncio complains of a failure that nobody looked at
        raise
    finally:
        del future, hear  # else they hold the error, whose trace holds them, and all wait for the garbage collector


def _telling(future: asyncio.Future[Answer]) -> Hear:
    def hear(answer: Answer | httpx.TransportError) -> None:
        if future.done():  # cancelled at this very moment
            return
        if isinstance(answer, httpx.TransportError):
            future.set_exception(answer)
        else:
            future.set_result(answer)

    return hear


async def _read_whole(stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> bytes:
    """A body that does not lie in memory yet."""
    if not isinstance(stream, AsyncIterable):
        raise httpx.LocalProtocolError("the body can be read by a synchronous client only")
    return b"".join([part async for part in stream])


def stock_transport(
    *,
    connections_max: int,
    tls: ssl.SSLContext | None = None,
    idle_seconds_max: float = IDLE_SECONDS_MAX,
    proxy_url: str | None = None,
) -> httpx.AsyncHTTPTransport:
    """Build httpx's own transport within the same limits, for the sake of proxies (it reads no environment: pass the URL).

    It costs ten times as much for one connection and hundreds of times for many (bench/transports.py). It lacks the maximum age of
    connections and the bound on answers; its `read` limits each wait for bytes, not the answer; what follows an answer unasked it takes
    for the next answer; and cancelled requests can cost it places for good. All of that stands in tests/adapters/transport.
    """
    limits = httpx.Limits(max_connections=connections_max, max_keepalive_connections=connections_max, keepalive_expiry=idle_seconds_max)
    return _StockTransport(verify=tls or tls_context(), limits=limits, proxy=proxy_url)


class _StockTransport(httpx.AsyncHTTPTransport):
    """Lets a TLS alert that comes after the handshake no longer pass for what it is, an `ssl.SSLError`: callers expect httpx's."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        try:
            return await super().handle_async_request(request)
        except OSError as error:
            raise httpx.ReadError(str(error), request=request) from error

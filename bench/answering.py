"""A small API server for measurements, in Python: opens whatever is a session, takes whatever is an event, and keeps count.

In: HTTP/1.1 requests. Out: 201 with a Location, 204, and by GET how many of both. It ends when whoever started it goes away.
"""

import asyncio
import sys

import httptools
import uvloop


class Answering(asyncio.Protocol):
    """One connection."""

    opened = 0
    taken = 0

    def __init__(self) -> None:
        """Begin with no request."""
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        """Keep the target."""
        self._target = url

    def on_message_complete(self) -> None:
        """Answer."""
        if self._target.endswith(b"/sessions"):
            Answering.opened += 1
            answer = b"HTTP/1.1 201 Created\r\nLocation: /api/v1/sessions/%064x\r\nContent-Length: 0\r\n\r\n" % Answering.opened
        elif self._target == b"/account":
            body = b'{"openings": %d, "events": %d}' % (Answering.opened, Answering.taken)
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        else:
            Answering.taken += 1
            answer = b"HTTP/1.1 204 No Content\r\n\r\n"
        self._transport.write(answer)  # type: ignore[attr-defined]


async def serve() -> None:
    """Print the port, and answer until the parent goes away."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve())

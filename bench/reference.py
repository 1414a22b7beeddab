"""The least that a relay in Python can be: what `bench/guard.py` holds the real one against.

In: the native events of a topic. Out: POSTs, in order per session, over bare connections. It decodes, encodes, opens sessions and keeps
lanes; it has no validation, no state, no commits, no retries, no metrics and no limits.
"""

import asyncio
import os
import threading
from collections import deque
from typing import Any, Final
from urllib.parse import urlsplit

import httptools
import msgspec
import uvloop
from confluent_kafka import Consumer, Message

RECORDS_AT_ONCE: Final = 2_000


class Event(msgspec.Struct, omit_defaults=True):
    """As it comes and as it goes."""

    eventType: str  # noqa: N815  # the wire's names
    playerTime: msgspec.Raw  # noqa: N815
    params: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    qoeData: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815
    customMetadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET  # noqa: N815


decode = msgspec.json.Decoder(Event).decode
encode = msgspec.json.Encoder().encode


class Lane:
    """What waits of one session."""

    __slots__ = ("is_busy", "path", "waiting")

    def __init__(self) -> None:
        """Begin empty."""
        self.waiting: deque[bytes] = deque()
        self.path = b""
        self.is_busy = False


class Connection(asyncio.Protocol):
    """A socket, and the lane whose event is on its way."""

    def __init__(self, reference: "Reference") -> None:
        """Begin without a socket."""
        self._reference = reference
        self._parser = httptools.HttpResponseParser(self)
        self._location = b""
        self._lane: Lane | None = None
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        self._transport = transport
        self._reference.idle.append(self)

    def send(self, lane: Lane) -> None:
        """Send the head of a lane."""
        event = decode(lane.waiting.popleft())
        path = b"/api/v1/sessions" if event.eventType == "sessionStart" else lane.path
        body = encode(event)
        self._lane = lane
        self._transport.write(b"POST %b HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%b" % (path, len(body), body))

    def data_received(self, data: bytes) -> None:
        """An answer."""
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Where the session is."""
        if name == b"Location":
            self._location = value

    def on_message_complete(self) -> None:
        """The lane may go on."""
        lane, self._lane = self._lane, None
        assert lane is not None
        if self._location:
            lane.path, self._location = self._location + b"/events", b""
        self._reference.idle.append(self)
        lane.is_busy = False
        if lane.waiting:
            self._reference.ready.append(lane)
            lane.is_busy = True
        self._reference.go()


class Reference:
    """The whole of it."""

    def __init__(self) -> None:
        """Begin with no lane."""
        self.idle: list[Connection] = []
        self.ready: deque[Lane] = deque()
        self.lanes: dict[bytes, Lane] = {}

    def take(self, messages: list[Message]) -> None:
        """Put records into lanes."""
        for message in messages:
            key: Any = message.key()
            lane = self.lanes.get(key)
            if lane is None:
                lane = self.lanes[key] = Lane()
            value: Any = message.value()
            lane.waiting.append(value)
            if not lane.is_busy:
                lane.is_busy = True
                self.ready.append(lane)
        self.go()

    def go(self) -> None:
        """Send what can be sent."""
        while self.idle and self.ready:
            self.idle.pop().send(self.ready.popleft())

    async def run(self) -> None:
        """Connect, and read for ever."""
        loop = asyncio.get_running_loop()
        url = urlsplit(os.environ["URL"])
        for _ in range(int(os.environ["CONCURRENCY"])):
            await loop.create_connection(lambda: Connection(self), url.hostname, url.port)
        threading.Thread(target=self._read, args=(loop,), daemon=True).start()
        await loop.create_future()

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        settings = {"bootstrap.servers": os.environ["BOOTSTRAP"], "group.id": os.environ["GROUP"], "auto.offset.reset": "earliest"}
        consumer = Consumer(settings)
        consumer.subscribe([os.environ["TOPIC"]])
        while True:
            messages = consumer.consume(RECORDS_AT_ONCE, 0.1)
            if messages:
                loop.call_soon_threadsafe(self.take, messages)


if __name__ == "__main__":
    uvloop.run(Reference().run())

"""A relay as most would write it first: confluent-kafka, one task per message, `httpx.AsyncClient`.

In: the native events of a topic. Out: POSTs to the classic API; tasks of one session wait for one another. It opens sessions, tries
failures again and opens again what is gone; it has no durable state, no validation, no metrics and no dead letters.
"""

import asyncio
import json
import os
import ssl
from typing import Any

import httpx
from confluent_kafka import Consumer

GONE = (404, 410)


class Naive:
    """The whole of it."""

    def __init__(self, concurrency: int) -> None:
        """Connect."""
        verify: ssl.SSLContext | bool = True
        if authority := os.environ.get("CA_FILE"):
            verify = ssl.create_default_context(cafile=authority)
        limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        self.api = httpx.AsyncClient(base_url=os.environ["URL"], verify=verify, limits=limits, timeout=60)
        self.slots = asyncio.Semaphore(concurrency)
        self.last: dict[bytes, asyncio.Task[None]] = {}  # of each session
        self.paths: dict[bytes, str] = {}
        self.starts: dict[bytes, Any] = {}

    async def deliver(self, key: bytes, value: bytes, before: asyncio.Task[None] | None) -> None:
        """Send one message once the one before it has gone."""
        if before is not None:
            await before
        event = json.loads(value)
        if event["eventType"] == "sessionStart":
            self.starts[key] = event
            await self.open(key)
            return
        while (await self.post(self.paths[key], event)).status_code in GONE:
            await self.open(key)

    async def open(self, key: bytes) -> None:
        """Open a session."""
        location = (await self.post("/api/v1/sessions", self.starts[key])).headers["Location"]
        self.paths[key] = f"/api/v1/sessions/{location.rpartition('/')[2]}/events"

    async def post(self, path: str, event: dict[str, Any]) -> httpx.Response:
        """Post until the API does not fail."""
        while True:
            async with self.slots:
                response = await self.api.post(path, json=event)
            if response.is_success or response.status_code in GONE:
                return response
            await asyncio.sleep(0.5)

    async def run(self) -> None:
        """Read for ever."""
        settings = {"bootstrap.servers": os.environ["BOOTSTRAP"], "group.id": os.environ["GROUP"], "auto.offset.reset": "earliest"}
        consumer = Consumer(settings)
        consumer.subscribe([os.environ["TOPIC"]])
        while True:
            for message in await asyncio.to_thread(consumer.consume, 500, 0.1):
                key, value = message.key(), message.value()
                self.last[key] = asyncio.create_task(self.deliver(key, value, self.last.get(key)))
            while sum(not task.done() for task in self.last.values()) > 10_000:  # noqa: ASYNC110  # the plain way, on purpose
                await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(Naive(int(os.environ["CONCURRENCY"])).run())

"""The fake below an httpx client, without a socket: for simulations.

In: httpx requests. Out: httpx responses, or the exceptions that a real connection would end in.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable

import httpx

from relay.sandbox.fake_api.api import FakeApi
from relay.sandbox.fake_api.dialect import Ending


class FakeApiTransport(httpx.AsyncBaseTransport):
    """Carries requests to a `FakeApi`. It honours the read time limit, as a transport below httpx has to."""

    def __init__(self, api: FakeApi, *, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Take the API, and how to sleep: a simulation has a time of its own."""
        self._api = api
        self._sleep = sleep

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in request.headers.raw)
        body = await request.aread()
        limit: float | None = request.extensions.get("timeout", {}).get("read")
        exchange = self._api.exchange(request.method, request.url.raw_path.decode("ascii"), headers, body)
        reply = exchange.reply
        try:
            await self._wait(math.inf if reply.ending is Ending.NEVER else reply.delay_seconds, limit, request)
        except (httpx.ReadTimeout, asyncio.CancelledError):
            self._api.went_unanswered(exchange.entry)
            raise
        match reply.ending:
            case Ending.RESET:
                raise httpx.ReadError("the fake reset the connection", request=request)
            case Ending.CLOSED | Ending.TRUNCATED:
                raise httpx.RemoteProtocolError("the fake closed the connection before its answer was complete", request=request)
            case _:
                return httpx.Response(int(reply.status), headers=list(reply.headers), content=reply.body, request=request)

    async def _wait(self, seconds: float, limit: float | None, request: httpx.Request) -> None:
        if limit is not None and seconds > limit:
            await self._sleep(limit)
            raise httpx.ReadTimeout("the fake takes longer than the time limit", request=request)
        if seconds == math.inf:
            await asyncio.Event().wait()  # until the caller loses patience
        elif seconds:
            await self._sleep(seconds)

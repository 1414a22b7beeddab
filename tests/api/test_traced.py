"""Requests that carry a context: on both ways of the client, and nothing else about them changes."""

import asyncio
from typing import Any

import httpx

from relay.api.client import ApiClient
from relay.api.collection import MediaCollection
from relay.api.traced import Traced
from relay.api.transport import Transport
from relay.core.assignment import Assignment
from relay.core.commands import OpenSession, SendEvent
from relay.core.events import ApiSessionId, EventType, PlayerEvent, SessionKey
from relay.core.inputs import Lost, Verdict
from relay.core.lane import Lane
from relay.sandbox.fake_api import FakeApi

SEND = SendEvent(Lane(SessionKey("a"), Assignment("events", 0)), ApiSessionId("id"), PlayerEvent(EventType.PING, 1, 2))


class Attempt:
    """One that remembers its end."""

    def __init__(self, number: int) -> None:
        """Carry a number."""
        self.header = (b"traceparent", b"00-%032x-%016x-01" % (number, number))
        self.ends: list[tuple[Verdict, int]] = []

    def ended(self, verdict: Verdict, status: int) -> None:
        """Remember it."""
        self.ends.append((verdict, status))


class Traces:
    """Gives a number to each attempt."""

    def __init__(self) -> None:
        """None yet."""
        self.attempts: list[Attempt] = []

    def attempt(self, _: OpenSession | SendEvent) -> Attempt:
        """The next."""
        self.attempts.append(Attempt(len(self.attempts) + 1))
        return self.attempts[-1]


class Listening(FakeApi):
    """A fake that remembers heads."""

    heads: list[Any]

    def exchange(self, method: str, target: str, headers: Any, body: bytes) -> Any:
        """Remember, and answer."""
        self.heads = [*getattr(self, "heads", []), headers]
        return super().exchange(method, target, headers, body)


def test_both_ways_carry_a_header_of_their_own() -> None:
    """By httpx's types and as plain bytes: the same head, but for the context, which is another for each."""

    async def run() -> None:
        api, traces = Listening(), Traces()
        url = await api.start()
        try:
            async with Transport(connections_max=1) as transport:
                client = Traced(ApiClient(transport, MediaCollection(), url=url, headers={"x-key": "1"}), traces)
                assert not client.begin(SEND, lambda *_: None, lambda _: None)
                assert await client.perform(SEND) == (Lost(404), 404)
                heard: asyncio.Future[tuple[Verdict, int]] = asyncio.get_running_loop().create_future()
                assert client.begin(SEND, lambda *ended: heard.set_result(ended), lambda _: None)
                assert await heard == (Lost(404), 404)
        finally:
            await api.stop()
        never, first, second = traces.attempts
        assert (never.ends, first.ends, second.ends) == ([], [(Lost(404), 404)], [(Lost(404), 404)])
        heads = [dict(head) for head in api.heads]
        assert [head.pop("traceparent").encode() for head in heads] == [first.header[1], second.header[1]]
        assert heads[0] == heads[1]
        assert heads[0]["x-key"] == "1"

    asyncio.run(run())


def test_a_client_that_is_not_asked_to_carries_nothing() -> None:
    """Without traces no header is added."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(204)

    client = ApiClient(httpx.MockTransport(handler), MediaCollection(), url="https://api.example")
    asyncio.run(client.perform(SEND))
    assert "traceparent" not in seen[0].headers

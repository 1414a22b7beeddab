"""The fake below an httpx client, without a socket."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import httpx
import pytest

from relay.sandbox.fake_api import FakeApi, FakeApiTransport

MakeEvent = Callable[..., dict[str, Any]]
Talk = Callable[..., None]
Ping = Callable[[], Awaitable[httpx.Response]]


class Sleeper:
    """Time that passes at once."""

    def __init__(self) -> None:
        """Begin awake."""
        self.slept: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Sleep, and remember for how long."""
        self.slept.append(seconds)


@pytest.fixture
def talk(event: MakeEvent) -> Callable[..., None]:
    """Open a session through the transport, set faults, and run a scene with a function that posts a ping."""

    def run(scene: Callable[..., Coroutine[None, None, None]], *faults: str) -> None:
        async def whole() -> None:
            api, sleep = FakeApi(seed=1), Sleeper()
            async with httpx.AsyncClient(transport=FakeApiTransport(api, sleep=sleep), base_url="http://fake") as http:
                location = (await http.post("/api/v1/sessions", json=event("sessionStart", 1))).headers["location"]
                api.set_faults(faults)
                await scene(api, lambda: http.post(f"{location}/events", json=event("ping", 2), timeout=5), sleep)

        asyncio.run(whole())

    return run


def test_an_answer_comes_back(talk: Talk) -> None:
    """As from a socket."""

    async def scene(api: FakeApi, ping: Ping, _sleep: Sleeper) -> None:
        assert (await ping()).status_code == 204
        assert api.account().total.received == 2

    talk(scene)


@pytest.mark.parametrize(
    ("fault", "raised", "received"),
    [
        ("reset", httpx.ReadError, 1),
        ("lost", httpx.RemoteProtocolError, 2),
        ("truncated", httpx.RemoteProtocolError, 2),
        ("hang", httpx.ReadTimeout, 1),
        ("slow+6", httpx.ReadTimeout, 2),
    ],
)
def test_a_fault_ends_as_on_a_socket(talk: Talk, fault: str, raised: type[Exception], received: int) -> None:
    """With httpx's own exceptions, and with or without an event that was applied; a repeat of that one is excused."""

    async def scene(api: FakeApi, ping: Ping, _sleep: Sleeper) -> None:
        with pytest.raises(raised):
            await ping()
        assert api.account().total.received == received
        api.set_faults([])
        await ping()
        assert api.account().is_clean

    talk(scene, f"events:{fault}:1")


def test_a_slow_answer_takes_the_time_that_it_is_given(talk: Talk) -> None:
    """On the clock of whoever runs it."""

    async def scene(_api: FakeApi, ping: Ping, sleep: Sleeper) -> None:
        assert (await ping()).status_code == 204
        assert sleep.slept == [3.0]

    talk(scene, "events:slow+3:1")


def test_handle_answers_without_a_client(event: MakeEvent) -> None:
    """And leaves it to the reply's ending what a client would see."""

    async def scene() -> None:
        api = FakeApi(faults=["all:lost:1"])
        reply = await api.handle("POST", "/api/v1/sessions", body=httpx.Request("POST", "http://x", json=event("sessionStart")).content)
        assert (reply.status, reply.ending) == (201, "closed")

    asyncio.run(scene())

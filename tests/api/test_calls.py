"""Calls that leave at once, and calls that must wait: each is reported once, and a bug in one stops the service."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from relay.api.calls import IDLE_TASKS_MAX, Broke, Calls, Hear
from relay.api.client import ApiClient
from relay.api.collection import MediaCollection
from relay.api.transport import Transport
from relay.core.assignment import Assignment
from relay.core.commands import Cause, OpenSession, SendEvent
from relay.core.events import ApiSessionId, Details, EventType, PlayerEvent, SessionKey
from relay.core.inputs import Accepted, Answered, Lost, Opened, Refused, TryAgain, Verdict
from relay.core.lane import Lane

LANE = Lane(SessionKey("a"), Assignment("events", 0))
SEND = SendEvent(LANE, ApiSessionId("the-id"), PlayerEvent(EventType.PING, 12.5, 1_700_000_012_500))
OPEN = OpenSession(LANE, Details(params=b'{"media.id":"film"}'), 0, 1_700_000_000_000, Cause.FIRST)


class Client:
    """Does at once, or later, what a test says."""

    def __init__(self, *, is_at_hand: bool) -> None:
        """Say whether a connection is at hand."""
        self.is_at_hand = is_at_hand
        self.hears: list[Hear] = []
        self.may_answer = asyncio.Event()

    def begin(self, _command: OpenSession | SendEvent, hear: Hear, _broke: Broke) -> bool:
        """Leave at once, if that can be."""
        if self.is_at_hand:
            self.hears.append(hear)
        return self.is_at_hand

    async def perform(self, _command: OpenSession | SendEvent) -> tuple[Verdict, int]:
        """Leave later."""
        await self.may_answer.wait()
        return Accepted(), 204


class Heard:
    """What was reported, observed, and broken."""

    def __init__(self, client: Any) -> None:
        """Join calls to it."""
        self.reported: list[Answered] = []
        self.observed: list[tuple[str, int]] = []
        self.bugs: list[BaseException] = []
        self.calls = Calls(client, observe=lambda operation, status, _seconds: self.observed.append((operation, status)))
        self.calls.report_to(self.reported.append, self.bugs.append)


def test_a_call_that_leaves_at_once_is_reported_when_its_answer_comes() -> None:
    """Without a task: the answer itself reports it."""

    async def test() -> None:
        client = Client(is_at_hand=True)
        heard = Heard(client)
        heard.calls.start(SEND)
        assert len(asyncio.all_tasks()) == 1
        client.hears[0](Accepted(), 204)
        (answered,) = heard.reported
        assert (answered.lane, answered.verdict) == (LANE, Accepted())
        assert answered.seconds > 0.0
        assert heard.observed == [("send", 204)]
        await heard.calls.stop()

    asyncio.run(test())


def test_a_call_that_must_wait_is_reported_all_the_same() -> None:
    """By a task that is used again for the next one."""

    async def test() -> None:
        client = Client(is_at_hand=False)
        heard = Heard(client)
        client.may_answer.set()
        for count in (1, 2, 3):
            heard.calls.start(SEND)
            await _until(lambda count=count: len(heard.reported) == count)
            await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 2
        await heard.calls.stop()

    asyncio.run(test())


def test_the_tasks_of_a_storm_end_with_it() -> None:
    """As many as calls had to wait at once, and a few are kept when all have their answers."""

    async def test() -> None:
        client = Client(is_at_hand=False)
        heard = Heard(client)
        for _ in range(4 * IDLE_TASKS_MAX):
            heard.calls.start(SEND)
        assert len(asyncio.all_tasks()) == 1 + 4 * IDLE_TASKS_MAX
        client.may_answer.set()
        await _until(lambda: len(heard.reported) == 4 * IDLE_TASKS_MAX)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1 + IDLE_TASKS_MAX
        heard.calls.start(SEND)
        await _until(lambda: len(heard.reported) == 4 * IDLE_TASKS_MAX + 1)
        assert not heard.bugs
        await heard.calls.stop()

    asyncio.run(test())


@pytest.mark.parametrize("is_at_hand", [True, False])
def test_after_the_end_nobody_hears_of_a_call(*, is_at_hand: bool) -> None:
    """What was under way when the relay left is the next owner's."""

    async def test() -> None:
        client = Client(is_at_hand=is_at_hand)
        heard = Heard(client)
        heard.calls.start(SEND)
        await asyncio.sleep(0)
        await heard.calls.stop()
        client.may_answer.set()
        for hear in client.hears:
            hear(Accepted(), 204)
        await asyncio.sleep(0)
        assert not heard.reported

    asyncio.run(test())


ANSWERS = {
    b"HTTP/1.1 204 No Content\r\n\r\n": (Accepted(), 204),
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}": (Accepted(), 200),
    b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n": (Lost(410), 410),
    b'HTTP/1.1 400 Bad Request\r\nContent-Length: 16\r\n\r\n{"message":"no"}': (Refused(400, "no"), 400),
    b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n": (TryAgain("status_503", 503, 7.0), 503),
    b"HTTP/1.1 400 Bad Request\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc": (Refused(400, ""), 400),
    b"": (TryAgain("protocol", is_outcome_unknown=True), 0),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_both_ways_read_the_same_out_of_an_answer(answer: bytes) -> None:
    """Whether a connection was at hand makes no difference to the verdict."""

    async def test(port: int) -> None:
        ends: list[tuple[Verdict, int]] = []
        for is_at_once in (True, False):
            client = ApiClient(transport := Transport(connections_max=1), MediaCollection(), url=f"http://127.0.0.1:{port}")
            async with transport:
                await client.perform(SEND)  # it connects
                if is_at_once:
                    heard: asyncio.Future[tuple[Verdict, int]] = asyncio.get_running_loop().create_future()
                    assert client.begin(SEND, lambda *end, heard=heard: heard.set_result(end), heard.set_exception)
                    ends.append(await heard)
                else:
                    ends.append(await client.perform(SEND))
        assert ends == [ANSWERS[answer]] * 2

    asyncio.run(_serving([b"HTTP/1.1 204 No Content\r\n\r\n", answer], test))


def test_an_opening_at_once_reads_the_id() -> None:
    """Of a 2xx to an opening everything is read."""
    created = b"HTTP/1.1 201 Created\r\nLocation: /api/v1/sessions/abc\r\nContent-Length: 0\r\n\r\n"

    async def test(port: int) -> None:
        client = ApiClient(transport := Transport(connections_max=1), MediaCollection(), url=f"http://127.0.0.1:{port}")
        async with transport:
            await client.perform(OPEN)
            heard: asyncio.Future[tuple[Verdict, int]] = asyncio.get_running_loop().create_future()
            assert client.begin(OPEN, lambda *end: heard.set_result(end), heard.set_exception)
            assert await heard == (Opened(ApiSessionId("abc")), 201)

    asyncio.run(_serving([created, created], test))


def test_a_bug_in_judging_an_answer_is_told() -> None:
    """Else the call would be under way for ever."""

    class Buggy(MediaCollection):
        def judge_sending(self, _answer: Any) -> Verdict:
            raise ZeroDivisionError

    async def test(port: int) -> None:
        client = ApiClient(transport := Transport(connections_max=1), MediaCollection(), url=f"http://127.0.0.1:{port}")
        async with transport:
            await client.perform(SEND)
            client._dialect = Buggy()  # its bug comes to light in the second answer
            broke: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
            assert client.begin(SEND, lambda *_: None, broke.set_result)
            assert isinstance(await broke, ZeroDivisionError)

    asyncio.run(_serving([b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"], test))


def test_any_other_transport_is_waited_for() -> None:
    """There is one way only to speak to those of httpx's make."""
    client = ApiClient(httpx.MockTransport(lambda _: httpx.Response(204)), MediaCollection(), url="http://api.example")
    assert not client.begin(SEND, lambda *_: None, lambda _: None)


async def _until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not fact():  # noqa: ASYNC110  # any fact
            await asyncio.sleep(0.001)


async def _serving(answers: list[bytes], test: Callable[[int], Any]) -> None:
    """A server that gives these answers on each connection, one to each request, and then hangs up."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for answer in answers:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    async with server:
        await test(server.sockets[0].getsockname()[1])

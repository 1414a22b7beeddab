"""The calls under way. Most leave at once, on a connection that is at hand, and cost no task; the others are for a few tasks that wait.

In: commands, started by the pump. Out: each one's verdict, reported to the pump. The core bounds how many are started; there are never more
tasks than calls have had to wait at once, and those that a storm has brought forth end with it, but for a few.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from relay.core.commands import OpenSession, SendEvent
from relay.core.inputs import Answered, Verdict

IDLE_TASKS_MAX: Final = 32  # kept for the next calls that have to wait
UNSENT: Final = -1  # in place of a status: the call was held back for want of credentials, so there was no request

Hear = Callable[[Verdict, int], None]
Report = Callable[[Answered], None]
Broke = Callable[[BaseException], None]
Observe = Callable[[str, int, float], None]


class Performs(Protocol):
    """The client's face."""

    def begin(self, command: OpenSession | SendEvent, hear: Hear, broke: Broke) -> bool:
        """Carry out a command without waiting for anything but its answer, if that can be; else do nothing, and say False.

        `broke` hears of a bug that came to light in the answer.
        """
        ...

    async def perform(self, command: OpenSession | SendEvent) -> tuple[Verdict, int]:
        """Carry out a command."""
        ...


class Calls:
    """Starts calls and reports how they ended."""

    def __init__(self, client: Performs, *, observe: Observe, clock: Callable[[], float] = time.monotonic) -> None:
        """Observe each call's operation, status and duration."""
        self._client = client
        self._observe = observe
        self._clock = clock
        self._queue: deque[OpenSession | SendEvent] = deque()
        self._idle: list[asyncio.Future[None]] = []
        self._workers: set[asyncio.Task[None]] = set()
        self._report: Report = _nobody_listens
        self._broke: Broke = _nobody_listens
        self._is_stopped = False

    def report_to(self, report: Report, broke: Broke) -> None:
        """Say who hears of the ends of calls, and of a bug that broke one."""
        self._report = report
        self._broke = broke

    def start(self, command: OpenSession | SendEvent) -> None:
        """Begin a call."""
        if not self._client.begin(command, partial(self._heard, command, self._clock()), self._broke):
            self._wait(command)

    def _heard(self, command: OpenSession | SendEvent, began: float, verdict: Verdict, status: int) -> None:
        if not self._is_stopped:
            seconds = self._clock() - began
            if status != UNSENT:
                self._observe("send" if isinstance(command, SendEvent) else "open", status, seconds)
            self._report(Answered(command.lane, verdict, seconds))

    def _wait(self, command: OpenSession | SendEvent) -> None:
        self._queue.append(command)
        if self._idle:
            self._idle.pop().set_result(None)
        else:
            worker = asyncio.get_running_loop().create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Give up what is still under way: nobody hears of it any more."""
        self._is_stopped = True
        workers = list(self._workers)
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while self._queue:
                command = self._queue.popleft()
                began = self._clock()
                verdict, status = await self._client.perform(command)
                self._heard(command, began, verdict, status)
            if len(self._idle) >= IDLE_TASKS_MAX:
                return
            called: asyncio.Future[None] = loop.create_future()
            self._idle.append(called)
            await called

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        error = None if worker.cancelled() else worker.exception()
        if error is not None:  # a bug of the relay: the client turns all that the outside does into verdicts
            self._broke(error)


def _nobody_listens(_: object) -> None:
    raise AssertionError("a call ended before the pump was joined to it")

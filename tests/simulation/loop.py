"""Virtual time: an event loop that jumps from one callback to the next, and the share of it that one process has.

In: callbacks and delays. Out: the callbacks, in the order of their moments. Nothing here reads a real clock, so a seed replays exactly.
"""

import heapq
from collections.abc import Callable
from functools import partial
from typing import Final

WALL_CLOCK_BEGAN: Final = 1_700_000_000.0
STEP_SECONDS: Final = 1e-7  # what a callback takes: time that stands still would turn a rounding error into an endless loop


class Timer:
    """A callback that is due at some moment."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        """Arm it."""
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Call it off."""
        self.callback = None


class VirtualLoop:
    """The time of a whole world."""

    def __init__(self) -> None:
        """Begin at a moment that is not zero, as a monotonic clock does."""
        self.now = 1_000.0
        self.steps = 0
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0

    def clock(self) -> float:
        """Monotonic time."""
        return self.now

    def wall_clock(self) -> float:
        """Unix time."""
        return WALL_CLOCK_BEGAN + self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call back after so many seconds; of two callbacks that are due at once the one that was asked for first comes first."""
        timer = Timer(callback)
        self._count += 1
        heapq.heappush(self._heap, (self.now + delay, self._count, timer))
        return timer

    def call_soon(self, callback: Callable[[], None]) -> Timer:
        """Call back in the next step."""
        return self.call_later(0.0, callback)

    def step(self) -> bool:
        """Run the next callback; False when there is none."""
        while self._heap:
            moment, _, timer = heapq.heappop(self._heap)
            if timer.callback is not None:
                self.now = max(moment, self.now + STEP_SECONDS)
                self.steps += 1
                timer.callback()
                return True
        return False


class HostLoop:
    """The loop as one process sees it: a process that is dead runs nothing, one that is frozen runs everything later."""

    def __init__(self, loop: VirtualLoop) -> None:
        """Begin alive."""
        self.is_alive = True
        self.is_frozen = False
        self._loop = loop
        self._held: list[Timer] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call back after so many seconds, if the process still lives then."""
        timer = Timer(callback)
        self._loop.call_later(delay, lambda: self._run(timer))
        return timer

    def call_soon(self, callback: Callable[[], None]) -> Timer:
        """Call back in the next step."""
        return self.call_later(0.0, callback)

    def die(self) -> None:
        """Everything in memory is gone."""
        self.is_alive = False
        self._held.clear()

    def freeze(self) -> None:
        """Stand still; time goes on outside."""
        self.is_frozen = True

    def thaw(self) -> None:
        """Run what should have run meanwhile."""
        self.is_frozen = False
        held, self._held = self._held, []
        for timer in held:
            self._loop.call_soon(partial(self._run, timer))

    def _run(self, timer: Timer) -> None:
        if not self.is_alive or timer.callback is None:
            return
        if self.is_frozen:
            self._held.append(timer)
        else:
            timer.callback()

"""How many calls of one kind may be under way at once: as many as the API bears, learned from its answers.

In: calls that were served or failed, with how long they took and how late our own loop was. Out: `limit`.

The theory:

1. A limit that nobody runs into is left alone. One that binds grows: twofold while nothing speaks against it, by a tenth after that.
2. Too many calls at once show as latency. `baseline` is what a call takes when few are under way; the limit shrinks when the mean exceeds
   twice that. This is where throughput per latency is best: a queue of as much again as the API works on. Whatever the API does with
   more, it does not serve more.
3. What the baseline is, only a look at little load can tell. When latency seems high, a quarter of the limit is tried for a moment, and
   what is measured then is the baseline, be it lower or higher than before: an API that became slower for reasons of its own is not
   throttled for long.
4. Our own loop adds latency when it is busy. How late it is, the pump knows, and that is not held against the API; nor are milliseconds.
5. Failures, where they are a good part of the answers, shrink the limit as well. 429 does not: `pace.py` sees to it.
6. After an interruption the limit begins anew from what is under way, so that the crowd does not fall upon the API at once.
"""

from typing import Final

BEGIN: Final = 8  # few enough for a first baseline, and six doublings away from 512
WINDOW_SECONDS_MIN: Final = 0.1
SAMPLES_MIN: Final = 8  # or as many as the limit, if it is lower
LATENCY_RATIO_MAX: Final = 2.0
LATENCY_ALLOWED_SECONDS: Final = 0.02  # on top: on a fast network the scheduler of either side does as much
LAG_WEIGHT: Final = 3.0  # an answer waits for the calls that leave and the answers that are read before it; the lag is the second alone
SHRINK_MAX: Final = 0.5  # of the limit remains at least, whatever one window says
GROWTH: Final = 10  # a tenth for each window
FAILED_SHARE_MAX: Final = 0.25
FAILED_SHRINK: Final = 0.75
LOOK_AGAIN_RATIO: Final = 1.25
LOOK_SHARE: Final = 4  # a quarter of the limit, while the baseline is measured
LOOK_EVERY_SECONDS: Final = 15.0
LOOK_AGAIN_SECONDS: Final = 3.0  # after one that found the API slower than before: it may have been the crowd of a moment ago


class Concurrency:
    """The limit of one kind of calls."""

    __slots__ = (
        "_baseline",
        "_closes_at",
        "_count",
        "_failed",
        "_grows_fast",
        "_is_adaptive",
        "_lag",
        "_look_at",
        "_looked_limit",
        "_maximum",
        "_minimum",
        "_needed",
        "_seconds",
        "_seconds_max",
        "_stale",
        "_wanted",
        "is_binding",
        "limit",
    )

    def __init__(self, *, maximum: int, minimum: int = 1, is_adaptive: bool = False) -> None:
        """Begin with few; a fixed limit begins at its maximum, and is left only after an interruption."""
        self.limit = min(BEGIN, maximum) if is_adaptive else maximum
        self._is_adaptive = is_adaptive
        self._maximum = maximum
        self._minimum = min(minimum, maximum)
        self.limit = max(self.limit, self._minimum)
        self._grows_fast = True
        self._baseline = 0.0  # not known
        self._seconds_max = float("inf")  # more than this counts as this: one straggler is no trend
        self._wanted = 0  # the limit to come back to, while the baseline is measured
        self._look_at = 0.0
        self._looked_limit = 0
        self._stale = 0  # so many of the calls under way left under the limit before
        self._closes_at = 0.0 if is_adaptive else float("inf")
        self._begin_window()

    def served(self, now: float, seconds: float, lag: float, in_flight: int) -> None:
        """A call was served in so many seconds, and our own loop is late by `lag`."""
        if self._stale:
            self._stale -= 1
            return
        self._seconds += seconds if seconds < self._seconds_max else self._seconds_max  # noqa: FURB136  # a third of the price
        self._lag += lag
        self._count += 1
        if now >= self._closes_at and self._count >= self._needed:
            self._close(now, in_flight)

    def failed(self, now: float, in_flight: int) -> None:
        """A call failed; where many do, it may be the doing of too many."""
        if self._stale:
            self._stale -= 1
            return
        self._failed += 1
        if now >= self._closes_at and self._count + self._failed >= self._needed:
            self._close(now, in_flight)

    def begin_anew(self, in_flight: int) -> None:
        """After an interruption: one more than what is under way, for calls that still hang there are no part of the crowd."""
        self.limit = max(1, min(self._maximum, in_flight + 1))
        self._grows_fast = True
        self._wanted = 0
        self._stale = 0
        self._closes_at = 0.0
        self._begin_window()

    def _begin_window(self) -> None:
        self._seconds = self._lag = 0.0
        self._count = self._failed = 0
        self._needed = min(SAMPLES_MIN, self.limit)
        self.is_binding = False  # somebody was turned away for want of room, since the window began

    def _close(self, now: float, in_flight: int) -> None:
        """A window has seen enough: judge it, and begin the next."""
        mean = self._seconds / self._count if self._count else 0.0
        if not self._is_adaptive:
            self._grow()
        elif self._failed > FAILED_SHARE_MAX * (self._count + self._failed):
            self._shrink(FAILED_SHRINK, in_flight)
        else:
            self._weigh(now, max(0.0, mean - LAG_WEIGHT * self._lag / self._count), in_flight)  # here some were served
        self._closes_at = now + max(WINDOW_SECONDS_MIN, mean)
        if self.limit == self._maximum and not self._is_adaptive:
            self._closes_at = float("inf")
        self._begin_window()

    def _weigh(self, now: float, seconds: float, in_flight: int) -> None:
        if self._wanted:  # so long it takes when few are under way
            self._end_look(now, seconds, in_flight)
            return
        if not self._baseline or seconds < self._baseline:
            self._set_baseline(seconds)
        bearable = LATENCY_RATIO_MAX * self._baseline + LATENCY_ALLOWED_SECONDS
        if seconds <= bearable:
            if self.is_binding:
                self._grow()
        elif self.is_binding or 2 * in_flight >= self.limit:
            self._shrink(bearable / seconds, in_flight)
            if now >= self._look_at or 2 * self.limit < self._looked_limit:
                self._look(now)

    def _grow(self) -> None:
        more = min(self.limit, self._count) if self._grows_fast else max(1, self.limit // GROWTH)
        self.limit = min(self._maximum, self.limit + more)

    def _shrink(self, share: float, in_flight: int) -> None:
        self._grows_fast = False
        self._wanted = 0
        self._stale = in_flight
        self.limit = min(self.limit, max(self._minimum, int(self.limit * max(share, SHRINK_MAX))))

    def _look(self, now: float) -> None:
        self._look_at = now + LOOK_EVERY_SECONDS
        self._looked_limit = self._wanted = self.limit
        self.limit = min(self.limit, max(self._minimum, self.limit // LOOK_SHARE))

    def _end_look(self, now: float, seconds: float, in_flight: int) -> None:
        if seconds > LOOK_AGAIN_RATIO * self._baseline:
            self._look_at = now + LOOK_AGAIN_SECONDS
        self._grows_fast = seconds > LATENCY_RATIO_MAX * self._baseline  # it is slower by itself: back to where the limit was
        self._set_baseline(seconds)
        self.limit = self._wanted
        self._wanted = 0
        self._stale = in_flight

    def _set_baseline(self, seconds: float) -> None:
        self._baseline = seconds
        self._seconds_max = 2 * (LATENCY_RATIO_MAX * seconds + LATENCY_ALLOWED_SECONDS) if seconds else float("inf")

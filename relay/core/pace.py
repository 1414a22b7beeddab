"""How many calls per second may leave, of all kinds together: what the operator allows, and what the API bears, learned from refusals.

In: answers that ask for less (429, or 503 with `Retry-After`), how many calls were served so far, and calls that depart. Out: whether one
more may go, and when to ask again.

The theory:

1. Nobody is slowed down before the API asks for it. `Retry-After` stops everything until then.
2. An API that refuses what is too much serves just as much as it bears. So at a refusal the pace becomes what was served in the last
   second, less a little; when nothing was served, one call per second.
3. After a refusal the pace returns to that rate within ten seconds, stays near it, and then feels its way upward: by 1 % after two seconds
   more, by 30 % after ten. So a hard limit is met with few refusals, and one that was lifted is soon forgotten. Where a refusal costs a
   long wait, all this takes ten times as long as the wait.
4. Only refusals in numbers slow down: a few among many answers, now and then, are not about the rate, and whoever is refused one call in a
   hundred at random is not slowed down, but for the waits that it is asked for. Where a refusal costs a wait, one is enough once the pace
   has returned to what was learned: it was found by feeling upward.
5. A pace that nobody has run into for half a minute is forgotten. Whoever runs into the operator's limit has not run into it.
"""

from collections import deque
from math import inf
from typing import Final

FLOOR_PER_SECOND: Final = 1.0
CUT: Final = 0.07  # below the rate that was refused
RETURN_SECONDS: Final = 10.0
RETURN_SECONDS_MAX: Final = 120.0
RETURN_PER_SECOND_ASKED: Final = 10.0
PROBE_SHARE: Final = 0.01
PROBE_DOUBLES: Final = 5.0  # each fifth of the time to return
CUT_EVERY_SECONDS: Final = 1.0  # what is refused sooner had left before the cut
REFUSED_SHARE_MAX: Final = 0.015  # of the answers since the last cut
REFUSED_SHARE_MAX_AT_FIRST: Final = 0.05  # of the answers of the last two seconds, before there was any
REFUSED_COUNT_MAX: Final = 2
FORGOTTEN_AFTER_SECONDS: Final = 30.0
MARK_SECONDS: Final = 0.25
MARKS: Final = 9  # two seconds
CATCH_UP_SECONDS: Final = 0.02  # a timer is late now and then: what it missed may follow at once
_EXPONENT_MAX: Final = 40.0


class Pace:
    """The rate of departures."""

    __slots__ = (
        "_cut_at",
        "_deaf_until",
        "_fixed",
        "_held_at",
        "_is_throttled",
        "_knows_peak",
        "_learns_until",
        "_mark_at",
        "_marks",
        "_next_at",
        "_peak",
        "_rate",
        "_refused",
        "_refused_at_cut",
        "_return_seconds",
        "_served_at_cut",
        "is_holding",
        "is_on",
        "throttled_until",
    )

    def __init__(self, *, per_second_max: float | None = None) -> None:
        """Begin without any limit but the operator's, which holds for each second: hence less by what may be caught up."""
        self._fixed = inf if per_second_max is None else per_second_max * (1 - CATCH_UP_SECONDS)
        self.is_on = per_second_max is not None
        self.is_holding = False  # somebody could go, but for the pace
        self.throttled_until = 0.0  # the API has asked for a wait until then
        self._is_throttled = False
        self._rate = self._fixed  # in force
        self._next_at = 0.0
        self._peak = 0.0  # what was served when we were refused; 0 when the pace is not engaged
        self._knows_peak = False
        self._learns_until = 0.0
        self._cut_at = 0.0
        self._deaf_until = 0.0
        self._held_at = 0.0
        self._return_seconds = RETURN_SECONDS
        self._refused = 0
        self._refused_at_cut = 0
        self._served_at_cut = 0
        self._mark_at = 0.0
        self._marks: deque[tuple[float, int, int]] = deque(maxlen=MARKS)  # when, served, refused

    @property
    def per_second(self) -> float | None:
        """The rate in force; None when there is none."""
        return self._rate if self._rate < inf else None

    @property
    def is_slowed_down(self) -> bool:
        """Whether the API has asked for less, lately."""
        return self._is_throttled or self._peak > 0.0

    def holds(self, now: float) -> bool:
        """Whether somebody who could go must wait."""
        if now < self.throttled_until:
            self.is_holding = True
        elif now < self._next_at:
            self.is_holding = True
            if self._rate != self._fixed:
                self._held_at = now
        return self.is_holding

    def depart(self, now: float) -> None:
        """One goes."""
        self._next_at = max(self._next_at, now - CATCH_UP_SECONDS) + 1.0 / self._rate

    def ask_again_at(self) -> float:
        """When the next one may go."""
        return max(self.throttled_until, self._next_at)

    def refuse(self, now: float, served: int, *, asked_seconds: float) -> None:
        """The API asks for less; `served` is how many calls it has served, ever."""
        self._refused += 1
        self.is_on = True
        if asked_seconds > 0:
            self._is_throttled = True
            self.throttled_until = max(self.throttled_until, now + asked_seconds)
        if now < self._deaf_until:
            return
        has_returned = self._peak and now - self._cut_at >= self._return_seconds  # by then it is known that the pace was borne
        if asked_seconds > 0 or not self._peak:
            self._return_seconds = min(max(RETURN_SECONDS, RETURN_PER_SECOND_ASKED * asked_seconds), RETURN_SECONDS_MAX)
        is_dear = asked_seconds > 0 and has_returned
        if is_dear or (self._peak and not self._knows_peak) or self._is_about_the_rate(now, served):
            self._cut(now, served)

    def _is_about_the_rate(self, now: float, served: int) -> bool:
        if self._peak:
            served, refused, share_max = served - self._served_at_cut, self._refused - self._refused_at_cut, REFUSED_SHARE_MAX
        else:
            lately, refused_lately = self._lately(now, served, seconds=2.0)
            served, refused, share_max = round(lately), round(refused_lately), REFUSED_SHARE_MAX_AT_FIRST
        return refused > REFUSED_COUNT_MAX and refused > share_max * (served + refused)

    def pass_by(self, now: float, served: int) -> bool:
        """Time has passed: adapt the pace. True when a wait that the API has asked for is over just now."""
        if now >= self._mark_at:
            self._mark_at = now + MARK_SECONDS
            self._marks.append((now, served, self._refused))
        if not self.is_on:
            return False
        is_resumed = self._is_throttled and now >= self.throttled_until
        if is_resumed:
            self._is_throttled = False
            self.throttled_until = 0.0
            self._cut_at = self._held_at = self._deaf_until = self._learns_until = now  # what was under way before has landed long ago
        if self._peak and not self._is_throttled:
            self._adapt(now, served)
        self.is_on = self._is_throttled or self._rate < inf
        return is_resumed

    def _adapt(self, now: float, served: int) -> None:
        if now < self._learns_until:
            rate = self._served_per_second(now, served)
            self._learn(max(rate, self._peak) if self._knows_peak else rate)
        if now - self._held_at >= FORGOTTEN_AFTER_SECONDS:
            self._peak = 0.0
            self._rate = self._fixed
            return
        self._rate = min(self._peak * self._share(now - self._cut_at), self._fixed)

    def _share(self, seconds: float) -> float:
        """Of the peak, so long after a refusal."""
        if not self._knows_peak:
            return float(2.0 ** min(seconds, _EXPONENT_MAX))  # nothing was served: nothing is known but that it is less than it was
        beyond = seconds / self._return_seconds - 1.0
        doublings = min(max(beyond, 0.0) * PROBE_DOUBLES, _EXPONENT_MAX)
        return float(1.0 + CUT * min(beyond, 0.0) ** 3 + PROBE_SHARE * (2.0**doublings - 1.0))

    def _cut(self, now: float, served: int) -> None:
        if not self._peak:
            self._learns_until = now + CUT_EVERY_SECONDS  # what has left is still being answered: how much is served begins to show
        rate = min(self._served_per_second(now, served), self._rate)
        self._cut_at = self._held_at = now
        self._deaf_until = now + CUT_EVERY_SECONDS
        self._served_at_cut, self._refused_at_cut = served, self._refused
        self._learn(rate)
        self._rate = min(self._peak * self._share(0.0), self._fixed)
        self._next_at = max(self._next_at, now + 1.0 / self._rate)

    def _learn(self, rate: float) -> None:
        self._knows_peak = rate > 0.0
        self._peak = max(rate, FLOOR_PER_SECOND)

    def _served_per_second(self, now: float, served: int) -> float:
        """The better of the last second and the last two: a slow pace is not seen well in one."""
        return max(self._lately(now, served, seconds=1.0)[0], self._lately(now, served, seconds=2.0)[0] / 2)

    def _lately(self, now: float, served: int, *, seconds: float) -> tuple[float, float]:
        """How many were served and refused in the last seconds."""
        since = younger = (now, served, self._refused)
        for mark in reversed(self._marks):
            since = mark
            if mark[0] <= now - seconds:
                break
            younger = mark
        if now - since[0] > 2 * seconds:  # nobody looked in between, so nothing happened
            since = younger
        share = seconds / max(now - since[0], seconds)
        return (served - since[1]) * share, (self._refused - since[2]) * share

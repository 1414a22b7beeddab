"""How many calls may fly, when a circuit opens, how fast lost sessions are opened again, and when the source must pause.

In: calls that depart and land, bytes and events that come and go. Out: who may go now, and when to ask again.

Two circuits, one for openings and one for events, so that neither starves the other. A circuit is

- CLOSED while the API serves: everything passes, up to a number of calls that grows with each success after an interruption;
- PROBING after some seconds of nothing but failures: one call passes now and then, more and more rarely, until one succeeds;
- HELD when the API refuses *us* (401, 403, a wrong address): one call passes every few seconds, and the operators are told.
"""

from enum import IntEnum
from typing import Final

import msgspec

OUTAGE_AFTER_SECONDS: Final = 5.0  # of nothing but failures
PROBE_SECONDS_INITIAL: Final = 0.1  # two circuits: at most 20 requests/s at first, half of what is promised
PROBE_SECONDS_MAX: Final = 2.0  # a recovery is noticed within this, and promised within 5
PROBE_GROWTH: Final = 1.5
HOLD_SECONDS: Final = 5.0


class CircuitState(IntEnum):
    """The value of `relay_circuit_state`."""

    CLOSED = 0
    PROBING = 1
    HELD = 2


class Circuit:
    """Whether calls of one kind may go."""

    __slots__ = (
        "_failing_since",
        "_in_flight",
        "_interval",
        "_last_success",
        "_probe_at",
        "_ramp",
        "_ramp_max",
        "advice",
        "closed_since",
        "served",
        "served_at",
        "state",
    )

    def __init__(self, *, concurrency_max: int) -> None:
        """Begin closed: the API is expected to serve."""
        self.state = CircuitState.CLOSED
        self.served = 0  # how many calls the API took, ever
        self.served_at = 0.0  # when it took the last one
        self.closed_since = 0.0
        self.advice = ""  # what to check, while held
        self._in_flight = 0
        self._ramp_max = concurrency_max
        self._ramp = concurrency_max
        self._failing_since: float | None = None
        self._last_success: float | None = None
        self._probe_at = 0.0
        self._interval = PROBE_SECONDS_INITIAL

    def admits(self, now: float) -> bool:
        """Whether a call may depart."""
        if self.state is CircuitState.CLOSED:
            return self._in_flight < self._ramp
        return now >= self._probe_at

    def depart(self, now: float) -> None:
        """A call departs."""
        self._in_flight += 1
        if self.state is not CircuitState.CLOSED:
            self._probe_at = now + self._interval
            if self.state is CircuitState.PROBING:
                self._interval = min(self._interval * PROBE_GROWTH, PROBE_SECONDS_MAX)

    def land(self) -> None:
        """A call has ended, however."""
        self._in_flight -= 1

    def succeed(self, now: float) -> None:
        """The API served a call: it took it, or refused it for a reason of its own."""
        self.served += 1
        self.served_at = self._last_success = now
        self._failing_since = None
        if self.state is not CircuitState.CLOSED:
            self.state = CircuitState.CLOSED
            self.closed_since = now
            self.advice = ""
            # The crowd that waits must not fall upon the API at once; calls that still hang there are no part of it.
            self._ramp = self._in_flight + 1
        if self._ramp < self._ramp_max:
            self._ramp += 1

    def fail(self, now: float) -> None:
        """The API failed for the moment."""
        if self._failing_since is None:
            self._failing_since = now

    def misconfigured(self, now: float, advice: str) -> bool:
        """The API refused us. Held, unless it has just served others: then it counts as a moment's failure."""
        if self._last_success is not None and now - self._last_success < OUTAGE_AFTER_SECONDS:
            self.fail(now)
            return False
        self.advice = advice
        if self.state is not CircuitState.HELD:
            self.state = CircuitState.HELD
            self._interval = HOLD_SECONDS
            self._probe_at = now + HOLD_SECONDS
            return True
        return False

    def looks_out(self, now: float) -> bool:
        """Begin to probe when there was nothing but failures for long enough; True when it begins now."""
        if self.state is not CircuitState.CLOSED or self._failing_since is None or now - self._failing_since < OUTAGE_AFTER_SECONDS:
            return False
        self.state = CircuitState.PROBING
        self._interval = PROBE_SECONDS_INITIAL
        self._probe_at = now
        return True

    def ask_again_at(self) -> float | None:
        """When the answer of `admits` or `looks_out` may change by time alone."""
        if self.state is not CircuitState.CLOSED:
            return self._probe_at
        return None if self._failing_since is None else self._failing_since + OUTAGE_AFTER_SECONDS


class Allowance:
    """So many per second, and a second's worth at once: for openings in place of lost sessions."""

    __slots__ = ("_left", "_per_second", "_since")

    def __init__(self, per_second: float) -> None:
        """Begin with a second's worth."""
        self._per_second = per_second
        self._left = max(per_second, 1.0)
        self._since = 0.0

    def admits(self, now: float) -> bool:
        """Whether one more may go."""
        self._left = min(max(self._per_second, 1.0), self._left + (now - self._since) * self._per_second)
        self._since = now
        return self._left >= 1.0

    def take(self) -> None:
        """One goes."""
        self._left -= 1.0

    def ask_again_at(self) -> float:
        """When one more may go."""
        return self._since + max(0.0, 1.0 - self._left) / self._per_second


class Limits(msgspec.Struct, frozen=True):
    """What the relay holds at most."""

    concurrency_max: int = 512
    buffer_bytes_max: int = 128 * 2**20
    buffer_events_max: int = 100_000
    session_events_max: int = 1_000
    lanes_max: int = 500_000
    reopenings_per_second_max: float = 50.0
    shed_pings_after_seconds: float | None = None  # of a full buffer; None: never
    resume_ratio: float = 0.75  # hysteresis: pausing throws away what was prefetched


class Buffer:
    """What waits in lanes, and whether more may come."""

    __slots__ = ("_is_full", "_limits", "byte_count", "crowded_lanes", "event_count", "lane_count")

    def __init__(self, limits: Limits) -> None:
        """Begin empty."""
        self._limits = limits
        self._is_full = False
        self.byte_count = 0
        self.event_count = 0
        self.lane_count = 0
        self.crowded_lanes = 0  # lanes that hold as many events as one session may

    @property
    def is_full(self) -> bool:
        """Whether the source must pause. Once full, it stays so until there is some room."""
        limits = self._limits
        ratio = limits.resume_ratio if self._is_full else 1.0
        self._is_full = (
            self.byte_count >= limits.buffer_bytes_max * ratio
            or self.event_count >= limits.buffer_events_max * ratio
            or self.lane_count >= limits.lanes_max
            or self.crowded_lanes > 0
        )
        return self._is_full

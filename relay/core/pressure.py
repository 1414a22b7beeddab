"""When a circuit opens and closes, how fast lost sessions are opened again, and when the source must pause.

In: calls that depart and land, bytes and events that come and go. Out: who may go now, and when to ask again.

Two circuits, one for openings and one for events, so that neither starves the other. A circuit is

- CLOSED while the API serves: everything passes, up to a number of calls that `concurrency.py` decides;
- PROBING after some seconds of nothing but failures, or of hardly anything else: one call passes now and then, more and more rarely, until
  one succeeds (several, where some always did);
- HELD when the API refuses *us* (401, 403, a wrong address): one call passes every few seconds, and the operators are told.

Hardly anything else: nine of ten calls of the last five seconds failed, and there were twenty. With less, the others that are served would
pay for it. Only the first try of each event counts, and the first after an outage: the tries of a few that can never succeed must not stop
everybody.
"""

from collections import deque
from enum import IntEnum
from typing import Final

import msgspec

from relay.core.concurrency import Concurrency

OUTAGE_AFTER_SECONDS: Final = 5.0  # of nothing but failures
FAILED_SHARE_MAX: Final = 0.9  # of the calls of as many seconds
CALLS_MIN: Final = 20
SOUND_SHARE_MAX: Final = 0.5  # who fails more often than that is no judge of an event
SOUND_CALLS_MIN: Final = 10
PROOFS: Final = 3  # successes in a row that close a circuit which some calls always passed
PROVEN_SECONDS: Final = 30.0  # who opens again sooner has closed for a chance success
PROBE_SECONDS_INITIAL: Final = 0.1  # two circuits: at most 20 requests/s at first, half of what is promised
PROBE_SECONDS_MAX: Final = 2.0  # a recovery is noticed within this, and promised within 5
PROBE_GROWTH: Final = 1.5
HOLD_SECONDS: Final = 5.0
_LOOKS: Final = 5


class CircuitState(IntEnum):
    """The value of `relay_circuit_state`."""

    CLOSED = 0
    PROBING = 1
    HELD = 2


class Circuit:
    """Whether calls of one kind may go."""

    __slots__ = (
        "_failing_since",
        "_first_failures",
        "_first_tries",
        "_interval",
        "_last_success",
        "_look_at",
        "_looks",
        "_probe_at",
        "_proofs",
        "_proofs_needed",
        "_stays_closed_until",
        "advice",
        "closed_since",
        "closings",
        "concurrency",
        "in_flight",
        "is_sound",
        "served",
        "served_at",
        "state",
        "throttled",
    )

    def __init__(self, *, concurrency_max: int, concurrency_min: int = 1, is_adaptive: bool = False) -> None:
        """Begin closed: the API is expected to serve."""
        self.state = CircuitState.CLOSED
        self.concurrency = Concurrency(maximum=concurrency_max, minimum=concurrency_min, is_adaptive=is_adaptive)
        self.in_flight = 0
        self.served = 0  # how many calls the API took, ever
        self.served_at = 0.0  # when it took the last one
        self.closed_since = 0.0
        self.closings = 0
        self.throttled = 0  # how often it asked for less, ever
        self.is_sound = True  # it serves most of what it is asked for: its failures may be held against an event
        self.advice = ""  # what to check, while held
        self._failing_since: float | None = None
        self._last_success: float | None = None
        self._probe_at = 0.0
        self._interval = PROBE_SECONDS_INITIAL
        self._first_tries = 0  # calls that were the first for their event, ever
        self._first_failures = 0  # and how many of them failed
        self._look_at = 0.0
        self._looks: deque[tuple[int, int]] = deque(maxlen=_LOOKS)  # second by second: first tries, and failures of them
        self._proofs = 0  # successes in a row while probing
        self._proofs_needed = 1
        self._stays_closed_until = 0.0

    def admits(self, now: float) -> bool:
        """Whether a call may depart."""
        if self.state is CircuitState.CLOSED:
            if self.in_flight < self.concurrency.limit:
                return True
            self.concurrency.is_binding = True
            return False
        return now >= self._probe_at

    def depart(self, now: float) -> None:
        """A call departs."""
        self.in_flight += 1
        if self.state is not CircuitState.CLOSED:
            self._probe_at = now + self._interval
            if self.state is CircuitState.PROBING:
                self._interval = min(self._interval * PROBE_GROWTH, PROBE_SECONDS_MAX)

    def land(self, is_first: bool = True) -> None:  # noqa: FBT001, FBT002  # for each answer: by position it costs less
        """A call has ended, however; whether it was the first for its event."""
        self.in_flight -= 1
        self._first_tries += is_first

    def succeed(self, now: float, seconds: float = 0.0, lag: float = 0.0) -> None:
        """The API served a call: it took it, or refused it for a reason of its own. How long that took; how late our own loop was."""
        self.served += 1
        self.served_at = self._last_success = now
        self._failing_since = None
        if self.state is not CircuitState.CLOSED:
            self._prove(now)
        self.concurrency.served(now, seconds, lag, self.in_flight)

    def fail(self, now: float, *, is_first: bool = True) -> None:
        """The API failed for the moment."""
        if self._failing_since is None:
            self._failing_since = now
        self._proofs = 0
        self._first_failures += is_first
        self.concurrency.failed(now, self.in_flight)

    def misconfigured(self, now: float, advice: str, *, is_first: bool = True) -> bool:
        """The API refused us. Held, unless it has just served others: then it counts as a moment's failure."""
        if self._last_success is not None and now - self._last_success < OUTAGE_AFTER_SECONDS:
            self.fail(now, is_first=is_first)
            return False
        self.advice = advice
        if self.state is not CircuitState.HELD:
            self.state = CircuitState.HELD
            self._interval = HOLD_SECONDS
            self._probe_at = now + HOLD_SECONDS
            self._proofs, self._proofs_needed = 0, 1
            return True
        return False

    def looks_out(self, now: float) -> bool:
        """Begin to probe when the API has failed for long enough; True when it begins now."""
        if now >= self._look_at:
            self._look_at = now + OUTAGE_AFTER_SECONDS / _LOOKS
            if self._look(now):
                self._begin_to_probe(now, proofs_needed=PROOFS)
                return True
        if self.state is not CircuitState.CLOSED or self._failing_since is None or now - self._failing_since < OUTAGE_AFTER_SECONDS:
            return False
        self._begin_to_probe(now, proofs_needed=PROOFS if self.closings and now - self.closed_since <= PROVEN_SECONDS else 1)
        return True

    def ask_again_at(self) -> float | None:
        """When the answer of `admits` or `looks_out` may change by time alone."""
        if self.state is not CircuitState.CLOSED:
            return self._probe_at
        return None if self._failing_since is None else self._failing_since + OUTAGE_AFTER_SECONDS

    def _look(self, now: float) -> bool:
        """Compare the last five seconds: whether hardly anything is served."""
        tries_then, failures_then = self._looks[0] if len(self._looks) == _LOOKS else (self._first_tries, self._first_failures)
        self._looks.append((self._first_tries, self._first_failures))
        tries, failures = self._first_tries - tries_then, self._first_failures - failures_then
        is_most_served = failures <= SOUND_SHARE_MAX * tries
        self.is_sound = is_most_served or (self.is_sound and tries < SOUND_CALLS_MIN)
        if self.state is CircuitState.PROBING and self._proofs and now - (self._last_success or 0.0) >= OUTAGE_AFTER_SECONDS:
            self._close(now)  # nothing has failed since, and nobody was there to prove more
        is_failing = tries >= CALLS_MIN and failures >= FAILED_SHARE_MAX * tries
        return is_failing and self.state is CircuitState.CLOSED and now >= self._stays_closed_until

    def _begin_to_probe(self, now: float, *, proofs_needed: int) -> None:
        self.state = CircuitState.PROBING
        self._interval = PROBE_SECONDS_INITIAL
        self._probe_at = now
        self._proofs, self._proofs_needed = 0, proofs_needed

    def _prove(self, now: float) -> None:
        self._proofs += 1
        if self._proofs >= self._proofs_needed:
            self._close(now)
        else:
            self._interval = PROBE_SECONDS_INITIAL
            self._probe_at = now + PROBE_SECONDS_INITIAL

    def _close(self, now: float) -> None:
        self.state = CircuitState.CLOSED
        self.closed_since = now
        self.closings += 1
        self.advice = ""
        self._stays_closed_until = now + OUTAGE_AFTER_SECONDS  # until only what was tried since then is looked at
        self.concurrency.begin_anew(self.in_flight)


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
    concurrency_min: int = 4
    is_concurrency_adaptive: bool = False
    requests_per_second_max: float | None = None
    retry_after_seconds_max: float = 300.0
    buffer_bytes_max: int = 128 * 2**20
    buffer_events_max: int = 100_000
    session_events_max: int = 1_000
    lanes_max: int = 500_000
    reopenings_per_second_max: float = 50.0
    shed_pings_after_seconds: float | None = None  # of a full buffer; None: never
    resume_ratio: float = 0.75  # hysteresis: pausing throws away what was prefetched


class Buffer:
    """What waits in lanes, and whether more may come."""

    __slots__ = ("_is_full", "_limits", "byte_count", "crowded_lanes", "event_count", "excused_lanes", "lane_count")

    def __init__(self, limits: Limits) -> None:
        """Begin empty."""
        self._limits = limits
        self._is_full = False
        self.byte_count = 0
        self.event_count = 0
        self.lane_count = 0
        self.crowded_lanes = 0  # lanes that hold as many events as one session may
        self.excused_lanes = 0  # of these, those for which the others need not wait yet

    @property
    def is_full(self) -> bool:
        """Whether the source must pause. Once full, it stays so until there is some room."""
        limits = self._limits
        ratio = limits.resume_ratio if self._is_full else 1.0
        self._is_full = (
            self.byte_count >= limits.buffer_bytes_max * ratio
            or self.event_count >= limits.buffer_events_max * ratio
            or self.lane_count >= limits.lanes_max
            or self.crowded_lanes > self.excused_lanes
        )
        return self._is_full

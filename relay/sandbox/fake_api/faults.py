"""Faults that the fake injects, drawn from a seed.

In: rules as text, `operation:what:probability`. Out: for each request, the fault that strikes it, if any.

`operation` is `sessions`, `events` or `all`. `what` is one of

    500, 503, 429, 400, …   this status; `503+5` adds `Retry-After: 5`, `429+date5` the same as a date
    limit+10                429 to whatever comes beyond ten requests in any second; `limit+10+5` adds `Retry-After: 5`
    404, 410                on events: the session is really forgotten, really closed, so that later calls agree
    reset                   the connection is torn down before anything is applied
    lost                    applied and recorded, then the connection is closed without an answer
    truncated               applied and recorded, then half an answer
    slow+0.2                applied and recorded, answered after so many seconds
    hang                    never answered, nothing applied
    noid, badid             an opening is answered 201 without a Location, or with one that ends in `..%2Fevil`; nothing is opened
    otherhost               an opening is answered 201 with a right id, but an absolute Location at another host
    upstream                an opening is answered as usual

On the Media Edge API handles tell of an opening: `noid` is 200 without the session's, `badid` has the id `../evil` in it, `otherhost` gives
a location hint that leads to another host, and `upstream` is 207 with the failure of another upstream beside a session that is open.
"""

import math
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import StrEnum
from random import Random
from typing import Final

import msgspec

from relay.sandbox.fake_api.dialect import Operation

_STATUS: Final = re.compile(r"([0-9]{3})(?:\+(date)?([0-9]{1,6}))?")
_LIMIT: Final = re.compile(r"limit\+([1-9][0-9]{0,5})(?:\+([0-9]{1,6}))?")
_TOO_MANY_REQUESTS: Final = 429
_SLOW: Final = re.compile(r"slow\+([0-9]+(?:\.[0-9]+)?)")
_STATUS_MIN, _STATUS_MAX = 300, 599
_PARTS: Final = 3


class Kind(StrEnum):
    """What a fault does."""

    STATUS = "status"
    RESET = "reset"
    LOST = "lost"
    TRUNCATED = "truncated"
    SLOW = "slow"
    HANG = "hang"
    NO_ID = "noid"
    BAD_ID = "badid"
    OTHER_HOST = "otherhost"
    UPSTREAM = "upstream"


_PLAIN: Final = frozenset(Kind) - {Kind.STATUS, Kind.SLOW}
_OPENINGS_ONLY: Final = frozenset({Kind.NO_ID, Kind.BAD_ID, Kind.OTHER_HOST, Kind.UPSTREAM})


class Fault(msgspec.Struct, frozen=True):
    """One rule."""

    operation: Operation | None  # None for all
    name: str  # `what`, as it was written
    kind: Kind
    probability: float
    status: int = 0
    retry_after_seconds: int | None = None
    is_retry_after_date: bool = False
    delay_seconds: float = 0.0
    per_second: int = 0  # strikes only what is beyond; 0 strikes whatever comes

    def concerns(self, operation: Operation) -> bool:
        """Whether it may strike such a request."""
        if operation is not Operation.SESSIONS and self.kind in _OPENINGS_ONLY:
            return False
        return self.operation is None or self.operation is operation


class Faults:
    """The rules in force. One draw for each rule and request in turn, so the same requests in the same order meet the same faults."""

    def __init__(self, random: Random, rules: Sequence[str] = (), clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with these rules; ValueError says what is wrong with one."""
        self._random = random
        self._clock = clock
        self._taken: dict[str, deque[float]] = {}  # by limit, when it let requests pass
        self.rules: tuple[str, ...] = ()
        self._faults: dict[Operation, tuple[Fault, ...]] = {}
        self.set(rules)

    def set(self, rules: Sequence[str]) -> None:
        """Put these rules in place of the former ones; all of them, or, when one is wrong, none."""
        faults = [parse_fault(rule) for rule in rules]
        self.rules = tuple(rules)
        self._faults = {operation: tuple(fault for fault in faults if fault.concerns(operation)) for operation in Operation}

    def draw(self, operation: Operation) -> Fault | None:
        """Draw the fault that strikes this request; the first rule that strikes wins."""
        for fault in self._faults[operation]:
            if self._random.random() < fault.probability and not (fault.per_second and self._is_within(fault)):
                return fault
        return None

    def _is_within(self, fault: Fault) -> bool:
        """Whether one more request stays within the limit; then it counts."""
        now = self._clock()
        taken = self._taken.setdefault(fault.name, deque())
        while taken and taken[0] <= now - 1.0:
            taken.popleft()
        if len(taken) >= fault.per_second:
            return False
        taken.append(now)
        return True


def parse_fault(rule: str) -> Fault:
    """Read one rule; ValueError says in one line what is wrong with it."""
    parts = rule.split(":")
    if len(parts) != _PARTS:
        raise _wrong(rule, "is not of the form operation:what:probability, as in events:500:0.01")
    operation, what, share = parts
    if operation not in {"all", *Operation}:
        raise _wrong(rule, f"names the operation {operation!r}: use sessions, events or all")
    fault = Fault(
        operation=None if operation == "all" else Operation(operation),
        name=what,
        kind=Kind.STATUS,
        probability=_probability(rule, share),
    )
    if what in _PLAIN:
        if what in _OPENINGS_ONLY and operation == Operation.EVENTS:
            raise _wrong(rule, f"can never strike: {what} is for the operation sessions")
        return msgspec.structs.replace(fault, kind=Kind(what))
    if match := _SLOW.fullmatch(what):
        return msgspec.structs.replace(fault, kind=Kind.SLOW, delay_seconds=float(match[1]))
    if match := _LIMIT.fullmatch(what):
        wait = int(match[2]) if match[2] else None
        return msgspec.structs.replace(fault, status=_TOO_MANY_REQUESTS, per_second=int(match[1]), retry_after_seconds=wait)
    match = _STATUS.fullmatch(what)
    if match is None or not _STATUS_MIN <= int(match[1]) <= _STATUS_MAX:
        known = ", ".join(sorted(_PLAIN))
        raise _wrong(
            rule, f"asks for {what!r}: use a status from 300 to 599, with +seconds or +dateSECONDS, or slow+SECONDS, limit+NUMBER, {known}"
        )
    return msgspec.structs.replace(
        fault,
        status=int(match[1]),
        retry_after_seconds=int(match[3]) if match[3] else None,
        is_retry_after_date=match[2] is not None,
    )


def _probability(rule: str, share: str) -> float:
    try:
        probability = float(share)
    except ValueError:
        probability = math.nan
    if not 0 <= probability <= 1:
        raise _wrong(rule, f"has the probability {share!r}: use a number from 0 to 1")
    return probability


def _wrong(rule: str, reason: str) -> ValueError:
    return ValueError(f"the fault rule {rule!r} {reason}")

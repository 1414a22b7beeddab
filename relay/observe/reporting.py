"""Tells the operators what becomes of sessions, events and the API: log lines and counts.

In: what the core announces. Out: lines with constant names, and tallies. Per event at debug, per session at info, per rejection at warning.
"""

import logging
from typing import Final

from relay.core.commands import Announce, Change, SetAside
from relay.core.head_of_line import Standstills, held_back
from relay.core.pressure import CircuitState
from relay.core.router import Router
from relay.observe.logs import Sparse, hashed
from relay.observe.metrics import Tallies
from relay.observe.witness import Witness

log = logging.getLogger("relay")

HELD_BACK_SECONDS: Final = 30.0  # before the session that holds a partition back is named
NAMED_EVERY_SECONDS: Final = 60.0

_LEVELS: Final = {
    Change.OPENED: logging.INFO,
    Change.ENDED: logging.INFO,
    Change.LOST: logging.WARNING,
    Change.REFUSED: logging.WARNING,
    Change.TELLING_REFUSED: logging.WARNING,
    Change.GIVEN_UP: logging.WARNING,
    Change.PARKED: logging.WARNING,
    Change.SKIPPED_UNKNOWN: logging.WARNING,
    Change.SUSPENDED: logging.INFO,
}
# What a producer does wrong it does often: one line in a while is enough.
_SPARSE: Final = {
    Change.CAME_LATE: "an event came in late",
    Change.CAME_TWICE: "an event came in twice",
    Change.SCATTERED: "a session lives in two partitions",
}
_SENTENCES: Final = {change: f"session {change.replace('_', ' ')}" for change in Change} | {
    Change.RETRIED: "call failed, to be tried again",
    Change.TOLD: "told again what was open",
    Change.TELLING_REFUSED: "the new session refused what was open",
    Change.GIVEN_UP: "event given up",
    Change.PINGED: "session kept alive for a silent player",
    Change.SUSPENDED: "session ended for a silent player",
    Change.REPEATED_UNKNOWN: "the answer was lost, the same call goes again",
    Change.SKIPPED_UNKNOWN: "the answer was lost, the event does not go again",
}


class Reporter:
    """Says what happened."""

    def __init__(self, tallies: Tallies, witness: Witness | None = None) -> None:
        """Count into these tallies, and let the witness know."""
        self._tallies = tallies
        self._sparse = Sparse(log)
        self._named_at = float("-inf")
        self._witness = witness
        self._is_slowed = False
        self._circuits = {"open": CircuitState.CLOSED, "send": CircuitState.CLOSED}

    def announce(self, announce: Announce) -> None:
        """Something became of a session."""
        change, detail = announce.change, announce.detail
        self._tallies.change(change, detail)
        if self._witness is not None:
            self._witness.announce(announce)
        if change in _SPARSE:
            lane = announce.lane
            fields = {"session": hashed(lane.key), "topic": lane.assignment.topic, "partition": lane.assignment.partition}
            self._sparse.warning(_SPARSE[change], fields)
            return
        level = _LEVELS.get(change, logging.DEBUG)
        if log.isEnabledFor(level):
            lane = announce.lane
            log.log(
                level,
                _SENTENCES[change],
                extra={
                    "session": hashed(lane.key),
                    "partition": lane.assignment.partition,
                    "cause": detail,
                    "status": announce.status,
                },
            )

    def set_aside(self, aside: SetAside) -> None:
        """An event goes to the dead letters."""
        faults = self._tallies.faults.note(aside.reason, aside.detail)
        if self._witness is not None:
            self._witness.set_aside(aside)
        log.warning(
            "event set aside",
            extra={
                **({"path": faults[0].path, "problem": str(faults[0].problem)} if faults else {}),
                **({"more_problems": len(faults) - 1} if len(faults) > 1 else {}),
                "reason": aside.reason,
                "status": aside.status,
                "topic": aside.assignment.topic,
                "partition": aside.assignment.partition,
                "offset": aside.record.offset,
                "session": hashed(aside.key) if aside.key is not None else "",
            },
        )

    def name_who_holds_back(self, router: Router, standstills: Standstills, now: float) -> None:
        """Name the session that has held its partition back the longest: once a minute, and only when others wait for it."""
        longest = standstills.longest()
        if longest is None or now - longest[1] < HELD_BACK_SECONDS or now - self._named_at < NAMED_EVERY_SECONDS:
            return
        held = held_back(router, longest[0])
        if held is not None:
            self._named_at = now
            log.warning(
                "a session holds its partition back",
                extra={
                    "session": hashed(held.key) if held.key is not None else "",
                    "topic": held.topic,
                    "partition": held.partition,
                    "offset": held.offset,
                    "waits_for": held.waits_for,
                    "cause": held.cause,
                    "status": held.status,
                    "attempts": held.attempts,
                    "seconds": round(now - held.since, 1),
                    "finished_beyond": held.finished_beyond,
                },
            )

    def watch(self, router: Router) -> None:
        """Say when a circuit opens or closes, and when the API asks for less."""
        is_slowed = router.is_slowed_down
        if is_slowed is not self._is_slowed:
            self._is_slowed = is_slowed
            if is_slowed:
                log.warning("the API asks for less: the pace follows", extra={"per_second": round(router.requests_per_second or 0.0, 1)})
            else:
                log.warning("the API has asked for less no more: the pace is free again")
        for operation, circuit in (("open", router.opening), ("send", router.sending)):
            state = circuit.state
            if state is self._circuits[operation]:
                continue
            self._circuits[operation] = state
            if self._witness is not None:
                self._witness.switch(operation, state, circuit.advice)
            if state is CircuitState.CLOSED:
                log.warning("the API serves again", extra={"operation": operation})
            elif state is CircuitState.PROBING:
                log.error("the API fails: everything waits, one call is tried now and then", extra={"operation": operation})
            else:
                log.error(
                    "the API refuses us: everything waits until this is mended", extra={"operation": operation, "advice": circuit.advice}
                )

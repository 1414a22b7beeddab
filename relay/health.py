"""Whether the relay lives, and whether it is ready: two questions with different answers in an outage.

In: the parts. Out: yes or no, with the reasons, for `/livez` and `/readyz`.
"""

import time
from collections.abc import Mapping
from typing import Final

from relay.core.pressure import CircuitState
from relay.parts import Parts

LOOP_SILENT_SECONDS_MAX: Final = 30.0  # the pump passes several times a second; a loop that is this late is stuck
POLL_SILENT_SECONDS_MAX: Final = 60.0  # polls come ten times a second, but for a revoke that waits for calls under way
STALLED_SECONDS_MAX: Final = 60.0  # with events that could leave, an API that serves, and not one call under way

Verdict = tuple[bool, Mapping[str, object]]


def is_live(parts: Parts | None) -> Verdict:
    """Progress, not mere life: the loop turns, Kafka is polled, what could leave leaves. An outage of the API is no reason to restart."""
    if parts is None:
        return True, {"phase": "starting"}
    now = time.monotonic()
    silent = {
        "loop_silent_seconds": now - parts.pump.last_pass_at,
        "poll_silent_seconds": now - parts.source.last_poll_at,
        "stalled_seconds": now - parts.pump.last_progress_at,
    }
    limits = (LOOP_SILENT_SECONDS_MAX, POLL_SILENT_SECONDS_MAX, STALLED_SECONDS_MAX)
    is_well = all(seconds < limit for seconds, limit in zip(silent.values(), limits, strict=True))
    return is_well, {name: round(seconds, 1) for name, seconds in silent.items()}


def is_ready(parts: Parts | None, *, is_stopping: bool, schema_failure: str = "") -> Verdict:
    """In the group, and nothing that only the operators can mend stands in the way."""
    if parts is None:
        return False, {"phase": "starting"}
    router = parts.router
    held = {
        operation: circuit.advice
        for operation, circuit in (("open", router.opening), ("send", router.sending))
        if circuit.state is CircuitState.HELD
    }
    failures = {name: part.failure for name, part in (("dead_letters", parts.letters), ("state", parts.memoirs)) if part.is_failing}
    if parts.source.failure:
        failures["source"] = parts.source.failure
    if parts.tokens is not None and parts.tokens.failure:
        failures["credentials"] = parts.tokens.failure
    if schema_failure:
        failures["schemas"] = schema_failure
    reasons = {
        "has_joined": parts.pump.has_joined,
        "assigned_partitions": len(router.assignments),
        "held": held,
        "failing": failures,
        "is_stopping": is_stopping,
    }
    return parts.pump.has_joined and not held and not failures and not is_stopping, reasons

"""The account of records: everything that was read has become something, and the sum says so.

In: what was counted, and what is not finished. Out: figures by name. `unaccounted` must be 0, while the relay runs and at its end.
"""

from relay.observe.metrics import Tallies

_OUTCOMES = ("dead_lettered", "dropped", "deduplicated", "unknown")


def account(tallies: Tallies, *, not_committed: int, extra: int = 0) -> dict[str, int]:
    """What became of the records that were read.

    `not_committed` are those that are unfinished here or were left so to others; `extra` are outcomes beyond one for each record, since a
    record may say several things.
    """
    outcomes = {"delivered": tallies.delivered_count} | {outcome: tallies.outcome_count(outcome) for outcome in _OUTCOMES}
    consumed = tallies.consumed_count()
    unaccounted = consumed + extra - sum(outcomes.values()) - not_committed
    return {"consumed": consumed, "extra": extra, **outcomes, "not_committed": not_committed, "unaccounted": unaccounted}

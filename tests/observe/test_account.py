"""The account of records: whatever was read has become something."""

from relay.observe.account import account
from relay.observe.metrics import Tallies


def test_every_record_is_accounted_for() -> None:
    """Delivered, set aside, dropped, known already, unknown, or not committed: together they are what was read, of all topics."""
    tallies = Tallies()
    tallies.consumed("one", 20)
    tallies.consumed("two", 1)
    for _ in range(10):
        tallies.delivered(0.1)
    for outcome, reason in (
        ("dead_lettered", "rejected"),
        ("dead_lettered", "too_old"),
        ("dropped", "too_old"),
        ("deduplicated", "read_again"),
        ("unknown", "answer_lost"),
    ):
        tallies.event(outcome, reason)
    assert account(tallies, not_committed=6) == {
        "consumed": 21,
        "extra": 0,
        "delivered": 10,
        "dead_lettered": 2,
        "dropped": 1,
        "deduplicated": 1,
        "unknown": 1,
        "not_committed": 6,
        "unaccounted": 0,
    }


def test_what_is_missing_or_counted_twice_shows() -> None:
    """The difference has a sign."""
    tallies = Tallies()
    tallies.consumed("one", 2)
    assert account(tallies, not_committed=1)["unaccounted"] == 1
    assert account(tallies, not_committed=3)["unaccounted"] == -1

"""Offsets that finish in any order → the offset that is safe to commit."""

import pytest

from relay.core.ledger import Ledger, Taken


def taken(*offsets: int, finished_before: tuple[tuple[int, int], ...] = ()) -> Ledger:
    """A ledger that has taken these."""
    ledger = Ledger(finished_before)
    for offset in offsets:
        ledger.take(offset)
    return ledger


def test_nothing_is_safe_before_the_first_record() -> None:
    """Without a record there is nothing to commit, so an idle partition is never committed anew."""
    ledger = Ledger()
    assert (ledger.safe, ledger.end, ledger.outstanding_count, ledger.oldest_appended_at) == (None, None, 0, None)


@pytest.mark.parametrize(
    ("offsets", "finished", "safe"),
    [
        ((0,), (), 0),
        ((0,), (0,), 1),
        ((0, 1, 2), (0,), 1),
        ((0, 1, 2), (1,), 0),
        ((0, 1, 2), (2, 1), 0),
        ((0, 1, 2), (2, 1, 0), 3),
        ((7,), (), 7),
        ((7, 90, 91), (7,), 90),
        ((7, 90, 91), (7, 90, 91), 92),
        ((7, 90, 91), (90, 91), 7),
        ((2**62,), (2**62,), 2**62 + 1),
    ],
)
def test_the_safe_offset_is_the_lowest_unfinished_one(offsets: tuple[int, ...], finished: tuple[int, ...], safe: int) -> None:
    """In whatever order they finish and whatever lies between them; without any unfinished one, the offset after the last."""
    ledger = taken(*offsets)
    for offset in finished:
        ledger.finish(offset)
    assert ledger.safe == safe
    assert ledger.end == offsets[-1] + 1
    assert list(ledger.outstanding()) == [offset for offset in offsets if offset not in finished]
    assert ledger.outstanding_count == len(offsets) - len(finished)


def test_an_offset_that_was_taken_before_is_a_repeat() -> None:
    """When Kafka reads the log again, what was taken counts once: finished or not, and even if it lay in a gap."""
    ledger = taken(3, 4, 9)
    ledger.finish(3)
    assert [ledger.take(offset) for offset in (3, 4, 5, 9)] == [Taken.REPEATED] * 4
    assert ledger.take(10) is Taken.NEW
    assert ledger.safe == 4


@pytest.mark.parametrize("offset", [3, 4, 99])
def test_to_finish_what_is_not_outstanding_is_a_bug(offset: int) -> None:
    """Finished twice, lain in a gap, or never taken: the relay stops."""
    ledger = taken(3, 5)
    ledger.finish(3)
    with pytest.raises(KeyError):
        ledger.finish(offset)
    assert ledger.safe == 5


def test_receipts_say_what_was_finished_before_a_restart() -> None:
    """What lies in a range is known to be finished; what lies outside is new; the ends of ranges are not in them."""
    ledger = Ledger(((2, 4), (6, 7), (20, 30)))
    found = {offset: ledger.take(offset) for offset in (0, 1, 2, 3, 4, 5, 6, 7, 25, 29, 30)}
    assert [offset for offset, what in found.items() if what is Taken.FINISHED_BEFORE] == [2, 3, 6, 25, 29]
    assert list(ledger.outstanding()) == [0, 1, 4, 5, 7, 30]


def test_finished_before_needs_no_second_finish() -> None:
    """What was finished before a restart counts at once."""
    ledger = taken(2, 3, finished_before=((2, 4),))
    assert (ledger.safe, ledger.end) == (4, 4)


def test_ranges_may_lie_in_gaps() -> None:
    """A range whose records are gone from the log disturbs nobody."""
    ledger = Ledger(((2, 4), (6, 7)))
    assert [ledger.take(offset) for offset in (5, 8, 9)] == [Taken.NEW] * 3


def test_the_oldest_outstanding_record_is_known_by_its_time() -> None:
    """How long the first unfinished record has waited follows from when it was appended."""
    ledger = Ledger()
    for offset, moment in ((5, 10.0), (6, 20.0), (7, 15.0)):
        ledger.take(offset, moment)
    ledger.finish(6)
    assert ledger.oldest_appended_at == 10.0
    ledger.finish(5)
    assert ledger.oldest_appended_at == 15.0
    assert ledger.is_outstanding(7)
    assert not ledger.is_outstanding(6)


def test_one_stuck_offset_costs_no_memory_for_those_that_ran_ahead() -> None:
    """However many finish behind a stuck one, only the stuck one is kept."""
    ledger = Ledger()
    ledger.take(0)
    for offset in range(1, 50_000):
        ledger.take(offset)
        ledger.finish(offset)
    assert (ledger.safe, ledger.outstanding_count) == (0, 1)


def test_what_was_taken_again_is_ahead_no_more() -> None:
    """Of what receipts say is finished, only what has not come again yet is kept for the next receipt."""
    ledger = Ledger(((3, 5), (8, 9)))
    assert list(Ledger(((0, 2),)).finished_ahead()) == [(0, 2)], "nothing was taken yet"
    seen = []
    for offset in (0, 3, 4, 8, 9):
        ledger.take(offset)
        seen.append(list(ledger.finished_ahead()))
    assert seen == [[(3, 5), (8, 9)], [(4, 5), (8, 9)], [(8, 9)], [], []]

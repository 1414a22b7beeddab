"""The ledger against a model so plain that it cannot be wrong: three sets."""

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.ledger import Ledger, Taken
from relay.core.receipts import NoReceipt, read, write

QUICK = settings(max_examples=150, deadline=None, derandomize=True, database=None)

offsets = st.integers(min_value=0, max_value=60)
steps = st.lists(st.tuples(st.sampled_from(["take", "take next", "finish"]), offsets), max_size=80)
ranges = st.sets(offsets, max_size=30)


def as_ranges(finished: set[int]) -> tuple[tuple[int, int], ...]:
    """A set of offsets as [first, end), ascending and apart."""
    found: list[tuple[int, int]] = []
    for offset in sorted(finished):
        if found and found[-1][1] == offset:
            found[-1] = (found[-1][0], offset + 1)
        else:
            found.append((offset, offset + 1))
    return tuple(found)


@QUICK
@given(before=ranges, steps=steps)
def test_the_ledger_agrees_with_three_sets(before: set[int], steps: list[tuple[str, int]]) -> None:
    """What is taken, what is finished and what is safe follow from sets, whatever happens in whatever order."""
    ledger = Ledger(as_ranges(before))
    taken: set[int] = set()
    finished: set[int] = set()
    safe_before = 0
    for step, number in steps:
        end = max(taken, default=-1) + 1
        if step == "finish":
            rest = sorted(taken - finished)
            if rest:
                offset = rest[number % len(rest)]
                ledger.finish(offset)
                finished.add(offset)
        else:
            offset = end + number % 3 if step == "take next" else number
            expected = Taken.REPEATED if offset < end else Taken.FINISHED_BEFORE if offset in before else Taken.NEW
            assert ledger.take(offset, appended_at=offset * 2.0) is expected
            if expected is not Taken.REPEATED:
                taken.add(offset)
            if expected is Taken.FINISHED_BEFORE:
                finished.add(offset)
        outstanding = sorted(taken - finished)
        assert list(ledger.outstanding()) == outstanding
        assert ledger.outstanding_count == len(outstanding)
        assert ledger.oldest_appended_at == (outstanding[0] * 2.0 if outstanding else None)
        if not taken:
            assert ledger.safe is None
            continue
        assert ledger.end == max(taken) + 1
        assert ledger.safe == (outstanding[0] if outstanding else max(taken) + 1)
        assert ledger.safe >= safe_before, "it never goes back"
        assert ledger.finished_below == max(finished, default=-1) + 1
        safe_before = ledger.safe


@QUICK
@given(taken=st.sets(st.integers(0, 400), min_size=1, max_size=200), data=st.data())
def test_a_receipt_brings_back_just_what_was_unfinished(taken: set[int], data: st.DataObject) -> None:
    """After a restart from the safe offset the unfinished ones are new, the finished ones are skipped."""
    unfinished = data.draw(st.sets(st.sampled_from(sorted(taken))))
    ledger = Ledger()
    for offset in sorted(taken):
        ledger.take(offset)
    for offset in taken - unfinished:
        ledger.finish(offset)
    safe = ledger.safe
    assert safe is not None
    again = Ledger(read(write(ledger), safe))
    new = {offset for offset in sorted(taken) if offset >= safe and again.take(offset) is Taken.NEW}
    assert new == unfinished


@QUICK
@given(text=st.one_of(st.text(max_size=80), st.text(alphabet="rzAB+/=09", max_size=80)), offset=st.integers(0, 2**62))
def test_any_text_is_a_receipt_or_none(text: str, offset: int) -> None:
    """Commit metadata of whatever origin is read or refused, and never anything else."""
    try:
        found = read(text, offset)
    except NoReceipt:
        return
    assert all(offset <= first < end for first, end in found)

"""A partition is read up when nothing waits in its log."""

from relay.core.assignment import Assignment
from relay.core.unread import Unread

PLACE = ("events", 0)


def taken(assignment: Assignment, offset: int) -> None:
    """A record has been read."""
    assignment.ledger.take(offset)


def test_what_has_been_read_to_its_end_is_read_up() -> None:
    """Whether a record came in this assignment or not."""
    unread, assignment = Unread(), Assignment("events", 0, starts_at=5)
    unread.look([assignment], {PLACE: 5}, 0.0)
    assert assignment.is_read_up
    unread.look([assignment], {PLACE: 7}, 1.0)
    assert not assignment.is_read_up
    taken(assignment, 6)
    unread.look([assignment], {PLACE: 7}, 2.0)
    assert assignment.is_read_up


def test_what_nobody_knows_the_end_of_is_not_read_up() -> None:
    """So it is while the source is paused, and before the first record of a new group."""
    unread, assignment = Unread(), Assignment("events", 0, starts_at=5)
    unread.look([assignment], {PLACE: 5}, 0.0)
    unread.look([assignment], {}, 1.0)
    assert not assignment.is_read_up
    fresh = Assignment("events", 1)
    for now in (2.0, 20.0):
        unread.look([fresh], {("events", 1): 0}, now)
        assert not fresh.is_read_up, "however long nobody says where reading begins"


def test_an_empty_log_is_read_up() -> None:
    """Nothing waits in it."""
    unread, assignment = Unread(), Assignment("events", 0, starts_at=0)
    unread.look([assignment], {PLACE: 0}, 0.0)
    assert assignment.is_read_up


def test_one_partition_says_nothing_about_another() -> None:
    """Those behind one of which nothing is known are looked at as well."""
    unread, unknown, known = Unread(), Assignment("events", 0), Assignment("events", 1, starts_at=3)
    unread.look([unknown, known], {("events", 1): 9}, 0.0)
    assert (unknown.is_read_up, known.is_read_up) == (False, False)
    unread.look([unknown, known], {("events", 1): 3}, 1.0)
    assert (unknown.is_read_up, known.is_read_up) == (False, True)


def test_what_nobody_is_given_does_not_count() -> None:
    """A log that ends with marks of transactions is read up when nothing has come for some seconds; a pause begins them anew."""
    unread, assignment = Unread(), Assignment("events", 0)
    taken(assignment, 6)
    answers: list[bool] = []
    for now, ends in (
        (0.0, {PLACE: 8}),
        (4.9, {PLACE: 8}),
        (5.0, {PLACE: 8}),
        (6.0, {}),
        (7.0, {PLACE: 8}),
        (11.9, {PLACE: 8}),
        (12.0, {PLACE: 8}),
    ):
        unread.look([assignment], ends, now)
        answers.append(assignment.is_read_up)
    assert answers == [False, False, True, False, False, False, True]
    unread.look([assignment], {PLACE: 9}, 13.0)
    assert not assignment.is_read_up

"""What the outer parts read in commands: words that stay as they are, and nothing that nobody said."""

from relay.core.assignment import Assignment
from relay.core.commands import Announce, Cause, Change, SetAside
from relay.core.events import Record, SessionKey
from relay.core.lane import Lane
from relay.core.reasons import Reason


def test_the_words_for_openings_are_these() -> None:
    """The label of `relay_sessions_opened_total`: dashboards and alerts of operators ask for them."""
    assert set(map(str, Cause)) == {"first", "lost", "rejoined", "resumed", "restarted", "replayed"}


def test_the_words_for_what_becomes_of_a_session_are_these() -> None:
    """The console says them, in its pages and to programs that ask."""
    assert set(map(str, Change)) == {
        "opened",
        "lost",
        "refused",
        "ended",
        "forgotten",
        "told",
        "telling_refused",
        "retried",
        "given_up",
        "parked",
        "repeated_unknown",
        "pinged",
        "suspended",
        "skipped_unknown",
        "came_late",
        "came_twice",
        "scattered",
    }


def test_what_was_never_tried_names_no_attempt() -> None:
    """An unreadable record goes into its letter without attempts, status or moment; and news without an answer has no status."""
    assignment = Assignment("events", 0)
    aside = SetAside(assignment, Record(0), Reason.NOT_JSON)
    assert (aside.attempts, aside.status, aside.first_tried_at) == (0, 0, 0)
    assert Announce(Lane(SessionKey("a"), assignment), Change.FORGOTTEN).status == 0

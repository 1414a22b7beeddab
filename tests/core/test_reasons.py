"""The words by which operators, dashboards and replays know why something was not sent: they stay as they are."""

from relay.core.reasons import Dropped, Reason, Skipped


def test_the_words_in_dead_letters_are_these() -> None:
    """Letters that lie in a topic for months carry them, and a replay selects by them: to rename one would break both."""
    assert set(map(str, Reason)) == {
        "empty_value",
        "record_too_large",
        "invalid_key",
        "not_json",
        "not_decodable",
        "unknown_schema",
        "unusable_schema",
        "invalid_event",
        "unknown_event_type",
        "untranslatable",
        "no_session_start",
        "session_refused",
        "after_end",
        "lost_too_often",
        "parked",
        "rejected",
        "attempts_exhausted",
        "too_old",
    }


def test_the_words_for_what_needs_no_letter_are_these() -> None:
    """Labels of `relay_events_total`: dashboards and alerts of operators ask for them."""
    assert set(map(str, Dropped)) == {"too_old", "unchanged", "shed"}
    assert set(map(str, Skipped)) == {"finished_before", "read_again", "repeated"}

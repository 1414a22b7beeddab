"""Moments as they are written."""

from relay.observe.moments import written


def test_a_moment_is_written_in_utc() -> None:
    """To the millisecond, or to the second that it lies in."""
    assert written(1_706_695_200_999) == "2024-01-31T10:00:00.999Z"
    assert written(1_706_695_200_999, to_the="seconds") == "2024-01-31T10:00:00Z"


def test_what_no_calendar_has_is_shown_as_its_number() -> None:
    """A time in microseconds or nanoseconds that somebody took for milliseconds."""
    assert written(1_706_695_200_999_000) == "1706695200999000 ms"
    assert written(2**63 - 1, to_the="seconds") == f"{2**63 - 1} ms"

"""What findings mean together, and the shape of the report."""

import pytest

from relay.check.findings import Outcome, Report


@pytest.mark.parametrize(
    ("codes", "exit_code"), [([], 0), ([1], 1), ([4, 1], 4), ([4, 3, 1], 3)], ids=["fine", "failed", "unreachable", "settings"]
)
def test_what_can_be_mended_here_goes_first(codes: list[int], exit_code: int) -> None:
    """Settings, topics and rights before what does not answer, and that before the rest; warnings and what was skipped fail nothing."""
    report = Report()
    report.ok("a", "b", "c")
    report.warn("a", "b", "c", "d")
    report.skip("a", "b", "c")
    for code in codes:
        report.fail("a", "b", "c", "d", code)
    assert report.exit_code == exit_code
    assert report.as_json(1.0)["ok"] is (exit_code == 0)


def test_the_shape_of_the_report() -> None:
    """Others read it: names change only with a word in the changelog."""
    report = Report()
    report.warn("kafka.state_settings", "relay.sessions", "cleanup.policy=delete", "alter it")
    assert report.as_json(1.23456) == {
        "ok": True,
        "exit_code": 0,
        "seconds": 1.235,
        "checks": [
            {
                "check": "kafka.state_settings",
                "subject": "relay.sessions",
                "outcome": str(Outcome.WARN),
                "found": "cleanup.policy=delete",
                "advice": "alter it",
            }
        ],
    }

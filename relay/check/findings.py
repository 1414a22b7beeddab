"""What a check found, and what all of them together mean for the exit code.

In: findings, in the order in which they are made. Out: a report, fit for JSON.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

FINE: Final = 0
FAILED: Final = 1
SETTINGS: Final = 3
UNREACHABLE: Final = 4


class Outcome(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"  # the relay would serve, but not as it should
    FAIL = "fail"
    SKIP = "skip"  # nothing to check here, or something else has to be mended first


class Finding(NamedTuple):
    """What one check found."""

    check: str  # a constant name: "kafka.brokers"
    subject: str  # what was looked at: an address, a topic
    outcome: Outcome
    found: str
    advice: str = ""  # what to do, where there is something
    exit_code: int = FINE  # of a failure: 3 for what settings, topics or rights would mend, 4 for what does not answer, else 1


class Report:
    """Gathers findings."""

    def __init__(self) -> None:
        """Begin with none."""
        self.findings: list[Finding] = []

    def ok(self, check: str, subject: str, found: str) -> None:
        """All is well here."""
        self.findings.append(Finding(check, subject, Outcome.OK, found))

    def warn(self, check: str, subject: str, found: str, advice: str) -> None:
        """It would serve, but not as it should."""
        self.findings.append(Finding(check, subject, Outcome.WARN, found, advice))

    def fail(self, check: str, subject: str, found: str, advice: str, exit_code: int = SETTINGS) -> None:
        """It would not serve."""
        self.findings.append(Finding(check, subject, Outcome.FAIL, found, advice, exit_code))

    def skip(self, check: str, subject: str, found: str) -> None:
        """It was not looked at."""
        self.findings.append(Finding(check, subject, Outcome.SKIP, found))

    @property
    def exit_code(self) -> int:
        """0 without a failure; else what can be mended here goes before what does not answer, and that before the rest."""
        codes = {finding.exit_code for finding in self.findings if finding.outcome is Outcome.FAIL}
        return next((code for code in (SETTINGS, UNREACHABLE, FAILED) if code in codes), FINE)

    def as_json(self, seconds: float) -> Mapping[str, object]:
        """The shape of `relay check --json`."""
        return {
            "ok": self.exit_code == FINE,
            "exit_code": self.exit_code,
            "seconds": round(seconds, 3),
            "checks": [{name: str(value) for name, value in finding._asdict().items() if name != "exit_code"} for finding in self.findings],
        }

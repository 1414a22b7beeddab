"""What changes under a relay that runs: rights are withdrawn, topics deleted, writes refused. It says why it stands still, and goes on.

In: a rig with a relay, and a trouble with its begin and its end. Out: figures from the API's own record. What must hold is the caller's to
assert.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from system.processes import RelayProcess
from system.rig import Findings, Rig
from system.stories import SETTLE_SECONDS, Tell
from system.troubles import account_of
from system.waiting import wait_for

NOTICED_SECONDS_MAX: Final = 20.0
LOOK_SECONDS: Final = 0.25


class Trouble(NamedTuple):
    """Something that only operators can mend."""

    name: str
    part: str
    """Of the relay: which of those in `/readyz` complains."""
    words: str
    """What it says."""
    begin: Callable[[], None]
    end: Callable[[], None]


@dataclass
class Changed:
    """What came of it in the end."""

    findings: Findings
    poison: int
    letters: int
    letters_of_poison: int
    account: dict[str, Any]

    def assert_exact(self) -> None:
        """Everything arrived once and in order, each record of poison has one letter, and all of it is committed."""
        self.findings.assert_nothing_lost()
        self.findings.assert_no_repeats()
        self.assert_accounted()

    def assert_accounted(self) -> None:
        """Each record of poison has one letter, nothing else has any, and all of it is committed."""
        assert self.letters == self.letters_of_poison == self.poison
        assert self.account["unaccounted"] == self.account["not_committed"] == 0

    def in_words(self) -> str:
        """One line for people."""
        total = self.findings.total
        return (
            f"{self.findings.events} events: {total['missing']} lost, {total['out_of_order']} out of order, {total['repeats']} repeated,"
            f" {total['openings_resumed'] + total['openings_needless']} opened again; {self.poison} of poison, {self.letters} letters"
        )


def withstand(
    relay: RelayProcess, trouble: Trouble, *, hold_seconds: float, tell: Tell, ready_seconds_max: float = NOTICED_SECONDS_MAX
) -> None:
    """The relay says that it is not ready, and why; it stays alive; and it is ready again when the trouble is over."""
    began = time.monotonic()
    trouble.begin()
    wait_for(lambda: trouble.words in _failing(relay, trouble.part), f"{trouble.name}: /readyz says why", NOTICED_SECONDS_MAX)
    tell(f"{trouble.name}: said after {time.monotonic() - began:.1f} s: {_failing(relay, trouble.part)}")
    until = time.monotonic() + hold_seconds
    while time.monotonic() < until:
        status, words = relay.health("/livez")
        assert status == 200, f"{trouble.name}: to restart the relay would mend nothing: {words}"
        assert relay.health("/readyz")[0] == 503, f"{trouble.name}: it is not over"
        time.sleep(LOOK_SECONDS)
    trouble.end()
    over = time.monotonic()
    relay.wait_until_ready(ready_seconds_max)
    tell(f"{trouble.name}: over, and ready again after {time.monotonic() - over:.1f} s")


def settle(rig: Rig, relay: RelayProcess) -> Changed:
    """Let the players end and everything arrive; then stop the relay, and hold it all against the record."""
    rig.stop_players()
    rig.settle(SETTLE_SECONDS)
    account = account_of(relay)
    poison, letters = rig.poison(), rig.letter_places()
    return Changed(rig.judge(), len(poison), len(letters), len(set(letters) & poison), account)


def _failing(relay: RelayProcess, part: str) -> str:
    assert relay.is_running, f"{relay.name} has ended; it said\n{relay.log_tail()}"
    return str(relay.health("/readyz")[1].get("failing", {}).get(part, ""))

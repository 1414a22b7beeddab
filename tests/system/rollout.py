"""A rolling update: three static members are replaced one by one, as a StatefulSet does it, while players play.

In: a rig and how often. Out: figures; how long each partition had to wait comes from the API's own record. What must hold is the
caller's to assert.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from system.processes import RelayProcess
from system.rig import Findings, Rig
from system.stories import DRAIN_SECONDS_MAX, SETTLE_SECONDS, Crowd
from system.waiting import wait_for

MEMBERS: Final = 3
# As the chart has it: no member is missed before it had time to come back.
PATIENT: Final = json.dumps({"session.timeout.ms": 45_000, "heartbeat.interval.ms": 500})
SETTLED_SECONDS: Final = 3.0  # until the next is replaced; minReadySeconds in the chart
AFTER_SECONDS: Final = 1.0  # what waited is sent within this time after a member is ready

Tell = Callable[[str], None]


@dataclass
class Replacement:
    """One member's end and new beginning."""

    name: str
    stopped_at: float
    ready_at: float
    partitions: set[int]
    partitions_after: set[int]
    pauses: dict[int, float] = field(default_factory=dict[int, float])
    """For each of its partitions the longest time without an event at the API."""
    pause_of_others: float = 0.0
    """The longest of any other partition."""


@dataclass
class RolloutFigures:
    """What a rolling update came to."""

    findings: Findings
    replacements: list[Replacement]
    pause_usual: float
    """The longest pause of any partition while nobody was replaced."""
    partitions_revoked: int
    """How often a partition was taken from a member that ran."""

    def assert_no_harm(self) -> None:
        """Nothing lost, nothing out of order, nothing repeated, no session opened again."""
        self.findings.assert_nothing_lost()
        self.findings.assert_no_repeats()
        assert self.findings.total["openings_resumed"] == 0, "a session was opened again"
        assert self.findings.total["openings_needless"] == 0, "a session was opened twice"

    def assert_nothing_moved(self) -> None:
        """Each member got its own partitions back, and nobody else noticed."""
        assert self.partitions_revoked == 0, "a member that ran had to give something away"
        for one in self.replacements:
            assert one.partitions_after == one.partitions, f"{one.name} had {one.partitions}, and then {one.partitions_after}"

    def in_words(self) -> str:
        """One paragraph for people."""
        own = sorted(pause for one in self.replacements for pause in one.pauses.values())
        away = [one.ready_at - one.stopped_at for one in self.replacements]
        others = max(one.pause_of_others for one in self.replacements)
        total = self.findings.total
        again = total["openings_resumed"] + total["openings_needless"]
        return (
            f"{self.findings.events} events, {len(self.replacements)} replacements: {total['missing']} lost, {total['repeats']} repeated,"
            f" {again} opened again, partitions taken from a member that stayed: {self.partitions_revoked} times; a member was away for"
            f" {min(away):.1f} to {max(away):.1f} s; its partitions paused for {own[0]:.1f} to {own[-1]:.1f} s (median"
            f" {own[len(own) // 2]:.1f} s), those of others for {others:.1f} s at most, and any for {self.pause_usual:.1f} s otherwise"
        )


def roll_out(rig: Rig, crowd: Crowd, *, rounds: int, tell: Tell) -> RolloutFigures:
    """Replace each member so many times, from the last to the first; the next once the former is ready."""
    members = [_start(rig, number) for number in range(MEMBERS)]
    for member in members:
        member.wait_until_ready()
    rig.start_players(sessions=crowd.sessions, rate=crowd.rate)
    for member in members:
        wait_for(lambda member=member: member.scrape().events("delivered") > 0, f"{member.name} delivers", 60)
    began = time.monotonic()
    replacements: list[Replacement] = []
    revoked = -sum(_revoked(member) for member in members)  # what the first joining took
    for _ in range(rounds):
        for number in reversed(range(MEMBERS)):
            time.sleep(SETTLED_SECONDS)
            leaving = members[number]
            partitions = leaving.scrape().partitions()
            stopped_at = time.monotonic()
            revoked += _revoked(leaving)
            leaving.terminate()
            code = leaving.exit_code(DRAIN_SECONDS_MAX)
            assert code == 0, f"exit code {code}; it said\n{leaving.log_tail()}"
            members[number] = _start(rig, number)
            members[number].wait_until_ready()
            ready_at = time.monotonic()
            replacements.append(Replacement(_name(number), stopped_at, ready_at, partitions, members[number].scrape().partitions()))
            tell(f"{_name(number)}: away for {ready_at - stopped_at:.1f} s, {len(partitions)} partitions")
    time.sleep(2 * AFTER_SECONDS)
    ended = time.monotonic()
    revoked += sum(_revoked(member) for member in members)
    rig.stop_players()
    rig.settle(SETTLE_SECONDS)
    usual = _measure(rig, replacements, began, ended)
    return RolloutFigures(rig.judge(), replacements, usual, revoked)


def _name(number: int) -> str:
    return f"relay-{number}"


def _start(rig: Rig, number: int) -> RelayProcess:
    changes = {"RELAY_KAFKA__GROUP_INSTANCE_ID": _name(number)}
    if rig.protocol == "classic":
        changes["RELAY_KAFKA__CLIENT"] = PATIENT
    return rig.start_relay(**changes)


def _revoked(member: RelayProcess) -> int:
    scrape = member.scrape()
    return int(scrape.total("relay_rebalances_total", kind="revoked") + scrape.total("relay_rebalances_total", kind="lost"))


def _measure(rig: Rig, replacements: list[Replacement], began: float, ended: float) -> float:
    """Find the pauses of each partition; those while nobody was replaced are the usual ones."""
    usual = 0.0
    for partition, moments in rig.taken_by_partition().items():
        for before, after in pairwise([one for one in moments if began <= one <= ended]):
            met = [one for one in replacements if before < one.ready_at + AFTER_SECONDS and after > one.stopped_at]
            for one in met:
                if partition in one.partitions:
                    one.pauses[partition] = max(one.pauses.get(partition, 0.0), after - before)
                else:
                    one.pause_of_others = max(one.pause_of_others, after - before)
            if not met:
                usual = max(usual, after - before)
    return usual

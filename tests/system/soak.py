"""A long time at a steady rate under mixed faults: told by `bench/endurance.py`.

In: a rig, a crowd, and how long. Out: figures: the account from the API's record, what the relays hold, and what they said of their health.

Two relays run from begin to end. The API fails all the time a little, and every two minutes it is in worse trouble for some seconds: it is
down, resets connections, asks to wait, is slow, does not answer, has forgotten all sessions; or a third relay joins and leaves.
"""

import time
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple

from system.flatness import Sample, Trend, trend_of_lanes, trends
from system.processes import RelayProcess
from system.rig import Findings, Rig
from system.stories import SETTLE_SECONDS, Crowd, Deck, Tell
from system.troubles import account_of

from relay.sandbox.crowd import crowd as draw_crowd
from relay.sandbox.shapes import Shape

# So rare that hardly ever one event loses three sessions in a row, or meets eight 500s: it would be set aside, as it ought to be.
MIXED: Final = (
    "events:500:0.01",
    "events:404:0.001",
    "events:410:0.001",
    "all:503:0.002",
    "all:429+1:0.0001",
    "all:reset:0.003",
    "all:lost:0.003",
    "all:truncated:0.001",
    "sessions:noid:0.003",
    "all:slow+0.3:0.05",
)
TROUBLES: Final = {
    "down": ("all:503:1",),
    "resets": ("all:reset:1",),
    "asks to wait": ("all:limit+100+1:1",),
    "slow": ("all:slow+0.8:1",),
    "hangs": ("all:hang:0.02", *MIXED),
}
FORGETS: Final = "forgets all sessions"
VISITOR: Final = "a third relay comes and goes"
TROUBLE_SECONDS: Final = 10.0
ROUNDS: Final = 28  # of troubles, in a long run: each of the seven comes four times
ROUND_SECONDS_MIN: Final = 20.0

LOOK_SECONDS: Final = 1.0
LATE_IN_A_ROW_MAX: Final = 3  # no answer within five seconds: so often, and Kubernetes would restart it
SAMPLE_SECONDS: Final = 10.0
SAMPLES_MIN: Final = 40  # in a short run they are taken more often
FLAT_SECONDS_MIN: Final = 1500.0  # a shorter run is over before its crowd is complete: it says nothing about what grows
CONTENT_SECONDS_MAX: Final = 600.0
IDLE_SECONDS_MAX: Final = 300.0
HOSTILE_SHARE: Final = 0.002
OVERSIZE_BYTES: Final = 300_000  # more than the relay reads, less than the topic takes


@dataclass
class SoakFigures:
    """What a long time came to."""

    findings: Findings
    seconds: float
    troubles: int
    poison: int
    letters: int
    letters_of_poison: int
    samples: dict[str, list[Sample]]
    accounts: list[dict[str, int]]
    rebalances: int
    restored: int
    looks: int
    late: int
    unwell: list[str] = field(default_factory=list[str])
    """When `/livez` or `/readyz` of a relay failed, and what it said. Nothing here is anybody's to mend, and there was progress."""
    order_violations: int = 0

    def assert_held(self) -> None:
        """Nothing lost, order kept, each repeat excused by a lost answer, nothing set aside but poison, well all the time, flat."""
        total = self.findings.total
        self.findings.assert_nothing_lost()
        assert self.order_violations == 0
        assert total["repeats"] == total["repeats_excused"], self.findings.unclean
        assert (total["openings_needless"], total["retold_wrong"]) == (0, 0), self.findings.unclean
        assert total["refused_by_fault"] == 0
        assert self.letters == self.letters_of_poison == self.poison, "each record of poison has one letter, and nothing else has any"
        assert all(one["unaccounted"] == 0 for one in self.accounts), self.accounts
        assert not self.unwell, self.unwell[:5]
        if self.seconds < FLAT_SECONDS_MIN:
            return
        grown = [f"{name}: {one.in_words()}" for name, flat in self.trends().items() for one in flat if not one.is_flat]
        assert not grown, grown

    def trends(self) -> dict[str, list[Trend]]:
        """Of each relay, and of both."""
        found = {name: trends(samples) for name, samples in self.samples.items()}
        lanes = [sum(one.lanes for one in together) for together in zip(*self.samples.values(), strict=True)]
        return found | {"all": [trend_of_lanes(lanes)]}

    def in_words(self) -> str:
        """A few lines for people."""
        total, every = self.findings.total, [one for samples in self.samples.values() for one in samples]
        oldest = max(one.oldest_seconds for one in every)
        lines = [
            f"{self.findings.events} events and {self.poison} of poison in {self.seconds:.0f} s",
            f"{self.troubles} troubles, faults {self.findings.faults}; {self.rebalances} assignments, {self.restored} sessions restored",
            f"{total['missing']} lost, {total['out_of_order']} out of order",
            f"{total['repeats']} repeated, {total['repeats_excused']} of them after a lost answer",
            f"openings: {total['openings']}, in place of a lost session {total['openings_resumed']}, needless {total['openings_needless']}",
            f"told again: {total['told_again']}, wrongly {total['retold_wrong']}",
            f"dead letters: {self.letters}, of poison {self.letters_of_poison}",
            f"asked for health: {self.looks}, unwell {len(self.unwell)}, without an answer {self.late}",
            f"at most {max(one.buffered_events for one in every)} events waited, the oldest {oldest:.1f} s",
        ]
        lines += [f"{name}: {'; '.join(one.in_words() for one in flat)}" for name, flat in self.trends().items()]
        return "\n".join(lines)


class _Pace(NamedTuple):
    """How a run of so many seconds is divided."""

    shape: dict[str, float]
    sessions: int
    idle_seconds_max: float
    round_seconds: float
    sample_seconds: float

    @classmethod
    def of(cls, crowd: Crowd, seconds: float) -> "_Pace":
        """Sessions so long that the crowd is complete before the second quarter, and so many that they last to the end."""
        longest = min(CONTENT_SECONDS_MAX, max(30.0, seconds / 4))
        shape: dict[str, float] = {
            "content_seconds_min": longest / 6,
            "content_seconds_max": longest,
            "hostile_share": HOSTILE_SHARE,
            "oversize_bytes": OVERSIZE_BYTES,
        }
        spoken: dict[str, list[int]] = {}
        for said in draw_crowd(200, 0, Shape().having(**shape), began_ms=0):
            spoken.setdefault(said.key, []).append(said.ts)
        events_each = sum(map(len, spoken.values())) / len(spoken)
        seconds_each = sum(moments[-1] - moments[0] for moments in spoken.values()) / len(spoken) / 1000
        sessions = int(1.2 * seconds * crowd.rate / events_each) + crowd.sessions
        return cls(
            shape | {"ramp_up_seconds": min(86_400.0, sessions * seconds_each / crowd.sessions)},
            sessions,
            min(IDLE_SECONDS_MAX, max(10.0, seconds / 6)),
            max(ROUND_SECONDS_MIN, seconds / ROUNDS),
            min(SAMPLE_SECONDS, seconds / SAMPLES_MIN),
        )


class _Watch:
    """Looks at relays while time passes."""

    def __init__(self, relays: list[RelayProcess], pace: _Pace) -> None:
        self.samples: dict[str, list[Sample]] = {relay.name: [] for relay in relays}
        self.unwell: list[str] = []
        self.looks = self.late = 0
        self._late_in_a_row: dict[tuple[str, str], int] = {}
        self._relays = relays
        self._sample_seconds = pace.sample_seconds
        self._began = self._sample_at = time.monotonic()

    def until(self, moment: float) -> None:
        """Ask for health every second, and take a sample now and then."""
        while (now := time.monotonic()) < moment:
            for relay in self._relays:
                assert relay.is_running, f"{relay.name} has ended; it said\n{relay.log_tail()}"
                for path in ("/livez", "/readyz"):
                    self._ask(relay, path)
            if now >= self._sample_at:
                self._sample_at += self._sample_seconds
                for relay in self._relays:
                    self.samples[relay.name].append(Sample.of(relay))
            time.sleep(min(LOOK_SECONDS, max(0.0, moment - time.monotonic())))

    def _ask(self, relay: RelayProcess, path: str) -> None:
        """One answer that is late is the machine's; an answer that says no is the relay's, and so are three in a row that are late."""
        status, words = relay.health(path)
        self.looks += 1
        self.late += status == 0
        late = self._late_in_a_row[relay.name, path] = self._late_in_a_row.get((relay.name, path), 0) + 1 if status == 0 else 0
        if status not in {0, 200} or late >= LATE_IN_A_ROW_MAX:
            self.unwell.append(f"{time.monotonic() - self._began:.0f} s: {relay.name}{path} {status} {words}")


def soak(rig: Rig, crowd: Crowd, *, seconds: float, random: Random, tell: Tell) -> SoakFigures:
    """So many sessions at a time say so many events per second together, for so long."""
    pace = _Pace.of(crowd, seconds)
    idle = {"RELAY_SESSION__IDLE_SECONDS_MAX": f"{pace.idle_seconds_max:.0f}"}
    relays = [rig.start_relay(**idle) for _ in range(2)]
    for relay in relays:
        relay.wait_until_ready()
    rig.api.set_faults(*MIXED)
    rig.start_players(sessions=pace.sessions, rate=crowd.rate, shape=pace.shape)
    for relay in relays:
        relay.wait_until(lambda scrape: scrape.events("delivered") > 0, "the players play", 60)

    watch = _Watch(relays, pace)
    began = time.monotonic()
    end = began + seconds
    cards = Deck((*TROUBLES, FORGETS, VISITOR), random)
    accounts: list[dict[str, int]] = []
    troubles = 0
    while (begins := began + (troubles + 0.5) * pace.round_seconds) + TROUBLE_SECONDS < end:
        watch.until(begins)
        trouble = cards.draw()
        troubles += 1
        tell(f"{trouble}; {_standing(watch)}")
        if trouble == VISITOR:
            accounts.append(_visit(rig, watch, idle))
        elif trouble == FORGETS:
            rig.api.tell("POST", "/_fake/purge")
        else:
            rig.api.set_faults(*TROUBLES[trouble])
            watch.until(begins + TROUBLE_SECONDS)
            rig.api.set_faults(*MIXED)
    watch.until(end)
    tell(f"the time is over; {_standing(watch)}")
    return _judge(rig, watch, accounts, seconds=seconds, troubles=troubles)


def _visit(rig: Rig, watch: _Watch, settings: dict[str, str]) -> dict[str, int]:
    """One more relay for a while: partitions go to it, and come back."""
    visitor = rig.start_relay(**settings)
    visitor.wait_until_ready()
    watch.until(time.monotonic() + TROUBLE_SECONDS)
    return account_of(visitor)


def _standing(watch: _Watch) -> str:
    latest = [samples[-1] for samples in watch.samples.values() if samples]
    return ", ".join(f"{one.rss_bytes / 2**20:.0f} MiB {one.lanes} lanes {one.handles} handles {one.tasks} tasks" for one in latest)


def _judge(rig: Rig, watch: _Watch, accounts: list[dict[str, int]], *, seconds: float, troubles: int) -> SoakFigures:
    rig.stop_players()
    rig.api.set_faults()
    rig.settle(SETTLE_SECONDS)
    running = [relay for relay in rig.relays if relay.is_running]

    def total(name: str, **labels: str) -> int:
        return int(sum(relay.scrape().total(name, **labels) for relay in running))

    rebalances, restored = total("relay_rebalances_total", kind="assigned"), total("relay_sessions_restored_total")
    violations = total("relay_order_violations_total")
    accounts = [*accounts, *(account_of(relay) for relay in running)]
    poison = rig.poison()
    letters = rig.letter_places()
    return SoakFigures(
        findings=rig.judge(),
        seconds=seconds,
        troubles=troubles,
        poison=len(poison),
        letters=len(letters),
        letters_of_poison=len(set(letters) & poison),
        samples=watch.samples,
        accounts=accounts,
        rebalances=rebalances,
        restored=restored,
        looks=watch.looks,
        late=watch.late,
        unwell=watch.unwell,
        order_violations=violations,
    )

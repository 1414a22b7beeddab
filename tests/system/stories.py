"""Restarts, crashes and rebalances under steady input: the stories that a test tells briefly and `bench/endurance.py` at length.

In: a rig and how often. Out: figures, from the API's record and the state topic. What must hold is the caller's to assert.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final, NamedTuple

from system.processes import RelayProcess, Scrape
from system.rig import Findings, Rig
from system.waiting import wait_for

DRAIN_SECONDS_MAX: Final = 20.0
FREEZE_SECONDS: Final = 8.0  # longer than the session timeouts of the rig and of the broker, so that the frozen relay loses its partitions
# What a relay had sent when it died may be taken later, by a busy API. The next owner of its partitions comes after two seconds.
UNDER_WAY_SECONDS: Final = 1.5
SETTLE_SECONDS: Final = 120.0
SERVING_SECONDS_MAX: Final = 60.0  # each farewell writes all open sessions, and the next relay reads them all
EARLY_SHARE: Final = 0.25
RELAYS_MAX: Final = 3
ANSWER_SECONDS_MAX: Final = 0.2
SLOW: Final = (f"all:slow+{ANSWER_SECONDS_MAX}:0.3",)  # applied at once, answered later: so every signal meets calls under way
# About 0.6 s on a machine with nothing else to do: the slow answer, an interval, the commit, and an interval again for a receipt that was
# still under way when the next fell due. The bound leaves room for a busy machine, and none for a relay that only commits every 5 s.
REPEAT_AGE_MAX: Final = 3.0

ZOMBIE_SECONDS: Final = 1.0  # after a thaw, until Kafka has told it that its partitions are somebody else's
# A memoir that left so long before the crash was confirmed by then. One that left later may not have been.
CONFIRMED_SECONDS: Final = 1.0

Tell = Callable[[str], None]


class Crowd(NamedTuple):
    """Who plays: so many player sessions in all, so many events per second together."""

    sessions: int
    rate: float


@dataclass
class Moments:
    """When relays went out of service without a farewell, and when one came back that others had taken for dead."""

    ends: list[float] = field(default_factory=list[float])
    thaws: list[float] = field(default_factory=list[float])

    def last_end_before(self, moment: float) -> float:
        """The latest end before; without any, the moment itself."""
        return max((end for end in self.ends if end < moment), default=moment)

    def next_end_after(self, moment: float) -> float | None:
        """The end that left undone what was begun at this moment."""
        return min((end for end in self.ends if end + UNDER_WAY_SECONDS >= moment), default=None)

    def may_be_by_zombie(self, moment: float) -> bool:
        """Whether a relay has just thawed, and may not know yet that its partitions are somebody else's."""
        return any(thaw <= moment <= thaw + ZOMBIE_SECONDS for thaw in self.thaws)


@dataclass
class Figures:
    """What a story came to."""

    findings: Findings
    restarts: int
    exit_seconds: list[float] = field(default_factory=list[float])
    repeat_ages: list[float] = field(default_factory=list[float])
    """For each repeated event: how long before the crash (the freeze, the loss of its partition) it had been taken for the first time."""
    repeated_per_crash: list[int] = field(default_factory=list[int])
    openings_repeated: int = 0
    openings_repeated_though_durable: list[str] = field(default_factory=list[str])
    openings_by_zombies: int = 0
    openings_resumed_needlessly: list[str] = field(default_factory=list[str])
    """In place of a session that the API had closed, although the state topic knew of its end."""
    order_violations: int = 0
    partitions_lost: int = 0
    """How often a relay learnt that its partitions are somebody else's: it had been frozen, or the group's coordinator had died."""

    def assert_kept_in_order(self) -> None:
        """Whatever happened: nothing lost, nothing overtaken, and no session opened twice whose id was durable."""
        self.findings.assert_nothing_lost()
        assert self.order_violations == 0
        assert not self.openings_repeated_though_durable, self.openings_repeated_though_durable[:3]

    def assert_repeated_nothing(self) -> None:
        """What a SIGTERM promises."""
        self.assert_kept_in_order()
        self.findings.assert_no_repeats()
        assert max(self.exit_seconds) < DRAIN_SECONDS_MAX

    def assert_repeated_little(self) -> None:
        """What a crash promises: only what was delivered since the last receipt comes again."""
        self.assert_kept_in_order()
        assert len(self.repeat_ages) == len(self.findings.repeats), "each repeat belongs to a crash"
        assert max(self.repeat_ages, default=0.0) <= REPEAT_AGE_MAX
        assert not self.openings_resumed_needlessly, self.openings_resumed_needlessly[:3]

    def in_words(self) -> str:
        """One paragraph for people."""
        total = self.findings.total
        words = [
            f"{self.findings.events} events, {self.restarts} times: {total['missing']} lost, {total['out_of_order']} out of order",
            f"{total['repeats']} repeated, {total['openings_needless']} opened without need, {total['openings_resumed']} opened in place",
        ]
        if self.exit_seconds:
            words.append(f"exit after {min(self.exit_seconds):.2f} to {max(self.exit_seconds):.2f} s")
        if self.repeated_per_crash:
            words.append(f"repeated per crash: {self.repeated_per_crash}")
        if self.repeat_ages:
            words.append(f"the oldest of them had been taken {max(self.repeat_ages):.3f} s before the crash")
        if self.openings_repeated:
            durable = len(self.openings_repeated_though_durable)
            words.append(f"openings repeated: {self.openings_repeated}, {durable} of them durable, {self.openings_by_zombies} by zombies")
        if total["openings_resumed"]:
            words.append(f"of those in place, after a durable end: {len(self.openings_resumed_needlessly)}")
        if self.partitions_lost:
            words.append(f"partitions lost: {self.partitions_lost} times")
        return "; ".join(words)


def restart(rig: Rig, crowd: Crowd, *, times: int, random: Random, tell: Tell) -> Figures:
    """SIGTERM at random moments; each time another relay takes over once the former has gone."""
    rig.start_players(sessions=crowd.sessions, rate=crowd.rate)
    exit_seconds: list[float] = []
    violations = 0
    for number in range(times):
        relay = _start_serving(rig, random)
        violations += _order_violations(relay)
        began = time.monotonic()
        relay.terminate()
        code = relay.exit_code(DRAIN_SECONDS_MAX)
        assert code == 0, f"exit code {code}; it said\n{relay.log_tail()}"
        exit_seconds.append(time.monotonic() - began)
        tell(f"{number + 1} of {times}: left after {exit_seconds[-1]:.2f} s")
    figures = settle_and_judge(rig, restarts=times, moments=Moments())
    figures.exit_seconds = exit_seconds
    figures.order_violations += violations
    return figures


def crash(rig: Rig, crowd: Crowd, *, times: int, random: Random, tell: Tell) -> Figures:
    """SIGKILL at random moments; each time another relay takes over when the group has noticed."""
    rig.start_players(sessions=crowd.sessions, rate=crowd.rate)
    moments = Moments()
    for number in range(times):
        relay = _start_serving(rig, random)
        moments.ends.append(relay.kill())
        tell(f"{number + 1} of {times}: killed")
    return settle_and_judge(rig, restarts=times, moments=moments)


def come_and_go(  # noqa: PLR0913  # settings, each by its name
    rig: Rig, crowd: Crowd, *, times: int, random: Random, tell: Tell, trouble: Callable[[], None] | None = None
) -> Figures:
    """Three relays at most that join, leave, die, and freeze for longer than the group's patience; `trouble` is one thing more."""
    rig.start_players(sessions=crowd.sessions, rate=crowd.rate)
    moments = Moments()
    running = [rig.start_relay() for _ in range(RELAYS_MAX - 1)]
    for relay in running:
        relay.wait_until_ready()
    deeds = Deck(("join", "leave", "freeze", "join", "kill", *(("trouble",) if trouble else ("freeze",))), random)
    for number in range(times):
        deed = deeds.draw()
        if deed == "join" and len(running) >= RELAYS_MAX:
            deed = "leave"
        elif deed in {"leave", "kill", "freeze"} and len(running) < 2:
            deed = "join"
        tell(f"{number + 1} of {times}: {deed}, {len(running)} run")
        if deed == "join":
            relay = rig.start_relay()
            running.append(relay)
            relay.wait_until_ready()
        elif deed == "trouble":
            assert trouble is not None
            trouble()
        else:
            relay = random.choice(running)
            if deed == "freeze":
                relay.freeze()
                moments.ends.append(time.monotonic())
                time.sleep(FREEZE_SECONDS)
                moments.thaws.append(time.monotonic())
                relay.thaw()
            elif deed == "kill":
                running.remove(relay)
                moments.ends.append(relay.kill())
            else:
                running.remove(relay)
                relay.terminate()
                code = relay.exit_code(DRAIN_SECONDS_MAX)
                assert code == 0, f"exit code {code}; it said\n{relay.log_tail()}"
        time.sleep(random.uniform(0.5, 3.0))
    return settle_and_judge(rig, restarts=times, moments=moments)


def move_leaders(rig: Rig, crowd: Crowd, *, times: int, move: Callable[[], int], tell: Tell, **settings: str) -> Figures:
    """Leaders of partitions, and coordinators with them, become others while two relays serve; `move` says how many did."""
    rig.start_players(sessions=crowd.sessions, rate=crowd.rate)
    relays = [rig.start_relay(**settings) for _ in range(2)]
    for relay in relays:
        relay.wait_until_ready()
        relay.wait_until(lambda scrape: scrape.events("delivered") > 0, "the players play")
    for number in range(times):
        moved = move()
        assert moved, "nothing has moved"
        tell(f"{number + 1} of {times}: {moved} leaders are others")
        for relay in relays:
            delivered = relay.scrape().events("delivered")
            wait_for(lambda one=relay, before=delivered: one.scrape().events("delivered") > before, f"{relay.name} goes on", 30)
            assert relay.health("/livez")[0] == 200
    return settle_and_judge(rig, restarts=times, moments=Moments())


def rebalance_idle(rig: Rig, sessions: list[str], *, times: int, tell: Tell) -> Findings:
    """Another member joins the group and leaves it, again and again, while nobody says anything: what is committed stays as it is."""
    relay = rig.start_relay()
    relay.wait_until_ready()
    rig.say(sessions, "sessionStart", "play", "ping")
    rig.settle()
    before = rig.committed()
    for number in range(times):
        rig.cluster.join_and_leave(rig.group, rig.topic)
        wait_for(lambda: relay.scrape().partitions() == set(before), "the relay has all partitions again", 30)
        assert rig.committed() == before, f"offsets have moved in rebalance {number + 1}"
    tell(f"{times} rebalances: {int(relay.scrape().total('relay_rebalances_total'))} seen by the relay, offsets are what they were")
    rig.say(sessions, "ping", "sessionComplete", "sessionEnd")
    rig.settle()
    return rig.judge()


@dataclass
class StuckFigures:
    """What one stuck session cost the others."""

    findings: Findings
    finished_meanwhile: int
    committed_meanwhile: int
    repeated_after_restart: int
    repeated_after_crash: int
    rss_bytes: list[int]
    """Of the relay: once a fifth of the others had finished, when all had, and after each of the two starts."""

    def assert_repeated_nothing(self) -> None:
        """Nothing that was finished came again: a receipt covers it, however far it lay beyond the committed offset."""
        assert self.committed_meanwhile < self.finished_meanwhile, "a partition was held back"
        assert (self.repeated_after_restart, self.repeated_after_crash) == (0, 0)
        self.findings.assert_nothing_lost()
        self.findings.assert_no_repeats()

    def in_words(self) -> str:
        """One paragraph for people."""
        megabytes = ", ".join(f"{one / 2**20:.0f}" for one in self.rss_bytes)
        return (
            f"{self.findings.events} events, {self.finished_meanwhile} finished beside the stuck session with {self.committed_meanwhile}"
            f" offsets committed: {self.repeated_after_restart} repeated by a restart, {self.repeated_after_crash} by a crash,"
            f" {self.findings.total['missing']} lost, {self.findings.total['out_of_order']} out of order; MiB: {megabytes}"
        )


def get_stuck(rig: Rig, *, events: int, tell: Tell, rate: float = 2000.0) -> StuckFigures:
    """One session of the first players is answered 503 for each event; the others finish; a restart and a crash follow."""
    events_each = 50
    stuck = "player-0-000000"
    rig.api.tell("PUT", "/_watch/stuck", b'{"session": "%s"}' % stuck.encode())
    relay = rig.start_relay()
    relay.wait_until_ready()
    shape = {"events_exactly": events_each, "ramp_up_seconds": events_each * 10}
    sessions = max(2, events // events_each)
    rig.start_players(sessions=sessions, rate=rate, shape=shape)
    others = (sessions - 1) * events_each
    finished = others + 1  # the stuck session was opened
    relay.wait_until(lambda scrape: scrape.events("delivered") >= finished // 5, "a part of the others is delivered", SETTLE_SECONDS)
    rss = [relay.rss_bytes()]
    relay.wait_until(lambda scrape: scrape.events("delivered") == finished, "all others are delivered", SETTLE_SECONDS + events / rate)
    tell(f"{others} events of others are delivered")
    rss.append(relay.rss_bytes())
    relay.terminate()
    code = relay.exit_code(DRAIN_SECONDS_MAX)
    assert code == 0, f"exit code {code}; it said\n{relay.log_tail()}"
    committed = rig.committed_count()

    relay = _read_again(rig, held_back=events_each - 1)
    rss.append(relay.rss_bytes())
    repeated_after_restart = len(rig.repeats())
    tell(f"{repeated_after_restart} repeated by a restart")
    relay.kill()

    relay = _read_again(rig, held_back=events_each - 1)
    rss.append(relay.rss_bytes())
    repeated_after_crash = len(rig.repeats()) - repeated_after_restart
    tell(f"{repeated_after_crash} repeated by a crash")
    rig.api.tell("PUT", "/_watch/stuck", b'{"session": ""}')
    rig.settle(SETTLE_SECONDS)
    return StuckFigures(rig.judge(), finished, committed, repeated_after_restart, repeated_after_crash, rss)


def _read_again(rig: Rig, *, held_back: int) -> RelayProcess:
    """One more relay, once it has read everything from where the group stands and skipped what is finished."""
    left = rig.cluster.uncommitted(rig.group, rig.topic)
    relay = rig.start_relay()
    relay.wait_until_ready()

    def has_read(scrape: Scrape) -> bool:
        return scrape.total("relay_consumed_records_total") == left and scrape.total("relay_buffered_events") == held_back

    relay.wait_until(has_read, f"{left} records are read again, {held_back} of them wait", SETTLE_SECONDS)
    return relay


class Deck:
    """Draws each card once before any comes again, so that a short story has all of them."""

    def __init__(self, cards: tuple[str, ...], random: Random) -> None:
        """Take the cards."""
        self._cards = cards
        self._random = random
        self._left: list[str] = []

    def draw(self) -> str:
        """The next one."""
        if not self._left:
            self._left = self._random.sample(self._cards, len(self._cards))
        return self._left.pop()


def _start_serving(rig: Rig, random: Random) -> RelayProcess:
    """A relay at a random moment of its life: mostly it serves, sometimes it is only about to."""
    relay = rig.start_relay()
    if random.random() < EARLY_SHARE:
        wait_for(lambda: relay.health("/livez")[0], "it listens to signals", 30)
        time.sleep(random.uniform(0.0, 0.5))
        return relay
    relay.wait_until_ready()
    wait_for(lambda: relay.scrape().events("delivered") > 0, "something is delivered", SERVING_SECONDS_MAX)
    time.sleep(random.uniform(0.0, 2.5))
    return relay


def settle_and_judge(rig: Rig, *, restarts: int, moments: Moments) -> Figures:
    """Let the players end, give the last relay time, and look at the record."""
    rig.stop_players()
    if not any(relay.is_running for relay in rig.relays):
        rig.start_relay()
    rig.settle(SETTLE_SECONDS)
    figures = Figures(rig.judge(), restarts)
    figures.order_violations = sum(_order_violations(relay) for relay in rig.relays if relay.is_running)
    lost = [moment for relay in rig.relays for moment in relay.moments_logged("partitions lost")]
    figures.partitions_lost = len(lost)
    moments.ends = sorted([*moments.ends, *lost])
    _judge_openings(figures, moments, rig)
    per_end = dict.fromkeys(moments.ends, 0)
    for repeat in figures.findings.repeats:
        end = moments.next_end_after(repeat.taken_at[0])
        if end is not None:
            per_end[end] += 1
            figures.repeat_ages.append(max(0.0, end - repeat.taken_at[0]))
    figures.repeated_per_crash = list(per_end.values())
    return figures


def _judge_openings(figures: Figures, moments: Moments, rig: Rig) -> None:
    """Whether the state topic knew, when a session was opened once more, that it was open, or over."""
    durable = rig.durable()
    for repeat in figures.findings.repeated_openings:
        figures.openings_repeated += 1
        for earlier, again_at in zip(repeat.api_sessions, repeat.taken_at[1:], strict=False):
            end = moments.last_end_before(again_at)
            if moments.may_be_by_zombie(again_at):
                figures.openings_by_zombies += 1
            elif durable.opened_at.get(earlier, end) + CONFIRMED_SECONDS < end:
                figures.openings_repeated_though_durable.append(f"{repeat.session}: taken at {repeat.taken_at}, ends at {moments.ends}")
    for session, at in rig.resumed():
        end = moments.last_end_before(at)
        if not moments.may_be_by_zombie(at) and durable.ended_at.get(session, end) + CONFIRMED_SECONDS < end:
            figures.openings_resumed_needlessly.append(f"{session}: opened at {at}, ends at {moments.ends}")


def _order_violations(relay: RelayProcess) -> int:
    return int(relay.scrape().total("relay_order_violations_total"))

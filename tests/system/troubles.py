"""An API that is gone, and one that takes so many requests per second: told briefly by tests, at length by `bench/endurance.py`.

In: a rig, a crowd, and how long. Out: figures, from the relay's metrics and log and from the API's record.
"""

import itertools
import time
from dataclasses import dataclass, field
from typing import Any, Final

from system.processes import RelayProcess, Scrape
from system.rig import Findings, Rig
from system.stories import DRAIN_SECONDS_MAX, SETTLE_SECONDS, Crowd, Tell

REQUESTS_PER_SECOND_MAX: Final = 40.0
NOTICED_SECONDS_MAX: Final = 5.0
RETURN_SECONDS: Final = 2.0
RETURN_TENTHS: Final = 40
SESSION_SECONDS: Final = 590.0  # the API forgets a session that was silent for ten minutes
TENTH: Final = 0.1
CALLS_AT_ONCE_MAX: Final = 800  # in the first tenth of a second, two or four at a time; how gentle it is, the simulation says exactly
RSS_GROWTH_MAX: Final = 16 * 2**20
BUFFER_EVENTS_MAX: Final = 10_000


@dataclass
class OutageFigures:
    """What an outage came to."""

    findings: Findings
    seconds: float
    requests_per_second_max: float
    requests: int
    noticed_after_seconds: float
    returning: list[int]
    """Requests in each tenth of a second after the API was back, by its own clock."""
    rss_bytes: list[int]
    """When the buffer was full, and at the end of the outage."""
    account: dict[str, Any] = field(default_factory=dict[str, Any])
    was_paused: bool = False

    def assert_held(self) -> None:
        """Few requests, memory flat, nothing set aside, a gentle return, an exact account."""
        assert self.requests_per_second_max <= REQUESTS_PER_SECOND_MAX
        assert self.noticed_after_seconds <= NOTICED_SECONDS_MAX
        first = next(index for index, count in enumerate(self.returning) if count > REQUESTS_PER_SECOND_MAX * TENTH)
        assert self.returning[first] <= CALLS_AT_ONCE_MAX, f"a stampede: {self.returning}"
        if self.was_paused:
            assert self.rss_bytes[1] - self.rss_bytes[0] <= RSS_GROWTH_MAX, f"it grew: {self.rss_bytes}"
        assert self.account["dead_lettered"] == self.account["unaccounted"] == self.account["not_committed"] == 0
        assert self.account["consumed"] == self.account["delivered"] == self.findings.events
        self.findings.assert_nothing_lost()
        if self.seconds < SESSION_SECONDS:
            self.findings.assert_no_repeats()
        else:  # the API has forgotten sessions meanwhile: those are opened again, and nothing else is repeated
            total = self.findings.total
            assert (total["repeats"], total["openings_needless"], total["retold_wrong"]) == (0, 0, 0)

    def in_words(self) -> str:
        """One paragraph for people."""
        megabytes = ", ".join(f"{one / 2**20:.0f}" for one in self.rss_bytes)
        return (
            f"{self.findings.events} events, {self.seconds:.0f} s of outage: {self.requests} requests,"
            f" {self.requests_per_second_max:.1f}/s at most, the end noticed after {self.noticed_after_seconds:.2f} s,"
            f" then by tenths of a second {self.returning[:20]}; MiB: {megabytes}; account {self.account}"
        )


def outage(rig: Rig, crowd: Crowd, *, seconds: float, tell: Tell, fault: str = "all:503:1") -> OutageFigures:
    """The fault strikes every request for so long, while the players go on."""
    relay = rig.start_relay(RELAY_LIMITS__BUFFER_EVENTS_MAX=str(BUFFER_EVENTS_MAX))
    relay.wait_until_ready()
    rig.start_players(sessions=crowd.sessions, rate=crowd.rate)
    relay.wait_until(lambda scrape: scrape.events("delivered") > 2 * crowd.rate, "the players play", 60)
    rig.api.set_faults(fault)
    began = time.monotonic()
    relay.wait_until(lambda scrape: _circuits(scrape) == 2, "the outage is noticed", 30)
    tell(f"the outage is noticed after {time.monotonic() - began:.1f} s")
    full_rss, was_paused, most = 0, False, 0.0
    since, first = time.monotonic(), _requests(relay.scrape())
    moment, before = since, first
    while time.monotonic() < began + seconds:
        time.sleep(1.0)
        scrape, now = relay.scrape(), time.monotonic()
        count = _requests(scrape)
        most = max(most, (count - before) / (now - moment))
        moment, before = now, count
        if scrape.total("relay_source_paused") and not was_paused:
            was_paused, full_rss = True, relay.rss_bytes()
            tell("the buffer is full: the source is paused")
    requests = before - first
    rss = [full_rss, relay.rss_bytes()]
    assert relay.scrape().events("dead_lettered") == 0

    delivered = relay.scrape().events("delivered")
    rig.api.set_faults()
    back = time.monotonic()
    relay.wait_until(lambda scrape: scrape.events("delivered") > delivered, "something is delivered again", 30)
    noticed = time.monotonic() - back
    tell(f"its end is noticed after {noticed:.2f} s")
    time.sleep(RETURN_SECONDS)  # the players go on while the crowd comes back
    rig.stop_players()
    rig.settle(SETTLE_SECONDS + seconds)
    account = account_of(relay)
    # Only now, when no more requests come: the API says how many it has answered since a moment.
    answered = [rig.api.tell("POST", "/_watch/after", b'{"moment": %r}' % (back + step * TENTH))["count"] for step in range(RETURN_TENTHS)]
    returning = [earlier - later for earlier, later in itertools.pairwise(answered)]
    return OutageFigures(rig.judge(), seconds, most, requests, noticed, returning, rss, account, was_paused)


@dataclass
class ThrottleFigures:
    """What a hard limit came to."""

    findings: Findings
    per_second: int
    seconds: float
    served: int
    refused: int
    account: dict[str, Any]

    def assert_held(self) -> None:
        """The limit is used, hardly anything is refused, nothing is set aside."""
        assert self.served >= 0.8 * self.per_second * self.seconds
        assert self.refused <= 0.05 * self.served
        assert self.account["dead_lettered"] == self.account["unaccounted"] == self.account["not_committed"] == 0
        self.findings.assert_nothing_lost()
        self.findings.assert_no_repeats()

    def in_words(self) -> str:
        """One paragraph for people."""
        return (
            f"{self.findings.events} events, {self.seconds:.0f} s of a limit of {self.per_second}/s:"
            f" {self.served / self.seconds:.1f}/s served, {self.refused} refused ({self.refused / max(1, self.served):.1%});"
            f" account {self.account}"
        )


def throttle(  # noqa: PLR0913  # settings, each by its name
    rig: Rig, crowd: Crowd, *, seconds: float, per_second: int, asks_seconds: int, tell: Tell
) -> ThrottleFigures:
    """The API takes so many requests per second for a while, fewer than the players say; what is beyond is answered 429."""
    relay = rig.start_relay()
    relay.wait_until_ready()
    rig.start_players(sessions=crowd.sessions, rate=crowd.rate)
    relay.wait_until(lambda scrape: scrape.events("delivered") > 2 * crowd.rate, "the players play", 60)
    rig.api.set_faults(f"all:limit+{per_second}{f'+{asks_seconds}' if asks_seconds else ''}:1")
    relay.wait_until(lambda scrape: scrape.total("relay_pace_requests_per_second") > 0, "the pace is felt for", 30)
    time.sleep(5.0 + asks_seconds)
    since, before = time.monotonic(), relay.scrape()
    time.sleep(seconds)
    after = relay.scrape()
    took = time.monotonic() - since
    refused = int(after.total("relay_throttled_total") - before.total("relay_throttled_total"))
    served = _requests(after) - _requests(before) - refused
    tell(f"{served / took:.1f}/s served, {refused} refused")
    rig.api.set_faults()
    rig.stop_players()
    rig.settle(SETTLE_SECONDS + seconds)
    return ThrottleFigures(rig.judge(), per_second, took, served, refused, account_of(relay))


def _requests(scrape: Scrape) -> int:
    return int(scrape.total("relay_api_requests_total"))


def _circuits(scrape: Scrape) -> float:
    return scrape.total("relay_circuit_state")


def account_of(relay: RelayProcess) -> dict[str, Any]:
    """Stop the relay, and read what it says in the end of all that it has read."""
    relay.terminate()
    code = relay.exit_code(DRAIN_SECONDS_MAX)
    assert code == 0, f"exit code {code}; it said\n{relay.log_tail()}"
    (line,) = relay.log_lines("account")
    return line

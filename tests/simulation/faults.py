"""What goes wrong in a world: drawn from its seed, and some of it absent in each world on purpose.

In: a random number generator. Out: `Faults`, frozen: shares of calls, lengths of outages, and how often processes are troubled.
"""

from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

TROUBLES: Final = ("crash", "terminate", "hurry", "join", "freeze", "cut_off", "shuffle", "give_back", "reread", "fence", "trap", "hang")
# At which a trap may spring.
STEPS: Final = ("assigned", "opened", "telling", "letter", "commit", "revoking", "leaving", "replied", "speaking")


@dataclass(frozen=True)
class Faults:
    """All that may go wrong. A share is per call or per write; a pair of numbers is a range of seconds."""

    # The API.
    latency: tuple[float, float] = (0.005, 0.05)
    slow_share: float = 0.0
    statuses: dict[int, float] = field(default_factory=dict)  # status → share of calls, without any effect at the API
    lost_answers: float = 0.0  # applied, and the answer is lost
    resets: float = 0.0  # the request is lost
    hangs: float = 0.0  # no answer within the time limit, applied or not
    late: float = 0.0  # of those that hang: applied long after the caller has given up
    openings_without_id: float = 0.0
    expiries: float = 0.0  # the session is gone when a call comes
    retry_after: float = 0.0
    hostile_answers: float = 0.0  # such as no API should give
    purges: int = 0
    outages: int = 0
    outage_seconds: tuple[float, float] = (1.0, 60.0)
    refusals_of_us: int = 0  # times during which every call is answered 401
    bad_records: float = 0.0  # events that the API answers 400, always
    cursed_records: float = 0.0  # events that the API answers 500, until the world heals
    stuck_players: float = 0.0  # players to whom the API answers nothing but 503 from some event on, until the world heals

    # Kafka.
    commit_latency: tuple[float, float] = (0.002, 0.02)
    commit_failures: float = 0.0
    commit_unknown: float = 0.0  # stored, and said to have failed
    commit_outages: int = 0
    state_latency: tuple[float, float] = (0.002, 0.02)
    state_outages: int = 0
    letter_latency: tuple[float, float] = (0.002, 0.02)
    letter_outages: int = 0
    compactions: int = 0

    # The schema registry.
    schema_seconds: float = 0.0  # how long it may take to fetch the schema of a record; 0: every schema is known
    registry_outages: int = 0

    # Processes.
    troubles: tuple[str, ...] = ()  # names from TROUBLES, one for each time

    @property
    def is_clean(self) -> bool:
        """Nothing goes wrong but orderly restarts."""
        return self == Faults(troubles=("terminate",) * len(self.troubles), compactions=self.compactions)

    @property
    def has_prompt_receipts(self) -> bool:
        """Commits and memoirs are always confirmed soon."""
        return not (self.commit_failures or self.commit_unknown or self.commit_outages or self.state_outages or "cut_off" in self.troubles)

    @classmethod
    def draw(cls, random: Random) -> "Faults":
        """Draw a world's faults: one world in eight is clean, the others have about half of everything."""
        if random.random() < 0.125:
            return cls(troubles=("terminate",) * random.randrange(1, 6), compactions=random.randrange(3))
        return replace(_draw_api(random, _draw_kafka(random, cls())), troubles=_draw_troubles(random))


def draw_more(random: Random, faults: Faults) -> Faults:
    """What came to the worlds later: hostile answers, slow commits and more traps, in few of them and never in clean ones."""
    if faults.is_clean:
        return faults
    return replace(
        faults,
        hostile_answers=random.random() * 0.2 if random.random() < 0.15 else 0.0,
        commit_latency=(0.002, random.choice((1.0, 3.0))) if random.random() < 0.1 else faults.commit_latency,
        troubles=faults.troubles + ("trap",) * (random.randrange(1, 5) if random.random() < 0.2 else 0),
    )


def _draw_api(random: Random, faults: Faults) -> Faults:
    def some(share_max: float) -> float:
        return random.random() * share_max if random.random() < 0.4 else 0.0

    statuses = {status: some(0.15) for status in (408, 410, 429, 500, 503)} if random.random() < 0.6 else {}
    return replace(
        faults,
        statuses={status: share for status, share in statuses.items() if share},
        slow_share=some(0.2),
        lost_answers=some(0.15),
        resets=some(0.15),
        hangs=some(0.05),
        late=some(1.0),
        openings_without_id=some(0.3),
        expiries=some(0.1),
        retry_after=some(1.0),
        purges=random.choice((0, 0, 0, 1, 2)),
        outages=random.choice((0, 0, 0, 1, 2)),
        outage_seconds=(1.0, random.choice((5.0, 20.0, 120.0))),
        refusals_of_us=random.choice((0, 0, 0, 0, 1)),
        bad_records=some(0.1),
        cursed_records=some(0.05),
        stuck_players=random.choice((0.0, 0.0, 0.3)),
    )


def _draw_kafka(random: Random, faults: Faults) -> Faults:
    def some(share_max: float) -> float:
        return random.random() * share_max if random.random() < 0.3 else 0.0

    def latency() -> tuple[float, float]:
        return (0.002, random.choice((0.02, 0.02, 0.1, 0.5)))

    return replace(
        faults,
        commit_latency=latency(),
        state_latency=latency(),
        letter_latency=latency(),
        commit_failures=some(0.5),
        commit_unknown=some(0.3),
        commit_outages=random.choice((0, 0, 1)),
        state_outages=random.choice((0, 0, 1)),
        letter_outages=random.choice((0, 0, 1)),
        compactions=random.choice((0, 1, 3)),
        schema_seconds=random.choice((0.0, 0.0, 0.1, 5.0)),
        registry_outages=random.choice((0, 0, 1, 3)),
    )


def _draw_troubles(random: Random) -> tuple[str, ...]:
    count = random.choice((0, 1, 2, 4, 8))
    kinds = random.sample(TROUBLES, random.randrange(1, len(TROUBLES)))
    return tuple(random.choice(kinds) for _ in range(count))

"""A world with a steady stream of players, and an API whose mood is told in advance: for what happens when it is slow, angry or gone.

In: how much is said, and a mood: a function from the moment to what the API does with a call. Out: what left when, what became of it, and
how much the relay held meanwhile.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Final

from simulation.api import Api, Flight
from simulation.facts import Terms
from simulation.faults import Faults
from simulation.process import Settings
from simulation.stories import Said, Storyteller
from simulation.world import World

from relay.core.patience import Rules
from relay.core.pressure import Limits
from relay.core.verdict import Answer
from relay.observe.account import account

BEGAN: Final = 1_000.0  # of the virtual clock
PACE_SECONDS: Final = 2.0  # between two events of one player
LIMITS: Final = Limits(is_concurrency_adaptive=True, buffer_events_max=1_000)

Mood = Callable[[float, Flight], int | Answer | None]
"""At this moment: None to serve the call, a status to answer instead, or a whole answer."""


class MoodyApi(Api):
    """An API that does as it is told, and notes when calls arrive and how they end."""

    mood: Mood = staticmethod(lambda _moment, _flight: None)
    latency: Callable[[float, int], tuple[float, float]] | None = None
    hanging: Callable[[float, Flight], float] = staticmethod(lambda _moment, _flight: 0.0)

    def __init__(self, world: "SteadyWorld") -> None:
        """Begin without sessions."""
        super().__init__(world.loop, world.random, world.faults, world.account)
        self.calls: list[tuple[float, str, int]] = []  # when it arrived, what it was, how it was answered
        self.in_flight = 0
        self._world = world

    @property
    def faults(self) -> Faults:
        """How long a call takes may depend on how many there are."""
        if self.latency is None:
            return self._faults
        return replace(self._faults, latency=self.latency(self._world.moment, self._world.in_flight))

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults

    def thinking_seconds(self, flight: Flight) -> float:
        """How long it takes to answer this call, once it is taken."""
        return self.hanging(self._world.moment, flight)

    def take(self, flight: Flight) -> Answer:
        """A call arrives."""
        mood = self.mood(self._world.moment, flight)
        if mood is None:
            answer = super().take(flight)
        else:
            answer = mood if isinstance(mood, Answer) else Answer(mood, body=b'{"message": "simulated"}')
        self.calls.append((self._world.moment, flight.kind, answer.status))
        return answer


@dataclass(frozen=True)
class Look:
    """How it stands at one moment."""

    moment: float
    events: int
    timers: int
    in_flight: int
    limit: int
    is_paused: bool


class SteadyWorld(World):
    """One relay, one API, and players that say so much per second."""

    api: MoodyApi

    def __init__(self, seed: int, *, per_second: float, seconds: float, limits: Limits = LIMITS, rules: Rules | None = None) -> None:
        """Say how much is said, and for how long."""
        self._per_second, self._length, self._limits, self._rules = per_second, seconds, limits, rules or Rules()
        super().__init__(seed)
        self.process_count = 1
        self.api = MoodyApi(self)
        self.looks: list[Look] = []

    # --- the face ---------------------------------------------------------------------------------------------------------------------

    @property
    def moment(self) -> float:
        """Seconds since the world began."""
        return self.loop.now - BEGAN

    @property
    def in_flight(self) -> int:
        """Calls under way."""
        return sum(process.router.in_flight for process in self.processes)

    def at(self, moment: float, act: Callable[[], None]) -> None:
        """Let something happen."""
        self.loop.call_later(moment - self.moment, act)

    def calls_between(self, since: float, until: float) -> list[tuple[float, str, int]]:
        """What arrived at the API meanwhile."""
        calls = self.api.calls
        return calls[bisect_left(calls, (since,)) : bisect_left(calls, (until,))]

    def by_second(self, since: float, until: float) -> list[int]:
        """How many calls arrived in each second."""
        counts = [0] * int(until - since)
        for moment, _, _ in self.calls_between(since, until):
            counts[int(moment - since)] += 1
        return counts

    def outcomes(self) -> dict[str, int]:
        """The relay's own account of what it has read."""
        (process,) = self.processes
        pump, router = process.pump, process.router
        return account(process.tallies, not_committed=pump.unfinished_count + pump.left_count, extra=router.extra_outcomes)

    # --- what is drawn otherwise ------------------------------------------------------------------------------------------------------

    def _draw(self, _random: Random) -> tuple[Faults, Settings, float]:
        settings = replace(Settings.draw(Random(0)), receipt_seconds=1.0, limits=self._limits, rules=self._rules)  # noqa: S311
        return Faults(latency=(0.005, 0.03)), settings, self._length

    def _terms(self) -> Terms:
        return replace(super()._terms(), may_forget=False, may_be_too_old=False)

    def _plan_players(self) -> list[Said]:
        """Sessions that overlap, so that there is always something to open, to send and to end."""
        storyteller = Storyteller(self.random)
        planned: list[tuple[float, int, Said]] = []
        number = 0
        while len(planned) < self._per_second * self._length:
            number += 1
            story = storyteller.story(f"player-{number}")
            begins = self.random.random() * self._length
            partition = self.random.randrange(len(self.topic.ends))
            for place, said in enumerate(story):
                said.partition, said.place = partition, place
                planned.append((min(begins + place * PACE_SECONDS, self._length), len(planned), said))
            self.account.players[story[0].key] = list(story)
        planned.sort(key=lambda one: one[:2])
        self._planned = deque((moment, said) for moment, _, said in planned)
        return [said for _, _, said in planned]

    def _plan_faults(self) -> None:
        self._say_on()
        self._look()

    def _say_on(self) -> None:
        while self._planned and self._planned[0][0] <= self.moment:
            _, said = self._planned.popleft()
            if said is said.parts[0]:
                self._produce(said)
        if self._planned:
            self.at(self._planned[0][0], self._say_on)

    def _look(self) -> None:
        for process in self.processes:
            buffer = process.router.buffer
            timers = len(process.pump._timers)  # what could grow
            limit = process.router.sending.concurrency.limit
            self.looks.append(Look(self.moment, buffer.event_count, timers, process.router.in_flight, limit, process.pump.is_paused))
        self.loop.call_later(1.0, partial(self._look))

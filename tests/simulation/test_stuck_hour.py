"""One session is stuck for an hour of virtual time, while all the others are served.

The same with real processes, for minutes: `python bench/endurance.py stuck`.
"""

import os
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Final

from simulation.faults import Faults
from simulation.process import Settings
from simulation.stories import Said, Storyteller
from simulation.world import World

from relay.core.backoff import Backoff
from relay.core.patience import Rules
from relay.core.pressure import Limits
from relay.core.receipts import TEXT_LENGTH_MAX

HOUR: Final = 3_600.0
EVENTS: Final = int(os.environ.get("TESTS_STUCK_EVENTS", "2000"))
EVENTS_EACH: Final = 20
STUCK: Final = "player-stuck"


class StuckHour(World):
    """A world in which nothing goes wrong but this."""

    def __init__(self, *, then: Callable[["StuckHour"], None]) -> None:
        """Say what happens near the end of the hour."""
        self._then = then
        super().__init__(1)
        self.buffered_max = 0
        self.receipt_characters_max = 0

    def _draw(self, _random: Random) -> tuple[Faults, Settings, float]:
        rules = Rules(backoff=Backoff(0.5, 30.0, 300.0), attempts_max=1_000_000)
        return Faults(), Settings(receipt_seconds=0.2, leaving_seconds_max=10.0, limits=Limits(), rules=rules), HOUR

    def _plan_players(self) -> list[Said]:
        self.process_count = 1
        storyteller = Storyteller(self.random)
        stories = [storyteller.simple(f"player-{number}", EVENTS_EACH) for number in range(EVENTS // EVENTS_EACH)]
        stuck = storyteller.simple(STUCK, EVENTS_EACH)
        stuck[1].is_cursed = True
        mixed = list(stuck)
        for story in (stuck, *stories):
            self.account.players[story[0].key] = list(story)
            for place, said in enumerate(story):
                said.partition, said.place = 0, place
        for first in range(0, len(stories), 10):  # ten of them play at once
            together = stories[first : first + 10]
            mixed += [story[place] for place in range(EVENTS_EACH) for story in together]
        return mixed

    def _plan_faults(self) -> None:
        super()._plan_faults()
        self.loop.call_later(HOUR * 0.98, partial(self._then, self))
        self._look()

    def _look(self) -> None:
        """Once a minute: what is held."""
        self.buffered_max = max(self.buffered_max, *(process.router.buffer.event_count for process in self.processes), 0)
        self.receipt_characters_max = max(self.receipt_characters_max, *(len(text) for _, text in self.group.committed.values()), 0)
        if self.loop.now < 1_000 + HOUR:
            self.loop.call_later(60.0, self._look)


def test_a_restart_after_an_hour_repeats_none_of_the_others() -> None:
    """SIGTERM: nothing is sent again and nothing is opened again, however far the others ran ahead; what is held stays small."""
    _assert_nothing_came_again(StuckHour(then=lambda world: world.processes[0].terminate()))


def test_a_crash_after_an_hour_repeats_none_of_the_others() -> None:
    """SIGKILL at a quiet moment: the last receipt says it all."""
    _assert_nothing_came_again(StuckHour(then=lambda world: world.processes[0].crash()))


def _assert_nothing_came_again(world: StuckHour) -> None:
    figures = world.run()
    assert figures.accepted >= EVENTS
    assert (figures.repeats, figures.openings_again, figures.letters) == (0, 0, 0)
    assert figures.openings == EVENTS // EVENTS_EACH + 1
    assert world.buffered_max <= 2 * EVENTS_EACH
    assert world.receipt_characters_max <= TEXT_LENGTH_MAX

"""An API that is gone, angry or slow, and players that pour: the whole relay in virtual time, each story from a seed.

In each of them everything that the players said is delivered in the end, in order, and what is set aside is what no API would take.
"""

import itertools
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest
from simulation.api import Flight
from simulation.process import Process
from simulation.steady import BEGAN, SteadyWorld

import relay
from relay.core.pressure import CircuitState, Limits
from relay.core.reasons import Reason
from relay.core.verdict import Answer

SEEDS = (1, 2)
NEVER_EVENTS = {Reason.NO_SESSION_START, Reason.AFTER_END}  # what some players say is never taken, however well the API is
CODE = tracemalloc.Filter(inclusive=True, filename_pattern=str(Path(relay.__file__).parent / "*"))
HOUR = 3_600.0


def end(world: SteadyWorld) -> dict[str, int]:
    """The end of each story: exact account, nothing set aside that an API would take."""
    figures = world.outcomes()
    assert figures["unaccounted"] == 0
    assert figures["not_committed"] == 0
    assert figures["consumed"] == len({(said.partition, said.offset) for said in world.saids})
    assert {letter for said in world.saids for letter in said.letters} <= NEVER_EVENTS
    return figures


def the(world: SteadyWorld) -> Process:
    """The only relay."""
    (process,) = world.processes
    return process


@pytest.mark.timeout(300)
def test_an_hour_without_the_api() -> None:
    """The API is gone for an hour, and the players go on: nothing grows, few requests leave, and it comes back without a stampede."""
    per_second = 3.0
    world = SteadyWorld(1, per_second=per_second, seconds=HOUR + 300.0, limits=Limits(is_concurrency_adaptive=True, buffer_events_max=500))
    gone, back = 120.0, 120.0 + HOUR
    world.api.mood = lambda moment, _: 503 if gone <= moment < back else None
    grown: list[int] = []

    def measure() -> None:
        tracemalloc.start()
        world.at(back - 60.0, conclude)

    def conclude() -> None:
        held = tracemalloc.take_snapshot().filter_traces([CODE])
        tracemalloc.stop()
        grown.append(sum(trace.size for trace in held.traces))

    world.at(gone + 900.0, measure)
    world.run()

    assert grown[0] < 64 * 1024, "within 44 minutes nothing accumulates"
    outage = [look for look in world.looks if gone + 300.0 <= look.moment < back]
    assert len(outage) > 3_000
    assert all(look.is_paused for look in outage)
    assert max(look.events for look in outage) <= 500 + 4 * 100, "what was on its way still comes in"
    assert min(look.events for look in outage) >= 0.75 * 500
    assert max(look.timers for look in outage) <= len(list(the(world).router.lanes())) + 100

    by_second = world.by_second(gone + 6.0, back)
    assert max(by_second) <= 40
    assert sum(by_second) <= 1.1 * (back - gone), "two circuits, each of which looks every two seconds"
    assert min(sum(by_second[start : start + 5]) for start in range(0, len(by_second) - 5, 5)) >= 1, "it looks again within five seconds"

    first = min(moment for moment, _, status in world.calls_between(back, back + 10.0) if status < 300)
    assert first < back + 5.0
    tenths = [len(world.calls_between(first + tenth / 10, first + (tenth + 1) / 10)) for tenth in range(20)]
    assert tenths[0] <= 16
    assert all(later <= 4 * earlier + 16 for earlier, later in itertools.pairwise(tenths))
    assert end(world)["delivered"] > 0.8 * per_second * HOUR


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("asks_seconds", [0, 1, 5])
def test_an_api_that_takes_ten_requests_a_second(seed: int, asks_seconds: int) -> None:
    """Three minutes of a hard limit below the input, with `Retry-After` and without: it is met, and nothing swings."""
    world = SteadyWorld(seed, per_second=20.0, seconds=300.0)
    since, until = 60.0, 240.0
    taken: list[float] = []

    def ten(moment: float, _: Flight) -> Answer | None:
        if not since <= moment < until:
            return None
        while taken and taken[0] <= moment - 1.0:
            taken.pop(0)
        if len(taken) >= 10:
            return Answer(429, retry_after_seconds=asks_seconds)
        taken.append(moment)
        return None

    world.api.mood = ten
    world.run()
    settled = world.calls_between(since + 10.0, until)
    refused = sum(status == 429 for *_, status in settled)
    assert len(settled) - refused >= (0.85 if asks_seconds < 5 else 0.75) * 10 * (until - since - 10.0)
    assert refused <= 0.02 * len(settled)
    assert max(world.by_second(since + 10.0, until)) <= 14
    assert end(world)["dead_lettered"] == len({(said.partition, said.offset) for said in world.saids if said.letters})


@pytest.mark.parametrize("seed", SEEDS)
def test_an_api_that_asks_to_wait_is_left_alone(seed: int) -> None:
    """One 503 says `Retry-After: 30`: for thirty seconds no call arrives, whatever waits, and then they come gently."""
    world = SteadyWorld(seed, per_second=20.0, seconds=120.0)
    asked: list[float] = []

    def asks_once(moment: float, _: Flight) -> Answer | None:
        if moment < 40.0 or asked:
            return None
        asked.append(moment)
        return Answer(503, retry_after_seconds=30.0)

    world.api.mood = asks_once
    world.run()
    (moment,) = asked
    assert world.calls_between(moment + 0.1, moment + 30.0) == []
    assert 1 <= len(world.calls_between(moment + 30.0, moment + 30.1)) <= 10
    assert len(world.calls_between(moment + 30.0, moment + 35.0)) > 20
    end(world)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_api_that_slows_down_under_load_is_held_near_its_best(seed: int) -> None:
    """A crowd waits, and each call more makes all slower: the limit stays near the best, and the crowd is served at that rate."""
    world = SteadyWorld(seed, per_second=60.0, seconds=120.0, limits=Limits(is_concurrency_adaptive=True))
    world.api.mood = lambda moment, _: 503 if moment < 60.0 else None  # so that there is a crowd

    def crowded(_moment: float, in_flight: int) -> tuple[float, float]:
        one_way = 0.05 + 0.0001 * in_flight**2  # best at 32, where a call takes 0.3 s with both ways
        return (0.95 * one_way, 1.05 * one_way)

    world.api.latency = crowded
    world.run()
    best = max(limit / (2 * (0.05 + 0.0001 * limit**2)) for limit in range(1, 449))
    assert len(world.calls_between(75.0, 105.0)) >= 0.7 * best * 30.0
    assert all(look.limit <= 64 for look in world.looks if 75.0 <= look.moment < 105.0)
    end(world)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_outage_with_holes_is_an_outage(seed: int) -> None:
    """Nineteen of twenty calls fail with 500 for ten minutes: few leave, nothing is given up, and the end of it is noticed."""
    world = SteadyWorld(seed, per_second=10.0, seconds=700.0)
    since, until = 60.0, 660.0
    states: Counter[CircuitState] = Counter()

    def hardly(moment: float, _: Flight) -> int | None:
        if not since <= moment < until:
            return None
        states[the(world).router.sending.state] += 1
        return None if world.random.random() < 0.05 else 500

    world.api.mood = hardly
    world.run()
    by_second = world.by_second(since + 10.0, until)
    assert max(by_second) <= 40
    assert sum(by_second) <= 20 * len(by_second)
    assert states[CircuitState.PROBING] > 0
    assert min(moment for moment, _, status in world.calls_between(until, until + 10.0) if status < 300) < until + 5.0
    end(world)


@pytest.mark.parametrize("seed", SEEDS)
def test_events_that_hang_hold_up_no_opening(seed: int) -> None:
    """Each event takes nine seconds and holds its place meanwhile: sessions are opened as ever."""
    world = SteadyWorld(seed, per_second=40.0, seconds=180.0, limits=Limits(concurrency_max=32))
    opened: dict[str, float] = {}

    def note(moment: float, flight: Flight) -> None:
        if flight.kind == "open":
            opened.setdefault(flight.key, moment)

    world.api.mood = note
    world.api.hanging = lambda moment, flight: 9.0 if 60.0 <= moment < 120.0 and flight.kind != "open" else 0.0
    world.run()
    firsts = [told[0] for told in world.account.players.values() if told[0].kind == "sessionStart"]
    waits = [opened[said.key] - (said.appended_at - BEGAN) for said in firsts if 70.0 <= said.appended_at - BEGAN < 115.0]
    assert len(waits) > 20
    assert max(waits) < 1.0
    assert max(look.in_flight for look in world.looks if 70.0 <= look.moment < 115.0) >= 28, "events have taken all that they may"
    end(world)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_flood_fills_the_buffer_and_no_more(seed: int) -> None:
    """Players pour more than the API takes: the source pauses at the limit, goes on when a quarter is free, and nothing is lost."""
    limits = Limits(concurrency_max=8, is_concurrency_adaptive=True, buffer_events_max=400)
    world = SteadyWorld(seed, per_second=60.0, seconds=60.0, limits=limits)
    world.api.latency = lambda _moment, _: (0.1, 0.2)
    world.run()
    assert max(look.events for look in world.looks) <= 400 + 4 * 100
    paused = [look.is_paused for look in world.looks]
    changes = sum(before is not after for before, after in itertools.pairwise(paused))
    assert any(paused)
    assert changes <= len(paused) / 5, "it does not flutter"
    end(world)

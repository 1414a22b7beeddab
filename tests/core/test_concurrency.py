"""How many calls may be under way at once, against servers of several kinds, in virtual time.

A server says when a call that begins now will be answered, given how many are under way. Plenty of lanes want to go all the time.
"""

from __future__ import annotations

import heapq
import itertools
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from relay.core.concurrency import BEGIN, Concurrency

if TYPE_CHECKING:
    from collections.abc import Callable


def healthy(seconds: float, *, jitter: float = 0.3) -> Callable[[float, int], float]:
    """It takes what it takes, however many there are."""
    random = Random(1)  # noqa: S311  # latencies, no secrets
    return lambda now, _: now + seconds * (1.0 + jitter * (2 * random.random() - 1.0))


def queueing(workers: int, seconds: float) -> Callable[[float, int], float]:
    """So many are worked on at once, the others stand in a queue: it never serves more than workers / seconds."""
    random, free = Random(2), [0.0] * workers  # noqa: S311

    def answered_at(now: float, _: int) -> float:
        done = max(heapq.heappop(free), now) + seconds * random.uniform(0.7, 1.3)
        heapq.heappush(free, done)
        return done

    return answered_at


def thrashing(seconds: float, extra: float) -> Callable[[float, int], float]:
    """Each that comes on top makes all others slower: beyond some number it serves less and less."""
    return lambda now, in_flight: now + seconds + extra * in_flight**2


def stumbling() -> Callable[[float, int], float]:
    """Mostly quick, sometimes slow, now and then hardly at all: whatever it is, it is not the number of calls."""
    random = Random(3)  # noqa: S311

    def answered_at(now: float, _: int) -> float:
        drawn = random.random()
        return now + (0.005 if drawn < 0.7 else 0.1 if drawn < 0.98 else 3.0)

    return answered_at


class Figures(NamedTuple):
    """What came of it."""

    per_second: float
    mean_seconds: float
    limits: list[int]  # second by second


def drive(  # noqa: PLR0913  # figures, each by its name
    concurrency: Concurrency,
    server: Callable[[float, int], float],
    *,
    seconds: float = 60.0,
    lanes: int = 2_000,
    since: float = 0.0,
    lag: float = 0.0,
) -> Figures:
    """Let go whoever may, for so many seconds; what is under way at the end is left there."""
    now, until, in_flight, count, waited = since, since + seconds, 0, 0, 0.0
    flying: list[tuple[float, int, float]] = []
    limits: list[int] = []
    while True:
        while in_flight < min(lanes, concurrency.limit):
            in_flight += 1
            heapq.heappush(flying, (server(now, in_flight) + lag, len(flying) + count, now))
        concurrency.is_binding = concurrency.is_binding or in_flight < lanes
        now, _, began = heapq.heappop(flying)
        if now > until:
            return Figures(count / seconds, waited / count, limits)
        in_flight -= 1
        count += 1
        waited += now - began
        concurrency.served(now, now - began, lag, in_flight)
        if now - since >= len(limits):
            limits.append(concurrency.limit)


def adaptive(maximum: int = 448, minimum: int = 4) -> Concurrency:
    """What is under test."""
    return Concurrency(maximum=maximum, minimum=minimum, is_adaptive=True)


@pytest.mark.parametrize("seconds", [0.002, 0.05, 0.3, 1.0])
def test_a_healthy_server_is_never_slowed(seconds: float) -> None:
    """However long a call takes: when that does not depend on how many there are, the maximum is reached within a dozen round trips."""
    concurrency = adaptive()
    figures = drive(concurrency, healthy(seconds), seconds=max(2.0, 12 * seconds))
    assert concurrency.limit == 448
    figures = drive(concurrency, healthy(seconds), seconds=max(2.0, 20 * seconds), since=100.0)
    assert set(figures.limits) == {448}


@pytest.mark.parametrize("server", [healthy(0.05, jitter=0.95), stumbling()])
def test_latency_that_varies_is_not_load(server: Callable[[float, int], float]) -> None:
    """Jitter of 95 %, or one call in fifty that takes three seconds: the limit is the maximum all the same."""
    concurrency = adaptive()
    drive(concurrency, server, seconds=5.0)
    assert min(drive(concurrency, server, since=5.0).limits) == 448


@pytest.mark.parametrize(("workers", "seconds"), [(20, 0.05), (5, 0.01), (100, 0.1), (40, 0.5)])
def test_a_server_with_a_queue_is_kept_busy_and_the_queue_short(workers: int, seconds: float) -> None:
    """At least 95 % of what it can serve is served, and calls take three times as long as alone at most."""
    concurrency = adaptive()
    server = queueing(workers, seconds)
    drive(concurrency, server)
    figures = drive(concurrency, server, since=60.0)
    assert figures.per_second >= 0.95 * workers / seconds
    assert figures.mean_seconds <= 3 * seconds + 0.05
    assert max(figures.limits) <= 6 * workers + 8


@pytest.mark.parametrize(("seconds", "extra"), [(0.02, 0.00002), (0.1, 0.00002), (0.2, 0.0001)])
def test_a_server_that_thrashes_is_held_near_its_optimum(seconds: float, extra: float) -> None:
    """At least three quarters of the best throughput that any fixed limit gives; with all 448 it is a tenth to a third."""
    concurrency = adaptive()
    best = max(limit / (seconds + extra * limit**2) for limit in range(1, 449))
    drive(concurrency, thrashing(seconds, extra))
    figures = drive(concurrency, thrashing(seconds, extra), since=60.0)
    assert figures.per_second >= 0.75 * best
    assert 448 / (seconds + extra * 448**2) < 0.4 * best


def test_the_limit_does_not_swing() -> None:
    """Once it is found, the limit stays within a third of its mean, but for one look in fifteen seconds."""
    concurrency = adaptive()
    server = queueing(20, 0.05)
    drive(concurrency, server)
    limits = sorted(drive(concurrency, server, since=60.0).limits)
    mean = sum(limits) / len(limits)
    assert all(0.67 * mean <= limit <= 1.33 * mean for limit in limits[4:])


def test_a_server_that_becomes_slower_by_itself_is_not_throttled_for_long() -> None:
    """From 50 to 250 milliseconds for reasons of its own: within seconds the limit is the maximum again."""
    concurrency = adaptive()
    drive(concurrency, healthy(0.05))
    drive(concurrency, healthy(0.25), since=60.0, seconds=10.0)
    assert min(drive(concurrency, healthy(0.25), since=70.0).limits) == 448


def test_what_a_server_bears_may_change() -> None:
    """One that lost capacity is given less, and when it is well again it gets all."""
    concurrency = adaptive()
    drive(concurrency, healthy(0.25))
    assert drive(concurrency, queueing(20, 0.05), since=60.0).limits[-1] < 250
    drive(concurrency, healthy(0.05), since=120.0, seconds=20.0)
    assert concurrency.limit == 448


def test_a_limit_that_nobody_runs_into_stays() -> None:
    """Five lanes need no more than the limit at the beginning."""
    concurrency = adaptive()
    drive(concurrency, healthy(0.05), lanes=5)
    assert concurrency.limit == BEGIN


def test_our_own_busy_loop_is_not_held_against_the_server() -> None:
    """A loop that is late by 80 ms adds that to each call of 20 ms twice over; the limit stays at its maximum."""
    concurrency = adaptive()
    drive(concurrency, healthy(0.02))
    late = healthy(0.02 + 0.08)
    assert min(drive(concurrency, late, since=60.0, lag=0.08).limits) == 448


@pytest.mark.parametrize(("failed", "shrinks"), [(1, False), (2, False), (6, True), (20, True)])
def test_many_failures_shrink_the_limit(failed: int, *, shrinks: bool) -> None:
    """More than a quarter of failures shrinks the limit by a quarter; fewer are life."""
    concurrency = adaptive()
    drive(concurrency, healthy(0.05))
    for number in range(10 + failed):
        if number < failed:
            concurrency.failed(61.0 + number, 448)
        else:
            concurrency.served(61.0 + number, 0.05, 0.0, 448)
        concurrency.is_binding = False
    assert (concurrency.limit < 448) is shrinks


def test_the_bounds_hold() -> None:
    """Never below the minimum, never above the maximum; a minimum above the maximum is the maximum."""
    concurrency = adaptive(maximum=100, minimum=10)
    for number in range(200):
        concurrency.failed(1.0 + number, 100)
        assert 8 <= concurrency.limit <= 100
    assert concurrency.limit == 10
    assert Concurrency(maximum=3, minimum=10, is_adaptive=True).limit == 3


def test_a_fixed_limit_is_fixed() -> None:
    """Whatever the latency, and whatever fails."""
    concurrency = Concurrency(maximum=100, minimum=4)
    figures = drive(concurrency, thrashing(0.05, 0.001))
    for number in range(50):
        concurrency.failed(70.0 + number, 100)
    assert {*figures.limits, concurrency.limit} == {100}


@pytest.mark.parametrize("is_adaptive", [True, False])
def test_after_an_interruption_the_limit_begins_anew(*, is_adaptive: bool) -> None:
    """One more than what still hangs there, then twofold with each round trip at most, up to the maximum."""
    concurrency = Concurrency(maximum=64, minimum=4, is_adaptive=is_adaptive)
    concurrency.begin_anew(0)
    assert concurrency.limit == 1
    sizes = [1]
    for step in range(10):
        for _ in range(sizes[-1]):
            concurrency.is_binding = True
            concurrency.served(100.0 + step, 0.05, 0.0, concurrency.limit)
        sizes.append(concurrency.limit)
    assert sizes[:5] == [1, 2, 4, 8, 16]
    assert all(later <= 2 * earlier for earlier, later in itertools.pairwise(sizes))
    assert sizes[-1] == 64
    concurrency.begin_anew(50)
    assert concurrency.limit == 51

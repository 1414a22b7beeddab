"""Worlds by the thousand, or one of them told aloud: a script, `./dev simulate`.

    python tests/simulation/explore.py --worlds 1000 --seed 1     worlds 1 to 1000; stops when one of them fails
    python tests/simulation/explore.py --worlds 1 --seed 4711     this world again, exactly, with a trace of what happens

In: how many, the first seed, and how many processes share the work; by default `TESTS_WORLDS`, 1, and as many as there are processors. Out:
figures and how often each situation occurred, or the seeds that failed; exit code 1 then. A million worlds in a night:

    TESTS_WORLDS=1000000 ./dev simulate --go-on
"""

import argparse
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from simulation.situations import Situations  # the folder must be found first
from simulation.world import BEGAN, World

WORLDS: Final = int(os.environ.get("TESTS_WORLDS", "10000"))
BATCH: Final = 100
TELL_SECONDS: Final = 15.0


@dataclass
class Found:
    """What came of some worlds."""

    worlds: int = 0
    failures: dict[int, str] = field(default_factory=dict)
    figures: Counter[str] = field(default_factory=Counter)
    situations: Situations = field(default_factory=Situations)

    def add(self, other: "Found") -> None:
        """Take in what came of others."""
        self.worlds += other.worlds
        self.failures |= other.failures
        self.figures.update(other.figures)
        self.situations.update(other.situations)


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description="simulate worlds")
    parser.add_argument("--worlds", type=int, default=WORLDS, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="the first one's seed; the others follow")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)), help="how many share the work")
    parser.add_argument("--go-on", action="store_true", help="do not stop when one has failed")
    arguments = parser.parse_args()
    if arguments.worlds == 1:
        be_quiet()
        World(arguments.seed, tells=say).run()
        return 0
    return explore(range(arguments.seed, arguments.seed + arguments.worlds), processes=arguments.processes, goes_on=arguments.go_on)


def explore(seeds: range, *, processes: int, goes_on: bool) -> int:
    """Run worlds silently, tell how far it is now and then, and sum up."""
    began = told = time.monotonic()
    found = Found()
    batches = (seeds[first : first + BATCH] for first in range(0, len(seeds), BATCH))
    with ProcessPoolExecutor(processes, initializer=be_quiet) as pool:
        for one in results(pool, batches, ahead=2 * processes):
            found.add(one)
            for seed, what in one.failures.items():
                say(f"seed {seed}: {what}\n  again: python tests/simulation/explore.py --worlds 1 --seed {seed}")
            if found.failures and not goes_on:
                pool.shutdown(wait=True, cancel_futures=True)
                break
            now = time.monotonic()
            if now - told > TELL_SECONDS:
                told, pace = now, found.worlds / (now - began)
                left = (len(seeds) - found.worlds) / pace / 60
                say(f"{found.worlds} of {len(seeds)} worlds, {pace:.0f}/s, {len(found.failures)} failed, {left:.0f} minutes left")
    sum_up(found, time.monotonic() - began)
    return 1 if found.failures else 0


def results(pool: ProcessPoolExecutor, batches: Iterator[range], *, ahead: int) -> Iterator[Found]:
    """What comes of each batch, as it comes; a million of them are not queued at once."""
    under_way: set[Future[Found]] = {pool.submit(run, batch) for batch in islice(batches, ahead)}
    while under_way:
        done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
        under_way |= {pool.submit(run, batch) for batch in islice(batches, len(done))}
        yield from (one.result() for one in done)


def run(seeds: range) -> Found:
    """Some worlds, one after the other."""
    found = Found()
    for seed in seeds:
        world = World(seed)
        found.worlds += 1
        try:
            figures = world.run()
        except Exception as failure:  # noqa: BLE001  # whatever it is, the seed must be told
            found.failures[seed] = f"{type(failure).__name__}: {failure}"
            continue
        found.figures.update({name: value for name, value in vars(figures).items() if isinstance(value, int)})
        found.figures.update(figures.excuses)
        found.figures["virtual seconds"] += int(world.loop.now - BEGAN)
        found.situations.update(world.situations)
    return found


def sum_up(found: Found, seconds: float) -> None:
    """The figures of all, the situations from the rarest on, and what failed."""
    for name, value in sorted(found.figures.items()):
        say(f"  {value:>10}  {name}")
    say("situations, and how often they occurred:")
    for name, count in sorted(found.situations.items(), key=lambda one: one[1]):
        say(f"  {count:>10}  {name}")
    if found.situations.missing:
        say(f"  never: {', '.join(found.situations.missing)}")
    say(f"{found.worlds} worlds in {seconds:.0f} s ({found.worlds / seconds:.1f}/s), {len(found.failures)} failed")
    if found.failures:
        say(f"seeds that failed: {' '.join(map(str, found.failures))}")


def be_quiet() -> None:
    """To format what thousands of worlds log would cost more than to run them."""
    logging.getLogger("relay").setLevel(logging.CRITICAL + 1)


def say(text: str) -> None:
    """Tell at once, even when nobody looks at a terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

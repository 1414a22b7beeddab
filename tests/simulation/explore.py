"""Worlds by the thousand, or one of them told aloud: a script.

    python tests/simulation/explore.py --worlds 1000 --seed 1     worlds 1 to 1000; stops at the first that fails
    python tests/simulation/explore.py --worlds 1 --seed 4711     this world again, exactly, with a trace of what happens

In: how many, and the first seed. Out: figures, or the seed that failed; exit code 1 then.
"""

import argparse
import logging
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from simulation.world import World  # the folder must be found first


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description="simulate worlds")
    parser.add_argument("--worlds", type=int, default=1_000, help="how many")
    parser.add_argument("--seed", type=int, default=1, help="the first one's seed; the others follow")
    parser.add_argument("--go-on", action="store_true", help="do not stop at the first that fails")
    arguments = parser.parse_args()
    logging.getLogger("relay").setLevel(logging.CRITICAL + 1)
    if arguments.worlds == 1:
        World(arguments.seed, tells=print).run()
        return 0
    return explore(range(arguments.seed, arguments.seed + arguments.worlds), goes_on=arguments.go_on)


def explore(seeds: range, *, goes_on: bool) -> int:
    """Run worlds silently, and sum up."""
    began = time.perf_counter()
    totals: Counter[str] = Counter()
    failures = 0
    for number, seed in enumerate(seeds, 1):
        world = World(seed)
        try:
            figures = world.run()
        except Exception as failure:  # noqa: BLE001  # whatever it is, the seed must be told
            failures += 1
            print(f"seed {seed}: {type(failure).__name__}: {failure}\n  again: {Path(sys.argv[0])} --worlds 1 --seed {seed}")
            if not goes_on:
                traceback.print_exc()
                return 1
            continue
        totals.update({name: value for name, value in vars(figures).items() if isinstance(value, int)})
        totals.update(figures.excuses)
        totals["virtual seconds"] += int(world.loop.now - 1_000)
        if number % 1_000 == 0:
            print(f"{number} worlds, {number / (time.perf_counter() - began):.0f}/s", flush=True)
    seconds = time.perf_counter() - began
    print(f"{len(seeds)} worlds in {seconds:.0f} s ({len(seeds) / seconds:.1f}/s), {failures} failed")
    for name, value in sorted(totals.items()):
        print(f"  {value:>10}  {name}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

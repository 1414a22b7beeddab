"""The system suite at length: restarts, crashes and rebalances on a real Kafka, judged by the fake API's own record. A script.

    python bench/endurance.py restart --times 20                 20 x SIGTERM and restart, 2,000 sessions
    python bench/endurance.py crash --times 20 --brokers 3       20 x SIGKILL, on three brokers
    python bench/endurance.py come-and-go --times 30 --protocol consumer --brokers 3
    python bench/endurance.py rollout --times 5 --protocol consumer  each of three static members is replaced five times
    python bench/endurance.py stuck --events 200000              one session gets nowhere while the others finish
    python bench/endurance.py outage --minutes 10 --rate 300     the API answers 503 to everything, and the players go on
    python bench/endurance.py throttle --minutes 3 --rate 150    the API takes 50 requests per second, and asks to wait for the rest
    python bench/endurance.py soak --minutes 60 --rate 300       an hour of mixed faults: what the relays hold, and whether they are well

In: which story, how often. Out: progress, figures, and exit code 1 when something did not hold. Needs Java, and Maven the first time.
"""

import argparse
import os
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from system.brokers import Brokers  # noqa: E402  # the folders must be found first
from system.cluster import Cluster  # noqa: E402
from system.rig import Rig  # noqa: E402
from system.rollout import roll_out  # noqa: E402
from system.soak import soak  # noqa: E402
from system.stories import SLOW, Crowd, come_and_go, crash, get_stuck, restart  # noqa: E402
from system.troubles import outage, throttle  # noqa: E402

BROKER_DOWN_SECONDS = 5.0


class Told(NamedTuple):
    """All that a story is told with."""

    brokers: Brokers
    rig: Rig
    arguments: argparse.Namespace
    dice: random.Random
    say: Callable[[str], None]

    @property
    def crowd(self) -> Crowd:
        """Who plays."""
        return Crowd(self.arguments.sessions, self.arguments.rate)

    @property
    def seconds(self) -> float:
        """How long the trouble lasts."""
        return float(60 * self.arguments.minutes)


def tell_restart(told: Told) -> None:
    """SIGTERM, and another relay."""
    figures = restart(told.rig, told.crowd, times=told.arguments.times, random=told.dice, tell=told.say)
    told.say(figures.in_words())
    figures.assert_repeated_nothing()


def tell_crash(told: Told) -> None:
    """SIGKILL, and another relay."""
    figures = crash(told.rig, told.crowd, times=told.arguments.times, random=told.dice, tell=told.say)
    told.say(figures.in_words())
    figures.assert_repeated_little()


def tell_come_and_go(told: Told) -> None:
    """Relays join, leave, die and freeze; of several brokers one dies now and then."""

    def lose_a_broker() -> None:
        broker = told.dice.randrange(1, told.brokers.count + 1)
        told.brokers.do("kill", str(broker))
        time.sleep(BROKER_DOWN_SECONDS)
        told.brokers.boot(broker)

    trouble = lose_a_broker if told.brokers.count > 1 else None
    figures = come_and_go(told.rig, told.crowd, times=told.arguments.times, random=told.dice, tell=told.say, trouble=trouble)
    told.say(figures.in_words())
    figures.assert_kept_in_order()


def tell_rollout(told: Told) -> None:
    """Static members are replaced one by one."""
    figures = roll_out(told.rig, told.crowd, rounds=told.arguments.times, tell=told.say)
    told.say(figures.in_words())
    figures.assert_no_harm()


def tell_stuck(told: Told) -> None:
    """One session gets nowhere."""
    figures = get_stuck(told.rig, events=told.arguments.events, tell=told.say)
    told.say(figures.in_words())
    figures.assert_repeated_nothing()


def tell_outage(told: Told) -> None:
    """The API is down."""
    figures = outage(told.rig, told.crowd, seconds=told.seconds, tell=told.say)
    told.say(figures.in_words())
    figures.assert_held()


def tell_throttle(told: Told) -> None:
    """The API takes less than the players say."""
    figures = throttle(told.rig, told.crowd, seconds=told.seconds, per_second=50, asks_seconds=1, tell=told.say)
    told.say(figures.in_words())
    figures.assert_held()


def tell_soak(told: Told) -> None:
    """A long time of mixed faults."""
    figures = soak(told.rig, told.crowd, seconds=told.seconds, random=told.dice, tell=told.say)
    told.say(figures.in_words())
    figures.assert_held()


STORIES: dict[str, Callable[[Told], None]] = {
    "restart": tell_restart,
    "crash": tell_crash,
    "come-and-go": tell_come_and_go,
    "rollout": tell_rollout,
    "stuck": tell_stuck,
    "outage": tell_outage,
    "throttle": tell_throttle,
    "soak": tell_soak,
}
ANSWERED_LATE = {"restart", "crash", "come-and-go", "rollout"}


def tell(arguments: argparse.Namespace) -> None:
    """Tell the story on brokers and a rig of its own, and hold it to what must be. They are gone afterwards, the logs stay."""
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {line}", flush=True)

    brokers = Brokers(f"{os.environ.get('KAFKA_INSTANCE', 'endurance')}-{os.getpid()}")
    try:
        cluster = Cluster(brokers.start(arguments.brokers))
        cluster.warm_up(arguments.brokers)
        folder = Path(tempfile.mkdtemp(prefix="endurance-"))
        print(f"logs are in {folder}")
        faults = SLOW if arguments.story in ANSWERED_LATE else ()
        rig = Rig(cluster, folder, partitions=arguments.partitions, protocol=arguments.protocol, faults=faults)
        try:
            dice = random.Random(arguments.seed)  # noqa: S311  # moments, no secrets
            STORIES[arguments.story](Told(brokers, rig, arguments, dice, say))
        finally:
            rig.close()
            cluster.close()
    finally:
        brokers.do("destroy")


def main() -> int:
    """Read the arguments, tell the story, say how it ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("story", choices=tuple(STORIES))
    parser.add_argument("--times", type=int, default=20, help="restarts, crashes, changes or rounds (default: %(default)s)")
    parser.add_argument("--sessions", type=int, default=2000, help="player sessions (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=600.0, help="events per second (default: %(default)g)")
    parser.add_argument("--events", type=int, default=200_000, help="of the others, for `stuck` (default: %(default)s)")
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="of trouble, for `outage`, `throttle` and `soak` (default: %(default)g)"
    )
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1)
    parser.add_argument("--protocol", choices=("classic", "consumer"), default="classic")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    try:
        tell(arguments)
    except AssertionError as failure:
        print(f"FAILED: {failure}")
        traceback.print_tb(failure.__traceback__)
        return 1
    print("held")
    return 0


if __name__ == "__main__":
    sys.exit(main())

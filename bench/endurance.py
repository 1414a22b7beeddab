"""The system suite at length: restarts, crashes and rebalances on a real Kafka, judged by the fake API's own record. A script.

    python bench/endurance.py restart --times 20                 20 x SIGTERM and restart, 2,000 sessions
    python bench/endurance.py crash --times 20 --brokers 3       20 x SIGKILL, on three brokers
    python bench/endurance.py come-and-go --times 30 --protocol consumer --brokers 3
    python bench/endurance.py rollout --times 5 --protocol consumer  each of three static members is replaced five times
    python bench/endurance.py stuck --events 200000              one session gets nowhere while the others finish
    python bench/endurance.py outage --minutes 10 --rate 300     the API answers 503 to everything, and the players go on
    python bench/endurance.py throttle --minutes 3 --rate 150    the API takes 50 requests per second, and asks to wait for the rest

In: which story, how often. Out: progress, figures, and exit code 1 when something did not hold. Needs Java, and Maven the first time.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from system.cluster import Cluster  # noqa: E402  # the folders must be found first
from system.rig import Rig  # noqa: E402
from system.rollout import roll_out  # noqa: E402
from system.stories import SLOW, Crowd, come_and_go, crash, get_stuck, restart  # noqa: E402
from system.troubles import outage, throttle  # noqa: E402

SCRIPT = ROOT / "tests" / "kafka" / "kafka.sh"
PROPERTIES = "auto.create.topics.enable=false;group.consumer.heartbeat.interval.ms=500;group.consumer.session.timeout.ms=6000"
BROKER_DOWN_SECONDS = 5.0


class Brokers:
    """A cluster of its own for one run."""

    def __init__(self, count: int) -> None:
        """Start it."""
        self.count = count
        self._environment = {**os.environ, "KAFKA_INSTANCE": f"endurance-{os.getpid()}", "KAFKA_PROPS": PROPERTIES}
        self.bootstrap = self.do("start", str(count)).split()[-1]
        self._warm_up()

    def _warm_up(self) -> None:
        """A new broker keeps its first idempotent producers waiting for seconds; until then no memoir is durable."""
        cluster = Cluster(self.bootstrap)
        cluster.create("warm-up", 12)
        for _ in range(4 * self.count):  # each asks a broker of its choice
            cluster.produce("warm-up", [{"value": b"", "partition": partition} for partition in range(12)])
        cluster.close()

    def boot(self, broker: str) -> None:
        """Start a broker again. The script may look for it before the system has replaced the shell by Java; then it is asked once more."""
        try:
            self.do("boot", broker)
        except subprocess.CalledProcessError:
            time.sleep(1)
            self.do("boot", broker)

    def do(self, *arguments: str) -> str:
        """Have the script do something."""
        done = subprocess.run([SCRIPT, *arguments], env=self._environment, stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout


@contextmanager
def stage(arguments: argparse.Namespace) -> Iterator[tuple[Brokers, Rig]]:
    """Brokers, and a rig on them; both are gone afterwards, the logs stay."""
    brokers = Brokers(arguments.brokers)
    try:
        cluster = Cluster(brokers.bootstrap)
        folder = Path(tempfile.mkdtemp(prefix="endurance-"))
        print(f"logs are in {folder}")
        faults = () if arguments.story in {"stuck", "outage", "throttle"} else SLOW
        rig = Rig(cluster, folder, partitions=arguments.partitions, protocol=arguments.protocol, faults=faults)
        try:
            yield brokers, rig
        finally:
            rig.close()
            cluster.close()
    finally:
        brokers.do("destroy")


def tell(arguments: argparse.Namespace) -> None:
    """Tell the story, and hold it to what must be."""
    dice = random.Random(arguments.seed)  # noqa: S311  # moments, no secrets
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {line}", flush=True)

    with stage(arguments) as (brokers, rig):
        if arguments.story == "stuck":
            stuck = get_stuck(rig, events=arguments.events, tell=say)
            say(stuck.in_words())
            stuck.assert_repeated_nothing()
            return

        if arguments.story == "rollout":
            rollout = roll_out(rig, Crowd(arguments.sessions, arguments.rate), rounds=arguments.times, tell=say)
            say(rollout.in_words())
            rollout.assert_no_harm()
            return

        if arguments.story in {"outage", "throttle"}:
            crowd, seconds = Crowd(arguments.sessions, arguments.rate), 60.0 * arguments.minutes
            figured = (
                outage(rig, crowd, seconds=seconds, tell=say)
                if arguments.story == "outage"
                else throttle(rig, crowd, seconds=seconds, per_second=50, asks_seconds=1, tell=say)
            )
            say(figured.in_words())
            figured.assert_held()
            return

        def lose_a_broker() -> None:
            broker = str(dice.randrange(1, brokers.count + 1))
            brokers.do("kill", broker)
            time.sleep(BROKER_DOWN_SECONDS)
            brokers.boot(broker)

        crowd, times = Crowd(arguments.sessions, arguments.rate), arguments.times
        if arguments.story == "restart":
            figures = restart(rig, crowd, times=times, random=dice, tell=say)
        elif arguments.story == "crash":
            figures = crash(rig, crowd, times=times, random=dice, tell=say)
        else:
            trouble = lose_a_broker if brokers.count > 1 else None
            figures = come_and_go(rig, crowd, times=times, random=dice, tell=say, trouble=trouble)
        say(figures.in_words())
        if arguments.story == "restart":
            figures.assert_repeated_nothing()
        elif arguments.story == "crash":
            figures.assert_repeated_little()
        else:
            figures.assert_kept_in_order()


def main() -> int:
    """Read the arguments, tell the story, say how it ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("story", choices=("restart", "crash", "come-and-go", "rollout", "stuck", "outage", "throttle"))
    parser.add_argument("--times", type=int, default=20, help="restarts, crashes, changes or rounds (default: %(default)s)")
    parser.add_argument("--sessions", type=int, default=2000, help="player sessions (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=600.0, help="events per second (default: %(default)g)")
    parser.add_argument("--events", type=int, default=200_000, help="of the others, for `stuck` (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=10.0, help="of trouble, for `outage` and `throttle` (default: %(default)g)")
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

"""The system suite at length: restarts, crashes and rebalances on a real Kafka, judged by the fake API's own record. A script.

    python bench/endurance.py restart --times 20                 20 x SIGTERM and restart, 2,000 sessions
    python bench/endurance.py crash --times 20 --brokers 3       20 x SIGKILL, on three brokers
    python bench/endurance.py come-and-go --times 30 --protocol consumer --brokers 3
    python bench/endurance.py rollout --times 5 --protocol consumer  each of three static members is replaced five times
    python bench/endurance.py leaders --times 10 --brokers 3     leaders of all partitions and coordinators are moved ten times
    python bench/endurance.py rebalances --times 50              a member comes and goes while nobody says anything
    python bench/endurance.py full --brokers 3                   the brokers have no room: a quota, then replicas that are missing
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

from system.brokers import NUMBERS_OF_THREE, Brokers  # noqa: E402  # the folders must be found first
from system.changes import Trouble, settle, withstand  # noqa: E402
from system.cluster import Cluster  # noqa: E402
from system.rig import Rig  # noqa: E402
from system.rollout import roll_out  # noqa: E402
from system.soak import soak  # noqa: E402
from system.stories import SLOW, Crowd, come_and_go, crash, get_stuck, move_leaders, rebalance_idle, restart  # noqa: E402
from system.troubles import outage, throttle  # noqa: E402

BROKER_DOWN_SECONDS = 5.0
PATIENT = "{}"  # the client's own 45 s until a member counts as dead: a broker that dies keeps the group waiting for some of them
READY_AFTER_QUOTA_SECONDS_MAX = 120.0  # a broker keeps silent for as long as it once meant to; the client gives it up after a minute


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


def tell_leaders(told: Told) -> None:
    """Leaders move from broker to broker."""
    rig, cluster = told.rig, told.rig.cluster
    assert told.brokers.count > 1, "with one broker nothing can move: --brokers 3"
    topics = {rig.topic: told.arguments.partitions, f"{rig.group}.sessions": told.arguments.partitions, "__consumer_offsets": 8}

    def move() -> int:
        before = {(topic, one): leader for topic in topics for one, leader in cluster.leaders(topic).items()}
        others = {place: told.dice.choice([one for one in NUMBERS_OF_THREE if one != leader]) for place, leader in before.items()}
        told.brokers.move_leaders(topics, others)
        return sum(cluster.leaders(topic)[one] != leader for (topic, one), leader in before.items())

    figures = move_leaders(rig, told.crowd, times=told.arguments.times, move=move, tell=told.say, RELAY_KAFKA__CLIENT=PATIENT)
    told.say(figures.in_words())
    figures.assert_kept_in_order()
    figures.findings.assert_no_repeats()


def tell_rebalances(told: Told) -> None:
    """Nothing moves an offset but what was delivered."""
    findings = rebalance_idle(told.rig, [f"player-{number}" for number in range(50)], times=told.arguments.times, tell=told.say)
    findings.assert_nothing_lost()
    findings.assert_no_repeats()
    told.say(f"{findings.events} events: 0 lost, 0 out of order, 0 repeated")


def tell_full(told: Told) -> None:
    """Brokers take nothing for a while: first for a quota, then for want of replicas."""
    rig, brokers = told.rig, told.brokers
    relay = rig.start_relay(RELAY_KAFKA__CLIENT=PATIENT)
    relay.wait_until_ready()
    rig.start_players(sessions=told.arguments.sessions, rate=told.arguments.rate)
    relay.wait_until(lambda scrape: scrape.events("delivered") > told.arguments.rate, "the players play", 60)
    unconfirmed = "Kafka has not confirmed a memoir"
    troubles = [Trouble("quota", "state", unconfirmed, lambda: brokers.limit_writes(1), lambda: brokers.limit_writes(None))]
    if brokers.count > 1:

        def lose_a_replica() -> None:
            rig.cluster.alter(f"{rig.group}.sessions", min_insync_replicas=str(brokers.count))
            brokers.do("kill", "3")

        troubles.append(Trouble("replicas", "state", unconfirmed, lose_a_replica, lambda: brokers.boot(3)))
    for trouble in troubles:
        withstand(relay, trouble, hold_seconds=20.0, tell=told.say, ready_seconds_max=READY_AFTER_QUOTA_SECONDS_MAX)
        delivered = relay.scrape().events("delivered")
        relay.wait_until(lambda scrape, before=delivered: scrape.events("delivered") > before, "it goes on")
    changed = settle(rig, relay)
    told.say(changed.in_words())
    changed.assert_exact()


STORIES: dict[str, Callable[[Told], None]] = {
    "restart": tell_restart,
    "crash": tell_crash,
    "come-and-go": tell_come_and_go,
    "rollout": tell_rollout,
    "leaders": tell_leaders,
    "rebalances": tell_rebalances,
    "full": tell_full,
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

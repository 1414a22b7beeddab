"""Real brokers, by the name of their cluster: started, killed, limited, and the leaders of their partitions moved.

In: a name for `tests/kafka/kafka.sh`. Out: `Brokers`.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

SCRIPT: Final = Path(__file__).parents[1] / "kafka" / "kafka.sh"
PROPERTIES: Final = (
    "auto.create.topics.enable=false",
    "group.consumer.heartbeat.interval.ms=500",
    "group.consumer.session.timeout.ms=6000",
)
# Whoever is denied nothing may do everything; nobody stands above that.
GUARDED: Final = (
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found=true",
)
CLIENT: Final = "relay"  # the client id of a relay's clients, unless an operator gives another
NUMBERS_OF_THREE: Final = (1, 2, 3)


class Brokers:
    """A cluster of one broker or three."""

    def __init__(self, instance: str) -> None:
        """Name it; it may run already."""
        self.count = 1
        self._environment = {**os.environ, "KAFKA_INSTANCE": instance}

    def start(self, count: int = 1, properties: Sequence[str] = ()) -> str:
        """Start so many. Returns their address."""
        self.count = count
        self._environment["KAFKA_PROPS"] = ";".join((*PROPERTIES, *properties))
        return self.do("start", str(count)).split()[-1]

    def boot(self, broker: int) -> None:
        """Start a broker again. The script may look for it before the system has replaced the shell by Java; then it is asked once more."""
        try:
            self.do("boot", str(broker))
        except subprocess.CalledProcessError:
            time.sleep(1)
            self.do("boot", str(broker))

    def limit_writes(self, bytes_per_second: int | None) -> None:
        """Let relays write no more than this, as a broker does that has no room; None lifts the limit."""
        change = ["--delete-config", "producer_byte_rate"]
        if bytes_per_second is not None:
            change = ["--add-config", f"producer_byte_rate={bytes_per_second}"]
        self.do("tool", "kafka.admin.ConfigCommand", "--alter", "--entity-type", "clients", "--entity-name", CLIENT, *change)

    def move_leaders(self, partitions: Mapping[str, int], leader_of: Mapping[tuple[str, int], int]) -> None:
        """Give each partition of these topics another leader, on three brokers that all have it."""
        plan = [
            {"topic": topic, "partition": one, "replicas": _led_by(leader_of[topic, one])}
            for topic, count in partitions.items()
            for one in range(count)
        ]
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"version": 1, "partitions": plan}, file)
            file.flush()
            self.do("tool", "reassign.ReassignPartitionsCommand", "--execute", "--reassignment-json-file", file.name)
        self.do("tool", "LeaderElectionCommand", "--election-type", "PREFERRED", "--all-topic-partitions")

    def do(self, *arguments: str) -> str:
        """Have the script do something."""
        done = subprocess.run([SCRIPT, *arguments], env=self._environment, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603  # ours
        return done.stdout


def _led_by(leader: int) -> list[int]:
    return [leader, *(one for one in NUMBERS_OF_THREE if one != leader)]

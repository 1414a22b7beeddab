"""Everything that a story needs: one topic, one group, one API, players, and any number of relays. The account comes from the API's record.

In: a cluster, a folder for logs, settings. Out: `Rig`, and what it found: `Findings`.
"""

import itertools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from system.cluster import Cluster
from system.processes import ApiProcess, PlayersProcess, RelayProcess
from system.waiting import wait_for

from relay.kafka.state_topic_check import CONFIG as STATE_CONFIG

SETTLE_SECONDS: Final = 60.0
STEADY: Final = {"content_seconds_min": 300, "content_seconds_max": 1800, "ramp_up_seconds": 1200}
"""Players that come and go all the time, so that every moment meets sessions that open, play and end."""

START: Final = {
    "analytics.trackingServer": "example.sc.omtrdc.net",
    "analytics.reportSuite": "suite",
    "visitor.marketingCloudOrgId": "0123456789ABCDEF01234567@AdobeOrg",
    "media.id": "film",
    "media.length": 3600,
    "media.contentType": "vod",
    "media.playerName": "a player",
    "media.channel": "a channel",
}

# A member that died is noticed within two seconds, and nobody waits long: else most of a test would be waiting.
QUICK: Final = {
    "RELAY_KAFKA__CLIENT": json.dumps({"session.timeout.ms": 2000, "heartbeat.interval.ms": 300}),
    "RELAY_RETRY__BACKOFF_SECONDS_INITIAL": "0.1",
    "RELAY_RETRY__BACKOFF_SECONDS_MAX": "2",
}


@dataclass
class Repeat:
    """An event that the API took more than once."""

    session: str
    ts: int
    event_type: str
    taken_at: list[float]
    api_sessions: list[str]


@dataclass
class Durable:
    """What memoirs in the state topic have said."""

    opened_at: dict[str, float] = field(default_factory=dict[str, float])
    """For each API session when its id first stood in the topic, on the monotonic clock. A zombie may do so late."""
    ended_at: dict[str, float] = field(default_factory=dict[str, float])
    """For each player session when it was first said to be over, likewise."""


@dataclass
class Findings:
    """What the API's record says, held against what Kafka confirmed to the players."""

    events: int
    total: dict[str, Any]
    faults: dict[str, int]
    requests: dict[str, int]
    unclean: dict[str, list[str]]
    repeats: list[Repeat] = field(default_factory=list[Repeat])

    @property
    def repeated_openings(self) -> list[Repeat]:
        """Sessions that were opened once more for the same sessionStart."""
        return [one for one in self.repeats if one.event_type == "sessionStart"]

    def assert_nothing_lost(self) -> None:
        """Everything arrived, and in order."""
        figures = {name: self.total[name] for name in ("missing", "extra", "out_of_order")}
        assert not any(figures.values()), f"{figures}\n{json.dumps(self.unclean, indent=1)[:4000]}"

    def assert_no_repeats(self) -> None:
        """Nothing came twice, and no session was opened twice."""
        total = self.total
        figures = {name: total[name] for name in ("repeats", "openings_needless", "openings_resumed", "retold_wrong")}
        assert not any(figures.values()), f"{figures}\n{json.dumps(self.unclean, indent=1)[:4000]}"
        assert not self.repeats


class Rig:
    """One story's stage."""

    def __init__(  # noqa: PLR0913  # settings, each by its name
        self,
        cluster: Cluster,
        folder: Path,
        *,
        partitions: int = 12,
        faults: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
        topic_config: Mapping[str, str] | None = None,
        protocol: str = "classic",
        is_watched: bool = True,
    ) -> None:
        """Set it up; nobody plays yet, and no relay runs."""
        self.cluster = cluster
        self.folder = folder
        self.protocol = protocol
        self.topic = cluster.new_name()
        self.group = f"{self.topic}.relay"
        self.relays: list[RelayProcess] = []
        self._players: list[PlayersProcess] = []
        self._said: list[dict[str, Any]] = []
        self._said_ts = 1_700_000_000_000
        self._is_watched = is_watched
        self._settings = {"RELAY_KAFKA__GROUP_PROTOCOL": protocol, **(settings or {})}
        if protocol == "consumer":
            self._settings["RELAY_KAFKA__CLIENT"] = "{}"  # the broker decides on time-outs
        cluster.create(self.topic, partitions, topic_config)
        self._partitions = partitions
        self.create_state_topic()
        self.api = ApiProcess("api", folder=folder, faults=faults, is_watched=is_watched)

    def settings(self, **changes: str) -> dict[str, str]:
        """The environment of a relay."""
        return {
            "RELAY_KAFKA__BOOTSTRAP_SERVERS": self.cluster.bootstrap,
            "RELAY_KAFKA__TOPICS": self.topic,
            "RELAY_KAFKA__GROUP_ID": self.group,
            "RELAY_API__URL": self.api.url,
            **QUICK,
            **self._settings,
            **changes,
        }

    def start_relay(self, **changes: str) -> RelayProcess:
        """Start one more relay."""
        relay = RelayProcess(f"relay-{len(self.relays)}", folder=self.folder, settings=self.settings(**changes))
        self.relays.append(relay)
        return relay

    def start_players(self, *, sessions: int, rate: float, shape: Mapping[str, float] = STEADY) -> PlayersProcess:
        """Let more players play."""
        number = len(self._players)
        players = PlayersProcess(
            f"players-{number}",
            folder=self.folder,
            bootstrap=self.cluster.bootstrap,
            topic=self.topic,
            sessions=sessions,
            rate=rate,
            seed=number,
            shape=shape,
        )
        self._players.append(players)
        return players

    def create_state_topic(self) -> None:
        """Create it. Its clock is the broker's: it tells when a memoir was there, and not when it was written."""
        config = {**STATE_CONFIG, "message.timestamp.type": "LogAppendTime"}  # while a broker is away the two are seconds apart
        self.cluster.create(f"{self.group}.sessions", self._partitions, config)

    def delete_state_topic(self) -> None:
        """Delete it."""
        self.cluster.delete(f"{self.group}.sessions")

    def say(self, sessions: Sequence[str], *event_types: str) -> None:
        """Let players of our own say these, one after the other, and wait until Kafka has them."""
        records: list[dict[str, Any]] = []
        for event_type, session in itertools.product(event_types, sessions):
            self._said_ts += 1000
            event: dict[str, Any] = {"eventType": event_type, "playerTime": {"playhead": 1.5, "ts": self._said_ts}}
            if event_type == "sessionStart":
                event |= {"params": START, "customMetadata": {"playerSession": session}}
            self._said.append({"session": session, "ts": self._said_ts, "eventType": event_type})
            records.append({"key": session, "value": json.dumps(event)})
        self.cluster.produce(self.topic, records)

    def stop_players(self) -> None:
        """Let all players end where they are."""
        for players in self._players:
            players.stop()

    def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Wait until the players have ended and everything is committed, up to the end of the log."""
        deadline = time.monotonic() + seconds
        for players in self._players:
            players.exit_code(max(1.0, deadline - time.monotonic()))
        running = [relay for relay in self.relays if relay.is_running]

        def is_settled() -> bool:
            for relay in running:
                assert relay.is_running, f"{relay.name} has ended with {relay.exit_code(1)}; it said\n{relay.log_tail()}"
            return self.cluster.uncommitted(self.group, self.topic) == 0

        try:
            wait_for(is_settled, "everything is committed", max(1.0, deadline - time.monotonic()), pause=0.2)
        except AssertionError as failure:
            tails = "\n".join(f"--- {relay.name}\n{relay.log_tail()}" for relay in running)
            left = self.cluster.uncommitted(self.group, self.topic)
            raise AssertionError(f"{failure}: {left} offsets are left\n{tails}") from None

    def judge(self) -> Findings:
        """Hold the API's record against what Kafka confirmed."""
        events = [one for players in self._players for one in players.finish(SETTLE_SECONDS) if not one.get("isPoison")] + self._said
        lines = b"\n".join(json.dumps({name: one[name] for name in ("session", "ts", "eventType")}).encode() for one in events)
        account = self.api.compare(lines)
        findings = Findings(
            events=len(events),
            total=account["total"],
            faults=account["faults"],
            requests=account["requests"],
            unclean={key: tally["findings"] for key, tally in account["sessions"].items()},
        )
        if self._is_watched:
            findings.repeats = self.repeats()
        return findings

    def poison(self) -> set[tuple[int, int]]:
        """Where records stand that are no events: partition and offset."""
        said = (one for players in self._players for one in players.finish(SETTLE_SECONDS))
        return {(one["partition"], one["offset"]) for one in said if one.get("isPoison")}

    def repeats(self) -> list[Repeat]:
        """What the API took more than once."""
        return [
            Repeat(session, ts, event_type, [at for at, _ in takings], [api_session for _, api_session in takings])
            for session, ts, event_type, takings in self.api.tell("GET", "/_watch/repeated")
        ]

    def committed(self) -> dict[int, int]:
        """The offset that the group has committed for each partition."""
        return self.cluster.committed(self.group, self.topic, list(self.cluster.ends(self.topic)))

    def committed_count(self) -> int:
        """The offsets that the group has committed, over all partitions."""
        return sum(self.committed().values())

    def resumed(self) -> list[tuple[str, float]]:
        """Openings in place of a lost session: the player session, and when."""
        return [(session, at) for session, at in self.api.tell("GET", "/_watch/resumed")]

    def taken_by_partition(self) -> dict[int, list[float]]:
        """For each partition of the source topic when the API took its events, in order."""
        partition_of = {message.key(): message.partition() for message in self.cluster.read(self.topic)}
        taken: dict[int, list[float]] = {}
        for player, at in self.api.tell("GET", "/_watch/taken"):
            taken.setdefault(partition_of[player.encode()], []).append(at)
        return {partition: sorted(moments) for partition, moments in taken.items()}

    def durable(self) -> Durable:
        """What the state topic has been told, from first to last: to be asked before it is compacted."""
        durable = Durable()
        offset = time.time() - time.monotonic()
        for message in self.cluster.read(f"{self.group}.sessions"):
            memoir = json.loads(message.value()) if message.value() else {}
            at = message.timestamp()[1] / 1000 - offset
            durable.opened_at.setdefault(memoir.get("id", ""), at)
            if memoir.get("standing") == "ended":
                durable.ended_at.setdefault(message.key().decode(), at)
        return durable

    def dead_letters(self) -> list[Any]:
        """Every dead letter."""
        return list(self.cluster.read(f"{self.group}.dead-letters"))

    def letter_places(self) -> list[tuple[int, int]]:
        """Where the records of the dead letters stand in the source topic: partition and offset."""
        headers = [dict(message.headers()) for message in self.dead_letters()]
        return [(int(one["relay.partition"]), int(one["relay.offset"])) for one in headers]

    def close(self) -> None:
        """End every process of the stage."""
        for process in (*self._players, *self.relays, self.api):
            process.close()

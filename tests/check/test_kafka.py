"""What `relay check` says of Kafka, and that it leaves nothing there."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from relay.check import kafka
from relay.check.brokers import Cluster, NotAnswered
from relay.check.findings import Report
from relay.check.kafka import KafkaChecks, Wanted
from relay.kafka.state_topic_check import CONFIG

ALL = frozenset({"READ", "WRITE", "CREATE", "DESCRIBE"})
SIZE = {"max.message.bytes": str(12 * 2**20)}


class Asked:
    """Brokers that answer what a test says."""

    def __init__(self, **answers: Any) -> None:
        """All is well but what is said otherwise."""
        self.topics: Mapping[str, int] = {"events": 4, "relay.dead-letters": 4, "relay.sessions": 4}
        self.leaderless: dict[str, int] = {}
        self.rights: dict[str, frozenset[str]] = {}
        self.configs: dict[str, dict[str, str]] = {"relay.dead-letters": SIZE, "relay.sessions": dict(CONFIG)}
        self.are_silent = False
        self.is_down = False
        self.__dict__.update(answers)

    async def cluster(self) -> Cluster:
        """What there is."""
        if self.is_down:
            raise NotAnswered(KafkaError(KafkaError._TRANSPORT))
        return Cluster(3, self.topics, {name: self.leaderless.get(name, 0) for name in self.topics})

    def words(self, failure: NotAnswered) -> tuple[str, str]:
        """What went wrong."""
        return str(failure), "check the address"

    async def rights_on_topic(self, name: str) -> frozenset[str]:
        """What we may do."""
        if self.are_silent:
            raise NotAnswered(KafkaError(KafkaError._TIMED_OUT))
        return self.rights.get(name, ALL)

    async def rights_on_group(self, name: str) -> frozenset[str]:
        """What we may do."""
        return await self.rights_on_topic(name)

    async def rights_on_cluster(self) -> frozenset[str]:
        """What we may do."""
        return await self.rights_on_topic("cluster")

    async def configuration(self, topic: str) -> dict[str, Any]:
        """Its settings."""
        if self.are_silent:
            raise NotAnswered(KafkaError(KafkaError._TIMED_OUT))
        return {name: SimpleNamespace(value=value) for name, value in self.configs[topic].items()}


def look(monkeypatch: pytest.MonkeyPatch, asked: Asked, **more: Any) -> tuple[dict[tuple[str, str], str], Report]:
    """Check with these brokers; the state topic's shape is another question."""

    async def is_well(**_: Any) -> None:
        return

    monkeypatch.setattr(kafka, "Brokers", lambda **_: asked)
    monkeypatch.setattr(kafka, "ensure_state_topic", is_well)
    wanted = Wanted("b:9092", {}, ["events"], "relay", "relay.dead-letters", lambda _: "relay.sessions", may_create=True)
    report = Report()
    asyncio.run(KafkaChecks(wanted._replace(**more), report).run())
    return {(finding.check, finding.subject): str(finding.outcome) for finding in report.findings}, report


def test_a_kafka_that_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line is fine."""
    found, report = look(monkeypatch, Asked())
    assert set(found.values()) == {"ok"}
    assert report.exit_code == 0
    assert len(found) == 11


@pytest.mark.parametrize(
    ("asked", "more", "place", "outcome", "code", "words"),
    [
        ({"is_down": True}, {}, ("kafka.brokers", "b:9092"), "fail", 4, "check the address"),
        ({}, {"topics": ["other"]}, ("kafka.source", "other"), "fail", 3, "RELAY_KAFKA__TOPICS"),
        ({}, {"topics": ["^oth.*"]}, ("kafka.source", "^oth.*"), "fail", 3, "RELAY_KAFKA__TOPICS"),
        ({"leaderless": {"events": 2}}, {}, ("kafka.source", "events"), "fail", 1, "look at the brokers"),
        ({"rights": {"events": ALL - {"READ"}}}, {}, ("kafka.source_rights", "events"), "fail", 3, "READ on the topic events"),
        ({"rights": {"relay": ALL - {"READ"}}}, {}, ("kafka.group_rights", "relay"), "fail", 3, "READ on the group relay"),
        (
            {"rights": {"relay.dead-letters": ALL - {"WRITE"}}},
            {},
            ("kafka.dead_letters_rights", "relay.dead-letters"),
            "fail",
            3,
            "WRITE on the topic",
        ),
        (
            {"rights": {"relay.sessions": ALL - {"READ", "WRITE"}}},
            {},
            ("kafka.state_rights", "relay.sessions"),
            "fail",
            3,
            "READ and WRITE on the topic",
        ),
        ({"rights": {"events": frozenset()}}, {}, ("kafka.source_rights", "events"), "warn", 0, "ACLs by hand"),
        (
            {"configs": {"relay.dead-letters": {"max.message.bytes": "1000"}, "relay.sessions": dict(CONFIG)}},
            {},
            ("kafka.dead_letters_settings", "relay.dead-letters"),
            "warn",
            0,
            "max.message.bytes=12582912",
        ),
        (
            {"configs": {"relay.dead-letters": SIZE, "relay.sessions": {**CONFIG, "cleanup.policy": "delete"}}},
            {},
            ("kafka.state_settings", "relay.sessions"),
            "fail",
            3,
            "cleanup.policy=compact",
        ),
        ({"topics": {"events": 4, "relay.sessions": 4}}, {}, ("kafka.dead_letters", "relay.dead-letters"), "ok", 0, ""),
        (
            {"topics": {"events": 4, "relay.sessions": 4}},
            {"may_create": False},
            ("kafka.dead_letters", "relay.dead-letters"),
            "fail",
            3,
            "kafka-topics.sh",
        ),
        (
            {"topics": {"events": 4, "relay.dead-letters": 4}, "rights": {"cluster": frozenset({"DESCRIBE"})}},
            {},
            ("kafka.state", "relay.sessions"),
            "warn",
            0,
            "CREATE on this name",
        ),
        ({}, {"state_topic_of": None}, ("kafka.state", "memory"), "warn", 0, "RELAY_SESSION__STATE"),
        ({"are_silent": True}, {}, ("kafka.group_rights", "relay"), "warn", 0, "ACLs by hand"),
        ({"are_silent": True}, {}, ("kafka.state_shape", "relay.sessions"), "skip", 0, ""),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(  # noqa: PLR0913, PLR0917  # one for each column
    monkeypatch: pytest.MonkeyPatch,
    asked: dict[str, Any],
    more: dict[str, Any],
    place: tuple[str, str],
    outcome: str,
    code: int,
    words: str,
) -> None:
    """One thing at a time."""
    found, report = look(monkeypatch, Asked(**asked), **more)
    assert found[place] == outcome
    assert report.exit_code == code
    assert words in next(finding.advice for finding in report.findings if (finding.check, finding.subject) == place)


def test_a_client_that_cannot_be_made_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own words name the property."""
    monkeypatch.undo()
    report = Report()
    wanted = Wanted("b:9092", {"security.protocol": "nonsense"}, ["events"], "relay", "d", None, may_create=True)
    asyncio.run(KafkaChecks(wanted, report).run())
    (finding,) = report.findings
    assert (finding.outcome, report.exit_code) == ("fail", 3)
    assert "RELAY_KAFKA__CLIENT" in finding.advice


@pytest.mark.kafka
def test_on_a_real_kafka(real_kafka: str) -> None:
    """Missing topics, then fit ones, then a state topic of another shape; no topic, group or record comes of it."""
    admin = AdminClient({"bootstrap.servers": real_kafka, "logger": logging.getLogger("tests.silent")})
    name = f"check-{time.time_ns()}"
    topics = {
        f"{name}-events": ({}, 3),
        f"{name}-letters": (SIZE, 3),
        f"{name}-sessions": (dict(CONFIG), 3),
        f"{name}-odd": (dict(CONFIG), 2),
    }

    def create(topic: str) -> None:
        config, partitions = topics[topic]
        admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result(20)

    def run(state: str) -> dict[str, str]:
        report = Report()
        wanted = Wanted(real_kafka, {}, [f"{name}-events"], name, f"{name}-letters", lambda _: f"{name}-{state}", may_create=True)
        asyncio.run(KafkaChecks(wanted, report).run())
        return {finding.check: str(finding.outcome) for finding in report.findings}

    assert run("sessions")["kafka.source"] == "fail"
    create(f"{name}-events")
    until(lambda: f"{name}-events" in admin.list_topics(timeout=5).topics)
    found = run("sessions")
    assert set(found.values()) == {"ok"}
    assert f"{name}-letters" not in admin.list_topics(timeout=5).topics
    for topic in (f"{name}-letters", f"{name}-sessions", f"{name}-odd"):
        create(topic)
    until(lambda: set(topics) <= set(admin.list_topics(timeout=5).topics))
    assert set(run("sessions").values()) == {"ok"}
    assert "kafka.state_shape" in run("sessions")
    assert run("odd")["kafka.state_shape"] == "fail"
    consumer = Consumer({"bootstrap.servers": real_kafka, "group.id": "looks"})
    try:
        for topic, (_, partitions) in topics.items():
            for partition in range(partitions):
                assert consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=5) == (0, 0)
    finally:
        consumer.close()
    groups = admin.list_consumer_groups(request_timeout=5).result()
    assert name not in {group.group_id for group in groups.valid}


def until(fact: Callable[[], bool]) -> None:
    """Wait for a fact."""
    deadline = time.monotonic() + 20
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.05)

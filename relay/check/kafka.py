"""Whether Kafka would serve: brokers, source topics, rights, the state topic, the dead letters.

In: names from the settings. Out: findings. Nothing is written, and no group is joined: brokers are asked for the rights themselves.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from relay.check.brokers import Brokers, Cluster, NotAnswered
from relay.check.findings import FAILED, UNREACHABLE, Report
from relay.errors import RelayError
from relay.kafka.client import Scalar
from relay.kafka.state_topic_check import ensure_state_topic, state_topic
from relay.kafka.topics import OwnTopic, creation, dead_letter_topic, unfit

_UNTOLD: Final = "the brokers do not tell our rights"
_ASK_ADMIN: Final = "look at the ACLs by hand, or grant the relay's user DESCRIBE"


class Wanted(NamedTuple):
    """What the relay would use."""

    bootstrap_servers: str
    client: Mapping[str, Scalar]
    topics: Sequence[str]
    group_id: str
    dead_letter_topic: str
    state_topic_of: Callable[[str], str] | None  # None when sessions are remembered in memory
    may_create: bool


class KafkaChecks:
    """Makes the findings one after the other; what builds on a failure is skipped."""

    _brokers: Brokers
    _cluster: Cluster

    def __init__(self, wanted: Wanted, report: Report) -> None:
        """Nothing is asked yet."""
        self._wanted = wanted
        self._report = report

    async def run(self) -> None:
        """Look at everything."""
        wanted, report = self._wanted, self._report
        try:
            self._brokers = brokers = Brokers(bootstrap_servers=wanted.bootstrap_servers, client=wanted.client)
        except RelayError as error:
            report.fail("kafka.brokers", wanted.bootstrap_servers, "the client cannot be made", str(error), error.exit_code)
            return
        try:
            self._cluster = await brokers.cluster()
        except NotAnswered as failure:
            found, advice = brokers.words(failure)
            report.fail("kafka.brokers", wanted.bootstrap_servers, f"no answer: {found}", advice, UNREACHABLE)
            report.skip("kafka.source", ", ".join(wanted.topics), "Kafka does not answer")
            return
        report.ok("kafka.brokers", wanted.bootstrap_servers, f"{self._cluster.brokers} brokers")
        sources = self._sources()
        for topic in sources:
            await self._check_source(topic)
        await self._check_group()
        partitions = max(sources.values(), default=1)
        await self._check_own("dead_letters", dead_letter_topic(wanted.dead_letter_topic), partitions, ("WRITE",))
        if wanted.state_topic_of is None:
            advice = "set RELAY_SESSION__STATE=kafka, if a restart shall not open every session again"
            report.warn("kafka.state", "memory", "sessions are remembered in memory only", advice)
            return
        for topic, count in sources.items():
            own = state_topic(wanted.state_topic_of(topic))
            if await self._check_own("state", own, count, ("READ", "WRITE")):
                await self._check_shape(own.name, topic, count)

    def _sources(self) -> dict[str, int]:
        chosen: dict[str, int] = {}
        for topic in self._wanted.topics:
            fitting = [topic] if topic in self._cluster.topics else []
            if topic.startswith("^"):
                fitting = [name for name in self._cluster.topics if re.match(topic, name)]
            chosen.update({name: self._cluster.topics[name] for name in fitting})
            if not fitting:
                self._report.fail(
                    "kafka.source",
                    topic,
                    "there is no such topic, or we may not see it",
                    "the relay would wait for it: create it, correct RELAY_KAFKA__TOPICS, or grant its user DESCRIBE and READ on it",
                )
        return chosen

    async def _check_source(self, topic: str) -> None:
        without = self._cluster.leaderless[topic]
        if without:
            found = f"{without} of {self._cluster.topics[topic]} partitions have no leader"
            self._report.fail("kafka.source", topic, found, "look at the brokers; nothing of these partitions can be read", FAILED)
        else:
            self._report.ok("kafka.source", topic, f"{self._cluster.topics[topic]} partitions")
        await self._check_topic_rights("kafka.source_rights", topic, ("READ",))

    async def _check_group(self) -> None:
        group = self._wanted.group_id
        try:
            rights = await self._brokers.rights_on_group(group)
        except NotAnswered as failure:
            self._report.warn("kafka.group_rights", group, f"{_UNTOLD}: {failure}", _ASK_ADMIN)
            return
        self._judge_rights("kafka.group_rights", "the group", group, rights, ("READ",))

    async def _check_own(self, kind: str, own: OwnTopic, partitions: int, needed: Sequence[str]) -> bool:
        """Look at a topic of our own; True when it is there."""
        check = f"kafka.{kind}"
        if own.name not in self._cluster.topics:
            await self._check_creation(check, own, partitions)
            return False
        self._report.ok(check, own.name, f"{self._cluster.topics[own.name]} partitions")
        await self._check_topic_rights(f"{check}_rights", own.name, needed)
        await self._check_configuration(f"{check}_settings", own)
        return True

    async def _check_creation(self, check: str, own: OwnTopic, partitions: int) -> None:
        command = creation(own, partitions, self._wanted.bootstrap_servers)
        if not self._wanted.may_create:
            self._report.fail(check, own.name, "it is missing, and RELAY_KAFKA__CREATE_TOPICS is false", f"create it: {command}")
            return
        try:
            rights = await self._brokers.rights_on_cluster()
        except NotAnswered as failure:
            self._report.warn(check, own.name, f"it is missing, and {_UNTOLD}: {failure}", f"create it: {command}")
            return
        if "CREATE" in rights:
            self._report.ok(check, own.name, "it is missing; the relay would create it")
            return
        # A right to create topics of one name or prefix is told for topics that are there, and for no others.
        advice = f"create it: {command}; or see that the relay's user has CREATE on this name"
        self._report.warn(check, own.name, "it is missing, and we may not create topics at large", advice)

    async def _check_topic_rights(self, check: str, topic: str, needed: Sequence[str]) -> None:
        try:
            rights = await self._brokers.rights_on_topic(topic)
        except NotAnswered as failure:
            self._report.warn(check, topic, f"{_UNTOLD}: {failure}", _ASK_ADMIN)
            return
        self._judge_rights(check, "the topic", topic, rights, needed)

    def _judge_rights(self, check: str, what: str, name: str, rights: frozenset[str], needed: Sequence[str]) -> None:
        missing = [right for right in needed if right not in rights]
        if not rights:
            self._report.warn(check, name, _UNTOLD, _ASK_ADMIN)
        elif missing:
            advice = f"grant the relay's user {' and '.join(missing)} on {what} {name}"
            self._report.fail(check, name, f"we may not {' and '.join(missing)}", advice)
        else:
            self._report.ok(check, name, f"we may {' and '.join(needed)}")

    async def _check_configuration(self, check: str, own: OwnTopic) -> None:
        try:
            entries = await self._brokers.configuration(own.name)
        except NotAnswered as failure:
            advice = "grant the relay's user DESCRIBE_CONFIGS on it"
            self._report.warn(check, own.name, f"its settings cannot be read: {failure}", advice)
            return
        wrong = unfit(own, entries)
        for name, value, wanted in wrong:
            advice = (
                f"alter it: kafka-configs.sh --bootstrap-server {self._wanted.bootstrap_servers} --alter --topic {own.name}"
                f" --add-config {name}={wanted}"
            )
            found = f"{name}={value}, expected {wanted}"
            if name in own.must:
                self._report.fail(check, own.name, found, advice)
            else:
                self._report.warn(check, own.name, found, advice)
        if not wrong:
            self._report.ok(check, own.name, "as they should be")

    async def _check_shape(self, name: str, source_topic: str, partitions: int) -> None:
        """What the relay itself would refuse at its start: another number of partitions, deletion, the sessions of another group."""
        wanted = self._wanted
        if self._brokers.are_silent:
            self._report.skip("kafka.state_shape", name, "the brokers do not answer administrators")
            return
        try:
            await ensure_state_topic(
                bootstrap_servers=wanted.bootstrap_servers,
                client=wanted.client,
                name=name,
                group_id=wanted.group_id,
                source_topic=source_topic,
                partitions=partitions,
                may_create=False,
                unreachable_after_seconds=5.0,
            )
        except RelayError as error:
            self._report.fail("kafka.state_shape", name, "the relay would not start with it", str(error), error.exit_code)
            return
        self._report.ok("kafka.state_shape", name, f"{partitions} partitions like {source_topic}, compacted, sessions of this group")

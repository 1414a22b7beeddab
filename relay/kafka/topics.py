"""The topics, looked at before anything is read: what is there, what is missing, what can be created, what does not fit.

In: the names of the source topics, and the topics that the relay keeps for itself. Out: how many partitions each has; or `TopicError` with
the command that would put it right, or `Unreachable`.

A source topic that is missing is waited for: it may be created by its first producer. Topics of our own are created when that is allowed.
"""

import asyncio
import logging
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Final

import msgspec
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigEntry, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from relay.errors import TopicError, Unreachable
from relay.kafka.client import ClientErrors, Properties, Scalar, Seldom, advice, error_in, not_configured, properties
from relay.kafka.letter import MESSAGE_BYTES_MAX

log = logging.getLogger("relay.kafka.topics")

ANSWER_SECONDS: Final = 5.0
CREATE_SECONDS: Final = 30.0
LOOK_AGAIN_SECONDS: Final = 1.0

_SIZE: Final = "max.message.bytes"


class OwnTopic(msgspec.Struct, frozen=True):
    """A topic that the relay keeps for itself."""

    name: str
    config: dict[str, str]  # it is created with these
    must: tuple[str, ...] = ()  # those without which it is of no use; another value of the others is warned of
    partitions: int | None = None  # exactly so many; None: as many as the largest source topic, and any number will do


def dead_letter_topic(name: str) -> OwnTopic:
    """The topic of dead letters. How long it keeps them is the broker's default, for operators to change."""
    return OwnTopic(name, config={_SIZE: str(MESSAGE_BYTES_MAX)})


class Topics:
    """Looks at topics, and creates those of our own."""

    def __init__(
        self,
        *,
        bootstrap_servers: str,
        client: Mapping[str, Scalar] | None = None,
        unreachable_after_seconds: float = 30.0,
        can_administer: bool = True,
    ) -> None:
        """Take the settings. The embedded broker does not answer administrators: its topics appear by themselves."""
        self._bootstrap_servers = bootstrap_servers
        self._errors = ClientErrors("topics")
        self._properties: Properties = properties(
            "topics", bootstrap_servers=bootstrap_servers, extra=client or {}, ours={}, errors=self._errors
        )
        self._unreachable_after_seconds = unreachable_after_seconds
        self._can_administer = can_administer
        self._seldom = Seldom()
        try:
            self._admin = AdminClient(self._properties)
        except KafkaException as error:
            raise not_configured(error) from error

    async def find_sources(self, topics: Sequence[str]) -> dict[str, int]:
        """The source topics and how many partitions each has. Waits for those that are missing, and for one that fits a pattern."""
        while True:
            found = await self._partitions()
            chosen: dict[str, int] = {}
            missing: list[str] = []
            for topic in topics:
                fitting = [topic] if topic in found else [name for name in found if topic.startswith("^") and re.match(topic, name)]
                chosen.update({name: found[name] for name in fitting})
                if not fitting:
                    missing.append(topic)
            if not missing:
                return chosen
            kept_back = self._seldom.count("missing")
            if kept_back is not None:
                hint = "create it, or correct RELAY_KAFKA__TOPICS"
                log.warning("source topic missing: waiting for it", extra={"topic": ", ".join(missing), "advice": hint})
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def ensure(self, own: OwnTopic, *, partitions_wanted: int, may_create: bool) -> int:
        """See to it that a topic of our own is there and fits. Returns how many partitions it has."""
        if not self._can_administer:
            return partitions_wanted
        wanted = own.partitions or partitions_wanted
        found = (await self._partitions()).get(own.name)
        if found is None:
            if not may_create:
                command = self._command(own, wanted)
                raise TopicError(f"the topic {own.name} is missing and RELAY_KAFKA__CREATE_TOPICS is false; create it: {command}")
            if await self._create(own, wanted):
                return wanted
            found = (await self._partitions()).get(own.name, wanted)  # another relay was faster
        if own.partitions is not None and found != own.partitions:
            command = self._command(own, wanted)
            raise TopicError(f"the topic {own.name} has {found} partitions and needs {wanted}; delete it and create it: {command}")
        await self._check_config(own)
        return found

    # --- questions to the brokers, each off the loop's thread -------------------------------------------------------------------------

    async def _partitions(self) -> dict[str, int]:
        """All topics that we may see, and how many partitions each has."""
        end = time.monotonic() + self._unreachable_after_seconds
        while True:
            try:
                listed = await asyncio.to_thread(self._admin.list_topics, timeout=min(ANSWER_SECONDS, self._unreachable_after_seconds))
            except KafkaException as error:
                if time.monotonic() >= end:
                    raise self._unreachable(error_in(error)) from error
                await asyncio.sleep(LOOK_AGAIN_SECONDS / 2)
                continue
            return {name: len(topic.partitions) for name, topic in listed.topics.items() if topic.error is None}

    def _unreachable(self, error: KafkaError) -> Unreachable:
        text = self._errors.last or error.str()
        hint = advice(error) or "check RELAY_KAFKA__BOOTSTRAP_SERVERS, and the security properties in RELAY_KAFKA__CLIENT"
        return Unreachable(f"Kafka at {self._bootstrap_servers} does not answer: {text}; {hint}")

    async def _create(self, own: OwnTopic, partitions: int) -> bool:
        """Create a topic; False when somebody else just did."""
        topic = NewTopic(own.name, num_partitions=partitions, replication_factor=-1, config=own.config)
        seconds = CREATE_SECONDS
        created: dict[str, Future[None]] = self._admin.create_topics([topic], request_timeout=seconds, operation_timeout=seconds)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        try:
            await asyncio.wrap_future(created[own.name])  # no thread waits for it: one whose client is gone would wait for ever
        except KafkaException as exception:
            error = error_in(exception)
            if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            command = self._command(own, partitions)
            raise TopicError(f"the topic {own.name} cannot be created ({error.str()}); create it: {command}") from exception
        log.info("topic created", extra={"topic": own.name, "partitions": partitions})
        return True

    async def _check_config(self, own: OwnTopic) -> None:
        resource = ConfigResource(ResourceType.TOPIC, own.name)
        described: dict[ConfigResource, Future[dict[str, ConfigEntry]]] = self._admin.describe_configs(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            [resource], request_timeout=ANSWER_SECONDS
        )
        try:
            entries = await asyncio.wrap_future(described[resource])
        except KafkaException as exception:
            fields = {"topic": own.name, "text": error_in(exception).str(), "advice": "grant the relay's user DESCRIBE_CONFIGS on it"}
            log.warning("the topic's configuration cannot be checked", extra=fields)
            return
        for name, value, wanted in unfit(own, entries):
            command = (
                f"kafka-configs.sh --bootstrap-server {self._bootstrap_servers} --alter --topic {own.name} --add-config {name}={wanted}"
            )
            if name in own.must:
                raise TopicError(f"the topic {own.name} has {name}={value} and needs {wanted}; alter it: {command}")
            log.warning("the topic is not as it should be", extra={"topic": own.name, "config": f"{name}={value}", "advice": command})

    def _command(self, own: OwnTopic, partitions: int) -> str:
        return creation(own, partitions, self._bootstrap_servers)


def creation(own: OwnTopic, partitions: int, bootstrap_servers: str) -> str:
    """The command that creates a topic of our own."""
    config = "".join(f" --config {name}={value}" for name, value in own.config.items())
    return f"kafka-topics.sh --bootstrap-server {bootstrap_servers} --create --topic {own.name} --partitions {partitions}{config}"


def unfit(own: OwnTopic, entries: Mapping[str, ConfigEntry]) -> list[tuple[str, str, str]]:
    """What of a topic's configuration is not as it should be: name, value, and what is wanted."""
    found = [(name, entries[name].value if name in entries else None, wanted) for name, wanted in own.config.items()]
    return [(name, value, wanted) for name, value, wanted in found if value is not None and not _fits(name, value, wanted)]


def _fits(name: str, value: str, wanted: str) -> bool:
    return int(value) >= int(wanted) if name == _SIZE else set(wanted.split(",")) <= set(value.split(","))


async def ensure_topics(  # noqa: PLR0913  # settings, each by its name
    *,
    bootstrap_servers: str,
    topics: Sequence[str],
    own: Sequence[OwnTopic],
    may_create: bool,
    client: Mapping[str, Scalar] | None = None,
    unreachable_after_seconds: float = 30.0,
    can_administer: bool = True,
) -> dict[str, int]:
    """Look at all topics before anything is read, and return how many partitions each source topic has."""
    looked_at = Topics(
        bootstrap_servers=bootstrap_servers,
        client=client,
        unreachable_after_seconds=unreachable_after_seconds,
        can_administer=can_administer,
    )
    sources = await looked_at.find_sources(topics)
    for one in own:
        await looked_at.ensure(one, partitions_wanted=max(sources.values(), default=1), may_create=may_create)
    return sources

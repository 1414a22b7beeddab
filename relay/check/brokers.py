"""The questions that the checks ask the brokers: what there is, and what we may do with it. All of them are read only.

In: the settings of a client. Out: plain values, or `NotAnswered` with the reason.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Final, NamedTuple, TypeVar, cast

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient, ConfigEntry, ConfigResource, ResourceType  # type: ignore[attr-defined]

from relay.kafka.client import ClientErrors, Scalar, advice, error_in, not_configured, properties

ANSWER_SECONDS: Final = 5.0
LOOK_AGAIN_SECONDS: Final = 0.2
_PASSES: Final = frozenset({KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS})

_Answer = TypeVar("_Answer")


class NotAnswered(Exception):  # noqa: N818  # it names what was found
    """The brokers did not answer, or with an error."""

    def __init__(self, error: KafkaError) -> None:
        """Keep the error."""
        super().__init__(error.str() or error.name())
        self.error = error


class Cluster(NamedTuple):
    """What every client may see."""

    brokers: int
    topics: Mapping[str, int]  # → how many partitions
    leaderless: Mapping[str, int]  # → how many partitions have no leader now


class Brokers:
    """Asks them."""

    def __init__(self, *, bootstrap_servers: str, client: Mapping[str, Scalar]) -> None:
        """Raises `SettingsError` when the library refuses a property."""
        self._errors = ClientErrors("check")
        self._silence: NotAnswered | None = None  # once administrators are not answered, nothing of the kind is asked again
        own = properties("check", bootstrap_servers=bootstrap_servers, extra=client, ours={}, errors=self._errors)
        try:
            self._admin = AdminClient(own)
        except KafkaException as error:
            raise not_configured(error) from error

    @property
    def are_silent(self) -> bool:
        """Whether they do not answer administrators, as the embedded broker does not."""
        return self._silence is not None

    async def cluster(self) -> Cluster:
        """The brokers and the topics that we may see."""
        try:
            listed = await asyncio.to_thread(self._admin.list_topics, timeout=ANSWER_SECONDS)
        except KafkaException as error:
            raise NotAnswered(error_in(error)) from None
        topics = {name: topic for name, topic in listed.topics.items() if topic.error is None}
        return Cluster(
            brokers=len(listed.brokers),
            topics={name: len(topic.partitions) for name, topic in topics.items()},
            leaderless={name: sum(one.leader < 0 for one in topic.partitions.values()) for name, topic in topics.items()},
        )

    def words(self, failure: NotAnswered) -> tuple[str, str]:
        """What went wrong, as clearly as is known, and what to check."""
        hint = advice(failure.error) or "check RELAY_KAFKA__BOOTSTRAP_SERVERS, and the security properties in RELAY_KAFKA__CLIENT"
        return self._errors.last or str(failure), hint

    async def rights_on_topic(self, topic: str) -> frozenset[str]:
        """What we may do with a topic."""
        futures = self._admin.describe_topics(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            TopicCollection([topic]), include_authorized_operations=True, request_timeout=ANSWER_SECONDS
        )
        return _named(await self._answer(lambda: futures[topic]))  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]

    async def rights_on_group(self, group_id: str) -> frozenset[str]:
        """What we may do as this group, whether there is one or not."""

        def ask() -> Future[object]:
            futures = self._admin.describe_consumer_groups(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
                [group_id], include_authorized_operations=True, request_timeout=ANSWER_SECONDS
            )
            return cast("Future[object]", futures[group_id])

        return _named(await self._answer(ask))

    async def rights_on_cluster(self) -> frozenset[str]:
        """What we may do with the cluster."""
        future = self._admin.describe_cluster(include_authorized_operations=True, request_timeout=ANSWER_SECONDS)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return _named(await self._answer(lambda: cast("Future[object]", future)))

    async def configuration(self, topic: str) -> Mapping[str, ConfigEntry]:
        """The settings of a topic."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        futures = self._admin.describe_configs([resource], request_timeout=ANSWER_SECONDS)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return await self._answer(lambda: cast("Future[Mapping[str, ConfigEntry]]", futures[resource]))

    async def _answer(self, ask: Callable[[], "Future[_Answer]"]) -> _Answer:
        """The answer; asked again for what passes by itself: the first question after groups may find no coordinator yet."""
        end = time.monotonic() + ANSWER_SECONDS
        if self._silence is not None:
            raise self._silence
        while True:
            try:
                return await asyncio.wrap_future(ask())
            except KafkaException as exception:
                error = error_in(exception)
                if error.code() == KafkaError._TIMED_OUT:  # noqa: SLF001  # one of the library's public names
                    self._silence = NotAnswered(error)
                if error.code() not in _PASSES or time.monotonic() >= end:
                    raise NotAnswered(error) from None
            await asyncio.sleep(LOOK_AGAIN_SECONDS)


def _named(described: object) -> frozenset[str]:
    """The names of the operations that we are authorized to; none are told by brokers before 2.3."""
    operations = cast("list[AclOperation]", getattr(described, "authorized_operations", None) or [])
    return frozenset(operation.name for operation in operations)

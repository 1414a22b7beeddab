"""The state topic, looked at before anything is read: created as it must be, or refused with what to do about it.

In: its name, the group, the source topic and its partitions. Out: nothing, or `TopicError`, or `Unreachable`.

Refused is what would go wrong without a word: another number of partitions (sessions would be looked for where they are not), no
compaction (the topic would grow for ever), deletion by age (it takes sessions that are still open), the topic of another group (none of its
sessions is ours).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Final, TypeVar, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigEntry, ConfigResource, ResourceType  # type: ignore[attr-defined]

from relay.errors import TopicError
from relay.kafka.client import Properties, Scalar, error_in, not_configured, properties
from relay.kafka.letter import MESSAGE_BYTES_MAX
from relay.kafka.state_reading import group_of
from relay.kafka.topics import OwnTopic, Topics

log = logging.getLogger("relay.kafka.state_topic")

Answer = TypeVar("Answer")

ANSWER_SECONDS: Final = 5.0
LOOK_AGAIN_SECONDS: Final = 0.2
SAMPLED_PARTITIONS: Final = 4
SAMPLED_OFFSETS: Final = 20  # compaction and transactions leave gaps: the last offset may hold no record

_POLICY: Final = "cleanup.policy"
CONFIG: Final[Mapping[str, str]] = {
    _POLICY: "compact",
    # The segment that is written to is never compacted, so its size and age say how much a restart reads in vain: at 16 MiB it is no more
    # than some 20,000 memoirs a partition. The defaults, 1 GiB and a week, would keep every memoir of that week.
    "segment.bytes": str(16 * 2**20),
    "segment.ms": str(3_600_000),
    # Compact once a fifth of the log is new; the default of a half saves the broker work that is small anyway at this size.
    "min.cleanable.dirty.ratio": "0.2",
    # How long a tombstone outlives its compaction, and with it the longest time that reading the topic may take. The default, said aloud.
    "delete.retention.ms": str(86_400_000),
    # A memoir holds what several records brought: the start, a chapter, an ad. The default of 1 MiB is also that of one record.
    "max.message.bytes": str(MESSAGE_BYTES_MAX),
}


def state_topic(name: str) -> OwnTopic:
    """The state topic as it is created. How many partitions it must have is checked here, for what to do about it is another matter."""
    return OwnTopic(name, config=dict(CONFIG), must=(_POLICY,))


async def ensure_state_topic(  # noqa: PLR0913  # settings, each by its name
    *,
    bootstrap_servers: str,
    name: str,
    group_id: str,
    source_topic: str,
    partitions: int,
    may_create: bool,
    client: Mapping[str, Scalar] | None = None,
    unreachable_after_seconds: float = 30.0,
    can_administer: bool = True,
) -> None:
    """Create the state topic of a source topic when it is missing, and refuse one that would lose sessions.

    The embedded broker serves no administrators: there the topic is to be named when the broker starts.
    """
    topics = Topics(
        bootstrap_servers=bootstrap_servers,
        client=client,
        unreachable_after_seconds=unreachable_after_seconds,
        can_administer=can_administer,
    )
    found = await topics.ensure(state_topic(name), partitions_wanted=partitions, may_create=may_create)
    if found != partitions:
        raise TopicError(_another_count(name, found, source_topic, partitions))
    if can_administer:
        own: Properties = properties(
            "state topic", bootstrap_servers=bootstrap_servers, extra=client or {}, ours={"enable.auto.commit": False, "group.id": group_id}
        )
        await asyncio.to_thread(_refuse_deletion, own, name)
        await asyncio.to_thread(_refuse_another_group, own | {"enable.partition.eof": "true"}, name, partitions, group_id)


def _another_count(name: str, found: int, source_topic: str, partitions: int) -> str:
    grown = "" if found > partitions else f" (were partitions added to {source_topic}?)"
    return (
        f"the state topic {name} has {found} partitions and the source topic {source_topic} has {partitions}{grown}:"
        " sessions would be looked for in the wrong partition; set RELAY_KAFKA__STATE_TOPIC to a new topic, and every session that is open"
        " now is opened again; or stop all relays and fill the new topic from this one before: relay state carry-over"
    )


def _refuse_deletion(own: Properties, name: str) -> None:
    admin = AdminClient({key: value for key, value in own.items() if key not in ("group.id", "enable.auto.commit")})
    resource = ConfigResource(ResourceType.TOPIC, name)

    def ask() -> dict[str, ConfigEntry]:
        futures = admin.describe_configs([resource], request_timeout=ANSWER_SECONDS)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return cast("Future[dict[str, ConfigEntry]]", futures[resource]).result()

    entries = _patiently(ask)
    if isinstance(entries, KafkaError):
        return  # the look at all of its configuration has warned of it
    policy = entries[_POLICY].value if _POLICY in entries else None
    if policy not in (None, "compact"):
        raise TopicError(
            f"the state topic {name} has {_POLICY}={policy}, which deletes sessions that are still open once they are old enough;"
            f" alter it: kafka-configs.sh --bootstrap-server {own['bootstrap.servers']}"
            f" --alter --topic {name} --add-config {_POLICY}=compact"
        )


def _refuse_another_group(own: Properties, name: str, partitions: int, group_id: str) -> None:
    groups = _patiently(lambda: _last_groups(own, name, partitions))
    if isinstance(groups, KafkaError):
        _judge(groups, name, group_id)
        return
    strangers = sorted(groups - {group_id})
    if strangers:
        raise TopicError(
            f"the state topic {name} holds sessions of the group {strangers[0]}, and this is {group_id}:"
            " set RELAY_KAFKA__STATE_TOPIC to a topic of its own, or RELAY_KAFKA__GROUP_ID to that group"
        )


def _patiently(ask: Callable[[], Answer]) -> Answer | KafkaError:
    """The answer; or the error, when asking again does not help: a topic that was created a moment ago is not known everywhere."""
    end = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return ask()
        except KafkaException as exception:
            if time.monotonic() >= end:
                return error_in(exception)
            time.sleep(LOOK_AGAIN_SECONDS)


def _judge(error: KafkaError, name: str, group_id: str) -> None:
    if error.code() in (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED):
        raise TopicError(
            f"the state topic {name} may not be read: grant the relay's user READ and WRITE on it, and READ on the group {group_id}"
        )
    log.warning("who wrote the state topic cannot be checked", extra={"topic": name, "cause": error.str()})


def _last_groups(own: Properties, name: str, partitions: int) -> set[str]:
    """Who wrote the last records of a few partitions."""
    try:
        consumer = Consumer(own)
    except KafkaException as exception:
        raise not_configured(exception) from exception
    groups: dict[int | None, str] = {}
    try:
        unread: list[TopicPartition] = []
        for partition in range(partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=ANSWER_SECONDS)
            if high > low and len(unread) < SAMPLED_PARTITIONS:
                unread.append(TopicPartition(name, partition, max(low, high - SAMPLED_OFFSETS)))
        consumer.assign(unread)
        left = len(unread)
        while left:
            messages = consumer.consume(1, ANSWER_SECONDS)
            if not messages:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001  # one of the library's public names
            error = messages[0].error()
            if error is None:
                group = group_of(messages[0])
                if group is not None:
                    groups[messages[0].partition()] = group.decode(errors="replace")
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                left -= 1
            else:
                raise KafkaException(error)
    finally:
        consumer.close()
    return set(groups.values())

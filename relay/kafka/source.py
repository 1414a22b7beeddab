"""The source of records: what the pump sees of the consumer group. The work is done by `member.py` on a thread of its own.

In: commits, releases, pauses. Out: the messages of `reports.py`, given to `deliver` on the loop's thread, in the order of what happened.

Every request carries the serial numbers of the assignments that the loop had heard of when it asked, so one that outlives a rebalance is
recognised on the other side.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from relay.kafka.client import Properties, Scalar, properties, refuse_protected
from relay.kafka.member import REPLY_EXTRA_SECONDS, Member
from relay.kafka.reports import (
    CommitFailed,
    CommitPoint,
    Committed,
    CommittedPosition,
    Fetched,
    PartitionsAssigned,
    PartitionsLeaving,
    PartitionsLost,
    Place,
    SourceFailed,
    SourceMessage,
)

__all__ = [
    "CommitFailed",
    "CommitPoint",
    "Committed",
    "CommittedPosition",
    "Fetched",
    "GroupProtocol",
    "PartitionsAssigned",
    "PartitionsLeaving",
    "PartitionsLost",
    "Place",
    "Source",
    "SourceFailed",
    "SourceMessage",
]

log = logging.getLogger("relay.kafka.source")

GroupProtocol: TypeAlias = Literal["classic", "consumer"]

LEAVING_EXTRA_SECONDS: Final = 5.0  # for the commit and the goodbye
QUEUE_KBYTES_PER_PARTITION: Final = 2_048
QUEUE_KBYTES_MIN: Final = 16_384  # with less, some partitions starve
QUEUE_KBYTES_MAX: Final = 131_072
FETCH_BYTES_PER_PARTITION: Final = 131_072  # at once: a backlog is then read from all of them side by side, and many sessions are at hand
METADATA_REFRESH_MS: Final = 30_000  # a new topic or partition is noticed within this; the client's default is five minutes

_BROKER_DECIDES: Final = "with RELAY_KAFKA__GROUP_PROTOCOL=consumer the broker decides it"
_NOT_WITH_KIP_848: Final[Mapping[str, str]] = dict.fromkeys(
    ("session.timeout.ms", "heartbeat.interval.ms", "group.protocol.type"), _BROKER_DECIDES
)


class Source:
    """Reads the topics for one member of the group. To be used on the loop's thread."""

    def __init__(  # noqa: PLR0913  # settings, each by its name
        self,
        *,
        bootstrap_servers: str,
        topics: Sequence[str],
        group_id: str,
        deliver: Callable[[SourceMessage], None],
        group_protocol: GroupProtocol = "classic",
        group_instance_id: str | None = None,
        client: Mapping[str, Scalar] | None = None,
        revoke_seconds_max: float = 10.0,
        partition_count: int = 8,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the settings. `deliver` hears everything; `partition_count` is how many there are to read, about: it sizes the queue."""
        self._topics = list(topics)
        self._deliver = deliver
        self._close_seconds = revoke_seconds_max + REPLY_EXTRA_SECONDS + LEAVING_EXTRA_SECONDS
        self._properties = _properties(
            bootstrap_servers=bootstrap_servers,
            group_id=group_id,
            protocol=group_protocol,
            instance=group_instance_id,
            extra=client or {},
            partition_count=partition_count,
        )
        self._member = Member(self._tell, revoke_seconds_max=revoke_seconds_max, clock=clock)
        self._serials: dict[Place, int] = {}  # of the assignments that the loop has heard of
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._has_ended = asyncio.Event()

    @property
    def last_poll_at(self) -> float:
        """When the consumer was last polled: it stands still only when the thread hangs."""
        return self._member.last_poll_at

    @property
    def failure(self) -> str:
        """What Kafka does not let us do and operators can mend: be in the group, read a topic. Empty when nothing stands in the way."""
        return self._member.hindrances.words

    @property
    def consumed_bytes(self) -> int:
        """Bytes of keys and values that were handed over."""
        return self._member.consumed_bytes

    @property
    def consumed_records(self) -> int:
        """Records that were handed over."""
        return self._member.consumed_records

    def start(self) -> None:
        """Join the group and read. To be called on the loop; raises `SettingsError` when the client refuses a property."""
        self._loop = asyncio.get_running_loop()
        consumer = self._member.join(self._properties, self._topics)

        def run() -> None:
            self._member.run(consumer)
            self._on_loop(self._has_ended.set)

        self._thread = threading.Thread(target=run, name="relay-source", daemon=True)
        self._thread.start()

    def commit(self, points: list[CommitPoint]) -> None:
        """Commit. Each call is answered by `Committed`, by `CommitFailed` or, where partitions differ, by both."""
        tagged = [(point, self._serials.get((point.topic, point.partition), 0)) for point in points]
        self._member.request(lambda consumer: self._member.commit(consumer, tagged))

    def release(self, partitions: list[Place]) -> None:
        """Read these newly assigned partitions from now on."""
        tagged = [(place, self._serials.get(place, 0)) for place in partitions]
        self._member.request(lambda _consumer: self._member.release(tagged))

    def pause(self) -> None:
        """Hand over no more records, of any partition. What is on its way already still comes."""
        self._member.is_paused = True

    def resume(self) -> None:
        """Hand over records again, from where they stopped."""
        self._member.is_paused = False
        self._member.wake()

    def taken(self) -> None:
        """One `Fetched` has been dealt with; without this the source stops after a few."""
        self._member.taken()

    def lag(self) -> dict[Place, int]:
        """For each of our partitions how many offsets are not yet committed, at most a few seconds old."""
        return self._member.lag.messages

    def ends(self) -> dict[Place, int]:
        """Where the logs of our partitions end, as far as Kafka has said; at most a few seconds old."""
        return self._member.lag.ends

    def committed(self) -> dict[Place, int]:
        """For each of our partitions the offset that was last committed, at most a second old."""
        return self._member.lag.offsets

    async def close(self, seconds_max: float | None = None) -> bool:
        """Stop reading at once, let the pump say what to commit as in a revoke, and leave the group. False when that took too long."""
        self._member.is_closing = True
        self._member.wake()
        if self._thread is None:
            return True
        seconds = self._close_seconds if seconds_max is None else seconds_max
        try:
            await asyncio.wait_for(self._has_ended.wait(), seconds)
        except TimeoutError:
            log.warning("the group was not left in time", extra={"seconds": seconds})
            return False
        self._thread.join()
        return True

    def _tell(self, message: SourceMessage, serials: Mapping[Place, int] | None = None, /) -> None:
        self._on_loop(lambda: self._hear(message, serials))

    def _hear(self, message: SourceMessage, serials: Mapping[Place, int] | None) -> None:
        if serials:
            self._serials.update(serials)
        self._deliver(message)

    def _on_loop(self, call: Callable[[], None]) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:  # the loop is closed: nobody listens any more
            self._member.is_closing = True


def _properties(  # noqa: PLR0913  # settings, each by its name
    *,
    bootstrap_servers: str,
    group_id: str,
    protocol: GroupProtocol,
    instance: str | None,
    extra: Mapping[str, Scalar],
    partition_count: int,
) -> Properties:
    ours: dict[str, Scalar] = {
        "group.id": group_id,
        "group.protocol": protocol,
        "enable.auto.commit": False,  # only what is delivered is committed
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",  # a new group skips nothing
        "max.partition.fetch.bytes": FETCH_BYTES_PER_PARTITION,
        "fetch.queue.backoff.ms": 10,  # by default the fetcher stands still for up to a second when the queue was full
        "queued.min.messages": 1_000,
        "queued.max.messages.kbytes": min(QUEUE_KBYTES_MAX, max(QUEUE_KBYTES_MIN, QUEUE_KBYTES_PER_PARTITION * partition_count)),
        "topic.metadata.refresh.interval.ms": METADATA_REFRESH_MS,
    }
    if instance:
        ours["group.instance.id"] = instance
    if protocol == "classic":
        ours["partition.assignment.strategy"] = "cooperative-sticky"  # partitions that need not move stay
    else:
        refuse_protected(extra, _NOT_WITH_KIP_848)
    return properties("source", bootstrap_servers=bootstrap_servers, extra=extra, ours=ours)

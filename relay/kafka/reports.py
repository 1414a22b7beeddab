"""What the source tells the pump, as frozen values. They reach the event loop in the order in which they happened."""

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from relay.core.events import Record
from relay.errors import FatalConsumerError

Place: TypeAlias = tuple[str, int]
"""Topic and partition."""


class CommittedPosition(msgspec.Struct, frozen=True):
    """Where a newly assigned partition starts: what the group has committed."""

    topic: str
    partition: int
    offset: int | None = None  # None when nothing was committed, or Kafka did not tell in time
    metadata: str = ""
    is_new_log: bool = False  # the topic began anew under us: offsets that were known say nothing about it


class CommitPoint(msgspec.Struct, frozen=True):
    """Everything of a partition below the offset is finished."""

    topic: str
    partition: int
    offset: int
    metadata: str = ""
    is_new_log: bool = False  # the topic began anew under us: offsets that were known say nothing about it


class PartitionsAssigned(msgspec.Struct, frozen=True):
    """These are ours from now on. They are held: no record comes before they are released."""

    partitions: list[CommittedPosition]


class Fetched(msgspec.Struct, frozen=True):
    """Records, by partition, in the order of the log. To be acknowledged by `Source.taken`."""

    batches: list[tuple[str, int, list[Record]]]


class PartitionsLeaving(msgspec.Struct, frozen=True):
    """These are about to be taken. The source waits, within its bound, until `reply` says what to commit for them.

    Whoever replies has fenced them before: nothing that ends later may count.
    """

    partitions: list[Place]
    reply: Callable[[list[CommitPoint]], None]


class PartitionsLost(msgspec.Struct, frozen=True):
    """These may already belong to somebody else: nothing may be committed for them."""

    partitions: list[Place]


class Committed(msgspec.Struct, frozen=True):
    """Kafka has stored these. Points of partitions that were no longer ours are missing, so there may be none."""

    points: list[CommitPoint]


class CommitFailed(msgspec.Struct, frozen=True):
    """Kafka has not stored these; a later commit includes them."""

    points: list[CommitPoint]
    cause: str


class SourceFailed(msgspec.Struct, frozen=True):
    """Nothing comes any more."""

    error: FatalConsumerError | Exception


SourceMessage: TypeAlias = PartitionsAssigned | Fetched | PartitionsLeaving | PartitionsLost | Committed | CommitFailed | SourceFailed

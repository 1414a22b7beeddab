"""One partition while it is ours: its lanes, its ledger, and whether it still counts."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from relay.core.ledger import Ledger

if TYPE_CHECKING:
    from relay.core.events import SessionKey
    from relay.core.lane import Lane


class Stage(Enum):
    """How far an assignment is from its end."""

    OWNED = auto()
    LEAVING = auto()  # nothing new leaves, answers still count
    GONE = auto()  # somebody else may own the partition: nothing counts any more


class Assignment:
    """A partition from the moment it is assigned until it is revoked. When it comes back it is another assignment.

    Lanes point to their assignment, so an answer that outlives a rebalance is recognised: its lane's assignment is gone.
    """

    __slots__ = (
        "asides_pending",
        "changed",
        "generation",
        "in_flight",
        "is_new_log",
        "is_read_up",
        "is_window_full",
        "lanes",
        "ledger",
        "partition",
        "stage",
        "starts_at",
        "topic",
    )

    def __init__(  # noqa: PLR0913  # facts, each by its name
        self,
        topic: str,
        partition: int,
        *,
        generation: int = 0,
        ledger: Ledger | None = None,
        starts_at: int = -1,
        is_new_log: bool = False,
    ) -> None:
        """Begin an assignment at a committed offset. Generations count up within a process."""
        self.topic = topic
        self.partition = partition
        self.generation = generation
        self.ledger = ledger or Ledger()
        self.starts_at = starts_at
        self.is_new_log = is_new_log  # the topic began anew: places that memoirs name are not places in this log
        self.is_read_up = True  # nothing waits in the log, as far as anybody knows
        self.lanes: dict[SessionKey, Lane] = {}
        self.changed: dict[Lane, None] = {}  # lanes whose memoirs no longer say what is true
        self.is_window_full = False  # so much is finished beyond a stuck event that no more records may come: its receipt has no room
        self.in_flight = 0  # calls under way
        self.asides_pending = 0  # dead letters that Kafka has not confirmed
        self.stage = Stage.OWNED

    def __repr__(self) -> str:
        """Name the partition and the generation."""
        return f"Assignment({self.topic}[{self.partition}]#{self.generation} {self.stage.name})"

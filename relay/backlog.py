"""Records that nobody can read yet, by partition, in the order of the log.

In: records from one on whose schema is being fetched. Out: the same records, once there is news.

They are not in the ledger: nothing beyond the first of them can be committed, and whoever owns the partition next reads them again. Other
partitions go on; when too much waits here the source pauses.
"""

from typing import Final

from relay.core.assignment import Assignment, Stage
from relay.core.events import Record

RECORDS_MAX: Final = 10_000  # they are read in one go once there is news: some 50 ms
BYTES_MAX: Final = 16 * 2**20


class Backlog:
    """What waits to be read."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._waiting: dict[Assignment, list[Record]] = {}
        self.record_count = 0
        self.byte_count = 0
        self.left_count = 0  # how many were left to the next owners of their partitions, ever

    def __contains__(self, assignment: Assignment) -> bool:
        """Whether a partition waits: then all that comes after must wait, too."""
        return assignment in self._waiting

    @property
    def is_full(self) -> bool:
        """Whether no more records should come."""
        return self.record_count >= RECORDS_MAX or self.byte_count >= BYTES_MAX

    def add(self, assignment: Assignment, records: list[Record]) -> None:
        """Keep these behind what waits already."""
        self._waiting.setdefault(assignment, []).extend(records)
        self.record_count += len(records)
        self.byte_count += _size(records)

    def take_all(self) -> list[tuple[Assignment, list[Record]]]:
        """Everything that waits, to be read or added again."""
        taken = list(self._waiting.items())
        self._waiting.clear()
        self.record_count = self.byte_count = 0
        return taken

    def drop(self, assignment: Assignment) -> None:
        """The partition leaves: its next owner reads these."""
        records = self._waiting.pop(assignment, [])
        self.left_count += len(records)
        self.record_count -= len(records)
        self.byte_count -= _size(records)

    def drop_foreign(self) -> None:
        """Partitions have gone: keep only what is ours."""
        for assignment in [one for one in self._waiting if one.stage is not Stage.OWNED]:
            self.drop(assignment)

    def oldest_appended_at(self) -> list[float]:
        """When the first record of each partition was appended to the log."""
        return [records[0].appended_at for records in self._waiting.values()]


def _size(records: list[Record]) -> int:
    return sum(len(record.value or b"") + len(record.key or b"") for record in records)

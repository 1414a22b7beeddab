"""Deletes letters that are safe elsewhere, and exports those that are to be.

In: the desk and a choice. Out: for each partition of the dead-letter topic up to which offset it may be cut, and the cut.

Kafka deletes a beginning of a partition, not a single record. So a partition is cut before the first letter that is neither back in its
source topic nor in the file of this run, and the file is on the disk before anything is cut.
"""

import json
import os
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from relay.errors import RelayError
from relay.kafka.client import ClientErrors, error_in, properties
from relay.letters.choice import Choice
from relay.letters.desk import Desk
from relay.letters.shapes import exported
from relay.letters.stored import ReplayedNote

ANSWER_SECONDS: Final = 30.0


class _Deleted(Protocol):
    """The client's answer for one partition."""

    low_watermark: int


class Cut(NamedTuple):
    """What may go of one partition."""

    begin: int
    end: int  # nothing before it is needed any more
    replayed: int  # letters among those that are back in their topics
    exported: int  # and those that stand in the file only
    kept: int  # letters behind the first that nobody has


def survey(desk: Desk, choice: Choice, export: Path | None) -> dict[int, Cut]:
    """Up to where each partition may be cut. With a file, the chosen letters that were not replayed are written into it, and synced."""
    done = desk.replayed()
    bounds = desk.excerpts.bounds(desk.topic)
    # From the beginning on, letter by letter: what was not seen, such as what stands behind an open transaction, is not cut.
    cuts = {partition: Cut(low, low, 0, 0, 0) for partition, (low, _) in bounds.items()}
    stopped: set[int] = set()
    file = export.open("x", encoding="utf-8") if export is not None else None
    try:
        for found in desk.letters({p: low for p, (low, _) in bounds.items()}, {p: high for p, (_, high) in bounds.items()}):
            if isinstance(found, ReplayedNote):
                continue
            partition, cut = found.at_partition, cuts[found.at_partition]
            is_replayed = done.is_replayed((found.topic, found.partition, found.record.offset))
            is_exported = not is_replayed and file is not None and choice.means(found)
            if is_exported and file is not None:
                file.write(json.dumps(exported(found)) + "\n")
            if partition in stopped or not (is_replayed or is_exported):
                stopped.add(partition)
                cuts[partition] = cut._replace(kept=cut.kept + 1)
            else:
                end = found.at_offset + 1
                cuts[partition] = cut._replace(end=end, replayed=cut.replayed + is_replayed, exported=cut.exported + is_exported)
        if file is not None and export is not None:
            file.flush()
            os.fsync(file.fileno())
            _sync_folder(export.resolve().parent)
    finally:
        if file is not None:
            file.close()
    return cuts


def cut(desk: Desk, cuts: Mapping[int, Cut]) -> dict[int, int]:
    """Delete what may go. Returns where each partition begins now."""
    places = [TopicPartition(desk.topic, partition, one.end) for partition, one in cuts.items() if one.end > one.begin]
    if not places:
        return {}
    given = properties("purge", bootstrap_servers=desk.bootstrap_servers, extra=desk.client, ours={}, errors=ClientErrors("purge"))
    admin = AdminClient(given)  # kept until all is answered: who asks and is gone hears no answer
    try:
        futures: dict[TopicPartition, Future[_Deleted]] = admin.delete_records(  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            places, request_timeout=ANSWER_SECONDS, operation_timeout=ANSWER_SECONDS
        )
        return {place.partition: future.result(ANSWER_SECONDS).low_watermark for place, future in futures.items()}
    except KafkaException as exception:
        raise RelayError(
            f"records of {desk.topic} cannot be deleted: {error_in(exception).str()}; grant DELETE on the topic"
        ) from exception


def _sync_folder(folder: Path) -> None:
    """A new file's name is durable only when its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

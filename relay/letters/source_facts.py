"""Follows the source topic for the sessions whose letters are to be replayed.

In: an `Excerpts`, the relay's reader, what the group has committed. Out: `Facts` for each session, up to the end of the topic at the latest
`catch_up`. Records of other sessions are passed over by their keys; memory grows with the sessions of interest only.
"""

from collections.abc import Callable, Collection
from typing import Final, TypeAlias

from relay.core import receipts
from relay.core.events import EventType, PlayerEvent, Record, Said, SessionKey
from relay.core.replays import END_HEADER, ORIGIN_HEADER, end_of
from relay.input.decoding import Awaited, Unreadable
from relay.kafka.excerpt import Committed, Excerpts
from relay.kafka.reading import record_of
from relay.letters.index import Index, Whose
from relay.letters.plays import Facts, Seen
from relay.letters.stored import number_of

Reads: TypeAlias = Callable[[Record], tuple[SessionKey, Said]]

_NOTHING_LIVE: Final = -1  # the origin of what no player has said


def event_of(record: Record, read: Reads) -> tuple[SessionKey | None, PlayerEvent | None]:
    """The session and the event of a record, as far as they can be read; of several events, the one that matters most for a play."""
    try:
        key, said = read(record)
    except Unreadable as unreadable:
        return unreadable.key, None
    except Awaited:
        return None, None
    events = said if isinstance(said, tuple) else (said,) if isinstance(said, PlayerEvent) else ()
    weights = {EventType.SESSION_START: 2, EventType.SESSION_END: 1}
    return key, max(events, key=lambda event: weights.get(event.event_type, 0), default=None)


class SourceFacts:
    """The source topics as far as they have been read."""

    def __init__(self, excerpts: Excerpts, read: Reads, index: Index, sessions: Collection[Whose], *, are_keys_text: bool) -> None:
        """Begin at the beginning of each partition that one of the sessions is in."""
        self.record_count = 0
        self._excerpts = excerpts
        self._read = read
        self._index = index
        self._are_keys_text = are_keys_text
        self._keys = frozenset(str(session).encode("utf-8", "surrogatepass") for _, _, session in sessions)
        self._facts = {place: Facts() for place in sessions}
        self._next: dict[tuple[str, int], int] = {}
        self._finished: dict[tuple[str, int], tuple[int, receipts.Ranges]] = {}
        self._places = {(topic, partition) for topic, partition, _ in sessions}

    def begin(self) -> None:
        """All letters are known by now: what their sessionStarts said may no longer be in the topic."""
        for place, facts in self._facts.items():
            for offset, start in sorted(self._index.starts.get(place, {}).items()):
                facts.knows_start(offset, start)

    def last_live_offset(self, place: Whose) -> int:
        """Where the player of a session last spoke, as far as the topic was read."""
        facts = self._facts.get(place)
        return -1 if facts is None else facts.last_live_offset

    def of(self, place: Whose) -> Facts:
        """What is known of a session."""
        return self._facts[place]

    def learn_what_is_finished(self) -> None:
        """Ask what the group has committed. Before the last look at the letters, so that what is finished by then has its letter there."""
        for topic in {topic for topic, _ in self._places}:
            partitions = [partition for name, partition in self._places if name == topic]
            for partition, committed in self._excerpts.committed(topic, partitions).items():
                self._finished[topic, partition] = _finished(committed)

    def catch_up(self) -> None:
        """Read up to where the topics end now."""
        for topic in {topic for topic, _ in self._places}:
            bounds = self._excerpts.bounds(topic)
            partitions = [partition for name, partition in self._places if name == topic and partition in bounds]
            begins = {partition: self._next.get((topic, partition), bounds[partition][0]) for partition in partitions}
            ends = {partition: bounds[partition][1] for partition in partitions}
            for message in self._excerpts.read(topic, begins, ends):
                self._see(topic, message.partition() or 0, record_of(message))
            self._next |= {(topic, partition): max(ends[partition], begins[partition]) for partition in partitions}

    def _see(self, topic: str, partition: int, record: Record) -> None:
        self.record_count += 1
        if self._are_keys_text and record.key and record.key not in self._keys:
            return
        key, event = event_of(record, self._read)
        marks = dict(record.headers) if record.headers else {}
        is_end = END_HEADER in marks
        if is_end and (end := end_of(record)) is not None:
            key, event = end[0], None
        facts = self._facts.get((topic, partition, key)) if key is not None else None
        if facts is None:
            return
        origin = marks.get(ORIGIN_HEADER)
        safe, ranges = self._finished[topic, partition]
        facts.see(
            Seen(
                offset=record.offset,
                origin=_NOTHING_LIVE
                if is_end
                else number_of(origin.decode("ascii", "replace"), record.offset)
                if origin is not None
                else record.offset,
                timestamp_ms=record.timestamp_ms,
                event=event,
                is_finished=record.offset < safe or any(first <= record.offset < end for first, end in ranges),
                has_letter=self._index.holds((topic, partition, record.offset)),
            )
        )


def _finished(committed: Committed) -> tuple[int, receipts.Ranges]:
    if committed.offset is None:
        return 0, ()
    try:
        return committed.offset, receipts.read(committed.metadata, committed.offset) if committed.metadata else ()
    except receipts.NoReceipt:
        return committed.offset, ()

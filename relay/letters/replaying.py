"""Puts letters back into the source topic: in order, at a limited rate, each of them once whatever happens in between.

In: what a replay would do. Out: records in the partitions that they came from, and notes in the dead-letter topic, in one transaction each
time. So a letter is either back in its topic and noted as replayed, or neither; who reads what is committed, as relays do, never sees a
part. Whoever begins a replay for the same group ends one that hangs: its transactions are refused from then on.

Transactions are short, since whatever is written behind an open one waits for its end: one batch, committed at once, then the pause that
the rate asks for.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from confluent_kafka import KafkaException, Producer

from relay.core.events import SessionKey
from relay.core.replays import END_HEADER, ORIGIN_HEADER, ROUND_HEADER, START_HEADER, end_header, start_header
from relay.errors import FatalConsumerError, RelayError
from relay.kafka.client import ClientErrors, Scalar, error_in, properties
from relay.kafka.letter import MESSAGE_BYTES_MAX
from relay.letters.desk import Desk, Outlook
from relay.letters.index import Entry, Place, Whose
from relay.letters.plan import Replaying, Segment
from relay.letters.source_facts import event_of
from relay.letters.stored import ReplayedNote, StoredLetter, note_header

CHUNK_BYTES_MAX: Final = 64 * 2**20  # of letters held at once; a single session may be larger
BATCH_RECORDS_MAX: Final = 200
BATCH_BYTES_MAX: Final = 8 * 2**20
ANSWER_SECONDS: Final = 30.0

_OURS: Final[Mapping[str, Scalar]] = {
    "linger.ms": 2,
    "message.max.bytes": MESSAGE_BYTES_MAX,
    # Who reads these partitions waits behind a transaction that nobody ends. So long at most, if the replay is killed in the middle of one.
    "transaction.timeout.ms": 10_000,
    "topic.metadata.propagation.max.ms": 5_000,
}


class Copy(NamedTuple):
    """One record to be written into the source topic: that of a letter, or the end of a replay."""

    session: Whose
    entry: Entry
    key: bytes | None
    letter: StoredLetter | None  # None for the end of a replay
    headers: list[tuple[str, bytes | None]]


class Outcome(NamedTuple):
    """What a replay has done."""

    replayed: int
    overtaken: dict[Whose, int]  # sessions whose players spoke meanwhile, and how many of their letters stay


class Replay:
    """One run."""

    def __init__(
        self,
        desk: Desk,
        outlook: Outlook,
        *,
        per_second: float,
        tell: Callable[[int], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare; `tell` hears how many letters are replayed so far."""
        self._desk = desk
        self._facts = outlook.facts
        self._plans = [(place, plan) for place, plan in outlook.plans if isinstance(plan, Replaying)]
        self._per_second = per_second
        self._tell = tell
        self._sleep = sleep
        self._seen = {place: self._facts.last_live_offset(place) for place, _ in self._plans}
        self._overtaken: dict[Whose, int] = {}
        self._replayed = 0

    def run(self) -> Outcome:
        """Replay everything that may be."""
        given = properties(
            "replay",
            bootstrap_servers=self._desk.bootstrap_servers,
            extra=self._desk.client,
            ours=_OURS,
            errors=ClientErrors("replay"),
        )
        producer = Producer(given | {"transactional.id": f"{self._desk.group_id}.dead-letters.replay"})
        try:
            producer.init_transactions(ANSWER_SECONDS)
            for batch in _batches(self._copies(), min(BATCH_RECORDS_MAX, max(1, int(self._per_second)))):
                began = time.monotonic()
                self._write(producer, self._not_overtaken(batch))
                self._tell(self._replayed)
                self._sleep(max(0.0, len(batch) / self._per_second - (time.monotonic() - began)))
        except KafkaException as exception:
            raise _failed(exception) from exception
        finally:
            producer.close()
        return Outcome(self._replayed, self._overtaken)

    def _copies(self) -> Iterator[Copy]:
        """All that is to be written, in order; letters are fetched as many at a time as memory allows."""
        chunk: list[tuple[Whose, Replaying]] = []
        byte_count = 0
        for place, plan in self._plans:
            size = sum(entry.byte_count for entry in plan.entries)
            if chunk and byte_count + size > CHUNK_BYTES_MAX:
                yield from self._copies_of(chunk)
                chunk, byte_count = [], 0
            chunk.append((place, plan))
            byte_count += size
        yield from self._copies_of(chunk)

    def _copies_of(self, chunk: list[tuple[Whose, Replaying]]) -> Iterator[Copy]:
        letters = self._desk.fetch([entry for _, plan in chunk for entry in plan.entries])
        for place, plan in chunk:
            for segment in plan.segments:
                yield from self._copies_of_play(place, segment, letters)

    def _copies_of_play(self, place: Whose, segment: Segment, letters: Mapping[Place, StoredLetter]) -> Iterator[Copy]:
        start = None if segment.start is None else start_header(segment.start, resume=segment.resumes)
        playhead, ts = 0.0, 0
        for entry in segment.entries:
            letter = letters[entry.place]
            headers = [*letter.record.headers, (ROUND_HEADER, str(entry.round + 1).encode()), (ORIGIN_HEADER, str(entry.origin).encode())]
            if start is not None:
                headers.append((START_HEADER, start))
                start = None
            _, event = event_of(letter.record, self._desk.read_event)
            playhead, ts = (event.playhead, event.ts) if event is not None else (playhead, ts or letter.timestamp)
            yield Copy(place, entry, letter.record.key, letter, headers)
        if segment.ends and isinstance(place[2], str):
            last = segment.entries[-1]
            end = end_header(SessionKey(place[2]), playhead=playhead, ts=ts)
            yield Copy(place, last, letters[last.place].record.key, None, [(ROUND_HEADER, str(last.round + 1).encode()), (END_HEADER, end)])

    def _not_overtaken(self, batch: list[Copy]) -> list[Copy]:
        """Whose player has spoken since the plan was made keeps the rest of its letters: they would come behind what it said."""
        self._facts.catch_up()
        kept: list[Copy] = []
        for copy in batch:
            if self._facts.last_live_offset(copy.session) == self._seen[copy.session]:
                kept.append(copy)
            elif copy.letter is not None:
                self._overtaken[copy.session] = self._overtaken.get(copy.session, 0) + 1
        return kept

    def _write(self, producer: Producer, copies: list[Copy]) -> None:
        if not copies:
            return
        notes: dict[tuple[int, str, int], tuple[bytes | None, list[int]]] = {}
        producer.begin_transaction()
        for copy in copies:
            entry, letter = copy.entry, copy.letter
            value = None if letter is None else letter.record.value
            producer.produce(entry.topic, key=copy.key, value=value, partition=entry.partition, headers=list(copy.headers))
            if letter is not None:
                notes.setdefault((entry.at_partition, entry.topic, entry.partition), (letter.record.key, []))[1].append(entry.offset)
        for (at_partition, topic, partition), (key, offsets) in notes.items():
            header = note_header(ReplayedNote(topic, partition, offsets))
            producer.produce(self._desk.topic, key=key, partition=at_partition, headers=[header])
        producer.commit_transaction(ANSWER_SECONDS)
        self._replayed += sum(copy.letter is not None for copy in copies)


def _batches(copies: Iterator[Copy], records_max: int) -> Iterator[list[Copy]]:
    batch: list[Copy] = []
    byte_count = 0
    for copy in copies:
        size = 0 if copy.letter is None else copy.letter.byte_count
        if batch and (len(batch) >= records_max or byte_count + size > BATCH_BYTES_MAX):
            yield batch
            batch, byte_count = [], 0
        batch.append(copy)
        byte_count += size
    if batch:
        yield batch


def _failed(exception: KafkaException) -> RelayError:
    error = error_in(exception)
    if error.fatal():
        return FatalConsumerError(f"the replay was fenced ({error.str()}): another replay of the same group has begun")
    return RelayError(f"the replay stopped: {error.str()}; what was committed is noted, so the same command goes on from there")

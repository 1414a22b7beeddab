"""Where dead letters are worked with: finds them, and knows what a replay of them would send.

In: addresses and names, and the relay's reader. Out: letters one by one, an index, plans by session.

The order of looking is the promise: first the letters, then what the group has committed, then the letters that have come since, then the
source topic. So every record that is finished by then is known to have a letter or not, and no letter is replayed before an older one.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from relay.core.events import Details, EventType, Record, Said, SessionKey
from relay.core.memoir import Memoir
from relay.kafka.client import Scalar
from relay.kafka.excerpt import Excerpts
from relay.kafka.state_topic import StateTopic
from relay.letters.choice import Choice
from relay.letters.index import Entry, Index, Place, Whose, by_session, entry_of
from relay.letters.plan import HeldBack, Replaying, Terms, plan
from relay.letters.plays import Facts
from relay.letters.source_facts import Reads, SourceFacts, event_of
from relay.letters.stored import ReplayedNote, StoredLetter, read

__all__ = ["Desk", "Outlook", "Plan"]

Plan: TypeAlias = Replaying | HeldBack
StateTopicOf: TypeAlias = Callable[[str], str]

_ALL: Final = Choice()


class Outlook(NamedTuple):
    """What a replay would do."""

    plans: list[tuple[Whose, Plan]]
    staying: list[tuple[Entry, str]]  # letters that are not replayed, and why
    facts: SourceFacts


class Desk:
    """The dead letters of one group. To be closed."""

    def __init__(  # noqa: PLR0913  # settings, each by its name
        self,
        *,
        bootstrap_servers: str,
        client: Mapping[str, Scalar],
        group_id: str,
        topic: str,
        state_topic_of: StateTopicOf | None,
        read: Callable[[Record], tuple[SessionKey, Said]],
        are_keys_text: bool = True,
    ) -> None:
        """Take the settings; without a state topic, memoirs are not asked. Keys that are text need not be read to be told apart."""
        self.topic = topic
        self.group_id = group_id
        self.bootstrap_servers = bootstrap_servers
        self.client = client
        self.excerpts = Excerpts(bootstrap_servers=bootstrap_servers, group_id=group_id, client=client)
        self._state_topic_of = state_topic_of
        self.read_event: Reads = read
        self._are_keys_text = are_keys_text

    def close(self) -> None:
        """Let go of Kafka."""
        self.excerpts.close()

    # --- letters ----------------------------------------------------------------------------------------------------------------------

    def letters(
        self, begins: Mapping[int, int] | None = None, ends: Mapping[int, int] | None = None
    ) -> Iterator[StoredLetter | ReplayedNote]:
        """Every letter and note, each partition in its order, up to where the topic ends when the reading begins."""
        bounds = self.excerpts.bounds(self.topic)
        from_there = {partition: low for partition, (low, _) in bounds.items()} if begins is None else begins
        up_to = {partition: high for partition, (_, high) in bounds.items()} if ends is None else ends
        for message in self.excerpts.read(self.topic, from_there, up_to):
            found = read(message)
            if found is not None:
                yield found

    def replayed(self) -> Index:
        """An index of what was replayed, and of nothing else."""
        index = Index()
        for found in self.letters():
            if isinstance(found, ReplayedNote):
                index.note(found)
        return index

    def letter_at(self, partition: int, offset: int) -> StoredLetter | None:
        """The letter at a place of the dead-letter topic."""
        low, high = self.excerpts.bounds(self.topic).get(partition, (0, 0))
        if not low <= offset < high:
            return None
        found = next(self.letters({partition: offset}, {partition: high}), None)
        return found if isinstance(found, StoredLetter) and found.at_offset == offset else None

    def fetch(self, entries: Collection[Entry]) -> dict[Place, StoredLetter]:
        """The letters themselves, by the places of their records. Holds them all."""
        wanted = {(entry.at_partition, entry.at_offset) for entry in entries}
        begins: dict[int, int] = {}
        ends: dict[int, int] = {}
        for partition, offset in wanted:
            begins[partition] = min(begins.get(partition, offset), offset)
            ends[partition] = max(ends.get(partition, 0), offset + 1)
        return {
            (letter.topic, letter.partition, letter.record.offset): letter
            for letter in self.letters(begins, ends)
            if isinstance(letter, StoredLetter) and (letter.at_partition, letter.at_offset) in wanted
        }

    # --- what a replay would do -------------------------------------------------------------------------------------------------------

    def outlook(self, choice: Choice = _ALL, *, rounds_max: int, terms: Terms, now_ms: int | None = None) -> Outlook:
        """Look at everything, and say what a replay of the chosen letters would do. A session is replayed whole."""
        index = Index()
        meant: set[Whose] = set()
        ends = {partition: high for partition, (_, high) in self.excerpts.bounds(self.topic).items()}
        self._take_in(index, meant, choice, None, ends)
        sessions = {place for place in meant if isinstance(place[2], str)}
        facts = SourceFacts(self.excerpts, self.read_event, index, sessions, are_keys_text=self._are_keys_text)
        facts.learn_what_is_finished()
        self._take_in(index, set(), choice, ends, {partition: high for partition, (_, high) in self.excerpts.bounds(self.topic).items()})
        facts.begin()
        facts.catch_up()
        memoirs = self._memoirs({place[:2] for place in sessions})
        now = int(time.time() * 1000) if now_ms is None else now_ms
        staying: list[tuple[Entry, str]] = []
        plans: list[tuple[Whose, Plan]] = []
        for place, entries in by_session(index.left()).items():
            if place not in meant:
                continue
            ready = [entry for entry in entries if not _stays(entry, rounds_max, staying)]
            if ready:
                known = facts.of(place) if isinstance(place[2], str) else Facts()
                plans.append((place, plan(ready, known, memoirs.get(place), now_ms=now, terms=terms)))
        return Outlook(plans, staying, facts)

    def _take_in(
        self,
        index: Index,
        meant: set[Whose],
        choice: Choice,
        begins: Mapping[int, int] | None,
        ends: Mapping[int, int],
    ) -> None:
        for found in self.letters(begins, ends):
            if isinstance(found, ReplayedNote):
                index.note(found)
                continue
            _, event = event_of(found.record, self.read_event)
            entry = entry_of(found, "" if event is None else event.event_type)
            index.add(entry)
            if entry.session is not None and event is not None and event.event_type is EventType.SESSION_START:
                starts = index.starts.setdefault((entry.topic, entry.partition, entry.session), {})
                starts[entry.origin] = Details(params=event.params, custom_metadata=event.custom_metadata)
            if choice.means(found):
                meant.add(entry.place if entry.session is None else (entry.topic, entry.partition, entry.session))

    def _memoirs(self, partitions: Collection[tuple[str, int]]) -> dict[Whose, Memoir]:
        if self._state_topic_of is None or not partitions:
            return {}
        return asyncio.run(self._read_memoirs(sorted(partitions)))

    async def _read_memoirs(self, partitions: Sequence[tuple[str, int]]) -> dict[Whose, Memoir]:
        assert self._state_topic_of is not None
        state = StateTopic(
            bootstrap_servers=self.bootstrap_servers,
            name_of=self._state_topic_of,
            group_id=self.group_id,
            loop=asyncio.get_running_loop(),
            client=self.client,
        )
        memoirs: dict[Whose, Memoir] = {}
        try:
            for topic, partition in partitions:
                is_read = asyncio.Event()

                def found(entries: list[tuple[SessionKey, Memoir | None]], topic: str = topic, partition: int = partition) -> None:
                    memoirs.update({(topic, partition, key): memoir for key, memoir in entries if memoir is not None})

                state.restore(topic, partition, found, is_read.set)
                await is_read.wait()
        finally:
            state.close()
        return memoirs


def _stays(entry: Entry, rounds_max: int, staying: list[tuple[Entry, str]]) -> bool:
    if "value" in entry.left_out or "key" in entry.left_out:
        staying.append(
            (entry, f"its {entry.left_out} did not fit into the letter; the record may still be at its place in the source topic")
        )
        return True
    if entry.round >= rounds_max:
        staying.append((entry, f"it was replayed {entry.round} times, and set aside again each time"))
        return True
    return False

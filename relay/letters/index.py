"""What there is of letters, without what is in them: where each stands, of which session it is, and whether it was replayed.

In: letters and notes, in any order. Out: those that are left, by session. Some hundred bytes for each letter, whatever it holds.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec

from relay.core.events import Details
from relay.letters.stored import ReplayedNote, StoredLetter

Place: TypeAlias = tuple[str, int, int]
"""Topic, partition and offset in a source topic."""

Whose: TypeAlias = tuple[str, int, str | int]
"""Topic, partition and key: what is a player session to the relay. A letter that names no session stands for itself, by its offset."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One letter in the index."""

    topic: str
    partition: int
    offset: int  # in the source topic, of the record that was set aside
    origin: int  # the same, of the record as it first came
    at_partition: int
    at_offset: int
    session: str | None
    reason: str
    round: int
    byte_count: int
    left_out: str
    kind: str = ""  # the type of its event; empty when it cannot be read

    @property
    def place(self) -> Place:
        """Where its record stands."""
        return self.topic, self.partition, self.offset


def entry_of(letter: StoredLetter, kind: str = "") -> Entry:
    """What the index keeps of a letter."""
    return Entry(
        letter.topic,
        letter.partition,
        letter.record.offset,
        letter.origin,
        letter.at_partition,
        letter.at_offset,
        letter.session,
        letter.reason,
        letter.round,
        letter.byte_count,
        letter.left_out,
        kind,
    )


class Index:
    """All letters that were looked at. One that was written twice, since a crash came between, counts once."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._entries: dict[Place, Entry] = {}
        self._replayed: set[Place] = set()
        self.starts: dict[Whose, dict[int, Details]] = {}  # what sessionStarts said that were set aside, by where they first stood

    def add(self, entry: Entry) -> None:
        """A letter."""
        self._entries.setdefault(entry.place, entry)

    def note(self, note: ReplayedNote) -> None:
        """Letters were replayed."""
        self._replayed.update((note.topic, note.partition, offset) for offset in note.offsets)

    def is_replayed(self, place: Place) -> bool:
        """Whether the letter of a record was replayed."""
        return place in self._replayed

    def holds(self, place: Place) -> bool:
        """Whether a record has a letter, replayed or not."""
        return place in self._entries

    def left(self) -> Iterator[Entry]:
        """The letters that were not replayed."""
        return (entry for place, entry in self._entries.items() if place not in self._replayed)


def by_session(entries: Iterable[Entry]) -> dict[Whose, list[Entry]]:
    """Letters by session, each session's in the order in which its events first came. What names no session stands alone."""
    found: dict[Whose, list[Entry]] = {}
    for entry in sorted(entries, key=lambda one: (one.topic, one.partition, one.origin, one.offset)):
        place = entry.place if entry.session is None else (entry.topic, entry.partition, entry.session)
        found.setdefault(place, []).append(entry)
    return found

"""The account of what Kafka confirmed: the truth that a delivery is later compared with.

In: one `Confirmed` for each record. Out: the same by player session in memory, or as JSON lines in a file.
"""

from pathlib import Path
from typing import Final, Self

import msgspec

_ENCODE: Final = msgspec.json.Encoder().encode


class Confirmed(msgspec.Struct, frozen=True, gc=False, rename="camel", omit_defaults=True):
    """Where a record is now."""

    session: str
    ts: int
    event_type: str
    topic: str
    partition: int
    offset: int
    is_poison: bool = False


class Manifest:
    """What was confirmed, by player session, in the order of the topic. It grows with each record: meant for a bounded run."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.by_session: dict[str, list[Confirmed]] = {}

    def add(self, confirmed: Confirmed) -> None:
        """Keep one more."""
        self.by_session.setdefault(confirmed.session, []).append(confirmed)

    def events(self, session: str) -> list[Confirmed]:
        """Return what of a session is an event: everything but poison."""
        return [confirmed for confirmed in self.by_session.get(session, []) if not confirmed.is_poison]


class ManifestFile:
    """The same as JSON lines, in a file that is written anew."""

    def __init__(self, file: Path) -> None:
        """Open the file; an OSError is the caller's to explain."""
        self._file = file.open("wb")

    def add(self, confirmed: Confirmed) -> None:
        """Write one more line."""
        self._file.write(_ENCODE(confirmed) + b"\n")

    def __enter__(self) -> Self:
        """Use it in a `with` block, which closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Write what is left and close."""
        self._file.close()

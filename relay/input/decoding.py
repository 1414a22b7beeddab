"""Record bytes → JSON text and session key, whatever format they are in: the seam between a format and what reads events.

In: a record. Out: its value as JSON text and its key, `Unreadable` when there is no sense in it, `Awaited` when that cannot be said yet.

Every format ends in JSON text, so what reads events knows one form only: the native event takes the text over byte for byte, a mapping
parses it. JSON itself costs nothing on the way.
"""

from collections.abc import Callable
from typing import Final, Protocol

from relay.core.events import Record, SessionKey
from relay.core.reasons import Reason

RECORD_BYTES_MAX: Final = 262_144
KEY_BYTES_MAX: Final = 1_024
DETAIL_CHARACTERS_MAX: Final = 500


class Unreadable(Exception):  # noqa: N818  # a fact about a record, not an error of the relay
    """The record is no event: why, and where."""

    def __init__(self, reason: Reason, detail: str, key: SessionKey | None = None) -> None:
        """Say why; the key is there when it could be read."""
        super().__init__(f"{reason}: {detail[:DETAIL_CHARACTERS_MAX]}")
        self.reason = reason
        self.detail = detail[:DETAIL_CHARACTERS_MAX]  # it may quote what came in
        self.key = key


class Awaited(Exception):  # noqa: N818  # likewise
    """Nobody can read the record yet: what it takes is being fetched. Whoever raises it says later that there is news."""


class Decodes(Protocol):
    """What one format can do."""

    def json(self, record: Record) -> bytes:
        """The value as JSON text. Raises `Unreadable` or `Awaited`."""
        ...

    def key(self, record: Record) -> SessionKey | None:
        """The record's key as a session key; None when there is none. Raises `Unreadable` or `Awaited`."""
        ...

    def tell(self, news: Callable[[], None]) -> None:
        """Have `news` called, on the loop, whenever a record that was awaited may be read."""
        ...


class PlainJson:
    """Values that are JSON as they come, and keys that are text."""

    def __init__(self, record_bytes_max: int = RECORD_BYTES_MAX) -> None:
        """Say how large a value may be."""
        self._record_bytes_max = record_bytes_max

    def json(self, record: Record) -> bytes:
        """The value itself. Whether it is JSON, whoever parses it will find."""
        return sized(record.value, self._record_bytes_max)

    def key(self, record: Record) -> SessionKey | None:
        """The key as text."""
        return read_key(record.key)

    def tell(self, news: Callable[[], None]) -> None:
        """Nothing is ever awaited."""


def sized(value: bytes | None, bytes_max: int) -> bytes:
    """A value that is there and not too large. Raises `Unreadable`."""
    if not value:
        raise Unreadable(Reason.EMPTY_VALUE, "the record has no value; expected an event")
    if len(value) > bytes_max:
        raise Unreadable(Reason.RECORD_TOO_LARGE, f"{len(value)} bytes; at most {bytes_max} are read")
    return value


def read_key(key: bytes | None) -> SessionKey | None:
    """The record's key as a session key; None when there is none. Raises `Unreadable`."""
    if not key:
        return None
    if len(key) > KEY_BYTES_MAX:
        raise Unreadable(Reason.INVALID_KEY, f"the key has {len(key)} bytes; at most {KEY_BYTES_MAX} are taken")
    try:
        return SessionKey(key.decode())
    except UnicodeDecodeError as error:
        raise Unreadable(Reason.INVALID_KEY, f"the key is not UTF-8: byte {error.start} is 0x{key[error.start]:02x}") from None

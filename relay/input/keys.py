"""Keys that are more than text: JSON, or a member of it.

In: a key as JSON text. Out: the session key.
"""

from typing import Final, Literal, TypeAlias

import msgspec

from relay.core.events import Record, SessionKey
from relay.core.reasons import Reason
from relay.input.decoding import KEY_BYTES_MAX, RECORD_BYTES_MAX, PlainJson, Unreadable

KeyFormat: TypeAlias = Literal["raw", "json", "registry"]

WRITTEN_BYTES_MAX: Final = 16 * KEY_BYTES_MAX  # of a key in which the session's is a member among others

_decode: Final = msgspec.json.Decoder().decode


class JsonKeys(PlainJson):
    """Values that are JSON as they come, and keys that are JSON as well."""

    def __init__(self, *, field: str | None, record_bytes_max: int = RECORD_BYTES_MAX) -> None:
        """Say which member of a key names the session, where keys are objects."""
        super().__init__(record_bytes_max)
        self._field = field

    def key(self, record: Record) -> SessionKey | None:
        """The key, parsed."""
        return key_in_json(bounded(record.key), self._field) if record.key else None


def bounded(key: bytes | None) -> bytes:
    """A key that is not too long to be parsed. Raises `Unreadable`."""
    if key is None or len(key) > WRITTEN_BYTES_MAX:
        raise Unreadable(Reason.INVALID_KEY, f"the key has {len(key or b'')} bytes; at most {WRITTEN_BYTES_MAX} are read")
    return key


def key_in_json(json: bytes, field: str | None) -> SessionKey | None:
    """The session key in a key: a text or a whole number, by itself or as a member of an object. None for null and for an empty text."""
    try:
        found: object = _decode(json)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Unreadable(Reason.INVALID_KEY, f"the key is not JSON: {error}") from None
    where = "the key"
    if field is not None:
        where = f"the member {field} of the key"
        for name in field.split("."):
            found = found.get(name) if isinstance(found, dict) else None  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if isinstance(found, dict):
        raise Unreadable(Reason.INVALID_KEY, f"{where} is an object; RELAY_INPUT__KEY_FIELD says which of its members names the session")
    if found is None or found == "":
        return None
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    if not isinstance(found, str):
        raise Unreadable(Reason.INVALID_KEY, f"{where} is neither a text nor a whole number")
    if len(found.encode("utf-8", "surrogatepass")) > KEY_BYTES_MAX:
        raise Unreadable(Reason.INVALID_KEY, f"{where} has more than {KEY_BYTES_MAX} bytes")
    return SessionKey(found)

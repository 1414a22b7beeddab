"""An input by which a record may say several things, an array of native events, or report states of its player.

In: the bytes of a record. Out: what it says, or `Unreadable`.
"""

import json

import msgspec
from simulation.states import MARK, read_facts

from relay.core.events import Part, Record, Said, SessionKey
from relay.input.decoding import Decodes, read_key
from relay.input.native import NativeInput


class SeveralAtOnce:
    """Reads native events, alone or in an array, and states."""

    def __init__(self, decoder: Decodes) -> None:
        """Each of them is read as one alone would be."""
        self._decoder = decoder
        self._native = NativeInput(decoder=decoder)
        self._one = NativeInput()

    def read(self, record: Record) -> tuple[SessionKey, Said]:
        """What a record says."""
        if (record.value or b"").startswith(MARK):
            key = read_key(record.key)
            assert key is not None
            return key, read_facts(self._decoder.json(record), record)
        if not (record.value or b"").startswith(b"[{"):
            return self._native.read(record)
        value = self._decoder.json(record)
        members = json.loads(value)
        read = [self._one.read(msgspec.structs.replace(record, value=json.dumps(member).encode())) for member in members]
        parts = (Part(number, len(read)) for number in range(1, len(read) + 1))
        events = tuple(msgspec.structs.replace(event, record=record, part=part) for (_, event), part in zip(read, parts, strict=True))
        return read[0][0], events

"""CloudEvents around raw events of any vocabulary: the envelope is taken off before anybody reads what is inside.

In: records, by way of the decoder of their format. Out: the JSON text of the event's data, and the session key: the record's key, else
the extension `partitionkey`.

Both content modes of the Kafka protocol binding (https://github.com/cloudevents/spec, cloudevents/bindings/kafka-protocol-binding.md) are
told apart as it says: by the record's `content-type` header, or by `ce_specversion` among the headers. Without headers the value decides:
an object with `specversion` is an envelope.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from relay.core.events import Record, SessionKey
from relay.core.reasons import Reason
from relay.input.decoding import Decodes, Unreadable, read_key

PREFIX: Final = "cloudevents+"


class _Envelope(msgspec.Struct, gc=False):
    specversion: str
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    partitionkey: str = ""


_open: Final = msgspec.json.Decoder(_Envelope).decode


class CloudEvents:
    """Takes envelopes off."""

    def __init__(self, decoder: Decodes) -> None:
        """Read records by this format."""
        self._decoder = decoder

    def json(self, record: Record) -> bytes:
        """The data as JSON text. Raises `Unreadable` or `Awaited`."""
        text = self._decoder.json(record)
        if _is_binary(record):
            return text
        data = _envelope(text).data
        if data is msgspec.UNSET:
            raise Unreadable(Reason.INVALID_EVENT, "$.data: missing; the envelope holds no event (data_base64 is not read)")
        return bytes(data)

    def key(self, record: Record) -> SessionKey | None:
        """The record's key, else the envelope's partition key."""
        key = self._decoder.key(record)
        if key is not None:
            return key
        if _is_binary(record):
            return read_key(next((value for name, value in record.headers if name == "ce_partitionkey"), None))
        return SessionKey(partition_key) if (partition_key := _envelope(self._decoder.json(record)).partitionkey) else None

    def tell(self, news: Callable[[], None]) -> None:
        """Pass it on."""
        self._decoder.tell(news)


def _is_binary(record: Record) -> bool:
    return any(name == "ce_specversion" for name, _ in record.headers)


def _envelope(text: bytes) -> _Envelope:
    try:
        return _open(text)
    except msgspec.ValidationError as error:
        raise Unreadable(Reason.INVALID_EVENT, f"this is no CloudEvents envelope: {error}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Unreadable(Reason.NOT_JSON, str(error)) from None

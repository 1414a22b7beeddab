"""Decodes what is written in schemas of a registry: values, keys or both.

In: records, the operator's choice of formats, schemas. Out: JSON text and session keys.
"""

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from relay.core.events import Record, SessionKey
from relay.core.reasons import Reason
from relay.input.avro import UnusableSchema, compile_avro
from relay.input.decoding import RECORD_BYTES_MAX, Unreadable, read_key, sized
from relay.input.framing import Framed, message_in, unframe
from relay.input.json_schema import compile_json_schema
from relay.input.keys import KeyFormat, bounded, key_in_json
from relay.input.protobuf import compile_protobuf
from relay.input.registry import Schema
from relay.input.schemas import Schemas

ValueFormat: TypeAlias = Literal["json", "avro", "protobuf", "json-schema"]

TEXT_PER_BYTE_MAX: Final = 16  # names of members come from the schema: JSON may be so much longer than the bytes of a record

_KINDS: Final[dict[str, ValueFormat]] = {"AVRO": "avro", "PROTOBUF": "protobuf", "JSON": "json-schema"}


class Prepared:
    """How to read what is written in one schema."""

    __slots__ = ("format", "read")

    def __init__(self, form: ValueFormat, read: Callable[[Framed], bytes]) -> None:
        """Say what it is written in."""
        self.format = form
        self.read = read


def prepare(schema: Schema) -> Prepared:
    """Make a schema ready. Raises `UnusableSchema`."""
    form = _KINDS.get(schema.kind)
    if form == "protobuf":
        read_message = compile_protobuf(schema.text, schema.references)

        def read_protobuf(framed: Framed) -> bytes:
            steps, payload = message_in(framed)
            return read_message(payload, steps)

        return Prepared(form, read_protobuf)
    if form is None:
        raise UnusableSchema(f"its kind is {schema.kind:.40}")
    read = (compile_avro if form == "avro" else compile_json_schema)(schema.text, schema.references)
    return Prepared(form, lambda framed: read(framed.payload))


class Registered:
    """The decoder for values and keys of a registry."""

    def __init__(  # noqa: PLR0913  # settings, each by its name
        self,
        schemas: Schemas[Prepared],
        *,
        form: ValueFormat,
        key_format: KeyFormat = "raw",
        key_field: str | None = None,
        checks_json: bool = True,
        record_bytes_max: int = RECORD_BYTES_MAX,
    ) -> None:
        """Say what values and keys are written in. Without `checks_json` a value of JSON Schema is taken without a look at its schema."""
        self._schemas = schemas
        self._form = form
        self._key_format = key_format
        self._key_field = key_field
        self._checks_json = checks_json
        self._record_bytes_max = record_bytes_max

    def tell(self, news: Callable[[], None]) -> None:
        """Have `news` called when a schema has come."""
        self._schemas.tell(news)

    def json(self, record: Record) -> bytes:
        """The value as JSON text."""
        value = sized(record.value, self._record_bytes_max)
        if self._form == "json":
            return value
        framed = unframe(record, "value")
        if self._form == "json-schema" and not self._checks_json:
            return framed.payload
        prepared = self._schemas.find(framed.schema_id, record.appended_at)
        if prepared.format != self._form:
            detail = f"schema {framed.schema_id} is {prepared.format}, and RELAY_INPUT__FORMAT is {self._form}"
            raise Unreadable(Reason.UNUSABLE_SCHEMA, detail)
        return self._bounded(prepared.read(framed))

    def key(self, record: Record) -> SessionKey | None:
        """The key as a session key."""
        if self._key_format == "raw" or not record.key:
            return read_key(record.key)
        if self._key_format == "json":
            return key_in_json(bounded(record.key), self._key_field)
        bounded(record.key)
        framed = unframe(record, "key")
        return key_in_json(self._schemas.find(framed.schema_id, record.appended_at).read(framed), self._key_field)

    def _bounded(self, text: bytes) -> bytes:
        if len(text) > self._record_bytes_max * TEXT_PER_BYTE_MAX:
            raise Unreadable(
                Reason.RECORD_TOO_LARGE, f"{len(text)} bytes as JSON; at most {TEXT_PER_BYTE_MAX} times those of a record are read"
            )
        return text

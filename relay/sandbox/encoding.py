"""What simulated players say, in Avro, Protobuf or JSON of a schema registry: so that the relay's formats can be tried.

In: native events as JSON, a registry. Out: the same records, framed as Confluent's clients do it. Records that are no events stay the
bytes that they are, without the id of a schema: the relay must set them aside.
"""

import io
import json
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias, cast

from relay.errors import SettingsError, Unreachable
from relay.input.framing import frame
from relay.sandbox.saying import Said

Format: TypeAlias = Literal["json", "avro", "protobuf", "json-schema"]

CONNECT_SECONDS: Final = 10.0

_PLAIN: Final = ["string", "boolean", "long", "double"]
_IDS: Final = {"type": "map", "values": {"type": "map", "values": _PLAIN}}  # visitor.customerIDs
_DETAIL: Final = {"type": "map", "values": [*_PLAIN, _IDS]}
_TEXTS: Final = {"type": "map", "values": "string"}
AVRO: Final = {
    "type": "record",
    "name": "PlayerEvent",
    "namespace": "relay.sandbox",
    "fields": [
        {"name": "eventType", "type": "string"},
        {
            "name": "playerTime",
            "type": {
                "type": "record",
                "name": "PlayerTime",
                "fields": [
                    {"name": "playhead", "type": "double"},
                    {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
                ],
            },
        },
        {"name": "params", "type": ["null", _DETAIL], "default": None},
        {"name": "qoeData", "type": ["null", _DETAIL], "default": None},
        {"name": "customMetadata", "type": ["null", _TEXTS], "default": None},
        {
            "name": "start",
            "type": [
                "null",
                {
                    "type": "record",
                    "name": "Start",
                    "fields": [
                        {"name": "params", "type": ["null", _DETAIL], "default": None},
                        {"name": "customMetadata", "type": ["null", _TEXTS], "default": None},
                    ],
                },
            ],
            "default": None,
        },
        {"name": "sessionKey", "type": ["null", "string"], "default": None},
    ],
}
PROTO: Final = """syntax = "proto3";
package relay.sandbox;
import "google/protobuf/struct.proto";

message PlayerEvent {
  string event_type = 1;
  PlayerTime player_time = 2;
  google.protobuf.Struct params = 3;
  google.protobuf.Struct qoe_data = 4;
  map<string, string> custom_metadata = 5;
  Start start = 6;
  string session_key = 7;

  message PlayerTime {
    double playhead = 1;
    int64 ts = 2;
  }
  message Start {
    google.protobuf.Struct params = 1;
    map<string, string> custom_metadata = 2;
  }
}
"""
JSON_SCHEMA: Final = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "PlayerEvent",
    "type": "object",
    "required": ["eventType", "playerTime"],
    "properties": {
        "eventType": {"type": "string"},
        "playerTime": {
            "type": "object",
            "required": ["playhead", "ts"],
            "properties": {"playhead": {"type": "number"}, "ts": {"type": "integer"}},
        },
        "params": {"type": "object"},
        "qoeData": {"type": "object"},
        "customMetadata": {"type": "object", "additionalProperties": {"type": "string"}},
        "start": {"type": "object"},
        "sessionKey": {"type": "string"},
    },
}

Encode: TypeAlias = Callable[[dict[str, Any]], bytes]


class Encoding:
    """Writes events in a format. Registers its schema when it is made."""

    def __init__(self, form: Format, registry_url: str, topic: str) -> None:
        """Raises `SettingsError` when what it takes is not installed, `Unreachable` when the registry cannot be asked."""
        try:
            encode, kind, schema, self._steps = _ENCODINGS[form]()
            self._encode = encode
            self._schema_number = _register(registry_url, f"{topic}-value", kind, schema)
        except ImportError as error:
            raise SettingsError(
                f"--format {form} needs {error.name}, which is not installed; install the extra: pip install 'relay[registry]'"
            ) from error

    def __call__(self, said: Said) -> bytes | None:
        """The value in the format."""
        if said.value is None or said.is_poison:
            return said.value
        return frame(self._schema_number, self._encode(json.loads(said.value)), steps=self._steps)


def _register(url: str, subject: str, kind: str, schema: str) -> int:
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient  # noqa: PLC0415  # an extra

    try:
        with SchemaRegistryClient({"url": url, "timeout": CONNECT_SECONDS, "max.retries": 1}) as client:
            return int(client.register_schema(subject, Schema(schema, kind)))
    except ImportError:
        raise
    except Exception as error:  # the client's own and those of its HTTP library, which have no common root
        raise Unreachable(f"the schema registry at {url} does not take the schema ({type(error).__name__}: {error})") from error


def _avro() -> tuple[Encode, str, str, tuple[int, ...]]:
    import fastavro  # noqa: PLC0415

    library = cast("Any", fastavro)
    parsed = library.parse_schema(AVRO)

    def encode(event: dict[str, Any]) -> bytes:
        target = io.BytesIO()
        library.schemaless_writer(target, parsed, event)
        return target.getvalue()

    return encode, "AVRO", json.dumps(AVRO), ()


def _protobuf() -> tuple[Encode, str, str, tuple[int, ...]]:
    from google.protobuf import json_format, struct_pb2  # noqa: PLC0415
    from google.protobuf.descriptor_pool import DescriptorPool  # noqa: PLC0415
    from google.protobuf.message_factory import GetMessageClass  # noqa: PLC0415

    from relay.input.proto_text import parse_proto  # noqa: PLC0415

    pool = DescriptorPool()
    pool.AddSerializedFile(struct_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(parse_proto(PROTO, "player_event.proto").SerializeToString())
    message = GetMessageClass(pool.FindMessageTypeByName("relay.sandbox.PlayerEvent"))
    return (lambda event: json_format.ParseDict(event, message()).SerializeToString()), "PROTOBUF", PROTO, (0,)


def _json_schema() -> tuple[Encode, str, str, tuple[int, ...]]:
    return (lambda event: json.dumps(event, separators=(",", ":")).encode()), "JSON", json.dumps(JSON_SCHEMA), ()


_ENCODINGS: Final = {"avro": _avro, "protobuf": _protobuf, "json-schema": _json_schema}

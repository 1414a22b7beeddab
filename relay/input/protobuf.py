"""Protobuf: the bytes of a message → JSON text, within bounds whatever schema and bytes say.

In: a schema, as a `.proto` text or as a descriptor in base64, those that it refers to, then payloads. Out: JSON text, or `Unreadable`.

Members have the names of Protobuf's own JSON mapping (`eventType` for `event_type`, or what `json_name` says). Unlike there, a whole number
of 64 bits stays a number. A field that cannot tell its default from being absent counts as there when it is a number or a boolean, and as
absent when it is an empty text or empty bytes: a playhead of 0 is one, an empty title is none. `Struct`, `Value`, `ListValue` and the
wrappers are what they hold, timestamps and durations texts as in the JSON mapping, bytes base64, enums their names.
"""

import importlib
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

import msgspec
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from relay.core.reasons import Reason
from relay.input.avro import UnusableSchema
from relay.input.decoding import Unreadable
from relay.input.proto_text import NotProto, parse_proto

VALUES_MAX: Final = 100_000
MAIN: Final = "relay-main.proto"

_NAMES_OF_BUILT_IN: Final = {
    "google/protobuf/": "google.protobuf",
    "google/type/": "google.type",
    "confluent/": "confluent_kafka.schema_registry.confluent",
}
_AS_TEXT: Final = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration", "google.protobuf.FieldMask"})
_WRAPPERS: Final = frozenset(
    f"google.protobuf.{kind}Value" for kind in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)
_encode: Final = msgspec.json.Encoder().encode
_Field: Final[Any] = descriptor_pb2.FieldDescriptorProto
_EMPTY_MEANS_ABSENT: Final = (_Field.TYPE_STRING, _Field.TYPE_BYTES)


class _Budget:
    """How many values may still be made: a few bytes may claim many."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = VALUES_MAX

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise Unreadable(Reason.NOT_DECODABLE, f"the message holds more than {VALUES_MAX} values")


Turn = Callable[[Any, _Budget], object]
"""A value of the library → what JSON has for it."""


class _Member(NamedTuple):
    name: str  # the field's
    json_name: str
    turn: Turn | None  # None for what JSON has as it is
    is_repeated: bool
    has_presence: bool
    is_absent_when_empty: bool


def compile_protobuf(text: str, references: Mapping[str, str]) -> Callable[[bytes, tuple[int, ...]], bytes]:
    """How to read payloads of this schema, given the path to the message within it. Raises `UnusableSchema`."""
    pool = DescriptorPool()
    try:
        main = _described(text, MAIN)
        _add(pool, main, references, [])
        file: Any = pool.FindFileByName(main.name)
    except UnusableSchema:
        raise
    except (NotProto, RecursionError) as error:
        raise UnusableSchema(f"not understood as Protobuf: {error}") from error
    except Exception as error:  # the library's own, which have no common root
        raise UnusableSchema(f"not understood as Protobuf ({type(error).__name__})") from error
    messages = list(file.message_types_by_name.values())
    readers: dict[tuple[int, ...], Callable[[bytes], bytes]] = {}
    turns = _Turns()

    def decode(payload: bytes, steps: tuple[int, ...]) -> bytes:
        reader = readers.get(steps)
        if reader is None:
            reader = readers[steps] = _reader(_message(messages, steps), turns)
        return reader(payload)

    return decode


def _reader(descriptor: Any, turns: "_Turns") -> Callable[[bytes], bytes]:
    parse: Callable[[bytes], Any] = GetMessageClass(descriptor).FromString
    turn = turns.of_message(descriptor)

    def read(payload: bytes) -> bytes:
        try:
            return _encode(turn(parse(payload), _Budget()))
        except Unreadable:
            raise
        except Exception as error:  # noqa: BLE001  # whatever the library says of bytes that are not what they should be
            raise Unreadable(Reason.NOT_DECODABLE, f"the bytes are not what their Protobuf schema says ({type(error).__name__})") from None

    return read


def _message(messages: list[Any], steps: tuple[int, ...]) -> Any:
    within, found = messages, None
    for step in steps:
        if not 0 <= step < len(within):
            raise Unreadable(Reason.NOT_DECODABLE, f"the schema has no message at {'.'.join(map(str, steps))}")
        found = within[step]
        within = list(found.nested_types)
    return found


class _Turns:
    """For each type of message how it becomes an object; made once for each, when the first is met."""

    def __init__(self) -> None:
        self._members: dict[str, list[_Member]] = {}

    def of_message(self, descriptor: Any) -> Turn:
        name: str = descriptor.full_name
        if name == "google.protobuf.Struct":
            return self._struct
        if name == "google.protobuf.Value":
            return self._value
        if name == "google.protobuf.ListValue":
            return self._list
        if name in _AS_TEXT:
            return lambda message, _budget: message.ToJsonString()
        if name in _WRAPPERS:
            return lambda message, _budget: message.value
        return lambda message, budget: self._object(message, descriptor, budget)

    def _object(self, message: Any, descriptor: Any, budget: _Budget) -> dict[str, object]:
        members = self._members.get(descriptor.full_name)
        if members is None:
            members = self._members[descriptor.full_name] = [self._member(field) for field in descriptor.fields]
        budget.spend(len(members))
        turned: dict[str, object] = {}
        for name, json_name, turn, is_repeated, has_presence, is_absent_when_empty in members:
            if has_presence:
                if not message.HasField(name):
                    continue
                value = getattr(message, name)
            else:
                value = getattr(message, name)
                if (is_absent_when_empty or is_repeated) and not value:
                    continue
            if not is_repeated:
                turned[json_name] = value if turn is None else turn(value, budget)
            elif turn is None:
                budget.spend(len(value))
                turned[json_name] = list(value)
            else:
                turned[json_name] = turn(value, budget)
        return turned

    def _member(self, field: Any) -> _Member:
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        is_repeated = bool(field.is_repeated)
        if is_map:
            entry: Any = cast("Any", field.message_type).fields_by_name
            turn: Turn | None = self._map(self._scalar(entry["value"]), has_boolean_keys=entry["key"].type == _Field.TYPE_BOOL)
        else:
            turn = self._scalar(field)
            if is_repeated and turn is not None:
                turn = _each(turn)
        return _Member(field.name, field.json_name, turn, is_repeated, bool(field.has_presence), field.type in _EMPTY_MEANS_ABSENT)

    def _scalar(self, field: Any) -> Turn | None:
        """How one value of a field is turned."""
        if field.message_type is not None:
            return self.of_message(field.message_type)
        if field.enum_type is not None:
            names = {value.number: value.name for value in reversed(field.enum_type.values)}
            return lambda number, _budget: names.get(number, number)
        return None

    def _map(self, turn: Turn | None, *, has_boolean_keys: bool) -> Turn:
        def turned(entries: Any, budget: _Budget) -> dict[object, object]:
            budget.spend(len(entries))
            values = dict(entries) if turn is None else {key: turn(entries[key], budget) for key in entries}
            return {str(key).lower(): value for key, value in values.items()} if has_boolean_keys else values

        return turned

    def _struct(self, struct: Any, budget: _Budget) -> dict[str, object]:
        budget.spend(len(struct.fields))
        return {key: self._value(struct.fields[key], budget) for key in struct.fields}

    def _list(self, values: Any, budget: _Budget) -> list[object]:
        budget.spend(len(values.values))
        return [self._value(value, budget) for value in values.values]

    def _value(self, value: Any, budget: _Budget) -> object:
        match value.WhichOneof("kind"):
            case "struct_value":
                return self._struct(value.struct_value, budget)
            case "list_value":
                return self._list(value.list_value, budget)
            case "number_value":
                number: float = value.number_value
                return int(number) if number.is_integer() and abs(number) < 2**53 else number  # it has no other way to say 3
            case "null_value" | None:
                return None
            case kind:
                held: object = getattr(value, kind)
                return held


def _each(turn: Turn) -> Turn:
    def turned(values: Any, budget: _Budget) -> list[object]:
        budget.spend(len(values))
        return [turn(value, budget) for value in values]

    return turned


# --- files --------------------------------------------------------------------------------------------------------------------------------


def _described(text: str, name: str) -> Any:
    """A file's descriptor, from base64 or from text."""
    try:
        packed = b64decode(text, validate=True)
    except ValueError:
        return parse_proto(text, name)
    file = descriptor_pb2.FileDescriptorProto()
    file.ParseFromString(packed)
    file.name = name
    return file


def _add(pool: Any, file: Any, references: Mapping[str, str], open_names: list[str]) -> None:
    """Put a file into the pool, after all that it imports."""
    if file.name in open_names:
        raise UnusableSchema(f"{file.name} imports itself")
    for name in file.dependency:
        try:
            pool.FindFileByName(name)
        except KeyError:
            if name in references:
                _add(pool, _described(references[name], name), references, [*open_names, file.name])
            else:
                _add_built_in(pool, name)
    pool.AddSerializedFile(file.SerializeToString())


def _add_built_in(pool: Any, name: str) -> None:
    """A file that comes with the libraries."""
    package = next((package for prefix, package in _NAMES_OF_BUILT_IN.items() if name.startswith(prefix)), None)
    try:
        module = importlib.import_module(f"{package}.{name.rpartition('/')[2].removesuffix('.proto')}_pb2") if package else None
    except ImportError:
        module = None
    if module is None:
        raise UnusableSchema(f"it imports {name}, which is no reference of the schema")
    descriptor: Any = module.DESCRIPTOR
    for dependency in descriptor.dependencies:
        try:
            pool.FindFileByName(dependency.name)
        except KeyError:
            _add_built_in(pool, dependency.name)
    pool.AddSerializedFile(descriptor.serialized_pb)

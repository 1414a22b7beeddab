"""Avro: the bytes of a value → JSON text, within bounds whatever schema and bytes say.

In: a schema as text, those that it refers to, then payloads. Out: JSON text, or `Unreadable`.

The library reads with compiled code that does not watch its own stack: a schema that contains itself and a hundred kilobytes of nesting end
the process, and an array of nulls may claim any length in a few bytes. So the schema is rewritten before it is used:

- A type that contains itself is written out to a fixed depth, level by level, and beyond it stands a wall that no bytes can pass.
- An array or map whose items may take no bytes, or many values a byte, is refused together with its schema.
- Logical types are left out: a time stays the number that it is, a decimal the bytes that it is.

A member that is null is left out, since that is how Avro says that something is absent. Bytes come out in base64, and numbers that JSON
does not have as null.
"""

import io
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, cast

import fastavro
import msgspec

from relay.core.reasons import Reason
from relay.input.decoding import Unreadable

DEPTH_MAX: Final = 16  # how often a type may contain itself
TYPES_MAX: Final = 5_000
VALUES_PER_BYTE_MAX: Final = 64

_PRIMITIVES: Final = {"null": 0, "boolean": 1, "int": 1, "long": 1, "float": 4, "double": 8, "bytes": 1, "string": 1}  # their fewest bytes
_NAMED: Final = frozenset({"record", "error", "enum", "fixed"})
_WALL: Final[dict[str, Any]] = {"type": "fixed", "name": "wall", "size": 2**31 - 1}
_encode: Final = msgspec.json.Encoder().encode


class UnusableSchema(ValueError):  # noqa: N818  # a fact about a schema
    """The schema cannot be used: why."""


class _Bounded(NamedTuple):
    """A schema that is safe to read with, and how many values it may make beyond those that its bytes pay for."""

    schema: Any
    excess: int  # values less what the bytes allow, at the worst: above 0 many of them are made of nothing


def compile_avro(text: str, references: Mapping[str, str]) -> Callable[[bytes], bytes]:
    """How to read payloads of this schema. Raises `UnusableSchema`."""
    try:
        rewriting = _Rewriting(text, references)
        schema = rewriting.result()
        parsed = fastavro.parse_schema(schema)
    except (RecursionError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnusableSchema(f"not understood as Avro ({type(error).__name__}: {error})") from error
    except Exception as error:  # the library's own, which have no common root
        raise UnusableSchema(f"not understood as Avro ({type(error).__name__})") from error
    has_nulls = rewriting.has_nulls
    read: Callable[..., object] = cast("Any", fastavro).schemaless_reader

    def decode(payload: bytes) -> bytes:
        source = io.BytesIO(payload)
        try:
            value = read(source, parsed, None)
        except Exception as error:  # noqa: BLE001  # whatever the library says of bytes that are not what they should be
            raise Unreadable(Reason.NOT_DECODABLE, f"the bytes are not what their Avro schema says ({type(error).__name__})") from None
        if source.tell() != len(payload):
            raise Unreadable(Reason.NOT_DECODABLE, f"{len(payload) - source.tell()} bytes follow the Avro value")
        if has_nulls:
            _leave_nulls_out(value)
        return _encode(value)

    return decode


def _leave_nulls_out(value: Any) -> None:
    """From objects, not from arrays. As deep as the schema lets it be."""
    if _is(value, dict):
        for name in [name for name, member in value.items() if member is None]:
            del value[name]
        for member in value.values():
            _leave_nulls_out(member)
    elif _is(value, list):
        for item in value:
            _leave_nulls_out(item)


class _Rewriting:
    """Writes a schema anew, so that nothing in it is without bounds."""

    def __init__(self, text: str, references: Mapping[str, str]) -> None:
        self._main: Any = msgspec.json.decode(text) if text.lstrip()[:1] in {"{", "[", '"'} else text
        self._definitions: dict[str, tuple[dict[str, Any], str]] = {}  # full name → definition, and the namespace that it stands in
        for reference in references.values():
            self._collect(msgspec.json.decode(reference), "")
        self._collect(self._main, "")
        self.has_nulls = False
        self._done: dict[tuple[str, int], _Bounded] = {}
        self._names: dict[tuple[str, int], str] = {}

    def result(self) -> Any:
        """The whole of it."""
        return self._bounded(self._main, "", 0, frozenset()).schema

    def _collect(self, schema: Any, namespace: str) -> None:
        """Learn what every name stands for, wherever it is defined."""
        if _is(schema, list):
            for branch in schema:
                self._collect(branch, namespace)
        elif _is(schema, dict):
            definition: dict[str, Any] = schema
            kind: Any = definition["type"]
            if kind in ("array", "map"):
                self._collect(definition["items" if kind == "array" else "values"], namespace)
            elif isinstance(kind, str) and kind in _NAMED:
                name, inner = _full_name(definition, namespace)
                self._definitions[name] = (definition, namespace)
                for field in definition.get("fields", ()):
                    self._collect(field["type"], inner)
            elif not isinstance(kind, str):
                self._collect(kind, namespace)

    def _bounded(self, schema: Any, namespace: str, level: int, open_names: frozenset[str]) -> _Bounded:  # noqa: PLR0911  # one for each kind
        if isinstance(schema, str):
            return self._of_name(schema, namespace, level, open_names)
        if _is(schema, list):
            branches = [self._bounded(branch, namespace, level, open_names) for branch in schema]
            return _Bounded([one.schema for one in branches], max((one.excess for one in branches), default=0) - VALUES_PER_BYTE_MAX)
        kind = schema["type"]
        if not isinstance(kind, str):
            return self._bounded(kind, namespace, level, open_names)
        if kind == "array":
            items = self._items(schema["items"], 0, namespace, level, open_names)
            return _Bounded({"type": "array", "items": items}, _excess(1))
        if kind == "map":
            values = self._items(schema["values"], 1, namespace, level, open_names)
            return _Bounded({"type": "map", "values": values}, _excess(1))
        if kind in _NAMED:
            return self._of_type(_full_name(schema, namespace)[0], level, open_names)
        return self._of_name(kind, namespace, level, open_names)

    def _items(self, schema: Any, extra_bytes: int, namespace: str, level: int, open_names: frozenset[str]) -> Any:
        item = self._bounded(schema, namespace, level, open_names)
        if item.excess > extra_bytes * VALUES_PER_BYTE_MAX:
            raise UnusableSchema(
                f"an item of an array or map may make more than {VALUES_PER_BYTE_MAX} values a byte, or any number of none"
            )
        return item.schema

    def _of_name(self, name: str, namespace: str, level: int, open_names: frozenset[str]) -> _Bounded:
        self.has_nulls |= name == "null"
        if name in _PRIMITIVES:
            return _Bounded(name, _excess(_PRIMITIVES[name]))
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        if full not in self._definitions and name in self._definitions:
            full = name
        return self._of_type(full, level, open_names)

    def _of_type(self, name: str, level: int, open_names: frozenset[str]) -> _Bounded:
        """A named type: written out where it is met first on its level, and named afterwards."""
        if name in open_names:
            level, open_names = level + 1, frozenset()
        if level > DEPTH_MAX:
            name, definition, namespace = "wall", _WALL, ""
        else:
            definition, namespace = self._definitions[name]
        place = (name, level)
        if (done := self._done.get(place)) is not None:
            return done
        if len(self._names) >= TYPES_MAX:
            raise UnusableSchema(f"more than {TYPES_MAX} types once those that contain themselves are written out")
        own_name = self._names[place] = f"T{len(self._names)}"
        written = self._written(definition, own_name, _full_name(definition, namespace)[1], level, open_names | {name})
        self._done[place] = _Bounded(own_name, written.excess)
        return written

    def _written(self, definition: dict[str, Any], own_name: str, namespace: str, level: int, open_names: frozenset[str]) -> _Bounded:
        kind = definition["type"]
        if kind == "enum":
            return _Bounded({"type": "enum", "name": own_name, "symbols": definition["symbols"]}, _excess(1))
        if kind == "fixed":
            return _Bounded({"type": "fixed", "name": own_name, "size": definition["size"]}, _excess(int(definition["size"])))
        fields = [(str(field["name"]), self._bounded(field["type"], namespace, level, open_names)) for field in definition["fields"]]
        return _Bounded(
            {"type": "record", "name": own_name, "fields": [{"name": name, "type": one.schema} for name, one in fields]},
            1 + sum(one.excess for _, one in fields),
        )


def _is(schema: Any, kind: type) -> bool:
    return isinstance(schema, kind)


def _excess(bytes_min: int) -> int:
    """One value, and the bytes that it takes at least."""
    return 1 - bytes_min * VALUES_PER_BYTE_MAX


def _full_name(definition: dict[str, Any], namespace: str) -> tuple[str, str]:
    """A definition's full name, and the namespace that holds within it."""
    name, own = str(definition["name"]), definition.get("namespace", namespace) or ""
    if "." in name:
        own = name.rpartition(".")[0]
        return name, own
    return (f"{own}.{name}" if own else name), own

"""JSON Schema: the value is JSON already; whether it is what its schema says is looked at when the operator wants it.

In: a schema as text, those that it refers to, then payloads. Out: the payload itself, or `Unreadable` with the path and what is wrong.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import jsonschema
import jsonschema.validators
import msgspec
from referencing import Registry, Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT7

from relay.core.reasons import Reason
from relay.input.avro import UnusableSchema
from relay.input.decoding import Unreadable

_decode: Final = msgspec.json.Decoder().decode


def compile_json_schema(text: str, references: Mapping[str, str]) -> Callable[[bytes], bytes]:
    """How to check payloads against this schema. Raises `UnusableSchema`. Nothing is ever fetched to resolve a reference."""
    make_resource = cast("Any", Resource)
    try:
        schema: Any = _decode(text)
        registry = cast("Any", Registry)()
        for name, reference in references.items():
            contents: Any = _decode(reference)
            resource = make_resource.from_contents(contents, default_specification=DRAFT7)
            registry = registry.with_resource(name, resource)
            if isinstance(contents, dict) and "$id" in contents:
                registry = registry.with_resource(contents["$id"], resource)
        kind: Any = jsonschema.validators.validator_for(schema, default=jsonschema.Draft7Validator)
        kind.check_schema(schema)
        validator: Any = kind(schema, registry=registry)
    except (msgspec.DecodeError, RecursionError, jsonschema.SchemaError, ValueError, TypeError, AttributeError) as error:
        raise UnusableSchema(f"not understood as JSON Schema ({type(error).__name__})") from error

    def decode(payload: bytes) -> bytes:
        try:
            value: object = _decode(payload)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise Unreadable(Reason.NOT_JSON, str(error)) from None
        try:
            wrong: Any = next(iter(validator.iter_errors(value)), None)
        except Unresolvable:
            raise Unreadable(Reason.UNUSABLE_SCHEMA, "the schema refers to one that is no reference of it") from None
        except RecursionError:
            raise Unreadable(Reason.NOT_DECODABLE, "nested too deeply to be checked") from None
        if wrong is not None:
            raise Unreadable(Reason.INVALID_EVENT, f"{wrong.json_path}: not what its schema says of `{wrong.validator}`")
        return payload

    return decode

"""What the tests of the Edge dialect share: native events said in both dialects, and Adobe's schemas where they are at hand."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest

from relay.api.collection import MediaCollection
from relay.api.dialect import ApiCall, Dialect
from relay.api.edge import MediaEdge
from relay.core.assignment import Assignment
from relay.core.commands import Cause, OpenSession, SendEvent
from relay.core.events import ApiSessionId, Details, EventType, Record, SessionKey
from relay.core.lane import Lane
from relay.input.native import NativeInput

ROOT = Path(__file__).parents[3]
SCHEMAS = Path(os.environ.get("TESTS_SHARED_SCHEMAS", ROOT.parent / "shared" / "reference" / "schemas"))
SESSION_ID = ApiSessionId("0123456789abcdef" * 4)
DATASTREAM_ID = "0a1b2c3d:dev"

Object = dict[str, Any]


class Said(NamedTuple):
    """One native event in both dialects. The calls are made when they are asked for: one of them may be impossible."""

    classic: Callable[[], ApiCall]
    edge: Callable[[], ApiCall]


Say = Callable[..., Said]


@pytest.fixture(scope="session")
def say() -> Say:
    """Say a native event in both dialects."""
    classic = MediaCollection()
    edges: dict[tuple[str, ...], Dialect] = {}
    reader = NativeInput()
    lane = Lane(SessionKey("player"), Assignment("events", 0))

    def say(native: Object | bytes, *, route: str = "", joins: bool = False, drops: tuple[str, ...] = ()) -> Said:
        edge = edges.setdefault(drops, MediaEdge(DATASTREAM_ID, dropped_params=frozenset(drops)))
        value = native if isinstance(native, bytes) else json.dumps(native).encode()
        event = reader.read(Record(0, key=b"player", value=value))[1]
        command: OpenSession | SendEvent
        if joins or event.event_type is EventType.SESSION_START:
            start = event.start if joins else Details(event.params, event.custom_metadata)
            assert start is not None
            cause, quality = (Cause.REJOINED, b"") if joins else (Cause.FIRST, event.qoe_data)
            command = OpenSession(lane, start, event.playhead, event.ts, cause, quality)
        else:
            command = SendEvent(lane, SESSION_ID, event, route)

        def call(dialect: Dialect) -> ApiCall:
            return dialect.opening(command) if isinstance(command, OpenSession) else dialect.sending(command)

        return Said(lambda: call(classic), lambda: call(edge))

    return say


@pytest.fixture(scope="session")
def validators() -> dict[str, Any]:
    """Adobe's request schemas for the Edge by endpoint, with their slips corrected. Skips where the folder is not at hand."""
    file = SCHEMAS / "edge-request-schemas-current.json"
    if not file.is_file():
        pytest.skip(f"needs Adobe's schemas in {SCHEMAS}; name another folder by TESTS_SHARED_SCHEMAS")
    schemas: dict[str, Object] = json.loads(file.read_text("utf-8"))
    return {endpoint: jsonschema.Draft202012Validator(corrected(endpoint, schema)) for endpoint, schema in schemas.items()}


def corrected(endpoint: str, schema: Object) -> Object:
    """The schema without its slips, and stricter: Adobe's own allows any key anywhere, so that it would find no misspelt one.

    - `adSkip` has the default `media.adBreakSkip`: its pages, samples and clients say `media.adSkip`.
    - `advertisingDetails` requires `name` and forgets to define it.
    - `eventType` has a default only: here it is the one value that the endpoint takes.
    - `identityMap` knows FPID only: the text beside it, and Adobe's clients, put the ECID and other namespaces there as well.
    - `implementationDetails` is missing on `sessionStart`, though Adobe's clients send it.
    - `events` is not required, `playhead` may be negative, ids may be empty and a session's may have any length: the text says otherwise.
    """
    schema["required"] = ["events"]
    schema["properties"]["events"] |= {"minItems": 1, "maxItems": 1}
    xdm = schema["properties"]["events"]["items"]["properties"]["xdm"]
    xdm["properties"].setdefault("eventType", {"type": "string"})["const"] = f"media.{endpoint}"
    if endpoint == "sessionStart":
        identities = xdm["properties"]["identityMap"]["properties"].pop("FPID")
        identities["items"]["required"] = ["id"]
        xdm["properties"]["identityMap"]["additionalProperties"] = identities
        xdm["properties"]["implementationDetails"] = {"type": "object", "properties": {"version": {"type": "string"}}}
    collection = xdm["properties"].get("mediaCollection", {}).get("properties", {})
    for name, member in collection.items():
        if name == "playhead":
            member["minimum"] = 0
        elif name == "sessionID":
            member["pattern"] = "^.{64}$"
        elif name == "advertisingDetails":
            member["properties"]["name"] = {"type": "string"}
        if name in {"sessionDetails", "advertisingDetails", "errorDetails"}:
            member["properties"]["name"]["minLength"] = 1
    close(schema)
    return schema


def close(schema: Object) -> None:
    """Allow no key that the schema does not name."""
    for inner in schema.get("properties", {}).values():
        close(inner)
    if "items" in schema:
        close(schema["items"])
    if schema.get("type") == "object":
        schema.setdefault("additionalProperties", False)

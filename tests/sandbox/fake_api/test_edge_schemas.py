"""The rules of the fake against Adobe's own description of the bodies, wherever that is at hand.

`TESTS_SHARED_SCHEMAS` names a folder with `edge-request-schemas-current.json`: endpoint → JSON schema of its body (draft 4, as in OpenAPI
3.0), out of AdobeDocs/data-collection-apis. What the fake accepts the schemas always accept. Where they accept what it refuses, that is
for one of the reasons in `SLIPS`, each with an example; with these put right, the two judge alike.
"""

import copy
import json
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from relay.sandbox.fake_api.edge_fields import EVENTS, PLACED
from relay.sandbox.fake_api.edge_rules import Broken, Unfit, read_body

jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema, to judge bodies by Adobe's schemas")

ROOT = Path(__file__).parents[3]
FILE = Path(os.environ.get("TESTS_SHARED_SCHEMAS", ROOT.parent / "shared" / "reference" / "schemas")) / "edge-request-schemas-current.json"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason=f"needs Adobe's schemas as {FILE}; name another folder by TESTS_SHARED_SCHEMAS")

Schema = dict[str, Any]
MakeBody = Callable[..., dict[str, Any]]

FORMATS = jsonschema.FormatChecker(formats=[])


@FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def judge(schema: Schema, body: object) -> bool:
    """Whether a body is valid by a schema."""
    return jsonschema.Draft4Validator(schema, format_checker=FORMATS).is_valid(body)


def accepts(event: str, body: object) -> bool:
    """Whether the fake takes a body."""
    try:
        read_body(event, msgspec.json.encode(body))
    except (Broken, Unfit):
        return False
    return True


# --- what the schemas leave open, or have wrong -----------------------------------------------------------------------------------


def xdm_of(schema: Schema) -> Schema:
    """The part of a schema for `events[].xdm`."""
    return schema["properties"]["events"]["items"]["properties"]["xdm"]


def media_of(schema: Schema) -> Schema:
    """The part of a schema for `mediaCollection`."""
    return xdm_of(schema)["properties"]["mediaCollection"]


def member(schema: Schema, name: str) -> Schema:
    """The part of a schema for an object in `mediaCollection`."""
    return media_of(schema)["properties"][name]


def _need_events(_event: str, schema: Schema) -> None:
    schema["required"] = ["events"]
    schema["properties"]["events"]["minItems"] = 1


def _have_one_event(_event: str, schema: Schema) -> None:
    schema["properties"]["events"]["maxItems"] = 1


def _name_the_event(event: str, schema: Schema) -> None:
    xdm_of(schema)["properties"]["eventType"]["enum"] = [f"media.{event}"]


def _bound_playhead(_event: str, schema: Schema) -> None:
    member(schema, "playhead")["minimum"] = 0


def _bound_session_id(event: str, schema: Schema) -> None:
    if event != "sessionStart":
        member(schema, "sessionID").update(minLength=64, maxLength=64)


def _define_ad_name(event: str, schema: Schema) -> None:
    if event == "adStart":
        member(schema, "advertisingDetails")["properties"]["name"] = {"type": "string"}


def _fill_names(event: str, schema: Schema) -> None:
    name = {"sessionStart": "sessionDetails", "adStart": "advertisingDetails", "error": "errorDetails"}.get(event)
    if name is not None:
        member(schema, name)["properties"].setdefault("name", {})["minLength"] = 1


def _bound_pod_position(event: str, schema: Schema) -> None:
    if event == "adStart":
        member(schema, "advertisingDetails")["properties"]["podPosition"]["minimum"] = 0


def _pair_metadata(_event: str, schema: Schema) -> None:
    if "customMetadata" in media_of(schema)["properties"]:
        member(schema, "customMetadata")["items"]["required"] = ["name", "value"]


def _check_all_namespaces(event: str, schema: Schema) -> None:
    if event == "sessionStart":
        identities = xdm_of(schema)["properties"]["identityMap"]
        identities["additionalProperties"] = identities["properties"]["FPID"]


def _need_identity(event: str, schema: Schema) -> None:
    if event == "sessionStart":
        xdm_of(schema)["properties"]["identityMap"]["properties"]["FPID"]["items"]["required"] = ["id"]


def _change_a_state(event: str, schema: Schema) -> None:
    if event == "statesUpdate":
        some = [{"required": [name], "properties": {name: {"minItems": 1}}} for name in ("statesStart", "statesEnd")]
        media_of(schema)["anyOf"] = some


def _keep_apart(event: str, schema: Schema) -> None:
    media_of(schema)["not"] = {"anyOf": [{"required": [name]} for name in sorted(PLACED - EVENTS[event].allowed)]}


def _bound_integers(_event: str, schema: Schema) -> None:
    for part in parts_of(schema):
        if part.get("type") == "integer":
            bits = 31 if part.get("format") == "int32" else 63
            part.setdefault("minimum", -(1 << bits))
            part["maximum"] = (1 << bits) - 1


def parts_of(schema: Schema) -> Iterator[Schema]:
    """The schema and all schemas in it."""
    yield schema
    for part in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
        yield from parts_of(part)


START_DETAILS = {"name": "n", "playerName": "p", "length": 1, "channel": "c", "contentType": "vod"}
AD_DETAILS = {"name": "a", "length": 1, "playerName": "p", "podPosition": 1}

# How a schema is put right, and a body that it accepts as it is published: its endpoint, and where it differs from a valid one.
SLIPS: dict[str, tuple[Callable[[str, Schema], None], str, dict[str, Any]]] = {
    "events may be missing or empty": (_need_events, "play", {"events": []}),
    "there may be several events": (_have_one_event, "play", {"events": 2}),
    "any event type goes, and adSkip's is said to be media.adBreakSkip": (
        _name_the_event,
        "adSkip",
        {"eventType": "media.adBreakSkip"},
    ),
    "a playhead may be negative": (_bound_playhead, "play", {"playhead": -1}),
    "a session id may have any length": (_bound_session_id, "play", {"sessionID": "a" * 63}),
    "the ad's name is required, but not defined": (_define_ad_name, "adStart", {"advertisingDetails": AD_DETAILS | {"name": 1}}),
    "names may be empty": (_fill_names, "sessionStart", {"sessionDetails": START_DETAILS | {"name": ""}}),
    "an ad's position may be negative": (_bound_pod_position, "adStart", {"advertisingDetails": AD_DETAILS | {"podPosition": -1}}),
    "metadata needs neither name nor value": (_pair_metadata, "chapterStart", {"customMetadata": [{}]}),
    "only the namespace FPID is described": (_check_all_namespaces, "sessionStart", {"identityMap": {"ECID": 1}}),
    "an identity needs no id": (_need_identity, "sessionStart", {"identityMap": {"FPID": [{}]}}),
    "an update may change no state": (_change_a_state, "statesUpdate", {"statesStart": []}),
    "what belongs to one event may stand on another": (_keep_apart, "adComplete", {"advertisingDetails": AD_DETAILS}),
    "the size of an integer is a format only": (_bound_integers, "ping", {"qoeDataDetails": {"bitrate": 1 << 31}}),
}


@pytest.fixture(scope="module")
def published() -> dict[str, Schema]:
    """The schemas as they are published."""
    return json.loads(FILE.read_text("utf-8"))


@pytest.fixture(scope="module")
def corrected(published: dict[str, Schema]) -> dict[str, Schema]:
    """The same without the slips."""
    schemas = {event: copy.deepcopy(published[event]) for event in EVENTS}
    for event, schema in schemas.items():
        for correct, *_ in SLIPS.values():
            correct(event, schema)
    return schemas


def test_the_endpoints_are_the_same(published: dict[str, Schema]) -> None:
    """Save for downloaded content, which the fake does not take."""
    assert set(published) == {*EVENTS, "downloaded"}


def test_no_object_is_closed_to_unknown_members(published: dict[str, Schema]) -> None:
    """So the fake closes none either."""
    for schema in published.values():
        assert not any("additionalProperties" in part for part in parts_of(schema))


@pytest.mark.parametrize("slip", SLIPS)
def test_each_slip_is_one(published: dict[str, Schema], edge_body: MakeBody, slip: str) -> None:
    """The published schema accepts the example; put right in this alone it does not, and neither does the fake."""
    correct, event, changes = SLIPS[slip]
    body = edge_body(event)
    xdm = body["events"][0]["xdm"]
    for name, value in changes.items():
        if name == "events":
            body = {"events": value} if isinstance(value, list) else {"events": body["events"] * value}
        else:
            (xdm if name in {"eventType", "identityMap"} else xdm["mediaCollection"])[name] = value
    schema = copy.deepcopy(published[event])
    assert judge(schema, body)
    correct(event, schema)
    assert not judge(schema, body)
    assert not accepts(event, body)


# --- bodies that nobody thought of ------------------------------------------------------------------------------------------------

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.5, 12.0, 1 << 31, -(1 << 31), 1 << 63, "", "x", "a" * 63, "a" * 64, "a" * 65, "a b"),
    *("audio", "player", "loggedOut", "media.play", "2024-01-31T10:00:00Z", "2024-01-31T10:00:00", [], {}, [{}], [1]),
    *([{"name": "mute"}], [{"name": "a b"}], [{"name": "a", "value": "b"}], {"name": "n"}),
)


def draw(schema: Schema, random: Random) -> Any:
    """A value of the type that a schema asks for, with most of what it may have."""
    match schema.get("type"):
        case "object":
            drawn = {name: draw(part, random) for name, part in schema.get("properties", {}).items() if random.random() < 0.6}
            return drawn | {name: draw(schema.get("properties", {}).get(name, {}), random) for name in schema.get("required", ())}
        case "array":
            count = random.randint(schema.get("minItems", 0), schema.get("maxItems", 2))
            return [draw(schema["items"], random) for _ in range(count)]
        case "integer":
            return random.choice((0, 1, 86_400, schema["maximum"]))
        case "boolean":
            return random.random() < 0.5
        case _:
            return random.choice(strings(schema))


def strings(schema: Schema) -> Sequence[str]:
    """Strings that a schema accepts."""
    if "enum" in schema:
        return schema["enum"]
    if schema.get("format") == "date-time":
        return ("2024-01-31T10:00:00Z", "2024-02-29T23:59:59.999+05:30")
    if "maxLength" in schema:
        return ("a" * schema["maxLength"],)
    return ("x", "a.b") if "pattern" in schema else ("x", "é", "a b")


def spoil(value: Any, random: Random) -> Any:
    """Put something odd somewhere, take something out, or add something."""
    if isinstance(value, list) and value and random.random() < 0.9:
        at = random.randrange(len(value))
        return [*value[:at], spoil(value[at], random), *value[at + 1 :]]
    if isinstance(value, dict) and value and random.random() < 0.9:
        name = random.choice(sorted(value))
        chance = random.random()
        if chance < 0.15:
            return {other: part for other, part in value.items() if other != name}
        if chance < 0.3:
            return value | {random.choice((*sorted(PLACED), "unknown", "playhead", "identityMap", "xdm")): random.choice(ODD)}
        return value | {name: spoil(value[name], random)}
    return random.choice(ODD)


@pytest.mark.parametrize("event", EVENTS)
def test_fake_and_schemas_judge_alike(published: dict[str, Schema], corrected: dict[str, Schema], event: str) -> None:
    """Valid bodies, and bodies with one to three things wrong or odd. The fake never accepts what the published schema does not."""
    random = Random(f"bodies {event}")  # noqa: S311  # it draws bodies
    counts = {True: 0, False: 0}
    for number in range(400):
        body = draw(corrected[event], random)
        for _ in range(number % 4):
            body = spoil(body, random)
        is_accepted = accepts(event, body)
        assert judge(corrected[event], body) is is_accepted, body
        assert judge(published[event], body) or not is_accepted, body
        counts[is_accepted] += 1
    assert min(counts.values()) > 60

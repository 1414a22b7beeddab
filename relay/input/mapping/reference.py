"""The reference of the mapping language as Markdown: `relay reference mapping` prints it.

In: the model, the vocabulary and the presets. Out: the page.
"""

from collections.abc import Mapping as Object
from typing import Any, Final, cast

from relay.core.events import EventType
from relay.input import presets
from relay.input.mapping import model
from relay.input.mapping.document import read
from relay.input.mapping.vocabulary import PARAMS, QOE, REQUIRED, TAKES_METADATA

_HEAD: Final = """# The mapping file

<!-- printed by `relay reference mapping`; `./dev docs` writes it anew -->

A mapping says what becomes of raw events. [From your events to sessions](../from-your-events-to-sessions.md) shows one being made.
Editors check a file while it is written if its first line names the schema: `# yaml-language-server: $schema=…/mapping.schema.json` (in
this folder).

Expressions are [JMESPath](https://jmespath.org/specification.html), all of it and nothing else; they are read against the raw event.
Text that stands for itself is written `{constant: text}` as a value and `'text'` inside an expression. What an expression does not find
is null; a member whose value is null is left out. Values are written in the type that the API takes: a number becomes text for
`media.season`, text that holds a number becomes one for `media.length`, a fraction is rounded for an integer.
"""
_TITLES: Final[tuple[tuple[str, str], ...]] = (
    ("Mapping", "The file"),
    ("Time", "`time`"),
    ("From", "A value"),
    ("Start", "`start`"),
    ("Said", "`carries`: by event type"),
    ("Rule", "`events`: rules by name"),
    ("Send", "`send`: an event, or several"),
    ("Copy", "`copy_metadata`"),
    ("States", "`states`: from player states to events"),
)
_NOTES: Final[dict[str, str]] = {
    "From": "Short for `{from: EXPRESSION}` is the expression alone; a number or a boolean alone stands for itself.",
    "Rule": "A rule has one of `send`, `drop` and `refuse`.",
    "Send": "Short for `{type: play}` is `play`. What is said here goes before `carries`, and that before `start` and `qoe`.",
    "States": (
        "With `states`, what is sent is taken for what a player says of its state, and only changes go out: of buffering, seeking, playing"
        " and pausing the strongest; a seek is a pause; what is open is closed before what ends it (`adSkip`, `adBreakComplete`,"
        " `chapterSkip`); after `adStart` and `adBreakComplete` the playback state is said once more; in an ad break without an ad it is"
        " not said. Pings and silence follow event time. `seekStart`, `seekComplete`, `bufferComplete` and `tick` (nothing but time and"
        " playhead) may be sent besides the event types."
    ),
}


def page() -> str:
    """The whole page."""
    schema = model.json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    lines = [_HEAD]
    for name, title in _TITLES:
        part = schema if name == "Mapping" else definitions[name]
        lines += [f"## {title}", "", part.get("description", ""), ""]
        if name in _NOTES:
            lines += [_NOTES[name], ""]
        lines += ["| member | what it is | default | meaning |", "|---|---|---|---|"]
        required = part.get("required", [])
        lines += [_row(member, field, is_required=member in required) for member, field in part["properties"].items()]
        lines.append("")
    return "\n".join([*lines, *_vocabulary(), *_presets()]) + "\n"


def _row(name: str, field: Object[str, Any], *, is_required: bool) -> str:
    default = field.get("default")
    shown = (
        "required"
        if is_required
        else "-"
        if default in (None, "", [], {})
        else f"`{str(default).lower() if default is False else default}`"
    )
    return f"| `{name}` | {_type(field)} | {shown} | {field.get('description', '').replace('|', chr(92) + '|')} |"


def _type(field: Object[str, Any]) -> str:
    if "anyOf" in field:
        kinds = [_type(one) for one in field["anyOf"] if one.get("type") != "null"]
        return "a value" if {"text", "number"} <= set(kinds) and len(kinds) > 3 else " or ".join(dict.fromkeys(kinds))  # noqa: PLR2004
    if "$ref" in field:
        return f"`{field['$ref'].rpartition('/')[2]}`"
    if "enum" in field or "const" in field:
        values = field.get("enum", [field.get("const")])
        return "an event type" if "sessionStart" in values else ", ".join(f"`{one}`" for one in values)
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if field.get("type") == "object":
        inner = field.get("additionalProperties")
        return f"object of {_type(cast('Object[str, Any]', inner))}" if isinstance(inner, dict) else "object"
    kind = str(field.get("type", "anything"))
    return {"string": "text", "boolean": "`true` or `false`"}.get(kind, kind)


def _vocabulary() -> list[str]:
    lines = ["## Event types and what they carry", "", "| event type | params (required ones in bold) | custom metadata |", "|---|---|---|"]
    for kind in EventType:
        required = REQUIRED.get(kind, frozenset())
        params = [f"**{name}**" if name in required else name for name in PARAMS.get(kind, {})]
        lines.append(f"| `{kind}` | {', '.join(params) or '-'} | {'yes' if kind in TAKES_METADATA else '-'} |")
    return [
        *lines,
        "",
        f"Quality data, on any event: {', '.join(QOE)}. The last two belong to `error`; a sessionStart does not take them.",
        "",
        (
            "The classic API also requires `analytics.trackingServer`, `analytics.reportSuite` and `visitor.marketingCloudOrgId` of a"
            " sessionStart. They are the same for all sessions of an account: `RELAY_SESSION__START_PARAMS` is the place for them."
        ),
        "",
    ]


def _presets() -> list[str]:
    lines = [
        "## Presets",
        "",
        "| name | what it reads |",
        "|---|---|",
        "| `native` | player events as the relay itself has them; no mapping |",
    ]
    for name in presets.names():
        text = presets.text_of(name)
        if text is not None:
            lines.append(f"| `{name}` | {read(text, name).mapping.description} |")
    return [*lines, "", "`cloudevents+NAME` takes a CloudEvents envelope off first, structured or binary; NAME is a preset or a file."]

"""`relay reference`: all settings, all metrics, the life of a session or the console's JSON as Markdown.

The pages under docs/reference are its output, and a test compares them.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Final, cast

EXAMPLE: Final = "relay reference settings > docs/reference/settings.md"

_SETTINGS_HEAD: Final = """# Settings

<!-- printed by `relay reference settings`; `./dev docs` writes it anew -->

Every setting has a name in the environment. The same names nest in a YAML or TOML file that is given by `--config`
(`RELAY_KAFKA__GROUP_ID` is `group_id` below `kafka`), and in the directory that `RELAY_SECRETS_DIR` names, a file may hold the value:
it is called like the setting, with or without `RELAY_`, in any case (`kafka__client`). A single entry of an object may have a file of its
own, which holds the bare value (`kafka__client__sasl.password`, `api__headers__Authorization`).

The environment goes before the file, the file before the secrets, the secrets before the defaults. Objects are merged name by name, so
a password can come from a secret file and the rest from elsewhere. An empty value counts as not set. A name that is not known stops the
start.
`relay settings` shows what is in force and where it comes from; `relay settings --schema` prints the JSON Schema of the file.
"""
_METRICS_HEAD: Final = """# Metrics

<!-- printed by `relay reference metrics`; `./dev docs` writes it anew -->

`/metrics` on the admin port, in the text format or as OpenMetrics when asked for. Labels have few values and never name a session, a player
or an asset. The metrics of the process itself (`process_…`, `python_…`) are those of prometheus-client.
"""

_CONSOLE_HEAD: Final = """# The console as JSON

<!-- printed by `relay reference console-api`; `./dev docs` writes it anew -->

Every page of the console answers below `/api` as well, on the admin port, with the same filters and the same masks. Times are Unix
seconds, durations are seconds. Fields are added, never renamed. A problem is `{"error": …}` with status 400, 404 or 500. `/api/` lists
the addresses.

Where a list is given in parts, `next` is what to say as `?from=` for the next one. `/api/sessions` takes `state`, `cause` and `text`,
`/api/openings` takes `cause`, and `/api/session` takes `key`: the whole key of a player session, wherever it lives. With `?follow` a longer
time line of a session is kept from then on.
"""

_LIFE_HEAD: Final = """# The life of a session

<!-- printed by `relay reference life`; `./dev docs` writes it anew -->

The table in `relay/core/session.py`. What stands at the head of a lane when its turn comes is `Next…`; the others are what the answer of
the API means. A pair that is not here cannot happen: the relay stops rather than guess.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("subject", choices=list(_PAGES), help="what to print")


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    print(_PAGES[arguments.subject](), end="")
    return 0


def settings_reference() -> str:
    """The page of all settings."""
    from relay.settings import Settings

    schema = Settings.model_json_schema()
    definitions = cast("Mapping[str, Mapping[str, object]]", schema["$defs"])
    lines = [_SETTINGS_HEAD]
    alone: list[str] = []
    for name, field in _properties(schema):
        if "$ref" not in field:
            alone.append(_setting_row((name,), field))
            continue
        lines += _group_section((name,), field, definitions)
    lines += ["## In no group", "", *_TABLE_HEAD, *alone]
    return "\n".join(lines) + "\n"


def _group_section(path: tuple[str, ...], field: Mapping[str, object], definitions: Mapping[str, Mapping[str, object]]) -> list[str]:
    """The rows of a group, and below them the sections of the groups within it."""
    group = definitions[str(field["$ref"]).rpartition("/")[2]]
    own = {name: inner for name, inner in _properties(group) if "$ref" not in inner}
    lines = [f"## `{'.'.join(path)}`: {_first_lower(str(group['description']))}", "", *_TABLE_HEAD]
    lines += [_setting_row((*path, name), inner) for name, inner in own.items()]
    lines.append("")
    for name, inner in _properties(group):
        if name not in own:
            lines += _group_section((*path, name), inner, definitions)
    return lines


def metrics_reference() -> str:
    """The page of all metrics."""
    from relay.observe.catalogue import CATALOGUE

    lines = [_METRICS_HEAD, "| metric | kind | labels | what it says | when it moves |", "|---|---|---|---|---|"]
    for metric in CATALOGUE:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} | {metric.advice} |")
    return "\n".join(lines) + "\n"


def life_reference() -> str:
    """The page of the life of a session: the table of the state machine, drawn and written out."""
    from relay.core.lane import IN_FLIGHT_FROM
    from relay.core.session import TRANSITIONS

    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, happened), (following, _) in TRANSITIONS.items():
        arrows.setdefault((state.name, following.name), []).append(happened.__name__)
    drawn = [f"    {state} --> {following}: {', '.join(names)}" for (state, following), names in arrows.items()]
    rows = [
        f"| `{state.name}` | {'in flight' if state >= IN_FLIGHT_FROM else 'at rest'} | `{happened.__name__}` | `{following.name}` |"
        f" {_first_lower((respond.__doc__ or '').splitlines()[0])} |"
        for (state, happened), (following, respond) in TRANSITIONS.items()
    ]
    head = ["| state | | what happened | next state | response |", "|---|---|---|---|---|"]
    return "\n".join([_LIFE_HEAD, "```mermaid", "stateDiagram-v2", "    [*] --> ABSENT", *drawn, "```", "", *head, *rows]) + "\n"


def console_reference() -> str:
    """The page of the console's JSON."""
    import msgspec

    from relay.observe.console.routes import API

    schemas, definitions = msgspec.json.schema_components(list(API.values()), ref_template="{name}")
    names = [str(schema["$ref"]) for schema in schemas]
    lines = [_CONSOLE_HEAD, "| address | answer |", "|---|---|"]
    lines += [f"| `{address}` | [`{name}`](#{name.lower()}) |" for address, name in zip(API, names, strict=True)]
    for name in dict.fromkeys([*names, *sorted(definitions)]):
        definition = definitions[name]
        lines += ["", f"## {name}", "", str(definition["description"]), "", "| field | type | what it says |", "|---|---|---|"]
        lines += [f"| `{field}` | {_json_kind(schema)} | {schema['description']} |" for field, schema in _properties(definition)]
    return "\n".join(lines) + "\n"


def _json_kind(schema: Mapping[str, object]) -> str:
    if "allOf" in schema:
        schema = cast("list[Mapping[str, object]]", schema["allOf"])[0]
    if "$ref" in schema:
        return f"[`{schema['$ref']}`](#{str(schema['$ref']).lower()})"
    if "anyOf" in schema:
        return " or ".join(_json_kind(option) for option in cast("list[Mapping[str, object]]", schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {_json_kind(cast('Mapping[str, object]', schema['items']))}"
    return str(schema.get("type", "any"))


_TABLE_HEAD: Final = ["| name | default | allowed | meaning |", "|---|---|---|---|"]


def _properties(schema: Mapping[str, object]) -> Iterator[tuple[str, Mapping[str, object]]]:
    yield from cast("Mapping[str, Mapping[str, object]]", schema["properties"]).items()


def _setting_row(path: tuple[str, ...], field: Mapping[str, object]) -> str:
    from relay.settings import environment_name

    return f"| `{environment_name(path)}` | {_default(field)} | {_allowed(field)} | {field['description']} |"


def _default(field: Mapping[str, object]) -> str:
    if "default" not in field:
        return "required"
    match field["default"]:
        case None:
            return "-"
        case str(text):
            return f"`{text}`"
        case list():
            return f"`{','.join(cast('list[str]', field['default']))}`"
        case other:
            return f"`{json.dumps(other)}`"


def _allowed(field: Mapping[str, object]) -> str:
    options = cast("list[Mapping[str, object]]", field.get("anyOf", [field]))
    return " or ".join(_kind(option) for option in options if option.get("type") != "null")


def _kind(field: Mapping[str, object]) -> str:
    if choices := cast("list[str]", field.get("enum", [field["const"]] if "const" in field else [])):
        return ", ".join(f"`{choice}`" for choice in choices)
    match field.get("type"):
        case "integer" | "number" as kind:
            return f"{kind} {_bounds(field)}"
        case "boolean":
            return "`true`, `false`"
        case kind:
            return {"array": "comma list", "object": "JSON object"}.get(str(kind), "path" if "format" in field else "text")


def _bounds(field: Mapping[str, object]) -> str:
    least = f"from {field['minimum']}" if "minimum" in field else f"above {field['exclusiveMinimum']}"
    return f"{least} to {field['maximum']}"


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


def mapping_reference() -> str:
    """The page of the mapping language."""
    from relay.input.mapping.reference import page

    return page()


def mapping_schema() -> str:
    """The JSON Schema of a mapping file."""
    from relay.input.mapping.model import json_schema

    return json.dumps(json_schema(), indent=2) + "\n"


_PAGES: Final = {
    "settings": settings_reference,
    "metrics": metrics_reference,
    "life": life_reference,
    "console-api": console_reference,
    "mapping": mapping_reference,
    "mapping-schema": mapping_schema,
}

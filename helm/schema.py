"""Makes the chart's values.schema.json: closed, with a description of every value. A script; `./dev docs` runs it.

In: the comments and defaults of values.yaml, and the settings of the program itself, which stand under `settings` in the same words. Out:
the schema. A value without a description is refused.

    python helm/schema.py           writes helm/relay/values.schema.json
    python helm/schema.py --check   says whether it is what it should be
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).parent / "relay"
_KEY: Final = re.compile(r"( *)([A-Za-z][A-Za-z0-9_]*):( |$)")
_KINDS: Final = {bool: "boolean", str: "string", int: "integer", float: "number", list: "array", dict: "object"}
_SCHEMA: Final = "@schema "
_REPEATS_MAX: Final = 1000
_LEFT_OUT: Final = {"required", "title", "format", "writeOnly"}
Path_ = tuple[str, ...]


def comments(text: str) -> tuple[dict[Path_, str], dict[Path_, dict[str, Any]]]:
    """What stands above each key: its description, and what is added to its schema."""
    descriptions: dict[Path_, str] = {}
    additions: dict[Path_, dict[str, Any]] = {}
    said: list[str] | None = None
    added: dict[str, Any] = {}
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            remark = stripped.lstrip("# ").rstrip()
            if remark.startswith(_SCHEMA):
                added = json.loads(remark.removeprefix(_SCHEMA))
            elif remark.startswith("-- "):
                said = [remark.removeprefix("-- ")]
            elif said is not None:
                said.append(remark)
            continue
        if found := _KEY.match(line):
            indent, name = len(found[1]), found[2]
            above = [(depth, key) for depth, key in above if depth < indent] + [(indent, name)]
            path = tuple(key for _, key in above)
            if said is not None:
                descriptions[path] = " ".join(said)
            if added:
                additions[path] = added
        said, added = None, {}
    return descriptions, additions


def of_value(path: Path_, value: object, descriptions: Mapping[Path_, str], additions: Mapping[Path_, dict[str, Any]]) -> dict[str, Any]:
    """The schema of one value and of what is below it."""
    added = dict(additions.get(path, {}))
    schema: dict[str, Any] = {"description": descriptions[path]} if path in descriptions else {}
    if value is not None:
        schema["type"] = _KINDS[type(value)]
        schema["default"] = value
    is_open = added.pop("open", False)
    schema |= added
    if isinstance(value, dict) and not is_open and "additionalProperties" not in added:
        schema["additionalProperties"] = False
        if "properties" not in added:
            del schema["default"]
            schema["properties"] = {name: of_value((*path, name), inner, descriptions, additions) for name, inner in value.items()}
    return schema


def of_program() -> dict[str, Any]:
    """The schema of the program's own settings, without references; nothing is required here, since the chart says it in better words."""
    from relay.settings import Settings  # noqa: PLC0415  # found once the path is set

    schema = Settings.model_json_schema()
    definitions = schema.pop("$defs")

    def resolved(node: Any) -> Any:
        if isinstance(node, list):
            return [resolved(one) for one in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            node = definitions[node["$ref"].rpartition("/")[2]] | {name: value for name, value in node.items() if name != "$ref"}
        kept = {name: value for name, value in node.items() if name not in _LEFT_OUT and not _is_beyond_helm(name, value)}
        # Below "properties" stand names of settings, which may be called like a keyword.
        return {
            name: {key: resolved(inner) for key, inner in value.items()} if name == "properties" else resolved(value)
            for name, value in kept.items()
        }

    made: dict[str, Any] = resolved(schema)
    for group in made["properties"].values():
        for setting in group.get("properties", {}).values():
            _may_be_text(setting)
    return made


def secret_settings() -> str:
    """The settings of the program that hold secrets: the chart refuses them where they would stand in a ConfigMap."""
    from relay.settings import known_settings  # noqa: PLC0415  # found once the path is set

    secret = sorted(".".join(path) for path, field in known_settings().items() if "SecretStr" in str(field.annotation))
    return "# Made by helm/schema.py: settings of the program that are secrets.\n" + "".join(f"- {name}\n" for name in secret)


def _is_beyond_helm(name: str, value: object) -> bool:
    """Go's expressions repeat a thousand times at most; such a pattern is left to the program."""
    return name == "pattern" and any(int(most) > _REPEATS_MAX for most in re.findall(r",(\d+)}", str(value)))


def _may_be_text(setting: dict[str, Any]) -> None:
    """A comma list may be written as one text, as in the environment."""
    for option in setting.get("anyOf", []):
        if option.get("type") == "array":
            setting["anyOf"] = [*setting["anyOf"], {"type": "string"}]
            return
    if setting.get("type") == "array":
        kept = {name: setting.pop(name) for name in ("type", "items", "minItems", "maxItems") if name in setting}
        setting["anyOf"] = [kept, {"type": "string", "minLength": 1}]


def make() -> str:
    """The whole schema."""
    text = (CHART / "values.yaml").read_text("utf-8")
    values = yaml.safe_load(text)
    descriptions, additions = comments(text)
    properties = {name: of_value((name,), value, descriptions, additions) for name, value in values.items() if name != "settings"}
    properties["settings"] = of_program() | {"description": descriptions["settings",]}
    properties["global"] = {"type": "object", "description": "Values that an umbrella chart shares; not used here."}
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart relay",
        "type": "object",
        "additionalProperties": False,
        "properties": dict(sorted(properties.items())),
    }
    _complain_of_silence(schema["properties"], ())
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _complain_of_silence(properties: Mapping[str, Any], path: Path_) -> None:
    for name, schema in properties.items():
        if not schema.get("description"):
            raise SystemExit(f"values.yaml: {'.'.join((*path, name))} has no description; write one above it: # -- What it is.")
        _complain_of_silence(schema.get("properties", {}), (*path, name))


def main() -> int:
    """Write or compare."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    made = {CHART / "values.schema.json": make(), CHART / "files" / "secret-settings.yaml": secret_settings()}
    if "--check" in sys.argv[1:]:
        return 0 if all(file.is_file() and file.read_text("utf-8") == text for file, text in made.items()) else 1
    for file, text in made.items():
        file.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`relay settings`: what is in force, and where each value comes from."""

import argparse
import json
from pathlib import Path
from typing import Final

EXAMPLE: Final = "relay settings --config relay.yaml --json"
_VALUE_WIDTH_MAX: Final = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML or TOML; the environment goes before them")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of a settings file instead; reads no settings")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print them."""
    from relay.settings import Settings, load, masked

    if arguments.schema:
        print(json.dumps(Settings.model_json_schema(), indent=2))
        return 0
    shown = masked(load(arguments.config))
    if arguments.json:
        print(json.dumps([one._asdict() for one in shown], indent=2))
        return 0
    rows = [(name, _as_text(value), source) for name, value, source in shown]
    name_width = max(len(name) for name, _, _ in rows)
    value_width = min(_VALUE_WIDTH_MAX, max(len(value) for _, value, _ in rows))
    for name, value, source in rows:
        print(f"{name:{name_width}}  {value:{value_width}}  {source}")
    return 0


def _as_text(value: object) -> str:
    match value:
        case None:
            return "-"
        case str():
            return value
        case _:
            return json.dumps(value)

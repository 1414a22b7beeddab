"""`relay run`: the service."""

import argparse
from pathlib import Path
from typing import Final

EXAMPLE: Final = "RELAY_KAFKA__BOOTSTRAP_SERVERS=localhost:9092 RELAY_API__URL=https://example.hb-api.omtrdc.net relay run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML or TOML; the environment goes before them")


def run(arguments: argparse.Namespace) -> int:
    """Run until told to stop."""
    from relay.settings import load

    settings = load(arguments.config)

    from relay import app

    return app.run(settings)

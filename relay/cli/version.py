"""`relay version`: what this is, and what it stands on."""

import argparse
import json
import platform
from importlib import metadata
from typing import Final

import relay

EXAMPLE: Final = "relay version --json"
_STANDS_ON: Final = ("confluent-kafka", "httpx", "pydantic-settings", "prometheus-client")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    import confluent_kafka

    versions = {"relay": relay.__version__, "python": platform.python_version()}
    versions |= {name: _version(name) or "missing" for name in _STANDS_ON}
    versions["librdkafka"] = confluent_kafka.libversion()[0]
    if arguments.json:
        print(json.dumps(versions, indent=2))
    else:
        print("\n".join(f"{name} {version}" for name, version in versions.items()))
    return 0


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

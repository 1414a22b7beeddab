"""`relay fake-api`: the strict fake API alone."""

import argparse
import asyncio
from typing import Final

EXAMPLE: Final = "relay fake-api --port 9090 --fault 'events:500:0.01'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    from relay.sandbox.fake_api import command

    command.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from relay.sandbox.fake_api import command

    return asyncio.run(command.run(arguments))

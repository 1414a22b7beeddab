"""`relay demo`: everything on this machine, with nothing installed."""

import argparse
import asyncio
from typing import Final

EXAMPLE: Final = "relay demo --seconds 30"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    from relay.sandbox import demo_command

    demo_command.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show it, then give an account."""
    from relay.sandbox import demo_command

    return asyncio.run(demo_command.run(arguments))

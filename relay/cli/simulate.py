"""`relay simulate`: simulated players that produce to a topic."""

import argparse
import asyncio
from typing import Final

EXAMPLE: Final = "relay simulate --bootstrap-servers localhost:9092 --sessions 100 --rate 1000"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    from relay.sandbox import simulate_command

    simulate_command.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Produce, and sum up."""
    from relay.sandbox import simulate_command

    return asyncio.run(simulate_command.run(arguments))

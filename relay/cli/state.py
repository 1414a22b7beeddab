"""`relay state carry-over`: take the sessions along when the source topic got more partitions."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Final

EXAMPLE: Final = "relay state carry-over --to relay.sessions.2 --partitioner murmur2 --yes"
_USAGE: Final = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("action", choices=["carry-over"], help="copy every session to the partition where its next events will be")
    parser.add_argument(
        "--to", required=True, metavar="TOPIC", help="the new state topic; created with as many partitions as the source has"
    )
    parser.add_argument("--topic", help="the source topic, where RELAY_KAFKA__TOPICS names several")
    parser.add_argument(
        "--partitioner",
        choices=["murmur2", "crc32"],
        required=True,
        help="how the producers place keys: murmur2 is Java's default, crc32 that of librdkafka",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML or TOML; the environment goes before them")
    parser.add_argument("--yes", action="store_true", help="do it; without this it is only said what would be done")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Carry over, while no relay of the group runs."""
    from relay.settings import load

    settings = load(arguments.config)
    topics = [arguments.topic] if arguments.topic else settings.kafka.topics
    if len(topics) != 1 or topics[0].startswith("^"):
        print("relay state: several source topics; say which one with --topic", file=sys.stderr)
        return _USAGE

    from relay.errands import carry_over

    outcome = asyncio.run(
        carry_over(settings, topic=topics[0], new=arguments.to, partitioner=arguments.partitioner, is_for_real=arguments.yes)
    )
    if arguments.json:
        print(json.dumps(outcome))
    elif arguments.yes:
        print(f"{outcome['sessions']} sessions carried from {outcome['from']} ({outcome['partitions']} partitions) to {outcome['to']}")
        print(f"now start the relays with RELAY_KAFKA__STATE_TOPIC={outcome['to']}")
    else:
        print(f"would copy {outcome['from']} ({outcome['partitions']} partitions) to {outcome['to']} ({outcome['new_partitions']})")
        print("stop all relays of the group first, then say --yes")
    return 0

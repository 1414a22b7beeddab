"""The command line: one file per command, and here the way to them.

In: arguments. Out: an exit code: 0 fine, 1 failed, 2 usage, 3 settings, 4 cannot reach Kafka or the API, 5 a fatal consumer error. Only the
file of the command that was asked for is imported, so that `relay health` starts at once.
"""

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final, Protocol, cast

from relay.errors import RelayError

FINE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130  # what a shell expects after Ctrl-C

COMMANDS: Final = {
    "run": "the service: from Kafka to the API until SIGTERM or SIGINT",
    "demo": "everything on this machine, with nothing installed, and an account at the end",
    "fake-api": "the strict fake API alone; it checks what it gets and misbehaves when told to",
    "fake-registry": "a small schema registry in memory, to try formats with",
    "simulate": "simulated players that produce to a topic",
    "validate": "check settings, a mapping, and raw events in a file, without connecting to anything",
    "translate": "what the relay would send for raw events in a file: the exact requests, nothing is sent",
    "check": "connect to Kafka and the API, and say of each thing whether it would serve; writes nothing",
    "tap": "follow the events of a session or a filter in the source topic, values masked",
    "health": "ask a running relay whether it is well",
    "top": "watch a running relay live",
    "sessions": "the player sessions that a running relay holds",
    "session": "one player session: where it lives, what it waits for, and its time line",
    "dead-letters": "list, show, replay or purge what was set aside; writes only after --yes",
    "state": "take the sessions along when the source topic got more partitions",
    "settings": "the effective settings with the source of each, secrets masked",
    "reference": "the reference of settings, metrics, the life of a session or the console's JSON, as Markdown",
    "version": "the version of the relay and of what it stands on",
}

_OVERVIEW: Final = """usage: relay COMMAND [options]

Raw player events from Kafka, delivered in order as sessions of a media analytics API.

{commands}

relay COMMAND --help explains a command and ends with an example.
Exit codes: 0 fine, 1 failed, 2 usage, 3 settings, 4 cannot reach Kafka or the API, 5 fatal consumer error.
"""


class CommandModule(Protocol):
    """The face of a command's file."""

    EXAMPLE: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare what the command understands."""
        ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it, and return the exit code."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name."""
    name, *rest = (sys.argv[1:] if argv is None else argv) or [""]
    if name in {"-h", "--help", "help"}:
        print(_overview(), end="")
        return FINE
    if name == "--version":
        name = "version"
    if name not in COMMANDS:
        return _unknown(name)
    try:
        return _run(name, rest)
    except RelayError as error:
        print(f"relay {name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `relay settings | head`: the reader has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _run(name: str, arguments: list[str]) -> int:
    module = cast("CommandModule", importlib.import_module(f"relay.cli.{name.replace('-', '_')}"))
    parser = argparse.ArgumentParser(
        prog=f"relay {name}",
        description=f"{COMMANDS[name][:1].upper()}{COMMANDS[name][1:]}.",
        epilog=f"example: {module.EXAMPLE}",
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    try:
        parsed = parser.parse_args(arguments)
    except SystemExit as stop:  # argparse has said what is wrong, or has shown the help
        return stop.code if isinstance(stop.code, int) else USAGE
    code = module.run(parsed)
    sys.stdout.flush()  # here, where a closed pipe is still caught
    return code


def _overview() -> str:
    width = max(map(len, COMMANDS))
    return _OVERVIEW.format(commands="\n".join(f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items()))


def _unknown(name: str) -> int:
    if not name:
        print(_overview(), end="", file=sys.stderr)
        return USAGE
    nearest = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else "`relay --help` lists the commands"
    print(f"relay: there is no command {name!r}; {hint}", file=sys.stderr)
    return USAGE

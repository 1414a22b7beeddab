"""`relay validate`: settings, and raw events in a file, checked without connecting to anything."""

import argparse
import json
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Final, NamedTuple

EXAMPLE: Final = "relay validate --config relay.yaml samples.jsonl"
_SAMPLE_KEY: Final = b"sample"  # a sample has no record around it, and with it no key


class Problem(NamedTuple):
    """What is wrong with one line."""

    line: int
    reason: str
    detail: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("samples", nargs="?", metavar="SAMPLES", help="raw events, one JSON object a line; - reads standard input")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML or TOML; the environment goes before them")
    parser.add_argument("--samples-only", action="store_true", help="check the samples against the defaults, and no settings")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Check, and tell by the exit code: 0 fine, 1 a sample is wrong, 3 a setting is."""
    if arguments.samples_only and arguments.samples is None:
        print("relay validate: --samples-only needs SAMPLES; name a file, or - for standard input", file=sys.stderr)
        return 2
    is_lenient, bytes_max = False, 262_144
    if not arguments.samples_only:
        from relay.settings import load

        settings = load(arguments.config)
        is_lenient, bytes_max = settings.input.unknown_fields == "ignore", settings.limits.record_bytes_max
    count, problems = 0, list[Problem]()
    if arguments.samples is not None:
        try:
            with nullcontext(sys.stdin.buffer) if arguments.samples == "-" else Path(arguments.samples).open("rb") as lines:
                count, problems = check_samples(lines, is_lenient=is_lenient, bytes_max=bytes_max)
        except OSError as error:
            print(f"relay validate: {arguments.samples} cannot be read ({error.strerror}); check the path and its rights", file=sys.stderr)
            return 1
    _report(arguments, count, problems)
    return 1 if problems else 0


def check_samples(lines: Iterable[bytes], *, is_lenient: bool, bytes_max: int) -> tuple[int, list[Problem]]:
    """How many events there are, and what is wrong with which; empty lines are skipped."""
    from relay.core.events import Record
    from relay.input.native import NativeInput, Unreadable

    reader = NativeInput(ignore_unknown_fields=is_lenient, record_bytes_max=bytes_max)
    count, problems = 0, list[Problem]()
    for number, line in enumerate(lines, start=1):
        value = line.strip()
        if not value:
            continue
        count += 1
        try:
            reader.read(Record(0, key=_SAMPLE_KEY, value=value))
        except Unreadable as unreadable:
            problems.append(Problem(number, str(unreadable.reason), unreadable.detail))
    return count, problems


def _report(arguments: argparse.Namespace, count: int, problems: list[Problem]) -> None:
    if arguments.json:
        print(json.dumps({"ok": not problems, "events": count, "problems": [problem._asdict() for problem in problems]}, indent=2))
        return
    for line, reason, detail in problems:
        print(f"line {line}: {reason}: {detail}")
    if not arguments.samples_only:
        print("settings: fine")
    if arguments.samples is not None:
        print(f"samples: {count} events, {len(problems)} with problems")

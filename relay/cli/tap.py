"""`relay tap`: follows what players say in the source topic, beside the relays that deliver it."""

import argparse
import asyncio
import json
import logging
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from relay.tap.lines import Line

EXAMPLE: Final = "relay tap --session 5f3a2c9e-0d41-4b7e-9a55-3a1f6f0c2d11 --since 10m"
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_AGO: Final = re.compile(r"(\d{1,6})([smhd])")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("--session", default="", metavar="KEY", help="only this player session: its key, or its name as logs have it")
    parser.add_argument("--type", action="append", default=[], metavar="TYPE", help="only events of this type; repeatable")
    parser.add_argument("--unreadable", action="store_true", help="only records that nobody can read")
    parser.add_argument("--topic", action="append", metavar="TOPIC", help="another topic than the settings name; repeatable")
    parser.add_argument("--partition", type=int, metavar="N", help="only this partition")
    parser.add_argument(
        "--since", type=_since, metavar="WHEN", help="begin there instead of at the end: 10m, 2h, 2026-11-21T14:00:00Z, or beginning"
    )
    parser.add_argument("--count", type=_positive, metavar="N", help="stop after so many lines")
    parser.add_argument("--seconds", type=float, metavar="N", help="stop after so long")
    parser.add_argument("--unmasked", action="store_true", help="show keys and values as they are")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML or TOML; the environment goes before them")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")


def run(arguments: argparse.Namespace) -> int:
    """Follow until enough was shown or somebody stops it. No group is joined and nothing is committed."""
    from relay.core.events import EventType
    from relay.errands import tap
    from relay.settings import load
    from relay.tap.lines import Filter

    unknown = [name for name in arguments.type if name not in set(EventType)]
    if unknown:
        print(f"relay tap: there is no type {unknown[0]!r}; the types are {', '.join(EventType)}", file=sys.stderr)
        return 2
    settings = load(arguments.config)
    logging.disable()  # lines of a log would stand between those of the events
    try:
        asyncio.run(
            tap(
                settings,
                _show_json if arguments.json else _show,
                wanted=Filter(arguments.session, frozenset(arguments.type), unreadable_only=arguments.unreadable),
                is_masked=not arguments.unmasked,
                topics=arguments.topic,
                partition=arguments.partition,
                since_ms=arguments.since,
                count_max=arguments.count,
                seconds_max=arguments.seconds,
                opened=lambda count: print(f"following {count} partitions; Ctrl-C ends it", file=sys.stderr),
            )
        )
    except KeyboardInterrupt:
        return 0  # that is how it ends
    finally:
        logging.disable(logging.NOTSET)
    return 0


def _show_json(line: "Line") -> None:
    import msgspec

    print(msgspec.json.encode(line).decode(), flush=True)


def _show(line: "Line") -> None:
    from relay.cli.running import printable

    where = f"{line.time[11:23]}  {line.topic}/{line.partition}@{line.offset}  {line.session or '-'}"
    if line.is_left_out:
        what = f"left out: {line.reason}"
    elif line.reason:
        what = "  ".join(part for part in (f"unreadable: {line.reason}", line.path, line.problem, line.detail) if part)
    else:
        objects = (("params", line.params), ("qoeData", line.qoe_data), ("customMetadata", line.custom_metadata), ("start", line.start))
        details = "  ".join(f"{name} {json.dumps(value, ensure_ascii=False)}" for name, value in objects if value)
        what = f"{line.event} {line.playhead:g} s  {details}".rstrip()
    print(printable(f"{where}  {what}"), flush=True)


def _since(text: str) -> int:
    """Unix milliseconds; 0 for the beginning."""
    if text == "beginning":
        return 0
    if ago := _AGO.fullmatch(text):
        return int((time.time() - int(ago[1]) * _UNITS[ago[2]]) * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: say 10m, 2h, 2026-11-21T14:00:00Z, or beginning") from None
    return max(1, int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000))


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no count: say 1 or more")
    return int(text)

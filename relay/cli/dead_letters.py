"""`relay dead-letters`: read what was set aside, put it back, or delete what is safe elsewhere. Writes only after `--yes`."""

from __future__ import annotations

import argparse
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.letters.choice import Choice
    from relay.letters.desk import Desk, Outlook
    from relay.letters.shapes import Object

EXAMPLE: Final = "relay dead-letters replay --reason parked --yes"
_FAILED: Final = 1
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|replay|purge")
    listing = actions.add_parser("list", help="letters, one a line", epilog="example: relay dead-letters list --since 2h --json")
    _add_choice(listing)
    listing.add_argument("--all", action="store_true", help="also those that were replayed")
    listing.add_argument("--limit", type=int, default=None, metavar="N", help="stop after so many")
    showing = actions.add_parser("show", help="one letter in full", epilog="example: relay dead-letters show 0 41")
    showing.add_argument("partition", type=int, help="its partition in the dead-letter topic, as `list` says")
    showing.add_argument("offset", type=int, help="its offset there")
    replaying = actions.add_parser(
        "replay", help="put sessions back into their topics, in order", epilog="example: relay dead-letters replay --reason parked --yes"
    )
    _add_choice(replaying)
    replaying.add_argument("--dry-run", action="store_true", help="only say what would be sent; so it is without --yes")
    replaying.add_argument("--rate", type=float, default=50.0, metavar="N", help="records per second (default: %(default)g)")
    replaying.add_argument(
        "--rounds-max", type=int, default=3, metavar="N", help="a letter that was replayed so often stays (default: %(default)s)"
    )
    replaying.add_argument(
        "--quiet-seconds", type=float, default=60.0, metavar="N", help="hold back sessions whose players spoke since (default: %(default)g)"
    )
    purging = actions.add_parser(
        "purge", help="delete what was replayed or exported", epilog="example: relay dead-letters purge --export letters.jsonl --yes"
    )
    _add_choice(purging)
    purging.add_argument(
        "--export", type=Path, metavar="FILE", help="write the chosen letters into a new file first, one JSON object a line"
    )
    for action in (replaying, purging):
        action.add_argument("--yes", action="store_true", help="do it; without this it is only said what would be done")
    for action in (listing, showing, replaying, purging):
        action.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML or TOML; the environment goes before them")
        action.add_argument("--unmasked", action="store_true", help="show keys, values and details as they are")
        action.add_argument("--json", action="store_true", help="print JSON; its shapes are in docs/dead-letters.md")


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", action="append", default=[], metavar="REASON", help="of this reason; may be given several times")
    parser.add_argument("--session", action="append", default=[], metavar="KEY", help="of this player session; may be given several times")
    parser.add_argument("--topic", help="from this source topic")
    parser.add_argument("--partition", type=int, help="from this partition of the source topic")
    parser.add_argument("--offset", type=_offsets, default=(0, None), metavar="N[-M]", help="from this offset there, or from N to M")
    parser.add_argument("--since", type=_moment, metavar="TIME", help="set aside since then: 2024-05-01T12:00 (UTC), or 90m, 2h, 3d ago")
    parser.add_argument("--until", type=_moment, metavar="TIME", help="set aside before then")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked for."""
    from relay.errands import dead_letter_desk
    from relay.settings import load

    with dead_letter_desk(load(arguments.config)) as desk:
        return _ACTIONS[arguments.action](desk, arguments)


# --- the four ---------------------------------------------------------------------------------------------------------------------------


def _list(desk: Desk, arguments: argparse.Namespace) -> int:
    from relay.letters.shapes import listed
    from relay.letters.stored import StoredLetter
    from relay.observe.logs import hashed
    from relay.observe.moments import written

    choice, done = _choice(arguments), desk.replayed()
    meant = (
        (letter, is_replayed)
        for letter in desk.letters()
        if isinstance(letter, StoredLetter) and choice.means(letter)
        for is_replayed in [done.is_replayed((letter.topic, letter.partition, letter.record.offset))]
        if arguments.all or not is_replayed
    )
    for letter, is_replayed in islice(meant, arguments.limit):
        shape = listed(letter, is_replayed=is_replayed, hashed=hashed, is_unmasked=arguments.unmasked)
        if arguments.json:
            print(json.dumps(shape))
            continue
        place = f"{letter.at_partition} {letter.at_offset}"
        source = f"{letter.topic}[{letter.partition}]@{letter.record.offset}"
        again = f"  round {letter.round}" if letter.round else ""
        mark = "  replayed" if is_replayed else ""
        detail = f"  {letter.detail}" if arguments.unmasked and letter.detail else ""
        since = written(letter.set_aside_at, to_the="seconds")
        print(f"{place:12}  {since}  {letter.reason:20}  {shape['session'] or '-'}  {source}{again}{mark}{detail}")
    return 0


def _show(desk: Desk, arguments: argparse.Namespace) -> int:
    from relay.letters.shapes import shown
    from relay.observe.logs import hashed

    letter = desk.letter_at(arguments.partition, arguments.offset)
    if letter is None:
        place = f"{desk.topic}[{arguments.partition}]@{arguments.offset}"
        print(f"relay dead-letters: there is no letter at {place}; `relay dead-letters list` names the places", file=sys.stderr)
        return _FAILED
    is_replayed = desk.replayed().is_replayed((letter.topic, letter.partition, letter.record.offset))
    shape = shown(letter, is_replayed=is_replayed, hashed=hashed, is_unmasked=arguments.unmasked)
    print(json.dumps(shape) if arguments.json else json.dumps(shape, indent=2, ensure_ascii=False))
    return 0


def _replay(desk: Desk, arguments: argparse.Namespace) -> int:
    from relay.letters.plan import Replaying, Terms
    from relay.letters.replaying import Replay

    terms = Terms(quiet_seconds=arguments.quiet_seconds)
    outlook = desk.outlook(_choice(arguments), rounds_max=arguments.rounds_max, terms=terms)
    total = sum(len(plan.entries) for _, plan in outlook.plans if isinstance(plan, Replaying))
    is_for_real = arguments.yes and not arguments.dry_run
    shape = _tell_outlook(outlook, arguments, total)
    if not is_for_real or not total:
        if arguments.json:
            print(json.dumps(shape | {"replayed": 0}))
        elif total:
            print("nothing was written; do it with --yes")
        return 0
    tell = _progress(total)
    outcome = Replay(desk, outlook, per_second=arguments.rate, tell=tell).run()
    if arguments.json:
        print(json.dumps(shape | {"replayed": outcome.replayed}))
    else:
        print(f"replayed {outcome.replayed} of {total}")
    for count in outcome.overtaken.values():
        print(f"relay dead-letters: {count} letters of a session stay: its player spoke meanwhile; replay again later", file=sys.stderr)
    return 0


def _tell_outlook(outlook: Outlook, arguments: argparse.Namespace, total: int) -> Object:
    from relay.letters.plan import HeldBack
    from relay.letters.shapes import planned
    from relay.observe.logs import hashed

    sessions = [planned(whose, plan, hashed=hashed, is_unmasked=arguments.unmasked) for whose, plan in outlook.plans]
    staying = [{"partition": one.at_partition, "offset": one.at_offset, "words": words} for one, words in outlook.staying]
    if not arguments.json:
        print(f"{total} letters of {sum(not isinstance(plan, HeldBack) for _, plan in outlook.plans)} sessions can be replayed")
        for (whose, plan), shape in zip(outlook.plans, sessions, strict=True):
            name = f"{shape['session'] or '-'} {whose[0]}[{whose[1]}]"
            if isinstance(plan, HeldBack):
                print(f"  {name}: {len(plan.entries)} letters held back: {plan.words}")
                continue
            for segment in plan.segments:
                offsets = ", ".join(f"{entry.offset} {entry.kind or '?'}" for entry in segment.entries[:8])
                more = f", and {len(segment.entries) - 8} more" if len(segment.entries) > 8 else ""  # noqa: PLR2004  # what fits a line
                start = f"start from {segment.start_from}{', resumed' if segment.resumes else ''}"
                print(f"  {name}: {start}: {offsets}{more}{', then its end' if segment.ends else ''}")
        for stay in staying:
            print(f"  {stay['partition']} {stay['offset']} stays: {stay['words']}")
    return {"letters": total, "sessions": sessions, "staying": staying}


def _purge(desk: Desk, arguments: argparse.Namespace) -> int:
    from relay.letters.purging import cut, survey

    if arguments.export is not None and arguments.export.exists():
        print(f"relay dead-letters: {arguments.export} exists; name a new file", file=sys.stderr)
        return _FAILED
    cuts = survey(desk, _choice(arguments), arguments.export)
    begins = cut(desk, cuts) if arguments.yes else {}
    shape: Object = {
        "topic": desk.topic,
        "deleted": bool(arguments.yes),
        "export": None if arguments.export is None else str(arguments.export),
        "partitions": [{"partition": partition, **one._asdict(), "begins_now": begins.get(partition)} for partition, one in cuts.items()],
    }
    if arguments.json:
        print(json.dumps(shape))
        return 0
    for partition, one in cuts.items():
        said = "deleted" if arguments.yes else "could be deleted"
        safe = f"{one.replayed} replayed, {one.exported} exported"
        print(f"{desk.topic}[{partition}]: {safe}: {said} up to offset {one.end}; {one.kept} letters stay")
    if not arguments.yes:
        print("nothing was deleted; do it with --yes")
    return 0


_ACTIONS: Final[dict[str, Callable[[Desk, argparse.Namespace], int]]] = {"list": _list, "show": _show, "replay": _replay, "purge": _purge}


# --- small things -----------------------------------------------------------------------------------------------------------------------


def _choice(arguments: argparse.Namespace) -> Choice:
    from relay.letters.choice import Choice

    first, last = arguments.offset
    return Choice(
        reasons=frozenset(arguments.reason),
        sessions=frozenset(arguments.session),
        topic=arguments.topic,
        partition=arguments.partition,
        offset_from=first,
        offset_to=last,
        since_ms=arguments.since or 0,
        until_ms=arguments.until,
    )


def _progress(total: int) -> Callable[[int], None]:
    def tell(count: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{count} of {total} letters", end="\n" if count == total else "", file=sys.stderr, flush=True)

    return tell


def _offsets(text: str) -> tuple[int, int | None]:
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if found is None:
        raise argparse.ArgumentTypeError("expected an offset, or two as 10-20")
    return int(found[1]), int(found[2]) if found[2] else None


def _moment(text: str) -> int:
    ago = re.fullmatch(r"(\d+)([smhd])", text)
    try:
        moment = datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])}) if ago else datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError("expected a time as 2024-05-01T12:00, or 90m, 2h, 3d ago") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)

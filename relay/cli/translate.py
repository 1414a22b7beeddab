"""`relay translate`: what the relay would send for raw events, with nothing sent."""

import argparse
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from relay.rehearsal import Heard, Rehearsal

EXAMPLE: Final = "relay translate --mapping html5 events.jsonl"
DIALECTS: Final = ("media-collection", "media-edge")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("file", metavar="FILE|-", help="raw events, one JSON object a line; - reads standard input")
    parser.add_argument("--mapping", metavar="NAME|FILE", help="a preset or a mapping file; unset: what the settings say, else native")
    parser.add_argument("--dialect", choices=DIALECTS, help="only this one; unset: both")
    parser.add_argument("--config", type=Path, metavar="FILE", help="take the mapping and the params of starts from these settings")
    parser.add_argument("--explain", action="store_true", help="also show the rule that was applied, and the events in native form")
    parser.add_argument("--json", action="store_true", help="print JSON, an object a line")


def run(arguments: argparse.Namespace) -> int:
    """Translate, and tell by the exit code: 0 fine, 1 an event cannot be translated, 3 the mapping or a setting is wrong."""
    from relay.rehearsal import Rehearsal

    mapping, start_params = arguments.mapping or "native", dict[str, Any]()
    if arguments.config is not None:
        from relay.settings import load

        settings = load(arguments.config)
        mapping, start_params = arguments.mapping or settings.input.mapping, dict(settings.session.start_params)
    rehearsal = Rehearsal(mapping, start_params, dialects=(arguments.dialect,) if arguments.dialect else ())
    is_fine = True
    try:
        with nullcontext(sys.stdin.buffer) if arguments.file == "-" else Path(arguments.file).open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if value := line.strip():
                    is_fine &= _translate(rehearsal, number, value, arguments)
    except OSError as error:
        print(f"relay translate: {arguments.file} cannot be read ({error.strerror}); check the path and its rights", file=sys.stderr)
        return 1
    return 0 if is_fine else 1


def _translate(rehearsal: "Rehearsal", number: int, value: bytes, arguments: argparse.Namespace) -> bool:
    from relay.rehearsal import SAMPLE_KEY

    heard = rehearsal.hear(value)
    rules = _rules(rehearsal, value, SAMPLE_KEY) if arguments.explain else []
    if arguments.json:
        print(json.dumps(_as_json(number, heard, rules, explains=arguments.explain)))
    else:
        _print(number, heard, rules, explains=arguments.explain)
    return not any(one.translated.reason or one.refusals for one in heard)


def _rules(rehearsal: "Rehearsal", value: bytes, key: bytes) -> list[str]:
    from relay.core.events import Record
    from relay.input.decoding import Unreadable
    from relay.input.mapping.mapped import MappedInput

    reader = rehearsal.reader
    if not isinstance(reader, MappedInput):
        return ["native: the event as it is"]
    try:
        return [reader.rule_for(element).where for element in reader.elements(Record(0, key=key, value=value))]
    except Unreadable:
        return []


def _as_json(number: int, heard: "list[Heard]", rules: list[str], *, explains: bool) -> dict[str, Any]:
    from relay.translation import as_native

    first = heard[0].translated
    shown: dict[str, Any] = {"line": number, "events": [as_native(event) for event in first.events]}
    shown["requests"] = {
        one.dialect: [{"method": "POST", "path": request.path, "body": json.loads(request.body)} for request in one.translated.requests]
        for one in heard
    }
    if explains:
        shown["rules"] = rules
    if first.dropped:
        shown["dropped"] = first.dropped
    problems = [
        *({"reason": one.translated.reason, "detail": one.translated.detail} for one in heard if one.translated.reason),
        *({"reason": "rejected", "detail": f"{one.dialect}: {refusal}"} for one in heard for refusal in one.refusals),
    ]
    if problems:
        shown["problems"] = problems
    return shown


def _print(number: int, heard: "list[Heard]", rules: list[str], *, explains: bool) -> None:
    from relay.translation import as_native

    first = heard[0].translated
    what = ", ".join(str(event.event_type) for event in first.events) or (f"dropped: {first.dropped}" if first.dropped else "nothing")
    print(f"line {number}: {what}")
    if explains:
        for rule in rules:
            print(f"  by {rule}")
        for event in first.events:
            print(f"  {json.dumps(as_native(event))}")
    for one in heard:
        if one.translated.reason:
            print(f"  {one.dialect}: {one.translated.reason}: {one.translated.detail}")
        for request in one.translated.requests:
            print(f"  {one.dialect}: POST {request.path}")
            print(f"    {request.body.decode()}")
        for refusal in one.refusals:
            print(f"  {one.dialect}: the API would refuse it: {refusal}")

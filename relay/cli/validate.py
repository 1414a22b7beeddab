"""`relay validate`: settings, a mapping, and raw events in a file, checked without connecting to anything."""

import argparse
import json
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

EXAMPLE: Final = "relay validate --mapping mapping.yaml samples.jsonl"
_SAMPLE_KEY: Final = b"sample"  # a sample has no record around it, and with it no key


class Problem(NamedTuple):
    """What is wrong with one line."""

    line: int
    reason: str
    detail: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("samples", nargs="?", metavar="SAMPLES", help="raw events, one JSON object a line; - reads standard input")
    parser.add_argument("--samples", dest="more_samples", metavar="FILE", help="the same")
    parser.add_argument(
        "--mapping", metavar="NAME|FILE", help="a preset or a mapping file to check, with the cases that are kept beside it"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML or TOML; the environment goes before them")
    parser.add_argument("--samples-only", action="store_true", help="check the samples against the defaults, and no settings")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Check, and tell by the exit code: 0 fine, 1 a sample or a case is wrong, 3 a setting or the mapping is."""
    samples = arguments.samples or arguments.more_samples
    if arguments.samples_only and samples is None:
        print("relay validate: --samples-only needs SAMPLES; name a file, or - for standard input", file=sys.stderr)
        return 2
    is_lenient, bytes_max, mapping, start_params = False, 262_144, arguments.mapping, dict[str, Any]()
    has_settings = not arguments.samples_only and (arguments.mapping is None or arguments.config is not None)
    if has_settings:
        from relay.settings import load

        settings = load(arguments.config)
        is_lenient, bytes_max = settings.input.unknown_fields == "ignore", settings.limits.record_bytes_max
        mapping, start_params = mapping or settings.input.mapping, dict(settings.session.start_params)
    checked = _Checked(settings="fine" if has_settings else "")
    try:
        if mapping in {None, "native"}:
            if samples is not None:
                with _lines_of(samples) as lines:
                    checked.count, checked.problems = check_samples(lines, is_lenient=is_lenient, bytes_max=bytes_max)
        else:
            _check_mapping(mapping, start_params, samples, checked)
    except OSError as error:
        print(f"relay validate: {samples} cannot be read ({error.strerror}); check the path and its rights", file=sys.stderr)
        return 1
    _report(arguments, checked, has_samples=samples is not None)
    return 1 if checked.problems or checked.failed_cases else 0


@dataclass
class _Checked:
    """What was looked at, and what was found."""

    settings: str = ""
    mapping: str = ""
    count: int = 0
    problems: list[Problem] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)
    case_count: int = 0
    failed_cases: list[Problem] = field(default_factory=list)


def _lines_of(samples: str) -> AbstractContextManager[Iterable[bytes]]:
    return nullcontext(sys.stdin.buffer) if samples == "-" else Path(samples).open("rb")


def _check_mapping(mapping: str, start_params: dict[str, Any], samples: str | None, checked: _Checked) -> None:
    from relay import rehearsal

    rehearsed = rehearsal.Rehearsal(mapping, start_params)
    checked.mapping = mapping
    if samples is not None:
        with _lines_of(samples) as lines:
            checked.count, found, dropped = rehearsal.check_samples(rehearsed, lines)
        checked.problems = [Problem(*problem) for problem in found]
        checked.dropped = dict(sorted(dropped.items()))
    cases = rehearsal.cases_beside(mapping)
    if cases is not None:
        checked.case_count, failed = rehearsal.check_cases(mapping, start_params, cases[1], cases[0])
        checked.failed_cases = [Problem(*problem) for problem in failed]


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


def _report(arguments: argparse.Namespace, checked: _Checked, *, has_samples: bool) -> None:
    if arguments.json:
        shown: dict[str, Any] = {"ok": not (checked.problems or checked.failed_cases), "events": checked.count}
        shown["problems"] = [problem._asdict() for problem in checked.problems]
        if checked.mapping:
            cases = [{"case": line, "name": name, "detail": detail} for line, name, detail in checked.failed_cases]
            shown |= {"mapping": checked.mapping, "dropped": checked.dropped, "cases": checked.case_count, "failed_cases": cases}
        print(json.dumps(shown, indent=2))
        return
    for line, reason, detail in checked.problems:
        print(f"line {line}: {reason}: {detail}")
    for number, name, detail in checked.failed_cases:
        print(f"case {number}, {name}: {detail}")
    if checked.settings:
        print(f"settings: {checked.settings}")
    if checked.mapping:
        print(f"mapping: {checked.mapping} is fine")
    if has_samples:
        dropped = "".join(f", {count} dropped as {reason}" for reason, count in checked.dropped.items())
        print(f"samples: {checked.count} events{dropped}, {len(checked.problems)} with problems")
    if checked.case_count:
        print(f"cases: {checked.case_count}, {len({problem.line for problem in checked.failed_cases})} failed")

"""`relay check`: connects to Kafka and the API with the settings of the service, and says of each thing whether it would serve."""

import argparse
import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from relay.check.findings import Report

EXAMPLE: Final = "relay check --config relay.yaml"
_COLOURS: Final = {"ok": "\x1b[32m", "warn": "\x1b[33m", "fail": "\x1b[31m", "skip": "\x1b[2m"}
_END_OF_COLOUR: Final = "\x1b[0m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML or TOML; the environment goes before them")
    parser.add_argument("--timeout", type=float, default=30.0, metavar="SECONDS", help="the longest it may take (default: %(default)g)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Check, and tell by the exit code: 0 fine or warnings only, 1 failed, 3 settings, topics or rights, 4 something does not answer."""
    from relay.check.findings import Report
    from relay.errors import RelayError
    from relay.settings import load, masked

    began = time.monotonic()
    report = Report()
    try:
        settings = load(arguments.config)
        count = sum(shown.source != "default" for shown in masked(settings))
        report.ok("settings", "all", f"{count} set, the others by default")
        from relay.errands import check

        logging.disable()  # what the clients say of failures is in the findings
        report.findings += asyncio.run(check(settings, seconds_max=arguments.timeout)).findings
    except RelayError as error:
        for line in str(error).splitlines():
            name, _, problem = line.partition(": ")
            report.fail("settings", name, problem or line, "correct it; `relay settings` lists them all", error.exit_code)
    finally:
        logging.disable(logging.NOTSET)
    if arguments.json:
        print(json.dumps(report.as_json(time.monotonic() - began), indent=2))
    else:
        _print(report, has_colours=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    return report.exit_code


def _print(report: "Report", *, has_colours: bool) -> None:
    for finding in report.findings:
        colour, end = (_COLOURS[finding.outcome], _END_OF_COLOUR) if has_colours else ("", "")
        print(f"{colour}{finding.outcome:4}{end}  {finding.check}  {finding.subject}: {finding.found}")
        if finding.advice:
            print(f"      {finding.advice}")
    counts = {outcome: sum(finding.outcome == outcome for finding in report.findings) for outcome in ("ok", "warn", "fail", "skip")}
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count))

"""`relay sessions`: the player sessions that a running relay holds."""

import argparse
import sys
from typing import Final

from relay.cli import running
from relay.cli.running import Relay, shapes

EXAMPLE: Final = "relay sessions --state failing"
LIMIT: Final = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    from relay.core.commands import Cause
    from relay.observe.console.sessions import STATES

    parser.add_argument("--state", choices=list(STATES), help="only those that stand so")
    parser.add_argument("--cause", choices=[cause.value for cause in Cause], help="only those that were lately opened for this cause")
    parser.add_argument("--text", help="a whole key, or the beginning of a name as logs have it")
    parser.add_argument("--limit", type=int, default=LIMIT, metavar="N", help="how many at most (default: %(default)d)")
    running.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask page by page, and print a table. With `--json`: an object a page."""
    from relay.observe.console.words import count, seconds

    relay = Relay.named_by(arguments)
    query = {"state": arguments.state or "", "cause": arguments.cause or "", "text": arguments.text or ""}
    found: list[shapes.Session] = []
    begin = ""
    while True:
        body = relay.bytes("/api/sessions", **query, **{"from": begin}) or b""
        page = running.decode(body, shapes.Sessions)
        if arguments.json:
            running.show_json(body)
        found += page.sessions
        begin = page.next
        if not begin or len(found) >= arguments.limit:
            break
    if arguments.json:
        return 0
    rows = [
        (
            one.key or one.name,
            one.state,
            str(one.waiting),
            seconds(one.oldest_waiting_seconds) if one.waiting else "-",
            seconds(one.silent_seconds),
            f"{one.topic}/{one.partition}",
            one.waits_for,
        )
        for one in found[: arguments.limit]
    ]
    print("\n".join(running.table(("SESSION", "STATE", "WAITING", "OLDEST", "SILENT", "PARTITION", "WAITS FOR"), rows)))
    more = "; there are more: --limit" if begin or len(found) > arguments.limit else ""
    print(f"{len(rows)} of {count(page.held)} sessions in memory{more}", file=sys.stderr)
    return 0

"""`relay top`: watch a running relay live."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Final

from relay.cli import running
from relay.cli.running import Relay, coloured, shapes

EXAMPLE: Final = "relay top --url http://relay-0:8080"
SECONDS: Final = 2.0
BLOCKS: Final = "▁▂▃▄▅▆▇█"
COLUMNS: Final = 48
ROWS_MAX: Final = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("--interval", type=float, default=SECONDS, metavar="SECONDS", help="between two looks (default: %(default)g)")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="how many looks; 0 is no end on a terminal, and one elsewhere")
    running.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Draw over what was drawn before on a terminal; elsewhere one after the other. With `--json`: an object a look."""
    relay = Relay.named_by(arguments)
    is_live = sys.stdout.isatty() and not arguments.json
    looks = arguments.count or (0 if is_live else 1)
    drawn = looked = 0
    while True:
        if arguments.json:
            running.show_json(relay.bytes("/api/overview") or b"")
        else:
            lines = list(_frame(relay, is_coloured=running.has_colours()))
            print((f"\x1b[{drawn}F\x1b[J" if drawn and is_live else "") + "\n".join(lines))
            drawn = len(lines)
        sys.stdout.flush()
        looked += 1
        if looks and looked >= looks:
            return 0
        time.sleep(arguments.interval)


def _frame(relay: Relay, *, is_coloured: bool) -> Iterator[str]:
    from relay.observe.console.words import count, rate, seconds, size, time_of_day

    looked = relay.ask(shapes.Overview, "/api/overview")
    hour = relay.ask(shapes.Series, "/api/history")
    failing = relay.ask(shapes.Sessions, "/api/sessions", state="failing").sessions[:ROWS_MAX]
    one = looked.relay
    yield coloured(f"relay {one.group}", "strong", is_wanted=is_coloured) + f"  {one.name}  {one.version}  {time_of_day(one.now)} UTC"
    yield coloured(looked.standing.sentence, looked.standing.level, is_wanted=is_coloured)
    yield from (f"  {advice}" for advice in looked.standing.advice)
    yield ""
    figures = (
        ("delivered", f"{rate(looked.delivered_per_second)}/s", hour.delivered_per_second),
        ("latency p99", seconds(looked.latency.p99_seconds), hour.latency_p99_seconds),
        ("lag", count(looked.lag), hour.lag),
        ("oldest", seconds(looked.oldest_undelivered_seconds), hour.oldest_undelivered_seconds),
        ("failed calls", f"{rate(looked.failed_calls_per_second)}/s", hour.failed_calls_per_second),
        ("in flight", f"{looked.in_flight} of {looked.concurrency_max}", hour.in_flight),
        ("sessions open", count(looked.sessions_open), hour.sessions_open),
    )
    for name, figure, values in figures:
        yield f"  {name:14} {figure:>14}  {coloured(sparks(values), 'muted', is_wanted=is_coloured)}"
    held = f"{size(looked.buffer.bytes)}, {count(looked.sessions_held)} sessions"
    yield f"  {'in memory':14} {count(looked.buffer.events):>14}  events, {held}"
    for name, counts in (("set aside", looked.reasons), ("tried again", looked.failures), ("opened", looked.openings)):
        if counts:
            yield f"  {name:14} " + ", ".join(f"{one.name} {count(one.count)}" for one in counts[:6])
    if failing:
        yield ""
        rows = [(one.key or one.name, one.state, str(one.waiting), seconds(one.oldest_waiting_seconds), one.waits_for) for one in failing]
        yield from (f"  {line}" for line in running.table(("FAILING", "STATE", "WAITING", "OLDEST", "WAITS FOR"), rows))


def sparks(values: Sequence[float]) -> str:
    """The last of them as little blocks."""
    shown = values[-COLUMNS:]
    top = max(shown, default=0.0) or 1.0
    return "".join(BLOCKS[min(len(BLOCKS) - 1, int(value / top * len(BLOCKS)))] for value in shown)

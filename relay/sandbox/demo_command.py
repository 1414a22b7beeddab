"""`relay demo`: runs the demonstration, shows it live on a terminal, and prints the account.

In: arguments. Out: a few lines that are redrawn while it runs, the account, and 0 only if the account is good.
"""

import argparse
import os
import sys
from typing import Final

import msgspec

from relay.observe import logs
from relay.sandbox.demo import FAULTS, Demo, Moment, Outcome

_BAR: Final = 28
_LINES_SECONDS: Final = 5.0  # between two lines where there is no terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("--seconds", type=float, default=20.0, metavar="N", help="how long the players play (20)")
    parser.add_argument("--rate", type=float, default=400.0, metavar="N", help="events per second (400)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed plays another evening (1)")
    parser.add_argument("--fault", action="append", metavar="RULE", help="such as events:500:0.02; replaces the faults that are built in")
    parser.add_argument("--restarts", type=int, default=1, metavar="N", help="how often the relay is restarted on the way (1)")
    parser.add_argument("--json", action="store_true", help="print the account as JSON")


async def run(arguments: argparse.Namespace) -> int:
    """Show it, and return 0 when nothing was lost, order was kept and nothing was repeated without need."""
    logs.configure("error", "console")
    try:
        demo = Demo(
            seconds=arguments.seconds,
            events_per_second=arguments.rate,
            seed=arguments.seed,
            faults=arguments.fault or FAULTS,
            restarts=arguments.restarts,
        )
    except ValueError as error:
        print(f"relay demo: {error}", file=sys.stderr)
        return 2
    screen = Screen(is_live=sys.stderr.isatty() and not os.environ.get("NO_COLOR"), seconds=arguments.seconds)
    async for moment in demo.run():
        screen.show(moment)
    screen.end()
    outcome = demo.outcome
    assert outcome is not None
    if arguments.json:
        account = msgspec.to_builtins(outcome)
        account["account"].pop("sessions")
        print(msgspec.json.format(msgspec.json.encode(account | {"is_good": outcome.is_good})).decode())
    else:
        print(describe(outcome))
    return 0 if outcome.is_good else 1


class Screen:
    """Lines on standard error: redrawn in place on a terminal, one now and then elsewhere."""

    def __init__(self, *, is_live: bool, seconds: float) -> None:
        """Begin with nothing drawn."""
        self._is_live = is_live
        self._seconds = seconds
        self._drawn = 0
        self._said_at = -_LINES_SECONDS

    def show(self, moment: Moment) -> None:
        """Draw a moment."""
        if self._is_live:
            lines = self._panel(moment)
            sys.stderr.write((f"\x1b[{self._drawn}F" if self._drawn else "") + "".join(f"\x1b[2K{line}\n" for line in lines))
            sys.stderr.flush()
            self._drawn = len(lines)
        elif moment.seconds - self._said_at >= _LINES_SECONDS:
            self._said_at = moment.seconds
            print(
                f"{moment.seconds:5.1f} s  {moment.phase}: {moment.produced} produced, {moment.delivered} delivered, "
                f"{moment.sessions_open} sessions open, {moment.requests_per_second:.0f} requests/s",
                file=sys.stderr,
            )

    def end(self) -> None:
        """Leave what is drawn."""
        self._drawn = 0

    def _panel(self, moment: Moment) -> list[str]:
        share = min(1.0, moment.seconds / self._seconds)
        bar = "█" * int(share * _BAR) + "░" * (_BAR - int(share * _BAR))
        faults = "  ".join(f"{name} {count}" for name, count in sorted(moment.faults.items())) or "none yet"
        return [
            f"\x1b[1mrelay demo\x1b[0m  {bar}  {moment.seconds:5.1f} s  {moment.phase}",
            f"  events    {moment.produced:>7} produced   {moment.delivered:>7} delivered   {moment.set_aside:>4} set aside (poison)",
            f"  sessions  {moment.sessions_open:>7} open       {moment.sessions_opened:>7} opened      {moment.restarts:>4} restarts of the relay",
            f"  requests  {moment.requests_per_second:>7.0f} /s         {_ms(moment.p50_seconds):>7} p50    {_ms(moment.p99_seconds):>11} p99",
            f"  \x1b[33mfaults\x1b[0m    {faults}",
        ]


def describe(outcome: Outcome) -> str:
    """The account in words."""
    total, account = outcome.account.total, outcome.account
    faults = sum(account.faults.values())
    lines = [
        f"{outcome.events} events and {outcome.poison} poison records in {outcome.seconds:.0f} s, {faults} faults injected, "
        f"relay restarted {outcome.restarts} time(s).",
        f"  {_tick(not total.missing)} nothing lost          {total.received} events received by the API, {total.missing} missing",
        f"  {_tick(not total.out_of_order and not outcome.order_violations)} order kept            {total.out_of_order} out of order",
        f"  {_tick(total.repeats <= total.repeats_excused)} nothing repeated      "
        f"{total.repeats} repeats, {total.repeats_excused} of them where the API's answer was lost",
        f"  {_tick(not total.retold_wrong)} sessions resumed      {total.openings_resumed} lost sessions opened again, "
        f"{total.told_again} things told again, {total.retold_wrong} told wrongly",
        f"  {_tick(not total.openings_needless)} sessions survived     {total.openings_needless} opened without need",
        f"  {_tick(outcome.set_aside == outcome.poison)} poison set aside      {outcome.set_aside} dead letters",
    ]
    lines += [f"    {finding}" for tally in account.sessions.values() for finding in tally.findings][:10]
    return "\n".join([*lines, "good" if outcome.is_good else "NOT GOOD"])


def _tick(is_good: bool) -> str:  # noqa: FBT001  # a mark for a fact
    return "✓" if is_good else "✗"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"

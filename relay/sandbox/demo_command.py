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
_FINDINGS_MAX: Final = 10
_LINES_SECONDS: Final = 5.0  # between two lines where there is no terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("--seconds", type=float, default=20.0, metavar="N", help="how long the players play (20)")
    parser.add_argument("--rate", type=float, default=400.0, metavar="N", help="events per second (400)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another seed plays another evening (1)")
    parser.add_argument("--fault", action="append", metavar="RULE", help="such as events:500:0.02; replaces the faults that are built in")
    parser.add_argument("--restarts", type=int, default=1, metavar="N", help="how often the relay is restarted on the way (1)")
    parser.add_argument("--dialect", choices=["media-collection", "media-edge"], default="media-collection", help="the API that is spoken")
    parser.add_argument("--console-port", type=int, default=0, metavar="PORT", help="of the relay's console (any that is free)")
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
            dialect=arguments.dialect,
            console_port=arguments.console_port,
        )
    except ValueError as error:
        print(f"relay demo: {error}", file=sys.stderr)
        return 2
    print(f"console: {demo.console}", file=sys.stderr)
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
            lines = _panel(moment, self._seconds)
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


def _panel(moment: Moment, seconds: float) -> list[str]:
    share = min(1.0, moment.seconds / seconds)
    bar = "█" * int(share * _BAR) + "░" * (_BAR - int(share * _BAR))
    faults = "  ".join(f"{name} {count}" for name, count in sorted(moment.faults.items())) or "none yet"
    rows = [
        ("events", f"{moment.produced} produced", f"{moment.delivered} delivered", f"{moment.set_aside} set aside (poison)"),
        ("sessions", f"{moment.sessions_open} open", f"{moment.sessions_opened} opened", f"{moment.restarts} restarts of the relay"),
        (
            "requests",
            f"{moment.requests_per_second:.0f} /s",
            f"{_ms(moment.p50_seconds)} p50",
            f"{_ms(moment.p99_seconds)} p99",
        ),
    ]
    return [
        f"\x1b[1mrelay demo\x1b[0m  {bar}  {moment.seconds:5.1f} s  {moment.phase}",
        *(f"  {name:9} {first:<18} {second:<18} {third}" for name, first, second, third in rows),
        f"  \x1b[33mfaults\x1b[0m    {faults}",
        f"  console   {moment.console}",
    ]


def describe(outcome: Outcome) -> str:
    """The account in words."""
    total, account = outcome.account.total, outcome.account
    facts = [
        (not total.missing, "nothing lost", f"{total.received} events received by the API, {total.missing} missing"),
        (not total.out_of_order and not outcome.order_violations, "order kept", f"{total.out_of_order} out of order"),
        (
            total.repeats <= total.repeats_excused,
            "nothing repeated",
            f"{total.repeats} repeats, {total.repeats_excused} of them where the API's answer was lost",
        ),
        (
            not total.retold_wrong,
            "sessions resumed",
            f"{total.openings_resumed} lost sessions opened again, {total.told_again} things told again, {total.retold_wrong} wrongly",
        ),
        (not total.openings_needless, "sessions survived", f"{total.openings_needless} opened without need"),
        (outcome.set_aside == outcome.poison, "poison set aside", f"{outcome.set_aside} dead letters"),
    ]
    head = f"{outcome.events} events and {outcome.poison} poison records in {outcome.seconds:.0f} s"
    faults = f"{sum(account.faults.values())} faults injected, relay restarted {outcome.restarts} time(s)"
    findings = [f"    {finding}" for tally in account.sessions.values() for finding in tally.findings]
    return "\n".join(
        [
            f"{head}; {faults}.",
            *(f"  {'✓' if is_good else '✗'} {name:18} {figures}" for is_good, name, figures in facts),
            *findings[:_FINDINGS_MAX],
            "good" if outcome.is_good else "NOT GOOD",
        ]
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"

"""`relay session KEY`: where a player session lives, what it waits for, and what happened to it.

Any replica may be asked. One that does not hold the session says which partition its key lies in and who holds that, and is believed: that
relay is asked next, at the same port.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from relay.cli import running
from relay.cli.running import NoAnswer, Relay, coloured, printable, shapes

EXAMPLE: Final = "relay session 5f3a2c9e-0d41-4b7e-9a55-3a1f6f0c2d11 --url http://relay-0:8080"
GAP_SECONDS: Final = 15.0
_NAME: Final = re.compile("[0-9a-f]{12}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("key", metavar="KEY", help="the key of the player session, or its name of twelve digits as logs have it")
    parser.add_argument("--follow", action="store_true", help="let the relay keep a longer time line of it from now on")
    parser.add_argument("--here", action="store_true", help="ask this relay only, wherever the session is")
    running.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, and go where the answer points. 1 when nobody has it."""
    relay = Relay.named_by(arguments)
    body, where = _find(relay, arguments)
    if arguments.json:
        running.show_json(body)
    for line in where.lines:
        if not arguments.json:
            print("\n".join(_told(line, where.asked)))
    if where.lines:
        return 0
    for sentence in _elsewhere(where):
        print(f"relay session: {sentence}", file=sys.stderr)
    return 1


def _find(relay: Relay, arguments: argparse.Namespace) -> tuple[bytes, shapes.Whereabouts]:
    body, where = _ask(relay, arguments)
    if where.lines or arguments.here:
        return body, where
    if _NAME.fullmatch(arguments.key) and (named := _named(relay, arguments)) is not None:
        return named
    for candidate in where.candidates:
        if candidate.holder is None or candidate.is_here or not candidate.holder.host:
            continue
        host = candidate.holder.host
        other = f"http://{f'[{host}]' if ':' in host else host}{f':{relay.port}' if relay.port else ''}"
        try:
            body_there, there = _ask(Relay(other, arguments.timeout), arguments)
        except NoAnswer as problem:
            print(f"relay session: {printable(candidate.holder.member)} should have it: {problem}", file=sys.stderr)
            continue
        if there.lines:
            return body_there, there
    return body, where


def _ask(relay: Relay, arguments: argparse.Namespace) -> tuple[bytes, shapes.Whereabouts]:
    body = relay.bytes("/api/session", key=arguments.key, follow="yes" if arguments.follow else "")
    if body is None:
        raise NoAnswer(f"{relay.url} has no console: it is no relay, or RELAY_ADMIN__CONSOLE is false there")
    return body, running.decode(body, shapes.Whereabouts)


def _named(relay: Relay, arguments: argparse.Namespace) -> tuple[bytes, shapes.Whereabouts] | None:
    """By its name instead of its key; only the relay that was asked can say."""
    import msgspec

    found = relay.ask(shapes.Sessions, "/api/sessions", text=arguments.key)
    lines: list[shapes.TimeLine] = []
    for one in found.sessions:
        path = f"/api/sessions/{quote(one.topic, safe='')}/{one.partition}/{one.name}"
        body = relay.bytes(path, follow="yes" if arguments.follow else "")
        lines += [running.decode(body, shapes.TimeLine)] if body is not None else []
    if not lines:
        return None
    where = shapes.Whereabouts(name=arguments.key, asked=relay.ask(shapes.Overview, "/api/overview").relay.name, lines=lines, candidates=[])
    return msgspec.json.encode(where), where


def _elsewhere(where: shapes.Whereabouts) -> Iterator[str]:
    yield f"{where.asked} does not hold it (name {where.name})"
    for one in where.candidates:
        place = f"by {one.partitioner} its key lies in {one.topic} partition {one.partition}"
        if one.is_here:
            yield f"{place}, which {where.asked} holds: it has seen no event of it, or has forgotten it"
        elif one.holder is None:
            yield f"{place}; the group does not say who holds that"
        else:
            yield f"{place}, which {printable(one.holder.member)} at {printable(one.holder.host)} holds"


def _told(line: shapes.TimeLine, asked: str) -> Iterator[str]:
    from relay.observe.console.words import fine_time, plural, seconds

    is_coloured = running.has_colours()
    session = line.session
    shown = printable((session.key if session is not None else None) or line.name)
    yield coloured(f"session {shown}", "strong", is_wanted=is_coloured) + f"  on {asked}, {line.topic} partition {line.partition}"
    if session is None:
        yield "  no longer held: it is over, was forgotten, or its partition went elsewhere"
    else:
        yield f"  waits for {session.waits_for}"
        yield f"  {session.state}, {plural(session.waiting, 'event')} waiting, silent for {seconds(session.silent_seconds)}"
    if line.kept_since is None:
        yield "  no time line is kept of it; with --follow one begins now"
        return
    yield ""
    for place, step in enumerate(line.steps):
        if line.left_out and place == _first_rows(line):
            yield f"  {'':12}  … {plural(line.left_out, 'row')} left out"
        if step.gap_seconds >= GAP_SECONDS:
            yield f"  {'':12}  … {seconds(step.gap_seconds)} of silence"
        yield f"  {fine_time(step.at)}  {_step(step, is_coloured=is_coloured)}"


def _first_rows(line: shapes.TimeLine) -> int:
    from relay.observe.timelines import ROWS_FIRST

    return min(ROWS_FIRST, len(line.steps))


def _step(step: shapes.Step, *, is_coloured: bool) -> str:
    from relay.observe.console.words import seconds

    what = step.event if step.what == "event" else f"{step.what.replace('_', ' ')}{f' {step.event}' if step.event else ''}"
    outcome = step.outcome or ("waits" if step.what == "event" else "")
    facts = [
        outcome,
        step.cause,
        f"answer {step.status}" if step.status and str(step.status) not in step.cause else "",
        f"{step.tries} tries" if step.tries > 1 else "",
        f"waited {seconds(step.delay_seconds)}" if step.delay_seconds else "",
        f"took {seconds(step.took_seconds)}" if step.took_seconds else "",
        f"@ {step.offset}" if step.offset is not None else "",
    ]
    level = "trouble" if outcome in {"set aside", "refused"} else "watch" if step.what in {"lost", "retried", "parked", "given_up"} else ""
    return f"{coloured(f'{what:20}', level, is_wanted=is_coloured)}  {', '.join(fact for fact in facts if fact)}".rstrip()

"""What the core costs: CPU per event, and bytes per open idle session.

In: nothing. Out: two tables, and where the time goes. The core is driven as the pump drives it: records in batches through `handle`, then
`turns`, then the answers of all calls under way. Nothing else is measured: no JSON is read or written, nothing is sent.

    python bench/core.py [--order drop_repeats] [--profile]
"""

import argparse
import cProfile
import gc
import io
import os
import platform
import pstats
import statistics
import sys
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from relay.core.assignment import Assignment
from relay.core.commands import Command, Finish, OpenSession, SendEvent
from relay.core.events import ApiSessionId, EventType, PlayerEvent, Record, SessionKey
from relay.core.inputs import Accepted, Answered, Arrived, Assigned, Opened
from relay.core.patience import Rules
from relay.core.pressure import Limits
from relay.core.router import Router
from relay.core.sequence import Order, Policy
from relay.core.silence import KeepAlive
from relay.core.starts import Starts

LANES = 2_000
EVENTS_PER_LANE = 100
BATCH = 500
ROUNDS = 5
SESSIONS = 100_000
MICROSECONDS_MAX = 10.0
BYTES_MAX = 3 * 1024
ACCEPTED = Accepted()
KEEP_ALIVE = KeepAlive(240.0)
PARAMS = (
    b'{"analytics.trackingServer":"company.sc.omtrdc.net","analytics.reportSuite":"company-production","analytics.visitorId":"%032d",'
    b'"visitor.marketingCloudOrgId":"0123456789ABCDEF01234567@AdobeOrg","visitor.marketingCloudUserId":"%038d","media.id":"film-%08d",'
    b'"media.name":"The one about the relay","media.length":5400.0,"media.contentType":"vod","media.playerName":"html5 player",'
    b'"media.channel":"web","media.streamType":"video","media.show":"Relay","media.season":"2","media.episode":"7","media.genre":"drama",'
    b'"media.network":"one","media.sdkVersion":"4.2.1","media.streamFormat":"hls","media.rating":"12"}'
)


class Chosen:
    """What the command line says."""

    policy = Policy.SEND  # as by default


chosen = Chosen()


def router(keep_alive: KeepAlive | None = None) -> tuple[Router, Assignment]:
    """A router with one partition."""
    rules, starts = Rules(keep_alive=keep_alive), Starts(required=frozenset())
    made = Router(limits=Limits(), rules=rules, starts=starts, order=Order(policy=chosen.policy))
    assignment = Assignment("player-events", 0)
    made.handle(Assigned(assignment), 0.0)
    return made, assignment


def events() -> list[tuple[SessionKey, PlayerEvent]]:
    """Realistic sessions, interleaved: a start, then mostly pings, now and then something that is remembered."""
    said: list[tuple[SessionKey, PlayerEvent]] = []
    kinds = [EventType.SESSION_START, EventType.PLAY, *[EventType.PING] * (EVENTS_PER_LANE - 3), EventType.SESSION_END]
    kinds[10], kinds[30] = EventType.PAUSE_START, EventType.PLAY
    keys = [SessionKey(f"{number:036d}") for number in range(LANES)]
    for kind in kinds:
        for key in keys:
            record = Record(len(said), key=b"k" * 36, value=b"%0200d" % len(said))
            said.append((key, PlayerEvent(kind, 12.5, 1_700_000_012_500 + len(said), record=record)))
    return said


def drive(said: list[tuple[SessionKey, PlayerEvent]]) -> float:
    """All of it through a new router; the CPU seconds that this took."""
    driven, assignment = router()
    opened, finished, place = Opened(ApiSessionId("f" * 64)), 0, 0
    answers: list[Answered] = []
    began = time.process_time()
    while finished < len(said):
        commands: list[Command] = []
        for key, event in said[place : place + BATCH]:
            commands += driven.handle(Arrived(assignment, key, event), 1.0)
        place += BATCH
        for answer in answers:
            commands += driven.handle(answer, 1.0)
        commands += driven.turns(1.0)
        answers = []
        for command in commands:
            if isinstance(command, SendEvent):
                answers.append(Answered(command.lane, ACCEPTED))
            elif isinstance(command, Finish):
                finished += 1
            elif isinstance(command, OpenSession):
                answers.append(Answered(command.lane, opened))
    took = time.process_time() - began
    assert assignment.ledger.safe == len(said)
    assert driven.order_violations == 0
    return took


def open_sessions(count: int, keep_alive: KeepAlive | None = None) -> Router:
    """So many sessions that are open and silent, a third of them in a chapter, a quarter in an ad, all of them playing."""
    driven, assignment = router(keep_alive)
    offset = 0
    for number in range(count):
        key = SessionKey(f"{number:036d}")
        kinds = [EventType.SESSION_START, EventType.PLAY]
        kinds += [EventType.CHAPTER_START] * (number % 3 == 0) + [EventType.AD_BREAK_START, EventType.AD_START] * (number % 4 == 0)
        for kind in kinds:
            params = PARAMS % (number, number, number) if kind is EventType.SESSION_START else b""
            if kind not in {EventType.SESSION_START, EventType.PLAY}:
                params = b'{"media.what":"%s","media.index":%d,"media.length":300.0}' % (kind.encode(), number)
            event = PlayerEvent(kind, 0.5, 1_700_000_000_000 + offset, params=params, record=Record(offset))
            commands = driven.handle(Arrived(assignment, key, event), 1.0) + driven.turns(1.0)
            offset += 1
            for command in commands:
                if isinstance(command, OpenSession):
                    driven.handle(Answered(command.lane, Opened(ApiSessionId(f"{number:064x}"))), 1.0)
                elif isinstance(command, SendEvent):
                    driven.handle(Answered(command.lane, ACCEPTED), 1.0)
    assignment.changed.clear()  # their memoirs were written
    assert driven.sessions_open == count
    assert driven.buffer.event_count == 0
    return driven


def speak_for_all(driven: Router) -> float:
    """The relay says a ping for each of them, once; the CPU seconds that this took."""
    began, now, silent = time.process_time(), 1_000.0, driven.sessions_open
    while silent:
        now += 1.0
        driven.look_for_silence(now)
        while calls := driven.turns(now):
            for command in calls:
                if isinstance(command, SendEvent):
                    silent -= 1
                    driven.handle(Answered(command.lane, ACCEPTED), now)
    return time.process_time() - began


def resident_bytes() -> int:
    """What the process holds in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def profile(said: list[tuple[SessionKey, PlayerEvent]], lines: int = 14) -> str:
    """Where the time goes, by own time."""
    profiler = cProfile.Profile()
    profiler.runcall(drive, said)
    out = io.StringIO()
    pstats.Stats(profiler, stream=out).strip_dirs().sort_stats("tottime").print_stats(lines)
    rows = out.getvalue().splitlines()
    return "\n".join(rows[next(index for index, row in enumerate(rows) if "ncalls" in row) :]).rstrip()


def main() -> int:
    """Measure, print, and say whether it is cheap enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--order", choices=("ignore", "send", "drop_repeats"), default="send", help="RELAY_INPUT__ORDER (default: %(default)s)"
    )
    parser.add_argument("--profile", action="store_true", help="also say where the time goes")
    options = parser.parse_args()
    chosen.policy = Policy(options.order)
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores\n")

    before = resident_bytes()
    kept = open_sessions(SESSIONS)
    gc.collect()
    resident = (resident_bytes() - before) / SESSIONS
    del kept
    gc.collect()
    tracemalloc.start()
    kept = open_sessions(SESSIONS // 10)
    gc.collect()
    allocated = tracemalloc.get_traced_memory()[0] / (SESSIONS // 10)
    del kept
    kept = open_sessions(SESSIONS // 10, KEEP_ALIVE)
    spoken = speak_for_all(kept) / (SESSIONS // 10) * 1e6
    for assignment in kept.assignments.values():
        assignment.changed.clear()
    gc.collect()
    kept_alive = tracemalloc.get_traced_memory()[0] / (SESSIONS // 10)
    tracemalloc.stop()
    del kept
    print(f"bytes per open idle session ({len(PARAMS % (0, 0, 0))} bytes of start params)")
    print(f"  resident, {SESSIONS:,} sessions   {resident:8,.0f}")
    print(f"  allocated, {SESSIONS // 10:,} sessions   {allocated:8,.0f}   (target {BYTES_MAX:,})")
    print(f"  allocated, kept alive by the relay's pings   {kept_alive:,.0f}; a ping costs {spoken:.0f} µs while memory is traced\n")

    said = events()
    gc.collect()
    rounds = sorted(drive(said) / len(said) * 1e6 for _ in range(ROUNDS))
    median = statistics.median(rounds)
    print(f"CPU per event ({LANES:,} sessions x {EVENTS_PER_LANE} events, all accepted; {ROUNDS} rounds)")
    print(f"  median   {median:6.2f} µs   (target {MICROSECONDS_MAX})")
    print(f"  best     {rounds[0]:6.2f} µs\n  worst    {rounds[-1]:6.2f} µs")
    if options.profile:
        print(f"\nwhere the time goes\n{profile(said)}")
    return 0 if median <= MICROSECONDS_MAX and max(resident, kept_alive) <= BYTES_MAX else 1


if __name__ == "__main__":
    raise SystemExit(main())

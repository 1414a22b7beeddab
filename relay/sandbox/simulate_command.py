"""`relay simulate`: simulated players that produce to a topic.

In: the command's arguments. Out: records in the topic, one line that sums up, and the exit code.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

import msgspec

from relay.errors import RelayError
from relay.sandbox.accents import Accent, presets
from relay.sandbox.crowd import crowd
from relay.sandbox.encoding import Encoding
from relay.sandbox.manifest import ManifestFile
from relay.sandbox.producing import ClientSettings, Producing
from relay.sandbox.saying import Said
from relay.sandbox.shapes import InvalidShape, Shape, load_shape

FINE: Final = 0
FAILED: Final = 1
USAGE: Final = 2

_BOOTSTRAP_SERVERS: Final = "RELAY_KAFKA__BOOTSTRAP_SERVERS"
_REGISTRY: Final = "RELAY_INPUT__SCHEMA_REGISTRY__URL"
_PROGRESS_SECONDS: Final = 0.5
_SESSIONS_MAX: Final = 10_000_000


class Summary(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one run did; with `--json` this is printed."""

    topic: str
    sessions: int
    seed: int
    began_ms: int
    produced: int
    confirmed: int
    failed: int
    seconds: float
    is_complete: bool  # false when it was stopped from outside


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("--bootstrap-servers", metavar="HOST:PORT", help=f"where Kafka is; else taken from {_BOOTSTRAP_SERVERS}")
    parser.add_argument("--topic", default="player-events", help="default: %(default)s")
    parser.add_argument("--sessions", type=_session_count, default=100, metavar="N", help="player sessions in all (default: %(default)s)")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--rate", type=_pace, default=1000.0, metavar="N", help="records per second, 0: no limit (default: %(default)g)")
    pace.add_argument("--speed", type=_pace, default=0.0, metavar="X", help="instead of a rate: so many times as fast as real players")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed gives the same sessions (default: %(default)s)")
    parser.add_argument("--shape", type=Path, metavar="FILE", help="how players behave, YAML or JSON")
    parser.add_argument("--events", type=int, metavar="N", help="simple players: exactly N events each, a start, pings and an end")
    parser.add_argument("--began-ms", type=int, metavar="MS", help="the first moment as Unix milliseconds (default: now)")
    parser.add_argument("--client", type=_client, default={}, metavar="JSON", help="librdkafka properties as a JSON object (security, …)")
    words = parser.add_mutually_exclusive_group()
    words.add_argument("--preset", choices=presets(), help="speak the vocabulary of a preset instead of native events")
    words.add_argument(
        "--format",
        choices=("json", "avro", "protobuf", "json-schema"),
        default="json",
        help="how values are written (default: %(default)s)",
    )
    parser.add_argument("--registry", metavar="URL", help=f"the schema registry for --format; else taken from {_REGISTRY}")
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="write what Kafka confirmed there, as JSON lines")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


async def run(arguments: argparse.Namespace) -> int:
    """Do what the arguments ask for, and return the exit code."""
    bootstrap_servers: str = arguments.bootstrap_servers or os.environ.get(_BOOTSTRAP_SERVERS, "")
    if not bootstrap_servers:
        return _refuse(USAGE, f"say where Kafka is: --bootstrap-servers HOST:PORT, or {_BOOTSTRAP_SERVERS}")
    registry_url: str = arguments.registry or os.environ.get(_REGISTRY, "")
    if arguments.format != "json" and not registry_url:
        return _refuse(USAGE, f"--format {arguments.format} registers its schema; say where: --registry URL, or {_REGISTRY}")
    try:
        shape = _choose_shape(arguments)
        encode = _choose_words(arguments, registry_url)
        summary, failure = await _simulate(bootstrap_servers, shape, arguments, encode)
    except RelayError as error:
        return _refuse(error.exit_code, str(error))
    except OSError as error:
        return _refuse(USAGE, f"cannot write the manifest {arguments.manifest}: {error.strerror}")
    sys.stdout.write((msgspec.json.encode(summary).decode() if arguments.json else _sum_up(summary)) + "\n")
    if summary.failed:
        return _refuse(FAILED, f"{summary.failed} records were not confirmed; of the last one Kafka says: {failure}")
    return FINE


def _choose_words(arguments: argparse.Namespace, registry_url: str) -> Callable[[Said], bytes | None] | None:
    if arguments.preset is not None:
        return Accent(arguments.preset)
    return None if arguments.format == "json" else Encoding(arguments.format, registry_url, arguments.topic)


def _choose_shape(arguments: argparse.Namespace) -> Shape:
    shape = Shape() if arguments.shape is None else load_shape(arguments.shape)
    if arguments.events is None:
        return shape
    try:
        return shape.having(events_exactly=arguments.events, events_max=max(arguments.events, shape.events_max))
    except msgspec.ValidationError as error:
        raise InvalidShape(f"--events {arguments.events}: {error}") from error


async def _simulate(
    bootstrap_servers: str, shape: Shape, arguments: argparse.Namespace, encode: Callable[[Said], bytes | None] | None
) -> tuple[Summary, str]:
    """Produce the crowd; also what was said of the last record that failed."""
    began = time.monotonic()
    began_ms: int = int(time.time() * 1000) if arguments.began_ms is None else arguments.began_ms
    players = crowd(arguments.sessions, arguments.seed, shape, began_ms=began_ms)
    with contextlib.ExitStack() as stack:
        manifest = None if arguments.manifest is None else stack.enter_context(ManifestFile(arguments.manifest))
        producing = Producing(
            bootstrap_servers=bootstrap_servers,
            topic=arguments.topic,
            client=arguments.client,
            encode=encode,
            on_confirmed=None if manifest is None else manifest.add,
        )
        stack.enter_context(producing)
        await producing.connect()
        stopped = stack.enter_context(_stop_on_signals(producing))
        stack.enter_context(_show_progress(producing, is_wanted=sys.stderr.isatty() and not arguments.json))
        await producing.run(players, events_per_second=0 if arguments.speed else arguments.rate, speed=arguments.speed)
    summary = Summary(
        topic=arguments.topic,
        sessions=arguments.sessions,
        seed=arguments.seed,
        began_ms=began_ms,
        produced=producing.produced,
        confirmed=producing.confirmed,
        failed=producing.failed,
        seconds=round(time.monotonic() - began, 3),
        is_complete=not stopped,
    )
    return summary, producing.failure


@contextlib.contextmanager
def _stop_on_signals(producing: Producing) -> Generator[list[signal.Signals]]:
    """Let Ctrl-C and SIGTERM end the run early, with its summary. The list says which came."""
    loop = asyncio.get_running_loop()
    stopped: list[signal.Signals] = []

    def stop(received: signal.Signals) -> None:
        stopped.append(received)
        producing.stop()

    handled = (signal.SIGINT, signal.SIGTERM)
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not the main thread, or Windows
        for one in handled:
            loop.add_signal_handler(one, stop, one)
    try:
        yield stopped
    finally:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            for one in handled:
                loop.remove_signal_handler(one)


@contextlib.contextmanager
def _show_progress(producing: Producing, *, is_wanted: bool) -> Generator[None]:
    """Keep one line of the terminal up to date, and clear it at the end."""
    if not is_wanted:
        yield
        return

    async def show() -> None:
        while True:
            sys.stderr.write(f"\r{producing.produced:,} produced, {producing.confirmed:,} confirmed, {producing.failed:,} failed")
            sys.stderr.flush()
            await asyncio.sleep(_PROGRESS_SECONDS)

    showing = asyncio.create_task(show())
    try:
        yield
    finally:
        showing.cancel()
        sys.stderr.write("\r\033[K")


def _sum_up(summary: Summary) -> str:
    rate = summary.confirmed / summary.seconds if summary.seconds else 0.0
    stopped = "" if summary.is_complete else "; stopped early"
    return (
        f"{summary.sessions} sessions, seed {summary.seed}: {summary.confirmed} of {summary.produced} records confirmed"
        f" in {summary.topic} in {summary.seconds:.1f} s ({rate:.0f}/s){stopped}"
    )


def _refuse(code: int, words: str) -> int:
    sys.stderr.write(f"relay simulate: {words}\n")
    return code


def _session_count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= _SESSIONS_MAX:
        raise argparse.ArgumentTypeError(f"{count} is not between 1 and {_SESSIONS_MAX}")
    return count


def _pace(text: str) -> float:
    pace = float(text)
    if not 0 <= pace < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not 0 or more")
    return pace


def _client(text: str) -> ClientSettings:
    try:
        return msgspec.json.decode(text, type=dict[str, str | int | float | bool])
    except msgspec.MsgspecError as error:
        raise argparse.ArgumentTypeError(f"not a JSON object of librdkafka properties ({error})") from error

"""`relay fake-api`: the fake API alone, until it is told to stop; then the account of what it got.

In: arguments. Out: a line with the URL, at the end the account, and the exit code.
"""

import argparse
import asyncio
import contextlib
import signal
import ssl
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Final

import msgspec

from relay.sandbox.fake_api.admin import describe
from relay.sandbox.fake_api.api import FakeApi
from relay.sandbox.fake_api.tally import Account
from relay.sandbox.fake_api.tokens import PATH as TOKEN_PATH
from relay.sandbox.fake_api.tokens import SECONDS, TokenDesk

PORT: Final = 8081
_PORT_MAX: Final = 65_535
_FAILED: Final = 1
_USAGE: Final = 2
_UNCLEAN_SHOWN: Final = 20
_FIGURES: Final = (
    ("received", "events received"),
    ("told_again", "told again after a session was lost"),
    ("openings", "sessions opened"),
    ("openings_resumed", "of these, in place of a lost one"),
    ("repeats", "repeated events"),
    ("repeats_excused", "of these, because an answer was lost"),
    ("out_of_order", "out of order"),
    ("retold_wrong", "lost sessions told wrongly"),
    ("missing", "missing"),
    ("extra", "extra"),
    ("refused_by_fault", "refused by an injected fault"),
)


class Arguments(argparse.Namespace):
    """What the command line says."""

    host: str
    port: int
    fault: list[str]
    seed: int
    datastream: list[str]
    token_client: str | None
    token_seconds: float
    tls_cert: Path | None
    tls_key: Path | None
    json: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="port to listen on, 0 for any (default: %(default)s)")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="RULE",
        help="operation:what:probability, as in events:500:0.01 or sessions:503+5:0.1; repeatable. operation: sessions, events, all. "
        "what: a status, reset, lost, truncated, hang, slow+SECONDS, limit+NUMBER, noid, badid, otherhost, upstream",
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed and requests meet the same faults (default: %(default)s)")
    parser.add_argument(
        "--datastream",
        action="append",
        default=[],
        metavar="ID",
        help="the Media Edge API knows this datastream and no other; repeatable (default: any)",
    )
    parser.add_argument(
        "--token-client",
        metavar="ID:SECRET",
        help=f"serve only who has a bearer token, and give tokens to this client at POST {TOKEN_PATH}",
    )
    parser.add_argument("--token-seconds", type=float, default=SECONDS, help="how long a token lives (default: %(default)g)")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="serve https with this certificate chain, PEM")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's key, where it is not in the same file")
    parser.add_argument("--json", action="store_true", help="print JSON, one value to a line")


async def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM, then print the account."""
    given = Arguments(**vars(arguments))
    if not 0 <= given.port <= _PORT_MAX:  # uvloop would take what is left of it
        return _fail(f"--port {given.port} is none: use 0 to {_PORT_MAX}", _USAGE)
    try:
        api = FakeApi(seed=given.seed, faults=given.fault, datastream_ids=given.datastream, tokens=_desk(given))
        tls = _tls(given)
    except (ValueError, OSError) as error:  # a TLS error is an OSError
        return _fail(str(error), _USAGE)
    # Listen to the signals first: whoever reads the URL may send one at once.
    with _stopping() as stopped:
        try:
            url = await api.start(given.host, given.port, tls)
        except OSError as error:
            return _fail(f"cannot listen on {given.host} port {given.port}: {error}", _FAILED)
        _say(msgspec.json.encode({"url": url}).decode() if given.json else f"the fake API listens at {url}")
        try:
            await stopped.wait()
        finally:
            await api.stop()
    account = api.account()
    _say(msgspec.json.encode(describe(account, "unclean")).decode() if given.json else in_words(account))
    return 0


def in_words(account: Account) -> str:
    """Tell the account to a human."""
    lines = [f"{getattr(account.total, name):>12,}  {meaning}" for name, meaning in _FIGURES]
    lines.append(f"{len(account.sessions):>12,}  player sessions")
    for title, counts in (("requests by status", account.requests), ("faults injected", account.faults)):
        if counts:
            lines.append(f"{title}: " + ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())))
    if account.events_not_kept:
        lines.append(
            f"{account.events_not_kept:,} events came after {account.events_kept:,}, which is as many as are kept: nothing is known of them"
        )
    unclean = [(key, tally) for key, tally in account.sessions.items() if not tally.is_clean]
    for key, tally in unclean[:_UNCLEAN_SHOWN]:
        lines.append(f"{key}: {'; '.join(tally.findings)}")
    if len(unclean) > _UNCLEAN_SHOWN:
        lines.append(f"… and {len(unclean) - _UNCLEAN_SHOWN:,} more player sessions")
    lines.append("clean" if account.is_clean else "not clean")
    return "\n".join(lines)


def _desk(given: Arguments) -> TokenDesk | None:
    if given.token_client is None:
        return None
    client_id, _, secret = given.token_client.partition(":")
    if not client_id or not secret or not given.token_seconds > 0:
        raise ValueError("--token-client wants ID:SECRET, and --token-seconds more than 0")
    return TokenDesk(client_id, secret, seconds=given.token_seconds)


def _tls(given: Arguments) -> ssl.SSLContext | None:
    if given.tls_cert is None:
        if given.tls_key is not None:
            raise ValueError("--tls-key needs --tls-cert")
        return None
    for file in (given.tls_cert, given.tls_key):
        if file is not None and not file.is_file():
            raise ValueError(f"there is no file {file}")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(given.tls_cert, given.tls_key)
    except ssl.SSLError as error:
        raise ValueError(f"cannot use {given.tls_cert} with {given.tls_key or 'the key in it'}: {error}") from error
    return context


@contextlib.contextmanager
def _stopping() -> Generator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    try:
        yield stopped
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _fail(reason: str, code: int) -> int:
    sys.stderr.write(f"relay fake-api: {reason}\n")
    return code

"""`relay fake-registry`: a small schema registry in memory, to try formats with."""

import argparse
import signal
import threading
from types import FrameType
from typing import Final

EXAMPLE: Final = "relay fake-registry --port 8085"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8085, help="port to listen on, 0 for any (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from relay.errors import Unreachable
    from relay.sandbox.fake_registry import FakeRegistry, serving

    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    registry = FakeRegistry()
    try:
        with serving(registry, host=arguments.host, port=arguments.port) as url:
            print(f"schema registry: {url}", flush=True)
            stopped.wait()
    except OSError as error:
        raise Unreachable(f"cannot listen on {arguments.host}:{arguments.port} ({error.strerror}); choose another port") from error
    print(f"{len(registry.requests)} requests")
    return 0

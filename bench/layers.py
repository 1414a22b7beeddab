"""Where the relay's CPU time goes, layer by layer.

    python bench/layers.py [--shape tls] [--lines 25]

Runs the relay on a broker and an API server of its own (Go is wanted), and looks 500 times per second of CPU time where the loop's thread
stands: the innermost of the relay's own modules is the layer that pays, so time in compiled libraries counts for who called them. What the
event loop does of itself (reading sockets, TLS) has a line of its own, and so have the threads of the Kafka client.
"""

import argparse
import atexit
import collections
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import Final

HERE: Final = Path(__file__).resolve().parent
PACKAGE: Final = HERE.parent / "relay"
LOOK_SECONDS: Final = 0.002
EVENT_LOOP: Final = "(event loop)"

# The first that fits, by the beginning of a module's path within the package.
LAYERS: Final = (
    ("event loop", (EVENT_LOOP, "app", "cli/", "__main__")),
    ("consume", ("kafka/source", "kafka/member", "kafka/reading", "kafka/reports", "kafka/holdings", "kafka/beginnings")),
    ("decode", ("input/",)),
    (
        "route",
        (
            "core/router",
            "core/arrivals",
            "core/books",
            "core/sequence",
            "core/turns",
            "core/lane",
            "core/assignment",
            "core/pressure",
            "core/pace",
            "core/concurrency",
        ),
    ),
    ("decide", ("core/session", "core/patience", "core/verdict", "core/playback", "core/starts", "core/backoff")),
    ("encode", ("api/collection", "api/edge", "api/calls", "api/client", "api/dialect", "api/credentials")),
    ("send", ("api/transport", "api/connection", "api/tls")),
    ("account", ("core/ledger", "observe/", "readings")),
    ("commit", ("keeper", "core/receipts", "core/memoir", "kafka/")),
    ("carry", ("",)),
)


def main() -> None:
    """Run it, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", default="tls")
    parser.add_argument("--lines", type=int, default=25, help="how many of the most expensive functions are shown")
    arguments = parser.parse_args()
    import compare  # noqa: PLC0415  # the child that is looked at must not pay for it

    shape = compare.SHAPES[arguments.shape]
    compare.build_go()
    folder = Path(tempfile.mkdtemp(prefix="layers-"))
    notes = folder / "notes.json"
    with compare.broker() as bootstrap:
        topic = compare.produce(bootstrap, shape)
        api = compare.Api(shape, folder)
        told = compare.environment("relay", shape, bootstrap, topic, api) | {"BENCH_NOTES": str(notes)}
        with (folder / "relay.log").open("w") as log:
            relay = subprocess.Popen([sys.executable, __file__, "--child"], env=told, stderr=log)
            while api.taken() < shape.events and relay.poll() is None:
                time.sleep(0.1)
            threads = seconds_of_threads(relay.pid)
            relay.send_signal(signal.SIGTERM)
            relay.wait(30)
        api.close()
    show(json.loads(notes.read_text("utf-8")), threads, shape.events, arguments.lines)


def seconds_of_threads(pid: int) -> dict[str, float]:
    """CPU time by the names of threads; those of one name together."""
    found: dict[str, float] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = "loop" if int(task.name) == pid else (task / "comm").read_text("utf-8").strip()
        fields = (task / "stat").read_text("ascii").rpartition(")")[2].split()
        found[name] = found.get(name, 0.0) + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def show(places: dict[str, float], threads: dict[str, float], events: int, lines: int) -> None:
    """Microseconds of CPU per event."""
    layers: dict[str, float] = {}
    for place, seconds in places.items():
        layer = next(layer for layer, beginnings in LAYERS if place.startswith(beginnings))
        layers[layer] = layers.get(layer, 0.0) + seconds
    print(f"{events} events; microseconds of CPU per event, the start and the end of the process included\n")
    for layer, seconds in sorted(layers.items(), key=lambda one: -one[1]):
        print(f"  {layer:24} {seconds / events * 1e6:6.1f}")
    for name, seconds in sorted(threads.items(), key=lambda one: -one[1]):
        if name != "loop":
            print(f"  {'thread ' + name:24} {seconds / events * 1e6:6.1f}")
    print(f"  {'all':24} {sum(threads.values()) / events * 1e6:6.1f}\n")
    for place, seconds in sorted(places.items(), key=lambda one: -one[1])[:lines]:
        print(f"  {seconds / events * 1e6:6.2f}  {place}")


def place_of(frame: FrameType) -> str:
    """The module below the package, and the function."""
    code = frame.f_code
    return f"{code.co_filename[len(str(PACKAGE)) + 1 :].removesuffix('.py')}:{code.co_qualname}"


def look_and_run() -> int:
    """Be the relay, and take notes.

    The signal comes by the CPU time of the whole process; what counts is that of the loop's thread since the last look.
    """
    places: collections.defaultdict[str, float] = collections.defaultdict(float)
    root = f"{PACKAGE}{os.sep}"
    looked_at = time.thread_time()

    def look(_signal: int, frame: FrameType | None) -> None:
        nonlocal looked_at
        before, looked_at = looked_at, time.thread_time()
        while frame is not None and not frame.f_code.co_filename.startswith(root):
            frame = frame.f_back
        places[EVENT_LOOP if frame is None else place_of(frame)] += looked_at - before

    def note() -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        Path(os.environ["BENCH_NOTES"]).write_text(json.dumps(places), "utf-8")

    from relay.cli import main as relay  # noqa: PLC0415  # notes begin before the relay does

    signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, LOOK_SECONDS, LOOK_SECONDS)
    atexit.register(note)
    return relay(["run"])


if __name__ == "__main__":
    if sys.argv[1:] == ["--child"]:
        sys.exit(look_and_run())
    main()

"""Whether the relay has become slower: its CPU per event, against that of the least loop that could do its work, in one run and by turns.

    python bench/guard.py [--turns 5] [--note]

Takes about a minute, and needs a broker (tests/kafka/kafka.sh) but no compiler. Fails when the ratio is a fifth above the one that is noted
in bench/guard.toml, and is so again when it is measured once more: a busy machine alone shall not fail it. `--note` notes what was found.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from pathlib import Path
from typing import Final

import compare

HERE: Final = Path(__file__).resolve().parent
NOTED: Final = HERE / "guard.toml"
WORSE_MAX: Final = 1.2
SHAPE: Final = compare.Shape("guard", events=40_000, sessions=2_000)


class PythonApi:
    """The API server in Python, with the face of `compare.Api`."""

    authority = None

    def __init__(self) -> None:
        """Start it."""
        command = [sys.executable, str(HERE / "answering.py")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self.url = f"http://127.0.0.1:{self._process.stdout.readline().strip()}"

    def taken(self) -> int:
        """How many openings and events it has taken."""
        with urllib.request.urlopen(f"{self.url}/account", timeout=10) as answer:
            account = json.loads(answer.read())
        return int(account["openings"]) + int(account["events"])

    def close(self) -> None:
        """Stop it."""
        self._process.kill()
        self._process.communicate()


def measure(turns: int) -> float:
    """The ratio of the least that each of them took: whatever else the machine does only adds."""
    ours: list[float] = []
    least: list[float] = []
    with tempfile.TemporaryDirectory(prefix="guard-") as folder, compare.broker() as bootstrap:
        topic = compare.produce(bootstrap, SHAPE)
        for number in range(turns):
            for peer, costs in (("relay", ours), ("reference", least)):
                costs.append(compare.turn(peer, SHAPE, bootstrap, topic, Path(folder), api=PythonApi()).microseconds_per_event)
            print(f"{number + 1} of {turns}: {ours[-1]:.1f} against {least[-1]:.1f} us of CPU per event", flush=True)
    return min(ours) / min(least)


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--note", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.turns)
    if arguments.note:
        NOTED.write_text(
            f"# CPU per event, in multiples of bench/reference.py. Written by: python bench/guard.py --note\nratio = {found:.2f}\n"
        )
    noted = float(tomllib.loads(NOTED.read_text("utf-8"))["ratio"])
    too_much = noted * WORSE_MAX
    if found > too_much:
        print(f"{found:.2f} times the least loop, and {too_much:.2f} is too much: once more")
        found = min(found, measure(arguments.turns))
    print(f"{found:.2f} times the least loop; noted are {noted:.2f}, and {too_much:.2f} is too much")
    return int(found > too_much)


if __name__ == "__main__":
    sys.exit(main())

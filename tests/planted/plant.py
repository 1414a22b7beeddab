"""Plants bugs, one at a time, and looks whether the tests notice: a script, `./dev planted`.

    python tests/planted/plant.py                    all of them
    python tests/planted/plant.py "dead letter"      those whose names hold these words

In: `bugs.toml`. Out: a line for each bug with the first test that failed; exit code 1 when a bug was missed, 2 when nothing can be said
because the tests fail without any bug, or a bug has no place any more. Works in a temporary copy: the working tree is never touched.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
BUGS: Final = Path(__file__).with_name("bugs.toml")
LEFT_OUT: Final = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "target")
WORLDS: Final = "300"  # of the simulation, for each bug that is for it to find
TEST_SECONDS_MAX: Final = 60
BUG_SECONDS_MAX: Final = 180
PYTEST: Final = (sys.executable, "-m", "pytest", "-qx", "-rfE", "--tb=no", "-p", "no:cacheprovider", "-m", "not kafka")
FAILED_TESTS: Final = 1  # pytest's exit code; a higher one says that no test was run
SLIPS: Final = ("NameError", "ImportError", "UnboundLocalError", "SyntaxError")  # no test is needed to notice these


@dataclass(frozen=True)
class Bug:
    """What is replaced, and who should notice."""

    name: str
    file: str
    old: str
    new: str
    suites: list[str]


class CannotSay(Exception):  # noqa: N818  # it names what was found
    """Whether the tests bite cannot be said."""


def main(words: Sequence[str]) -> int:
    """Plant what was asked for."""
    bugs = [Bug(**bug) for bug in tomllib.loads(BUGS.read_text("utf-8"))["bug"]]
    bugs = [bug for bug in bugs if all(word in bug.name for word in words)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        garden = Path(folder) / "relay"
        shutil.copytree(ROOT, garden, ignore=LEFT_OUT)
        try:
            check_ground(garden, bugs)
            missed = [bug for bug in bugs if not plant(garden, bug)]
        except CannotSay as reason:
            say(f"cannot say: {reason}")
            return 2
    say(f"{len(bugs)} bugs planted, {len(bugs) - len(missed)} caught, in {time.monotonic() - began:.0f} s")
    for bug in missed:
        say(f"  missed: {bug.name}")
    return 1 if missed or not bugs else 0


def check_ground(garden: Path, bugs: Iterable[Bug]) -> None:
    """Without any bug everything passes, and it is the copy that is tested."""
    place = run(garden, (sys.executable, "-c", "import relay; print(relay.__file__)")).stdout.strip()
    if not Path(place).resolve().is_relative_to(garden.resolve()):
        raise CannotSay(f"the tests would import {place}")
    suites = dict.fromkeys(suite for bug in bugs for suite in bug.suites)
    if suites and (tests := run(garden, (*PYTEST, *suites))).returncode != 0:
        raise CannotSay(f"the tests fail without any bug\n{tests.stdout}{tests.stderr}")


def plant(garden: Path, bug: Bug) -> bool:
    """Whether a test fails while the bug is there."""
    file = garden / bug.file
    sound = file.read_text("utf-8")
    if sound.count(bug.old) != 1:
        raise CannotSay(f"{bug.name}: its place in {bug.file} is gone, or no longer the only one")
    began = time.time()
    file.write_text(sound.replace(bug.old, bug.new), "utf-8")
    os.utime(file, (began + 10, began + 10))  # compiled files are known by time and size: make sure that this is another time
    try:
        tests = run(garden, (*PYTEST, f"--timeout={TEST_SECONDS_MAX}", *bug.suites), seconds=BUG_SECONDS_MAX)
        failure = first_failure(tests.stdout)
        is_caught, noticed = tests.returncode == FAILED_TESTS, failure.split(" - ")[0]
        if tests.returncode > FAILED_TESTS or (is_caught and ("::" not in noticed or any(slip in failure for slip in SLIPS))):
            raise CannotSay(f"{bug.name}: the tests did not run, or what is planted is no bug but a slip\n{tests.stdout}{tests.stderr}")
    except subprocess.TimeoutExpired:
        is_caught, noticed = False, f"no end within {BUG_SECONDS_MAX} s"
    finally:
        file.write_text(sound, "utf-8")
    say(f"{'caught' if is_caught else 'MISSED'} {time.time() - began:5.1f} s  {bug.name}: {noticed}")
    return is_caught


def run(garden: Path, command: Sequence[str], *, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run something in the copy."""
    return subprocess.run(  # noqa: S603  # our own
        command,
        cwd=garden,
        env={**os.environ, "PYTHONPATH": str(garden), "TESTS_WORLDS": WORLDS, "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )


def first_failure(output: str) -> str:
    """The first test that pytest says has failed, and why."""
    lines = [line.split(" ", 1)[1] for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    return lines[0] if lines else "no test failed"


def say(text: str) -> None:
    """Tell at once, even when nobody looks at a terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

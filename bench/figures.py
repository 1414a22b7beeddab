"""All figures of docs/performance.md and docs/sizing.md, one after the other, and into these pages.

    python bench/figures.py [NAME…] [--print]

Runs each measuring program with the arguments below and puts what it prints between the marks `<!-- figures: NAME -->` and
`<!-- end of NAME -->` of the page that has them. Takes about twenty minutes on two cores, and nothing else should run meanwhile. Java, Go
and the jars of a broker are wanted. What `compare.py` measures beside the peers has a report of its own.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import compare

HERE: Final = Path(__file__).resolve().parent
PAGES: Final = [HERE.parent / "docs" / name for name in ("performance.md", "sizing.md")]

# Name → the program and its arguments. {broker} stands for the address of a broker that is started for it. Those that print no markdown are
# shown as they are.
PROGRAMS: Final[dict[str, list[str]]] = {
    "latency": ["latency.py", "--rates", "2000"],
    "failing": ["trouble.py", "failing"],
    "refetch": ["trouble.py", "refetch"],
    "layers": ["layers.py", "--lines", "15"],
    "restore": ["restore.py", "{broker}"],
    "core": ["core.py"],
    "transports": ["transports.py", "--rounds", "5"],
    "sizing": ["sizing.py", "check"],
    "million": ["million.py"],
    "choices": ["choices.py", "--rounds", "3"],
}
IN_TABLES: Final = {"latency", "failing", "refetch", "sizing", "million", "choices"}


def run(program: list[str]) -> str:
    """What it prints."""
    root = str(HERE.parent)
    command = [sys.executable, str(HERE / program[0]), *program[1:]]
    done = subprocess.run(command, cwd=root, env=os.environ | {"PYTHONPATH": root}, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in {0, 1}:  # core.py says by 1 that something is above its bound, and prints it
        raise SystemExit(f"{program[0]} ended with {done.returncode}")
    return done.stdout.strip()


def measured(name: str) -> str:
    """The figures as they stand in a page."""
    program = PROGRAMS[name]
    if "{broker}" in program:
        with compare.broker() as bootstrap:
            said = run([bootstrap if argument == "{broker}" else argument for argument in program])
    else:
        said = run(program)
    asked = f"`python bench/{' '.join(program).replace('{broker}', 'BOOTSTRAP')}`"
    return f"{asked}:\n\n{said}" if name in IN_TABLES else f"{asked}:\n\n```\n{said}\n```"


def put(name: str, said: str) -> None:
    """Into the page that has a place for it."""
    begin, end = f"<!-- figures: {name} -->", f"<!-- end of {name} -->"
    for page in PAGES:
        text = page.read_text("utf-8")
        if begin in text:
            page.write_text(re.sub(f"{begin}.*?{end}", lambda _: f"{begin}\n\n{said}\n\n{end}", text, flags=re.DOTALL), "utf-8")


def main() -> None:
    """Measure one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PROGRAMS)}; all by default")
    parser.add_argument("--print", action="store_true", help="print only, and leave the pages alone")
    asked = parser.parse_args()
    for name in asked.names or PROGRAMS:
        began = time.monotonic()
        said = measured(name)
        print(f"{said}\n\n({name}: {time.monotonic() - began:.0f} s)\n", flush=True)
        if not asked.print:
            put(name, said)


if __name__ == "__main__":
    main()

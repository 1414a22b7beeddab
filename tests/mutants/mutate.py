"""Alters `relay/core` in one place at a time, and looks whether the tests notice: a script, `./dev mutants`.

    python tests/mutants/mutate.py                    the modules whose survivors are all explained
    python tests/mutants/mutate.py ledger receipts    these modules

In: `survivors.toml`, which names the former and explains the mutants that may live. Out: a line for each module, each survivor that nobody
has explained, and each explanation that nobody needs. Exit code 1: a survivor is not explained, or what is explained is no more. 2: nothing
can be said, since the tests fail without any mutant.

Works in a temporary copy. There `tests/core` and `tests/properties` run once, to learn which test runs which lines. Then each mutant gets a
process of its own (`judges.py`), and just the tests that can tell it from the original, until one fails.

Why not mutmut: since version 3 it alters only what stands inside functions. The table of a session's life and every default would stay.
"""

import ast
import os
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import pytest
from alterations import Mutant, mutants_of
from hypothesis import settings
from judges import ELSEWHERE, KILLED, PYTEST, SUITES, SURVIVED, Test, Warm, judge_cold, silence, source_of

ROOT: Final = Path(__file__).resolve().parents[2]
EXPLAINED: Final = Path(__file__).with_name("survivors.toml")
LEFT_OUT: Final = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "target")


def main(modules: Sequence[str]) -> int:
    """Judge the mutants of these modules, or of those that are explained."""
    there = {file.stem for file in (ROOT / "relay" / "core").glob("[!_]*.py")}
    if unknown := [name for name in modules if name not in there]:
        say(f"no modules of relay/core: {', '.join(unknown)}; there are {', '.join(sorted(there))}")
        return 2
    modules = modules or tomllib.loads(EXPLAINED.read_text("utf-8"))["modules"]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = Path(folder, "relay").resolve()
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        os.chdir(copy)
        sys.path.insert(0, str(copy))
        settings.load_profile("mutants")
        ours, its = Pipe()
        if not os.fork():
            ours.close()
            silence()
            pytest.main([*PYTEST, *SUITES], plugins=[Warm(its)])
            os._exit(0)
        its.close()
        place, failures, tests = ours.recv()
        if failures or not Path(place).is_relative_to(copy):
            say(f"cannot say: without any mutant, these tests of {place} fail: {failures}")
            return 2
        return report(modules, ours, tests)


def report(modules: Sequence[str], warm: Connection, tests: Sequence[Test]) -> int:
    """Judge and tell, one module after the other."""
    began = time.monotonic()
    explained, survivors = explanations(), dict[str, list[str]]()
    wrong, count = 0, 0
    for module in modules:
        since = time.monotonic()
        outcomes = judge(module, warm, tests)
        lives = [name for name, outcome in outcomes.items() if outcome == SURVIVED]
        expected = explained.get(module, set())
        unexplained = [name for name in lives if name not in expected]
        stale = sorted(expected.difference(lives))
        survivors[module] = lives
        count += len(outcomes)
        wrong += len(unexplained) + len([name for name in stale if name not in outcomes])
        say(
            f"{module:13} {len(outcomes):4} mutants  {len(outcomes) - len(lives):4} killed  {len(lives):3} survived"
            f"  {len(lives) - len(unexplained):3} of them explained  {time.monotonic() - since:4.0f} s"
        )
        for name in unexplained:
            say(f"  survives: {name}")
        for name in stale:
            say(f"  {'dies, though it may live' if name in outcomes else 'explained, but no more'}: {name}")
    lived = sum(map(len, survivors.values()))
    minutes = (time.monotonic() - began) / 60
    say(
        f"{count} mutants, {count - lived} killed, {lived} survived, {wrong} explanations missing or without a place; {minutes:.0f} minutes"
    )
    return 1 if wrong else 0


def judge(module: str, warm: Connection, tests: Sequence[Test]) -> dict[str, int]:
    """How each mutant of a module ended."""
    warm.send(module)
    outcomes: dict[str, int] = warm.recv()
    for mutant in mutants_of(source_of(module).read_text("utf-8")):
        if outcomes[mutant.name] == ELSEWHERE:
            outcomes[mutant.name] = judge_by_steps(mutant, module, tests)
    return outcomes


def judge_by_steps(mutant: Mutant, module: str, tests: Sequence[Test]) -> int:
    """First the tests that bear the module's name, then those that run what mentions what is altered."""
    names = names_at(mutant)
    places = [(file, lines) for file, lines, mentioned in functions() if not names.isdisjoint(mentioned)]
    own = [test for test in tests if test.is_of(module)]
    others = [test for test in tests if not test.is_of(module) and any(not test.lines[file].isdisjoint(lines) for file, lines in places)]
    for some in (own, others):
        if some and judge_cold(mutant, module, sorted(some, key=lambda test: test.seconds)) != SURVIVED:
            return KILLED
    return SURVIVED


def names_at(mutant: Mutant) -> set[str]:
    """What is given a name by the statement that is altered, and whatever is made of that while modules are imported."""
    names: set[str] = set()
    for node in ast.walk(mutant.tree):
        is_around = isinstance(node, ast.ClassDef) and node.lineno <= mutant.lines[0] <= (node.end_lineno or 0)
        if is_around or (isinstance(node, ast.stmt) and node.lineno == mutant.lines[0]):
            names |= named_by(node)
    found = 0
    while found < len(names):
        found = len(names)
        names.update(*(named for named, mentioned in statements() if not names.isdisjoint(mentioned)))
    return names


def named_by(node: ast.AST) -> set[str]:
    """The names that a statement gives."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case ast.Assign(targets=targets):
            return {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
    return set()


def mentioned_in(node: ast.AST) -> set[str]:
    """The names that stand in something."""
    return {one.id if isinstance(one, ast.Name) else one.attr for one in ast.walk(node) if isinstance(one, ast.Name | ast.Attribute)}


@cache
def statements() -> list[tuple[set[str], set[str]]]:
    """What the modules of the core give names to when they are imported: these, and the names that stand there."""
    trees = [ast.parse(path.read_text("utf-8")) for path in source_of("").parent.glob("*.py")]
    return [(named_by(node), mentioned_in(node)) for tree in trees for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign)]


@cache
def functions() -> list[tuple[str, range, set[str]]]:
    """The functions of the core: module, lines, and the names that stand there."""
    return [
        (path.stem, range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1), mentioned_in(node))
        for path in source_of("").parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]


def explanations() -> dict[str, set[str]]:
    """Which mutants may live, by module."""
    found: dict[str, set[str]] = {}
    for reason in tomllib.loads(EXPLAINED.read_text("utf-8"))["reason"]:
        for module, names in reason["mutants"].items():
            found.setdefault(module, set()).update(names)
    return found


def say(text: str) -> None:
    """Tell at once, even when nobody looks at a terminal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

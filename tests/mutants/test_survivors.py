"""What `./dev mutants` alters, and that the mutants that may live are still there. Whether the others die takes long: that verb says it."""

import ast
import tomllib
from functools import cache
from pathlib import Path

import mutate
import pytest
from alterations import mutants_of

HERE = Path(__file__).parent
CORE = HERE.parents[1] / "relay" / "core"
MODULES, REASONS = tomllib.loads((HERE / "survivors.toml").read_text("utf-8")).values()
EXPLAINED = [(module, name) for reason in REASONS for module, names in reason["mutants"].items() for name in names]
SOUND = '''
"""Words."""
LIMIT: Final[int] = 3
NAMES = {"a": 1, "b": 5}

def f(x: int, y: bool = True) -> int:
    """More words."""
    assert x >= 0, "never"
    if x < LIMIT and not y:
        raise ValueError("too little")
    while x:
        x -= 1
        break
    return max(x, 1)
'''
ALTERED = [
    "module: LIMIT: Final[int] = 3 [3 → 4]",
    'module: NAMES = {"a": 1, "b": 5} [5 instead]',
    'module: NAMES = {"a": 1, "b": 5} [1 instead]',
    'module: NAMES = {"a": 1, "b": 5} [another text than \'a\']',
    'module: NAMES = {"a": 1, "b": 5} [another text than \'b\']',
    'module: NAMES = {"a": 1, "b": 5} [1 → 2]',
    'module: NAMES = {"a": 1, "b": 5} [5 → 6]',
    "module: def f(x: int, y: bool = True) -> int: [False]",
    "f: if x < LIMIT and not y: [And → Or]",
    "f: if x < LIMIT and not y: [without x < LIMIT]",
    "f: if x < LIMIT and not y: [without not y]",
    "f: if x < LIMIT and not y: [Lt → LtE]",
    "f: if x < LIMIT and not y: [y alone]",
    'f: raise ValueError("too little") [left out]',
    "f: while x: [not x]",
    "f: x -= 1 [Sub → Add]",
    "f: x -= 1 [left out]",
    "f: x -= 1 [1 → 2]",
    "f: break [continue]",
    "f: return max(x, 1) [returns None]",
    "f: return max(x, 1) [max → min]",
    "f: return max(x, 1) [1 → 2]",
]


@cache
def names_of(module: str) -> set[str]:
    """The mutants of a module of the core."""
    return {mutant.name for mutant in mutants_of((CORE / f"{module}.py").read_text("utf-8"))}


def test_what_is_altered() -> None:
    """Conditions, figures, tables, statements and what is returned; neither words for readers, nor types, nor assertions."""
    assert sorted(mutant.name for mutant in mutants_of(SOUND)) == sorted(ALTERED)


def test_each_mutant_is_another_program() -> None:
    """One thing is altered at a time, and what comes of it is Python."""
    sound = ast.dump(ast.parse(SOUND))
    altered = [ast.dump(mutant.tree) for mutant in mutants_of(SOUND) if compile(ast.fix_missing_locations(mutant.tree), "altered", "exec")]
    assert sound not in altered
    assert len(set(altered)) == len(altered)


@pytest.mark.parametrize("module", MODULES)
def test_what_is_explained_is_there(module: str) -> None:
    """The module has mutants, and each one that may live still has its place."""
    assert names_of(module)
    assert {name for place, name in EXPLAINED if place == module} <= names_of(module)


def test_a_mutant_is_explained_once() -> None:
    """By one reason, in words."""
    assert len(set(EXPLAINED)) == len(EXPLAINED)
    assert {module for module, _ in EXPLAINED} <= set(MODULES)
    assert all(reason["why"].strip() for reason in REASONS)


def test_a_module_that_is_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """And so are those that there are."""
    assert mutate.main(["ledgr"]) == 2
    assert capsys.readouterr().out.startswith("no modules of relay/core: ledgr; there are arrivals, ")

"""The code keeps its shape: what may import what, and what the core never does."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

RELAY = Path(__file__).parents[2] / "relay"
CORE = sorted((RELAY / "core").glob("*.py"))
EVERYTHING = sorted(RELAY.rglob("*.py"))

WORLDLY = {"asyncio", "datetime", "io", "logging", "os", "pathlib", "random", "secrets", "socket", "subprocess", "sys", "threading", "time"}

# Which parts of the relay a part may import, besides itself, the core and errors. What is not listed may import nothing else.
MAY_IMPORT = {
    "core": set[str](),
    "errors": set[str](),
    "input": set[str](),
    "api": set[str](),
    "kafka": set[str](),
    "observe": set[str](),
    "settings": set[str](),
    "ports": {"kafka"},
    "backlog": set[str](),
    "formats": {"input", "settings"},
    "keeper": {"kafka", "observe", "ports"},
    "pump": {"input", "kafka", "observe", "api", "ports", "keeper", "backlog"},
    "parts": {"api", "kafka", "pump"},
    "health": {"parts"},
    "readings": {"observe", "parts"},
    "looks": {"health", "parts"},
    "check": {"api", "input", "kafka"},
    "tap": {"input", "observe"},
    "letters": {"input", "kafka"},
    "wiring": {"input", "kafka", "observe", "api", "settings"},
    "memory": set[str](),
    "app": {"memory", "wiring", "formats", "kafka", "observe", "api", "settings", "pump", "parts", "health", "readings", "looks"},
    "errands": {"wiring", "letters", "formats", "check", "tap", "input", "kafka", "observe", "api", "settings"},
    "translation": {"input", "api", "ports"},
    "rehearsal": {"input", "api", "sandbox", "translation"},
    "sandbox": {"formats", "input", "kafka", "observe", "api", "settings", "pump", "app"},
    "cli": {
        "letters",
        "formats",
        "translation",
        "rehearsal",
        "check",
        "tap",
        "input",
        "kafka",
        "observe",
        "api",
        "settings",
        "pump",
        "app",
        "errands",
        "sandbox",
    },
    "__main__": {"cli"},
}


def imports(file: Path) -> Iterator[str]:
    """Every module that a file imports, wherever it does so."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name_of(file: Path) -> str:
    """How a test calls a file."""
    return str(file.relative_to(RELAY))


@pytest.mark.parametrize("file", CORE, ids=name_of)
def test_the_core_imports_little(file: Path) -> None:
    """The core imports the standard library, msgspec and itself."""
    for module in imports(file):
        top = module.partition(".")[0]
        assert top in sys.stdlib_module_names or top == "msgspec" or module.startswith("relay.core."), module


@pytest.mark.parametrize("file", CORE, ids=name_of)
def test_the_core_touches_no_world(file: Path) -> None:
    """The core never awaits, sleeps, logs, draws a random number or reads a clock, a file or the environment."""
    assert not {module.partition(".")[0] for module in imports(file)} & WORLDLY
    nodes = list(ast.walk(ast.parse(file.read_text("utf-8"))))
    assert not [node for node in nodes if isinstance(node, ast.Await | ast.AsyncFunctionDef)]
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"open", "print", "input"}


@pytest.mark.parametrize("file", EVERYTHING, ids=name_of)
def test_dependencies_point_one_way(file: Path) -> None:
    """The outer folders know the core, the pump knows the ports, the app knows all; never the other way round."""
    part = file.relative_to(RELAY).parts[0].removesuffix(".py")
    if part == "__init__":
        return
    allowed = MAY_IMPORT[part] | {part, "core", "errors"} if part not in {"core", "errors"} else {part}
    for module in imports(file):
        if module.startswith("relay."):
            assert module.split(".")[1] in allowed | {"__version__"}, module


@pytest.mark.parametrize("file", EVERYTHING, ids=name_of)
def test_every_module_says_what_it_is_for(file: Path) -> None:
    """A module opens with one line on its purpose."""
    purpose = ast.get_docstring(ast.parse(file.read_text("utf-8")))
    assert purpose
    assert purpose.splitlines()[0].rstrip().endswith((".", ":", "?"))


def test_no_drawer_for_odds_and_ends() -> None:
    """A thing without a name of its own belongs to the module which uses it."""
    banned = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
    assert not [file for file in EVERYTHING if banned & set(file.relative_to(RELAY).with_suffix("").parts)]


def test_only_commands_print() -> None:
    """Outside of the command line and the sandbox nothing is printed."""
    for file in EVERYTHING:
        if file.relative_to(RELAY).parts[0] in {"cli", "sandbox"}:
            continue
        calls = [node.func for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)]
        assert "print" not in {call.id for call in calls if isinstance(call, ast.Name)}, file

"""The processes in which tests meet a mutant.

`Warm` has collected the tests and run them once, and forks for each mutant: there the code of one function is exchanged. `judge_cold` forks
before anything of the relay was imported, for what runs at import. In: mutants, and tests to run. Out: how it ended.
"""

import ast
import gc
import importlib.util
import os
import pickle
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, SourceFileLoader
from inspect import unwrap
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import RawValue
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, Final

import pytest
from alterations import Mutant, mutants_of
from hypothesis import HealthCheck, Phase, settings

SUITES: Final = ("tests/core", "tests/properties")
PYTEST: Final = ("-q", "--capture=no", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
HISTORIES_MAX: Final = 20  # of each state machine: they reach everything, so that each survivor has to sit through them
CPU_SECONDS: Final = 2.0, 10.0  # what a test may take: so much, and so many times what it takes without a mutant
ENTRIES_MAX: Final = 20  # into a function, of a test: what it runs is watched so often; then it counts as running all of it
MEMORY_BYTES_MAX: Final = 4 << 30
KILLED, SURVIVED, ELSEWHERE = range(3)  # how the process of a mutant ends

settings.register_profile(
    "mutants",
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Test:
    """What is known of a test from its run without any mutant."""

    name: str
    seconds: float = 0.0
    lines: dict[str, set[int]] = field(default_factory=dict)  # that it runs, by module

    def is_of(self, module: str) -> bool:
        """Whether it was written for this module."""
        return f"/test_{module}" in self.name

    def limit(self) -> None:
        """From now on it may take so long; then the process is killed."""
        signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS[0] + CPU_SECONDS[1] * self.seconds)


def source_of(module: str) -> Path:
    """Where a module of the core stands, in the copy."""
    return Path.cwd() / "relay" / "core" / f"{module}.py"


def compiled(mutant: Mutant, module: str) -> CodeType:
    """A mutant's module; of one of a function just that, and the classes around it: to compile the rest takes longer than most tests."""
    tree = mutant.tree
    inside: ast.Module | ast.ClassDef = tree
    for name in mutant.function.split(".") if mutant.function else ():
        inside.body = [one for one in inside.body if isinstance(one, ast.FunctionDef | ast.ClassDef) and one.name == name]
        if isinstance(inside.body[0], ast.ClassDef):
            inside = inside.body[0]
    return compile(ast.fix_missing_locations(tree), str(source_of(module)), "exec")


def in_a_process(work: Callable[[], int]) -> int:
    """How something ends that may break everything around it."""
    process = os.fork()
    if process:
        status = os.waitpid(process, 0)[1]
        return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else KILLED
    outcome = KILLED
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
        outcome = work()
    finally:
        os._exit(outcome)


def silence() -> None:
    """What pytest says of itself is of no use."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.dup2(nowhere, sys.stderr.fileno())


class Stopper:
    """Ends the process with the first test that fails."""

    def __init__(self, tests: Iterable[Test] = ()) -> None:
        """With the tests to run, in this order."""
        self._tests = {test.name: test for test in tests}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Run just these, and in this order."""
        wanted = {item.nodeid: item for item in items}
        items[:] = [wanted[name] for name in self._tests]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """No test takes for ever."""
        self._tests[item.nodeid].limit()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """It is noticed."""
        if report.failed:
            os._exit(KILLED)


def judge_cold(mutant: Mutant, module: str, tests: Sequence[Test]) -> int:
    """Whether these tests notice what is altered before anything is imported."""

    class Loader(SourceFileLoader):
        def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002  # there is just one
            return compiled(mutant, module)

    class Finder:
        @staticmethod
        def find_spec(name: str, *_: object) -> ModuleSpec | None:
            path = str(source_of(module))
            return importlib.util.spec_from_file_location(name, path, loader=Loader(name, path)) if name == f"relay.core.{module}" else None

    def run() -> int:
        silence()
        sys.meta_path.insert(0, Finder)
        files = dict.fromkeys(test.name.split("::")[0] for test in tests)
        return SURVIVED if pytest.main([*PYTEST, *files], plugins=[Stopper(tests)]) == pytest.ExitCode.OK else KILLED

    return in_a_process(run)


class Warm:
    """A pytest that has collected everything, and judges mutants of functions on request."""

    def __init__(self, requests: Connection) -> None:
        """With where requests come in: the names of modules."""
        self._requests = requests
        self._tests: list[Test] = []
        self._items: list[pytest.Item] = []
        self._failures: list[str] = []
        self._stops = False
        self._noticed = RawValue("i", -1)  # the test that runs in the process of a mutant
        self._kills: Counter[tuple[str, int]] = Counter()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run everything once without any mutant; then with those that are asked for."""
        for item in session.items:
            if isinstance(item, pytest.Function) and item.cls is not None and hasattr(item.cls, "settings"):
                item.cls.settings = settings(item.cls.settings, max_examples=HISTORIES_MAX)
        self._items = session.items
        learned = Path("learned.pickle")
        in_a_process(lambda: self._learn_all(learned))
        self._failures, self._tests = pickle.loads(learned.read_bytes())  # noqa: S301  # our own
        gc.freeze()
        self._requests.send((sys.modules["relay.core"].__file__, self._failures, self._tests))
        self._stops = True
        for module in iter(self._requests.recv, None):
            self._requests.send({mutant.name: self._judge(mutant, module) for mutant in mutants_of(source_of(module).read_text("utf-8"))})
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """In the process of a mutant the first failure says all."""
        if report.failed and self._stops:
            os._exit(KILLED)
        if report.failed:
            self._failures.append(report.nodeid)

    def _learn_all(self, learned: Path) -> int:
        """In a process like that of a mutant, so that nothing but a mutant can make a test fail there."""
        tests = [self._learn(item) for item in self._items]
        learned.write_bytes(pickle.dumps((self._failures, tests)))
        return SURVIVED

    def _learn(self, item: pytest.Item) -> Test:
        """Run a test without any mutant."""
        test = Test(item.nodeid)
        files = {str(source_of(path.stem)): test.lines.setdefault(path.stem, set()) for path in source_of("").parent.glob("*.py")}
        entered: Counter[CodeType] = Counter()

        def enter(frame: FrameType, _event: str, _argument: Any) -> Any:
            code = frame.f_code
            lines = files.get(code.co_filename)
            if lines is None or entered[code] > ENTRIES_MAX:
                return None
            entered[code] += 1
            if entered[code] > ENTRIES_MAX:
                lines.update(line for _, _, line in code.co_lines() if line is not None)
                return None

            def go(frame: FrameType, _event: str, _argument: Any) -> Any:
                lines.add(frame.f_lineno)
                return go

            return go

        began = time.process_time()
        sys.settrace(enter)
        try:
            item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        finally:
            sys.settrace(None)
        test.seconds = time.process_time() - began
        return test

    def _judge(self, mutant: Mutant, module: str) -> int:
        """Whether a test notices. Those that noticed others of its module go first, then those that bear its name."""
        reach = [number for number, test in enumerate(self._tests) if not test.lines[module].isdisjoint(mutant.lines)]
        reach.sort(key=lambda number: (-self._kills[module, number], not self._tests[number].is_of(module), self._tests[number].seconds))

        def run() -> int:
            if not mutant.function or not exchange(compiled(mutant, module), module, mutant.function):
                return ELSEWHERE
            for number in reach:
                self._noticed.value = number
                self._tests[number].limit()
                self._items[number].ihook.pytest_runtest_protocol(item=self._items[number], nextitem=None)
            return SURVIVED

        outcome = in_a_process(run)
        if outcome == KILLED:
            self._kills[module, self._noticed.value] += 1
        return outcome


def exchange(code: CodeType, module: str, name: str) -> bool:
    """Give a function of a module the code that it has in another version of the module, if it has a place where that can be done."""
    codes = {(one.co_qualname, one.co_firstlineno): one for one in inner(code) if one.co_qualname == name}
    found = [function for function in functions(vars(sys.modules[f"relay.core.{module}"]).values()) if function.__qualname__ == name]
    for function in found:
        place = function.__code__.co_qualname, function.__code__.co_firstlineno
        if place not in codes or codes[place].co_freevars != function.__code__.co_freevars:
            return False
        function.__code__ = codes[place]
    return bool(found)


def inner(code: CodeType) -> Iterator[CodeType]:
    """Whatever code stands in other code."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from inner(constant)


def functions(values: Iterable[Any]) -> Iterator[FunctionType]:
    """The functions among things, and those of their classes."""
    for value in values:
        match value:
            case FunctionType():
                yield unwrap(value)
            case property():
                yield from functions([value.fget, value.fset])
            case staticmethod() | classmethod():
                yield value.__func__
            case type():
                yield from functions(one for one in vars(value).values() if not isinstance(one, type))

"""What the tests of formats share: a registry on loopback, a loop whose time is theirs, and a real registry where there is one."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.sandbox.fake_registry import FakeRegistry, serving

SCRIPT = Path(__file__).parents[1] / "registry" / "registry.sh"


class PatientLoop:
    """A loop whose clock stands until a test moves it, and which threads may call."""

    def __init__(self) -> None:
        """Nothing is due."""
        self.now = 1_000.0
        self.soon: list[Callable[[], None]] = []
        self.later: list[tuple[float, Callable[[], None]]] = []

    def clock(self) -> float:
        """The time."""
        return self.now

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> None:
        """A thread has something to say."""
        self.soon.append(callback)

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """Keep it for its time."""
        self.later.append((self.now + delay, callback))

    def hear(self, count: int = 1) -> None:
        """Wait until threads have said so much, and take it in."""
        deadline = time.monotonic() + 20
        while len(self.soon) < count:
            assert time.monotonic() < deadline, "no thread has said anything"
            time.sleep(0.002)
        for _ in range(count):
            self.soon.pop(0)()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and then what is due."""
        self.now += seconds
        due = [callback for moment, callback in self.later if moment <= self.now]
        self.later = [timer for timer in self.later if timer[0] > self.now]
        for callback in due:
            callback()


@pytest.fixture
def patient_loop() -> PatientLoop:
    """A loop on paper."""
    return PatientLoop()


@pytest.fixture
def fake_registry() -> FakeRegistry:
    """A registry without anything in it."""
    return FakeRegistry()


@pytest.fixture
def fake_registry_url(fake_registry: FakeRegistry) -> Iterator[str]:
    """The same, served."""
    with serving(fake_registry) as url:
        yield url


@pytest.fixture(scope="session")
def real_registry_url() -> Iterator[str]:
    """A real registry, started once. It takes Java and an archive of a hundred megabytes, hence only where it is asked for."""
    if not os.environ.get("TESTS_REGISTRY"):
        pytest.skip("a real registry runs when TESTS_REGISTRY is set (tests/registry/registry.sh says what it wants)")
    missing = [name for name in ("java", "curl") if shutil.which(name) is None]
    if missing:
        pytest.fail(f"a real registry needs {' and '.join(missing)}")
    environment = {**os.environ, "REGISTRY_INSTANCE": f"tests-{os.getpid()}"}
    started = subprocess.run([SCRIPT, "start"], env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # our own
    try:
        if started.returncode != 0:
            pytest.fail(f"the registry does not start: {started.stderr}")
        yield started.stdout.split()[-1]
    finally:
        subprocess.run([SCRIPT, "destroy"], env=environment, check=True)  # noqa: S603  # our own


@pytest.fixture(params=["fake", "real"])
def registry_url(request: Any) -> str:
    """Either registry."""
    return str(request.getfixturevalue(f"{request.param}_registry_url"))

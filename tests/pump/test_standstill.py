"""A relay that stood still does not know what has become of its partitions."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from relay.core.pressure import Limits
from relay.core.router import Router, Rules
from relay.core.starts import Starts
from relay.observe.metrics import Tallies
from relay.pump import DOUBT_SECONDS, STANDSTILL_SECONDS, Pump


class PaperLoop:
    """A loop whose time and turns are the test's."""

    def __init__(self) -> None:
        """Nothing is due."""
        self.now = 1_000.0
        self.soon: list[Callable[[], None]] = []
        self.later: list[tuple[float, Callable[[], None]]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Keep it for the next pass."""
        self.soon.append(callback)

    def call_later(self, delay: float, callback: Callable[[], None]) -> Any:
        """Keep it for its time."""
        timer = (self.now + delay, callback)
        self.later.append(timer)
        return SimpleNamespace(cancel=lambda: self.later.remove(timer))

    def go_on(self, seconds: float) -> None:
        """Let time pass, and then whatever is due."""
        self.now += seconds
        due = [timer for timer in self.later if timer[0] <= self.now]
        self.later = [timer for timer in self.later if timer not in due]
        self.soon += [callback for _, callback in due]
        while self.soon:
            self.soon.pop(0)()


@pytest.fixture
def loop() -> PaperLoop:
    """A loop on paper."""
    return PaperLoop()


@pytest.fixture
def turns(loop: PaperLoop, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When a pump that runs on that loop let lanes have their turns."""
    turns: list[float] = []
    router = Router(limits=Limits(), rules=Rules(), starts=Starts(required=frozenset(), may_join=False))
    monkeypatch.setattr(router, "turns", lambda now: turns.append(now) or [])
    nothing: Any = SimpleNamespace(
        start=None, pending_bytes=0, is_failing=False, pause=lambda: None, resume=lambda: None, commit=lambda _points: None, ends=dict
    )
    pump = Pump(
        router=router,
        reader=nothing,
        calls=nothing,
        letters=nothing,
        memoirs=nothing,
        source=nothing,
        tallies=Tallies(),
        loop=loop,
        failed=lambda bug: pytest.fail(str(bug)),
        clock=lambda: loop.now,
    )
    pump.begin()
    return turns


def test_nothing_leaves_right_after_a_standstill(loop: PaperLoop, turns: list[float], caplog: pytest.LogCaptureFixture) -> None:
    """Who was stopped for long may have lost his partitions: Kafka is given a moment to say so before anything leaves."""
    loop.go_on(0.2)
    assert turns == [loop.now]
    turns.clear()
    loop.go_on(STANDSTILL_SECONDS + 0.5)
    woke = loop.now
    loop.go_on(0.2)
    loop.go_on(DOUBT_SECONDS - 0.3)
    assert turns == []
    loop.go_on(0.1)
    assert turns == [pytest.approx(woke + DOUBT_SECONDS)], "at once when the moment has passed"
    assert [record.levelname for record in caplog.records if "stood still" in record.message] == ["WARNING"]


def test_a_slow_pass_is_no_standstill(loop: PaperLoop, turns: list[float]) -> None:
    """A busy machine may be late without being taken for dead."""
    loop.go_on(0.2)
    loop.go_on(STANDSTILL_SECONDS - 0.1)
    assert len(turns) == 2

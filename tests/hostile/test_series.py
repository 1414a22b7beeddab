"""The number of metric series does not depend on how many sessions there are."""

import asyncio
import os
import re
from collections.abc import Callable
from typing import Any, Final

SESSIONS: Final = int(os.environ.get("TESTS_SESSIONS", "2000"))
SESSIONS_AT_ONCE: Final = 500  # the embedded broker keeps only so much
SERIES_MAX: Final = 300
SERIES: Final = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+", re.MULTILINE)
LABEL: Final = re.compile(r'(\w+)="([^"]*)"')

# Labels whose values come with what happens, and the words that they are limited to.
BOUNDED: Final = {"reason": re.compile("[a-z_0-9]{0,40}"), "status": re.compile(r"\d{3}|none"), "cause": re.compile("[a-z_]{1,40}")}


# What comes with the first answer that is lost: a kind of call and a policy, of which there are few.
SELDOM: Final = {"relay_unknown_outcomes_total"}


def series_in(page: str) -> set[tuple[str, ...]]:
    """Each series, by its name and labels; bounded labels count by their name alone."""
    found: set[tuple[str, ...]] = set()
    for name, text in SERIES.findall(page.partition("\r\n\r\n")[2]):
        if name in SELDOM:
            continue
        labels = dict(LABEL.findall(text))
        for label, words in BOUNDED.items():
            if label in labels:
                assert words.fullmatch(labels[label]), (name, labels)
                labels[label] = ""
        found.add((name, *(f"{label}={value}" for label, value in sorted(labels.items()))))
    return found


def test_a_crowd_adds_no_series(rig: Callable[..., Any], crowd_of: Callable[..., Any]) -> None:
    """After ten sessions, and after thousands of others, `/metrics` shows the same series."""

    async def run() -> tuple[str, str]:
        async with rig(faults=("events:410:0.02", "events:500:0.02", "events:400:0.02")) as one, one.relay() as app:
            one.produce(crowd_of(10, "few", with_poison=True))
            await one.settle(app)
            await one.wait_for_commits(app)
            few = await one.look(app)
            for begin in range(0, SESSIONS, SESSIONS_AT_ONCE):
                one.produce(crowd_of(min(SESSIONS_AT_ONCE, SESSIONS - begin), f"many-{begin}", with_poison=False))
                await one.settle(app)
            many = await one.look(app)
            assert app.router.buffer.lane_count > SESSIONS
            return few, many

    few, many = asyncio.run(run())
    assert series_in(many) == series_in(few)
    assert 50 < len(SERIES.findall(many)) < SERIES_MAX

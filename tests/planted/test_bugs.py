"""The bugs that `./dev planted` plants still have their places. Whether the tests notice them takes minutes: that verb says it."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUGS = tomllib.loads(Path(__file__).with_name("bugs.toml").read_text("utf-8"))["bug"]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug["name"])
def test_a_bug_can_be_planted(bug: dict) -> None:
    """Its text stands exactly once in its file, what takes its place is Python, and the tests that should notice are there."""
    sound = (ROOT / bug["file"]).read_text("utf-8")
    assert sound.count(bug["old"]) == 1
    planted = sound.replace(bug["old"], bug["new"])
    assert planted != sound
    compile(planted, bug["file"], "exec")
    assert bug["suites"]
    assert all((ROOT / suite).exists() for suite in bug["suites"])


def test_each_bug_is_another_one() -> None:
    """No two bugs have one name."""
    assert len({bug["name"] for bug in BUGS}) == len(BUGS)

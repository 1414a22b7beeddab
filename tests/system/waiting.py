"""Waiting for a named fact, with a deadline.

In: a question to ask again and again. Out: its first answer that is true, or an `AssertionError` that names what did not come about.
"""

import time
from collections.abc import Callable
from typing import TypeVar

LOOK_AGAIN_SECONDS = 0.05

Answer = TypeVar("Answer")


def wait_for(question: Callable[[], Answer], name: str, seconds: float, *, pause: float = LOOK_AGAIN_SECONDS) -> Answer:
    """Ask until the answer is true."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s: {name}"
        time.sleep(pause)

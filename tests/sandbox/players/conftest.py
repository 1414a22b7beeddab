"""What the tests of simulated players share: one crowd with every habit in it, made once."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from relay.sandbox.crowd import crowd
from relay.sandbox.saying import Said
from relay.sandbox.shapes import Shape

BEGAN_MS = 1_700_000_000_000

Sessions = dict[str, list[Said]]
Events = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="session")
def gather() -> Callable[..., Sessions]:
    """Have a crowd say everything, by session."""

    def gather(shape: Shape, *, sessions: int = 150, seed: int = 1) -> Sessions:
        said: Sessions = {}
        for one in crowd(sessions, seed, shape, began_ms=BEGAN_MS):
            said.setdefault(one.key, []).append(one)
        return said

    return gather


@pytest.fixture(scope="session")
def said(gather: Callable[..., Sessions]) -> Sessions:
    """What a crowd with every habit said, by session."""
    return gather(Shape().having(start_object_share=0.1, ad_ping_seconds=2, ad_pause_share=0.1))


@pytest.fixture(scope="session")
def events(said: Sessions) -> Events:
    """The same as JSON."""
    return {key: [msgspec.json.decode(one.value or b"") for one in session] for key, session in said.items()}

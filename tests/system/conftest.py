"""A stage for each story: a real Kafka for all, and a topic, a group and an API of its own."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest
from system.cluster import Cluster
from system.rig import Rig


@pytest.fixture(scope="session")
def cluster(real_kafka: str) -> Iterator[Cluster]:
    """The real Kafka, from the side of the tests."""
    cluster = Cluster(real_kafka)
    yield cluster
    cluster.close()


@pytest.fixture
def new_rig(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Set up a stage; it is taken down after the test."""
    with ExitStack() as stack:

        def make(**settings: Any) -> Rig:
            rig = Rig(cluster, tmp_path, **settings)
            stack.callback(rig.close)
            return rig

        yield make


@pytest.fixture
def dice(tell: Callable[[str], None]) -> Random:
    """Random moments. The seed is told with a failure; the operating system's own whims are not repeated by it."""
    seed = int(os.environ.get("SYSTEM_SEED", "1"))
    tell(f"SYSTEM_SEED={seed}")
    return Random(seed)  # noqa: S311  # moments, no secrets


@pytest.fixture
def tell() -> Callable[[str], None]:
    """Say what happens; pytest shows it with a failure, or with `-s`."""

    def say(line: str) -> None:
        sys.stdout.write(f"{line}\n")

    return say

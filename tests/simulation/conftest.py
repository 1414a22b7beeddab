"""Makes the modules of this folder known as `simulation.…`: test folders are no packages, and no other of them shall be found by name."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

if "simulation" not in sys.modules:
    package = ModuleType("simulation")
    package.__path__ = [str(Path(__file__).parent)]
    sys.modules["simulation"] = package


@pytest.fixture(autouse=True)
def nobody_reads_the_log() -> Iterator[None]:
    """To format what thousands of worlds log would cost more than to run them."""
    logger = logging.getLogger("relay")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(level)

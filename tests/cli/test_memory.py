"""How `relay run` treats its memory, each time in a process of its own."""

import os
import re
import subprocess
import sys

import pytest

# Eight threads that hold something at the same time; then what glibc says of its arenas, if it is glibc.
PROBE = """
import ctypes, threading
from relay import memory
memory.share_arenas()
library = ctypes.CDLL(None)
if not hasattr(library, "malloc_info"):
    raise SystemExit(77)
library.malloc.restype = ctypes.c_void_p
meet = threading.Barrier(8)
def hold():
    library.malloc(5_000)
    meet.wait()
threads = [threading.Thread(target=hold) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
library.malloc_info(0, ctypes.c_void_p.in_dll(library, "stdout"))
library.fflush(None)
"""


@pytest.mark.parametrize(("chosen", "arenas"), [(None, 2), ("1", 1), ("3", 3)])
def test_threads_share_arenas(chosen: str | None, arenas: int) -> None:
    """Two are enough for all, unless an operator has chosen otherwise."""
    told = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"} | (
        {"MALLOC_ARENA_MAX": chosen} if chosen else {}
    )
    done = subprocess.run([sys.executable, "-c", PROBE], env=told, capture_output=True, text=True, check=False)  # noqa: S603  # our own
    if done.returncode == 77:
        pytest.skip("this C library has no arenas to look at")
    assert done.returncode == 0, done.stderr
    assert len(re.findall("<heap nr=", done.stdout)) == arenas


def test_garbage_is_looked_for_seldom() -> None:
    """And never among what was imported."""
    probe = "import gc; from relay import memory; memory.keep_house(); print(gc.get_threshold()[0] > 10_000, gc.get_freeze_count() > 1_000)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)  # noqa: S603  # our own
    assert done.stdout.split() == ["True", "True"]

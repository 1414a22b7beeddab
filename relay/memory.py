"""How the process treats its memory: what Python and the C library do by default is made for programs that end soon.

Called once, before there are threads.
"""

import ctypes
import gc
import os
from typing import Final

ARENAS_MAX: Final = 2  # one for the event loop, one for all other threads
_M_ARENA_MAX: Final = -8  # as in glibc's malloc.h


def keep_house() -> None:
    """Do both."""
    look_for_garbage_seldom()
    share_arenas()


def look_for_garbage_seldom() -> None:
    """Events hold no cycles; that Python looks for some among them all the time took a thirtieth of all CPU."""
    gc.set_threshold(20_000, 10, 5)
    gc.freeze()  # what is imported by now stays: no look at it


def share_arenas() -> None:
    """Let threads share what is free.

    Each thread of Kafka's clients would get an arena of its own, and nobody else could use what is free of it: the process grows by that
    for hours, with no more in use than ever. Where an operator has chosen a number, that counts.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's; what others do by themselves is theirs
    if set_option is not None and "MALLOC_ARENA_MAX" not in os.environ:
        set_option(_M_ARENA_MAX, ARENAS_MAX)

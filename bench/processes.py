"""Processes that are measured: started, waited for, looked at, stopped.

In: commands and their environment. Out: their CPU time and memory, as the kernel tells them.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

DEADLINE_SECONDS: Final = 240.0
LOOK_SECONDS: Final = 0.05
STOP_SECONDS: Final = 20.0
Process = subprocess.Popen[bytes]
Seen = TypeVar("Seen")


@contextmanager
def started(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Process]:
    """Start one; stop it at the end."""
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until(look: Callable[[], Seen], processes: Sequence[Process], is_there: Callable[[Seen], bool]) -> Seen:
    """Look until it is there, while the processes live."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_there(found := look()):
        for process in processes:
            if process.poll() is not None:
                raise SystemExit(f"{process.args!r} ended by itself with {process.returncode}; its log is kept")
        if time.monotonic() > deadline:
            raise SystemExit(f"still waiting after {DEADLINE_SECONDS:.0f} s; the last that was seen: {found}")
        time.sleep(LOOK_SECONDS)
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> float:
    """Memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

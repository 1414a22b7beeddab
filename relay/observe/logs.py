"""Log lines on standard error: JSON for machines, columns for people. Constant event names plus fields; never payloads, keys or tokens.

In: records of the standard library's logging. Out: lines.
"""

import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal, TextIO, TypeAlias

Format: TypeAlias = Literal["json", "console"]

_NOT_FIELDS: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_COLOURS: Final = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m"}
_END_OF_COLOUR: Final = "\x1b[0m"
_CHATTY: Final = ("httpx", "httpcore", "httpx2", "httpcore2", "asyncio")  # below warning they name addresses, and with them ids of sessions
HASH_BYTES: Final = 6

_encode: Final = json.JSONEncoder(default=str, ensure_ascii=False, separators=(",", ":")).encode


def configure(level: str = "info", form: Format | None = None, stream: TextIO | None = None) -> None:
    """Send everything to one stream from now on, in place of what was configured before."""
    target = sys.stderr if stream is None else stream
    chosen = form or ("console" if target.isatty() else "json")
    handler = logging.StreamHandler(target)
    handler.setFormatter(JsonLines() if chosen == "json" else Columns(has_colours=target.isatty() and not os.environ.get("NO_COLOR")))
    _leave_out_what_no_line_says()
    root = logging.getLogger()
    for former in list(root.handlers):
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _leave_out_what_no_line_says() -> None:
    """The place in the source, threads and processes: to find them out costs half of a line. The switches are those of Python's HOWTO."""
    logging._srcfile = None  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def hashed(key: str) -> str:
    """A short name for a player session that cannot be turned back, the same in every process: the field `session`."""
    return hashlib.blake2s(key.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).hexdigest()


class JsonLines(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, event, logger, then the fields."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",  # +00:00
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
        }
        line |= {name: value for name, value in _fields(record).items() if name not in line}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return _encode(line)


class Columns(logging.Formatter):
    """For people: the time of day, the level, the event, the fields."""

    def __init__(self, *, has_colours: bool) -> None:
        """Colour the levels that matter, where the terminal bears it."""
        super().__init__()
        self._has_colours = has_colours

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the trace below when there is one."""
        moment = datetime.fromtimestamp(record.created, UTC).astimezone()
        level = f"{record.levelname.lower():7}"
        if self._has_colours and record.levelname in _COLOURS:
            level = f"{_COLOURS[record.levelname]}{level}{_END_OF_COLOUR}"
        fields = "".join(f"  {name}={value}" for name, value in _fields(record).items())
        line = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03} {level} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class Sparse:
    """Lets a warning that repeats itself through once in a while, with the number of those that were left out."""

    def __init__(self, logger: logging.Logger, *, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        """At most one line per event name in so many seconds."""
        self._logger = logger
        self._seconds = seconds
        self._clock = clock
        self._said_at: dict[str, float] = {}  # as many as there are constant event names
        self._left_out: dict[str, int] = {}

    def log(self, level: int, event: str, fields: Mapping[str, object] | None = None) -> None:
        """Say it, unless it was said a moment ago."""
        now = self._clock()
        said_at = self._said_at.get(event)
        if said_at is not None and now - said_at < self._seconds:
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return
        self._said_at[event] = now
        left_out = self._left_out.pop(event, 0)
        self._logger.log(level, event, extra={**(fields or {}), **({"left_out": left_out} if left_out else {})})

    def warning(self, event: str, fields: Mapping[str, object] | None = None) -> None:
        """Say it as a warning."""
        self.log(logging.WARNING, event, fields)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in record.__dict__.items() if name not in _NOT_FIELDS}

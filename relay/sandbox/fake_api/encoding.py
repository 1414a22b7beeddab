"""A reply → the bytes of an HTTP/1.1 answer.

In: a reply. Out: bytes, with `Date` and, where the status may have one, `Content-Length`.
"""

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from relay.sandbox.fake_api.dialect import Reply

_NO_LENGTH: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


def encode(reply: Reply, *, is_kept_alive: bool, has_body: bool = True) -> bytes:
    """Spell a reply as HTTP/1.1."""
    status = int(reply.status)
    lines = [f"HTTP/1.1 {status} {_phrase(status)}\r\nServer: relay-fake-api\r\nDate: {_date()}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in reply.headers]
    if status not in _NO_LENGTH:
        lines.append(f"Content-Length: {len(reply.body)}\r\n")
    lines.append("Connection: keep-alive\r\n\r\n" if is_kept_alive else "Connection: close\r\n\r\n")
    head = "".join(lines).encode("latin-1")
    return head + reply.body if has_body else head


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


_latest_date: tuple[int, str] = (0, "")


def _date() -> str:
    """Make the date once a second: it is the dearest part of an answer."""
    global _latest_date  # noqa: PLW0603  # a cache of one
    now = int(time.time())
    if _latest_date[0] != now:
        _latest_date = (now, formatdate(now, usegmt=True))
    return _latest_date[1]

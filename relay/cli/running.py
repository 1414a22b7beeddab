"""Asks a running relay: what the commands that look at one have in common.

In: `--url`, or the admin port of the settings that are in force here. Out: the shapes of the console, or one line that says what is wrong.
"""

import argparse
import http.client
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from relay.errors import RelayError, SettingsError
from relay.observe.console import shapes

DEFAULT_URL: Final = "http://127.0.0.1:8080"
BODY_BYTES_MAX: Final = 64 * 2**20
_HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  # where to knock when it listens everywhere
_OK: Final = 200
_NOT_FOUND: Final = 404
_SHAPE = TypeVar("_SHAPE", bound=msgspec.Struct)


class NoAnswer(RelayError):  # noqa: N818  # it names what was found
    """The relay that was asked does not answer, or not as a relay does."""

    exit_code = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What names the relay to ask."""
    parser.add_argument("--url", help=f"where its admin port is (default: from the settings that are in force here, else {DEFAULT_URL})")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML or TOML; the environment goes before them")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS", help="how long to wait (default: %(default)g)")
    parser.add_argument("--json", action="store_true", help="print its answer as it came")


class Relay:
    """A running relay."""

    def __init__(self, url: str, seconds: float) -> None:
        """Where it is, and how long to wait for it."""
        try:
            parts = urlsplit(url if "//" in url else f"http://{url}")
            self.port = parts.port
        except ValueError as error:
            raise NoAnswer(f"{printable(url)} is no address: {error}") from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise NoAnswer(f"{printable(url)} is no address of a relay: expected something like {DEFAULT_URL}")
        self.url = printable(f"{parts.scheme}://{parts.netloc}")
        self._connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._place = parts.netloc.rpartition("@")[2]
        self._seconds = seconds

    @classmethod
    def named_by(cls, arguments: argparse.Namespace) -> "Relay":
        """The one that the arguments mean."""
        return cls(arguments.url or _url_of_settings(arguments.config), arguments.timeout)

    def bytes(self, path: str, **query: str) -> bytes | None:
        """What an address answers; None when there is nothing there."""
        target = f"{path}?{urlencode({name: value for name, value in query.items() if value}, errors='surrogatepass')}"
        connection = self._connect(self._place, timeout=self._seconds)
        try:
            connection.request("GET", target.rstrip("?"))
            answer = connection.getresponse()
            body = answer.read(BODY_BYTES_MAX)
        except (OSError, http.client.HTTPException) as error:
            hint = "is the relay running, and --url right?"
            raise NoAnswer(f"no answer from {self.url} ({type(error).__name__}); {hint}") from error
        finally:
            connection.close()
        if answer.status == _NOT_FOUND:
            return None
        if answer.status != _OK:
            raise NoAnswer(f"{self.url}{path} answers {answer.status}: {printable(body[:300].decode('utf-8', 'replace'))}")
        return body

    def ask(self, shape: type[_SHAPE], path: str, **query: str) -> _SHAPE:
        """The same, decoded."""
        body = self.bytes(path, **query)
        if body is None:
            raise NoAnswer(f"{self.url} has no console: it is no relay, or RELAY_ADMIN__CONSOLE is false there")
        return decode(body, shape)


def decode(body: bytes, shape: type[_SHAPE]) -> _SHAPE:
    """An answer as its shape."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.MsgspecError as error:
        raise NoAnswer(f"this is no answer of a relay of this version: {error}") from error


def show_json(body: bytes) -> None:
    """As it came."""
    print(body.decode().strip())


def _url_of_settings(config: Path | None) -> str:
    from relay.settings import load

    try:
        admin = load(config).admin
    except SettingsError:
        if config is not None:
            raise
        return DEFAULT_URL  # nothing is set here: somebody looks on from elsewhere
    host = _HERE.get(admin.host, f"[{admin.host}]" if ":" in admin.host else admin.host)
    return f"http://{host}:{admin.port}"


# --- on a terminal --------------------------------------------------------------------------------------------------------------------


def printable(text: str) -> str:
    """Nothing that comes from elsewhere moves the cursor or breaks a line."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as they need; the last is cut by nobody."""
    cells = [[printable(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(heads))]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def has_colours() -> bool:
    """Whether the terminal wants any."""
    import os

    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def coloured(text: str, level: str, *, is_wanted: bool) -> str:
    """In the colour of a level, where colours are wanted."""
    code = {"well": "32", "watch": "33", "trouble": "31", "muted": "2", "strong": "1"}.get(level)
    return f"\x1b[{code}m{text}\x1b[0m" if is_wanted and code else text


__all__ = ["NoAnswer", "Relay", "add_arguments", "coloured", "decode", "has_colours", "printable", "shapes", "show_json", "table"]

"""`relay health`: ask a running relay whether it is well. Fit for a container's health check."""

import argparse
import http.client
import json
import sys
from pathlib import Path
from typing import Final

EXAMPLE: Final = "relay health --ready --port 8080"
_HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # nobody listens; where to knock when it listens everywhere
_OK: Final = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command understands."""
    parser.add_argument("--ready", action="store_true", help="ask whether it is ready instead of whether it lives")
    parser.add_argument("--host", help="where it listens (default: from the settings, else 127.0.0.1 when --port is given)")
    parser.add_argument("--port", type=int, help="its admin port (default: from the settings)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in YAML or TOML; the environment goes before them")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS", help="how long to wait (default: %(default)g)")
    parser.add_argument("--json", action="store_true", help="print its answer as it came")


def run(arguments: argparse.Namespace) -> int:
    """Ask, and tell by the exit code: 0 well, 1 not."""
    host, port = arguments.host, arguments.port
    if port is None:
        from relay.settings import load

        settings = load(arguments.config)
        host, port = host or settings.admin.host, settings.admin.port
    host = _HERE.get(host or "", host)
    path = "/readyz" if arguments.ready else "/livez"
    try:
        status, body = _ask(host, port, path, arguments.timeout)
    except (OSError, http.client.HTTPException) as error:
        reason = f"no answer from {host}:{port}{path} ({type(error).__name__}); is the relay running, and RELAY_ADMIN__PORT right?"
        if arguments.json:
            print(json.dumps({"ok": False, "error": reason}))
        print(f"relay health: {reason}", file=sys.stderr)
        return 1
    is_well = status == _OK
    if arguments.json:
        print(body.strip())
    elif is_well:
        print("ok")
    if not is_well:
        print(f"relay health: {path} answers {status}: {body.strip()}", file=sys.stderr)
    return 0 if is_well else 1


def _ask(host: str, port: int, path: str, timeout: float) -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(65_536).decode("utf-8", "replace")
    finally:
        connection.close()

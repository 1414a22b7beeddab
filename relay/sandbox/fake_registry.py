"""A small schema registry in memory, as far as producers and the relay need one: what Confluent's clients ask over HTTP.

In: schemas that are registered. Out: their ids, and the schemas again. It checks nothing, keeps nothing beyond its end, and can be told to
be slow or to answer with a status, so that an outage can be tried.
"""

import json
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final, cast
from urllib.parse import unquote, urlsplit

BODY_BYTES_MAX: Final = 4 * 2**20

_OK: Final = 200
_NOT_FOUND: Final = 404
_NONE_OF_THIS: Final = {"subjects": 40401, "versions": 40402, "schemas": 40403}
_TYPE: Final = "application/vnd.schemaregistry.v1+json"

Answer = tuple[int, object]


class FakeRegistry:
    """What is registered, and how it answers."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.status = 0  # instead of every answer, when it is set
        self.delay_seconds = 0.0  # before every answer
        self.requests: list[str] = []
        self.headers: list[str] = []  # of those, what they said as authorization
        self._schemas: list[dict[str, object]] = []
        self._subjects: dict[str, list[int]] = {}
        self._lock = threading.Lock()

    def register(self, subject: str, schema: dict[str, object]) -> int:
        """Keep a schema under a subject; the same one has the same id everywhere."""
        kept: dict[str, object] = {"schemaType": "AVRO", "references": []}
        kept |= {name: schema[name] for name in schema if name in _KEPT}
        with self._lock:
            if kept not in self._schemas:
                self._schemas.append(kept)
            number = self._schemas.index(kept) + 1
            versions = self._subjects.setdefault(subject, [])
            if number not in versions:
                versions.append(number)
            return number

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """The answer to a request: a status and what is said as JSON."""
        parts = [unquote(part) for part in urlsplit(path).path.strip("/").split("/")]
        match method, parts:
            case "POST", ["subjects", subject, "versions"]:
                return _OK, {"id": self.register(subject, cast("dict[str, object]", json.loads(body)))}
            case "GET", ["subjects"]:
                return _OK, sorted(self._subjects)
            case "GET", ["schemas", "ids", number] if number.isdigit() and 0 < int(number) <= len(self._schemas):
                return _OK, self._schemas[int(number) - 1]
            case "GET", ["subjects", subject, "versions", version]:
                return self._version(subject, version)
            case "GET", ["schemas", *_]:
                return _NOT_FOUND, {"error_code": _NONE_OF_THIS["schemas"], "message": "no such schema"}
            case _:
                return _NOT_FOUND, {"error_code": _NOT_FOUND, "message": "no such address"}

    def _version(self, subject: str, version: str) -> Answer:
        versions = self._subjects.get(subject)
        if versions is None:
            return _NOT_FOUND, {"error_code": _NONE_OF_THIS["subjects"], "message": "no such subject"}
        place = len(versions) if version == "latest" else int(version) if version.isdigit() else 0
        if not 0 < place <= len(versions):
            return _NOT_FOUND, {"error_code": _NONE_OF_THIS["versions"], "message": "no such version"}
        number = versions[place - 1]
        return _OK, {"subject": subject, "version": place, "id": number} | self._schemas[number - 1]


_KEPT: Final = frozenset({"schema", "schemaType", "references"})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30  # an idle connection

    def do_GET(self) -> None:  # the library's name
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        registry = cast("_Server", self.server).registry
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(min(size, BODY_BYTES_MAX))
        registry.requests.append(f"{self.command} {self.path}")
        registry.headers.append(self.headers.get("Authorization") or "")
        time.sleep(registry.delay_seconds)
        try:
            answer: Answer = (registry.status, {}) if registry.status else registry.answer(self.command, self.path, body)
        except (ValueError, KeyError, TypeError):
            answer = 422, {"error_code": 422, "message": "not understood"}
        status, said = answer
        written = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", _TYPE)
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], registry: FakeRegistry) -> None:
        super().__init__(address, _Handler)
        self.registry = registry


@contextmanager
def serving(registry: FakeRegistry, *, host: str = "127.0.0.1", port: int = 0) -> Generator[str]:
    """Serve a registry on a thread of its own, for the length of a `with` block, which receives its address."""
    server = _Server((host, port), registry)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="fake-registry", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""The admin server: what it answers, and what it does with those who do not behave."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping

import pytest

from relay.errors import SettingsError
from relay.observe import admin as admin_module
from relay.observe.admin import Admin, Handler, Request, Response, as_json, health_routes


class Page:
    """Metrics that say what was asked of them."""

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """Echo."""
        return accept.encode(), "text/plain"


async def ask(port: int, raw: bytes) -> tuple[int, Mapping[str, str], bytes]:
    """Send bytes as they are and read the answer to its end."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(raw)
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
            await writer.wait_closed()
    status, *fields = head.decode().split("\r\n")
    return int(status.split()[1]), dict(field.lower().split(": ", 1) for field in fields), body


def serve(routes: Mapping[str, Handler], talk: Callable[[int], Awaitable[None]]) -> None:
    """Run a server for the time of a conversation."""

    async def run() -> None:
        admin = Admin("127.0.0.1", 0, routes)
        await admin.start()
        try:
            await talk(admin.port)
        finally:
            await admin.stop()

    asyncio.run(run())


def get(path: str, *fields: str) -> bytes:
    """The bytes of a request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: h", *fields, "", ""]).encode()


def test_health_tells_its_reasons() -> None:
    """200 when well, 503 when not, and the reasons either way."""
    routes = health_routes(
        live=lambda: (True, {"loop_silent_seconds": 0.1}), ready=lambda: (False, {"held": {"open": "check"}}), metrics=Page()
    )

    async def talk(port: int) -> None:
        status, fields, body = await ask(port, get("/livez"))
        assert (status, json.loads(body)) == (200, {"ok": True, "loop_silent_seconds": 0.1})
        assert fields["content-type"] == "application/json"
        assert fields["connection"] == "close"
        status, _, body = await ask(port, get("/readyz?verbose"))
        assert (status, json.loads(body)) == (503, {"ok": False, "held": {"open": "check"}})

    serve(routes, talk)


def test_metrics_are_told_what_is_accepted() -> None:
    """The scraper's Accept decides about the format."""
    routes = health_routes(live=lambda: (True, {}), ready=lambda: (True, {}), metrics=Page())

    async def talk(port: int) -> None:
        status, _, body = await ask(port, get("/metrics", "ACCEPT:  application/openmetrics-text"))
        assert (status, body) == (200, b"application/openmetrics-text")

    serve(routes, talk)


def test_routes() -> None:
    """A route answers for its path, one that ends in a slash for all below it; a handler may take its time."""

    async def slow(request: Request) -> Response:
        await asyncio.sleep(0)
        return as_json({"path": request.path, "query": dict(request.query)})

    async def talk(port: int) -> None:
        assert json.loads((await ask(port, get("/api/sessions/a%20b?x=1")))[2]) == {"path": "/api/sessions/a b", "query": {"x": "1"}}
        assert (await ask(port, get("/")))[2] == b"home"
        assert (await ask(port, get("/nowhere")))[0] == 404

    serve({"/": lambda _: Response(b"home", "text/plain"), "/api/sessions/": slow}, talk)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"POST /livez HTTP/1.1\r\n\r\n", 405),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /livez SPDY/1\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
    ],
)
def test_what_is_no_plain_question_is_refused(raw: bytes, status: int) -> None:
    """Anything but a small GET gets an error and a closed connection."""

    async def talk(port: int) -> None:
        assert (await ask(port, raw))[0] == status

    serve({"/livez": lambda _: Response(b"")}, talk)


def test_head_has_no_body() -> None:
    """HEAD answers like GET, with the length and without the body."""

    async def talk(port: int) -> None:
        status, fields, body = await ask(port, b"HEAD /livez HTTP/1.1\r\n\r\n")
        assert (status, fields["content-length"], body) == (200, "4", b"")

    serve({"/livez": lambda _: Response(b"well")}, talk)


def test_who_says_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that asks nothing is closed after a while, and holds nobody up meanwhile."""
    monkeypatch.setattr(admin_module, "SECONDS_MAX", 0.05)

    async def talk(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(10):
            assert (await ask(port, get("/livez")))[0] == 200
            assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    serve({"/livez": lambda _: Response(b"")}, talk)


def test_too_many_connections_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a connection is dropped at once; those before it are served."""
    monkeypatch.setattr(admin_module, "CONNECTIONS_MAX", 1)

    async def talk(port: int) -> None:
        _, first = await asyncio.open_connection("127.0.0.1", port)
        reader, second = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        for writer in (first, second):
            writer.close()
            await writer.wait_closed()

    serve({}, talk)


def test_a_taken_port_is_a_matter_of_settings() -> None:
    """The message names the setting and the address."""

    async def run() -> None:
        first = Admin("127.0.0.1", 0, {})
        await first.start()
        try:
            with pytest.raises(SettingsError, match=r"RELAY_ADMIN__PORT: cannot listen on 127\.0\.0\.1"):
                await Admin("127.0.0.1", first.port, {}).start()
        finally:
            await first.stop()
            await first.stop()

    asyncio.run(run())

"""The addresses of the console: every page, and the same as JSON below `/api`.

In: what is looked at. Out: a table of routes for the admin server. Only reading: the one thing that a request can change is which time
lines are kept. A bug in a page ends that page, never the relay.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

import msgspec

from relay.core.commands import Cause
from relay.core.events import SessionKey
from relay.observe.admin import Handler, Request, Response
from relay.observe.console import records, shapes
from relay.observe.console.overview import instance, overview, series
from relay.observe.console.pages.overview import overview_page
from relay.observe.console.pages.records import calls_page, dead_letters_page, missing_page, openings_page, partitions_page, settings_page
from relay.observe.console.pages.session import session_page
from relay.observe.console.pages.sessions import sessions_page
from relay.observe.console.sessions import STATES, Filter, Finder
from relay.observe.console.subject import Subject
from relay.observe.console.timeline import Teller

log = logging.getLogger("relay.console")

KEY_CHARACTERS_MAX: Final = 1_024

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # an address may hold a key that somebody looked for
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_ASSETS: Final = {"console.css": "text/css; charset=utf-8", "console.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}
_encode: Final = msgspec.json.Encoder().encode

# Every address that answers in JSON, and the shape of its answer; the reference is printed from here.
API: Final[Mapping[str, type[msgspec.Struct]]] = {
    "/api/overview": shapes.Overview,
    "/api/history": shapes.Series,
    "/api/sessions": shapes.Sessions,
    "/api/sessions/{topic}/{partition}/{name}": shapes.TimeLine,
    "/api/session": shapes.Whereabouts,
    "/api/partitions": shapes.Partitions,
    "/api/dead-letters": shapes.DeadLetters,
    "/api/openings": shapes.Openings,
    "/api/calls": shapes.Calls,
    "/api/settings": shapes.Settings,
}

Answer = Callable[[Request], Awaitable[Response]]
Look = Callable[[Request], Awaitable[msgspec.Struct]]
Draw = Callable[[Request, shapes.Instance, Any], bytes]  # the last is the shape that its look gives


class _Problem(Exception):  # noqa: N818  # an answer, not an error of the relay
    """What is asked for cannot be shown."""

    def __init__(self, status: HTTPStatus, said: str) -> None:
        super().__init__(said)
        self.status = status


def console_routes(subject: Subject) -> dict[str, Handler]:
    """All of them."""
    console = _Console(subject)
    looks: dict[str, tuple[Look, Draw | None]] = {
        "overview": (console.overview, None),
        "history": (console.history, None),
        "sessions": (console.sessions, lambda request, relay, found: sessions_page(relay, found, _filter(request))),
        "sessions/": (console.named, lambda _, relay, line: session_page(relay, line)),
        "session": (console.whereabouts, None),
        "partitions": (console.partitions, lambda _, relay, found: partitions_page(relay, found)),
        "dead-letters": (console.dead_letters, lambda _, relay, letters: dead_letters_page(relay, letters)),
        "openings": (console.openings, lambda request, relay, found: openings_page(relay, found, request.query.get("cause", ""))),
        "calls": (console.calls, lambda _, relay, looked: calls_page(relay, looked)),
        "settings": (console.settings, lambda _, relay, settings: settings_page(relay, settings)),
    }
    routes: dict[str, Handler] = {f"/assets/{name}": _asset(name, kind) for name, kind in _ASSETS.items()}
    routes["/"] = console.drawn(console.overview, lambda _, __, looked: overview_page(looked, series(subject)))
    routes["/api/"] = lambda _: _json(list(API))
    for name, (look, draw) in looks.items():
        routes[f"/api/{name}"] = console.told(look)
        if draw is not None:
            routes[f"/{name}"] = console.drawn(look, draw)
    return routes


class _Console:
    """Answers requests about one relay."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._finder = Finder(subject)
        self._teller = Teller(subject, self._finder)

    async def overview(self, _: Request) -> shapes.Overview:
        return overview(self._subject)

    async def history(self, _: Request) -> shapes.Series:
        return series(self._subject)

    async def sessions(self, request: Request) -> shapes.Sessions:
        return await self._finder.find(_filter(request))

    async def named(self, request: Request) -> shapes.TimeLine:
        topic, partition, name = [*request.path.rpartition("/sessions/")[2].split("/"), "", "", ""][:3]
        line = None
        if partition.isdecimal():
            line = await self._teller.named(topic, int(partition), name, follow="follow" in request.query)
        if line is None:
            raise _Problem(HTTPStatus.NOT_FOUND, "This relay holds no session of that name in that partition, and remembers none.")
        return line

    async def whereabouts(self, request: Request) -> shapes.Whereabouts:
        key = request.query.get("key", "")
        if not 0 < len(key) <= KEY_CHARACTERS_MAX:
            raise _Problem(HTTPStatus.BAD_REQUEST, "give the key of a player session: /api/session?key=KEY")
        return await self._teller.whereabouts(SessionKey(key), follow="follow" in request.query)

    async def partitions(self, request: Request) -> shapes.Partitions:
        return records.partitions(self._subject, request.query.get("from", ""))

    async def dead_letters(self, _: Request) -> shapes.DeadLetters:
        return records.dead_letters(self._subject)

    async def openings(self, request: Request) -> shapes.Openings:
        return records.openings(self._subject, _choice(request, "cause", list(Cause)), request.query.get("from", ""))

    async def calls(self, _: Request) -> shapes.Calls:
        return records.calls(self._subject)

    async def settings(self, _: Request) -> shapes.Settings:
        return records.settings(self._subject)

    def drawn(self, look: Look, draw: Draw) -> Handler:
        """A page."""

        async def answer(request: Request) -> Response:
            looked = await look(request)
            return _html(draw(request, instance(self._subject), looked))

        return _guarded(answer, lambda problem: _html(missing_page(instance(self._subject), str(problem)), problem.status))

    def told(self, look: Look) -> Handler:
        """The same as JSON."""

        async def answer(request: Request) -> Response:
            return _json(await look(request))

        return _guarded(answer, lambda problem: _json({"error": str(problem)}, problem.status))


def _filter(request: Request) -> Filter:
    query = request.query
    return Filter(
        state=_choice(request, "state", list(STATES)),
        cause=_choice(request, "cause", list(Cause)),
        text=query.get("text", "").strip()[:KEY_CHARACTERS_MAX],
        begin=query.get("from", ""),
    )


def _choice(request: Request, name: str, known: list[str]) -> str:
    value = request.query.get(name, "")
    if value and value not in known:
        raise _Problem(HTTPStatus.BAD_REQUEST, f"{name} is one of {', '.join(known)}")
    return value


def _guarded(answer: Answer, refuse: Callable[[_Problem], Response]) -> Answer:
    async def guarded(request: Request) -> Response:
        try:
            return await answer(request)
        except _Problem as problem:
            return refuse(problem)
        except Exception:
            log.exception("a page could not be drawn")
            return refuse(_Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "This page could not be drawn; the log says why. The relay goes on."))

    return guarded


def _html(body: bytes, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(body, "text/html; charset=utf-8", status, HEADERS)


def _json(value: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(_encode(value) + b"\n", "application/json", status, HEADERS)


def _asset(name: str, kind: str) -> Handler:
    body = files("relay.observe.console").joinpath("assets", name).read_bytes()
    headers = {**HEADERS, "Cache-Control": "max-age=300"}
    return lambda _: Response(body, kind, headers=headers)

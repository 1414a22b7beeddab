"""Answers that no API should give: with statuses that do not exist, ids that lead elsewhere, and bodies that are bombs.

In: a call. Out: an answer, whether the call was served or not. What the relay must make of each is checked where all answers are: what was
served is delivered, what was not goes again, or is set aside if the answer says that the event is at fault.
"""

from typing import TYPE_CHECKING, Final

from relay.core.commands import OpenSession
from relay.core.verdict import Answer

if TYPE_CHECKING:
    from simulation.api import Api, Flight

NO_STATUSES: Final = frozenset({402, 418, 451, 499})  # they blame the event, as 400 does
_MOMENTS: Final = (100, 199, 425, 502, 504, 599, 999)
_OUR_OWN: Final = (300, 302, 307, 399, 403, 405, 407)
_SUCCESSES: Final = (200, 201, 202, 204, 206, 207, 299)
_AGES: Final = 1e12
_BODIES: Final = (
    b"",
    b"[" * 4_096,
    b'{"message":' * 300,
    b"\xff\xfe\x00 not text",
    b'{"message": "\\r\\nX-Evil: 1\\u0000"}',
    b'{"message": {"a": []}}',
    b'{"message": 1e999}',
    b"<html>an error of a gateway</html>",
    b'{"message": "' + b"x" * 4_000,
)
_LOCATIONS: Final = (
    "/api/v1/sessions/..",
    "/api/v1/sessions/../../admin/",
    "/api/v1/sessions/000001\r\nX-Evil: 1",
    "/api/v1/sessions/" + "a" * 129,
    "/api/v1/sessions/\u0661\u0662",
    "/api/v1/sessions/a b",
    "/api/v1/sessions/%2e%2e",
    "http://[::1/api/v1/sessions/000001",
    "//elsewhere.example",
    "javascript:alert(1)",
    "\x00",
)
_FRAMES: Final = ("http://elsewhere.example:99999999{}", "//elsewhere.example{}", "{}?x=/../y", "{}#/../y", "ftp://u:p@elsewhere.example{}")


def answer(api: "Api", flight: "Flight") -> Answer:
    """Serve the call, or not, and answer as nobody should."""
    random = api.random
    body = random.choice(_BODIES)
    if random.random() < 0.5:
        served = api.serve(flight)
        if isinstance(flight.command, OpenSession):
            api.notice("a hostile answer to an opening")
            return Answer(
                random.choice(_SUCCESSES),
                location=random.choice(_FRAMES).format(served.location.removeprefix("http://elsewhere.example")),
                body=body,
            )
        api.notice("a hostile answer to an event")
        return Answer(random.choice(_SUCCESSES) if served.status < 300 else served.status, body=body, location=random.choice(_LOCATIONS))
    asked = random.choice((0.0, 0.0, _AGES))
    if asked:
        api.notice("asked to wait for ages")
    if isinstance(flight.command, OpenSession):
        api.notice("a hostile answer to an opening")
        if random.random() < 0.5:
            return Answer(random.choice(_SUCCESSES), location=random.choice(_LOCATIONS), body=body)
    may_be_blamed = flight.kind == "event" or (flight.kind == "open" and flight.head.kind == "sessionStart" and not flight.is_resuming)
    if may_be_blamed and random.random() < 0.1:
        api.notice("refused with a status that no API has")
        return Answer(random.choice(sorted(NO_STATUSES)), body=body)
    return Answer(random.choice((*_MOMENTS, *_OUR_OWN)), asked, random.choice(_LOCATIONS), body)

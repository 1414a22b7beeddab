"""What `relay check` says of the API: the way, the certificate, the token, the dialect, the clock."""

import asyncio
import datetime as dt
import ssl
from collections.abc import Awaitable, Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from relay.api.collection import MediaCollection
from relay.api.dialect import Dialect
from relay.api.edge import MediaEdge
from relay.api.tls import tls_context
from relay.api.token_endpoint import NoToken, Token
from relay.api.transport import Transport
from relay.check.api import ApiChecks, Reach
from relay.check.findings import Finding, Report
from relay.sandbox.fake_api import FakeApi
from relay.sandbox.fake_api.tokens import TokenDesk

DIALECTS: dict[str, Dialect] = {"media-collection": MediaCollection(), "media-edge": MediaEdge("stream")}
Findings = dict[str, Finding]


async def check(
    url: str, dialect: Dialect, *, transport: httpx.AsyncBaseTransport | None = None, tls: ssl.SSLContext | None = None, **more: Any
) -> tuple[Findings, int]:
    """Look at an API; findings by the name of the check."""
    report = Report()
    tls = tls or ssl.create_default_context()
    async with transport or Transport(connections_max=1, tls=tls) as carrier:
        reach = Reach(url, carrier, tls, {"x-key": "1"}, 5.0, is_direct=transport is None, fetch_token=None)._replace(**more)
        await ApiChecks(reach, dialect, report).run()
    return {finding.check: finding for finding in report.findings}, report.exit_code


def against_fake(story: Callable[[FakeApi, str], Awaitable[None]], tls: ssl.SSLContext | None = None, **options: Any) -> None:
    """Play against the strict fake on a socket."""

    async def run() -> None:
        api = FakeApi(**options)
        url = await api.start(tls=tls)
        try:
            await story(api, url)
        finally:
            await api.stop()

    asyncio.run(run())


@pytest.mark.parametrize("name", DIALECTS)
def test_an_api_that_serves(name: str) -> None:
    """Both dialects: everything is fine, and not one session was opened."""

    async def story(api: FakeApi, url: str) -> None:
        found, code = await check(url, DIALECTS[name])
        expected = {"api.connection": "ok", "api.dialect": "ok", "clock": "ok"}
        expected |= {"api.opening": "ok"} if name == "media-collection" else {}
        assert {check: str(finding.outcome) for check, finding in found.items()} == expected
        assert code == 0
        assert api.account().total.openings == 0
        assert not list(api.players())

    against_fake(story)


def test_the_other_dialect_is_noticed() -> None:
    """What speaks classic has no Edge below it."""

    def classic_only(_: httpx.Request) -> httpx.Response:
        return httpx.Response(404, text="<html>no such page</html>")

    found, code = asyncio.run(check("https://api.example", DIALECTS["media-edge"], transport=httpx.MockTransport(classic_only)))
    assert (found["api.dialect"].outcome, code) == ("warn", 0)
    assert "RELAY_API__URL" in found["api.dialect"].advice
    found, code = asyncio.run(check("https://api.example", DIALECTS["media-collection"], transport=httpx.MockTransport(classic_only)))
    assert (found["api.opening"].outcome, code) == ("fail", 3)
    assert found["api.connection"].outcome == "skip"


@pytest.mark.parametrize(
    ("status", "headers", "check_name", "code", "advice"),
    [
        (401, {}, "api.dialect", 3, "RELAY_API__HEADERS"),
        (403, {}, "api.dialect", 3, "RELAY_API__HEADERS"),
        (302, {"Location": "https://other.example"}, "api.dialect", 3, "RELAY_API__URL"),
        (204, {}, "api.dialect", 3, "something else answers"),
        (503, {}, "api.dialect", 4, "try again"),
        (400, {}, "api.dialect", 1, "RELAY_API__DIALECT"),
        (201, {"Location": "/api/v1/sessions/abc"}, "api.opening", 3, "something else answers"),
    ],
)
def test_whatever_else_is_answered_is_explained(status: int, headers: dict[str, str], check_name: str, code: int, advice: str) -> None:
    """By whose fault it is, with what to do."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, headers=headers, json={"message": "geheim"}))
    found, exit_code = asyncio.run(check("https://api.example", DIALECTS["media-collection"], transport=transport))
    assert (found[check_name].outcome, exit_code) == ("fail", code)
    assert advice in found[check_name].advice
    assert "geheim" not in str(found)


@pytest.mark.parametrize(("seconds", "outcome"), [(0, "ok"), (-60, "warn"), (3600, "warn"), (None, "skip")])
def test_a_clock_that_is_wrong_is_told(seconds: float | None, outcome: str) -> None:
    """By the Date of an answer; without one nothing is said."""
    now = dt.datetime.now(dt.UTC).timestamp()
    headers = {} if seconds is None else {"Date": formatdate(now - seconds, usegmt=True)}
    transport = httpx.MockTransport(lambda _: httpx.Response(404, headers=headers, json={"message": "unknown"}))
    found, code = asyncio.run(check("https://api.example", DIALECTS["media-collection"], transport=transport))
    assert found["clock"].outcome == outcome
    assert code in {0, 3}


def test_nobody_there() -> None:
    """Said once, and nothing that builds on it is tried."""
    found, code = asyncio.run(check("http://127.0.0.1:1", DIALECTS["media-collection"]))
    assert [finding.outcome for finding in found.values()] == ["fail", "skip"]
    assert code == 4


def test_an_answer_that_does_not_come() -> None:
    """It is connected, and that is all."""

    async def story(_: FakeApi, url: str) -> None:
        found, code = await check(url, DIALECTS["media-collection"], seconds=0.2)
        assert (found["api.connection"].outcome, found["api.dialect"].outcome, code) == ("ok", "fail", 4)

    against_fake(story, faults=["all:hang:1"])


@pytest.fixture
def authority() -> Iterator[trustme.CA]:
    """Who signs the server's certificate."""
    return trustme.CA()  # type: ignore[return-value]


@pytest.mark.parametrize(("days", "outcome"), [(90, "ok"), (5, "warn")])
def test_a_certificate_that_ends_soon_is_told(authority: trustme.CA, tmp_path: Path, days: int, outcome: str) -> None:
    """Three weeks are enough to have it renewed."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    not_after = dt.datetime.now(dt.UTC) + dt.timedelta(days=days, hours=1)
    authority.issue_cert("127.0.0.1", not_after=not_after).configure_cert(server)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)

    async def story(_: FakeApi, url: str) -> None:
        found, code = await check(url, DIALECTS["media-collection"], tls=tls_context(str(ca_file)))
        assert found["api.certificate"].outcome == outcome
        assert f"good for {days} days" in found["api.certificate"].found
        assert (found["api.dialect"].outcome, code) == ("ok", 0)
        found, code = await check(url, DIALECTS["media-collection"])
        assert (found["api.connection"].outcome, code) == ("fail", 3)
        assert "RELAY_API__CA_FILE" in found["api.connection"].advice

    against_fake(story, tls=server)


def test_a_token_is_fetched_and_carried() -> None:
    """Behind a gateway the dialect is asked with a token; without one nothing is asked."""

    async def story(api: FakeApi, url: str) -> None:
        assert api.tokens is not None
        api.tokens._good_until["t"] = float("inf")

        async def fetch() -> Token:
            return Token("t", 60)

        found, code = await check(url, DIALECTS["media-collection"], fetch_token=fetch)
        assert (found["api.token"].outcome, found["api.dialect"].outcome, code) == ("ok", "ok", 0)

        for answer, expected in ((NoToken("status_503"), 4), (NoToken("invalid_client", "check the secret"), 3)):

            async def refuse(answer: NoToken = answer) -> NoToken:
                return answer

            found, code = await check(url, DIALECTS["media-collection"], fetch_token=refuse)
            assert (found["api.token"].outcome, found["api.dialect"].outcome, code) == ("fail", "skip", expected)

    against_fake(story, tokens=TokenDesk("relay", "secret"))

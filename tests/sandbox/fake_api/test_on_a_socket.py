"""The fake on a socket: what each answer and each fault looks like from outside."""

import asyncio
import email.utils
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import trustme

from relay.sandbox.fake_api import FakeApi

MakeEvent = Callable[..., dict[str, Any]]
OnSocket = Callable[..., None]
Until = Callable[[Callable[[], bool]], Awaitable[None]]

SESSIONS = "/api/v1/sessions"


async def open_session(http: httpx.AsyncClient, event: MakeEvent) -> str:
    """Open a session; the path for its events."""
    answer = await http.post(SESSIONS, json=event("sessionStart", 1))
    assert answer.status_code == 201
    return f"{answer.headers['location']}/events"


async def exchange_raw(url: str, sent: bytes) -> bytes:
    """Send bytes and read until the fake closes the connection."""
    base = httpx.URL(url)
    reader, writer = await asyncio.open_connection(base.host, base.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.close()


def test_answers_are_those_of_the_documents(on_socket: OnSocket, event: MakeEvent) -> None:
    """201 with an empty body and a relative Location, 204 without a body, 400 with a message; all on one connection."""

    async def scene(_api: FakeApi, http: httpx.AsyncClient) -> None:
        opened = await http.post(SESSIONS, json=event("sessionStart"))
        assert (opened.status_code, opened.content, opened.headers["content-length"]) == (201, b"", "0")
        assert opened.headers["location"].startswith("/api/v1/sessions/")
        assert opened.headers["content-type"] == "application/octet-stream"
        accepted = await http.post(f"{opened.headers['location']}/events", json=event("ping", 2))
        assert (accepted.status_code, accepted.content, accepted.headers["connection"]) == (204, b"", "keep-alive")
        assert "content-length" not in accepted.headers
        refused = await http.post(f"{opened.headers['location']}/events", content=b"{")
        assert (refused.status_code, refused.json()) == (400, {"message": "the body is not JSON"})
        assert refused.headers["content-type"] == "application/json"
        streams = {answer.extensions["network_stream"].get_extra_info("client_addr") for answer in (opened, accepted, refused)}
        assert len(streams) == 1

    on_socket(scene)


@pytest.mark.parametrize("status", [301, 400, 401, 408, 429, 500, 502, 503, 504, 599])
def test_a_status_is_answered_and_nothing_applied(on_socket: OnSocket, event: MakeEvent, status: int) -> None:
    """The session goes on as if nothing had been."""

    async def scene(api: FakeApi, http: httpx.AsyncClient) -> None:
        events = await open_session(http, event)
        api.set_faults([f"events:{status}:1"])
        assert (await http.post(events, json=event("ping", 2))).status_code == status
        api.set_faults([])
        assert api.account().total.received == 1
        assert (await http.post(events, json=event("ping", 2))).status_code == 204
        assert api.account().is_clean

    on_socket(scene)


def test_retry_after_comes_in_seconds_or_as_a_date(on_socket: OnSocket, event: MakeEvent) -> None:
    """Both forms that HTTP allows."""

    async def scene(api: FakeApi, http: httpx.AsyncClient) -> None:
        answer = await http.post(SESSIONS, json=event("sessionStart"))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        api.set_faults(["all:429+date60:1"])
        answer = await http.post(SESSIONS, json=event("sessionStart"))
        seconds = email.utils.parsedate_to_datetime(answer.headers["retry-after"]).timestamp() - time.time()
        assert answer.status_code == 429
        assert 30 < seconds <= 61

    on_socket(scene, "sessions:503+5:1")


@pytest.mark.parametrize("status", [404, 410])
def test_404_and_410_are_meant(on_socket: OnSocket, event: MakeEvent, status: int) -> None:
    """The session is really forgotten or closed: later calls agree."""

    async def scene(api: FakeApi, http: httpx.AsyncClient) -> None:
        events = await open_session(http, event)
        api.set_faults([f"events:{status}:1"])
        assert (await http.post(events, json=event("ping", 2))).status_code == status
        api.set_faults([])
        assert (await http.post(events, json=event("ping", 2))).status_code == status

    on_socket(scene)


def test_a_reset_applies_nothing(on_socket: OnSocket, event: MakeEvent) -> None:
    """The connection is torn down."""

    async def scene(api: FakeApi, http: httpx.AsyncClient) -> None:
        events = await open_session(http, event)
        api.set_faults(["events:reset:1"])
        with pytest.raises(httpx.ReadError):
            await http.post(events, json=event("ping", 2))
        assert api.account().total.received == 1

    on_socket(scene)


@pytest.mark.parametrize("what", ["lost", "truncated"])
def test_a_lost_answer_leaves_the_event_applied(on_socket: OnSocket, event: MakeEvent, what: str) -> None:
    """A repeat is then excused."""

    async def scene(api: FakeApi, http: httpx.AsyncClient) -> None:
        events = await open_session(http, event)
        api.set_faults([f"events:{what}:1"])
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post(events, json=event("ping", 2))
        api.set_faults([])
        assert api.account().total.received == 2
        await http.post(events, json=event("ping", 2))
        assert (api.account().total.repeats_excused, api.account().is_clean) == (1, True)

    on_socket(scene)


def test_a_truncated_answer_is_half_an_answer(on_socket: OnSocket) -> None:
    """It begins like one."""

    async def scene(api: FakeApi, http: httpx.AsyncClient) -> None:
        body = (
            b'{"eventType":"sessionStart","playerTime":{"playhead":0,"ts":1},"params":{"analytics.trackingServer":"t",'
            b'"analytics.reportSuite":"r","visitor.marketingCloudOrgId":"o","media.id":"i","media.length":1,"media.contentType":"vod",'
            b'"media.playerName":"p","media.channel":"c"}}'
        )
        got = await exchange_raw(
            str(http.base_url), b"POST %b HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (SESSIONS.encode(), len(body), body)
        )
        assert got.startswith(b"HTTP/1.1 201 Created\r\n")
        assert b"\r\n\r\n" not in got
        assert api.account().total.received == 1

    on_socket(scene, "all:truncated:1")


def test_a_slow_answer_comes_late_and_in_its_turn(on_socket: OnSocket, event: MakeEvent) -> None:
    """A request that was sent ahead is answered after it."""

    async def scene(api: FakeApi, http: httpx.AsyncClient) -> None:
        events = await open_session(http, event)
        api.set_faults(["events:slow+0.05:1"])
        started = asyncio.get_running_loop().time()
        assert (await http.post(events, json=event("ping", 2))).status_code == 204
        assert asyncio.get_running_loop().time() - started >= 0.04
        ahead = b"POST %b HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (
            events.encode(),
            55,
            b'{"eventType":"ping","playerTime":{"playhead":1,"ts":3}}',
        )
        got = await exchange_raw(str(http.base_url), ahead + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert [part[:3] for part in got.split(b"HTTP/1.1 ")[1:]] == [b"204", b"404"]

    on_socket(scene)


def test_a_client_that_leaves_before_a_slow_answer_may_repeat(on_socket: OnSocket, event: MakeEvent, until: Until) -> None:
    """Its answer was lost as well."""

    async def scene(api: FakeApi, http: httpx.AsyncClient) -> None:
        events = await open_session(http, event)
        api.set_faults(["events:slow+30:1"])
        with pytest.raises(httpx.ReadTimeout):
            await http.post(events, json=event("ping", 2), timeout=0.05)
        api.set_faults([])
        await until(lambda: next(iter(api.players())).entries[-1].outcome.name == "UNANSWERED")
        await http.post(events, json=event("ping", 2))
        assert (api.account().total.repeats_excused, api.account().is_clean) == (1, True)

    on_socket(scene)


def test_a_hanging_request_applies_nothing(on_socket: OnSocket, event: MakeEvent) -> None:
    """And never ends."""

    async def scene(api: FakeApi, http: httpx.AsyncClient) -> None:
        events = await open_session(http, event)
        api.set_faults(["events:hang:1"])
        with pytest.raises(httpx.ReadTimeout):
            await http.post(events, json=event("ping", 2), timeout=0.05)
        assert api.account().total.received == 1

    on_socket(scene)


@pytest.mark.parametrize("what", ["noid", "badid"])
def test_an_opening_without_a_usable_id_opens_nothing(on_socket: OnSocket, event: MakeEvent, what: str) -> None:
    """201, but no session: trying again is no repeat."""

    async def scene(api: FakeApi, http: httpx.AsyncClient) -> None:
        answer = await http.post(SESSIONS, json=event("sessionStart"))
        assert answer.status_code == 201
        assert answer.headers.get("location", "x/..%2Fevil").endswith("/..%2Fevil")
        api.set_faults([])
        await open_session(http, event)
        assert (api.account().total.openings, api.account().is_clean) == (1, True)

    on_socket(scene, f"sessions:{what}:1")


def test_another_host_in_the_location_still_tells_the_id(on_socket: OnSocket, event: MakeEvent) -> None:
    """The session lives here."""

    async def scene(_api: FakeApi, http: httpx.AsyncClient) -> None:
        location = httpx.URL((await http.post(SESSIONS, json=event("sessionStart"))).headers["location"])
        assert location.host == "elsewhere.invalid"
        assert (await http.post(f"{location.path}/events", json=event("ping", 2))).status_code == 204

    on_socket(scene, "sessions:otherhost:1")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"POST /api/v1/sessions HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n" + b" " * 1_100_000, b"413"),
        (b"GET / HTTP/1.1\r\n" + b"X: %b\r\n" % (b"x" * 1_000) * 70 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", b"404"),
        (b"GET / HTTP/1.0\r\n\r\n", b"404"),
        (b"POST /api/v1/sessions HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", b"400"),
        (b"HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n", b"404"),
    ],
)
def test_whatever_comes_in_is_answered(on_socket: OnSocket, sent: bytes, status: bytes) -> None:
    """And the fake goes on serving."""

    async def scene(_api: FakeApi, http: httpx.AsyncClient) -> None:
        got = await exchange_raw(str(http.base_url), sent)
        assert got.startswith(b"HTTP/1.1 " + status)
        assert got.count(b"HTTP/1.1") == 1
        assert (await http.get("/_fake/faults")).status_code == 200

    on_socket(scene)


def test_it_serves_https() -> None:
    """With a context that it is given."""
    authority, server = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def scene() -> None:
        api = FakeApi()
        url = await api.start(tls=server)
        try:
            async with httpx.AsyncClient(verify=context, trust_env=False) as http:
                assert url.startswith("https://127.0.0.1:")
                assert (await http.get(f"{url}/_fake/faults")).json() == []
        finally:
            await api.stop()

    asyncio.run(scene())


def test_it_stops_with_clients_connected(on_socket: OnSocket, event: MakeEvent, until: Until) -> None:
    """Waiting and silent ones too, and may start again with what it knows."""

    async def scene(api: FakeApi, http: httpx.AsyncClient) -> None:
        await open_session(http, event)
        api.set_faults(["events:hang:0.5", "events:slow+30:1"])
        posts = [asyncio.create_task(http.post(f"{SESSIONS}/x/events", json=event("ping"))) for _ in range(8)]
        await until(lambda: sum(api.injected.values()) == len(posts))
        await api.stop()
        assert all(isinstance(outcome, httpx.HTTPError) for outcome in await asyncio.gather(*posts, return_exceptions=True))
        url = await api.start()
        assert (await http.get(f"{url}/_fake/account")).json()["total"]["received"] == 1

    on_socket(scene)

"""What the tests of the fake API share: valid bodies, a client in the same process, a client on a socket."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

import httpx
import msgspec
import pytest

from relay.sandbox.fake_api import FakeApi

START_PARAMS = {
    "analytics.trackingServer": "example.sc.omtrdc.net",
    "analytics.reportSuite": "suite",
    "visitor.marketingCloudOrgId": "0123@AdobeOrg",
    "media.id": "title-1",
    "media.length": 3600,
    "media.contentType": "vod",
    "media.playerName": "player",
    "media.channel": "channel",
}
PARAMS = {
    "sessionStart": START_PARAMS,
    "adBreakStart": {"media.ad.podIndex": 1, "media.ad.podSecond": 0},
    "adStart": {"media.ad.id": "ad", "media.ad.length": 15, "media.ad.podPosition": 1, "media.ad.playerName": "player"},
    "chapterStart": {"media.chapter.index": 1, "media.chapter.offset": 0, "media.chapter.length": 300.5},
    "stateStart": {"media.state.name": "mute"},
    "stateEnd": {"media.state.name": "mute"},
}


def make_event(event_type: str, ts: int = 1_000, **parts: object) -> dict:
    """A valid event; `parts` replace or add what stands in it, and None takes it out."""
    event = {"eventType": event_type, "playerTime": {"playhead": 1.5, "ts": ts}}
    if event_type in PARAMS:
        event["params"] = PARAMS[event_type]
    event |= parts
    return {name: part for name, part in event.items() if part is not None}


class Client:
    """Talks to a fake API in the same process as a relay would, and may be told to do it wrongly."""

    def __init__(self, api: FakeApi) -> None:
        """Take the API."""
        self.api = api

    def post(self, target: str, body: object) -> tuple[int, dict]:
        """Post JSON; the status and the headers of the answer."""
        reply = self.api.exchange("POST", target, (), msgspec.json.encode(body)).reply
        return int(reply.status), dict(reply.headers)

    def open(self, ts: int, *, player: str | None = "p", resume: bool | None = None, **parts: object) -> str:
        """Open a session and return its id."""
        params = START_PARAMS | ({} if resume is None else {"media.resume": resume})
        parts = {"params": params, "customMetadata": {"playerSession": player} if player else None} | parts
        status, headers = self.post("/api/v1/sessions", make_event("sessionStart", ts, **parts))
        assert status == 201
        return headers["Location"].rpartition("/")[2]

    def send(self, session_id: str, event_type: str, ts: int, **parts: object) -> int:
        """Send an event and return the status."""
        return self.post(f"/api/v1/sessions/{session_id}/events", make_event(event_type, ts, **parts))[0]

    def send_all(self, session_id: str, *events: tuple[str, int]) -> None:
        """Send events that are all taken."""
        for event_type, ts in events:
            assert self.send(session_id, event_type, ts) == 204


@pytest.fixture(scope="session")
def event() -> Callable[..., dict]:
    """A valid event, which a test may alter."""
    return make_event


@pytest.fixture
def client() -> Client:
    """A client of a fake API that knows nothing yet."""
    return Client(FakeApi(seed=1))


@pytest.fixture(scope="session")
def client_of() -> type[Client]:
    """A client of a fake API that the test makes."""
    return Client


@pytest.fixture(scope="session")
def on_socket() -> Callable[..., None]:
    """Serve a fake API on a socket and run a scene with a client of it."""

    def run(scene: Callable[[FakeApi, httpx.AsyncClient], Coroutine[None, None, None]], *faults: str) -> None:
        async def whole() -> None:
            api = FakeApi(seed=1, faults=faults)
            url = await api.start()
            try:
                async with httpx.AsyncClient(base_url=url, timeout=5, trust_env=False) as http:
                    await scene(api, http)
            finally:
                await api.stop()

        asyncio.run(whole())

    return run


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """Wait for a fact."""

    async def wait(fact: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not fact():  # noqa: ASYNC110  # the fact is not always an event
                await asyncio.sleep(0.005)

    return wait

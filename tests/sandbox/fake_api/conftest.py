"""What the tests of the fake API share: valid bodies, a client in the same process, a client on a socket."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime

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


EDGE_START = {"name": "title-1", "playerName": "player", "length": 3600, "channel": "channel", "contentType": "vod"}
EDGE_MEDIA = {
    "sessionStart": {"sessionDetails": EDGE_START},
    "adBreakStart": {"advertisingPodDetails": {"index": 1, "offset": 0}},
    "adStart": {"advertisingDetails": {"name": "ad", "length": 15, "playerName": "player", "podPosition": 1}},
    "chapterStart": {"chapterDetails": {"index": 1, "length": 300, "offset": 0}},
    "error": {"errorDetails": {"name": "e-1", "source": "player"}},
    "bitrateChange": {"qoeDataDetails": {"bitrate": 20000}},
    "statesUpdate": {"statesStart": [{"name": "mute"}]},
}
EDGE_STATES = {"stateStart": "statesStart", "stateEnd": "statesEnd"}


def make_edge_body(event: str, ts: int = 1_000, session_id: str = "a" * 64, **media: object) -> dict:
    """A valid body for an endpoint of the Media Edge API; `media` replaces or adds what stands in mediaCollection, None takes it out."""
    collection = {"playhead": 1} | EDGE_MEDIA.get(event, {}) | ({} if event == "sessionStart" else {"sessionID": session_id}) | media
    timestamp = datetime.fromtimestamp(ts / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    present = {name: part for name, part in collection.items() if part is not None}
    return {"events": [{"xdm": {"eventType": f"media.{event}", "timestamp": timestamp, "mediaCollection": present}}]}


class EdgeClient:
    """Talks to a fake Media Edge API in the same process, in the words of the classic API."""

    def __init__(self, api: FakeApi) -> None:
        """Take the API."""
        self.api = api

    def post(self, target: str, body: object) -> tuple[int, dict]:
        """Post JSON; the status and the JSON of the answer."""
        reply = self.api.exchange("POST", target, (), msgspec.json.encode(body)).reply
        return int(reply.status), msgspec.json.decode(reply.body) if reply.body else {}

    def start(self, body: object) -> tuple[int, str]:
        """Start a session; the status, and the id or nothing."""
        status, answer = self.post("/ee/va/v1/sessionStart?configId=ds", body)
        handles = [one for one in answer.get("handle", []) if one["type"] == "media-analytics:new-session"]
        return status, handles[0]["payload"][0]["sessionId"] if handles else ""

    def open(self, ts: int, *, player: str | None = "p", resume: bool | None = None, **media: object) -> str:
        """Open a session and return its id."""
        details = EDGE_START | ({} if resume is None else {"hasResume": resume})
        metadata = [{"name": "playerSession", "value": player}] if player else None
        media = {"sessionDetails": details, "customMetadata": metadata} | media
        status, session_id = self.start(make_edge_body("sessionStart", ts, **media))
        assert (status, len(session_id)) == (200, 64)
        return session_id

    def send(self, session_id: str, event_type: str, ts: int, **media: object) -> int:
        """Send an event and return the status."""
        event = event_type
        if event_type in EDGE_STATES:
            event = "statesUpdate"
            media = {"statesStart": None, EDGE_STATES[event_type]: [{"name": "mute"}]} | media
        return self.post(f"/ee/va/v1/{event}?configId=ds", make_edge_body(event, ts, session_id, **media))[0]

    def send_all(self, session_id: str, *events: tuple[str, int]) -> None:
        """Send events that are all taken."""
        for event_type, ts in events:
            assert self.send(session_id, event_type, ts) == 204


@pytest.fixture(scope="session")
def edge_body() -> Callable[..., dict]:
    """A valid body of the Media Edge API, which a test may alter."""
    return make_edge_body


@pytest.fixture
def edge() -> EdgeClient:
    """A client of a fake Media Edge API that knows nothing yet."""
    return EdgeClient(FakeApi(seed=1))


@pytest.fixture(scope="session")
def edge_of() -> type[EdgeClient]:
    """A client of a fake Media Edge API that the test makes."""
    return EdgeClient


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

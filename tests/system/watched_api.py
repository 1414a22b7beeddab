"""The fake API with a watch beside it: when each event was taken, one session that is stuck, and an API that is away for a while. A script.

    python tests/system/watched_api.py --port 0 --json --fault events:500:0.01

In: requests; below `/_watch/` those of the tests. Out: what the fake answers.

    POST /_watch/away       {"seconds": 20}: listen no more, and come back with everything remembered
    PUT  /_watch/stuck      {"session": "player-1-000000"}: each event of that player session is answered 503; "" ends it
    POST /_watch/after      {"moment": …}: how many requests were answered since, however they were
    GET  /_watch/repeated   what was taken more than once: player session, ts, type, and each time when and in which API session
    GET  /_watch/taken      every event that was taken: player session, and when
    GET  /_watch/resumed    openings in place of a lost session: player session, and when

Moments are those of the monotonic clock, which all processes of a machine share.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from bisect import bisect_left
from typing import NamedTuple
from urllib.parse import urlsplit

from relay.sandbox.fake_api.api import Exchange, FakeApi
from relay.sandbox.fake_api.dialect import SESSION_START, Headers, Reply
from relay.sandbox.fake_api.record import Outcome

PREFIX = "/_watch/"
EVENTS = "/events"
NO_CONTENT = Reply(204)


class Taking(NamedTuple):
    """An event was taken."""

    at: float
    api_session: str


class WatchedApi(FakeApi):
    """The fake, watched."""

    def __init__(self, *, faults: list[str]) -> None:
        """Nobody is stuck."""
        super().__init__(faults=faults)
        self.stuck = ""
        self.answered_at: list[float] = []
        self.takings: dict[tuple[str, int, str], list[Taking]] = {}
        self.resumed: list[tuple[str, float]] = []
        self._players: dict[str, str] = {}  # API session → player session
        self._tasks: set[asyncio.Task[None]] = set()

    def exchange(self, method: str, target: str, headers: Headers, body: bytes) -> Exchange:
        """Answer, and note what was taken."""
        if target.startswith(PREFIX):
            return Exchange(self._watch(method, target, body))
        if target.startswith("/_fake/"):
            return super().exchange(method, target, headers, body)
        now = time.monotonic()
        self.answered_at.append(now)
        if self.stuck and target.endswith(EVENTS) and self._players.get(target.split("/")[-2]) == self.stuck:
            return Exchange(Reply(503))
        exchange = super().exchange(method, target, headers, body)
        entry = exchange.entry
        if entry is not None and entry.session is not None and entry.outcome in {Outcome.ACCEPTED, Outcome.UNANSWERED}:
            player, heard = entry.session.player_key, entry.heard
            if heard.event_type == SESSION_START:
                self._players[entry.session.session_id] = player
                if heard.is_resumed:
                    self.resumed.append((player, now))
            taking = Taking(now, entry.session.session_id)
            self.takings.setdefault((player, heard.ts, heard.event_type), []).append(taking)
        return exchange

    def _watch(self, method: str, target: str, body: bytes) -> Reply:  # noqa: PLR0911  # one for each endpoint
        given = json.loads(body) if body else {}
        match method, target.removeprefix(PREFIX):
            case "POST", "away":
                task = asyncio.get_running_loop().create_task(self._be_away(given["seconds"]))
                self._tasks.add(task)
                return NO_CONTENT
            case "PUT", "stuck":
                self.stuck = given["session"]
                return NO_CONTENT
            case "POST", "after":
                count = len(self.answered_at) - bisect_left(self.answered_at, given["moment"])
                return _json({"count": count})
            case "GET", "repeated":
                repeated = [(*identity, takings) for identity, takings in self.takings.items() if len(takings) > 1]
                return _json(repeated)
            case "GET", "taken":
                return _json([(player, taking.at) for (player, _, _), takings in self.takings.items() for taking in takings])
            case "GET", "resumed":
                return _json(self.resumed)
            case _:
                return Reply(404)

    async def _be_away(self, seconds: float) -> None:
        address = urlsplit(self.url)
        await asyncio.sleep(0.05)  # the answer to whoever sent us away goes first
        await self.stop()
        await asyncio.sleep(seconds)
        await self.start(address.hostname or "", address.port or 0)

    url = ""


def _json(value: object) -> Reply:
    return Reply(200, (("Content-Type", "application/json"),), json.dumps(value).encode())


async def serve(port: int, faults: list[str]) -> None:
    """Listen until told to stop."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    api = WatchedApi(faults=faults)
    api.url = await api.start("127.0.0.1", port)
    sys.stdout.write(json.dumps({"url": api.url}) + "\n")
    sys.stdout.flush()
    await stopped.wait()
    await api.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fault", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    asyncio.run(serve(given.port, given.fault))

"""A session that holds up everything is parked, stays so over a restart, and is replayed whole once the API takes it again."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from relay.core.lane import State
from relay.sandbox.fake_api import FakeApi
from relay.sandbox.fake_api.dialect import Reply

Capture = pytest.CaptureFixture[str]
SMALL = {"RELAY_LIMITS__SESSION_EVENTS_MAX": "5", "RELAY_SESSION__PARK_AFTER_SECONDS": "1"}
SECONDS_MAX = 60.0


def test_a_session_that_the_api_fails_for_ever_is_parked_and_replayed(
    stage: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """The others go on; its events stand in the letters in order; the replay resumes its play, tells what was open, and goes on."""
    exchange = FakeApi.exchange
    stuck: set[str] = set()

    def exchange_but_for_the_stuck(self: FakeApi, method: str, target: str, headers: Any, body: bytes) -> Any:
        path = target.split("/")
        done = None if any(session in path for session in stuck) else exchange(self, method, target, headers, body)
        if done is None:
            failed = exchange(self, "GET", "/nowhere", headers, b"")
            return type(failed)(Reply(503))
        return done

    monkeypatch.setattr(FakeApi, "exchange", exchange_but_for_the_stuck)

    async def story() -> None:
        async with stage(**SMALL) as it:
            async with it.relay() as app:
                await it.say_taken(app, "anna", "sessionStart", "play")
                await it.say_taken(
                    app, "anna", "chapterStart", params={"media.chapter.index": 1, "media.chapter.length": 60, "media.chapter.offset": 0}
                )
                await it.say_taken(app, "ben", "sessionStart")
                lane = next(one for one in app.router.lanes() if one.key == "anna")
                stuck.add(str(lane.session_id))
                it.say("anna", *["ping"] * 6)
                async with asyncio.timeout(SECONDS_MAX):
                    while lane.state is not State.PARKED or lane.waiting:
                        it.say("ben", "ping")
                        await asyncio.sleep(0.2)
            async with it.relay() as app:
                it.say("anna", "pauseStart", "sessionEnd")
                async with asyncio.timeout(SECONDS_MAX):
                    while app.tallies.counters["relay_events_total"].counts.get(("dead_lettered", "parked"), 0) < 2:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
            stuck.clear()
            capsys.readouterr()
            assert await it.command("list", "--reason", "parked", "--json") == 0
            assert len(capsys.readouterr().out.splitlines()) == 8
            assert await it.command("replay", "--reason", "parked", "--quiet-seconds", "0", "--rate", "1000", "--yes") == 0
            assert "start from source, resumed" in capsys.readouterr().out
            async with it.relay() as app:
                async with asyncio.timeout(SECONDS_MAX):
                    while ("sessionEnd", 2) not in it.heard("anna"):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
            again = ["sessionStart", "chapterStart", "play", *["ping"] * 6, "pauseStart", "sessionEnd"]
            assert it.heard("anna") == [("sessionStart", 1), ("play", 1), ("chapterStart", 1), *((kind, 2) for kind in again)]
            total = it.account().total
            assert (total.missing, total.out_of_order, total.extra, total.repeats, total.retold_wrong) == (0, 0, 0, 0, 0)

    asyncio.run(story())

"""Sessions, found by state, cause and text, page by page, without holding anybody up."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from relay.core.events import EventType as E
from relay.observe.admin import Request
from relay.observe.console import sessions as sessions_module
from relay.observe.console.sessions import PAGE, SLICE
from relay.observe.logs import hashed


def names(found: Mapping[str, Any]) -> list[str]:
    """The names on a page."""
    return [one["name"] for one in found["sessions"]]


def test_pages_hold_every_session_once(scene: Callable[..., Any]) -> None:
    """From cursor to cursor, over partitions, to the end."""
    one = scene(partitions=3)
    one.crowd(3 * PAGE + 7)
    seen: list[str] = []
    begin = ""
    for _ in range(10):
        found = one.json("/api/sessions", **({"from": begin} if begin else {}))
        assert len(found["sessions"]) <= PAGE
        assert found["held"] == 3 * PAGE + 7
        seen += names(found)
        begin = found["next"]
        if not begin:
            break
    assert sorted(seen) == sorted(hashed(f"player-{number:06d}") for number in range(3 * PAGE + 7))


def test_by_state(scene: Callable[..., Any], verdicts: Mapping[str, Any]) -> None:
    """Each filter finds its own."""
    one = scene()
    one.play("open")
    one.play("ended", E.SESSION_END)
    one.play("completed", E.SESSION_COMPLETE)
    one.say("refused", E.SESSION_START)
    one.answer(verdicts["refused"])
    one.play("failing")
    one.say("failing", E.PLAY)
    one.answer(verdicts["later"])
    one.play("flying")
    one.say("flying", E.PLAY)
    one.say("absent", E.SESSION_COMPLETE)

    def found(state: str) -> set[str]:
        return set(names(one.json("/api/sessions", state=state)))

    assert found("ended") == {hashed("ended")}
    assert found("completed") == {hashed("completed")}
    assert found("refused") == {hashed("refused")}
    assert found("failing") == {hashed("failing")}
    assert found("in-flight") >= {hashed("flying")}
    assert found("waiting") >= {hashed("failing"), hashed("flying")}
    assert found("open") == {hashed(key) for key in ("open", "completed", "failing", "flying")}


def test_by_cause(scene: Callable[..., Any], verdicts: Mapping[str, Any]) -> None:
    """Why its session was opened, among the openings that are remembered; each session once."""
    one = scene()
    one.crowd(3)
    one.play("k")
    for _ in range(2):
        one.say("k", E.PING)
        one.answer(verdicts["lost"])
        one.serve()
    assert names(one.json("/api/sessions", cause="lost")) == [hashed("k")]
    assert names(one.json("/api/sessions", cause="lost", state="ended")) == []
    assert len(names(one.json("/api/sessions", cause="first"))) == 4


def test_by_the_whole_key_or_the_beginning_of_the_name(scene: Callable[..., Any]) -> None:
    """While keys are masked, a part of one finds nothing: else one could feel one's way to it."""
    one = scene()
    one.crowd(20)
    key = "player-000007"
    assert names(one.json("/api/sessions", text=key)) == [hashed(key)]
    assert names(one.json("/api/sessions", text=hashed(key)[:8])) == [hashed(key)]
    assert names(one.json("/api/sessions", text="player-00000")) == []
    assert len(names(_unmasked(scene).json("/api/sessions", text="player-00000"))) == 10


def _unmasked(scene: Callable[..., Any]) -> Any:
    one = scene(is_masked=False)
    one.crowd(20)
    return one


@pytest.mark.parametrize("query", [{"state": "nonsense"}, {"cause": "nonsense"}])
def test_a_filter_that_is_none_is_refused(scene: Callable[..., Any], query: dict[str, str]) -> None:
    """With the words that there are."""
    answer = scene().ask("/api/sessions", **query)
    assert answer.status == 400
    assert b"is one of" in answer.body


@pytest.mark.parametrize("begin", ["", "x", "1", "99.99.player-events", "0.5.other", "\u00b2.1.t", "-1.0.t"])
def test_any_cursor_is_borne(scene: Callable[..., Any], begin: str) -> None:
    """A cursor of another time, or of nobody."""
    one = scene()
    one.crowd(5)
    assert one.ask("/api/sessions", **{"from": begin}).status == 200


def test_the_loop_is_free_in_between(scene: Callable[..., Any]) -> None:
    """However many sessions are looked at, others have their turn after each slice."""
    one = scene(partitions=1)
    one.crowd(6 * SLICE)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def run() -> None:
        other = asyncio.create_task(others())
        await one.routes["/api/sessions"](Request("/api/sessions", {"state": "lost"}))
        other.cancel()

    asyncio.run(run())
    assert turns >= 6


def test_no_more_than_so_many_are_looked_at(scene: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that finds nothing ends all the same, and says where to go on."""
    monkeypatch.setattr(sessions_module, "LOOKS_MAX", 2 * SLICE)
    one = scene(partitions=1)
    one.crowd(3 * SLICE)
    found = one.json("/api/sessions", state="ended")
    assert (found["looked_at"], found["sessions"]) == (2 * SLICE, [])
    rest = one.json("/api/sessions", state="ended", **{"from": found["next"]})
    assert (rest["looked_at"], rest["next"]) == (SLICE, "")


def test_a_session_by_its_address(scene: Callable[..., Any]) -> None:
    """By the name that the table gave, and by one that it never gave."""
    one = scene()
    one.crowd(3)
    for name in (one.json("/api/sessions")["sessions"][0]["name"], hashed("player-000002")):
        told = one.json(f"/api/sessions/player-events/0/{name}")
        assert told["session"]["state"] == "ready"
        assert told["steps"]
    for address in ("/player-events/1/", "/other/0/", "/player-events/x/", "/"):
        assert one.ask(f"/api/sessions{address}{hashed('player-000002')}").status == 404


def test_a_session_that_is_gone_is_remembered(scene: Callable[..., Any]) -> None:
    """Its line stays when its lane was let go of."""
    one = scene()
    one.play("k", E.SESSION_END)
    del one.assignments[0].lanes["k"]
    told = one.json(f"/api/sessions/player-events/0/{hashed('k')}")
    assert told["session"] is None
    assert told["steps"][-1]["what"] == "ended"
    assert one.json("/api/session", key="k")["lines"][0]["name"] == hashed("k")


def test_a_longer_line_on_request(scene: Callable[..., Any]) -> None:
    """`?follow` begins one for a session that had none, and says so."""
    one = scene(lines_max=1)
    one.play("a")
    one.play("b")
    address = f"/api/sessions/player-events/0/{hashed('b')}"
    assert one.json(address)["kept_since"] is None
    told = one.json(address, follow="")
    assert told["is_followed"]
    one.say("b", E.PING)
    one.serve()
    assert [step["event"] for step in one.json(address)["steps"]] == ["ping"]


def test_where_a_key_lives(scene: Callable[..., Any]) -> None:
    """Here; or where its partition is, as far as the group says."""

    class Found:
        topic, partition, partitioner, holder = "player-events", 7, "murmur2", ("relay-2", "relay", "10.1.0.9")

    one = scene(found=[Found()])
    one.play("k")
    here = one.json("/api/session", key="k")
    assert here["lines"][0]["session"]["partition"] == 0
    assert here["candidates"] == []
    elsewhere = one.json("/api/session", key="another")
    assert elsewhere["lines"] == []
    assert elsewhere["candidates"][0]["holder"] == {"member": "relay-2", "client": "relay", "host": "10.1.0.9"}
    assert not elsewhere["candidates"][0]["is_here"]
    assert one.ask("/api/session").status == 400


def test_gaps_and_times(scene: Callable[..., Any]) -> None:
    """How long it took from Kafka to here, to the call, to the answer, and what silence lay between."""
    one = scene()
    one.play("k")
    one.now += 40
    one.say("k", E.PING)
    one.serve()
    step = one.json("/api/session", key="k")["lines"][0]["steps"][-1]
    assert step["gap_seconds"] == pytest.approx(40.0)
    assert (step["delay_seconds"], step["took_seconds"]) == (pytest.approx(0.05), pytest.approx(0.01))
    assert "40.0 s of silence" in one.html(f"/sessions/player-events/0/{hashed('k')}")
    assert time.gmtime(step["at"]).tm_year == 2023

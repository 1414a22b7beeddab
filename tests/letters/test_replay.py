"""Letters are put back into their topic, in order, and everything arrives once."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from relay.letters import replaying

Capture = pytest.CaptureFixture[str]
NOW = ("--quiet-seconds", "0", "--rate", "1000")
CHAPTER = {"media.chapter.index": 1, "media.chapter.length": 60, "media.chapter.offset": 0.0}


@pytest.mark.parametrize(
    "dialect", [{}, {"RELAY_API__DIALECT": "media-edge", "RELAY_API__DATASTREAM_ID": "stream-1"}], ids=["collection", "edge"]
)
def test_refused_sessions_are_replayed_from_their_starts(stage: Callable[..., Any], capsys: Capture, dialect: dict[str, str]) -> None:
    """The letters begin with the sessionStart: each play is counted once, in order, and ended; a second replay finds nothing."""

    async def story() -> None:
        async with stage(faults=["sessions:400:1"], **dialect) as it:
            for number in range(6):
                it.say(f"player-{number}", "sessionStart", "play", "ping", "pauseStart", "sessionEnd")
            await it.handle_everything(30)
            it.api.set_faults([])
            assert await it.command("replay", *NOW, "--yes") == 0
            assert "replayed 30 of 30" in capsys.readouterr().out
            await it.handle_everything(30)
            total = it.account().total
            assert (total.received, total.missing, total.out_of_order, total.extra, total.openings) == (30, 0, 0, 0, 6)
            assert await it.command("replay", *NOW, "--yes") == 0
            assert "0 letters" in capsys.readouterr().out

    asyncio.run(story())


def test_a_letter_of_an_ended_session_is_replayed_with_its_start(stage: Callable[..., Any], capsys: Capture) -> None:
    """Its session is opened again, resumed with the start from the topic, and ended: the play stays one play, and none stays open."""

    async def story() -> None:
        async with stage() as it:
            async with it.relay() as app:
                await it.say_taken(app, "anna", "sessionStart", "play")
                await it.say_refused(app, "anna", "chapterStart", params=CHAPTER)
                await it.say_taken(app, "anna", "ping", "sessionEnd")
            assert await it.command("replay", *NOW, "--dry-run", "--yes", "--json") == 0
            (session,) = json.loads(capsys.readouterr().out)["sessions"]
            (play,) = session["plays"]
            assert (play["start"], play["resumes"], play["ends"], len(play["records"])) == ("source", True, True, 1)
            assert len(it.heard("anna")) == 4, "a dry run writes nothing"
            assert await it.command("replay", *NOW, "--yes") == 0
            await it.handle_everything(2)
            before = [("sessionStart", 1), ("play", 1), ("ping", 1), ("sessionEnd", 1)]
            assert it.heard("anna") == [*before, ("sessionStart", 2), ("chapterStart", 2), ("sessionEnd", 2)]

    asyncio.run(story())


def test_each_play_of_a_key_is_replayed_by_itself(stage: Callable[..., Any]) -> None:
    """Letters of two plays go to two API sessions, each resumed from its own start, and each ended."""

    async def story() -> None:
        async with stage() as it:
            async with it.relay() as app:
                for _ in range(2):
                    await it.say_taken(app, "anna", "sessionStart", "play")
                    await it.say_refused(app, "anna", "chapterStart", params=CHAPTER)
                    await it.say_taken(app, "anna", "sessionEnd")
            assert await it.command("replay", *NOW, "--yes") == 0
            await it.handle_everything(4)
            replayed = [
                ("sessionStart", 3),
                ("chapterStart", 3),
                ("sessionEnd", 3),
                ("sessionStart", 4),
                ("chapterStart", 4),
                ("sessionEnd", 4),
            ]
            assert it.heard("anna")[6:] == replayed

    asyncio.run(story())


def test_a_session_that_is_open_hears_its_letter_where_it_is(stage: Callable[..., Any]) -> None:
    """No other API session is opened, and the relay ends none that the player has not ended."""

    async def story() -> None:
        async with stage() as it:
            async with it.relay() as app:
                await it.say_taken(app, "anna", "sessionStart", "play")
                await it.say_refused(app, "anna", "chapterStart", params=CHAPTER)
            assert await it.command("replay", *NOW, "--yes") == 0
            await it.handle_everything(1)
            assert it.heard("anna") == [("sessionStart", 1), ("play", 1), ("chapterStart", 1)]

    asyncio.run(story())


def test_a_player_who_spoke_lately_is_waited_for(stage: Callable[..., Any], capsys: Capture) -> None:
    """Within the quiet time a session is held back, and the reason is said."""

    async def story() -> None:
        async with stage(faults=["sessions:400:1"]) as it:
            it.say("anna", "sessionStart", "play")
            await it.handle_everything(2)
            assert await it.command("replay", "--yes", "--json") == 0
            shape = json.loads(capsys.readouterr().out)
            assert (shape["letters"], shape["replayed"]) == (0, 0)
            assert shape["sessions"][0]["held_back"]["why"] == "active"
            assert "anna" not in json.dumps(shape)

    asyncio.run(story())


def test_what_is_not_finished_is_not_overtaken(stage: Callable[..., Any], capsys: Capture) -> None:
    """Events of the session that no relay has handled yet hold it back, be they the player's or those of another replay."""

    async def story() -> None:
        async with stage(faults=["sessions:400:1"]) as it:
            it.say("anna", "sessionStart", "play")
            await it.handle_everything(2)
            it.say("anna", "ping")
            assert await it.command("replay", *NOW, "--yes", "--json") == 0
            assert json.loads(capsys.readouterr().out)["sessions"][0]["held_back"]["why"] == "unfinished"
            await it.handle_everything(1)
            assert await it.command("replay", *NOW, "--yes") == 0
            it.say("anna", "sessionEnd")
            capsys.readouterr()
            assert await it.command("list", "--all", "--json") == 0
            assert all(json.loads(line)["replayed"] for line in capsys.readouterr().out.splitlines())

    asyncio.run(story())


def test_a_player_who_speaks_while_it_is_replayed_stops_the_rest(
    stage: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """What comes in between the batches would be overtaken by the rest: it stays, and is said."""

    async def story() -> None:
        async with stage(faults=["sessions:400:1"]) as it:
            it.say("anna", "sessionStart", "play", "ping", "ping")
            await it.handle_everything(4)
            monkeypatch.setattr(replaying, "BATCH_RECORDS_MAX", 2)
            speaks = iter([True])
            write = replaying.Replay._write

            def write_and_speak(self: replaying.Replay, producer: Any, copies: Any) -> None:
                write(self, producer, copies)
                if next(speaks, False):
                    it.say("anna", "ping")

            monkeypatch.setattr(replaying.Replay, "_write", write_and_speak)
            assert await it.command("replay", *NOW, "--yes") == 0
            printed = capsys.readouterr()
            assert "replayed 2 of 4" in printed.out
            assert "2 letters of a session stay" in printed.err

    asyncio.run(story())


def test_a_letter_without_its_value_stays_and_one_without_a_session_goes_back(stage: Callable[..., Any], capsys: Capture) -> None:
    """What did not fit cannot be sent again, and that is said; poison goes back as it was, once, where it came from."""

    async def story() -> None:
        async with stage() as it:
            it.say("anna", "dance", expected=False)
            place = {"topic": "player-events", "set_aside_at": "1"}
            it.set_aside("anna", None, reason="record_too_large", partition="0", offset="7", session="anna", left_out="value", **place)
            it.set_aside(None, b"{", reason="not_json", partition="2", offset="8", **place)
            await it.handle_everything(1)
            assert await it.command("replay", *NOW, "--yes") == 0
            printed = capsys.readouterr().out
            assert "stays: its value did not fit" in printed
            assert "replayed 2 of 2" in printed
            app = await it.handle_everything(2)
            outcomes = app.tallies.counters["relay_events_total"].counts
            assert outcomes == {("dead_lettered", "not_json"): 1, ("dead_lettered", "unknown_event_type"): 1}

    asyncio.run(story())


def test_what_is_refused_each_time_stays_after_some_rounds(stage: Callable[..., Any], capsys: Capture) -> None:
    """There is no loop: each round is counted in the letter, and after the last it stays where it is."""

    async def story() -> None:
        async with stage(faults=["sessions:400:1"]) as it:
            it.say("anna", "sessionStart")
            await it.handle_everything(1)
            for number in (1, 2):
                assert await it.command("replay", *NOW, "--rounds-max", "2", "--yes") == 0
                await it.handle_everything(1)
                capsys.readouterr()
                assert await it.command("list", "--json") == 0
                (letter,) = map(json.loads, capsys.readouterr().out.splitlines())
                assert (letter["round"], letter["reason"]) == (number, "rejected")
            assert await it.command("replay", *NOW, "--rounds-max", "2", "--yes") == 0
            assert "stays: it was replayed 2 times" in capsys.readouterr().out

    asyncio.run(story())


def test_a_replay_that_is_cut_short_goes_on_where_it_was(stage: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was committed is noted; the next run repeats nothing and leaves nothing out."""

    async def story() -> None:
        async with stage(faults=["sessions:400:1"]) as it:
            for number in range(4):
                it.say(f"player-{number}", "sessionStart", "play", "ping", "sessionEnd")
            await it.handle_everything(16)
            it.api.set_faults([])
            monkeypatch.setattr(replaying, "BATCH_RECORDS_MAX", 3)
            naps = iter([None, None])

            def nap(_: float) -> None:
                if next(naps, "cut") == "cut":
                    raise KeyboardInterrupt

            run = replaying.Replay.__init__
            monkeypatch.setattr(replaying.Replay, "__init__", lambda self, *a, **k: run(self, *a, **{**k, "sleep": nap}))
            assert await it.command("replay", *NOW, "--yes") == 130
            await it.handle_everything(9)
            monkeypatch.setattr(replaying.Replay, "__init__", run)
            assert await it.command("replay", *NOW, "--yes") == 0
            await it.handle_everything(7)
            total = it.account().total
            assert (total.received, total.missing, total.out_of_order, total.extra, total.repeats, total.openings) == (16, 0, 0, 0, 0, 4)

    asyncio.run(story())

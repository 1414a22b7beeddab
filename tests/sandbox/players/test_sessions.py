"""The events of one session together: order, brackets, time."""

import itertools
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec
import pytest

from relay.sandbox.players import play
from relay.sandbox.saying import Said
from relay.sandbox.shapes import Shape

Sessions = dict[str, list[Said]]
Events = dict[str, list[dict[str, Any]]]
Gather = Callable[..., Sessions]

CLOSES = {
    "adBreakComplete": "adBreakStart",
    "adComplete": "adStart",
    "adSkip": "adStart",
    "chapterComplete": "chapterStart",
    "chapterSkip": "chapterStart",
}
PLAYBACK = {"play", "pauseStart", "bufferStart"}
ENDS = {"sessionComplete", "sessionEnd"}


def types_of(events: Events) -> list[list[str]]:
    """Reduce each session to its event types, in order."""
    return [[event["eventType"] for event in session] for session in events.values()]


def test_time_never_stands_still_within_a_session(said: Sessions) -> None:
    """Each event is at least a millisecond later than the one before."""
    for session in said.values():
        assert all(later.ts - earlier.ts >= 1 for earlier, later in itertools.pairwise(session))


def test_what_is_opened_is_closed_and_never_twice(events: Events) -> None:
    """Ad breaks, ads and chapters do not overlap their like; an ad stands in an ad break; only who vanishes leaves something open."""
    for session in types_of(events):
        still_open: set[str] = set()
        for kind in session:
            if kind in CLOSES.values():
                assert kind not in still_open, session
                assert kind != "adStart" or "adBreakStart" in still_open
                still_open.add(kind)
            elif kind in CLOSES:
                assert kind != "adBreakComplete" or "adStart" not in still_open
                still_open.remove(CLOSES[kind])
        assert not still_open or not ENDS & set(session), session


def test_states_are_switched_on_before_they_are_switched_off(events: Events) -> None:
    """A state that is on is not started again, and only a state that is on ends."""
    at_once = 0
    for session in events.values():
        switched_on: set[str] = set()
        for event in session:
            if event["eventType"] == "stateStart":
                assert event["params"]["media.state.name"] not in switched_on
                switched_on.add(event["params"]["media.state.name"])
            elif event["eventType"] == "stateEnd":
                switched_on.remove(event["params"]["media.state.name"])
            at_once = max(at_once, len(switched_on))
    assert at_once >= 3


def test_the_playhead_stays_during_ads(events: Events) -> None:
    """From adBreakStart to adBreakComplete the playhead is that of the content."""
    for session in events.values():
        at = None
        for event in session:
            if event["eventType"] == "adBreakStart":
                at = event["playerTime"]["playhead"]
            assert at is None or event["playerTime"]["playhead"] == at
            if event["eventType"] == "adBreakComplete":
                at = None


def test_the_playhead_stays_within_the_content_and_sometimes_goes_back(events: Events) -> None:
    """Seeks jump both ways, and never out of the title."""
    went_back = 0
    for session in events.values():
        playheads = [event["playerTime"]["playhead"] for event in session]
        assert min(playheads) >= 0
        assert max(playheads) <= session[0]["params"]["media.length"]
        went_back += any(later < earlier for earlier, later in itertools.pairwise(playheads))
    assert went_back > 10


def test_the_playhead_moves_no_faster_than_time_unless_a_pause_is_open(events: Events) -> None:
    """Only a seek, which is told as pauseStart … play, moves the playhead by more than the time that passed."""
    for session in events.values():
        is_paused = False
        for earlier, later in itertools.pairwise(session):
            if earlier["eventType"] in PLAYBACK:
                is_paused = earlier["eventType"] == "pauseStart"
            moved = later["playerTime"]["playhead"] - earlier["playerTime"]["playhead"]
            passed = (later["playerTime"]["ts"] - earlier["playerTime"]["ts"]) / 1000
            assert is_paused or -0.0001 <= moved <= passed + 0.0001, (earlier, later)


def test_a_chapter_holds_the_playhead_at_which_it_starts(events: Events) -> None:
    """The chapter that is opened is the one in which the playhead stands."""
    for event in (event for session in events.values() for event in session if event["eventType"] == "chapterStart"):
        offset, length = event["params"]["media.chapter.offset"], event["params"]["media.chapter.length"]
        assert offset <= event["playerTime"]["playhead"] < offset + length


def test_no_playback_event_stands_between_a_break_and_its_first_ad(events: Events) -> None:
    """Adobe counts such an event as main content."""
    for session in types_of(events):
        for kind, following in itertools.pairwise(session):
            assert kind != "adBreakStart" or following == "adStart"
            assert kind != "adStart" or following == "play"


def test_a_session_starts_once_and_says_nothing_after_its_end(events: Events) -> None:
    """First comes sessionStart; after sessionComplete only sessionEnd may follow, after sessionEnd nothing."""
    for session in types_of(events):
        assert session[0] == "sessionStart"
        assert session.count("sessionStart") == 1
        endings = [kind for kind in session if kind in ENDS]
        assert endings == session[len(session) - len(endings) :]
        assert endings in ([], ["sessionEnd"], ["sessionComplete"], ["sessionComplete", "sessionEnd"])


def test_sessions_end_in_every_way(events: Events) -> None:
    """Some complete, some complete and end, some leave before the end, a few vanish."""
    endings = {tuple(kind for kind in session if kind in ENDS) for session in types_of(events)}
    assert endings == {(), ("sessionEnd",), ("sessionComplete",), ("sessionComplete", "sessionEnd")}


def test_who_watches_undisturbed_pings_every_ten_seconds(gather: Gather) -> None:
    """Without ads, chapters and interruptions a minute of content has a ping for each ten seconds of it."""
    calm = Shape().having(
        content_seconds_min=61, content_seconds_max=61, preroll_share=0, midroll_every_seconds=0, chapter_share=0, early_end_share=0,
        vanish_share=0, end_after_complete_share=0, pauses_per_hour=0, buffers_per_hour=0, seeks_per_hour=0, state_changes_per_hour=0,
        bitrate_changes_per_hour=0, errors_per_hour=0,
    )  # fmt: skip
    (said,) = gather(calm, sessions=1).values()
    session = [msgspec.json.decode(one.value or b"") for one in said]
    assert [event["eventType"] for event in session] == ["sessionStart", "play", *["ping"] * 6, "sessionComplete"]
    assert [event["playerTime"]["playhead"] for event in session] == [0.0, 0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 61.0]


def test_pings_go_on_during_ads_and_pauses(said: Sessions) -> None:
    """Nobody falls silent for longer than a ping takes, whatever is on the screen."""
    for session in said.values():
        assert all(later.ts - earlier.ts <= 10_050 for earlier, later in itertools.pairwise(session))


@pytest.mark.parametrize("event_count", [2, 3, 50])
def test_the_simple_player_says_exactly_what_it_was_asked_for(gather: Gather, event_count: int) -> None:
    """A start, pings, an end: so many events in each session."""
    for session in gather(Shape().having(events_exactly=event_count), sessions=5).values():
        assert [one.event_type for one in session] == ["sessionStart", *["ping"] * (event_count - 2), "sessionEnd"]


def test_a_session_is_cut_off_at_the_most_that_its_shape_allows() -> None:
    """Even a player that never stops to seek says no more than `events_max`."""
    restless = Shape().having(seeks_per_hour=3600, events_max=300, early_end_share=0, vanish_share=0)
    for seed in range(5):
        random = Random(seed)  # noqa: S311  # it draws habits, not secrets
        assert len(list(play(f"player-{seed}", random, restless, 0))) <= 300


@pytest.mark.parametrize("changes", [
    {"content_seconds_min": 1, "content_seconds_max": 1},
    {"chapter_seconds": 1, "midroll_every_seconds": 1, "content_seconds_min": 20, "content_seconds_max": 20},
    {"ad_seconds_min": 1, "ad_seconds_max": 1, "break_ads_max": 20, "preroll_share": 1},
    {"early_end_share": 1, "vanish_share": 0},
    {"vanish_share": 1, "early_end_share": 0},
    {"pauses_per_hour": 3600, "pause_seconds_max": 600, "content_seconds_max": 200},
])  # fmt: skip
def test_extreme_shapes_keep_the_rules(gather: Gather, changes: dict[str, float]) -> None:
    """At the bounds of its fields a shape still gives sessions that start, run in order and come to an end."""
    for session in gather(Shape().having(**changes), sessions=20).values():
        assert session[0].event_type == "sessionStart"
        assert all(later.ts > earlier.ts for earlier, later in itertools.pairwise(session))

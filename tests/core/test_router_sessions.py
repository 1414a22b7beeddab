"""A player session from its first event to its last: opening, joining, opening again, ending."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from relay.core.commands import Cause, Change, OpenSession, SendEvent
from relay.core.events import ApiSessionId, Details, EventType, PlayerEvent
from relay.core.inputs import Accepted, Lost, Opened, Refused, TryAgain
from relay.core.lane import State
from relay.core.patience import Rules
from relay.core.pressure import Limits
from relay.core.starts import Starts

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Driver

E = EventType
LOST = Lost(404)
BROUGHT = Details(params=b'{"media.id":"film"}', custom_metadata=b'{"plan":"gold"}')


# --- opening ------------------------------------------------------------------------------------------------------------------------


def test_events_wait_for_the_id_and_leave_in_order(driver: Driver) -> None:
    """What comes before the session's id waits, then leaves one by one in the order of the log."""
    driver.arrive("a", E.SESSION_START, E.PLAY, E.PING, E.PING, E.SESSION_END)
    assert driver.sent() == ["open"]
    driver.accept()
    assert driver.sent() == ["open", "play"]
    driver.accept_all()
    assert driver.sent() == ["open", "play", "ping", "ping", "sessionEnd"]
    assert driver.finished == [0, 1, 2, 3, 4]
    assert driver.assignment.ledger.safe == 5


def test_a_session_is_opened_with_what_the_player_said(driver: Driver) -> None:
    """The opening carries params, metadata, quality data, playhead and ts of the sessionStart, byte for byte."""
    (start,) = driver.arrive("a", E.SESSION_START, params=b'{"media.id" : "film", "n":1.50}', metadata=b'{"plan":"gold"}')
    (call,) = driver.calls
    assert call == OpenSession(
        driver.lane(), Details(start.params, start.custom_metadata), start.playhead, start.ts, Cause.FIRST, start.qoe_data
    )


def test_events_go_to_the_session_that_was_opened_for_them(driver: Driver) -> None:
    """Each event is sent unaltered to the id that the opening gave."""
    driver.arrive("a", E.SESSION_START)
    driver.answer(Opened(ApiSessionId("the-id")))
    (ping,) = driver.arrive("a", E.PING)
    assert driver.calls[-1] == SendEvent(driver.lane(), ApiSessionId("the-id"), ping)


def test_opening_and_end_are_remembered_at_once(driver: Driver) -> None:
    """After a crash in between, what comes again must find no second session opened, and none in place of the one that was ended."""
    driver.arrive("a", E.SESSION_START, E.PLAY, E.SESSION_END)
    driver.accept()
    assert driver.remembered == [driver.lane()]
    driver.accept()
    assert driver.remembered == [driver.lane()]
    driver.accept()
    assert driver.remembered == [driver.lane(), driver.lane()]
    assert driver.lane() in driver.assignment.changed, "the tombstone still comes with a commit"


def test_sessions_go_side_by_side(driver: Driver) -> None:
    """A session that waits for its id holds nobody else up."""
    driver.arrive("slow", E.SESSION_START, E.PING)
    driver.arrive("quick", E.SESSION_START, E.PING, E.SESSION_END)
    driver.accept(3, key="quick")
    assert driver.sent("quick") == ["open", "ping", "sessionEnd"]
    assert driver.sent("slow") == ["open"]


def test_a_refused_start_refuses_its_session(driver: Driver) -> None:
    """A sessionStart answered with 400 is set aside; what follows too, in order, until a new sessionStart."""
    driver.arrive("a", E.SESSION_START, E.PLAY, E.PING)
    driver.answer(Refused(400, "media.id is missing"))
    driver.arrive("a", E.SESSION_COMPLETE, E.SESSION_END)
    assert driver.reasons() == [(0, "rejected"), *[(offset, "session_refused") for offset in (1, 2, 3, 4)]]
    assert (driver.aside[0].status, driver.aside[0].detail, driver.aside[0].attempts) == (400, "media.id is missing", 1)
    assert driver.assignment.ledger.safe == 5
    driver.arrive("a", E.SESSION_START, E.PING)
    driver.accept_all()
    assert driver.sent() == ["open", "open", "ping"]
    assert driver.finished == [5, 6]


# --- joining ------------------------------------------------------------------------------------------------------------------------


def test_a_session_under_way_is_joined_with_what_its_event_brought(make_driver: Callable[..., Driver]) -> None:
    """An event of an unknown session opens it from its own `start`, at its own moment, not resumed; then it goes itself."""
    driver = make_driver(starts=Starts(required=frozenset({"media.id"}), defaults={"media.channel": "one"}))
    (ping,) = driver.arrive("a", E.PING, start=BROUGHT)
    (opening,) = driver.calls
    assert isinstance(opening, OpenSession)
    assert msgspec.json.decode(opening.start.params) == {"media.channel": "one", "media.id": "film"}
    assert (opening.start.custom_metadata, opening.playhead, opening.ts) == (b'{"plan":"gold"}', ping.playhead, ping.ts)
    assert opening.cause is Cause.REJOINED
    driver.accept()
    assert driver.calls[-1] == SendEvent(driver.lane(), ApiSessionId("api-1"), ping)
    driver.accept_all()
    assert driver.finished == [0]


def test_a_session_under_way_is_joined_with_defaults_alone(make_driver: Callable[..., Driver]) -> None:
    """Where the defaults hold all that is required, an event needs no `start` to open its session."""
    driver = make_driver(starts=Starts(required=frozenset({"media.id"}), defaults={"media.id": "any"}))
    driver.arrive("a", E.SESSION_COMPLETE)
    driver.accept_all()
    assert driver.sent() == ["open", "sessionComplete"]


@pytest.mark.parametrize("start", [None, Details(), Details(params=b'{"media.channel":"one"}')])
def test_too_little_is_known_to_join(make_driver: Callable[..., Driver], start: Details | None) -> None:
    """Without the params that the API requires, events are set aside until a sessionStart comes."""
    driver = make_driver(starts=Starts(required=frozenset({"media.id"})))
    driver.arrive("a", E.PING, E.SESSION_COMPLETE, E.SESSION_END, start=start)
    assert driver.reasons() == [(offset, "no_session_start") for offset in (0, 1, 2)]
    assert (driver.calls, driver.aside[0].attempts, driver.aside[0].key) == ([], 0, "a")
    driver.arrive("a", E.SESSION_START, E.PING)
    driver.accept_all()
    assert driver.finished == [3, 4]


def test_nobody_joins_where_the_operator_says_so(make_driver: Callable[..., Driver]) -> None:
    """With `set_aside`, even an event that brought a complete `start` is set aside."""
    driver = make_driver(starts=Starts(required=frozenset(), defaults={"media.id": "any"}, may_join=False))
    driver.arrive("a", E.PING, start=BROUGHT)
    assert driver.reasons() == [(0, "no_session_start")]


def test_the_next_event_may_know_enough(make_driver: Callable[..., Driver]) -> None:
    """An event without `start` is set aside, the next one which brings it opens the session."""
    driver = make_driver(starts=Starts(required=frozenset({"media.id"})))
    driver.arrive("a", E.PING)
    driver.arrive("a", E.PING, start=BROUGHT)
    driver.accept_all()
    assert driver.reasons() == [(0, "no_session_start")]
    assert driver.finished == [1]


def test_a_start_that_an_event_brings_is_not_used_while_its_session_is_open(make_driver: Callable[..., Driver]) -> None:
    """In an open session `start` changes nothing."""
    driver = make_driver(starts=Starts(required=frozenset({"media.id"})))
    driver.open()
    driver.arrive("a", E.PING, start=BROUGHT)
    driver.accept_all()
    assert driver.sent() == ["open", "ping"]


def test_a_refused_joining_refuses_the_session(make_driver: Callable[..., Driver]) -> None:
    """When the API refuses what the event brought, the event has no session to go to: `session_refused`, until a sessionStart."""
    driver = make_driver(starts=Starts(required=frozenset({"media.id"})))
    driver.arrive("a", E.PING, E.PING, start=BROUGHT)
    driver.answer(Refused(400))
    assert driver.reasons() == [(0, "session_refused"), (1, "session_refused")]
    assert (driver.aside[0].status, driver.aside[0].attempts) == (400, 1)
    driver.arrive("a", E.SESSION_START)
    driver.accept_all()
    assert driver.finished == [2]


# --- opening again ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 410])
def test_an_event_of_a_lost_session_goes_again_in_a_new_one(driver: Driver, status: int) -> None:
    """The new session opens with the original words and `media.resume`, at the refused event's moment; then the event goes unaltered."""
    (start,) = driver.arrive("a", E.SESSION_START, params=b'{"media.id":"film","media.length":90.0}', metadata=b'{"plan":"gold"}')
    driver.accept()
    (ping,) = driver.arrive("a", E.PING)
    driver.answer(Lost(status))
    opening = driver.calls[-1]
    assert isinstance(opening, OpenSession)
    assert msgspec.json.decode(opening.start.params) == {"media.id": "film", "media.length": 90.0, "media.resume": True}
    assert opening.start.custom_metadata == start.custom_metadata
    assert (opening.playhead, opening.ts, opening.cause, opening.qoe_data) == (ping.playhead, ping.ts, Cause.LOST, b"")
    driver.accept()
    assert driver.calls[-1] == SendEvent(driver.lane(), ApiSessionId("api-2"), ping)
    driver.accept_all()
    assert driver.finished == [0, 1]


def test_the_new_session_is_told_what_was_open(driver: Driver) -> None:
    """Chapter, ad break, ad, states, playing: in this order, each at the refused event's moment, then the event itself."""
    driver.open()
    driver.arrive("a", E.PLAY)
    driver.arrive("a", E.STATE_START, params=b'{"media.state.name":"mute"}', state_name="mute")
    driver.arrive("a", E.AD_BREAK_START, params=b'{"media.ad.podIndex":1}')
    driver.arrive("a", E.AD_START, params=b'{"media.ad.id":"x"}', metadata=b'{"plan":"gold"}')
    driver.arrive("a", E.CHAPTER_START, params=b'{"media.chapter.index":1}')
    driver.accept_all()
    since = len(driver.calls)
    (ping,) = driver.arrive("a", E.PING)
    driver.answer(LOST)
    driver.accept_all()
    assert driver.sent(since=since) == [
        "ping",
        "open again",
        "chapterStart",
        "adBreakStart",
        "adStart",
        "stateStart",
        "play",
        "ping",
    ]
    told = [call.event for call in driver.calls[since + 2 : -1] if isinstance(call, SendEvent)]
    assert told == [
        PlayerEvent(E.CHAPTER_START, ping.playhead, ping.ts, params=b'{"media.chapter.index":1}'),
        PlayerEvent(E.AD_BREAK_START, ping.playhead, ping.ts, params=b'{"media.ad.podIndex":1}'),
        PlayerEvent(E.AD_START, ping.playhead, ping.ts, params=b'{"media.ad.id":"x"}', custom_metadata=b'{"plan":"gold"}'),
        PlayerEvent(E.STATE_START, ping.playhead, ping.ts, params=b'{"media.state.name":"mute"}'),
        PlayerEvent(E.PLAY, ping.playhead, ping.ts),
    ]
    assert driver.finished == [0, 1, 2, 3, 4, 5, 6], "what is told again finishes nothing"
    assert driver.changes().count(Change.TOLD) == 5


@pytest.mark.parametrize("kind", [E.PLAY, E.PAUSE_START, E.BUFFER_START, E.SESSION_COMPLETE])
def test_an_event_that_says_how_it_plays_is_not_told_so_before(driver: Driver, kind: EventType) -> None:
    """The playback state is not told when the refused event itself is play, pause, buffer or an end."""
    driver.open()
    driver.arrive("a", E.PLAY)
    driver.accept_all()
    since = len(driver.calls)
    driver.arrive("a", kind)
    driver.answer(LOST)
    driver.accept_all()
    assert driver.sent(since=since) == [kind, "open again", kind]


def test_an_event_that_was_set_aside_never_counts_as_open(driver: Driver) -> None:
    """What the API refused is not told again."""
    driver.open()
    driver.arrive("a", E.CHAPTER_START)
    driver.answer(Refused(400))
    since = len(driver.calls)
    driver.arrive("a", E.PING)
    driver.answer(LOST)
    driver.accept_all()
    assert driver.sent(since=since) == ["ping", "open again", "ping"]


def test_what_the_new_session_refuses_to_be_told_is_left_out(driver: Driver) -> None:
    """A 400 to something told again is announced; the rest is told and the event goes; nothing is set aside."""
    driver.open()
    driver.arrive("a", E.CHAPTER_START, E.PLAY)
    driver.accept_all()
    since = len(driver.calls)
    driver.arrive("a", E.PING)
    driver.answer(LOST)
    driver.accept()
    driver.answer(Refused(400))
    driver.accept_all()
    assert driver.sent(since=since) == ["ping", "open again", "chapterStart", "play", "ping"]
    assert (driver.reasons(), driver.changes().count(Change.TELLING_REFUSED)) == ([], 1)
    assert driver.finished[-1] == 3


def test_the_new_session_may_be_lost_while_it_is_told(driver: Driver) -> None:
    """Then another is opened and everything is told from the beginning; the player's words are remembered all the while."""
    driver.open()
    driver.arrive("a", E.CHAPTER_START, E.PLAY)
    driver.accept_all()
    since = len(driver.calls)
    driver.arrive("a", E.PING)
    driver.answer(LOST)
    driver.accept(2)
    driver.answer(LOST)
    driver.accept_all()
    assert driver.sent(since=since) == ["ping", "open again", "chapterStart", "play", "open again", "chapterStart", "play", "ping"]


def test_telling_is_tried_again_where_it_failed(driver: Driver) -> None:
    """A moment's failure while telling repeats that one thing and no other."""
    driver.open()
    driver.arrive("a", E.CHAPTER_START, E.PLAY)
    driver.accept_all()
    since = len(driver.calls)
    driver.arrive("a", E.PING)
    driver.answer(LOST)
    driver.accept(2)
    driver.answer(TryAgain("status_503", 503))
    driver.wake()
    driver.accept_all()
    assert driver.sent(since=since) == ["ping", "open again", "chapterStart", "play", "play", "ping"]


def test_a_refused_end_is_finished(driver: Driver) -> None:
    """404 to a sessionEnd: nothing is left to end, and no session is opened for it."""
    driver.open()
    driver.arrive("a", E.SESSION_END)
    driver.answer(LOST)
    assert driver.sent() == ["open", "sessionEnd"]
    assert driver.finished == [0, 1]
    assert driver.lane().state is State.ENDED


def test_an_end_behind_a_lost_event_is_finished_without_a_call(make_driver: Callable[..., Driver]) -> None:
    """When the last event of a lost session is set aside, its sessionEnd finds nothing to end."""
    driver = make_driver(rules=Rules(openings_max=0))
    driver.open()
    driver.arrive("a", E.PING, E.SESSION_END)
    driver.answer(LOST)
    assert driver.sent() == ["open", "ping"]
    assert (driver.reasons(), driver.finished) == ([(1, "lost_too_often")], [0, 2])


def test_a_refused_complete_is_reported_in_a_new_session(driver: Driver) -> None:
    """A sessionComplete opens again, is told what was open but not how it plays, and is then reported."""
    driver.open()
    driver.arrive("a", E.CHAPTER_START, E.PLAY)
    driver.accept_all()
    since = len(driver.calls)
    driver.arrive("a", E.SESSION_COMPLETE)
    driver.answer(Lost(410))
    driver.accept_all()
    assert driver.sent(since=since) == ["sessionComplete", "open again", "chapterStart", "sessionComplete"]
    assert driver.lane().state is State.COMPLETED


def test_an_event_costs_three_openings_at_most(driver: Driver) -> None:
    """Lost again after three openings: the event is set aside, and the next one may have more luck."""
    driver.open()
    since = len(driver.calls)
    driver.arrive("a", E.PING, E.PLAY)
    for _ in range(3):
        driver.answer(LOST)
        driver.accept()
    driver.answer(Lost(410))
    assert driver.sent(since=since) == ["ping", *["open again", "ping"] * 3, "open again"]
    assert driver.reasons() == [(1, "lost_too_often")]
    assert (driver.aside[0].status, driver.aside[0].attempts) == (410, 7)
    driver.accept_all()
    assert driver.sent(since=since)[-1] == "play"
    assert driver.finished == [0, 2]


def test_the_opening_that_joins_counts_among_the_three(make_driver: Callable[..., Driver]) -> None:
    """An event which had its session opened for it has two more openings."""
    driver = make_driver(starts=Starts(required=frozenset({"media.id"})))
    driver.arrive("a", E.PING, start=BROUGHT)
    for _ in range(2):
        driver.accept()
        driver.answer(LOST)
    driver.accept()
    driver.answer(LOST)
    assert driver.reasons() == [(0, "lost_too_often")]
    assert sum(isinstance(call, OpenSession) for call in driver.calls) == 3


def test_being_lost_while_it_is_told_counts_too(driver: Driver) -> None:
    """A session that is lost each time before it is told everything costs three openings, not more."""
    driver.open()
    driver.arrive("a", E.PLAY)
    driver.accept_all()
    driver.arrive("a", E.PING)
    driver.answer(LOST)
    for _ in range(3):
        driver.accept()
        driver.answer(LOST)
    assert driver.reasons() == [(2, "lost_too_often")]


def test_a_storm_of_lost_sessions_is_opened_again_at_a_limited_rate(make_driver: Callable[..., Driver]) -> None:
    """When each session is answered 404 at once, so many are opened again per second, each of them once, and new sessions do not wait."""
    driver = make_driver(limits=Limits(reopenings_per_second_max=5))
    keys = [f"k{number}" for number in range(40)]
    for key in keys:
        driver.open(key)
    for key in keys:
        driver.arrive(key, E.PING)
    since = len(driver.calls)
    for key in keys:
        driver.answer(LOST, key=key)
    assert len(driver.calls) - since == 5, "a second's worth at once"
    driver.arrive("new", E.SESSION_START)
    assert len(driver.calls) - since == 6
    driver.accept_all()
    for second in range(1, 7):
        driver.run(1.0, driver.success_of)
        reopened = sum(isinstance(call, OpenSession) for call in driver.calls[since:]) - 1
        assert 5 + 5 * second - 1 <= reopened <= 5 + 5 * second + 1
    driver.run(2.0, driver.success_of)
    assert sorted(driver.finished) == list(range(81))
    assert all(driver.sent(key) == ["open", "ping", "open again", "ping"] for key in keys)


def test_a_refused_reopening_refuses_the_session(driver: Driver) -> None:
    """When the API refuses the resumed start, the waiting events have no session to go to."""
    driver.open()
    driver.arrive("a", E.PING, E.PING)
    driver.answer(LOST)
    driver.answer(Refused(422, "no resume"))
    assert driver.reasons() == [(1, "session_refused"), (2, "session_refused")]
    assert driver.lane().state is State.REFUSED


def test_a_reopening_is_tried_again(driver: Driver) -> None:
    """A moment's failure of the opening repeats the opening."""
    driver.open()
    driver.arrive("a", E.PING)
    driver.answer(LOST)
    driver.answer(TryAgain("timeout", is_outcome_unknown=True))
    driver.wake()
    driver.accept_all()
    assert driver.sent() == ["open", "ping", "open again", "open again", "ping"]


def test_a_start_behind_a_lost_event_needs_no_end(driver: Driver) -> None:
    """When the session is gone already, a second sessionStart simply opens."""
    driver.open()
    driver.arrive("a", E.PING, E.SESSION_START)
    driver.answer(LOST)
    driver.answer(Refused(400))
    assert driver.reasons() == [(1, "session_refused")]
    driver.accept_all()
    assert driver.sent() == ["open", "ping", "open again", "open"]


# --- beginning again and ending -----------------------------------------------------------------------------------------------------


def test_a_second_start_ends_the_old_session_first(driver: Driver) -> None:
    """The old API session gets a sessionEnd at its last playhead, then the new one opens; nothing of the old one is remembered."""
    driver.open()
    *_, last = driver.arrive("a", E.CHAPTER_START, E.PLAY)
    driver.accept_all()
    since = len(driver.calls)
    driver.arrive("a", E.SESSION_START, E.PING)
    assert driver.calls[-1] == SendEvent(driver.lane(), ApiSessionId("api-1"), PlayerEvent(E.SESSION_END, last.playhead, last.ts))
    driver.accept(2)
    driver.answer(LOST)
    driver.accept_all()
    assert driver.sent(since=since) == ["sessionEnd", "open", "ping", "open again", "ping"]
    assert driver.finished == [0, 1, 2, 3, 4]
    assert driver.changes().count(Change.OPENED) == 3


@pytest.mark.parametrize("verdict", [Accepted(), LOST, Refused(400)])
def test_a_second_start_opens_however_the_old_session_ends(driver: Driver, verdict: Accepted | Lost | Refused) -> None:
    """Taken, gone or refused: the relay's own end sets nothing aside and stands in nobody's way."""
    driver.open()
    driver.arrive("a", E.SESSION_START)
    driver.answer(verdict)
    driver.accept_all()
    assert driver.sent() == ["open", "sessionEnd", "open"]
    assert (driver.reasons(), driver.finished) == ([], [0, 1])
    assert driver.calls[-1] == OpenSession(
        driver.lane(), Details(params=b'{"media.id":"film"}'), 1.5, 1_700_000_000_001, Cause.RESTARTED, b""
    )


def test_the_relays_own_end_is_tried_again(driver: Driver) -> None:
    """A moment's failure of it repeats it, before the new session opens."""
    driver.open()
    driver.arrive("a", E.SESSION_START)
    driver.answer(TryAgain("status_503", 503))
    driver.wake()
    driver.accept_all()
    assert driver.sent() == ["open", "sessionEnd", "sessionEnd", "open"]


def test_a_joined_session_is_ended_where_it_was_joined(make_driver: Callable[..., Driver]) -> None:
    """Where all that a joined session was sent was refused, its last playhead is that of its opening: never zero, never another's."""
    driver = make_driver(starts=Starts(required=frozenset({"media.id"})))
    (ping,) = driver.arrive("a", E.PING, start=BROUGHT)
    driver.accept()
    driver.answer(Refused(400))
    driver.arrive("a", E.SESSION_START)
    assert driver.calls[-1] == SendEvent(driver.lane(), ApiSessionId("api-1"), PlayerEvent(E.SESSION_END, ping.playhead, ping.ts))


def test_after_the_end_everything_is_set_aside_until_a_start(driver: Driver) -> None:
    """A late event has the reason `after_end`; a sessionStart on the used key opens a new session, resume not set."""
    driver.open()
    driver.arrive("a", E.SESSION_END, E.PING, E.SESSION_COMPLETE, E.SESSION_END)
    driver.accept_all()
    assert driver.reasons() == [(offset, "after_end") for offset in (2, 3, 4)]
    driver.arrive("a", E.SESSION_START, E.PING)
    driver.accept_all()
    assert driver.sent() == ["open", "sessionEnd", "open", "ping"]
    assert driver.finished == [0, 1, 5, 6]


def test_after_the_end_an_event_joins_nothing(make_driver: Callable[..., Driver]) -> None:
    """A late event is late even where it brought a `start`."""
    driver = make_driver(starts=Starts(required=frozenset({"media.id"})))
    driver.open()
    driver.arrive("a", E.SESSION_END)
    driver.arrive("a", E.PING, start=BROUGHT)
    driver.accept_all()
    assert driver.reasons() == [(2, "after_end")]


def test_after_complete_only_an_end_may_follow(driver: Driver) -> None:
    """Other events are set aside, the sessionEnd is delivered."""
    driver.open()
    driver.arrive("a", E.SESSION_COMPLETE, E.PING, E.SESSION_COMPLETE, E.SESSION_END, E.PING)
    driver.accept_all()
    assert driver.sent() == ["open", "sessionComplete", "sessionEnd"]
    assert driver.reasons() == [(2, "after_end"), (3, "after_end"), (5, "after_end")]
    assert driver.finished == [0, 1, 4]


@pytest.mark.parametrize("verdict", [Refused(400), TryAgain("status_503", 503)])
def test_a_completed_session_stays_completed_when_its_end_fails(driver: Driver, verdict: Refused | TryAgain) -> None:
    """Whatever becomes of the sessionEnd, no other event is sent after a sessionComplete."""
    driver.open()
    driver.arrive("a", E.SESSION_COMPLETE, E.SESSION_END, E.PING)
    driver.accept()
    driver.answer(verdict)
    driver.wake()
    if isinstance(verdict, TryAgain):
        driver.answer(Refused(400))
    driver.accept_all()
    assert "ping" not in driver.sent()
    assert driver.reasons() == [(2, "rejected"), (3, "after_end")]


def test_after_complete_a_start_begins_again(driver: Driver) -> None:
    """A new sessionStart opens a new session."""
    driver.open()
    driver.arrive("a", E.SESSION_COMPLETE, E.SESSION_START, E.PING)
    driver.accept_all()
    assert driver.sent()[-2:] == ["open", "ping"]
    assert driver.finished == [0, 1, 2, 3]


def test_a_refused_event_does_not_end_its_session(driver: Driver) -> None:
    """400 to an event sets it aside, with status and words; the session goes on."""
    driver.open()
    driver.arrive("a", E.AD_START, E.PING)
    driver.answer(Refused(400, "media.ad.id is missing"))
    driver.accept_all()
    assert driver.reasons() == [(1, "rejected")]
    (aside,) = driver.aside
    assert (aside.status, aside.detail, aside.attempts, aside.first_tried_at, aside.key) == (400, "media.ad.id is missing", 1, 1_000.0, "a")
    assert driver.sent() == ["open", "adStart", "ping"]
    assert driver.finished == [0, 2]

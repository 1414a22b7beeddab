"""What a session needs to go on after a restart, as bytes and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from relay.core.assignment import Assignment
from relay.core.events import ApiSessionId, Derived, Details, EventType, PlayerEvent, SessionKey
from relay.core.inputs import Lost, NextEvent, Opened, Refused
from relay.core.lane import Lane, Silence, State
from relay.core.memoir import ASIDES_MAX, NoMemoir, read, restore, start_of, write
from relay.core.playback import Playback
from relay.core.reasons import Reason
from relay.core.session import advance
from relay.core.split import Letter, Split

if TYPE_CHECKING:
    from conftest import Driver

E = EventType
START = Details(params=b'{"media.id" : "film", "n":1.50}', custom_metadata=b'{"plan":"gold"}')


def full_lane(state: State) -> Lane:
    """A session in which everything is open that can be."""
    lane = Lane(SessionKey("a"), Assignment("events", 0))
    lane.state, lane.start, lane.had_session = state, START, True
    lane.session_id = None if state in {State.LOST, State.PARKED, State.REOPENING} else ApiSessionId("the-id")
    lane.last_offset = 41
    for kind, name in (
        (E.CHAPTER_START, ""),
        (E.AD_BREAK_START, ""),
        (E.AD_START, ""),
        (E.STATE_START, "mute"),
        (E.STATE_START, "inFocus"),
    ):
        params = b'{"what" : "%s%s"}' % (kind.encode(), name.encode())
        lane.remember(PlayerEvent(kind, 1.0, 1, params=params, custom_metadata=b'{"x":"y"}', state_name=name))
    lane.remember(PlayerEvent(E.PAUSE_START, 12.5, 1_700_000_012_500))
    return lane


def rewritten(lane: Lane) -> Lane:
    """The lane after a restart."""
    again = Lane(lane.key, Assignment("events", 0, generation=1))
    restore(again, read(write(lane) or b""))
    return again


@pytest.mark.parametrize(
    ("state", "stands"),
    [
        (State.READY, State.READY),
        (State.SENDING, State.READY),
        (State.COMPLETING, State.READY),
        (State.TELLING, State.READY),
        (State.REPLACING, State.READY),
        (State.LOST, State.LOST),
        (State.REOPENING, State.LOST),
        (State.COMPLETED, State.COMPLETED),
        (State.CLOSING_COMPLETED, State.COMPLETED),
        (State.PARKED, State.PARKED),
    ],
)
def test_a_session_stands_after_a_restart_where_it_stood(state: State, stands: State) -> None:
    """State, id, start, and all that is open, byte for byte; a call under way is forgotten, its event comes again."""
    lane = full_lane(state)
    again = rewritten(lane)
    assert again.state is stands
    for name in ("session_id", "start", "had_session", "last_offset", "done_offset", "last_playhead", "last_ts"):
        assert getattr(again, name) == getattr(lane, name), name
    ping = PlayerEvent(E.PING, 2.0, 2)
    assert again.playback is not None
    assert lane.playback is not None
    assert again.playback.told_before(ping) == lane.playback.told_before(ping)
    assert len(again.playback.told_before(ping)) == 6


@pytest.mark.parametrize("state", [State.ENDED, State.REFUSED, State.PARKED])
def test_a_session_that_is_over_is_remembered_as_such(state: State) -> None:
    """What comes late is late after a restart as well."""
    lane = full_lane(State.READY)
    lane.state = state
    lane.forget_session()
    again = rewritten(lane)
    assert (again.state, again.session_id, again.start, again.playback) == (state, None, None, None)


@pytest.mark.parametrize("state", [State.ABSENT, State.OPENING, State.JOINING])
def test_a_session_that_was_never_open_has_no_memoir(state: State) -> None:
    """There is nothing to remember before the API has answered."""
    lane = Lane(SessionKey("a"), Assignment("events", 0))
    lane.state = state
    assert write(lane) is None


@pytest.mark.parametrize(
    ("had_session", "has_split", "kind", "is_told"),
    [
        (True, False, E.SESSION_START, True),
        (False, True, E.SESSION_START, True),
        (False, False, E.SESSION_START, False),
        (True, False, E.PING, False),
    ],
)
def test_between_two_sessions_it_is_known_that_the_first_is_over(
    kind: EventType, *, had_session: bool, has_split: bool, is_told: bool
) -> None:
    """Before a start, where there was another or something of its record has left; what comes again from a replay says nothing."""
    lane = Lane(SessionKey("a"), Assignment("events", 0))
    lane.state, lane.had_session = State.OPENING, had_session
    lane.waiting = [PlayerEvent(kind, 1.0, 1)]
    lane.split = Split(5, 1) if has_split else None
    written = write(lane)
    assert (written is not None) is is_told
    assert written is None or read(written).standing == "ended"


def test_a_memoir_promises_no_more_before_its_place_was_read_again() -> None:
    """What lies between was not done with, by the word of the memoir before: it comes again, and until then nobody knows of it."""
    lane = full_lane(State.READY)
    lane.last_offset, lane.done_offset = 9, 5
    for end in range(11):
        written = read(write(lane) or b"")
        assert (written.at, written.done) == (9, 5 if end <= 9 else 9)
        lane.assignment.ledger.take(end)
        lane.assignment.ledger.finish(end)


@pytest.mark.parametrize("offset", [40, 41, 42])
def test_a_record_that_is_done_with_has_not_left_in_part(offset: int) -> None:
    """A mapping that found more in it once is of no interest any more."""
    lane = full_lane(State.READY)
    lane.split = Split(offset, 1)
    for taken in range(43):
        lane.assignment.ledger.take(taken)
    assert read(write(lane) or b"").split == (None if offset <= lane.last_offset else (42, 1, 0))


def promised(driver: Driver, key: str = "a") -> tuple[int, int, list[tuple[int, Reason]]]:
    """How far the session has got; up to where all of it has left the head, by its memoir; and what of that waits for its dead letter."""
    memoir = read(write(driver.lane(key)) or b"")
    return memoir.at, memoir.done, memoir.asides


def test_a_memoir_names_what_waits_for_its_dead_letter(driver: Driver) -> None:
    """The rest up to there needs nothing more after a restart; others' letters do not matter."""
    driver.stores_aside = False
    driver.open("a")
    driver.arrive("a", E.PING, E.PING)
    driver.answer(Refused(400))
    driver.accept()
    driver.open("b")
    assert promised(driver, "a") == (2, 2, [(1, Reason.REJECTED)])
    assert promised(driver, "b") == (3, 3, [])
    driver.store_aside(1)
    assert promised(driver, "a") == (2, 2, [])
    driver.arrive("a", E.PING)
    assert promised(driver, "a") == (2, 2, []), "what is under way is not done with"
    driver.accept()
    assert promised(driver, "a") == (4, 4, [])


def test_what_waited_for_its_dead_letter_is_set_aside_again_after_a_restart(driver: Driver) -> None:
    """For the reason that it had: to try it again would send it after its successors."""
    driver.stores_aside = False
    driver.open("a")
    driver.arrive("a", E.PING, E.PING)
    driver.answer(Refused(400))
    driver.accept()
    memoir = read(write(driver.lane()) or b"")
    driver.revoke()
    again = driver.assign(from_offset=1)
    driver.router.restore(again, SessionKey("a"), memoir, driver.now)
    assert promised(driver) == (2, 2, [(1, Reason.REJECTED)])
    driver.arrive("a", E.PING, E.PING, E.PING)
    assert [(aside.record.offset, aside.reason) for aside in driver.aside[-1:]] == [(1, Reason.REJECTED)]
    assert promised(driver) == (2, 2, [(1, Reason.REJECTED)])
    driver.store_aside(1)
    driver.accept()
    assert promised(driver) == (3, 3, [])


def test_a_memoir_stays_small_however_many_dead_letters_are_due(driver: Driver) -> None:
    """What it cannot name is not yet done with, by its word: those would be tried again."""
    driver.stores_aside = False
    driver.open("a")
    driver.arrive("a", *[E.PING] * (ASIDES_MAX + 50))
    for _ in range(ASIDES_MAX + 50):
        driver.answer(Refused(400))
    at, done, asides = promised(driver)
    assert (at, done, len(asides)) == (ASIDES_MAX + 50, ASIDES_MAX, ASIDES_MAX)


@pytest.mark.parametrize("rest", [0, 1])
def test_a_telling_that_was_cut_short_is_remembered(rest: int) -> None:
    """A memoir in the middle of the telling says so; one after it does not."""
    lane = full_lane(State.READY)
    lane.to_tell = [PlayerEvent(E.PLAY, 1.0, 1)] * rest
    assert rewritten(lane).is_untold is bool(rest)


def test_a_session_with_nothing_open_costs_few_bytes() -> None:
    """There is one memoir per session, so what says nothing is left out."""
    lane = Lane(SessionKey("a"), Assignment("events", 0))
    lane.state, lane.session_id, lane.start = State.READY, ApiSessionId("f" * 64), Details(params=b'{"media.id":"film"}')
    assert len(write(lane) or b"") < 64 + 19 + 80
    assert rewritten(lane).playback is None


FULL = (
    b'{"v":1,"at":41,"done":41,"standing":"open","id":"the-id","route":"va6","start":{"p":{"is" : "start"},"m":{"x":"start"}},'
    b'"chapter":{"p":{"is" : "chapter"},"m":{"x":"chapter"}},"brk":{"p":{"is" : "break"},"m":{"x":"break"}},'
    b'"ad":{"p":{"is" : "ad"},"m":{"x":"ad"}},"states":{"mute":{"p":{"is" : "mute"},"m":{"x":"mute"}},"inFocus":{}},'
    b'"playing":"pauseStart","playhead":12.5,"ts":1700000012500,"asides":[[40,"rejected"]],"untold":true,"told":2,'
    b'"derived":{"p":1,"b":"play","d":"pauseStart"},"opened":1700000007.3,"silent":[1700000009.4,5,3.5],"suspended":true,"split":[42,1,2]}'
)


def said(word: bytes) -> Details:
    """What somebody said with this."""
    return Details(params=b'{"is" : "%s"}' % word, custom_metadata=b'{"x":"%s"}' % word)


def busy_lane() -> Lane:
    """A session of which there is something to say in each respect."""
    lane = Lane(SessionKey("a"), Assignment("events", 0))
    for offset in range(45):
        lane.assignment.ledger.take(offset)
    lane.state, lane.session_id, lane.route, lane.start = State.READY, ApiSessionId("the-id"), "va6", said(b"start")
    lane.last_offset, lane.last_playhead, lane.last_ts = 41, 12.5, 1_700_000_012_500
    memory = lane.playback = Playback()
    memory.chapter, memory.ad_break, memory.ad, memory.playing = said(b"chapter"), said(b"break"), said(b"ad"), E.PAUSE_START
    memory.states = {"mute": said(b"mute"), "inFocus": Details()}
    lane.set_aside(40, Reason.REJECTED)
    lane.is_untold, lane.told_count, lane.is_suspended = True, 2, True
    lane.derived = Derived(phase=1, base="play", said="pauseStart")
    lane.opened_at, lane.silence = 7.34, Silence(9.42, 5, 3.5)
    lane.split = Split(42, 1, Letter.STORED)
    return lane


def test_a_memoir_keeps_its_form() -> None:
    """What an earlier version has written is read after an update, and what this one writes by the relay that it replaces."""
    epoch = 1_700_000_000.0
    lane = busy_lane()
    assert write(lane, epoch) == FULL
    again = Lane(SessionKey("a"), Assignment("events", 0, generation=1))
    restore(again, read(FULL), epoch)
    assert again.silence is not None
    assert (round(again.silence.since, 3), again.silence.ts, again.silence.playhead, again.silence.is_known) == (9.4, 5, 3.5, True)
    assert (round(again.opened_at, 3), again.had_session) == (7.3, True)
    assert again.playback is not None
    assert lane.playback is not None
    for name in ("chapter", "ad_break", "ad", "playing", "states"):
        assert getattr(again.playback, name) == getattr(lane.playback, name), name
    for name in ("session_id", "route", "start", "last_offset", "done_offset", "last_playhead", "last_ts", "asides", "derived"):
        assert getattr(again, name) == getattr(lane, name), name
    assert (again.is_untold, again.told_count, again.is_suspended) == (True, 2, True)
    assert again.split is not None
    assert (again.split.offset, again.split.done, again.split.letter) == (42, 1, Letter.STORED)


@pytest.mark.parametrize(
    ("state", "standing"),
    [
        (State.READY, "open"),
        (State.COMPLETED, "completed"),
        (State.LOST, "lost"),
        (State.REFUSED, "refused"),
        (State.ENDED, "ended"),
        (State.PARKED, "parked"),
    ],
)
def test_where_nothing_is_to_say_nothing_is_written(state: State, standing: str) -> None:
    """A session is a few words then, and what is left out says nothing when it is read."""
    lane = Lane(SessionKey("a"), Assignment("events", 0))
    lane.state = state
    assert write(lane, 5.0) == b'{"v":1,"at":-1,"done":-1,"standing":"%s"}' % standing.encode()
    if standing in {"refused", "ended", "parked"}:
        again = rewritten(lane)
        for name in ("session_id", "route", "start", "playback", "asides", "derived", "split", "silence", "opened_at"):
            assert getattr(again, name) == getattr(lane, name), name
        for name in ("is_untold", "told_count", "is_suspended", "last_playhead", "last_ts", "last_offset", "done_offset"):
            assert getattr(again, name) == getattr(lane, name), name


def test_what_a_start_said_is_known_from_a_memoir() -> None:
    """Then the API has accepted it; of a session that is over nobody knows."""
    assert start_of(read(FULL)) == said(b"start")
    assert start_of(read(b'{"v":1,"at":5,"done":5,"standing":"ended"}')) is None


@pytest.mark.parametrize("what", ["chapter", "ad_break", "ad", "states", "playing"])
def test_whatever_is_open_by_itself_is_remembered(what: str) -> None:
    """Though nothing else is."""
    lane, full = busy_lane(), busy_lane().playback
    lane.playback = Playback()
    setattr(lane.playback, what, getattr(full, what))
    again = rewritten(lane)
    assert again.playback is not None
    assert getattr(again.playback, what) == getattr(full, what)


def test_when_an_api_session_was_opened_is_said_while_there_is_one() -> None:
    """What was lost or ended has no age."""
    lane = busy_lane()
    lane.session_id, lane.state = None, State.LOST
    assert read(write(lane, 5.0) or b"").opened == 0.0


def test_a_letter_of_a_record_that_comes_again_is_no_matter() -> None:
    """Of asides beyond what is done with, only that of the record that has left in part is believed."""
    for split, asides in ((None, {5: Reason.REJECTED}), ([7, 1, 1], {5: Reason.REJECTED, 7: Reason.PARKED})):
        lane = Lane(SessionKey("a"), Assignment("events", 0))
        restore(lane, read(changed(asides=[[5, "rejected"], [7, "parked"]], split=split)))
        assert lane.asides == asides
    lane = Lane(SessionKey("a"), Assignment("events", 0))
    restore(lane, read(changed(asides=[[6, "rejected"]])))
    assert lane.asides is None


GOOD = {"v": 1, "at": 5, "done": 5, "standing": "open", "id": "abc", "start": {"p": {"media.id": "x"}}}


def changed(**fields: object) -> bytes:
    """A good memoir with other fields; None leaves one out."""
    return msgspec.json.encode({name: value for name, value in (GOOD | fields).items() if value is not None})


def test_a_later_version_may_add_fields() -> None:
    """What this version does not know it passes over."""
    assert read(changed(mood="blue")).id == "abc"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x00",
        b"null",
        b"[]",
        b'"open"',
        b"{}",
        b"{" * 100_000,
        b'{"v":' + b"[" * 100_000,
        b'{"v":1,"standing":"\xff"}',
        changed(v=2),
        changed(v="1"),
        changed(at=None),
        changed(standing="asleep"),
        changed(id=None),
        changed(id="../evil"),
        changed(id="a b"),
        changed(standing="completed", id="x" * 129),
        changed(playing="ping pong"),
        changed(standing="completed", start=None),
        changed(derived={"b": "ping"}),
        changed(derived={"d": "ping"}),
        changed(split=[7, 1, 1]),
        changed(split=[7, 1, 1], asides=[[6, "rejected"]]),
        changed(split=[7, 0, 2]),
        changed(split=[7, 1, 9]),
        changed(standing="ended", id=None, start=None, ad={"m": 5}),
        changed(states=[]),
        changed(at=1.5),
    ],
)
def test_what_is_no_memoir_is_not_read(value: bytes) -> None:
    """Foreign, damaged or hostile bytes in the state topic are told apart from memoirs, and crash nothing."""
    with pytest.raises(NoMemoir):
        read(value)


@pytest.mark.parametrize(
    "value",
    [
        changed(start=None),
        changed(start={"p": 5}),
        changed(start={"p": []}),
        changed(start={"p": None}),
        changed(start={}),
        changed(standing="lost", start=None),
        changed(standing="lost", id="the-old-one"),
        changed(chapter={"p": 5}),
        changed(playing="ping"),
        changed(playing="sessionEnd"),
        changed(states={"mute": {"p": 7}}),
        b'{"v":1,"at":5,"done":5,"standing":"lost","start":{"p":{"a":"\xff"}}}',
        b'{"v":1,"at":5,"done":5,"standing":"lost","start":{"p":{"a":1e999}}}',
        b'{"v":1,"at":5,"done":5,"standing":"lost","start":{"p": {"a":1}}}',
    ],
)
def test_what_is_read_can_be_lived_with(value: bytes) -> None:
    """A memoir that is taken for one never stops the relay later: its session can be sent to, lost and opened again."""
    try:
        memoir = read(value)
    except NoMemoir:
        return
    lane = Lane(SessionKey("a"), Assignment("events", 0))
    restore(lane, memoir)
    lane.waiting.append(PlayerEvent(E.PING, 1.0, 1))
    if lane.state is State.READY:
        advance(lane, NextEvent())
        advance(lane, Lost(404))
    advance(lane, NextEvent())
    advance(lane, Opened(ApiSessionId("new")))
    assert {told.event_type for told in lane.to_tell} <= {E.CHAPTER_START, E.PLAY, E.PAUSE_START, E.BUFFER_START}

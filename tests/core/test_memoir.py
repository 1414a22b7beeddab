"""What a session needs to go on after a restart, as bytes and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from relay.core.assignment import Assignment
from relay.core.events import ApiSessionId, Details, EventType, PlayerEvent, SessionKey
from relay.core.inputs import Lost, NextEvent, Opened, Refused
from relay.core.lane import Lane, State
from relay.core.memoir import ASIDES_MAX, NoMemoir, read, restore, write
from relay.core.reasons import Reason
from relay.core.session import advance

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

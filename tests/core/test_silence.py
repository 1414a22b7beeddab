"""A session whose player is silent is kept alive, ended in time, and resumed; and nobody waits for that."""

from __future__ import annotations

import itertools
from math import inf
from random import Random
from typing import TYPE_CHECKING

import msgspec
import pytest

from relay.core.commands import Cause, Change, OpenSession, SendEvent
from relay.core.events import ApiSessionId, EventType, SessionKey
from relay.core.inputs import Accepted, Answered, Lost, Misconfigured, Opened, Refused, TryAgain
from relay.core.lane import State
from relay.core.memoir import read, write
from relay.core.patience import Rules
from relay.core.pressure import Limits
from relay.core.silence import KeepAlive
from relay.sandbox.fake_api.sessions import ApiSessions, Fate

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Call, Driver

    from relay.core.inputs import Verdict

E = EventType
MINUTE = 60.0


@pytest.fixture
def kept(make_driver: Callable[..., Driver]) -> Driver:
    """A router that keeps silent sessions alive every four minutes, with one session open."""
    driver = make_driver(rules=Rules(keep_alive=KeepAlive(240.0)))
    driver.open()
    return driver


def live(driver: Driver, seconds: float, api: Callable[[Call], Verdict | None] | None = None, *, is_read_up: bool = True) -> None:
    """Time passes, a look comes each second, and the API does as it is asked unless the test says otherwise."""
    for _ in range(int(seconds)):
        for assignment in driver.router.assignments.values():
            assignment.is_read_up = is_read_up
        driver.router.look_for_silence(driver.now)
        driver.run(1.0, api or driver.success_of)


def said(driver: Driver, key: str = "a") -> list[tuple[str, float, int]]:
    """What the relay said itself: its kind, playhead, and the seconds since the player's first event."""
    calls = [call for call in driver.calls if isinstance(call, SendEvent) and call.event.record is None and call.lane.key == key]
    return [(str(call.event.event_type), call.event.playhead, (call.event.ts - 1_700_000_000_000) // 1000) for call in calls]


# --- pings --------------------------------------------------------------------------------------------------------------------------


def test_by_default_the_relay_says_nothing_itself(driver: Driver) -> None:
    """However long a player is silent."""
    driver.open()
    live(driver, 20 * MINUTE)
    assert said(driver) == []


def test_a_silent_player_s_session_is_pinged(kept: Driver) -> None:
    """Every so often, with the player's clock moved on; the playhead stands where nobody has said `play`."""
    live(kept, 10 * MINUTE)
    assert said(kept) == [("ping", 0.5, pytest.approx(240, abs=2)), ("ping", 0.5, pytest.approx(480, abs=4))]
    assert kept.changes().count(Change.PINGED) == 2
    assert (kept.lane().state, kept.assignment.ledger.safe) == (State.READY, 1)


@pytest.mark.parametrize(
    ("kinds", "moves"),
    [
        ([E.PLAY], True),
        ([E.PLAY, E.CHAPTER_START], True),
        ([E.PLAY, E.PAUSE_START], False),
        ([E.BUFFER_START], False),
        ([E.PLAY, E.AD_BREAK_START, E.AD_START], False),
        ([E.PLAY, E.AD_BREAK_START], False),
        ([E.PLAY, E.AD_START], False),
        ([E.PLAY, E.AD_BREAK_START, E.AD_START, E.AD_COMPLETE, E.AD_BREAK_COMPLETE], True),
    ],
)
def test_the_playhead_moves_only_where_the_player_plays_the_content(kept: Driver, kinds: list[E], *, moves: bool) -> None:
    """Not in pause, not while buffering, not in an ad."""
    kept.arrive("a", *kinds)
    kept.accept_all()
    at = kept.lane().last_playhead
    live(kept, 250)
    ((kind, playhead, _),) = said(kept)
    assert kind == "ping"
    assert playhead == (pytest.approx(at + 240, abs=1.5) if moves else at)


def test_a_session_that_is_replaced_ends_where_the_relay_has_brought_it(kept: Driver) -> None:
    """After pings in the player's place, the end before another sessionStart stands no earlier than they do."""
    kept.arrive("a", E.PLAY)
    kept.accept_all()
    live(kept, 10 * MINUTE)
    *_, (_, playhead, seconds) = said(kept)
    kept.arrive("a", E.SESSION_START)
    assert said(kept)[-1] == ("sessionEnd", playhead, seconds)
    assert seconds > 4 * MINUTE


def test_whoever_speaks_is_not_spoken_for(kept: Driver) -> None:
    """An event begins the silence anew."""
    for _ in range(5):
        live(kept, 200)
        kept.arrive("a", E.PING)
        kept.accept_all()
    assert said(kept) == []


@pytest.mark.parametrize(
    "failure",
    [
        TryAgain("timeout", is_outcome_unknown=True),
        TryAgain("status_500", 500),
        TryAgain("status_429", 429, retry_after_seconds=3.0),
        Misconfigured(403, "check"),
        Refused(400),
    ],
)
def test_an_event_goes_right_behind_a_ping_that_failed(kept: Driver, failure: TryAgain | Misconfigured | Refused) -> None:
    """However it failed, the session waits for nothing; the pace and the circuit hold for the event as for any other."""
    live(kept, 245, lambda _: None)
    kept.arrive("a", E.PLAY)
    kept.answer(failure)
    assert (kept.waits, kept.lane().is_queued or kept.lane().state is State.SENDING) == ([], True)
    kept.run(20.0, kept.success_of)
    assert kept.finished == [0, 1]


def test_an_event_goes_right_behind_a_ping_that_is_under_way(kept: Driver) -> None:
    """One call at a time; and whatever becomes of the ping, it does not come between them again."""
    live(kept, 245, lambda _: None)
    assert kept.sent() == ["open", "ping"]
    kept.arrive("a", E.PLAY)
    assert kept.sent() == ["open", "ping"]
    kept.answer(TryAgain("timeout", is_outcome_unknown=True))
    assert kept.sent() == ["open", "ping", "play"]
    kept.accept_all()
    assert kept.finished == [0, 1]
    assert kept.waits == []


@pytest.mark.parametrize("failure", [TryAgain("status_503", 503), TryAgain("status_429", 429, retry_after_seconds=1.0)], ids=["503", "429"])
def test_a_ping_that_failed_is_followed_by_another_one_soon(kept: Driver, failure: TryAgain) -> None:
    """Not by the same one: its time has passed, also where the API asks for less. Nothing counts as an attempt."""
    live(kept, 4 * MINUTE + 30, lambda _: failure if len(said(kept)) == 1 else Accepted())
    assert [seconds for _, _, seconds in said(kept)] == pytest.approx([240, 255], abs=3)
    live(kept, 4 * MINUTE)
    assert [seconds for _, _, seconds in said(kept)] == pytest.approx([240, 255, 495], abs=5)
    assert kept.lane().attempts == 0


def test_a_ping_that_is_refused_does_no_harm(kept: Driver) -> None:
    """There is no event to set aside."""
    live(kept, 250, lambda _: Refused(400))
    assert (kept.lane().state, kept.aside) == (State.READY, [])


def test_a_session_that_is_gone_is_not_opened_for_a_ping(kept: Driver) -> None:
    """The player's next event opens another."""
    live(kept, 10 * MINUTE, lambda _: Lost(410))
    assert kept.sent() == ["open", "ping"]
    assert (kept.lane().state, kept.changes()[-1]) == (State.LOST, Change.LOST)
    kept.arrive("a", E.PLAY)
    kept.accept_all()
    assert kept.sent()[2:] == ["open again", "play"]


@pytest.mark.parametrize("last", [E.SESSION_COMPLETE, E.SESSION_END])
def test_what_is_over_stays_over(kept: Driver, last: E) -> None:
    """Nobody keeps a session alive that was completed or ended."""
    kept.arrive("a", E.PLAY, last)
    kept.accept_all()
    live(kept, 40 * MINUTE)
    assert said(kept) == []


# --- at which moments -----------------------------------------------------------------------------------------------------------------


def at(driver: Driver, seconds: float) -> list[str]:
    """What the relay has said itself when it looks so many seconds after the first event, and whoever may go goes."""
    driver.now = 1_000.0 + seconds
    for assignment in driver.router.assignments.values():
        assignment.is_read_up = True
    driver.router.look_for_silence(driver.now)
    driver.turn()
    return [kind for kind, _, _ in said(driver)]


@pytest.mark.parametrize(("seconds", "expected"), [(239.9, []), (240.0, ["ping"]), (1_739.9, ["ping"]), (1_740.0, ["sessionEnd"])])
def test_a_silence_has_its_moments(kept: Driver, seconds: float, expected: list[str]) -> None:
    """A ping when it is as long as was set, an end a minute before the API would close the session."""
    assert at(kept, seconds) == expected


@pytest.mark.parametrize(("seconds", "expected"), [(86_339.9, []), (86_340.0, ["sessionEnd"])])
def test_a_day_is_over_a_minute_early(kept: Driver, seconds: float, expected: list[str]) -> None:
    """So that the end is still heard, however much the player says."""
    kept.now += 86_300.0
    kept.arrive("a", E.PING)
    kept.accept_all()
    assert at(kept, seconds) == expected


@pytest.mark.parametrize(("every", "again"), [(240.0, 15.0), (10.0, 10.0)])
def test_a_failed_ping_has_its_moment_too(make_driver: Callable[..., Driver], every: float, again: float) -> None:
    """Fifteen seconds later, or sooner where pings are more frequent than that."""
    driver = make_driver(rules=Rules(keep_alive=KeepAlive(every)))
    driver.open()
    assert at(driver, every) == ["ping"]
    driver.answer(TryAgain("status_500", 500))
    assert at(driver, every + again - 0.1) == ["ping"]
    assert at(driver, every + again) == ["ping", "ping"]


def test_what_the_relay_says_is_exact_to_the_millisecond(kept: Driver) -> None:
    """The player's clock and playhead, moved on by what has passed since its last event, and no finer than the API takes it."""
    kept.arrive("a", E.PLAY)
    kept.accept_all()
    at(kept, 250.123456)
    (call,) = kept.flying
    assert isinstance(call, SendEvent)
    assert (call.event.ts, call.event.playhead) == (1_700_000_000_001 + 250_123, 1.5 + 250.123)


@pytest.mark.parametrize(("calls", "own"), [(4, 1), (15, 1), (16, 2)])
def test_own_calls_are_an_eighth_and_at_least_one(make_driver: Callable[..., Driver], calls: int, own: int) -> None:
    """However few may fly."""
    driver = make_driver(rules=Rules(keep_alive=KeepAlive(240.0)), limits=Limits(concurrency_max=calls))
    for number in range(4):
        driver.open(f"silent-{number}")
    at(driver, 240.0)
    assert len(driver.flying) == own


def test_a_call_for_a_partition_that_is_gone_takes_no_room(make_driver: Callable[..., Driver]) -> None:
    """It may hang for long, and those of the other partitions would expire."""
    driver = make_driver(rules=Rules(keep_alive=KeepAlive(240.0)), limits=Limits(concurrency_max=8))
    driver.open("a")
    gone = driver.assignment
    driver.assign(1)
    driver.now += 10.0
    driver.open("b")
    at(driver, 240.0)
    driver.revoke(gone)
    at(driver, 250.0)
    assert [call.lane.key for call in driver.flying] == ["a", "b"]


# --- who goes first -------------------------------------------------------------------------------------------------------------------


def test_nothing_is_said_where_the_log_is_not_read_to_its_end(kept: Driver) -> None:
    """An event that waits there is no silence."""
    live(kept, 20 * MINUTE, is_read_up=False)
    assert said(kept) == []


def test_in_an_outage_events_are_tried_and_not_the_relays_own_words(kept: Driver) -> None:
    """Who wants a turn has the probes."""
    kept.arrive("b", E.SESSION_START, E.PLAY)
    kept.accept_all()
    kept.arrive("b", E.PING)
    live(kept, 10 * MINUTE, lambda _: TryAgain("status_503", 503))
    assert said(kept, "a") == []
    assert said(kept, "b") == []


def test_where_nobody_else_wants_a_turn_own_calls_probe(kept: Driver) -> None:
    """Else an outage of minutes would be noticed as over only by the next event, and the sessions would expire meanwhile."""
    live(kept, 5 * MINUTE, lambda _: TryAgain("status_503", 503))
    assert 3 <= len(said(kept)) <= 5
    live(kept, 30)
    assert kept.changes()[-1] is Change.PINGED
    assert kept.router.sending.state == 0


def test_own_calls_go_last_and_leave_room(make_driver: Callable[..., Driver]) -> None:
    """An eighth of the calls, and none while anybody waits for a turn."""
    driver = make_driver(rules=Rules(keep_alive=KeepAlive(240.0)), limits=Limits(concurrency_max=16))
    for number in range(40):
        driver.open(f"silent-{number}")
    driver.now += 300.0
    driver.assignment.is_read_up = True
    driver.router.look_for_silence(driver.now)
    driver.turn()
    assert len(driver.flying) == 2
    for number in range(20):
        driver.arrive(f"new-{number}", E.SESSION_START, turns=False)
    driver.turn()
    assert len(driver.flying) == 16
    assert driver.router.turns(driver.now) == []
    while any(isinstance(call, OpenSession) for call in driver.flying):
        driver.accept(key=next(call.lane.key for call in driver.flying if isinstance(call, OpenSession)))
    assert len(driver.flying) == 2
    driver.accept_all()
    assert sum(said(driver, f"silent-{number}") != [] for number in range(40)) == 40


def test_nothing_is_said_for_partitions_that_leave(kept: Driver) -> None:
    """Nothing new leaves for them; what was under way no longer counts when they are gone."""
    kept.leave()
    live(kept, 300)
    assert said(kept) == []


def test_one_call_at_a_time_even_across_a_rebalance(kept: Driver) -> None:
    """A ping that outlives its partition holds the session back until it has landed."""
    live(kept, 245, lambda _: None)
    (ping,) = kept.flying
    memoir = read(write(kept.lane()) or b"")
    kept.revoke()
    again = kept.assign(from_offset=1)
    kept.router.restore(again, SessionKey("a"), memoir, kept.now)
    live(kept, 300, lambda _: None)
    assert kept.flying == [ping]
    kept.flying.remove(ping)
    kept.handle(Answered(ping.lane, Accepted()))
    live(kept, 2)
    assert len(said(kept)) == 2


# --- the end of patience ----------------------------------------------------------------------------------------------------------------


def test_a_session_that_is_silent_for_too_long_is_ended_before_the_api_does_it(kept: Driver) -> None:
    """After 29 minutes, at the player's playhead; and then nothing more is said."""
    live(kept, 60 * MINUTE)
    assert [kind for kind, _, _ in said(kept)] == [*["ping"] * 7, "sessionEnd"]
    assert said(kept)[-1] == ("sessionEnd", 0.5, pytest.approx(29 * 60, abs=2))
    assert (kept.lane().state, kept.router.sessions_open) == (State.LOST, 0)
    assert kept.changes()[-1] is Change.SUSPENDED


def test_the_next_event_resumes_it(kept: Driver) -> None:
    """Another session is opened as a resumed one and told what is open, at the moment of the event."""
    kept.arrive("a", E.CHAPTER_START, E.PLAY)
    kept.accept_all()
    live(kept, 40 * MINUTE)
    count = len(kept.calls)
    (event,) = kept.arrive("a", E.PING)
    kept.accept_all()
    assert kept.sent(since=count) == ["open again", "chapterStart", "play", "ping"]
    assert all(call.event.ts == event.ts for call in kept.calls[count:] if isinstance(call, SendEvent))
    causes = [call.cause for call in kept.calls if isinstance(call, OpenSession)]
    assert causes == [Cause.FIRST, Cause.RESUMED]
    assert kept.announced[-2].detail in {Cause.RESUMED, ""}


@pytest.mark.parametrize("failure", [TryAgain("status_503", 503), TryAgain("timeout", is_outcome_unknown=True), Misconfigured(401, "")])
def test_an_end_that_was_not_heard_is_said_again(kept: Driver, failure: TryAgain | Misconfigured) -> None:
    """Until the API takes it, or says that the session is gone."""
    answers = iter([failure, Lost(410)])
    live(kept, 35 * MINUTE, lambda call: next(answers) if call.event.event_type is E.SESSION_END else Accepted())  # type: ignore[union-attr]
    assert [kind for kind, _, _ in said(kept)][-2:] == ["sessionEnd", "sessionEnd"]
    assert kept.changes()[-1] is Change.SUSPENDED


def test_an_end_after_the_end_needs_no_call(kept: Driver) -> None:
    """The session was ended already, as Adobe's clients have it; a completion is reported on a resumed one."""
    live(kept, 30 * MINUTE)
    count = len(kept.calls)
    kept.arrive("a", E.SESSION_END)
    assert (len(kept.calls), kept.lane().state, kept.finished[-1]) == (count, State.ENDED, 1)


def test_a_session_of_a_day_is_ended_and_resumed(kept: Driver) -> None:
    """Though its player is not silent: at a moment at which it says nothing."""
    kept.now += 86_000.0
    kept.arrive("a", E.PLAY)
    kept.accept_all()
    live(kept, 330)
    assert kept.changes().count(Change.SUSPENDED) == 0
    kept.arrive("a", E.PING)
    kept.accept_all()
    live(kept, 30)
    assert said(kept)[-1][0] == "sessionEnd"
    kept.arrive("a", E.PING)
    kept.accept_all()
    assert kept.sent()[-3:] == ["open again", "play", "ping"]
    live(kept, 100)
    assert kept.lane().state is State.READY


def test_a_session_that_is_to_be_forgotten_sooner_is_ended_then(make_driver: Callable[..., Driver]) -> None:
    """What would be forgotten open is ended instead; and it is remembered for as long again, so that it can be resumed."""
    driver = make_driver(rules=Rules(keep_alive=KeepAlive(60.0), idle_seconds_max=300.0))
    driver.open()
    for _ in range(9):
        live(driver, 60)
        driver.carry_out(driver.router.forget_idle(driver.assignment, driver.now))
    assert [kind for kind, _, _ in said(driver)] == [*["ping"] * 4, "sessionEnd"]
    assert driver.lane().state is State.LOST
    live(driver, 55)
    driver.carry_out(driver.router.forget_idle(driver.assignment, driver.now))
    assert driver.lane().state is State.LOST
    live(driver, 15)
    driver.carry_out(driver.router.forget_idle(driver.assignment, driver.now))
    assert SessionKey("a") not in driver.assignment.lanes


def test_nobody_is_forgotten_while_the_relay_speaks_for_him(make_driver: Callable[..., Driver]) -> None:
    """A call that hangs is waited for, though no event waits behind it."""
    driver = make_driver(rules=Rules(keep_alive=KeepAlive(60.0), idle_seconds_max=300.0))
    driver.open()
    live(driver, 62, lambda _: None)
    assert driver.lane().state is State.PINGING
    driver.now += 1e6
    assert driver.router.forget_idle(driver.assignment, driver.now) == []
    driver.accept()
    assert driver.lane().state is State.READY


def test_whoever_was_forgotten_is_not_spoken_for(make_driver: Callable[..., Driver]) -> None:
    """Though somebody had looked at the session before: nothing is kept alive that nobody knows any more."""
    driver = make_driver(rules=Rules(keep_alive=KeepAlive(60.0), idle_seconds_max=300.0))
    driver.open()
    driver.now += 700.0
    driver.assignment.is_read_up = True
    driver.router.look_for_silence(driver.now)
    driver.carry_out(driver.router.forget_idle(driver.assignment, driver.now))
    driver.turn()
    assert said(driver) == []


# --- restarts -----------------------------------------------------------------------------------------------------------------------------


def restarted(driver: Driver, after: float = 0.0) -> None:
    """Another owner takes up what the memoirs say; its clock began at another moment."""
    memoirs = {lane.key: write(lane, epoch=1_000_000.0) for lane in driver.router.lanes()}
    driver.revoke()
    driver.now += after
    assignment = driver.assign(from_offset=driver.assignment.ledger.safe)
    for key, memoir in memoirs.items():
        driver.router.restore(assignment, key, read(memoir or b""), driver.now, epoch=1_000_000.0)


def test_silence_goes_on_over_a_restart(kept: Driver) -> None:
    """It is counted from the same moment, and the relay's own words go on from the player's."""
    kept.arrive("a", E.PLAY)
    kept.accept_all()
    live(kept, 9 * MINUTE)
    restarted(kept, after=MINUTE)
    live(kept, 5)
    assert said(kept)[-1] == ("ping", pytest.approx(601.5, abs=2.0), pytest.approx(600, abs=2))
    live(kept, 30 * MINUTE)
    assert said(kept)[-1][0] == "sessionEnd"
    assert said(kept)[-1][2] == pytest.approx(29 * 60, abs=2)


def test_what_was_ended_stays_ended_over_a_restart(kept: Driver) -> None:
    """Nothing is said for it; its next event resumes it as if nothing had happened."""
    live(kept, 30 * MINUTE)
    restarted(kept)
    count = len(kept.calls)
    live(kept, 30 * MINUTE)
    assert len(kept.calls) == count
    kept.arrive("a", E.PLAY)
    kept.accept_all()
    assert [call.cause for call in kept.calls[count:] if isinstance(call, OpenSession)] == [Cause.RESUMED]


def test_whoever_has_spoken_is_not_taken_for_silent_after_a_restart(kept: Driver) -> None:
    """That the silence has ended is written down with the next receipt."""
    live(kept, 20 * MINUTE)
    kept.assignment.changed.clear()
    kept.arrive("a", E.PLAY)
    assert kept.lane() in kept.assignment.changed
    kept.accept_all()
    restarted(kept)
    live(kept, 20 * MINUTE)
    assert said(kept)[-1][0] == "ping"


def test_a_silence_is_written_down_once(kept: Driver) -> None:
    """And not with each ping: a crowd that is silent would fill the state topic."""
    live(kept, 250)
    assert kept.lane() in kept.assignment.changed
    kept.assignment.changed.clear()
    live(kept, 20 * MINUTE)
    assert kept.assignment.changed == {}


def test_the_age_of_a_session_outlives_a_restart(kept: Driver) -> None:
    """It is a day old when its memoir says so, and not a day after the restart."""
    kept.now += 86_000.0
    kept.arrive("a", E.PLAY)
    kept.accept_all()
    restarted(kept)
    kept.arrive("a", E.PING)
    kept.accept_all()
    live(kept, 400)
    assert [kind for kind, _, _ in said(kept)] == ["ping", "sessionEnd"]


def test_a_session_whose_age_nobody_wrote_down_is_as_old_as_the_process(driver: Driver, make_driver: Callable[..., Driver]) -> None:
    """Where silent sessions are kept alive from now on, those that were open before are ended in time, too; elsewhere nobody counts."""
    driver.open()
    memoir = read(write(driver.lane()) or b"")
    after = make_driver(rules=Rules(keep_alive=KeepAlive(240.0)))
    for another in (driver, after):
        another.revoke()
        another.router.restore(another.assign(from_offset=1), SessionKey("a"), memoir, another.now)
    assert driver.lane().opened_at == inf
    after.now += 86_000.0
    after.arrive("a", E.PLAY)
    after.accept_all()
    live(after, 330)
    assert after.changes() == [Change.PINGED]
    after.arrive("a", E.PING)
    after.accept_all()
    live(after, 30)
    assert after.changes()[-1] is Change.SUSPENDED


def test_a_memoir_costs_nothing_more_where_nobody_is_kept_alive(driver: Driver) -> None:
    """The new fields are left out."""
    driver.open()
    assert not {"opened", "silent", "suspended"} & msgspec.json.decode(write(driver.lane()) or b"").keys()


# --- beside an API that does as it is documented ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep_alive", [KeepAlive(240.0), KeepAlive(540.0)])
def test_no_event_finds_its_session_gone(make_driver: Callable[..., Driver], keep_alive: KeepAlive) -> None:
    """Pauses of any length, for more than a day: the API never closes a session before the relay does, and each end is heard."""
    driver = make_driver(rules=Rules(keep_alive=keep_alive, idle_seconds_max=7_200.0), checks_books=False)
    api = ApiSessions(clock=lambda: driver.now, random=Random(1))  # noqa: S311  # ids that nobody has to guess
    answers: list[Verdict] = []

    def answer(call: Call) -> Verdict:
        if isinstance(call, OpenSession):
            return Opened(ApiSessionId(api.open(call.playhead)))
        verdict = Accepted() if api.hear(call.session_id, call.event.playhead) is Fate.LIVE else Lost(410)
        if call.event.event_type is E.SESSION_END:
            api.end(call.session_id)
        answers.append(verdict)
        return verdict

    driver.arrive("a", E.SESSION_START, E.PLAY)
    began = driver.now
    for minutes in itertools.cycle((1, 9, 11, 25, 28, 30, 31, 45, 90)):
        live(driver, minutes * MINUTE, answer)
        driver.arrive("a", *((E.PING, E.PAUSE_START) if minutes % 2 else (E.PLAY,)))
        if driver.now - began > 26 * 3_600:
            break
    live(driver, 1, answer)
    assert Lost(410) not in answers
    assert driver.changes().count(Change.SUSPENDED) > 20
    assert len(driver.finished) == driver.assignment.ledger.safe


def test_without_it_they_do(make_driver: Callable[..., Driver]) -> None:
    """The same player, ten minutes silent: that is what the setting is for."""
    driver = make_driver()
    api = ApiSessions(clock=lambda: driver.now, random=Random(1))  # noqa: S311  # ids that nobody has to guess
    driver.arrive("a", E.SESSION_START)
    call = driver.flying[0]
    assert isinstance(call, OpenSession)
    session_id = api.open(call.playhead)
    driver.answer(Opened(ApiSessionId(session_id)))
    live(driver, 10 * MINUTE)
    assert api.hear(session_id, 0.5) is Fate.GONE

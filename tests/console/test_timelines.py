"""Time lines: what they tell of a session, and whom they are kept for."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from relay.core.commands import DropEvent, FinishUnknown
from relay.core.events import EventType as E
from relay.core.lane import Lane
from relay.core.reasons import Dropped
from relay.observe.timelines import FOLLOWED_MAX, PENDING_MAX, REFRESH_EVERY, ROWS_FIRST, ROWS_LAST, ROWS_LAST_FOLLOWED, Line, Rank


def line_of(scene: Any, key: str, partition: int = 0) -> Line:
    """The line of a session; it must be kept."""
    line = scene.witness.lines.of(key, "player-events", partition)
    assert line is not None
    return line


def told(line: Line) -> list[tuple[str, ...]]:
    """Its rows in short."""
    return [(row.what.value, row.event, row.outcome, row.cause) for row in line.rows]


def lane_of(scene: Any, key: str, partition: int = 0) -> Lane:
    """The lane of a session."""
    lane: Lane = scene.assignments[partition].lanes[key]
    return lane


def test_a_session_from_its_start_to_its_end(scene: Callable[..., Any]) -> None:
    """Each event is a row from its reception to its answer, and each change is one."""
    one = scene()
    one.play("k", E.PLAY, E.SESSION_END)
    line = line_of(one, "k")
    assert told(line) == [
        ("event", "sessionStart", "opened", "first"),
        ("opened", "", "", "first"),
        ("event", "play", "delivered", ""),
        ("event", "sessionEnd", "delivered", ""),
        ("ended", "", "", ""),
    ]
    assert line.is_over
    play = line.rows[2]
    assert (play.tries, play.offset) == (1, 1)
    assert 0 < play.sent_at < play.answered_at


def test_a_lost_session_is_told_step_by_step(scene: Callable[..., Any], verdicts: Mapping[str, Any]) -> None:
    """The event that found it gone waits, another session is opened, what was open is told, then the event goes again."""
    one = scene()
    one.play("k", E.PLAY)
    one.say("k", E.AD_BREAK_START)
    one.serve()
    one.say("k", E.PING)
    one.answer(verdicts["lost"])
    one.serve()
    rows = told(line_of(one, "k"))[4:]
    assert rows == [
        ("event", "ping", "delivered", ""),
        ("lost", "", "", ""),
        ("opening", "ping", "opened", "lost"),
        ("opened", "", "", "lost"),
        ("told", "adBreakStart", "delivered", ""),
        ("told", "play", "delivered", ""),
    ]
    assert line_of(one, "k").rows[4].tries == 2


def test_a_failure_is_a_row_and_the_event_goes_again(scene: Callable[..., Any], verdicts: Mapping[str, Any]) -> None:
    """One row says what failed; the event's own row counts the tries."""
    one = scene()
    one.play("k")
    one.say("k", E.PLAY)
    one.answer(verdicts["later"])
    line = line_of(one, "k")
    assert told(line)[2:] == [("event", "play", "", ""), ("retried", "", "", "status_503")]
    assert line.rows[2].status == 503
    assert line.rank is Rank.TROUBLED


def test_an_event_that_is_set_aside_says_why(scene: Callable[..., Any], verdicts: Mapping[str, Any]) -> None:
    """Its row has the reason and the answer, never the API's words."""
    one = scene()
    one.play("k")
    one.say("k", E.PLAY)
    one.answer(verdicts["refused"])
    row = line_of(one, "k").rows[-1]
    assert (row.outcome, row.cause, row.status) == ("set aside", "rejected", 400)


def test_parts_of_a_record_are_rows_of_their_own(scene: Callable[..., Any], verdicts: Mapping[str, Any]) -> None:
    """They share an offset; when one is set aside, the letter holds the others."""
    one = scene()
    one.play("k")
    one.say_in_parts("k", E.PLAY, E.PING, E.PING)
    one.serve()
    assert [(row.event, row.part, row.outcome) for row in line_of(one, "k").rows[2:]] == [
        ("play", 1, "delivered"),
        ("ping", 2, "delivered"),
        ("ping", 3, "delivered"),
    ]
    one.say_in_parts("k", E.PLAY, E.PING)
    one.answer(verdicts["refused"])
    one.answer(verdicts["refused"])
    assert [row.outcome for row in line_of(one, "k").rows[5:]] == ["set aside", "set aside"]
    assert not line_of(one, "k")._pending


@pytest.mark.parametrize(("leaving", "outcome"), [(FinishUnknown, "answer lost"), (partial(DropEvent, reason=Dropped.SHED), "dropped")])
def test_an_event_may_leave_in_other_ways(scene: Callable[..., Any], leaving: Callable[..., Any], outcome: str) -> None:
    """By an operator's will it is dropped, or not sent again when its answer was lost; its row says so."""
    one = scene()
    one.play("k")
    one.say("k", E.PLAY)
    lane = lane_of(one, "k")
    one.witness.left(leaving(lane, lane.waiting[0]))
    assert line_of(one, "k").rows[-1].outcome == outcome
    assert not line_of(one, "k")._pending


def test_a_refused_start(scene: Callable[..., Any], verdicts: Mapping[str, Any]) -> None:
    """The start and what follows it are set aside; the session is refused."""
    one = scene()
    one.say("k", E.SESSION_START, E.PLAY)
    one.answer(verdicts["refused"])
    assert told(line_of(one, "k"))[0] == ("event", "sessionStart", "set aside", "rejected")
    assert ("refused", "", "", "") in told(line_of(one, "k"))


def test_the_same_key_in_two_partitions_is_two_sessions(scene: Callable[..., Any]) -> None:
    """A line tells of one of them only."""
    one = scene()
    one.play("k", partition=0)
    one.play("k", E.PLAY, partition=1)
    assert len(line_of(one, "k").rows) == 2
    assert one.witness.lines.of("k", "player-events", 1) is None


def test_a_long_line_keeps_its_begin_and_its_end(scene: Callable[..., Any]) -> None:
    """Between them rows are left out and counted."""
    one = scene()
    one.play("k")
    for _ in range(ROWS_FIRST + ROWS_LAST):
        one.say("k", E.PING)
        one.serve()
    line = line_of(one, "k")
    assert len(line.rows) == ROWS_FIRST + ROWS_LAST
    assert line.left_out == 2
    assert line.rows[0].event == "sessionStart"
    assert line.rows[-1].offset == ROWS_FIRST + ROWS_LAST


def test_who_is_followed_keeps_more(scene: Callable[..., Any]) -> None:
    """On request a longer line is kept from then on."""
    one = scene()
    one.play("k")
    assert one.witness.lines.begin(lane_of(one, "k"), Rank.FOLLOWED) is line_of(one, "k")
    for _ in range(ROWS_FIRST + ROWS_LAST):
        one.say("k", E.PING)
        one.serve()
    assert line_of(one, "k").left_out == 0
    assert ROWS_LAST_FOLLOWED > ROWS_LAST


def test_a_crowd_of_waiting_events_is_counted(scene: Callable[..., Any]) -> None:
    """A stuck session does not fill memory with rows of what waits."""
    one = scene()
    one.play("k")
    one.say("k", *[E.PING] * (PENDING_MAX + 7))
    line = line_of(one, "k")
    assert len(line._pending) == PENDING_MAX
    assert line.uncounted == 7
    one.serve()
    assert not line._pending
    assert line.rows[-1].outcome == "delivered"


def test_who_is_over_makes_room_first(scene: Callable[..., Any]) -> None:
    """A line outlives its session until its room is wanted."""
    one = scene(lines_max=2)
    one.play("a")
    one.play("b", E.SESSION_END)
    assert set(one.witness.lines.kept) == {"a", "b"}
    one.play("c")
    assert set(one.witness.lines.kept) == {"a", "c"}
    one.play("d")
    assert set(one.witness.lines.kept) == {"a", "c"}


def test_trouble_takes_the_place_of_a_sample(scene: Callable[..., Any], verdicts: Mapping[str, Any]) -> None:
    """Not the other way round, and the followed stay."""
    one = scene(lines_max=2)
    one.play("a")
    one.play("b")
    one.witness.lines.begin(lane_of(one, "a"), Rank.FOLLOWED)
    one.play("c")
    one.say("c", E.PLAY)
    one.answer(verdicts["later"])
    assert set(one.witness.lines.kept) == {"a", "c"}
    one.play("d")
    assert set(one.witness.lines.kept) == {"a", "c"}


def test_the_sample_is_renewed_now_and_then(scene: Callable[..., Any]) -> None:
    """One in so many openings takes the place of the oldest."""
    one = scene(lines_max=1)
    one.crowd(REFRESH_EVERY)
    assert set(one.witness.lines.kept) == {"player-000000"}
    one.play("newcomer")
    assert set(one.witness.lines.kept) == {"newcomer"}


def test_only_so_many_are_followed(scene: Callable[..., Any]) -> None:
    """Who asks for more lets go of the one that was asked for first."""
    one = scene()
    one.crowd(FOLLOWED_MAX + 1)
    for number in range(FOLLOWED_MAX + 1):
        one.witness.lines.begin(lane_of(one, f"player-{number:06d}", number % 2), Rank.FOLLOWED)
    followed = [line.key for line in one.witness.lines if line.rank is Rank.FOLLOWED]
    assert len(followed) == FOLLOWED_MAX
    assert "player-000000" not in followed


def test_the_account_of_lines_is_right_after_anything(scene: Callable[..., Any], verdicts: Mapping[str, Any]) -> None:
    """Every kept line stands in the list of its rank, and in no other."""
    one = scene(lines_max=5)
    for number in range(40):
        key = f"k{number}"
        one.play(key, *[E.SESSION_END] * (number % 3 == 0))
        if number % 4 == 1:
            one.say(key, E.PLAY)
            while one.under_way:
                one.answer(verdicts["later" if number % 8 == 1 else "refused"])
        if number % 10 == 7:
            one.witness.lines.begin(lane_of(one, key), Rank.FOLLOWED)
    lines = one.witness.lines
    assert len(lines.kept) == 5
    for rank in Rank:
        assert set(lines._ranked[rank]) == {line.key for line in lines if line.rank is rank}
    assert set(lines._over) <= set(lines.kept)


def test_without_lines_the_pumps_own_functions_come_back(scene: Callable[..., Any]) -> None:
    """What is off costs nothing per event."""
    one = scene(lines_max=0)

    def any_function(_: object) -> Any:
        raise AssertionError

    witness = one.witness
    assert witness.reading(any_function, one.assignments[0]) is any_function
    assert witness.opening(any_function) is any_function
    assert witness.sending(any_function) is any_function
    assert witness.answering(any_function) is any_function
    one.play("k", E.PLAY)
    assert not witness.lines.kept

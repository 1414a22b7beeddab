"""A crowd: the same for the same seed, in the order of time, lazy."""

import itertools

from relay.sandbox.crowd import crowd
from relay.sandbox.shapes import Shape

BEGAN_MS = 1_700_000_000_000
HOSTILE = Shape().having(hostile_share=0.05, oversize_bytes=1_000)


def test_the_same_seed_gives_the_same_records() -> None:
    """Two runs with the same arguments agree in every byte."""
    once, again = (list(crowd(30, 5, HOSTILE, began_ms=BEGAN_MS)) for _ in range(2))
    assert once == again


def test_another_seed_gives_other_sessions() -> None:
    """Keys and contents both depend on the seed."""
    one, other = (list(crowd(5, seed, Shape(), began_ms=BEGAN_MS)) for seed in (5, 6))
    assert {said.key for said in one}.isdisjoint(said.key for said in other)
    assert [said.value for said in one] != [said.value for said in other]


def test_a_session_does_not_depend_on_how_many_others_watch() -> None:
    """The habits of a player are its own: only its begin moves when the crowd grows."""
    small, large = (
        [(said.at_seconds, said.event_type) for said in crowd(count, 3, Shape(), began_ms=0) if said.key == "player-3-000001"]
        for count in (2, 40)
    )
    assert small == large


def test_what_a_crowd_says_is_in_the_order_of_time() -> None:
    """Sessions are merged by their clocks, poison included."""
    times = [said.ts for said in crowd(60, 2, HOSTILE, began_ms=BEGAN_MS)]
    assert times == sorted(times)
    assert times[0] >= BEGAN_MS


def test_sessions_begin_spread_over_the_ramp() -> None:
    """Each slot of the ramp has one begin, and the last one comes before the ramp is over."""
    shape = Shape().having(ramp_up_seconds=100)
    first: dict[str, int] = {}
    for said in crowd(50, 1, shape, began_ms=BEGAN_MS):
        first.setdefault(said.key, said.ts - BEGAN_MS)
    assert sorted(index for index in (begin // 2_000 for begin in first.values())) == list(range(50))


def test_a_crowd_is_lazy() -> None:
    """Players who have not begun cost nothing: the first events of ten million sessions come at once."""
    assert len(list(itertools.islice(crowd(10_000_000, 1, Shape(), began_ms=BEGAN_MS), 10))) == 10


def test_no_sessions_say_nothing() -> None:
    """An empty crowd is silent."""
    assert list(crowd(0, 1, Shape(), began_ms=BEGAN_MS)) == []

"""The life of API sessions, on a clock that the test moves."""

import string
from collections.abc import Callable
from typing import Any

import pytest

from relay.sandbox.fake_api import FakeApi

Client = Any  # made in conftest.py, which cannot be imported
MakeEvent = Callable[..., dict[str, Any]]


class Clock:
    """A clock that stands until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of `timed`."""
    return Clock()


@pytest.fixture
def timed(client_of: Callable[[FakeApi], Client], clock: Clock) -> Client:
    """A client of a fake whose clock stands until it is moved."""
    return client_of(FakeApi(seed=1, clock=clock))


def playing(playhead: float, ts: int = 1) -> dict:
    """The time of an event."""
    return {"playerTime": {"playhead": playhead, "ts": ts}}


def test_an_id_is_64_hex_digits_in_a_relative_location(client: Client, event: MakeEvent) -> None:
    """As in every document."""
    status, headers = client.post("/api/v1/sessions", event("sessionStart"))
    prefix, _, session_id = headers["Location"].rpartition("/")
    assert (status, prefix, len(session_id)) == (201, "/api/v1/sessions", 64)
    assert set(session_id) <= set(string.hexdigits.lower())


def test_the_same_seed_gives_the_same_ids(client_of: Callable[[FakeApi], Client]) -> None:
    """So that a simulation can be replayed."""
    first, same, other = (client_of(FakeApi(seed=seed)).open(1) for seed in (1, 1, 2))
    assert first == same != other


def test_an_unknown_id_is_404_and_an_ended_one_410(client: Client) -> None:
    """A sessionEnd closes at once, also for a second sessionEnd; a sessionComplete does not."""
    session = client.open(1)
    assert client.send("0" * 64, "play", 2) == 404
    assert client.send(session, "sessionComplete", 3) == 204
    assert client.send(session, "ping", 4) == 204
    assert client.send(session, "sessionEnd", 5) == 204
    assert client.send(session, "ping", 6) == 410
    assert client.send(session, "sessionEnd", 7) == 410


def test_a_bad_body_is_400_whatever_the_session(client: Client) -> None:
    """Bodies are checked without a look at the session, and leave it untouched."""
    session = client.open(1)
    assert client.send("0" * 64, "ping", 2, params={}) == 400
    assert client.send(session, "ping", 2, params={}) == 400
    assert client.send(session, "ping", 2) == 204


def test_ten_minutes_of_silence_end_a_session(timed: Client, clock: Clock) -> None:
    """Each event begins the ten minutes anew."""
    session = timed.open(1)
    for minutes in (9, 18, 27):
        clock.now = minutes * 60
        assert timed.send(session, "ping", 1, **playing(minutes)) == 204
    clock.now += 600
    assert timed.send(session, "ping", 1, **playing(40)) == 410
    assert timed.send(session, "ping", 1, **playing(41)) == 410


def test_thirty_minutes_without_movement_end_a_session(timed: Client, clock: Clock) -> None:
    """Pings alone do not keep it."""
    session = timed.open(1, **playing(7))
    for minutes in range(5, 30, 5):
        clock.now = minutes * 60
        assert timed.send(session, "ping", 1, **playing(7)) == 204
    clock.now = 1_800
    assert timed.send(session, "ping", 1, **playing(7)) == 410


def test_a_playhead_that_goes_back_moves(timed: Client, clock: Clock) -> None:
    """Seeking back is movement and never refused."""
    session = timed.open(1, **playing(700))
    for minutes in range(5, 60, 5):
        clock.now = minutes * 60
        assert timed.send(session, "ping", 1, **playing(700 - minutes)) == 204


def test_a_day_ends_a_session(timed: Client, clock: Clock) -> None:
    """However busy it is."""
    session = timed.open(1)
    for nine_minutes in range(1, 160):
        clock.now = nine_minutes * 540
        assert timed.send(session, "ping", 1, **playing(nine_minutes)) == 204
    clock.now = 86_400
    assert timed.send(session, "ping", 1, **playing(1)) == 410


def test_a_purge_makes_every_session_unknown(client: Client) -> None:
    """Ended ones too."""
    living, ended = client.open(1), client.open(1, player="q")
    client.send(ended, "sessionEnd", 2)
    client.api.purge()
    assert client.send(living, "ping", 3) == client.send(ended, "ping", 3) == 404


def test_order_is_never_refused(client: Client) -> None:
    """Ads without a break, closings of nothing, an eleventh state, overlapping chapters: accepted and remembered."""
    session = client.open(1)
    client.send_all(session, ("adStart", 2), ("adBreakComplete", 3), ("chapterStart", 4), ("chapterStart", 5), ("play", 1))
    for number in range(11):
        assert client.send(session, "stateStart", 10 + number, params={"media.state.name": f"s{number}"}) == 204
    assert client.api.account().total.received == 17


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/api/v1/sessions", 405),
        ("PUT", "/api/v1/sessions/abc/events", 405),
        ("POST", "/api/v1/session", 404),
        ("POST", "/api/v1/sessions/abc", 404),
        ("POST", "/api/v1/sessions/", 404),
        ("POST", "/api/v2/sessions", 404),
        ("GET", "/api/v1/schemas/play", 404),
        ("GET", "/", 404),
    ],
)
def test_there_is_nothing_elsewhere(client: Client, method: str, target: str, status: int) -> None:
    """Every other path is 404, another method 405, with a message."""
    reply = client.api.exchange(method, target, (), b"{}").reply
    assert reply.status == status
    assert b'"message"' in reply.body

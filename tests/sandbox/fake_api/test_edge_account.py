"""The account over the Media Edge API: what is planted is found, what is right is clean, in the words of the classic API."""

from collections.abc import Callable
from typing import Any

import pytest

from relay.sandbox.fake_api import Tally

Client = Any  # made in conftest.py, which cannot be imported
MakeBody = Callable[..., dict[str, Any]]

SPOKEN = [(1, "sessionStart"), (2, "play"), (3, "stateStart"), (4, "stateEnd"), (5, "sessionEnd")]
LOST_AT = 50
CHAPTER = {"chapterDetails": {"index": 2, "length": 60, "offset": 30}}
AD = {"advertisingDetails": {"name": "ad-7", "length": 15, "playerName": "player", "podPosition": 1}}


def tally(client: Client) -> Tally:
    """The account of the player session."""
    return client.api.account().sessions["p"]


def say(client: Client, *spoken: tuple[int, str]) -> Tally:
    """Say these events of one player session, in this order, as they are."""
    session = ""
    for ts, event_type in spoken:
        if event_type == "sessionStart":
            session = client.open(ts)
        else:
            client.send_all(session, (event_type, ts))
    return tally(client)


def test_all_in_order_is_clean(edge: Client) -> None:
    """Updates of states count as starts and ends of states, which is how the player said them."""
    edge.api.expect("p", SPOKEN)
    found = say(edge, *SPOKEN)
    assert (found.received, found.openings, found.findings) == (5, 1, [])
    assert edge.api.account().is_clean


@pytest.mark.parametrize(
    ("spoken", "finding"),
    [
        ([*SPOKEN[:2], *SPOKEN[3:]], "missing: stateStart at 3"),
        ([*SPOKEN[:4], (9, "bufferStart"), SPOKEN[4]], "extra: bufferStart at 9"),
        ([SPOKEN[0], SPOKEN[2], SPOKEN[1], *SPOKEN[3:]], "out of order: play at 2"),
        ([*SPOKEN[:4], SPOKEN[3], SPOKEN[4]], "repeated: stateEnd at 4"),
        ([*SPOKEN[:2], (3, "stateEnd"), *SPOKEN[3:]], "extra: stateEnd at 3"),
        ([SPOKEN[0], (7, "play"), *SPOKEN[2:]], "missing: play at 2"),
    ],
)
def test_what_is_planted_is_found(edge: Client, spoken: list[tuple[int, str]], finding: str) -> None:
    """Missing, extra, overtaken, repeated, turned round, at another time."""
    edge.api.expect("p", SPOKEN)
    found = say(edge, *spoken)
    assert finding in found.findings
    assert not edge.api.account().is_clean


def test_what_a_fault_blames_is_not_missing(edge: Client) -> None:
    """A client has to set aside what is answered with 400 and to go on; but not what it said wrongly itself."""
    edge.api.expect("p", SPOKEN)
    session = edge.open(1)
    edge.api.set_faults(["events:400:1"])
    assert edge.send(session, "play", 2) == 400
    edge.api.set_faults([])
    assert edge.send(session, "stateStart", 3, playhead=1.5) == 400
    edge.send_all(session, ("stateEnd", 4), ("sessionEnd", 5))
    found = tally(edge)
    assert (found.refused_by_fault, found.missing) == (1, 1)


def test_an_update_of_several_states_counts_as_several_events(edge: Client) -> None:
    """All at one ts."""
    edge.api.expect("p", [(1, "sessionStart"), (2, "stateStart"), (2, "stateStart"), (2, "stateEnd")])
    session = edge.open(1)
    assert edge.send(session, "stateStart", 2, statesStart=[{"name": "a"}, {"name": "b"}], statesEnd=[{"name": "c"}]) == 204
    found = tally(edge)
    assert (found.received, found.is_clean, found.findings) == (4, True, [])


@pytest.fixture
def lost(edge: Client) -> Client:
    """A client whose session, with everything open in it, has just been found gone by a ping."""
    session = edge.open(1)
    edge.send_all(session, ("play", 2))
    assert edge.send(session, "chapterStart", 3, **CHAPTER) == 204
    edge.send_all(session, ("adBreakStart", 4))
    assert edge.send(session, "adStart", 5, **AD) == 204
    edge.send_all(session, ("stateStart", 6))
    assert edge.send(session, "stateStart", 7, statesStart=[{"name": "gone"}], statesEnd=[{"name": "never"}]) == 204
    assert edge.send(session, "stateEnd", 8, statesEnd=[{"name": "gone"}]) == 204
    edge.api.purge()
    assert edge.send(session, "ping", LOST_AT) == 404
    return edge


OPEN = [
    ("chapterStart", CHAPTER),
    ("adBreakStart", {}),
    ("adStart", AD),
    ("stateStart", {}),
    ("play", {}),
]


def tell(client: Client, told: list[tuple[str, dict]], **start: object) -> Tally:
    """Open in place of the lost session, tell what was open, and go on with the ping."""
    session = client.open(LOST_AT, resume=True, **start)
    for event_type, media in [*told, ("ping", {})]:
        assert client.send(session, event_type, LOST_AT, **media) == 204
    return tally(client)


def test_what_was_open_is_told_again(lost: Client) -> None:
    """In order and as it was: clean, and neither received nor repeated."""
    found = tell(lost, OPEN)
    assert (found.openings_resumed, found.told_again, found.retold_wrong, found.findings) == (1, 5, 0, [])
    assert found.is_clean


@pytest.mark.parametrize(
    "told",
    [
        OPEN[1:],
        OPEN[:-1],
        [OPEN[1], OPEN[0], *OPEN[2:]],
        [("chapterStart", {"chapterDetails": CHAPTER["chapterDetails"] | {"offset": 31}}), *OPEN[1:]],
        [*OPEN[:2], ("adStart", {}), *OPEN[3:]],
        [*OPEN[:2], ("adStart", AD | {"customMetadata": [{"name": "a", "value": "b"}]}), *OPEN[3:]],
        [*OPEN[:3], ("stateStart", {"statesStart": [{"name": "gone"}]}), OPEN[4]],
        [*OPEN[:4], ("pauseStart", {})],
    ],
)
def test_a_wrong_telling_is_found(lost: Client, told: list[tuple[str, dict]]) -> None:
    """What is left out, overtaken, other than it was, or no longer open."""
    found = tell(lost, told)
    assert (found.retold_wrong, found.is_clean) == (1, False)


@pytest.mark.parametrize(
    "start",
    [
        {"sessionDetails": {"name": "n", "playerName": "p", "length": 1, "channel": "c", "contentType": "vod", "hasResume": True}},
        {"customMetadata": [{"name": "playerSession", "value": "p"}, {"name": "plan", "value": "gold"}]},
        {"playhead": 2},
    ],
)
def test_a_start_that_is_not_the_same_is_found(lost: Client, start: dict) -> None:
    """Other details, other metadata, another playhead."""
    assert tell(lost, OPEN, **start).retold_wrong == 1


def test_without_a_name_a_resumed_start_goes_on_where_it_was_equal(edge: Client) -> None:
    """As on the classic API."""
    first, second = edge.open(1, player=None), edge.open(1, player=None)
    edge.send_all(first, ("ping", 2))
    edge.send_all(second, ("ping", 2))
    edge.api.purge()
    assert edge.send(second, "ping", 3) == 404
    edge.send_all(edge.open(3, player=None, resume=True), ("ping", 3))
    account = edge.api.account()
    assert len(account.sessions) == 2
    assert account.sessions[f"unnamed-{second}"].openings_resumed == 1
    assert account.is_clean

"""The account: what is planted is found, and what is right is clean."""

from collections.abc import Callable
from typing import Any

import pytest

from relay.sandbox.fake_api import FakeApi, Tally

Client = Any  # made in conftest.py, which cannot be imported
Talk = Callable[..., Tally]


def tally(client: Client, player: str = "p") -> Tally:
    """The account of one player session."""
    return client.api.account().sessions[player]


SPOKEN = [(1, "sessionStart"), (2, "play"), (3, "ping"), (4, "ping"), (5, "sessionEnd")]


@pytest.fixture
def talk(client: Client) -> Talk:
    """Say these events of one player session, in this order, as they are."""

    def say(*spoken: tuple[int, str], expected: list | None = None) -> Tally:
        if expected is not None:
            client.api.expect("p", expected)
        session = ""
        for ts, event_type in spoken:
            if event_type == "sessionStart":
                session = client.open(ts)
            else:
                client.send_all(session, (event_type, ts))
        return tally(client)

    return say


def test_all_in_order_is_clean(talk: Talk, client: Client) -> None:
    """And counted, in sum too."""
    found = talk(*SPOKEN, expected=SPOKEN)
    assert (found.received, found.openings, found.findings) == (5, 1, [])
    account = client.api.account()
    assert account.is_clean
    assert account.total.received == 5
    assert account.requests == {"201": 1, "204": 4}


def test_a_missing_event_is_found(talk: Talk, client: Client) -> None:
    """Only where the expected events are known."""
    found = talk(*SPOKEN[:2], *SPOKEN[3:], expected=SPOKEN)
    assert (found.missing, found.findings) == (1, ["missing: ping at 3"])
    assert not client.api.account().is_clean


def test_expectations_may_come_bit_by_bit(talk: Talk, client: Client) -> None:
    """The account follows."""
    talk(*SPOKEN[:2], expected=SPOKEN[:2])
    assert client.api.account().is_clean
    client.api.expect("p", SPOKEN[2:])
    assert client.api.account().total.missing == 3
    client.api.expect("another", [(1, "sessionStart")])
    assert client.api.account().total.missing == 4


def test_an_extra_event_is_found(talk: Talk) -> None:
    """What the player never said."""
    found = talk(*SPOKEN[:3], (4, "pauseStart"), expected=SPOKEN[:3])
    assert (found.extra, found.is_clean, found.findings) == (1, False, ["extra: pauseStart at 4"])


@pytest.mark.parametrize("expected", [None, SPOKEN])
def test_an_overtaken_event_is_found(talk: Talk, expected: list[tuple[int, str]] | None) -> None:
    """With and without knowledge of what to expect; the one that came late is the one that is named."""
    found = talk(SPOKEN[0], SPOKEN[2], SPOKEN[1], *SPOKEN[3:], expected=expected)
    assert (found.out_of_order, found.is_clean, found.findings) == (1, False, ["out of order: play at 2"])


@pytest.mark.parametrize("expected", [None, SPOKEN])
def test_a_repeat_is_found(talk: Talk, expected: list[tuple[int, str]] | None) -> None:
    """Even after others; it is a repeat, and no matter of order."""
    found = talk(*SPOKEN[:4], SPOKEN[2], SPOKEN[4], expected=expected)
    assert (found.repeats, found.repeats_excused, found.out_of_order, found.is_clean) == (1, 0, 0, False)
    assert found.findings == ["repeated: ping at 3"]


def test_a_repeat_is_excused_where_the_answer_was_lost(client: Client) -> None:
    """Nobody could have known."""
    session = client.open(1)
    client.api.set_faults(["events:lost:1"])
    client.send(session, "play", 2)
    client.api.set_faults([])
    client.send_all(session, ("play", 2), ("ping", 3))
    found = tally(client)
    assert (found.received, found.repeats, found.repeats_excused, found.is_clean) == (3, 1, 1, True)
    client.send_all(session, ("play", 2))
    found = tally(client)
    assert (found.repeats, found.repeats_excused, found.is_clean) == (2, 1, False)


def test_an_opening_is_repeated_where_its_answer_was_lost(client: Client) -> None:
    """The start counts once; the first of the two API sessions stays without an owner."""
    client.api.set_faults(["sessions:lost:1"])
    client.open(1)
    client.api.set_faults([])
    client.send_all(client.open(1), ("play", 2))
    found = tally(client)
    assert (found.received, found.openings, found.repeats_excused, found.is_clean) == (2, 2, 1, True)
    assert found.openings_needless == 0


def test_what_a_fault_blames_is_not_missing(client: Client) -> None:
    """A client has to set aside what is answered with 400 and to go on."""
    client.api.expect("p", SPOKEN)
    session = client.open(1)
    client.send_all(session, ("play", 2))
    client.api.set_faults(["events:400:1"])
    assert client.send(session, "ping", 3) == 400
    client.api.set_faults([])
    client.send_all(session, ("ping", 4), ("sessionEnd", 5))
    found = tally(client)
    assert (found.refused_by_fault, found.missing, found.is_clean) == (1, 0, True)


def test_what_follows_a_refused_start_is_not_missing(client: Client) -> None:
    """Until the player starts again."""
    client.api.expect("p", [(1, "sessionStart"), (2, "play"), (3, "sessionStart"), (4, "play")])
    client.api.set_faults(["sessions:422:1"])
    with pytest.raises(AssertionError):
        client.open(1)
    client.api.set_faults([])
    client.open(3)
    found = tally(client)
    assert (found.refused_by_fault, found.missing) == (2, 1)


def test_an_event_that_breaks_a_rule_stays_missing(client: Client) -> None:
    """That is nobody's fault but the sender's."""
    client.api.expect("p", SPOKEN[:2])
    assert client.send(client.open(1), "play", 2, extra=1) == 400
    assert tally(client).missing == 1


def test_the_end_of_a_session_that_is_gone_is_not_missing(client: Client) -> None:
    """There was nothing left to end."""
    client.api.expect("p", [(1, "sessionStart"), (2, "sessionEnd")])
    session = client.open(1)
    client.api.purge()
    assert client.send(session, "sessionEnd", 2) == 404
    found = tally(client)
    assert (found.ends_without_session, found.missing, found.is_clean) == (1, 0, True)


def test_an_end_that_a_client_adds_before_another_start_is_not_extra(client: Client) -> None:
    """It stands at the ts of the last event."""
    client.api.expect("p", [(1, "sessionStart"), (2, "play"), (9, "sessionStart")])
    session = client.open(1)
    client.send_all(session, ("play", 2), ("sessionEnd", 2))
    client.open(9)
    found = tally(client)
    assert (found.ends_added, found.extra, found.is_clean) == (1, 0, True)


def test_what_a_client_says_for_a_silent_player_is_not_extra(client: Client) -> None:
    """Pings later than all that the player has said, and an end; the player's own end then has nothing left to end."""
    client.api.expect("p", [(1, "sessionStart"), (2, "play"), (900, "sessionEnd")])
    client.send_all(client.open(1), ("play", 2), ("ping", 300), ("ping", 600), ("sessionEnd", 800))
    found = tally(client)
    assert (found.pings_added, found.ends_added, found.ends_without_session, found.extra, found.missing) == (2, 1, 1, 0, 0)
    assert found.is_clean


def test_a_ping_that_a_client_adds_before_the_players_words_is_extra(client: Client) -> None:
    """It would stand in the player's way."""
    client.api.expect("p", [(1, "sessionStart"), (5, "play")])
    client.send_all(client.open(1), ("play", 5), ("ping", 4))
    assert (tally(client).pings_added, tally(client).extra) == (0, 1)


def test_joining_a_session_under_way_is_not_extra(client: Client) -> None:
    """Its start stands at the ts of an event that is expected; a start at any other is extra."""
    client.api.expect("p", [(5, "play"), (6, "ping")])
    client.send_all(client.open(5), ("play", 5), ("ping", 6))
    found = tally(client)
    assert (found.openings_joined, found.received, found.is_clean) == (1, 2, True)
    client.open(7)
    assert tally(client).extra == 1


def test_opening_again_without_need_is_counted(client: Client) -> None:
    """The session before was alive, and nobody was told otherwise."""
    first = client.open(1)
    client.send_all(first, ("play", 2))
    client.send_all(client.open(3, resume=True), ("play", 3))
    assert tally(client).openings_needless == 1


def test_without_a_name_each_api_session_is_a_player_session(client: Client) -> None:
    """Unless it resumes one whose start was otherwise equal."""
    first, second = client.open(1, player=None), client.open(1, player=None)
    client.send_all(first, ("ping", 2))
    client.send_all(second, ("ping", 2))
    assert len(client.api.account().sessions) == 2
    client.api.purge()
    assert client.send(second, "ping", 3) == client.send(first, "ping", 3) == 404
    client.send_all(client.open(3, player=None, resume=True), ("ping", 3))
    account = client.api.account()
    assert len(account.sessions) == 2
    assert account.sessions[f"unnamed-{second}"].openings_resumed == 1
    assert account.is_clean
    assert account.total.received == 5


def test_the_account_says_when_it_is_not_whole(client_of: Callable[[FakeApi], Client]) -> None:
    """Beyond the limit nothing is remembered, and nothing can be called clean."""
    client = client_of(FakeApi(events_kept_max=3))
    session = client.open(1)
    client.send_all(session, ("play", 2), ("ping", 3), ("ping", 4))
    client.open(1, player="q")
    account = client.api.account()
    assert (account.events_kept, account.events_not_kept, account.is_clean) == (3, 2, False)
    assert account.requests == {"201": 2, "204": 3}
    assert list(account.sessions) == ["p"]


def test_faults_are_counted_by_what_they_do(client: Client) -> None:
    """And requests without an answer apart from those with one."""
    session = client.open(1)
    client.api.set_faults(["events:503+5:1"])
    client.send(session, "ping", 2)
    client.api.set_faults(["events:reset:1"])
    client.send(session, "ping", 2)
    account = client.api.account()
    assert account.faults == {"503+5": 1, "reset": 1}
    assert account.requests == {"201": 1, "503": 1, "none": 1}


def test_a_reset_begins_anew(client: Client) -> None:
    """Sessions, events and figures are forgotten; fault rules are not."""
    session = client.open(1)
    client.api.set_faults(["events:500:0"])
    client.api.reset()
    account = client.api.account()
    assert (account.sessions, account.requests, client.api.faults) == ({}, {}, ("events:500:0",))
    assert client.send(session, "ping", 2) == 404

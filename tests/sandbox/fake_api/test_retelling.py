"""What must be told again after a session was lost: the account finds whatever is forgotten, added, swapped or altered."""

from collections.abc import Callable
from typing import Any

import pytest

from relay.sandbox.fake_api import Tally

Client = Any  # made in conftest.py, which cannot be imported

CHAPTER, BREAK, AD, PLAY, PAUSE = "chapterStart", "adBreakStart", "adStart", "play", "pauseStart"
OPEN = [(1, "sessionStart"), (2, CHAPTER), (3, BREAK), (4, AD), (5, PLAY), (6, "fullscreen"), (7, "mute"), (8, PAUSE)]
ALL_TOLD = [CHAPTER, BREAK, AD, "fullscreen", "mute", PAUSE]
STATES = {"fullscreen", "mute"}
LOST_AT = 9


class Story:
    """One player session that loses its API session at 9 and is told again as the test says."""

    def __init__(self, client: Client, *, is_expected_known: bool, refused: str = "ping") -> None:
        """Play until the session is lost."""
        self.client = client
        self.refused = refused
        self.session = ""
        if is_expected_known:
            expected = [(ts, "stateStart" if what in STATES else what) for ts, what in [*OPEN, (LOST_AT, refused), (10, "ping")]]
            client.api.expect("p", expected)
        for ts, what in OPEN:
            self.say(what, ts)
        client.api.purge()
        assert self.say(refused, LOST_AT) == 404

    def say(self, what: str, ts: int, **parts: object) -> int:
        """Say one thing; a state by its name."""
        if what == "sessionStart":
            self.session = self.client.open(ts)
            return 201
        if what in STATES:
            return self.client.send(self.session, "stateStart", ts, params={"media.state.name": what}, **parts)
        return self.client.send(self.session, what, ts, **parts)

    def reopen(self, *told: str, **parts: object) -> None:
        """Open again and tell this."""
        self.session = self.client.open(LOST_AT, resume=True, **parts)
        for what in told:
            self.say(what, LOST_AT)

    def go_on(self) -> Tally:
        """Say the refused event again, and another."""
        self.say(self.refused, LOST_AT)
        self.say("ping", 10)
        return self.tally()

    def tally(self) -> Tally:
        """The account of it."""
        return self.client.api.account().sessions["p"]


Begin = Callable[..., Story]


@pytest.fixture(params=[True, False], ids=["expected is known", "expected is unknown"])
def story(client: Client, request: pytest.FixtureRequest) -> Begin:
    """A story, with and without knowledge of what the player said."""

    def begin(refused: str = "ping") -> Story:
        return Story(client, is_expected_known=request.param, refused=refused)

    return begin


def test_the_right_telling_is_clean(story: Begin) -> None:
    """Chapter, ad break, ad, states as they began, playback state; then the refused event. None of it counts as received twice."""
    begun = story()
    begun.reopen(*ALL_TOLD)
    found = begun.go_on()
    assert found.is_clean, found.findings
    assert (found.received, found.told_again, found.repeats, found.openings_resumed) == (len(OPEN) + 2, len(ALL_TOLD), 0, 1)
    assert (found.retold_wrong, found.openings_needless) == (0, 0)


@pytest.mark.parametrize("refused", [PLAY, PAUSE, "bufferStart", "sessionComplete"])
def test_an_event_that_says_the_playback_state_is_not_preceded_by_it(story: Begin, refused: str) -> None:
    """Telling it all the same is wrong."""
    begun = story(refused)
    begun.reopen(*ALL_TOLD[:-1])
    assert begun.go_on().is_clean


def test_a_needless_playback_state_is_found(story: Begin) -> None:
    """Before an event that says one itself."""
    begun = story("bufferStart")
    begun.reopen(*ALL_TOLD)
    assert begun.go_on().retold_wrong == 1


WRONG = {
    "nothing is told": [],
    "the chapter is forgotten": [BREAK, AD, "fullscreen", "mute", PAUSE],
    "the ad break is forgotten": [CHAPTER, AD, "fullscreen", "mute", PAUSE],
    "the ad is forgotten": [CHAPTER, BREAK, "fullscreen", "mute", PAUSE],
    "a state is forgotten": [CHAPTER, BREAK, AD, "fullscreen", PAUSE],
    "the playback state is forgotten": [CHAPTER, BREAK, AD, "fullscreen", "mute"],
    "the playback state is an older one": [CHAPTER, BREAK, AD, "fullscreen", "mute", PLAY],
    "the ad comes before its break": [CHAPTER, AD, BREAK, "fullscreen", "mute", PAUSE],
    "the chapter comes after the ads": [BREAK, AD, CHAPTER, "fullscreen", "mute", PAUSE],
    "the states are swapped": [CHAPTER, BREAK, AD, "mute", "fullscreen", PAUSE],
    "the states come first": ["fullscreen", "mute", CHAPTER, BREAK, AD, PAUSE],
    "something is told twice": [CHAPTER, CHAPTER, BREAK, AD, "fullscreen", "mute", PAUSE],
    "something is added": [*ALL_TOLD, "bitrateChange"],
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_telling_is_found(story: Begin, case: str) -> None:
    """Whatever is forgotten, added or swapped."""
    begun = story()
    begun.reopen(*WRONG[case])
    found = begun.go_on()
    assert found.retold_wrong == 1
    assert not found.is_clean
    assert found.findings[0].startswith("told wrongly: ")


def test_what_was_closed_is_not_told(client: Client) -> None:
    """An ad, a break, a chapter and a state that are over stay over; a later one takes the place of an earlier one."""
    session = client.open(1)
    client.send_all(session, (CHAPTER, 2), (BREAK, 3), (AD, 4), (PLAY, 5), ("adSkip", 6), ("stateStart", 7), ("stateEnd", 8))
    client.send(session, CHAPTER, 9, params={"media.chapter.index": 2, "media.chapter.offset": 1, "media.chapter.length": 1})
    client.api.purge()
    client.send(session, "ping", 10)
    session = client.open(10, resume=True)
    client.send(session, CHAPTER, 10, params={"media.chapter.index": 2, "media.chapter.offset": 1, "media.chapter.length": 1})
    client.send_all(session, (BREAK, 10), (PLAY, 10), ("ping", 10))
    client.api.purge()
    client.send(session, "adBreakComplete", 11)
    found = client.api.account().total
    assert (found.told_again, found.retold_wrong, found.is_clean) == (3, 0, True)


def test_altered_params_are_found(story: Begin) -> None:
    """What is told again is told in the same words."""
    begun = story()
    begun.reopen()
    begun.say(CHAPTER, LOST_AT, params={"media.chapter.index": 2, "media.chapter.offset": 0, "media.chapter.length": 300.5})
    for what in ALL_TOLD[1:]:
        begun.say(what, LOST_AT)
    assert begun.go_on().retold_wrong == 1


def test_lost_metadata_is_found(client: Client) -> None:
    """Custom metadata is told again too."""
    session = client.open(1)
    client.send(session, CHAPTER, 2, customMetadata={"mood": "calm"})
    client.api.purge()
    client.send(session, "ping", 3)
    client.send_all(client.open(3, resume=True), (CHAPTER, 3), ("ping", 3), ("ping", 4))
    assert client.api.account().total.retold_wrong == 1


@pytest.mark.parametrize(
    "parts", [{"customMetadata": {"playerSession": "p", "plan": "gold"}}, {"playerTime": {"playhead": 2, "ts": LOST_AT}}]
)
def test_another_start_is_found(story: Begin, parts: dict) -> None:
    """The start is told again as it was, at the playhead of the refused event."""
    begun = story()
    begun.reopen(*ALL_TOLD, **parts)
    assert begun.go_on().retold_wrong == 1


def test_another_playhead_is_found(story: Begin) -> None:
    """What is told again carries the playhead of the refused event."""
    begun = story()
    begun.reopen(*ALL_TOLD[:-1])
    begun.say(PAUSE, LOST_AT, playerTime={"playhead": 0, "ts": LOST_AT})
    assert begun.go_on().retold_wrong == 1


def test_opening_at_another_time_is_found(client: Client) -> None:
    """A resumed start carries the ts of the refused event."""
    begun = Story(client, is_expected_known=True)
    begun.session = client.open(LOST_AT - 1, resume=True)
    assert begun.go_on().retold_wrong == 1


@pytest.mark.parametrize("told_count", range(len(ALL_TOLD) + 1))
def test_a_telling_that_was_cut_short_begins_anew(story: Begin, told_count: int) -> None:
    """The new session is lost in turn, wherever the telling stands, and the next opening tells all again."""
    begun = story()
    begun.reopen(*ALL_TOLD[:told_count])
    begun.client.api.purge()
    assert begun.say([*ALL_TOLD, "ping"][told_count], LOST_AT) == 404
    assert begun.tally().retold_wrong == 0
    begun.reopen(*ALL_TOLD)
    found = begun.go_on()
    assert (found.received, found.told_again, found.openings_resumed) == (len(OPEN) + 2, told_count + len(ALL_TOLD), 2)
    assert found.is_clean, found.findings


@pytest.mark.parametrize("told_count", range(len(ALL_TOLD) + 2))
def test_a_telling_under_way_is_not_judged_early(story: Begin, told_count: int) -> None:
    """An account in the middle of it is clean but for what has not come yet."""
    begun = story()
    begun.reopen(*[*ALL_TOLD, "ping"][:told_count])
    found = begun.tally()
    assert (found.retold_wrong, found.repeats, found.out_of_order) == (0, 0, 0)
    assert found.told_again == min(told_count, len(ALL_TOLD))


def test_something_told_twice_is_excused_where_the_answer_was_lost(story: Begin) -> None:
    """As any repeat."""
    begun = story()
    begun.reopen(CHAPTER)
    begun.client.api.set_faults(["events:truncated:1"])
    begun.say(BREAK, LOST_AT)
    begun.client.api.set_faults([])
    for what in ALL_TOLD[1:]:
        begun.say(what, LOST_AT)
    found = begun.go_on()
    assert found.is_clean, found.findings
    assert (found.repeats, found.repeats_excused, found.told_again) == (1, 1, len(ALL_TOLD))


def test_something_told_that_a_fault_refuses_may_be_left_out(story: Begin) -> None:
    """The session goes on without it."""
    begun = story()
    begun.reopen(CHAPTER)
    begun.client.api.set_faults(["events:400:1"])
    assert begun.say(BREAK, LOST_AT) == 400
    begun.client.api.set_faults([])
    for what in ALL_TOLD[2:]:
        begun.say(what, LOST_AT)
    found = begun.go_on()
    assert found.is_clean, found.findings
    assert (found.told_again, found.refused_by_fault) == (len(ALL_TOLD) - 1, 0)


def test_an_event_whose_answer_was_lost_is_not_yet_open(client: Client) -> None:
    """Its sender meets 404 with the second try, and does not know that the first was taken."""
    session = client.open(1)
    client.send_all(session, (PLAY, 2))
    client.api.set_faults(["events:lost:1"])
    client.send(session, BREAK, 3)
    client.api.set_faults(["events:404:1"])
    assert client.send(session, BREAK, 3) == 404
    client.api.set_faults([])
    client.send_all(client.open(3, resume=True), (PLAY, 3), (BREAK, 3), ("ping", 4))
    found = client.api.account().total
    assert found.is_clean, found.findings
    assert (found.received, found.repeats, found.repeats_excused, found.told_again) == (4, 1, 1, 1)


def test_the_same_type_may_be_told_and_be_the_refused_event(story: Begin) -> None:
    """A third state is refused while two are open."""
    begun = story("stateStart")
    begun.reopen(*ALL_TOLD)
    found = begun.go_on()
    assert found.is_clean, found.findings
    assert found.received == len(OPEN) + 2


def test_after_a_second_start_the_former_content_is_forgotten(client: Client) -> None:
    """A player that begins anew has nothing open."""
    client.send_all(client.open(1), (CHAPTER, 2), (PLAY, 3), ("sessionEnd", 4))
    session = client.open(5)
    client.send_all(session, (PAUSE, 6))
    client.api.purge()
    client.send(session, "ping", 7)
    client.send_all(client.open(7, resume=True), (PAUSE, 7), ("ping", 7), ("ping", 8))
    assert client.api.account().is_clean


def test_a_start_that_the_player_itself_resumes_is_an_event(client: Client) -> None:
    """Nothing is told again after it."""
    client.api.expect("p", [(1, "sessionStart"), (2, PLAY), (3, "sessionStart"), (4, PLAY)])
    client.send_all(client.open(1, resume=True), (PLAY, 2))
    client.send_all(client.open(3, resume=True), (PLAY, 4))
    found = client.api.account().total
    assert (found.received, found.openings_resumed, found.is_clean) == (4, 0, True)

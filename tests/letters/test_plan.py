"""What a replay would send, worked out from the letters and what the topics tell."""

from typing import Any

import pytest

from relay.core.events import Details, EventType, PlayerEvent
from relay.core.memoir import Memoir, read
from relay.letters.index import Entry, Index, by_session
from relay.letters.plan import HeldBack, Replaying, Terms, Why, plan
from relay.letters.plays import Facts, Seen
from relay.letters.stored import ReplayedNote

E = EventType
FILM = Details(params=b'{"media.id":"film"}')
NOW = 10_000_000


def letter(origin: int, kind: EventType = E.PING, **changes: Any) -> Entry:
    """A letter of `anna`."""
    known: dict[str, Any] = {"offset": origin, "session": "anna", "reason": "rejected", "round": 0, **changes}
    return Entry("events", 0, known["offset"], origin, 0, origin, known["session"], known["reason"], known["round"], 100, "", kind)


def topic(*kinds: EventType | None, letters: set[int] = frozenset(), unfinished: set[int] = frozenset(), spoke_ms: int = 0) -> Facts:  # type: ignore[assignment]
    """A topic in which `anna` said this, from offset 0 on; None is a replay of offset 1."""
    facts = Facts()
    for offset, kind in enumerate(kinds):
        details = FILM if kind is E.SESSION_START else Details()
        facts.see(
            Seen(
                offset=offset,
                origin=1 if kind is None else offset,
                timestamp_ms=spoke_ms,
                event=PlayerEvent(kind or E.PING, 1.0, offset, params=details.params),
                is_finished=offset not in unfinished,
                has_letter=offset in letters,
            )
        )
    return facts


def planned(entries: list[Entry], facts: Facts, memoir: Memoir | None = None) -> Replaying:
    """A plan that may be carried out."""
    found = plan(entries, facts, memoir, now_ms=NOW, terms=Terms())
    assert isinstance(found, Replaying), found
    return found


def why(entries: list[Entry], facts: Facts) -> Why:
    """Why a session has to wait."""
    found = plan(entries, facts, None, now_ms=NOW, terms=Terms(quiet_seconds=60.0, idle_seconds=1_800.0))
    assert isinstance(found, HeldBack), found
    return found.why


def test_a_play_that_was_taken_in_part_is_resumed_and_ended() -> None:
    """Its start is in the topic; the API has taken something of it; the player has ended it."""
    facts = topic(E.SESSION_START, E.PLAY, E.PING, E.SESSION_END, letters={2})
    (segment,) = planned([letter(2)], facts).segments
    assert (segment.start, segment.start_from, segment.resumes, segment.ends) == (FILM, "source", True, True)


def test_a_play_that_was_refused_as_a_whole_begins_with_its_letter() -> None:
    """Nothing is brought along, and its own end is the last of its letters."""
    facts = topic(E.SESSION_START, E.PING, E.SESSION_END, letters={0, 1, 2})
    (segment,) = planned([letter(0, E.SESSION_START), letter(1), letter(2, E.SESSION_END)], facts).segments
    assert (segment.start, segment.start_from, segment.resumes, segment.ends) == (None, "letters", False, False)


def test_a_play_whose_start_stays_is_not_resumed() -> None:
    """When the API has taken nothing of a play, what opens it is its first session, be its own sessionStart among the letters or not."""
    facts = topic(E.SESSION_START, E.PING, letters={0, 1})
    (segment,) = planned([letter(1)], facts).segments
    assert (segment.start, segment.resumes) == (FILM, False)


def test_a_play_that_goes_on_is_not_ended() -> None:
    """Whoever has not ended its session may come back."""
    (segment,) = planned([letter(1)], topic(E.SESSION_START, E.PING, E.PING, letters={1})).segments
    assert not segment.ends


def test_a_replayed_record_belongs_to_the_play_in_which_it_first_came() -> None:
    """It counts that play, and not the one behind which it stands."""
    facts = topic(E.SESSION_START, E.PING, E.SESSION_END, E.SESSION_START, E.SESSION_END, None, letters={0, 1, 2, 3, 4})
    first, second = planned([letter(2, E.SESSION_END), letter(4, E.SESSION_END)], facts).segments
    assert (first.resumes, second.resumes) == (True, False)
    assert facts.last_live_offset == 4


def test_the_state_topic_helps_where_the_topic_has_forgotten() -> None:
    """A memoir knows the start, says that it was accepted, and whether the session is open."""
    parked = read(b'{"v":1,"at":9,"done":9,"standing":"parked","start":{"p":{"media.id":"film"}}}')
    (segment,) = planned([letter(7)], topic(), parked).segments
    assert (segment.start, segment.start_from, segment.resumes, segment.ends) == (FILM, "memoir", True, False)
    (segment,) = planned([letter(7)], topic()).segments
    assert (segment.start, segment.start_from, segment.ends) == (None, "nowhere", True)


def test_a_start_that_an_event_brought_is_the_last_resort() -> None:
    """And the play is resumed if anything of it was taken."""
    facts = Facts()
    for offset in (0, 1):
        event = PlayerEvent(E.PING, 1.0, offset, start=FILM)
        facts.see(Seen(offset=offset, origin=offset, timestamp_ms=0, event=event, is_finished=True, has_letter=offset == 1))
    (segment,) = planned([letter(1)], facts).segments
    assert (segment.start, segment.start_from, segment.resumes) == (FILM, "event", True)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (topic(E.SESSION_START, E.PING, E.PING, letters={1}, unfinished={2}), Why.UNFINISHED),
        (topic(E.SESSION_START, E.PING, letters={1}, spoke_ms=NOW - 59_000), Why.ACTIVE),
        (topic(E.SESSION_START, E.PING, E.SESSION_START, letters={1}, spoke_ms=NOW - 1_700_000), Why.LATER_PLAY),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_session_is_held_back_while_something_could_be_overtaken(facts: Facts, reason: Why) -> None:
    """Unfinished events, a player who spoke lately, a later play that is open."""
    assert why([letter(1)], facts) is reason


def test_a_later_play_that_is_over_or_silent_holds_nothing_back() -> None:
    """It has ended, or the relay has forgotten it by now."""
    ended = topic(E.SESSION_START, E.PING, E.SESSION_START, E.SESSION_END, letters={1}, spoke_ms=NOW - 100_000)
    silent = topic(E.SESSION_START, E.PING, E.SESSION_START, letters={1}, spoke_ms=NOW - 1_900_000)
    for facts in (ended, silent):
        (segment,) = planned([letter(1)], facts).segments
        assert segment.ends, "another play has begun, so this one is over"


def test_letters_stand_in_the_order_in_which_their_events_first_came() -> None:
    """Also those that were set aside again and have another offset by now; what names no session stands alone."""
    entries = [letter(9), letter(3, offset=40), letter(5), letter(1, session=None)]
    assert {place[2]: [one.origin for one in found] for place, found in by_session(entries).items()} == {"anna": [3, 5, 9], 1: [1]}


def test_what_was_replayed_is_left_out_and_what_was_doubled_counts_once() -> None:
    """A letter that was written twice, since a crash came between, is one letter."""
    index = Index()
    for entry in (letter(1), letter(1), letter(2)):
        index.add(entry)
    index.note(ReplayedNote("events", 0, [2]))
    assert [entry.origin for entry in index.left()] == [1]
    assert index.holds(("events", 0, 2))
    assert not index.holds(("events", 0, 3))

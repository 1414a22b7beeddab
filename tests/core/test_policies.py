"""What an operator may decide by kind of event, and what is refused since it makes no sense."""

from __future__ import annotations

import pytest

from relay.core.events import EventType
from relay.core.policies import TooOld, skipped_when_unknown, too_old_by_kind

E = EventType


def test_by_default_nothing_differs() -> None:
    """Every event is sent however old it is, and repeated when its answer was lost."""
    assert too_old_by_kind({}) == {}
    assert skipped_when_unknown({}) == frozenset()


def test_kinds_are_named_and_a_star_stands_for_the_others() -> None:
    """What is named goes before the star; what is sent as usual is not mentioned."""
    frame = {"sessionStart": "send", "sessionComplete": "set_aside", "sessionEnd": "send"}
    chosen = too_old_by_kind({"*": "drop", "play": "set_aside", "adStart": "send"} | frame)
    assert (chosen[E.PING], chosen[E.PLAY], chosen[E.SESSION_COMPLETE]) == (TooOld.DROP, TooOld.SET_ASIDE, TooOld.SET_ASIDE)
    assert not chosen.keys() & {E.AD_START, E.SESSION_START, E.SESSION_END}
    assert skipped_when_unknown({"*": "skip", "sessionStart": "repeat", "play": "repeat"}) == set(E) - {E.SESSION_START, E.PLAY}


@pytest.mark.parametrize("kind", ["sessionStart", "sessionComplete", "sessionEnd"])
def test_what_frames_a_session_cannot_be_dropped(kind: str) -> None:
    """Neither by its name nor by a star, and the message says what to add."""
    with pytest.raises(ValueError, match=f'^what frames a session cannot be dropped: add "{kind}":"send", or "set_aside" instead'):
        too_old_by_kind({kind: "drop"})
    others = {one: "send" for one in ("sessionStart", "sessionComplete", "sessionEnd") if one != kind}
    with pytest.raises(ValueError, match=f'add "{kind}":"send"'):
        too_old_by_kind({"*": "drop"} | others)


def test_an_opening_cannot_be_skipped() -> None:
    """Only its answer holds the id; a star has to make an exception of it."""
    for given in ({"sessionStart": "skip"}, {"*": "skip"}):
        with pytest.raises(ValueError, match=r'^sessionStart cannot be skipped.*add "sessionStart":"repeat"$'):
            skipped_when_unknown(given)


def test_what_is_no_kind_or_no_choice_is_refused_by_name() -> None:
    """With what may stand there instead."""
    with pytest.raises(ValueError, match=r"^pings is no kind of event: use the names of the API, such as ping or adStart, or \*"):
        too_old_by_kind({"pings": "drop"})
    with pytest.raises(ValueError, match=r"^ping cannot be 'skip': use send or set_aside or drop$"):
        too_old_by_kind({"ping": "skip"})
    with pytest.raises(ValueError, match=r"^play cannot be 'drop': use repeat or skip$"):
        skipped_when_unknown({"play": "drop"})

"""What the operator decided about single events, by kind: those that are too old when their turn comes, those whose answer was lost.

In: an object of kinds and words, as a setting holds it; `*` stands for every kind that is not named. Out: for each kind that differs from
the default what to do, or `ValueError` with what to change. What makes no sense for a kind is refused here, before anything runs.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, TypeVar

from relay.core.events import EventType

ANY_KIND: Final = "*"


class TooOld(StrEnum):
    """What becomes of an event that is too old when its turn comes."""

    SEND = "send"
    SET_ASIDE = "set_aside"
    DROP = "drop"


class UnknownOutcome(StrEnum):
    """What becomes of an event whose request left and whose answer was lost."""

    REPEAT = "repeat"
    SKIP = "skip"


Choice = TypeVar("Choice", TooOld, UnknownOutcome)

_FRAME: Final = (EventType.SESSION_START, EventType.SESSION_COMPLETE, EventType.SESSION_END)


def too_old_by_kind(given: Mapping[str, str]) -> dict[EventType, TooOld]:
    """The kinds that are not sent when they are too old.

    Nothing that frames a session may be dropped: without its start all that follows would be set aside, and without its ends the session
    would stay open and take what comes after them. Set aside, they are at least seen, and what follows a start stays together with it.
    """
    chosen = _by_kind(given, TooOld, TooOld.SEND)
    unframed = [kind for kind in _FRAME if chosen[kind] is TooOld.DROP]
    if unframed:
        what_to_add = ", ".join(f'"{kind}":"send"' for kind in unframed)
        raise ValueError(f'what frames a session cannot be dropped: add {what_to_add}, or "set_aside" instead of "send"')
    return {kind: choice for kind, choice in chosen.items() if choice is not TooOld.SEND}


def skipped_when_unknown(given: Mapping[str, str]) -> frozenset[EventType]:
    """The kinds that are not sent again when nobody knows whether the API took them.

    An opening cannot be skipped: only its answer holds the id, without which no event of the session can be sent.
    """
    chosen = _by_kind(given, UnknownOutcome, UnknownOutcome.REPEAT)
    if chosen[EventType.SESSION_START] is UnknownOutcome.SKIP:
        raise ValueError('sessionStart cannot be skipped, since only its answer holds the session\'s id: add "sessionStart":"repeat"')
    return frozenset(kind for kind, choice in chosen.items() if choice is UnknownOutcome.SKIP)


def _by_kind(given: Mapping[str, str], choices: type[Choice], default: Choice) -> dict[EventType, Choice]:
    kinds = {str(kind) for kind in EventType}
    for name, word in given.items():
        if name != ANY_KIND and name not in kinds:
            raise ValueError(f"{name} is no kind of event: use the names of the API, such as ping or adStart, or * for all others")
        if word not in set(choices):
            raise ValueError(f"{name} cannot be {word!r:.40}: use {' or '.join(choices)}")
    otherwise = choices(given.get(ANY_KIND, default))
    return {kind: choices(given.get(kind, otherwise)) for kind in EventType}

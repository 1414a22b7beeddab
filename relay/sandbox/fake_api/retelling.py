"""What a client has to tell again when it opens a session in place of a lost one, and whether it did.

In: what was taken before, and what came first on the new session. Out: which of that was told again, and what is wrong with it.

This is written from the documents and not from the relay, so that the one can check the other:

1. The new session begins at the moment T of the event that found the old one gone: its start and all that is told again carry that
   event's ts and playhead. Then comes that event itself.
2. Told again is what was open before T, in this order: chapter, ad break, ad, states as they began, and the playback state, unless the
   event says a playback state itself or ends the session.
3. What was only half known does not count as open: an event that was applied but never answered was, for its sender, never taken.
4. A telling may be cut short when the new session is lost in turn; the next opening begins anew, at the same T.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from relay.sandbox.fake_api.dialect import Heard
from relay.sandbox.fake_api.record import Entry, Outcome

_PLAYBACK: Final = frozenset({"play", "pauseStart", "bufferStart"})
_SAYS_PLAYBACK_ITSELF: Final = _PLAYBACK | {"sessionComplete", "sessionEnd"}
_CLOSINGS: Final = {
    "chapterComplete": ("chapterStart",),
    "chapterSkip": ("chapterStart",),
    "adComplete": ("adStart",),
    "adSkip": ("adStart",),
    "adBreakStart": ("adStart",),  # an ad does not outlive its break
    "adBreakComplete": ("adStart", "adBreakStart"),
}
_SLOTS: Final = ("chapterStart", "adBreakStart", "adStart")  # one of each may be open, told in this order

CHANGES_WHAT_IS_OPEN: Final = frozenset({*_PLAYBACK, *_CLOSINGS, *_SLOTS, "stateStart", "stateEnd"})


class Said(NamedTuple):
    """What is compared of something told again."""

    event_type: str
    content: bytes


def told_before(event_type: str | None, changes: Iterable[Entry], ts: int) -> list[Said]:
    """What a new session must hear before an event of this type at `ts`; all that it could hear when the type is unknown."""
    slots: dict[str, bytes] = {}
    states: dict[str, bytes] = {}
    playback: str | None = None
    before = sorted((entry.heard for entry in changes if entry.heard.ts < ts), key=_ts_of)  # repeats may stand behind later events
    for heard in before:
        for closed in _CLOSINGS.get(heard.event_type, ()):
            slots.pop(closed, None)
        if heard.event_type in _PLAYBACK:
            playback = heard.event_type
        elif heard.event_type in _SLOTS:
            slots[heard.event_type] = heard.content
        elif heard.event_type == "stateStart":
            states.setdefault(heard.state_name, heard.content)
        elif heard.event_type == "stateEnd":
            states.pop(heard.state_name, None)
    told = [Said(slot, slots[slot]) for slot in _SLOTS if slot in slots]
    told += [Said("stateStart", content) for content in states.values()]
    if playback is not None and event_type not in _SAYS_PLAYBACK_ITSELF:
        told.append(Said(playback, b""))
    return told


class Telling(NamedTuple):
    """How a telling went."""

    told: list[list[Entry]]  # one after the other, each with its repeats
    fault: str = ""


def check_telling(
    *, start: Heard, early: Sequence[Entry], refused_type: str | None, changes: Sequence[Entry] | None, has_later: bool
) -> Telling:
    """Tell apart what was told again from the refused event that follows it, and find what is wrong.

    `early` is what came first on the new session at the ts of its start, `refused_type` the event that found the old session gone, where it
    is known, `changes` what was taken before, where that is known; `has_later` says that the new session went on to another ts.
    """
    groups = _without_repeats(entry for entry in early if entry.outcome is not Outcome.REFUSED)
    said = [_said(group[0]) for group in groups]
    if refused_type is None:
        refused_type = _guess_refused(said, [] if changes is None else told_before(None, changes, start.ts), has_later=has_later)
    count = len(said) - 1 if said and said[-1].event_type == refused_type else len(said)
    fault = ""
    if changes is not None:
        refused = {_said(entry) for entry in early if entry.outcome is Outcome.REFUSED}
        # What the API refuses to hear again is left out from then on, and the session goes on without it.
        wanted = [one for one in told_before(refused_type, changes, start.ts) if one in said or one not in refused]
        if said[: len(wanted)] == wanted and (len(said) == len(wanted) or said[len(wanted)].event_type == refused_type):
            count = len(wanted)
        elif not has_later and said == wanted[: len(said)]:
            count = len(said)
        else:
            fault = f"before {refused_type} at {start.ts} was told {_names(said[:count])} instead of {_names(wanted)}"
    if any(group[0].heard.playhead != start.playhead for group in groups[: count + 1]):
        fault = fault or f"at {start.ts} not everything carries the playhead of the refused event"
    return Telling(groups[:count], fault)


def _guess_refused(said: Sequence[Said], tellable: Sequence[Said], *, has_later: bool) -> str | None:
    """Without other knowledge the last event of that ts is the refused one, unless the telling is still under way or was cut short."""
    if not said or (not has_later and said == tellable[: len(said)]):
        return None
    return said[-1].event_type


def _without_repeats(taken: Iterable[Entry]) -> list[list[Entry]]:
    """Put together what was said again because the answer to it was lost."""
    groups: list[list[Entry]] = []
    for entry in taken:
        if groups and groups[-1][-1].outcome is Outcome.UNANSWERED and _said(groups[-1][-1]) == _said(entry):
            groups[-1].append(entry)
        else:
            groups.append([entry])
    return groups


def _ts_of(heard: Heard) -> int:
    return heard.ts


def _said(entry: Entry) -> Said:
    return Said(entry.heard.event_type, entry.heard.content)


def _names(said: Sequence[Said]) -> str:
    return ", ".join(one.event_type for one in said) or "nothing"

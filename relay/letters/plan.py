"""What a replay of one session would send, or why it has to wait.

In: its letters in order, what the source topic and the state topic tell of it, and the time. Out: a `Replaying` with a segment for each
play, or a `HeldBack` with the reason. Pure: the same for `--dry-run` and for the real thing.

A session is held back while anything that its player said later could be overtaken, or is about to come: it has events that the relay has
not finished, it has said something within the quiet time, or a later play of the same key is still open.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from relay.core.events import Details, EventType
from relay.core.memoir import Memoir, start_of
from relay.letters.index import Entry
from relay.letters.plays import Facts


class Why(StrEnum):
    """Why a session is not replayed now."""

    UNFINISHED = "unfinished"
    ACTIVE = "active"
    LATER_PLAY = "later_play"


class HeldBack(msgspec.Struct, frozen=True):
    """A session that has to wait, in words for operators."""

    entries: list[Entry]
    why: Why
    words: str


class Segment(msgspec.Struct, frozen=True):
    """The letters of one play."""

    entries: list[Entry]
    start: Details | None  # to be brought along; None when the letters begin with it, or nobody knows it
    start_from: str  # where the start comes from: letters, source, memoir, event, nowhere
    resumes: bool  # the API has counted the play already
    ends: bool  # the play is over, and the letters do not say so themselves


class Replaying(msgspec.Struct, frozen=True):
    """A session that may be replayed."""

    segments: list[Segment]

    @property
    def entries(self) -> list[Entry]:
        """All its letters, in order."""
        return [entry for segment in self.segments for entry in segment.entries]


class Terms(msgspec.Struct, frozen=True):
    """What the operator decides."""

    quiet_seconds: float = 60.0
    idle_seconds: float = 1_800.0  # after that the relay forgets an open session


def plan(entries: Sequence[Entry], facts: Facts, memoir: Memoir | None, *, now_ms: int, terms: Terms) -> Replaying | HeldBack:
    """What to do with the letters of one session."""
    silent = (now_ms - facts.last_live_ms) / 1000
    if facts.unfinished:
        return HeldBack([*entries], Why.UNFINISHED, f"{facts.unfinished} of its events in the source topic are not finished yet")
    if silent < terms.quiet_seconds:
        return HeldBack([*entries], Why.ACTIVE, f"its player spoke {max(0, silent):.0f} s ago; held back for {terms.quiet_seconds:.0f} s")
    plays: dict[int, list[Entry]] = {}
    for entry in entries:
        plays.setdefault(facts.play_of(entry.origin), []).append(entry)
    is_later_open = facts.last_play not in plays and facts.last_play not in facts.ended
    if is_later_open and facts.last_play > 0 and silent < terms.idle_seconds:
        return HeldBack(
            [*entries], Why.LATER_PLAY, f"a later play of the same key is open; held back for {terms.idle_seconds:.0f} s of silence"
        )
    return Replaying([_segment(play, found, facts, memoir) for play, found in plays.items()])


def _segment(play: int, entries: list[Entry], facts: Facts, memoir: Memoir | None) -> Segment:
    is_last = play == facts.last_play
    of_memoir = start_of(memoir) if memoir is not None and is_last else None
    start, start_from = None, "nowhere"
    if entries[0].kind == EventType.SESSION_START:
        start_from = "letters"
    elif (said := facts.start_of(play)) is not None:
        start, start_from = said, "source"
    elif of_memoir is not None:
        start, start_from = of_memoir, "memoir"
    elif facts.brought is not None:
        start, start_from = facts.brought, "event"
    is_open = memoir is not None and memoir.standing in {"open", "lost", "completed"} and is_last
    is_nothing_known = not facts.ended and facts.last_play == 0 and not is_open and (memoir is None or memoir.standing != "parked")
    is_over = play in facts.ended or not is_last or is_nothing_known
    return Segment(
        entries=entries,
        start=start,
        start_from=start_from,
        resumes=play in facts.counted or of_memoir is not None,
        ends=is_over and any(entry.kind for entry in entries) and entries[-1].kind != EventType.SESSION_END,
    )

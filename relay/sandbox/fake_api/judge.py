"""What was heard of one player session → what is wrong with it.

In: its log, and what the player said, where that is known. Out: its `Tally`.

The theory:

1. An event is itself by its `ts` and type: a player never says two things at one ts. Taken a second time, it is a repeat; that is excused
   where the answer to the earlier one was lost, because no protocol lets a client find out.
2. Order is judged on first takings only: repeats stand wherever they must.
3. A start that resumes, other than one that the player said itself, is an opening in place of a lost session. What follows it at the same
   ts, up to the refused event, is told again (`retelling.py`); it is neither received nor repeated.
4. What is expected and never came is missing, except what a fault refused, and a sessionEnd whose session was gone or ended by the client.
5. A client may speak for a silent player: a ping or a sessionEnd that nobody expects, later than all that the player has said so far.
"""

from collections.abc import Iterable, Sequence

import msgspec

from relay.sandbox.fake_api.dialect import PING, SESSION_END, SESSION_START, Identity
from relay.sandbox.fake_api.record import ApiLog, Entry, Outcome, PlayerLog
from relay.sandbox.fake_api.retelling import CHANGES_WHAT_IS_OPEN, check_telling
from relay.sandbox.fake_api.tally import Tally


def judge(log: PlayerLog, expected: Sequence[Identity] | None) -> Tally:
    """Judge one player session."""
    walk = _Walk(log.entries, expected)
    for entry in log.entries:
        walk.take(entry)
    walk.find_missing()
    return walk.tally


class _Early(msgspec.Struct):
    """What came first on a resumed session."""

    entries: list[Entry] = []
    has_later: bool = False


class _Walk:
    """Goes through a log once, in the order in which the API took it."""

    def __init__(self, entries: Sequence[Entry], expected: Sequence[Identity] | None) -> None:
        self.tally = Tally()
        self._is_expected_known = expected is not None
        self._ranks: dict[Identity, int] = {}
        self._due: dict[Identity, int] = {}  # how often it is expected
        self._type_expected: dict[int, str] = {}
        for rank, identity in enumerate(expected or ()):
            self._ranks.setdefault(identity, rank)
            self._due[identity] = self._due.get(identity, 0) + 1
            self._type_expected[identity[0]] = identity[1]

        self._taken: dict[Identity, int] = {}  # how often
        self._unanswered: set[Identity] = set()  # when it was taken last
        self._refused: dict[Identity, None] = {}
        self._ends_without_session: dict[Identity, None] = {}
        self._found_gone: dict[int, str] = {}  # ts → the event that found its session gone
        self._early = _find_early(entries)
        self._told: set[int] = set()  # entries, by the identity of the object

        self._rank_max = -(1 << 63)  # below any ts
        self._ts_max = 0
        self._latest: ApiLog | None = None  # the API session that was opened last
        self._is_latest_answered = False
        self._is_ended = False
        self._is_ended_by_client = False
        self._start_content: bytes | None = None  # None while nobody knows what the player session began with
        self._changes: list[Entry] = []  # what may have opened or closed something

    def take(self, entry: Entry) -> None:
        """Take in one entry."""
        heard = entry.heard
        identity = (heard.ts, heard.event_type)
        if entry.outcome is Outcome.REFUSED:
            if self._is_expected_known or not _may_be_told_again(entry) or self._found_gone.get(heard.ts) == heard.event_type:
                self._refused[identity] = None
        elif entry.outcome is Outcome.GONE:
            self._take_gone(entry, identity)
        elif heard.event_type == SESSION_START:
            self._take_opening(entry, identity)
        elif id(entry) not in self._told:
            self._take_event(entry, identity)

    def _take_gone(self, entry: Entry, identity: Identity) -> None:
        if identity[1] == SESSION_END:
            self._ends_without_session[identity] = None
        if not _may_be_told_again(entry):
            self._found_gone[identity[0]] = identity[1]

    # --- openings ---------------------------------------------------------------------------------------------------------------

    def _take_opening(self, entry: Entry, identity: Identity) -> None:
        heard, tally = entry.heard, self.tally
        is_first = self._latest is None
        is_first_word = not heard.is_resumed or is_first or self._is_ended
        is_said_by_player = identity in self._due if self._is_expected_known else is_first_word
        tally.openings += 1
        if not (is_said_by_player or self._latest is None or self._latest.is_lost or self._is_ended) and self._is_latest_answered:
            tally.openings_needless += 1
        self._latest = entry.session
        self._is_latest_answered = entry.outcome is Outcome.ACCEPTED
        self._is_ended = self._is_ended_by_client = False
        if heard.is_resumed and not is_said_by_player:
            tally.openings_resumed += 1
            self._check_resumed(entry)
            return
        self._start_content = heard.content
        self._changes.clear()
        if is_said_by_player:
            self._count(entry, identity)
        elif heard.ts in self._type_expected:
            tally.openings_joined += 1
        else:
            tally.extra += 1
            tally.find(f"extra: {_name(identity)}")

    def _check_resumed(self, opening: Entry) -> None:
        start, tally = opening.heard, self.tally
        is_known = self._start_content is not None
        early = self._early.get(id(opening.session)) or _Early()
        telling = check_telling(
            start=start,
            early=early.entries,
            refused_type=self._type_expected.get(start.ts) or self._found_gone.get(start.ts),
            changes=self._changes if is_known else None,
            has_later=early.has_later,
        )
        self._told.update(id(entry) for group in telling.told for entry in group)
        repeats = sum(len(group) - 1 for group in telling.told)
        tally.told_again += len(telling.told)
        tally.repeats += repeats
        tally.repeats_excused += repeats
        fault = telling.fault
        if self._is_expected_known and start.ts not in self._type_expected:
            fault = f"opened again at {start.ts}, when the player said nothing"
        elif is_known and start.content != self._start_content:
            fault = f"opened again at {start.ts} with other params or custom metadata than at first"
        if fault:
            tally.retold_wrong += 1
            tally.find(f"told wrongly: {fault}")

    # --- events -----------------------------------------------------------------------------------------------------------------

    def _take_event(self, entry: Entry, identity: Identity) -> None:
        ts, event_type = identity
        is_end = event_type == SESSION_END
        if self._is_expected_known and identity not in self._due:
            if is_end and ts >= self._ts_max:
                self.tally.ends_added += 1
                self._is_ended = self._is_ended_by_client = True
            elif event_type == PING and ts > self._ts_max:
                self.tally.pings_added += 1
            else:
                self.tally.extra += 1
                self.tally.find(f"extra: {_name(identity)}")
            return
        self._count(entry, identity)
        if is_end:
            self._is_ended = True
        elif event_type in CHANGES_WHAT_IS_OPEN and entry.outcome is Outcome.ACCEPTED:
            self._changes.append(entry)

    def _count(self, entry: Entry, identity: Identity) -> None:
        tally = self.tally
        count = self._taken.get(identity, 0)
        if count >= self._due.get(identity, 1):
            tally.repeats += 1
            if identity in self._unanswered:
                tally.repeats_excused += 1
            else:
                tally.find(f"repeated: {_name(identity)}")
        else:
            tally.received += 1
            rank = self._ranks.get(identity, identity[0])
            if rank >= self._rank_max:
                self._rank_max = rank
            elif not count:
                tally.out_of_order += 1
                tally.find(f"out of order: {_name(identity)}")
        self._taken[identity] = count + 1
        self._ts_max = max(self._ts_max, identity[0])
        if entry.outcome is Outcome.UNANSWERED:
            self._unanswered.add(identity)
        else:
            self._unanswered.discard(identity)

    # --- what never came --------------------------------------------------------------------------------------------------------

    def find_missing(self) -> None:
        """Look, at the end, for what never came, and why it did not."""
        tally, taken = self.tally, self._taken
        if not self._is_expected_known:
            tally.refused_by_fault = len(self._refused.keys() - taken.keys())
            tally.ends_without_session = len(self._ends_without_session.keys() - taken.keys())
            return
        is_session_refused = False
        for identity, due in self._due.items():
            ts, event_type = identity
            if event_type == SESSION_START:
                is_session_refused = identity in self._refused
            elif (ts, SESSION_START) in self._refused:  # opening in place of a lost session, or joining
                is_session_refused = True
            never_taken = due - taken.get(identity, 0)
            if never_taken <= 0:
                continue
            if is_session_refused or identity in self._refused:
                tally.refused_by_fault += never_taken
            elif identity in self._ends_without_session or (event_type == SESSION_END and self._is_ended_by_client):
                tally.ends_without_session += never_taken
            else:
                tally.missing += never_taken
                tally.find(f"missing: {_name(identity)}")


def _find_early(entries: Iterable[Entry]) -> dict[int, _Early]:
    """Gather what came first on each resumed session: all at the ts of its start, up to the first of another ts."""
    early: dict[int, _Early] = {}
    for entry in entries:
        session, heard = entry.session, entry.heard
        if session is None or not session.start.is_resumed or heard.event_type == SESSION_START or entry.outcome is Outcome.GONE:
            continue
        so_far = early.setdefault(id(session), _Early())
        if heard.ts != session.start.ts:
            so_far.has_later = True
        elif not so_far.has_later:
            so_far.entries.append(entry)
    return early


def _may_be_told_again(entry: Entry) -> bool:
    return entry.session is not None and entry.session.start.is_resumed and entry.session.start.ts == entry.heard.ts


def _name(identity: Identity) -> str:
    return f"{identity[1]} at {identity[0]}"

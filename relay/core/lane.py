"""The waiting events of one player session, and what the relay knows of its API session: head first, one call in flight.

A lane is data; `session.py` moves it from state to state, `router.py` decides whose turn it is.
"""

from __future__ import annotations

from enum import IntEnum
from math import inf
from typing import TYPE_CHECKING

from relay.core.playback import Playback
from relay.core.split import Split

if TYPE_CHECKING:
    from relay.core.assignment import Assignment
    from relay.core.events import ApiSessionId, Derived, Details, PlayerEvent, SessionKey
    from relay.core.pressure import Circuit
    from relay.core.reasons import Reason
    from relay.core.sequence import Sequence


class State(IntEnum):
    """Where a player session stands. At rest it waits for its turn, for a timer or for an event; in flight it waits for an answer."""

    # At rest.
    ABSENT = 0  # no API session, and none is being opened
    READY = 1  # an API session is open
    LOST = 2  # the API session is gone and another is needed
    COMPLETED = 3  # sessionComplete was taken: only sessionEnd may follow
    ENDED = 4  # over; a sessionStart begins again
    REFUSED = 5  # the API refused to open it; a sessionStart begins again
    PARKED = 6  # it held up others for too long: what comes is set aside; a sessionStart begins again
    # In flight: opening.
    OPENING = 7  # for a sessionStart
    JOINING = 8  # for an event of a session that is already under way
    REOPENING = 9  # in place of a lost one
    # In flight: sending.
    SENDING = 10  # an event
    COMPLETING = 11  # a sessionComplete
    CLOSING = 12  # a sessionEnd
    CLOSING_COMPLETED = 13  # a sessionEnd after a sessionComplete
    TELLING = 14  # something that was open in the lost session
    REPLACING = 15  # the relay's own sessionEnd, before a second sessionStart
    PINGING = 16  # the relay's own ping, for a silent player
    SUSPENDING = 17  # the relay's own sessionEnd, for a player that is silent for too long; his next event opens another session


IN_FLIGHT_FROM = State.OPENING
SENDING_FROM = State.SENDING
OVER = frozenset({State.ABSENT, State.COMPLETED, State.ENDED, State.REFUSED, State.PARKED})  # no event but a new beginning is welcome


class Silence:
    """What the relay says for a player that is silent goes on from here."""

    __slots__ = ("is_known", "playhead", "said", "since", "speak_again_at", "speak_at", "ts")

    def __init__(self, since: float, ts: int, playhead: float) -> None:
        """Begin with the player's last event, and the moment at which it came in."""
        self.since = since
        self.ts = ts
        self.playhead = playhead
        self.speak_at = since  # the next ping; the first is due at once
        self.speak_again_at = since  # likewise, if the last one failed
        self.said: PlayerEvent | None = None  # what is under way
        self.is_known = False  # a memoir tells of it


class Lane:
    """One player session of one assignment. Compared by identity: a session that comes back after a rebalance has another lane."""

    __slots__ = (
        "__weakref__",
        "active_at",
        "asides",
        "assignment",
        "attempts",
        "derived",
        "derived_ahead",
        "done_offset",
        "failed_cause",
        "failed_in",
        "failed_status",
        "failures",
        "first_tried_at",
        "had_session",
        "held_since",
        "is_changed",
        "is_queued",
        "is_replayed",
        "is_stale",
        "is_suspended",
        "is_untold",
        "is_waiting",
        "judge",
        "key",
        "last_offset",
        "last_playhead",
        "last_ts",
        "latest_digest",
        "latest_ts",
        "opened_at",
        "openings",
        "playback",
        "route",
        "sent_offset",
        "sequence",
        "served_seen",
        "session_id",
        "silence",
        "split",
        "start",
        "state",
        "strikes",
        "ticket",
        "to_tell",
        "told_count",
        "waiting",
    )

    def __init__(self, key: SessionKey, assignment: Assignment) -> None:
        """Begin empty: nothing is known of the session yet."""
        self.key = key
        self.assignment = assignment
        self.state = State.ABSENT
        self.waiting: list[PlayerEvent] = []  # a list, not a deque: an idle lane costs 56 bytes instead of 760
        self.active_at = 0.0

        # What came in, where somebody looks at its order.
        self.latest_ts = -1
        self.latest_digest = 0
        self.sequence: Sequence | None = None

        # What the relay knows of the API session.
        self.session_id: ApiSessionId | None = None
        self.route = ""  # what the dialect wants back with each event
        self.start: Details | None = None
        self.playback: Playback | None = None
        self.to_tell: list[PlayerEvent] = []
        self.told_count = 0  # of what was open, how much the session that stands for a lost one has been told
        self.is_untold = False  # restored in the middle of the telling: it goes on before the next event
        self.had_session = False
        self.is_replayed = False  # another API session is needed for events that come again
        self.is_suspended = False  # the relay itself ended the API session; the next event opens another that resumes it
        self.opened_at = inf  # the API session, where somebody needs to know
        self.silence: Silence | None = None  # the relay speaks for the player
        self.last_playhead: float = 0
        self.last_ts = 0
        self.last_offset = -1  # the highest of the events that left the head

        self.done_offset = -1  # a memoir says that all up to here is finished
        self.asides: dict[int, Reason] | None = None  # by offset, what was set aside and has no confirmed dead letter yet
        self.derived: Derived | None = None  # from player states, up to what has left the head
        self.derived_ahead: Derived | None = None  # and up to what waits, where that is further
        self.split: Split | None = None  # the record that has left in part
        self.sent_offset = -1  # of the last head that was sent, to watch over the order
        self.is_changed = False  # the memoir no longer says what is open
        self.is_stale = False  # the memoir no longer says how far the playhead is: good enough, but for a farewell

        # Whose turn it is.
        self.is_queued = False
        self.is_waiting = False  # a timer is set
        self.ticket = 0  # of that timer

        # The trouble with the head.
        self.attempts = 0  # requests in all
        self.strikes = 0  # answers of 500 while the API served others
        self.failures = 0  # since the last success: the exponent of the backoff
        self.openings = 0  # sessions that were opened for it
        self.failed_in = -1  # how often its circuit had closed when it last failed: after an outage each try is a first one
        self.judge: Circuit | None = None  # the kind of calls that is being tried
        self.served_seen = 0  # how many of them the API had served when the head was last tried
        self.first_tried_at = 0.0
        self.held_since = 0.0  # since when it fails while the API serves others; 0 when it does not
        self.failed_cause = ""  # of the last failure, for those who look on; it says something while `failures` is not 0
        self.failed_status = 0

    @property
    def is_in_flight(self) -> bool:
        """Whether an answer is awaited."""
        return self.state >= IN_FLIGHT_FROM

    @property
    def has_more(self) -> bool:
        """Whether something has come in that has not left: here, or before it for others to go first."""
        return bool(self.waiting or (self.sequence is not None and self.sequence.held))

    def take_head(self) -> PlayerEvent:
        """The head is done with; the next event has a fresh start."""
        head = self.waiting.pop(0)
        self.attempts = 0
        self.strikes = 0
        self.judge = None
        self.failures = 0
        self.openings = 0
        self.held_since = 0.0
        if head.record is not None:  # one that comes again after a restart, since its dead letter was not confirmed, does not lead back
            self.last_offset = max(self.last_offset, head.record.offset)
        if head.part is not None:
            self._take_part(head)
        return head

    def _take_part(self, head: PlayerEvent) -> None:
        assert head.record is not None
        assert head.part is not None
        if self.split is None or self.split.offset != head.record.offset:
            self.split = Split(head.record.offset)
        self.split.done = head.part.number
        if head.part.after is not None:
            self.derived = head.part.after
            if self.derived_ahead is self.derived:
                self.derived_ahead = None
        self.is_changed = True  # a restart must go on behind it

    def set_aside(self, offset: int, reason: Reason) -> None:
        """An event goes to the dead letters. Until its letter is confirmed, a restart must neither forget it nor try it again."""
        if self.asides is None:
            self.asides = {}
        self.asides[offset] = reason

    def stored_aside(self, offset: int) -> None:
        """Its letter is confirmed."""
        if self.asides is not None:
            if offset in self.asides:
                del self.asides[offset]
            self.asides = self.asides or None

    def unconfirmed(self) -> list[tuple[int, Reason]]:
        """What waits for its dead letter, here or in an assignment before whose records have not come again yet; ascending."""
        if self.asides is None:
            return []
        ledger = self.assignment.ledger
        end = ledger.end
        self.asides = {o: reason for o, reason in self.asides.items() if ledger.is_outstanding(o) or end is None or o >= end} or None
        return sorted((self.asides or {}).items())

    def remember(self, event: PlayerEvent) -> None:
        """The API took an event of the player: keep what a new session would have to be told."""
        self.seen_at(event)
        if event.event_type in Playback.CHANGED_BY:
            if self.playback is None:
                self.playback = Playback()
            self.playback.apply(event)
            self.is_changed = True

    def seen_at(self, event: PlayerEvent) -> None:
        """The API session has come as far as this event."""
        self.last_playhead = event.playhead
        self.last_ts = event.ts
        self.is_stale = True

    def forget_session(self) -> None:
        """The API session is over: keep nothing of it."""
        self.session_id = None
        self.start = None
        self.playback = None
        self.to_tell = []
        self.is_untold = False
        self.told_count = 0
        self.is_suspended = False
        self.silence = None
        self.is_changed = True

    def __repr__(self) -> str:
        """Name the state, never the player's key."""
        return f"Lane({self.assignment.topic}[{self.assignment.partition}] {self.state.name}, {len(self.waiting)} waiting)"

"""What must have happened in some world or other: a world in which nothing is under way when a relay dies proves nothing.

In: names, as things happen. Out: how often each of them did. A test holds that every one of them occurs in the worlds that each run of the
tests goes through, and `explore.py` prints the counts: whoever changes the players, the faults or the relay sees what is no longer reached.
"""

from collections import Counter
from typing import Final

from relay.core.reasons import Reason

# Of a process that ends, and what was under way then.
KILLED: Final = {
    "a call": "killed with a call under way",
    "memoirs": "killed with a memoir on its way",
    "letters": "killed with a dead letter on its way",
    "telling": "killed while a new session was told what is open",
    "opened": "killed between the answer to an opening and its memoir",
    "leaving": "killed while its partitions left",
    "waiting": "killed with events waiting",
    "backlog": "killed with records that wait for their schema",
    "parts": "killed within a record of several parts",
    "silent": "killed while it spoke for a silent player",
    "held_up": "killed with offsets finished beyond one that is not",
}
ENDED: Final = (
    "SIGTERM with a call under way",
    "SIGTERM before the group was joined",
    "SIGTERM in an outage",
    "a second SIGTERM with a call under way",
    "fenced by another member of its name",
)

# Of the API.
API: Final = (
    "purged with an ad break open",
    "purged while the relay spoke for a silent player",
    "purged while a new session was told what is open",
    "gone when it was told what is open",
    "gone once more for the same event",
    "gone when its end came",
    "the answer to an opening lost",
    "the answer to an end lost",
    "the answer to what is told again lost",
    "taken long after the caller had given up",
    "a hostile answer to an opening",
    "a hostile answer to an event",
    "refused with a status that no API has",
    "asked to wait for ages",
    "out for longer than it takes to notice",
    "refused us",
)

# Of Kafka.
KAFKA: Final = (
    "a partition given back with its call under way",
    "a partition moved from one relay to another with a session open",
    "a commit refused as its partition left",
    "a commit refused while the group agreed",
    "a commit stored, and said to have failed",
    "a commit that took a second",
    "partitions lost, and the relay went on",
    "a relay stood still, and others had its partitions when it woke",
    "a memoir of an owner that was came after a newer one",
    "a memoir could not be written",
    "a dead letter could not be written",
    "read again from before",
    "several partitions taken in one revoke",
    "the source was paused",
    "the schema of a record was waited for",
)

# Of a session that is taken up by the next owner of its partition.
TAKEN_UP: Final = {
    **{standing: f"taken up {standing}" for standing in ("open", "completed", "lost", "ended", "refused", "parked")},
    "split": "taken up within a record of several parts",
    "untold": "taken up before it was told all that is open",
    "asides": "taken up with a dead letter that is not confirmed",
    "silent": "taken up while silent",
    "suspended": "taken up after the relay had ended it for its silent player",
    "break": "taken up with an ad break open",
    "derived": "taken up with states of its player",
    "derived_break": "taken up with states of its player, in an ad",
    "receipt": "a partition taken up with offsets finished beyond the committed one",
}

# Of what became of events.
OUTCOMES: Final = {
    **{
        reason: f"set aside: {reason}"
        for reason in (
            *(Reason.REJECTED, Reason.ATTEMPTS_EXHAUSTED, Reason.LOST_TOO_OFTEN, Reason.TOO_OLD, Reason.AFTER_END, Reason.SESSION_REFUSED),
            *(Reason.PARKED, Reason.NO_SESSION_START, Reason.NOT_JSON, Reason.EMPTY_VALUE, Reason.INVALID_EVENT, Reason.UNKNOWN_EVENT_TYPE),
        )
    },
    "unknown": "not sent again, since its answer was lost",
    "too_old": "dropped for its age",
    "shed": "a ping shed under an overload",
    "unchanged": "a state that says nothing new",
    "kept alive": "a silent session kept alive",
    "ended for": "a silent session ended by the relay",
    "derived in parts": "a state that comes to several events",
}

SITUATIONS: Final = frozenset({*KILLED.values(), *ENDED, *API, *KAFKA, *TAKEN_UP.values(), *OUTCOMES.values()})


class Situations(Counter[str]):
    """How often each has happened."""

    def sometimes(self, name: str, *, happens: bool = True) -> None:
        """It happens, or not."""
        assert name in SITUATIONS, name
        self[name] += happens

    @property
    def missing(self) -> list[str]:
        """Those that did not happen."""
        return sorted(SITUATIONS - {name for name, count in self.items() if count})

"""What must hold when a world has become quiet: each record ended in one right way.

In: the account, and all records. Out: `Violation`. Each player session is followed along its log with a state machine of its own, much
smaller than the relay's, since it knows how each record ended.
"""

from collections.abc import Iterable
from typing import Final

from simulation.checks import Account
from simulation.facts import Violation
from simulation.hostility import NO_STATUSES
from simulation.stories import Said

from relay.core.reasons import Reason

_MOODS: Final = frozenset(
    {Reason.ATTEMPTS_EXHAUSTED, Reason.LOST_TOO_OFTEN, Reason.TOO_OLD, Reason.PARKED}
)  # the API may answer otherwise another time


def check_end(account: Account, saids: Iterable[Said]) -> None:
    """Everything was delivered, or is in the dead letters with a reason that is right."""
    for said in saids:
        if said.poison is not None and (set(said.letters) != {said.poison} or said.acceptances):
            raise Violation(f"{said} is poison ({said.poison}), and became {said.letters}")
    for player in account.players.values():
        walk = _Walk(account, was_restarted=account.tenure_counts[player[0].partition] > 1)
        for said in player:
            if not walk.follow(said):
                break


class _Walk:
    """Follows one player session."""

    def __init__(self, account: Account, *, was_restarted: bool) -> None:
        self.account, self.terms = account, account.terms
        self.was_restarted = was_restarted  # the partition had more than one owner, and the end of a session is not remembered for ever
        self.state = "absent"

    def follow(self, said: Said) -> bool:
        """One record; False when from here on several outcomes are right."""
        letters = set(said.letters)
        if letters and said.acceptances:
            self._check_both(said, letters)
            return False
        if letters:
            if len(letters) > 1:
                self.account.figures.excuse("two reasons")
                return False
            self._check_reason(said, letters.pop())
        elif said.acceptances and not any(one.was_heard for one in said.acceptances) and any(part.letters for part in said.siblings):
            self.account.figures.excuse("taken unheard, and perhaps set aside with its record")
            return False
        elif said.acceptances or said.was_skipped:
            self._check_delivery(said)
        elif any(part.letters for part in said.siblings):
            self.account.figures.excuse("set aside with its record")
            return False  # for which reason, nobody says
        elif self.account.may_be_dropped(said):
            self.account.figures.excuse("dropped")
        elif self.account.was_ended_by_loss(said):
            self.state = "ended"
        else:
            raise Violation(f"{said} is lost")
        return True

    def _check_both(self, said: Said, letters: set[Reason]) -> None:
        """It was delivered and set aside: right only where nobody could know of the one when the other happened."""
        tenures = [*(one.tenure for one in said.acceptances), *said.put_by]
        is_certain = all(one.was_heard for one in said.acceptances) and not any(tenure.is_unclean for tenure in tenures)
        if is_certain and not (self.terms.may_forget and len(said.parts) > 1 and len(set(tenures)) > 1):  # its record came again
            raise Violation(f"{said} was delivered and is in the dead letters: {letters}")
        may_be_forgotten = self.terms.may_forget or said.key in self.account.overwritten
        moods = _MOODS if NO_STATUSES.isdisjoint(said.refusals) else _MOODS | {Reason.REJECTED}
        if letters - moods and not may_be_forgotten and not any(tenure.is_excluded for tenure in tenures):
            raise Violation(f"{said} was delivered, and when it came again it was set aside: {letters}")
        self.account.figures.excuse("both delivered and in the dead letters")

    @property
    def _may_be_unknown(self) -> bool:
        return self.state == "absent" or (self.state == "ended" and self.was_restarted) or self.terms.may_forget

    def _check_delivery(self, said: Said) -> None:
        kind, state = said.kind, self.state
        if kind == "sessionStart":
            self.state = "open"
            return
        is_joining = said.start is not None and self._may_be_unknown
        if state != "open" and not (state == "completed" and kind == "sessionEnd") and not is_joining:
            raise Violation(f"{said} was delivered, though its session is {state}")
        self.state = {"sessionComplete": "completed", "sessionEnd": "ended"}.get(kind, "open")

    def _check_reason(self, said: Said, reason: Reason) -> None:
        state = self.state
        right = {
            Reason.REJECTED: said.is_bad or not NO_STATUSES.isdisjoint(said.refusals),
            Reason.ATTEMPTS_EXHAUSTED: said.refusals.count(500) >= self.terms.attempts_max,
            Reason.LOST_TOO_OFTEN: said.openings >= self.terms.openings_max,
            Reason.TOO_OLD: self.terms.may_be_too_old,
            Reason.AFTER_END: state in ("ended", "completed"),
            Reason.SESSION_REFUSED: state == "refused",
            Reason.PARKED: state == "parked" or said.failed_since is not None,
            Reason.NO_SESSION_START: said.start is None and self._may_be_unknown,
        }
        if not right.get(reason, False):
            raise Violation(f"{said} was set aside as {reason}, though its session is {state}, with answers {said.refusals}")
        if said.was_joined_at:
            self.state = "open"
        if reason is Reason.PARKED:
            self.state = "parked"
        elif said.kind == "sessionStart":
            self.state = "refused"

"""What must hold at each step: the account of everything that can be seen from outside the relay.

In: calls, answers, commits, letters, memoirs, and who held which partition. Out: `Violation` at once, or figures. Nothing here looks into
the relay.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from simulation.api import ApiSession, Flight
from simulation.facts import Figures, LostTrack, Tenure, Terms, Violation
from simulation.kafka import Entry, Topic
from simulation.situations import OUTCOMES, Situations
from simulation.stories import Said
from simulation.wording import OPENS_FOR_START, OWN, RESUMES, check_body, check_own, told_by, what_is_open

from relay.core import memoir, receipts
from relay.core.commands import Cause
from relay.core.events import EventType
from relay.core.inputs import Accepted, Lost, Misconfigured, Opened, TryAgain, Verdict
from relay.core.parking import OVERRUN
from relay.core.policies import TooOld
from relay.core.reasons import Reason
from relay.kafka.source import CommitPoint

if TYPE_CHECKING:
    from simulation.consumer import Consumer

_SERVER_ERROR: Final = 500
FORGOTTEN: Final = "forgotten while it waited to be read again"
UNREAD_SECONDS: Final = 7.0  # a record that has not come for so long is taken for none, and a look comes once a second
PASS_SECONDS: Final = 0.001  # so soon after it is told the pump has taken in what it is told


class Account:
    """Sees everything, and checks it at once."""

    def __init__(self, topic: Topic, clock: Callable[[], float], terms: Terms, situations: Situations) -> None:
        """Begin with nothing seen."""
        self.figures = Figures()
        self.sometimes = situations.sometimes
        self.sessions: dict[str, list[ApiSession]] = {}
        self.players: dict[str, list[Said]] = {}
        self.silent: dict[str, list[Said]] = {}  # records that come to nothing, and may wait in a lane all the same
        self.group_owners: list[Consumer | None] = []
        self.flights: dict[str, list[Flight]] = {}  # by key, those that are under way
        self.tenure_counts = [0] * len(topic.ends)
        self.terms = terms
        self.served_at = 0.0  # when somebody last heard that the API serves
        self._topic = topic
        self._clock = clock
        self._covered: list[set[int]] = [set() for _ in topic.ends]
        self._committed = [0] * len(topic.ends)
        self._remembered: dict[str, tuple[int, str]] = {}  # by key, place and writer of the last memoir
        self.overwritten: set[str] = set()  # keys whose newest memoir is not the last

    # --- calls ------------------------------------------------------------------------------------------------------------------------

    def departed(self, flight: Flight) -> None:  # noqa: C901  # one promise after the other
        """A call begins: it is the only one of its session, and says what the player said."""
        tenure, head = flight.tenure, flight.head
        under_way = self.flights.setdefault(flight.key, [])
        for other in under_way:
            if other.tenure.process == tenure.process:
                raise Violation(f"two calls at once in {tenure.process} for {flight.key}: {other.kind} {other.head}, {flight.kind} {head}")
            if not (other.tenure.is_unclean or tenure.is_excluded):
                raise Violation(f"two calls at once for {flight.key}: {other.tenure} {other.head} and {tenure} {head}")
        under_way.append(flight)
        if flight.kind in OWN:
            self.figures.own += 1
            if flight.kind == "rest":
                self._mean_to_end(flight)
            check_own(flight, self.players[flight.key])
            return
        if tenure.knows_finished(head.offset):
            raise Violation(f"{head} goes out although its receipt said it was finished: {tenure}")
        if tenure.leaving_since and self._clock() > tenure.leaving_since + PASS_SECONDS:
            raise Violation(f"{head} goes out although its partition leaves: {tenure}")
        if head.put_by and flight.kind in ("event", "open") and not (tenure.is_excluded or self.terms.may_forget):
            for after in self.players[flight.key][head.place + 1 :]:
                if after.acceptances and tenure.knows_finished(after.offset):
                    raise Violation(f"{head} was set aside and goes out again, though {after} is on record")
        if flight.kind == "end" or head.kind == "sessionEnd":
            self._mean_to_end(flight)
        if head.was_skipped and flight.kind == "event" and head.was_unanswered_by is tenure:
            raise Violation(f"{head} goes again, though its answer was lost and its kind is skipped then")
        check_body(flight, self.players[flight.key])

    def answered(self, flight: Flight, verdict: Verdict) -> None:  # noqa: C901  # one verdict after the other
        """The process hears how a call has ended."""
        self.flights[flight.key].remove(flight)
        flight.heard_at = self._clock()
        head, session = flight.head, flight.session
        if isinstance(verdict, Opened):
            assert session is not None
            flight.was_heard = session.was_answered = True
            session.answered_at = flight.heard_at
            head.openings += 1
        elif isinstance(verdict, Accepted):
            flight.was_heard = True
            if flight.kind == "rest":
                self._meant(flight).was_found_gone = True  # whoever ended it knows that
        elif isinstance(verdict, Lost):
            self.sometimes("gone when it was told what is open", happens=flight.kind == "told")
            self.sometimes("gone once more for the same event", happens=flight.kind == "event" and head.was_found_gone)
            self.sometimes("gone when its end came", happens=flight.kind == "event" and head.kind == "sessionEnd")
            self._meant(flight).was_found_gone = True
            head.was_found_gone |= flight.kind == "event"
        elif isinstance(verdict, TryAgain) and flight.kind in OWN:
            pass  # there is no event that it could be held against
        elif isinstance(verdict, TryAgain):
            head.failed_since = head.failed_since or flight.heard_at
            if verdict.is_outcome_unknown:
                self.sometimes("the answer to an opening lost", happens=flight.kind == "open" and flight.session is not None)
                self.sometimes("the answer to an end lost", happens=flight.kind == "event" and head.kind == "sessionEnd")
                self.sometimes("the answer to what is told again lost", happens=flight.kind == "told")
                self._was_unanswered(flight)
        if not isinstance(verdict, TryAgain | Misconfigured):
            self.served_at = flight.heard_at
        status = getattr(verdict, "status", 0)
        if status and flight.kind in ("event", "open"):
            head.refusals.append(status)
        if flight.kind == "told" and not flight.was_heard:
            self._was_told_in_vain(flight, status)

    def check_silence(self, head: Said) -> None:
        """Nothing of the player waits in the log when the relay speaks for it."""
        for after in self.players[head.key][head.place + 1 :]:
            is_unread = after.offset > head.offset and not after.is_settled  # after a crash it goes on from a memoir, which knows no pings
            if is_unread and after.appended_at < self._clock() - UNREAD_SECONDS:
                raise Violation(f"the relay speaks after {head}, though {after} waits since {self._clock() - after.appended_at:.1f} s")

    def _was_unanswered(self, flight: Flight) -> None:
        """Nobody knows what became of it; some kinds do not go again then."""
        head = flight.head
        is_skipped = flight.kind != "open" and flight.body["eventType"] in self.terms.skipped_when_unknown
        if flight.kind == "event":
            head.was_unanswered_by = flight.tenure
            head.was_skipped |= is_skipped
        elif flight.kind == "told":
            self._meant(flight).is_told_with_gaps |= is_skipped

    def may_be_dropped(self, said: Said) -> bool:
        """Whether it is too old by now, and of a kind that is dropped then; or a ping with another one behind it, where pings are shed."""
        if said.poison is not None:
            return False
        if self.terms.may_shed and said.kind == "ping" and any(after.kind == "ping" for after in self.players[said.key][said.place + 1 :]):
            return True
        is_old = self._clock() - said.appended_at > self.terms.age_seconds_max
        return is_old and self.terms.too_old.get(EventType(said.kind)) is TooOld.DROP

    def _mean_to_end(self, flight: Flight) -> None:
        for session in self.sessions.get(flight.key, []):
            session.is_meant_to_end |= f"/{session.session_id}/" in flight.target

    def _was_told_in_vain(self, flight: Flight, status: int) -> None:
        meant = self._meant(flight)
        meant.is_told_hardly = True
        meant.is_told_unclearly |= flight.session is not None
        if status == _SERVER_ERROR:
            meant.told_refused.append(told_by(flight))

    def open_things(self, key: str) -> set[str]:
        """What is open in the session of a player, as far as the API knows."""
        player = self.players[key]
        taken = [said for said in player if said.acceptances]
        after = player[taken[-1].place + 1 :] if taken else []
        return {kind for kind, _, _ in what_is_open(player, after[0])} if after else set()

    def check_track(self, key: str) -> None:
        """What is derived from states rests on memoirs; where an old one stands in the place of a newer, nobody can say what comes next."""
        if key in self.overwritten and self.players[key][0].is_derived:
            raise LostTrack

    def _meant(self, flight: Flight) -> ApiSession:
        return next(one for one in self.sessions[flight.key] if f"/{one.session_id}/" in flight.target)

    def gone(self, flights: Iterable[Flight]) -> None:
        """The process of these calls is no more."""
        for flight in flights:
            flight.is_over = True
            self.flights[flight.key].remove(flight)

    def accepted(self, flight: Flight, session: ApiSession) -> None:
        """The API has taken something."""
        self.sometimes("taken long after the caller had given up", happens=flight.is_over)
        flight.session = session
        if flight.kind == "open":
            self.figures.openings += 1
            self._check_opening(flight, session)
            self.sessions.setdefault(flight.key, []).append(session)
            if session.cause in OPENS_FOR_START:
                self._take(flight)
            elif session.cause is Cause.REJOINED:
                flight.head.was_joined_at = True
            return
        if flight.tenure is not session.tenure or (flight.kind == "told" and flight.is_ghost):
            session.is_told_unclearly = True
        if flight.kind == "told":
            self.figures.told += 1
            session.told.append(told_by(flight))
            session.told_head = flight.head
        elif flight.kind == "event":
            if session.heard_count == 0 and not flight.is_ghost:
                self._check_told(flight, session)
            session.heard_count += 1
            self._take(flight)

    def _take(self, flight: Flight) -> None:
        """A record is accepted: in its turn, and again only with a reason."""
        said = flight.head
        self.figures.accepted += 1
        if said.acceptances:
            self.figures.repeats += 1
        if not flight.is_ghost:
            for earlier in said.acceptances:
                self._check_repeat(said, earlier, flight)
            if not said.acceptances:
                for before in self.players[said.key][: said.place]:
                    was_put_by = any(part.put_by for part in before.parts)
                    if not (before.is_settled or was_put_by or self.was_ended_by_loss(before) or self.may_be_dropped(before)):
                        raise Violation(f"{said} is accepted before {before}")
                for after in self.players[said.key][said.place + 1 :]:
                    if after.acceptances and flight.tenure.knows_finished(after.offset) and not flight.tenure.is_excluded:
                        raise Violation(f"{said} is accepted after {after}, which was on record")
        said.acceptances.append(flight)

    def _check_repeat(self, said: Said, earlier: Flight, again: Flight) -> None:
        was = earlier.tenure
        if not earlier.was_heard:
            self.figures.excuse("an answer was lost")
        elif again.tenure.is_excluded:
            self.figures.excuse("a zombie repeats")
        elif was is not again.tenure and was.is_unclean:
            self.figures.excuse(f"partition {was.ended or 'taken from a zombie'}")
            limit = self.terms.repeat_seconds_max
            if limit is not None and was.ended_at - earlier.heard_at > limit:
                raise Violation(f"{said} is repeated, though heard {was.ended_at - earlier.heard_at:.2f} s before the end of {was}")
        elif was is not again.tenure and self.terms.may_forget:
            self.figures.excuse(FORGOTTEN)
        else:
            raise Violation(f"{said} is repeated without a reason: first by {was}, then by {again.tenure}")

    def _check_opening(self, flight: Flight, session: ApiSession) -> None:
        if flight.is_ghost:
            return
        for before in reversed(self.sessions.get(flight.key, [])):
            if before.was_answered:
                break
            if not before.has_ended:
                self.figures.openings_again += 1
                self.figures.excuse("the answer to an opening was lost")
        else:
            return
        if not (before.has_ended or before.was_found_gone or self.terms.may_forget):
            self._check_opening_after(before, flight, session)

    def _check_opening_after(self, before: ApiSession, flight: Flight, session: ApiSession) -> None:
        """Another session is opened while the one before lives."""
        is_another = flight.head.kind == "sessionStart" and flight.head.place > before.head.place
        if is_another:
            # Nothing could be said to the session that was parked, an end as little as anything else: the API lets it expire.
            was_parked = any(said.was_parked for said in self.players[flight.key] if before.head.offset <= said.offset)
            between = self.players[flight.key][before.head.place : flight.head.place]
            was_end_too_old = bool(self.terms.too_old) and any(
                said.kind == "sessionEnd" and any(part.put_by for part in said.parts) for said in between
            )
            if before.tenure is flight.tenure and not (before.is_meant_to_end or was_parked or was_end_too_old):
                raise Violation(f"{flight.head} opens another session and leaves {before} open")
            return
        self.figures.openings_again += 1
        was_durable = before.durable_at is not None and before.durable_at < flight.tenure.began_at
        if flight.key in self.overwritten:
            self.figures.excuse("a zombie wrote over a memoir")
        elif before.tenure.is_excluded or flight.tenure.is_excluded:
            self.figures.excuse("a zombie opened a session")
        elif before.tenure is not flight.tenure and before.tenure.is_unclean and not was_durable:
            self.figures.excuse("the answer to an opening was not durable")
            limit = self.terms.durable_seconds_max
            was_slow = before.tenure.stood_still or before.tenure.leaving_since
            if limit is not None and not was_slow and before.tenure.ended_at - before.answered_at > limit:
                raise Violation(f"{before} was not made durable in {limit} s")
        else:
            raise Violation(f"{flight.key} is opened again ({session.cause}) at {flight.head}, though {before} lives")

    # --- what is told again -----------------------------------------------------------------------------------------------------------

    def _check_told(self, flight: Flight, session: ApiSession) -> None:
        said = flight.head
        head = session.told_head or session.head
        player = self.players[flight.key]
        if (
            any((before.put_by or self._was_perhaps_dropped(before, flight.tenure)) and before.acceptances for before in player)
            or flight.tenure.is_excluded
            or said.acceptances
        ):
            return
        if said.key in self.overwritten:
            return
        if session.is_told_with_gaps:
            return
        if self.terms.may_be_too_old and session.is_told_hardly:
            return  # something was too old to be tried once more
        expected = what_is_open(player, head) if session.cause in RESUMES else []
        # What was refused so often may be left out; a try counts only where the API served others meanwhile, so it may be told as well.
        certain = [one for one in expected if session.told_refused.count(one) < self.terms.attempts_max]
        told = [one for one in session.told if one in certain or one not in expected]
        if set(certain) - set(told) if session.is_told_unclearly else told != certain:
            raise Violation(f"before {said} was told {session.told}, and not {expected}")

    def _was_perhaps_dropped(self, said: Said, tenure: Tenure) -> bool:
        """The API took it, and this owner may have dropped it for its age without knowing that."""
        return self.may_be_dropped(said) and not any(one.was_heard and one.tenure is tenure for one in said.acceptances)

    # --- Kafka ------------------------------------------------------------------------------------------------------------------------

    def committed(self, consumer: "Consumer", point: CommitPoint) -> None:
        """A commit is stored: by the owner, for nothing unfinished, and nothing that was on record is forgotten."""
        partition = point.partition
        self.figures.commits += 1
        if self.group_owners[partition] is not consumer:
            raise Violation(f"{consumer.name} commits {point} and does not own it")
        ranges = receipts.read(point.metadata, point.offset)
        covered = set(self._topic.offsets_within(partition, -1, point.offset))
        for first, end in ranges:
            covered.update(self._topic.offsets_within(partition, first, end))
        for offset in covered - self._covered[partition]:
            for said in self._topic.saids[partition][offset]:
                if not (said.is_settled or self.was_ended_by_loss(said) or self.may_be_dropped(said)):
                    raise Violation(f"{said} is on record as finished, and is not: {point} {ranges}")
        if point.offset < self._committed[partition]:
            raise Violation(f"the committed offset goes back from {self._committed[partition]}: {point}")
        if forgotten := self._covered[partition] - covered:
            raise Violation(f"the receipt forgets {sorted(forgotten)}: {point} {ranges}")
        self._covered[partition], self._committed[partition] = covered, point.offset

    def is_on_record(self, said: Said) -> bool:
        """Whether a receipt says that a record is finished."""
        return said.offset in self._covered[said.partition]

    def put_aside(self, said: Said, reason: Reason) -> None:
        """A dead letter is written. Who is parked failed for a while, and the API served others meanwhile."""
        if reason is not Reason.PARKED:
            return
        said.was_parked = True
        self.figures.parked += 1
        if said.failed_since is not None:
            waited = self._clock() - said.failed_since
            waiting = (*self.players[said.key], *self.silent.get(said.key, ()))
            behind = sum(one.offset >= said.offset for one in waiting)  # also what comes again after a crash
            is_patient = waited >= self.terms.park_after_seconds or behind >= OVERRUN * self.terms.session_events_max
            if not is_patient or self.served_at <= said.failed_since:
                raise Violation(f"{said} is parked after {waited:.2f} s, and the API last served at {self.served_at}")

    def stored(self, said: Said, reason: Reason) -> None:
        """A dead letter is stored."""
        self.figures.letters += 1
        said.letters.append(reason)
        self.sometimes(OUTCOMES[reason])

    def remembered(self, entry: Entry) -> None:
        """A memoir is stored. One that comes late, of an owner that was, takes the place of a newer one when the topic is compacted."""
        key = entry.key
        at = self._remembered.get(key, (-1, ""))
        if entry.value is None:
            if at[1] != entry.writer:
                self.overwritten.add(key)
            return
        read = memoir.read(entry.value)
        owner = self.group_owners[self.players[key][0].partition]
        is_of_an_owner_that_was = at[1] != entry.writer and (owner is None or owner.name != entry.writer)
        if read.at < at[0] or (read.at == at[0] and is_of_an_owner_that_was):
            self.overwritten.add(key)
            self.sometimes("a memoir of an owner that was came after a newer one")
        self._remembered[key] = (read.at, entry.writer)
        for session in self.sessions.get(key, []):
            if session.session_id == read.id and session.durable_at is None:
                session.durable_at = self._clock()

    def ended(self, tenure: Tenure, how: str, in_flight: int) -> None:
        """A process has let go of a partition. If that was orderly, all that it has heard of is on record.

        When calls under way could not be waited for, at least what it had heard before is.
        """
        tenure.ended, tenure.ended_at, tenure.in_flight_at_end = how, self._clock(), in_flight
        if tenure.is_excluded or how != "left":
            return
        until = tenure.leaving_since - PASS_SECONDS if tenure.is_unclean else self._clock()
        for said in (said for parts in self._topic.saids[tenure.partition].values() for said in parts):
            # Of a record that says several things, all of them: what another owner has heard of meanwhile does not count.
            heard = [[one for one in part.acceptances if one.tenure is tenure and one.was_heard] for part in said.parts]
            was_heard = all(any(one.heard_at <= until for one in of_part) for of_part in heard)
            if was_heard and not self.is_on_record(said):
                raise Violation(f"{said} was delivered and is not on record after an orderly end: {tenure}")

    def was_ended_by_loss(self, said: Said) -> bool:
        """A sessionEnd whose API session was gone: nothing is left to end, and no call tells of it."""
        return said.kind == "sessionEnd" and any(session.was_found_gone for session in self.sessions.get(said.key, []))

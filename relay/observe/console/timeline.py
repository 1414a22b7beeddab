"""One session: as it stands, what happened to it, and where it lives.

In: a lane, a line, or a key. Out: the shapes of the session's page and of `relay session`.
"""

from collections.abc import Sequence

from relay.core.events import SessionKey
from relay.core.lane import Lane
from relay.observe import audit
from relay.observe.console import shapes
from relay.observe.console.records import letter, opening
from relay.observe.console.sessions import Finder
from relay.observe.console.subject import Found, Subject
from relay.observe.timelines import Line, Rank, Row, What


class Teller:
    """Tells of single sessions."""

    def __init__(self, subject: Subject, finder: Finder) -> None:
        """Look at this relay."""
        self._subject = subject
        self._finder = finder

    async def named(self, topic: str, partition: int, name: str, *, follow: bool = False) -> shapes.TimeLine | None:
        """The session of this name, held or remembered."""
        lane = await self._finder.lane_named(topic, partition, name)
        if lane is not None:
            return self.of_lane(lane, follow=follow)
        for line in self._subject.witness.lines:
            if (line.topic, line.partition) == (topic, partition) and self._subject.name(line.key) == name:
                return self._tell(line.key, topic, partition, None, line)
        return None

    async def whereabouts(self, key: SessionKey, *, follow: bool = False) -> shapes.Whereabouts:
        """Where the session of this key lives: here, else where its partition is."""
        subject = self._subject
        lines = [self.of_lane(lane, follow=follow) for lane in self._finder.lanes_of(key)]
        if not lines and (line := subject.witness.lines.kept.get(key)) is not None:
            lines = [self._tell(key, line.topic, line.partition, None, line)]
        found: Sequence[Found] = () if lines else await subject.locate(key)
        return shapes.Whereabouts(
            name=subject.name(key),
            asked=subject.facts.name,
            lines=lines,
            candidates=[
                shapes.Candidate(
                    topic=one.topic,
                    partition=one.partition,
                    partitioner=one.partitioner,
                    is_here=(one.topic, one.partition) in subject.router.assignments,
                    holder=None if one.holder is None else shapes.Holder(member=one.holder[0], client=one.holder[1], host=one.holder[2]),
                )
                for one in found
            ],
        )

    def of_lane(self, lane: Lane, *, follow: bool = False) -> shapes.TimeLine:
        """A session that is held; from now on with a longer time line, if so asked."""
        lines, assignment = self._subject.witness.lines, lane.assignment
        line = lines.begin(lane, Rank.FOLLOWED) if follow else lines.of_lane(lane)
        return self._tell(lane.key, assignment.topic, assignment.partition, lane, line)

    def _tell(self, key: SessionKey, topic: str, partition: int, lane: Lane | None, line: Line | None) -> shapes.TimeLine:
        subject, records = self._subject, self._subject.witness.audit
        was_delivered = lane is not None and lane.last_ts > 0

        def is_its(place: audit.Place) -> bool:
            return (place.key, place.topic, place.partition) == (key, topic, partition)

        return shapes.TimeLine(
            session=None if lane is None else self._finder.session(lane),
            name=subject.name(key),
            topic=topic,
            partition=partition,
            api_session=None if lane is None else subject.shown(lane.session_id),
            playhead=lane.last_playhead if lane is not None and was_delivered else None,
            player_time=lane.last_ts / 1000 if lane is not None and was_delivered else None,
            kept_since=None if line is None else subject.wall(line.since),
            is_followed=line is not None and line.rank is Rank.FOLLOWED,
            left_out=0 if line is None else line.left_out,
            more_waiting=0 if line is None else line.uncounted,
            steps=[] if line is None else steps(line.rows, subject, lane),
            openings=[opening(one, subject) for one in records.latest_openings() if is_its(one.place)],
            letters=[letter(one, subject) for letters in records.letters.values() for one in reversed(letters) if is_its(one.place)],
        )


def steps(rows: Sequence[Row], subject: Subject, lane: Lane | None) -> list[shapes.Step]:
    """Rows with the time between them."""
    told: list[shapes.Step] = []
    before: float | None = None
    for row in rows:
        begun = row.received_at or row.sent_at
        told.append(
            shapes.Step(
                at=subject.wall(row.at),
                gap_seconds=0.0 if before is None else round(max(0.0, row.at - before), 3),
                what=row.what,
                event=row.event,
                offset=None if row.offset < 0 else row.offset,
                delay_seconds=_between(row.appended_at, row.received_at),
                queued_seconds=_between(begun, row.sent_at),
                took_seconds=_between(row.sent_at, row.answered_at),
                tries=row.tries,
                outcome=row.outcome or _outcome(row, lane),
                cause=row.cause,
                status=row.status,
            )
        )
        before = row.at
    return told


def _between(begin: float, end: float) -> float | None:
    return round(max(0.0, end - begin), 4) if begin and end else None


def _outcome(row: Row, lane: Lane | None) -> str:
    """An event that a receipt says was finished before a restart is read again, and never leaves."""
    if row.what is not What.EVENT or row.sent_at or lane is None:
        return ""
    return "" if lane.assignment.ledger.is_outstanding(row.offset) else "finished before"

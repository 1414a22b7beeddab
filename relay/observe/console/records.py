"""Partitions, openings, dead letters, calls and settings: what the other pages show."""

from typing import Final

from relay.core.assignment import Assignment, Stage
from relay.core.commands import Cause
from relay.core.head_of_line import finished_beyond, held_back
from relay.core.reasons import Reason
from relay.observe import audit
from relay.observe.console import shapes
from relay.observe.console.overview import circuits, counted, failures, state_name, throttled_seconds
from relay.observe.console.subject import Subject
from relay.observe.console.words import REASONS
from relay.observe.metrics import Histogram

PARTITIONS_PAGE: Final = 200
OPENINGS_PAGE: Final = 100
NAMED_SECONDS: Final = 5.0
NAMED_MAX: Final = 10  # to name a session is to search the lanes of its partition


def partitions(subject: Subject, begin: str = "") -> shapes.Partitions:
    """Those that are ours, in order."""
    places = sorted(subject.router.assignments)
    first = _number(begin)
    lag = subject.parts.lags()
    shown = places[first : first + PARTITIONS_PAGE]
    standing = subject.parts.standing_since()
    named = sorted((one for one, since in standing.items() if subject.age(since) >= NAMED_SECONDS), key=lambda one: standing[one])
    held = {one: _held_by(one, subject) for one in named[:NAMED_MAX]}
    return shapes.Partitions(
        partitions=[
            _partition(assignment, lag.get(place), standing.get(assignment), held.get(assignment), subject)
            for place in shown
            for assignment in (subject.router.assignments[place],)
        ],
        count=len(places),
        next=_following(first, PARTITIONS_PAGE, len(places)),
    )


def _held_by(assignment: Assignment, subject: Subject) -> shapes.HeldBy | None:
    held = held_back(subject.router, assignment)
    if held is None:
        return None
    return shapes.HeldBy(
        name=subject.name(held.key),
        key=subject.shown(held.key),
        offset=held.offset,
        waits_for=held.waits_for,
        cause=held.cause,
        status=held.status,
        tries=held.attempts,
    )


def _partition(
    assignment: Assignment, lag: int | None, standing_since: float | None, held: shapes.HeldBy | None, subject: Subject
) -> shapes.Partition:
    ledger = assignment.ledger
    oldest = ledger.oldest_appended_at
    return shapes.Partition(
        topic=assignment.topic,
        partition=assignment.partition,
        stage="owned" if assignment.stage is Stage.OWNED else "leaving",
        lag=lag,
        committed=ledger.safe,
        read_to=ledger.end,
        unfinished=ledger.outstanding_count,
        oldest_undelivered_seconds=0.0 if oldest is None else subject.age(oldest),
        finished_beyond=finished_beyond(assignment),
        standing_seconds=0.0 if standing_since is None else subject.age(standing_since),
        held_by=held,
        sessions=len(assignment.lanes),
        in_flight=assignment.in_flight,
        letters_pending=assignment.asides_pending,
    )


def openings(subject: Subject, cause: str = "", begin: str = "") -> shapes.Openings:
    """The latest, of one cause or of all."""
    kept = subject.witness.audit.latest_openings([Cause(cause)] if cause else tuple(Cause))
    first = _number(begin)
    counts = subject.tallies.counters["relay_sessions_opened_total"].counts
    return shapes.Openings(
        openings=[opening(one, subject) for one in kept[first : first + OPENINGS_PAGE]],
        counts=counted({values[0]: number for values, number in counts.items()}),
        kept=len(kept),
        next=_following(first, OPENINGS_PAGE, len(kept)),
    )


def opening(one: audit.Opening, subject: Subject) -> shapes.Opening:
    """One of them."""
    return shapes.Opening(
        at=subject.wall(one.at),
        cause=one.cause,
        name=subject.name(one.place.key),
        key=subject.shown(one.place.key),
        topic=one.place.topic,
        partition=one.place.partition,
        offset=one.place.offset,
        event=one.event,
        after_status=one.after_status,
    )


def dead_letters(subject: Subject) -> shapes.DeadLetters:
    """By reason, the most frequent first."""
    records = subject.witness.audit
    groups = [
        shapes.LetterGroup(
            reason=one.name,
            meaning=REASONS.get(Reason(one.name), ""),
            count=one.count,
            samples=[letter(sample, subject) for sample in reversed(records.letters[one.name])],
        )
        for one in counted(records.letter_counts)
    ]
    return shapes.DeadLetters(
        since=subject.started_at,
        count=sum(group.count for group in groups),
        pending=subject.parts.letters_pending(),
        topic=subject.facts.dead_letter_topic,
        faults=[
            shapes.Fault(reason=one.reason, path=one.path, problem=one.problem, count=one.times) for one in subject.tallies.faults.top()
        ],
        groups=groups,
    )


def letter(one: audit.Letter, subject: Subject) -> shapes.Letter:
    """One of them."""
    return shapes.Letter(
        at=subject.wall(one.at),
        reason=one.reason,
        name=subject.name(one.place.key),
        key=subject.shown(one.place.key),
        topic=one.place.topic,
        partition=one.place.partition,
        offset=one.place.offset,
        tries=one.attempts,
        status=one.status,
        detail=subject.shown(one.detail),
    )


def calls(subject: Subject) -> shapes.Calls:
    """How the API is."""
    records, tallies = subject.witness.audit, subject.tallies
    switches = [
        shapes.Switch(at=subject.wall(one.at), operation=one.operation, state=state_name(one.state)) for one in reversed(records.switches)
    ]
    return shapes.Calls(
        circuits=circuits(subject),
        in_flight=subject.router.in_flight,
        concurrency_max=subject.facts.concurrency_max,
        pace=round(subject.router.requests_per_second or 0.0, 1),
        throttled_seconds=throttled_seconds(subject),
        operations=[_operation(name, durations, tallies.requests) for name, durations in sorted(tallies.request_seconds.items())],
        failures=failures(subject),
        switches=switches,
        problems=[_problem(one, subject) for one in reversed(records.problems)],
    )


def _operation(name: str, durations: Histogram, requests: dict[tuple[str, int], int]) -> shapes.Operation:
    statuses = {str(status) if status else "none": float(number) for (operation, status), number in requests.items() if operation == name}
    return shapes.Operation(
        operation=name,
        requests=sum(durations.counts),
        latency=shapes.Latency(p50_seconds=round(durations.quantile(0.5), 4), p99_seconds=round(durations.quantile(0.99), 4)),
        statuses=counted(statuses),
    )


def _problem(one: audit.Problem, subject: Subject) -> shapes.Problem:
    return shapes.Problem(
        at=subject.wall(one.at),
        change=one.change,
        cause=one.cause,
        status=one.status,
        name=subject.name(one.place.key),
        topic=one.place.topic,
        partition=one.place.partition,
        offset=one.place.offset,
    )


def settings(subject: Subject) -> shapes.Settings:
    """What is in force."""
    return shapes.Settings(
        settings=[shapes.Setting(name=name, value=value, source=source) for name, value, source in subject.facts.settings]
    )


def _number(begin: str) -> int:
    return int(begin) if begin.isdecimal() else 0


def _following(first: int, page: int, count: int) -> str:
    return str(first + page) if first + page < count else ""

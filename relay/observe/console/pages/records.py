"""Partitions, dead letters, openings, API calls and settings."""

import json
from collections.abc import Sequence
from typing import Final

from relay.core.commands import Cause
from relay.observe.console import shapes
from relay.observe.console.html import Child, Markup
from relay.observe.console.pages.layout import (
    button,
    code,
    details,
    div,
    form,
    grid,
    h2,
    label,
    live,
    moment,
    onward,
    option,
    p,
    page,
    pill,
    place_of,
    select,
    session_link,
    span,
    summary,
)
from relay.observe.console.words import CAUSES, NOTHING, count, plural, rate, seconds

LATE_SECONDS: Final = 60.0
_CIRCUITS: Final = {"closed": ("serves", "well"), "probing": ("fails", "trouble"), "held": ("refuses us", "trouble")}
_OPERATIONS: Final = {"open": "openings", "send": "events"}


def partitions_page(relay: shapes.Instance, found: shapes.Partitions) -> bytes:
    """Every partition that is ours."""
    rows = [
        (
            place_of(one.topic, one.partition),
            NOTHING if one.lag is None else count(one.lag),
            _age(one.oldest_undelivered_seconds),
            count(one.unfinished),
            count(one.finished_beyond),
            _holder(one),
            count(one.sessions),
            count(one.in_flight),
            NOTHING if one.committed is None else count(one.committed),
            count(one.letters_pending),
        )
        for one in found.partitions
    ]
    heads = ("partition", "lag", "oldest", "under way", "done beyond", "held back by", "sessions", "calls", "committed to", "letters")
    return page(
        relay,
        live(
            "partitions",
            p("What is done beyond the oldest event of a partition cannot be committed before it.", class_="muted"),
            grid("Partitions of this relay", heads, rows, figures=(1, 2, 3, 4, 6, 7, 8, 9), empty="This relay holds none."),
            onward("partitions", {}, found.next),
        ),
        at="/partitions",
        name="Partitions",
        api="/api/partitions",
    )


def _holder(one: shapes.Partition) -> Child:
    held = one.held_by
    if held is None:
        return NOTHING
    session = session_link(held.name, held.key, one.topic, one.partition) if held.name else "a dead letter"
    cause = f", {held.cause.replace('_', ' ')}" if held.cause else ""
    waits = held.waits_for.replace("_", " ")
    return [session, f" for {seconds(one.standing_seconds)}: {waits}{cause}, {plural(held.tries, 'try', 'tries')}"]


def _age(age: float) -> Child:
    return NOTHING if not age else pill(seconds(age), "watch") if age > LATE_SECONDS else seconds(age)


def dead_letters_page(relay: shapes.Instance, letters: shapes.DeadLetters) -> bytes:
    """What this relay has set aside."""
    return page(
        relay,
        live(
            "letters",
            p(
                f"{plural(letters.count, 'event')} set aside since ",
                moment(letters.since),
                " UTC, ",
                f"{count(letters.pending)} not confirmed by Kafka yet. The letters themselves are in ",
                code(letters.topic),
                ".",
            ),
            _faults(letters.faults) if letters.faults else None,
            [_group(group, is_masked=relay.is_masked) for group in letters.groups]
            or p("Nothing was set aside since this relay started.", class_="muted"),
        ),
        at="/dead-letters",
        name="Dead letters",
        api="/api/dead-letters",
    )


def _faults(faults: Sequence[shapes.Fault]) -> Markup:
    rows = [(code(one.path) if one.path else NOTHING, one.problem.replace("_", " "), count(one.count), one.reason) for one in faults]
    return grid("What was wrong with them", ("where", "what", "events", "reason"), rows, figures=(2,))


def _group(group: shapes.LetterGroup, *, is_masked: bool) -> Markup:
    rows: list[tuple[Child, ...]] = [
        (
            moment(one.at),
            session_link(one.name, one.key, one.topic, one.partition),
            place_of(one.topic, one.partition, one.offset),
            count(one.tries),
            str(one.status) if one.status else NOTHING,
            span("masked", class_="muted") if is_masked else one.detail or NOTHING,
        )
        for one in group.samples
    ]
    heads = ("set aside", "session", "partition @ offset", "tries", "answer", "detail")
    return details(
        summary(span(code(group.reason), class_="name"), " ", span(count(group.count), class_="number"), " ", span(group.meaning)),
        grid(f"The latest of {group.reason}", heads, rows, figures=(3, 4)),
        p("On a terminal: ", code(f"relay dead-letters list --reason {group.reason}"), ", then show or replay.", class_="muted"),
        id=f"reason-{group.reason}",
        class_="group",
    )


def openings_page(relay: shapes.Instance, found: shapes.Openings, cause: str) -> bytes:
    """Why API sessions were opened."""
    counts = ", ".join(f"{count(one.count)} {one.name}" for one in found.counts) or "none yet"
    rows = [
        (
            moment(one.at, is_fine=True),
            session_link(one.name, one.key, one.topic, one.partition),
            pill(one.cause, "watch" if one.cause == "lost" else "plain"),
            f"{CAUSES.get(one.cause, one.cause)}{f' (answer {one.after_status})' if one.after_status else ''}",
            one.event,
            place_of(one.topic, one.partition, one.offset),
        )
        for one in found.openings
    ]
    heads = ("at", "session", "cause", "why", "for the event", "partition @ offset")
    return page(
        relay,
        form(
            div(
                label("Cause", for_="cause"),
                select(
                    option("any", value=""),
                    [option(one.value, value=one.value, selected=one.value == cause) for one in Cause],
                    id="cause",
                    name="cause",
                ),
            ),
            div(button("Show", type="submit")),
            class_="filters",
            action="/openings",
            method="get",
        ),
        live(
            "openings",
            p(f"API sessions opened since the start: {counts}. The latest 500 of each cause are kept.", class_="muted"),
            grid("Openings, the newest first", heads, rows, empty="None yet."),
            onward("openings", {"cause": cause}, found.next),
        ),
        at="/openings",
        name="Openings",
        api="/api/openings",
    )


CIRCUIT_HEADS: Final = ("for", "it", "under way", "at most", "what to check")


def circuit_rows(circuits: Sequence[shapes.Circuit]) -> list[tuple[Child, ...]]:
    """Openings and events: whether the API serves them, and how many may be under way."""
    return [
        (_OPERATIONS[one.operation], pill(*_CIRCUITS[one.state]), count(one.in_flight), count(one.limit), one.advice or NOTHING)
        for one in circuits
    ]


def _flow(calls: shapes.Calls) -> str:
    said = f"{count(calls.in_flight)} of at most {count(calls.concurrency_max)} calls are under way."
    if calls.pace:
        said += f" {rate(calls.pace)} may leave per second."
    if calls.throttled_seconds:
        said += f" The API has asked for a pause: nothing leaves for another {seconds(calls.throttled_seconds)}."
    asked = sum(one.throttled for one in calls.circuits)
    return f"{said} It has asked for less {plural(asked, 'time')} since the start." if asked else said


def calls_page(relay: shapes.Instance, calls: shapes.Calls) -> bytes:
    """How the API is."""
    operations = [
        (
            _OPERATIONS[one.operation],
            count(one.requests),
            seconds(one.latency.p50_seconds),
            seconds(one.latency.p99_seconds),
            ", ".join(f"{status.name}: {count(status.count)}" for status in one.statuses),
        )
        for one in calls.operations
    ]
    problems = [
        (
            moment(one.at, is_fine=True),
            one.change.replace("_", " "),
            one.cause.replace("_", " ") or NOTHING,
            str(one.status) if one.status else "none",
            session_link(one.name, None, one.topic, one.partition),
            place_of(one.topic, one.partition, one.offset),
        )
        for one in calls.problems
    ]
    switches = [(moment(one.at), _OPERATIONS[one.operation], pill(*_CIRCUITS[one.state])) for one in calls.switches]
    failures = [(one.name.replace("_", " "), count(one.count)) for one in calls.failures]
    return page(
        relay,
        live(
            "calls",
            p(_flow(calls)),
            div(
                grid("Does it serve?", CIRCUIT_HEADS, circuit_rows(calls.circuits), figures=(2, 3)),
                grid("Tried again, by cause", ("cause", "calls"), failures, figures=(1,), empty="No call was."),
                grid("Changes", ("at", "for", "it"), switches, empty="It has served all the time."),
                class_="columns",
            ),
            grid(
                "Answers since the start",
                ("for", "requests", "half within", "99 of 100 within", "by status"),
                operations,
                figures=(1, 2, 3),
            ),
            grid(
                "The latest calls that did not end well",
                ("at", "what", "cause", "answer", "session", "partition @ offset"),
                problems,
                empty="Every call ended well.",
            ),
        ),
        at="/calls",
        name="API calls",
        api="/api/calls",
    )


def settings_page(relay: shapes.Instance, settings: shapes.Settings) -> bytes:
    """What is in force."""
    rows = [(code(one.name), _value(one.value), one.source) for one in settings.settings]
    return page(
        relay,
        p("What is in force and where it comes from. Secrets are masked.", class_="muted"),
        grid("Settings", ("name", "value", "from"), rows),
        at="/settings",
        name="Settings",
        api="/api/settings",
        refresh_seconds=0,
    )


def missing_page(relay: shapes.Instance, said: str) -> bytes:
    """Not found."""
    return page(relay, h2("Not found"), p(said), at="", name="Not found", api="/api/", refresh_seconds=0)


def _value(value: object) -> Child:
    match value:
        case None:
            return NOTHING
        case str():
            return value
        case _:
            return json.dumps(value, default=str)

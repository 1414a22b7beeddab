"""One session: what it waits for, and its time line, with the gaps."""

from typing import Final

from relay.observe.console import shapes
from relay.observe.console.html import Child, Markup, path
from relay.observe.console.pages.layout import button, code, dd, div, dl, dt, form, h2, li, live, moment, ol, p, page, pill, span, strong
from relay.observe.console.pages.layout import text_input as hidden
from relay.observe.console.pages.sessions import state_pill
from relay.observe.console.words import CAUSES, count, plural, seconds, stamp
from relay.observe.timelines import ROWS_FIRST

GAP_SECONDS: Final = 15.0  # players ping every ten

_SENTENCES: Final = {
    "opened": "API session opened",
    "lost": "The API no longer knows the session",
    "refused": "The API refused to open the session",
    "ended": "Session ended",
    "forgotten": "Forgotten: it was silent for too long",
    "telling_refused": "The new session refused what was open",
    "retried": "A call failed and is tried again",
    "given_up": "Given up: it failed too often or too long",
    "parked": "Parked: it failed for long and held up others",
    "repeated_unknown": "The answer was lost; the same call goes again",
    "skipped_unknown": "The answer was lost; the event does not go again",
    "opening": "Opening a session",
    "told": "Told again",
    "farewell": "The session is ended by the relay",
    "kept_alive": "Kept alive for a silent player",
    "suspended": "Ended for a silent player; the next event resumes it",
    "came_late": "An event came in late",
    "came_twice": "An event came in twice",
    "scattered": "The session lives in two partitions",
}
_LEVELS: Final = {
    "opened": "well",
    "lost": "watch",
    "retried": "watch",
    "refused": "trouble",
    "telling_refused": "trouble",
    "given_up": "trouble",
    "parked": "trouble",
    "came_late": "watch",
    "came_twice": "watch",
    "scattered": "trouble",
    "repeated_unknown": "watch",
    "skipped_unknown": "watch",
    "answer lost": "watch",
    "dropped": "watch",
    "set aside": "trouble",
}


def session_page(relay: shapes.Instance, line: shapes.TimeLine) -> bytes:
    """The whole page."""
    where = ("sessions", line.topic, line.partition, line.name)
    shown = (line.session.key if line.session is not None else None) or line.name
    return page(
        relay,
        live("now", _now(line)),
        _follow(line, path(*where)),
        live("line", h2("Time line"), _line(line)),
        at="/sessions",
        name=f"Session {shown}",
        api=path("api", *where),
    )


def _now(line: shapes.TimeLine) -> Markup:
    session = line.session
    if session is None:
        return p("This relay no longer holds the session: it is over, was forgotten, or its partition went elsewhere.")
    facts: list[tuple[str, Child]] = [
        ("waits for", strong(session.waits_for)),
        ("state", state_pill(session.state)),
        ("partition", f"{line.topic} {line.partition}"),
        ("events that wait", _waiting(session)),
        ("silent for", seconds(session.silent_seconds)),
    ]
    if line.playhead is not None:
        facts.append(("playhead", f"{line.playhead:g} s"))
    if line.player_time is not None:
        facts.append(("player's clock", stamp(line.player_time)))
    if line.api_session is not None:
        facts.append(("API session", code(line.api_session)))
    return dl([div(dt(name), dd(value)) for name, value in facts], class_="facts")


def _waiting(session: shapes.Session) -> str:
    return f"{count(session.waiting)}, the first since {seconds(session.oldest_waiting_seconds)}" if session.waiting else "none"


def _follow(line: shapes.TimeLine, where: str) -> Markup:
    if line.is_followed:
        return p("A longer time line of this session is kept: 2,000 rows.", class_="muted")
    return form(
        hidden(type="hidden", name="follow", value="yes"),
        button("Keep a longer time line", type="submit"),
        action=where,
        method="get",
        class_="follow",
    )


def _line(line: shapes.TimeLine) -> Child:
    if line.kept_since is None:
        return p("No time line of this session is kept: there is room for some only. Ask for one above, and it begins now.")
    if not line.steps:
        return p("A time line is kept from now on; nothing has happened since.")
    items: list[Markup] = []
    for place, step in enumerate(line.steps):
        if line.left_out and place == ROWS_FIRST:
            items.append(li(f"{plural(line.left_out, 'row')} left out", class_="gap"))
        if step.gap_seconds >= GAP_SECONDS:
            items.append(li(f"{seconds(step.gap_seconds)} of silence", class_="gap"))
        items.append(_step(step))
    more = f" {plural(line.more_waiting, 'event')} came in while too many waited to have a row each." if line.more_waiting else None
    return [
        p("The newest first. Kept since ", moment(line.kept_since), " UTC.", more, class_="muted"),
        ol(reversed(items), class_="line", reversed=True),
    ]


def _step(step: shapes.Step) -> Markup:
    level = _LEVELS.get(step.outcome if step.what == "event" else step.what, "plain")
    return li(
        span(moment(step.at, is_fine=True), class_="at"),
        div(
            p(_head(step), class_="what"),
            p(" · ".join(_particulars(step)), class_="muted particulars"),
            class_="told",
        ),
        class_=level,
    )


def _head(step: shapes.Step) -> list[Child]:
    if step.what != "event":
        told = f": {step.event}" if step.what in {"told", "opening"} and step.event else ""
        return [strong(_SENTENCES.get(step.what, step.what) + told), " ", span(step.outcome, class_="muted") if step.outcome else None]
    outcome = step.outcome or ("sent, no answer yet" if step.tries else "received, waits")
    shown = (
        span(outcome, class_="muted")
        if outcome == "delivered"
        else pill(outcome, _LEVELS.get(step.outcome, "plain" if step.outcome else "watch"))
    )
    return [strong(step.event or "event"), " ", shown]


def _particulars(step: shapes.Step) -> list[str]:
    said: list[str] = []
    if step.cause:
        said.append(CAUSES.get(step.cause, step.cause.replace("_", " ")))
    if step.status and f"{step.status}" not in step.cause:
        said.append(f"answer {step.status}")
    if step.delay_seconds is not None:
        said.append(f"{seconds(step.delay_seconds)} after Kafka had it")
    if step.queued_seconds is not None and step.what == "event":
        said.append(f"sent after {seconds(step.queued_seconds)}")
    if step.took_seconds is not None:
        took = seconds(step.took_seconds)
        said.append(f"{step.tries} tries in {took}" if step.tries > 1 else f"answered in {took}")
    if step.offset is not None:
        said.append(f"offset {count(step.offset)}")
    return said

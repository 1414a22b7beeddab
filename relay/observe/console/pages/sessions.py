"""Sessions: a form that is a shareable address, and a table."""

from typing import Final

from relay.core.commands import Cause
from relay.core.lane import State
from relay.observe.console import shapes
from relay.observe.console.html import Child, Markup
from relay.observe.console.pages.layout import (
    REFRESH_SECONDS,
    button,
    div,
    form,
    grid,
    label,
    live,
    onward,
    option,
    p,
    page,
    pill,
    place_of,
    select,
    session_link,
    text_input,
)
from relay.observe.console.sessions import STATES, Filter
from relay.observe.console.words import NOTHING, count, plural, seconds
from relay.observe.console.words import STATES as STATE_WORDS

SEARCH_SECONDS: Final = 15  # a filter may have to look at every session
_LEVELS: Final = {"lost": "watch", "reopening": "watch", "refused": "trouble", "parked": "trouble"}


def sessions_page(relay: shapes.Instance, found: shapes.Sessions, wanted: Filter) -> bytes:
    """The whole page. A search by name looks at every session, so it is not repeated by itself."""
    query = {"state": wanted.state, "cause": wanted.cause, "text": wanted.text}
    return page(
        relay,
        _form(wanted, is_masked=relay.is_masked),
        live(
            "found",
            p(_summary(found, is_filtered=any(query.values())), class_="muted"),
            _table(found),
            onward("sessions", query, found.next),
        ),
        at="/sessions",
        name="Sessions",
        api="/api/sessions",
        refresh_seconds=0 if wanted.text else SEARCH_SECONDS if wanted.state else REFRESH_SECONDS,
    )


def _form(wanted: Filter, *, is_masked: bool) -> Markup:
    hint = "its whole key, or its name as logs have it" if is_masked else "a part of its key, or its name as logs have it"
    return form(
        div(label("State", for_="state"), _choice("state", list(STATES), wanted.state)),
        div(label("Opened because", for_="cause"), _choice("cause", [cause.value for cause in Cause], wanted.cause)),
        div(
            label("Session", for_="text"),
            text_input(id="text", name="text", value=wanted.text, autocomplete="off", spellcheck="false", placeholder=hint, size=40),
        ),
        div(button("Find", type="submit")),
        class_="filters",
        action="/sessions",
        method="get",
        role="search",
    )


def _choice(name: str, values: list[str], chosen: str) -> Markup:
    return select(option("any", value=""), [option(value, value=value, selected=value == chosen) for value in values], id=name, name=name)


def _summary(found: shapes.Sessions, *, is_filtered: bool) -> Child:
    shown = plural(len(found.sessions), "session")
    if not is_filtered:
        return f"{shown} of {count(found.held)} in memory."
    more = "; there may be more" if found.next else ""
    return f"{shown} of {count(found.held)} match{'es' if len(found.sessions) == 1 else ''}, {count(found.looked_at)} looked at{more}."


def _table(found: shapes.Sessions) -> Markup:
    rows = [
        (
            session_link(one.name, one.key, one.topic, one.partition),
            state_pill(one.state),
            one.waits_for,
            count(one.waiting),
            seconds(one.oldest_waiting_seconds) if one.waiting else NOTHING,
            seconds(one.silent_seconds),
            place_of(one.topic, one.partition),
        )
        for one in found.sessions
    ]
    heads = ("session", "state", "waits for", "waiting", "oldest", "silent for", "partition")
    return grid("Player sessions", heads, rows, figures=(3, 4, 5), empty="No session matches.")


def state_pill(state: str) -> Markup:
    """A state in words."""
    return pill(STATE_WORDS[State[state.upper()]], _LEVELS.get(state, "plain"))

"""What all pages have in common: head, navigation, foot, tables.

In: a page's own markup. Out: the whole document. Sections that are marked live are replaced by the script while it runs; without it the
page stands as it is.
"""

from collections.abc import Sequence
from typing import Final

from relay.observe.console import shapes
from relay.observe.console.html import Child, Markup, document, element, path
from relay.observe.console.words import fine_time, seconds, stamp, time_of_day

html, head, body, title, meta, link, script = map(element, ("html", "head", "body", "title", "meta", "link", "script"))
header, nav, main, footer, section, div, span, p, a, strong, code = map(
    element, ("header", "nav", "main", "footer", "section", "div", "span", "p", "a", "strong", "code")
)
h1, h2, ul, ol, li, dl, dt, dd = map(element, ("h1", "h2", "ul", "ol", "li", "dl", "dt", "dd"))
table, caption, thead, tbody, tr, th, td = map(element, ("table", "caption", "thead", "tbody", "tr", "th", "td"))
time, form, label, select, option, text_input, button = map(element, ("time", "form", "label", "select", "option", "input", "button"))
details, summary = element("details"), element("summary")

REFRESH_SECONDS: Final = 5
PAGES: Final = (
    ("/", "Overview"),
    ("/sessions", "Sessions"),
    ("/partitions", "Partitions"),
    ("/dead-letters", "Dead letters"),
    ("/openings", "Openings"),
    ("/calls", "API calls"),
    ("/settings", "Settings"),
)


def page(  # noqa: PLR0913  # facts, each by its name
    relay: shapes.Instance,
    *children: Child,
    at: str,
    name: str,
    api: str,
    prefix: str = "",
    refresh_seconds: int = REFRESH_SECONDS,
) -> bytes:
    """The whole document; 0 seconds for one that is not drawn anew by itself."""
    return document(
        html(
            head(
                meta(charset="utf-8"),
                meta(name="viewport", content="width=device-width, initial-scale=1"),
                meta(name="color-scheme", content="light dark"),
                title(f"{prefix}{name} · relay {relay.group}"),
                link(rel="icon", href="/assets/icon.svg", type="image/svg+xml"),
                link(rel="stylesheet", href="/assets/console.css"),
                script(src="/assets/console.js", defer=True) if refresh_seconds else None,
            ),
            body(
                a("Skip to the content", class_="skip", href="#content"),
                _header(relay, at),
                main(h1(name), *children, id="content", tabindex="-1"),
                _footer(relay, api),
                data_refresh=refresh_seconds or None,
            ),
            lang="en",
        )
    )


def _header(relay: shapes.Instance, at: str) -> Markup:
    links = [li(a(name, href=where, aria_current="page" if where == at else None)) for where, name in PAGES]
    return header(
        p(a("relay", href="/"), span(relay.group, class_="muted"), class_="brand"),
        nav(ul(links), aria_label="Pages"),
    )


def _footer(relay: shapes.Instance, api: str) -> Markup:
    return footer(
        p(
            f"{relay.name} · relay {relay.version} · {relay.dialect} · up {seconds(max(0.0, relay.now - relay.started_at))} · ",
            "drawn at ",
            moment(relay.now),
            " UTC",
            id="drawn",
            data_live=True,
        ),
        p(a("This page as JSON", href=api), " · ", span("Reload for newer figures.", id="live"), class_="muted"),
    )


def moment(at: float, *, is_fine: bool = False) -> Markup:
    """A time of day; the whole moment on hover and for machines."""
    return time(fine_time(at) if is_fine else time_of_day(at), datetime=stamp(at), title=stamp(at))


def live(name: str, *children: Child, class_: str | None = None) -> Markup:
    """A section that is replaced while the script runs."""
    return section(*children, id=name, class_=class_, data_live=True)


def grid(name: str, heads: Sequence[str], rows: Sequence[Sequence[Child]], *, figures: Sequence[int] = (), empty: str = "None.") -> Markup:
    """A table with a caption, in a box that scrolls where the window is narrow.

    `figures` are the columns of numbers; what is headed `meaning` is left out where there is no room for it.
    """
    if not rows:
        return div(h2(name), p(empty, class_="muted"))
    classes = ["figure" if place in figures else "meaning" if head == "meaning" else None for place, head in enumerate(heads)]
    return div(
        table(
            caption(name),
            thead(tr([th(text, scope="col", class_=class_) for text, class_ in zip(heads, classes, strict=True)])),
            tbody([tr([td(cell, class_=class_) for cell, class_ in zip(row, classes, strict=True)]) for row in rows]),
        ),
        class_="scroll",
        role="region",
        aria_label=name,
        tabindex="0",
    )


def session_link(name: str, key: str | None, topic: str, partition: int) -> Markup | str:
    """The way to a session's time line."""
    if not name:
        return "unknown"
    return a(code(key or name), href=path("sessions", topic, partition, name))


def place_of(topic: str, partition: int, offset: int | None = None) -> Markup:
    """Where in Kafka."""
    return span(topic, " ", span(f"{partition}" if offset is None else f"{partition} @ {offset:,}", class_="nowrap"))


def pill(text: str, level: str) -> Markup:
    """A word with a colour; the word alone says it too."""
    return span(text, class_=f"pill {level}")


def onward(where: str, query: dict[str, str], following: str) -> Markup | None:
    """The link to the next page."""
    return p(a("Next page", href=path(where, query={**query, "from": following}), rel="next"), class_="onward") if following else None

"""The first page: how it stands in one sentence, the last hour in small plots, and what stands out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from relay.observe.console import shapes
from relay.observe.console.html import Child, Markup
from relay.observe.console.pages.layout import div, grid, h2, li, live, p, page, pill, span, strong, ul
from relay.observe.console.pages.records import CIRCUIT_HEADS, circuit_rows
from relay.observe.console.plots import bar, plot
from relay.observe.console.words import CAUSES, REASONS, count, plural, rate, seconds, size

_TITLES: Final = {"well": "", "watch": "Watch: ", "trouble": "TROUBLE: "}
_ROWS_MAX: Final = 6


class _Plotted(NamedTuple):
    values: Sequence[float]
    words: Callable[[float], str]
    second: Sequence[float] = ()


def overview_page(looked: shapes.Overview, hour: shapes.Series) -> bytes:
    """The whole page."""
    return page(
        looked.relay,
        _standing(looked.standing),
        live("figures", div(_tiles(looked, hour), class_="tiles")),
        live("details", div(_tables(looked), class_="columns")),
        at="/",
        name="Overview",
        api="/api/overview",
        prefix=_TITLES[looked.standing.level],
    )


def _standing(standing: shapes.Standing) -> Markup:
    words = {"well": "Well", "watch": "Watch", "trouble": "Trouble"}
    return live(
        "standing",
        p(pill(words[standing.level], standing.level), " ", strong(standing.sentence), class_="sentence"),
        ul([li(line) for line in standing.advice]) if standing.advice else None,
        class_=f"standing {standing.level}",
    )


def _tiles(looked: shapes.Overview, hour: shapes.Series) -> list[Markup]:
    span_of_time = seconds(hour.at[-1] - hour.at[0]) if len(hour.at) > 1 else "moment"

    def tile(name: str, figure: str, unit: str, note: str, plotted: _Plotted) -> Markup:
        highest = plotted.words(max([*plotted.values, *plotted.second], default=0.0))
        says = f"{name}: now {figure} {unit}, at most {highest} during the last {span_of_time}"
        return div(
            h2(name),
            p(span(figure, class_="number"), " ", span(unit, class_="muted"), class_="now"),
            plot(plotted.values, second=plotted.second, says=says),
            p(span(note), span(f"at most {highest}"), class_="note"),
            class_="tile",
        )

    waiting, held = f"{count(looked.buffer.events)} wait", f"{count(looked.sessions_held)} in memory"
    slowest, oldest = seconds(looked.latency.p99_seconds), seconds(looked.oldest_undelivered_seconds)
    usual = f"half within {seconds(looked.latency.p50_seconds)}"
    calls = f"99 of 100 take {seconds(looked.call_p99_seconds)}"
    delivered, failed = rate(looked.delivered_per_second), rate(looked.failed_calls_per_second)
    latency = _Plotted(hour.latency_p99_seconds, seconds, hour.latency_p50_seconds)
    return [
        tile("Delivered", delivered, "events/s", f"{count(looked.delivered)} in all", _Plotted(hour.delivered_per_second, rate)),
        tile("From Kafka to the API", slowest, "for 99 of 100", usual, latency),
        tile("Not finished", count(looked.lag), "records", plural(looked.partitions, "partition"), _Plotted(hour.lag, count)),
        tile("Oldest undelivered", oldest, "old", waiting, _Plotted(hour.oldest_undelivered_seconds, seconds)),
        tile("Calls that failed", failed, "a second", calls, _Plotted(hour.failed_calls_per_second, rate)),
        tile("Sessions open", count(looked.sessions_open), "", held, _Plotted(hour.sessions_open, count)),
    ]


def _tables(looked: shapes.Overview) -> list[Markup]:
    buffer = looked.buffer
    limits: list[tuple[str, int, int, str, str]] = [
        ("calls under way", looked.in_flight, looked.concurrency_max, count(looked.in_flight), count(looked.concurrency_max)),
        ("events in memory", buffer.events, buffer.events_max, count(buffer.events), count(buffer.events_max)),
        ("their bytes", buffer.bytes, buffer.bytes_max, size(buffer.bytes), size(buffer.bytes_max)),
        ("player sessions", looked.sessions_held, looked.sessions_max, count(looked.sessions_held), count(looked.sessions_max)),
    ]
    rows = [(name, now, most, bar(share / of if of else 0)) for name, share, of, now, most in limits]
    return [
        grid("The API", CIRCUIT_HEADS, circuit_rows(looked.circuits), figures=(2, 3)),
        grid("Limits", ("of", "now", "at most", "share"), rows, figures=(1, 2)),
        grid("Set aside, by reason", ("reason", "events", "meaning"), _counts(looked.reasons, REASONS), figures=(1,), empty="Nothing was."),
        grid("Calls tried again, by cause", ("cause", "calls", "share"), _counts(looked.failures, {}), figures=(1,), empty="None was."),
        grid(
            "Sessions opened, by cause", ("cause", "sessions", "meaning"), _counts(looked.openings, CAUSES), figures=(1,), empty="None yet."
        ),
    ]


def _counts(counts: Sequence[shapes.Count], meanings: Mapping[Any, str]) -> list[tuple[Child, ...]]:
    known = {str(name): meaning for name, meaning in meanings.items()}
    most = max((one.count for one in counts), default=0) or 1
    return [(one.name, count(one.count), known.get(one.name) or bar(one.count / most)) for one in counts[:_ROWS_MAX]]

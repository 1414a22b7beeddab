"""Metrics: what is counted comes out, in both formats, and nothing else costs."""

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from relay.core.commands import Cause, Change
from relay.observe.catalogue import CATALOGUE, SECONDS_BUCKETS, Kind
from relay.observe.metrics import Metrics, Tallies


@pytest.fixture
def tallies() -> Tallies:
    """Fresh tallies."""
    return Tallies()


@pytest.fixture
def metrics(tallies: Tallies) -> Metrics:
    """Metrics over the fresh tallies."""
    return Metrics(tallies, version="1.2.3")


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """All samples by name and labels."""
    text = metrics.expose()[0].decode()
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in parse_text(text) for sample in family.samples}


def test_counts_come_out(tallies: Tallies, metrics: Metrics) -> None:
    """Each thing that happened is counted under its name and labels."""
    tallies.consumed("player-events", 500)
    tallies.consumed("player-events", 3)
    tallies.delivered(0.3)
    tallies.event("dead_lettered", "rejected")
    tallies.event("deduplicated", "finished_before")
    tallies.request("send", 204, 0.004)
    tallies.request("send", 0, 11.0)
    tallies.rebalanced("assigned")
    tallies.committed(is_success=True)
    tallies.restored(7, 0.2)
    found = samples(metrics)
    assert found["relay_consumed_records_total", (("topic", "player-events"),)] == 503
    assert found["relay_events_total", (("outcome", "delivered"), ("reason", ""))] == 1
    assert found["relay_events_total", (("outcome", "dead_lettered"), ("reason", "rejected"))] == 1
    assert found["relay_dlq_records_total", (("reason", "rejected"),)] == 1
    assert found["relay_events_total", (("outcome", "deduplicated"), ("reason", "finished_before"))] == 1
    assert found["relay_api_requests_total", (("operation", "send"), ("status", "204"))] == 1
    assert found["relay_api_requests_total", (("operation", "send"), ("status", "none"))] == 1
    assert found["relay_rebalances_total", (("kind", "assigned"),)] == 1
    assert found["relay_commits_total", (("outcome", "success"),)] == 1
    assert found["relay_sessions_restored_total", ()] == 7
    assert found["relay_build_info", (("version", "1.2.3"),)] == 1


@pytest.mark.parametrize("change", Change)
def test_every_change_of_a_session_can_be_told(tallies: Tallies, change: Change) -> None:
    """Whatever the core announces has its place."""
    tallies.change(change, "")


def test_changes_of_sessions_are_counted(tallies: Tallies, metrics: Metrics) -> None:
    """Openings by cause, ends by reason, tries by cause, things told again."""
    tallies.change(Change.OPENED, Cause.LOST)
    tallies.change(Change.LOST, "")
    tallies.change(Change.RETRIED, "status_503")
    tallies.change(Change.TOLD, "")
    tallies.change(Change.TELLING_REFUSED, "")
    tallies.change(Change.REFUSED, "")
    found = samples(metrics)
    assert found["relay_sessions_opened_total", (("cause", "lost"),)] == 1
    assert found["relay_sessions_closed_total", (("reason", "lost"),)] == 1
    assert found["relay_retries_total", (("reason", "status_503"),)] == 1
    assert found["relay_retold_events_total", ()] == 1
    assert found["relay_retold_refused_total", ()] == 1
    assert found["relay_sessions_refused_total", ()] == 1


def test_histograms_are_cumulative(tallies: Tallies, metrics: Metrics) -> None:
    """A duration on a boundary belongs below it; +Inf holds them all."""
    for seconds in (0.005, 0.0051, 29.0, 31.0):
        tallies.request("open", 201, seconds)
    found = samples(metrics)
    name = "relay_api_request_duration_seconds"
    buckets = [found[f"{name}_bucket", (("le", str(bound)), ("operation", "open"))] for bound in SECONDS_BUCKETS]
    assert buckets[:2] == [1, 2]
    assert buckets[-1] == 3
    assert found[f"{name}_bucket", (("le", "+Inf"), ("operation", "open"))] == 4
    assert found[f"{name}_count", (("operation", "open"),)] == 4
    assert found[f"{name}_sum", (("operation", "open"),)] == pytest.approx(60.0101)


def test_quantiles_lie_within_their_bucket(tallies: Tallies) -> None:
    """Over both operations; what took longer than the last boundary counts as that; nothing measured is 0."""
    assert tallies.request_quantiles(0.5, 0.99) == (0.0, 0.0)
    for _ in range(98):
        tallies.request("send", 204, 0.02)
    tallies.request("open", 201, 0.2)
    tallies.request("open", 0, 60.0)
    half, most, everything = tallies.request_quantiles(0.5, 0.99, 1.0)
    assert 0.01 < half < 0.025
    assert 0.1 < most <= 0.25
    assert everything == 30.0


def test_watched_figures_are_read_at_each_scrape(metrics: Metrics) -> None:
    """A gauge is asked for when somebody looks, with labels or without."""
    lag = {("t", "0"): 5.0, ("t", "1"): 0.0}
    metrics.watch("consumer_lag_messages", lambda: lag)
    metrics.watch("order_violations_total", lambda: 0)
    metrics.watch("ready", lambda: True)
    assert samples(metrics)["relay_consumer_lag_messages", (("partition", "0"), ("topic", "t"))] == 5
    lag["t", "0"] = 6.0
    found = samples(metrics)
    assert found["relay_consumer_lag_messages", (("partition", "0"), ("topic", "t"))] == 6
    assert found["relay_order_violations_total", ()] == 0
    assert found["relay_ready", ()] == 1


@pytest.mark.parametrize("name", ["no_such_metric", "events_total"])
def test_only_declared_figures_can_be_watched(metrics: Metrics, name: str) -> None:
    """A metric that is not in the catalogue, or is counted here, cannot be watched."""
    with pytest.raises(KeyError):
        metrics.watch(name, lambda: 0)


def test_openmetrics_is_given_to_those_who_ask(tallies: Tallies, metrics: Metrics) -> None:
    """Both formats hold the same families, and each parses."""
    tallies.delivered(0.1)
    body, content_type = metrics.expose("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    strict = {family.name for family in parse_openmetrics(body.decode())}
    body, content_type = metrics.expose("text/html")
    assert content_type.startswith("text/plain")
    plain = {family.name for family in parse_text(body.decode())}
    ours = {metric.name.removesuffix("_total") for metric in CATALOGUE}
    assert ours <= strict
    assert ours <= plain
    assert "process_cpu_seconds" in plain


def test_counters_without_labels_begin_at_zero(metrics: Metrics) -> None:
    """A rate over a counter sees its first increase."""
    assert samples(metrics)["relay_retold_events_total", ()] == 0


def test_names_end_in_their_unit() -> None:
    """Counters end in _total; nothing else does; durations are in seconds."""
    for metric in CATALOGUE:
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER), metric.name
        assert metric.kind is not Kind.HISTOGRAM or metric.name.endswith("_seconds")
        assert metric.name.startswith("relay_")


def test_many_sessions_add_no_series(tallies: Tallies, metrics: Metrics) -> None:
    """The number of series does not depend on the number of sessions or events."""
    for _ in range(2):
        tallies.delivered(0.1)
        tallies.change(Change.OPENED, Cause.FIRST)
        tallies.request("send", 204, 0.1)
    before = len(samples(metrics))
    for _ in range(10_000):
        tallies.delivered(0.1)
        tallies.change(Change.OPENED, Cause.FIRST)
        tallies.request("send", 204, 0.1)
    assert len(samples(metrics)) == before

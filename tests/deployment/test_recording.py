"""The dashboard and the alerts on a real Prometheus that watches a real relay."""

import json
import re

import pytest
from deployment.recording import draw, record
from deployment.tooling import CHART, find

from relay.observe.catalogue import CATALOGUE, Kind

SHOWN_WHEN_IT_HAPPENS = {metric.name for metric in CATALOGUE if metric.kind is Kind.COUNTER and metric.labels} | {
    f"{metric.name}_bucket" for metric in CATALOGUE if metric.kind is Kind.HISTOGRAM
}
ALWAYS = {
    "Delivered A",
    "Lag A",
    "Open sessions A",
    "Ready A",
    "Records read A",
    "Requests A",
    "Duration A",
    "Opened A",
    "CPU A",
    "Memory A",
}


@pytest.mark.timeout(180)
def test_every_panel_shows_something() -> None:
    """Prometheus takes every query of the dashboard and has an answer to it, and loads every alert; the whole can be drawn.

    A counter with labels shows nothing before it counted, a quantile nothing before anything took time (no partition is taken here), and
    tokens nothing where none are asked for.
    """
    find("prometheus")
    curves, alerts = record(12)
    text = (CHART / "files" / "alerts.yaml").read_text("utf-8")
    assert sorted(alerts) == sorted(re.findall(r"alert: (\w+)", text))
    empty = {name for name, found in curves.items() if not any(curve.points for curve in found)}
    assert not empty & ALWAYS
    panels = json.loads((CHART / "files" / "dashboard.json").read_text("utf-8"))["panels"]
    queries = {f"{panel['title']} {target['refId']}": target["expr"] for panel in panels for target in panel.get("targets", [])}
    for name in empty:
        asked = set(re.findall(r"relay_\w+", queries[name]))
        assert asked & SHOWN_WHEN_IT_HAPPENS or "relay_token_expiry_timestamp_seconds" in asked, name
    assert "<polyline" in draw(curves, 12)

"""Alerts and the dashboard ask for what there is, and each alert fires when it should and not before."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployment.tooling import CHART, ROOT, Run

from relay.observe.catalogue import CATALOGUE, Kind
from relay.observe.metrics import Metrics, Tallies
from relay.settings import environment_name, known_settings

ALERTS = CHART / "files" / "alerts.yaml"
RULES: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads((CHART / "files" / "dashboard.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULE_TESTS = sorted((ROOT / "tests" / "alerts").glob("*.yaml"))
KNOWN = {metric.name: metric for metric in CATALOGUE}
WANTED = {
    "RelayDown",
    "RelayLagSeconds",
    "RelayPartitionStuck",
    "RelayApiErrorBudget",
    "RelayCircuitOpen",
    "RelayDeadLetters",
    "RelayDlqProduceFailing",
    "RelayReopenStorm",
    "RelayTokenRefreshFailing",
    "RelayRebalanceStorm",
    "RelayEndToEndSlow",
    "RelaySessionsNotClosing",
    "RelayOrderViolation",
}


def asked(text: str) -> set[str]:
    """The relay's metrics that a query names."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) if name not in KNOWN else name for name in re.findall(r"\brelay_\w+", text)}


def test_all_alerts_are_there() -> None:
    """None is missing."""
    assert {rule["alert"] for rule in RULES} >= WANTED


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    """It has a severity, a summary, a description, a runbook that exists, and a test; and it asks for metrics that there are."""
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    runbook = ROOT / "docs" / "runbooks" / f"{rule['alert']}.md"
    assert rule["annotations"]["runbook_url"] == str(runbook.relative_to(ROOT))
    text = runbook.read_text("utf-8")
    for heading in ("## What it means", "## What to look at", "## What to do"):
        assert heading in text, heading
    assert (ROOT / "tests" / "alerts" / f"{rule['alert']}.yaml").is_file()
    assert asked(rule["expr"]) <= set(KNOWN)
    assert rule["expr"].count('namespace=~".*"') == len(re.findall(r"\brelay_\w+", rule["expr"])), "each selector can be narrowed"


def test_runbooks_name_what_there_is() -> None:
    """A runbook points to metrics and settings that exist."""
    settings = {environment_name(path) for path in known_settings()} | {"RELAY_SECRETS_DIR"}
    for page in (ROOT / "docs" / "runbooks").glob("*.md"):
        text = page.read_text("utf-8")
        assert asked(text) <= set(KNOWN), page.name
        assert set(re.findall(r"RELAY_[A-Z]+(?:_+[A-Z]+)*", text)) <= settings, page.name


def test_rules_are_well_formed(run_tool: Run) -> None:
    """Nothing is found by promtool."""
    run_tool("promtool", "check", "rules", "--lint=all", ALERTS)


@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_an_alert_fires_and_does_not_fire_just_below(file: Path, run_tool: Run) -> None:
    """Each has a case that fires, and one that does not."""
    tests = yaml.safe_load(file.read_text("utf-8"))["tests"]
    fires = [any(one["exp_alerts"] for one in test["alert_rule_test"]) for test in tests]
    assert any(fires)
    assert not all(fires)
    run_tool("promtool", "test", "rules", file)


def test_the_page_of_metrics_is_well_formed(run_tool: Run) -> None:
    """Nothing is found by promtool in what a relay exposes, but for our own counter of the wrong kind that shows that it looks."""
    tallies = Tallies()
    tallies.consumed("t", 1)
    tallies.request("send", 204, 0.1)
    tallies.delivered(0.1)
    page = Metrics(tallies, version="1").expose()[0].decode()
    run_tool("promtool", "check", "metrics", stdin=page)
    refused = run_tool("promtool", "check", "metrics", stdin="# TYPE relay_x counter\nrelay_x 1\n", check=False)
    assert refused.returncode != 0


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_a_panel_asks_for_what_there_is(panel: dict[str, Any]) -> None:
    """It has a unit, a description, the data source of the variable, and queries over metrics of the catalogue or of the process."""
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["description"]
    assert panel["datasource"]["uid"] == "${datasource}"
    for target in panel["targets"]:
        names = asked(target["expr"])
        assert names <= set(KNOWN)
        assert names or "process_" in target["expr"]
        assert target["datasource"]["uid"] == "${datasource}"
        for name in names:
            if KNOWN[name].kind is Kind.HISTOGRAM:
                assert f"{name}_bucket" in target["expr"]
        for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
            assert label == "pod" or any(label in KNOWN[name].labels for name in names), label
        for grouped in re.findall(r"by \(([\w, ]+)\)", target["expr"]):
            for label in grouped.split(", "):
                assert label in {"pod", "le"} or any(label in KNOWN[name].labels for name in names), label


def test_the_dashboard_has_its_rows() -> None:
    """From health to the process; the data source is a variable; no two panels overlap."""
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Health", "Input by partition", "API by operation", "Sessions", "Dead letters by reason", "Process", "More"]
    assert DASHBOARD["templating"]["list"][0]["type"] == "datasource"
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells


def test_every_metric_is_of_use() -> None:
    """Each is asked for by a panel."""
    assert asked(" ".join(target["expr"] for panel in PANELS for target in panel["targets"])) == set(KNOWN)

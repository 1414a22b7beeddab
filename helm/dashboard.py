"""Makes the dashboard, helm/relay/files/dashboard.json. A script; `./dev docs` runs it.

In: the rows below, one line a panel. Out: a Grafana dashboard whose data source, namespace and instances are variables. A panel's
description is what the catalogue says about its metrics, so that whoever looks at it is told what to do when it moves.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

FILE: Final = Path(__file__).parent / "relay" / "files" / "dashboard.json"
HERE: Final = 'namespace=~"$namespace",pod=~"$pod"'
RATE: Final = "$__rate_interval"


class Panel(NamedTuple):
    """One panel: its title, the unit, and a query with its legend each."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    width: int = 6


def rate(metric: str, by: str = "", where: str = "") -> str:
    """How often per second, over all instances."""
    return f"sum{_by(by)}(rate(relay_{metric}{_at(where)}[{RATE}]))"


def total(metric: str, by: str = "", operator: str = "sum") -> str:
    """A gauge over all instances."""
    return f"{operator}{_by(by)}(relay_{metric}{_at('')})"


def quantile(share: float, metric: str, by: str = "") -> str:
    """How long at most this share took."""
    return f"histogram_quantile({share}, sum by (le{', ' + by if by else ''}) (rate(relay_{metric}_bucket{_at('')}[{RATE}])))"


def _by(by: str) -> str:
    return f" by ({by}) " if by else ""


def _at(where: str) -> str:
    return "{" + HERE + ("," + where if where else "") + "}"


FAILED: Final = 'status=~"5..|429|408|none"'
ROWS: Final[tuple[tuple[str, tuple[Panel, ...]], ...]] = (
    (
        "Health",
        (
            Panel("Delivered", "ops", ((rate("events_total", where='outcome="delivered"'), "delivered"),), "stat"),
            Panel("Lag", "s", ((total("consumer_lag_seconds", operator="max"), "oldest"),), "stat"),
            Panel(
                "Failed requests",
                "percentunit",
                ((f"{rate('api_requests_total', where=FAILED)} / {rate('api_requests_total')}", "failed"),),
                "stat",
            ),
            Panel("Open sessions", "none", ((total("sessions_open"), "open"),), "stat"),
            Panel("Ready", "none", ((total("ready"), "ready"), (total("ready", operator="count"), "seen")), "stat"),
            Panel("Circuits", "none", ((total("circuit_state", "operation", "max"), "{{operation}}"),), "stat"),
            Panel("Order violations", "none", ((total("order_violations_total"), "violations"),), "stat"),
            Panel("Last delivery", "s", ((f"time() - {total('last_delivery_timestamp_seconds', operator='max')}", "ago"),), "stat"),
        ),
    ),
    (
        "Input by partition",
        (
            Panel("Records read", "ops", ((rate("consumed_records_total", "topic"), "{{topic}}"),)),
            Panel("Lag in records", "none", ((total("consumer_lag_messages", "topic, partition"), "{{topic}} {{partition}}"),)),
            Panel("Lag in seconds", "s", ((total("consumer_lag_seconds", "topic, partition", "max"), "{{topic}} {{partition}}"),)),
            Panel(
                "Offsets committed",
                "ops",
                (
                    (
                        f"sum by (topic, partition) (rate(relay_committed_offset{_at('')}[{RATE}]))",
                        "{{topic}} {{partition}}",
                    ),
                ),
            ),
            Panel("Held back by one session", "s", ((total("held_back_seconds", "topic, partition", "max"), "{{topic}} {{partition}}"),)),
            Panel("Partitions per instance", "none", ((total("assigned_partitions", "pod"), "{{pod}}"),)),
            Panel("Rebalances", "ops", ((rate("rebalances_total", "kind"), "{{kind}}"),)),
            Panel("Commits", "ops", ((rate("commits_total", "outcome"), "{{outcome}}"),)),
            Panel(
                "From Kafka to the API",
                "s",
                tuple((quantile(share, "end_to_end_latency_seconds"), f"p{share * 100:g}") for share in (0.5, 0.95, 0.99)),
            ),
        ),
    ),
    (
        "API by operation",
        (
            Panel("Requests", "reqps", ((rate("api_requests_total", "operation, status"), "{{operation}} {{status}}"),)),
            Panel(
                "Duration",
                "s",
                (
                    (quantile(0.5, "api_request_duration_seconds", "operation"), "{{operation}} p50"),
                    (quantile(0.99, "api_request_duration_seconds", "operation"), "{{operation}} p99"),
                ),
            ),
            Panel("Under way", "none", ((total("api_requests_in_flight", "pod"), "{{pod}}"),)),
            Panel("Tried again", "ops", ((rate("retries_total", "reason"), "{{reason}}"),)),
            Panel("Calls that may be under way", "none", ((total("concurrency_limit", "operation"), "{{operation}}"),)),
            Panel("Asked to wait", "ops", ((rate("throttled_total", "operation"), "{{operation}}"),)),
            Panel("Tokens", "ops", ((rate("token_refresh_total", "outcome"), "{{outcome}}"),)),
            Panel("Token expires in", "s", ((f"{total('token_expiry_timestamp_seconds', operator='min')} - time()", "first"),)),
        ),
    ),
    (
        "Sessions",
        (
            Panel("Opened", "ops", ((rate("sessions_opened_total", "cause"), "{{cause}}"),)),
            Panel("Closed", "ops", ((rate("sessions_closed_total", "reason"), "{{reason}}"),)),
            Panel("Open, and held in memory", "none", ((total("sessions_open"), "open"), (total("lanes"), "held"))),
            Panel("Waiting events", "none", ((total("buffered_events", "pod"), "{{pod}}"),)),
            Panel("Bytes that wait", "bytes", ((total("buffered_bytes", "pod"), "{{pod}}"),)),
            Panel(
                "Told again",
                "ops",
                (
                    (rate("retold_events_total"), "told"),
                    (rate("retold_refused_total"), "refused"),
                    (rate("sessions_refused_total"), "starts refused"),
                ),
            ),
            Panel(
                "Taken over after a restart",
                "ops",
                ((rate("sessions_restored_total"), "sessions"), (total("restoring_partitions"), "partitions being read")),
            ),
            Panel(
                "Partitions that come and go",
                "s",
                (
                    (quantile(0.95, "restore_duration_seconds"), "state read, p95"),
                    (quantile(0.95, "revoke_duration_seconds"), "let go, p95"),
                ),
            ),
        ),
    ),
    (
        "Dead letters by reason",
        (
            Panel("Set aside", "ops", ((rate("dlq_records_total", "reason"), "{{reason}}"),), width=12),
            Panel("Not yet confirmed", "none", ((total("dlq_pending", "pod"), "{{pod}}"),)),
            Panel("Refused by Kafka", "ops", ((rate("dlq_produce_failures_total"), "refused"),)),
        ),
    ),
    (
        "Process",
        (
            Panel("CPU", "percentunit", ((f"sum by (pod) (rate(process_cpu_seconds_total{_at('')}[{RATE}]))", "{{pod}}"),)),
            Panel("Memory", "bytes", ((f"sum by (pod) (process_resident_memory_bytes{_at('')})", "{{pod}}"),)),
            Panel("Versions", "none", ((total("build_info", "version", "count"), "{{version}}"),)),
            Panel(
                "Kinds",
                "none",
                ((total("config_info", "dialect, group_protocol, state", "count"), "{{dialect}} {{group_protocol}} {{state}}"),),
            ),
        ),
    ),
)


def more() -> tuple[Panel, ...]:
    """A panel for each metric that no row asks for, so that a new one is seen before anybody has found it a better place."""
    from relay.observe.catalogue import CATALOGUE, Kind  # noqa: PLC0415  # found once the path is set

    asked = {
        name.removesuffix("_bucket")
        for _, row in ROWS
        for panel in row
        for query, _ in panel.queries
        for name in re.findall(r"relay_\w+", query)
    }
    panels: list[Panel] = []
    for metric in CATALOGUE:
        if metric.name in asked:
            continue
        name, by = metric.name.removeprefix("relay_"), ", ".join(metric.labels)
        title = name.replace("_", " ").capitalize()
        unit = "s" if name.endswith("_seconds") else "bytes" if name.endswith("_bytes") else "none"
        legend = " ".join(f"{{{{{label}}}}}" for label in metric.labels) or "all"
        match metric.kind:
            case Kind.COUNTER:
                panels.append(Panel(title, "ops", ((rate(name, by), legend),)))
            case Kind.GAUGE:
                panels.append(Panel(title, unit, ((total(name, by, "max"), legend),)))
            case Kind.HISTOGRAM:
                panels.append(Panel(title, unit, ((quantile(0.95, name, by), f"{legend} p95"),)))
    return tuple(panels)


def make() -> str:
    """The dashboard."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in (*ROWS, ("More", more())):
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
                "panels": [],
            }
        )
        y += 1
        x = 0
        for panel in row:
            if x + panel.width > 24:  # noqa: PLR2004  # the width of Grafana's grid
                x, y = 0, y + _height(panel)
            panels.append(_panel(panel, len(panels) + 1, x, y))
            x += panel.width
        y += _height(row[-1])
    return json.dumps(_around(panels), indent=2, ensure_ascii=False) + "\n"


def _height(panel: Panel) -> int:
    return 4 if panel.kind == "stat" else 8


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": _description(panel),
        "datasource": source,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": _height(panel)},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": source, "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(panel.queries)
        ],
    }


def _description(panel: Panel) -> str:
    from relay.observe.catalogue import CATALOGUE  # noqa: PLC0415  # found once the path is set

    asked = [name for query, _ in panel.queries for name in re.findall(r"relay_\w+", query)]
    said = [f"{metric.help} {metric.advice}" for metric in CATALOGUE if any(name.removesuffix("_bucket") == metric.name for name in asked)]
    return "\n\n".join(dict.fromkeys(said)) or "What the process itself needs; one relay uses one core at most."


def _around(panels: list[dict[str, Any]]) -> dict[str, Any]:
    def variable(name: str, query: str) -> dict[str, Any]:
        return {
            "name": name,
            "type": "query",
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "current": {"text": ["All"], "value": ["$__all"]},
        }

    return {
        "uid": "relay",
        "title": "Relay",
        "tags": ["relay", "kafka"],
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "schemaVersion": 41,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "current": {}, "refresh": 1},
                variable("namespace", "label_values(relay_build_info, namespace)"),
                variable("pod", 'label_values(relay_build_info{namespace=~"$namespace"}, pod)'),
            ]
        },
        "annotations": {"list": []},
        "panels": panels,
    }


def main() -> int:
    """Write or compare."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    made = make()
    if "--check" in sys.argv[1:]:
        return 0 if FILE.read_text("utf-8") == made else 1
    FILE.write_text(made, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The dashboard over a recording: the demo plays, a real Prometheus scrapes its relay and loads the alerts, and every panel is asked for.

In: for how long. Out: for each query of each panel the series that a dashboard would draw. As a script it draws them:

    PYTHONPATH=.:tests python tests/deployment/recording.py docs/dashboard.svg --seconds 90
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple

from deployment.tooling import CHART, ROOT, find

STEP_SECONDS: Final = 1
LABELS: Final = {"namespace": "relay", "pod": "relay-0"}  # as in a cluster
VARIABLES: Final = {"$namespace": ".*", "$pod": ".*", "$__rate_interval": "6s"}
COLOURS: Final = ("#2f6fb2", "#c2571a", "#2e8b57", "#8a4fa3", "#b8860b", "#5f6b76", "#b03a5b", "#1f8a8a")


class Curve(NamedTuple):
    """One series of one query."""

    legend: str
    points: list[tuple[float, float]]


def record(seconds: float) -> tuple[dict[str, list[Curve]], list[str]]:
    """Let the demo play for so long. Returns the curves by panel and query, and the names of the alerts that Prometheus has loaded."""
    port, own_port = _free_ports()
    with tempfile.TemporaryDirectory() as folder, _prometheus(Path(folder), port, own_port) as url:
        began = time.time()
        demo = [sys.executable, "-m", "relay", "demo", "--seconds", str(seconds), "--console-port", str(port), "--json"]
        done = subprocess.run(demo, cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds + 90)  # noqa: S603  # our own
        assert done.returncode == 0, done.stderr[-2000:]
        curves = {
            f"{panel['title']} {target['refId']}": _ask(url, target, began)
            for panel in json.loads((CHART / "files" / "dashboard.json").read_text("utf-8"))["panels"]
            for target in panel.get("targets", [])
        }
        groups = _get(f"{url}/api/v1/rules")["groups"]
        return curves, [rule["name"] for group in groups for rule in group["rules"]]


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@contextmanager
def _prometheus(folder: Path, port: int, own_port: int) -> Iterator[str]:
    target = {"targets": [f"127.0.0.1:{port}"], "labels": LABELS}
    scrape = {"job_name": "relay", "scrape_interval": f"{STEP_SECONDS}s", "static_configs": [target]}
    (folder / "prometheus.yml").write_text(json.dumps({"rule_files": [str(CHART / "files" / "alerts.yaml")], "scrape_configs": [scrape]}))
    command = [find("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    url = f"http://127.0.0.1:{own_port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{own_port}"], stderr=log, stdout=log)  # noqa: S603
        try:
            deadline = time.monotonic() + 30
            while not _is_ready(url):
                assert time.monotonic() < deadline, (folder / "log").read_text("utf-8")[-2000:]
                assert process.poll() is None, (folder / "log").read_text("utf-8")[-2000:]
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5):  # noqa: S310  # http, on this machine
            return True
    except OSError:
        return False


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310  # http, on this machine
        said = json.loads(answer.read())
    assert said["status"] == "success", said
    return said["data"]


def _ask(url: str, target: dict[str, Any], began: float) -> list[Curve]:
    query = target["expr"]
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    asked = urllib.parse.urlencode({"query": query, "start": began, "end": time.time(), "step": STEP_SECONDS})
    curves: list[Curve] = []
    for series in _get(f"{url}/api/v1/query_range?{asked}")["result"]:
        legend = target["legendFormat"]
        for label, value in series["metric"].items():
            legend = legend.replace(f"{{{{{label}}}}}", value)
        curves.append(Curve(legend, [(at - began, float(value)) for at, value in series["values"] if value != "NaN"]))
    return curves


WIDTH: Final = 1440
SCALE: Final = 20  # pixels for a unit of Grafana's grid


def draw(curves: dict[str, list[Curve]], seconds: float) -> str:
    """All panels where the dashboard has them, as SVG."""
    dashboard = json.loads((CHART / "files" / "dashboard.json").read_text("utf-8"))
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom * SCALE}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{bottom * SCALE}" fill="#f4f5f5"/>',
    ]
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        x, y, width, height = at["x"] * WIDTH / 24, at["y"] * SCALE, at["w"] * WIDTH / 24, at["h"] * SCALE
        if panel["type"] == "row":
            parts.append(f'<text x="8" y="{y + 15}" font-size="13" font-weight="bold" fill="#24292e">{escape(panel["title"])}</text>')
            continue
        parts.append(f'<rect x="{x + 3}" y="{y + 2}" width="{width - 6}" height="{height - 4}" fill="#fff" stroke="#d8d9da"/>')
        unit = panel["fieldConfig"]["defaults"]["unit"]
        parts.append(
            f'<text x="{x + 10:.0f}" y="{y + 17}" fill="#24292e">{escape(panel["title"])} <tspan fill="#8a8f94">{unit}</tspan></text>'
        )
        found = [curve for target in panel["targets"] for curve in curves[f"{panel['title']} {target['refId']}"] if curve.points]
        parts += _figures(found, x, y) if panel["type"] == "stat" else _plot(found, (x + 44, y + 26, width - 56, height - 56), seconds)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _figures(curves: list[Curve], x: float, y: float) -> list[str]:
    said = "   ".join(f"{_short(curve.points[-1][1])}" for curve in curves) or "no data"
    return [f'<text x="{x + 12:.0f}" y="{y + 54}" font-size="26" fill="{COLOURS[0]}">{said}</text>']


def _plot(curves: list[Curve], area: tuple[float, float, float, float], seconds: float) -> list[str]:
    x, y, width, height = area
    top = max((value for curve in curves for _, value in curve.points), default=0.0) or 1.0
    parts = [
        f'<line x1="{x:.0f}" y1="{y + height:.0f}" x2="{x + width:.0f}" y2="{y + height:.0f}" stroke="#b9bcbf"/>',
        f'<text x="{x - 4:.0f}" y="{y + 9:.0f}" text-anchor="end" fill="#8a8f94">{_short(top)}</text>',
        f'<text x="{x - 4:.0f}" y="{y + height:.0f}" text-anchor="end" fill="#8a8f94">0</text>',
    ]
    for number, curve in enumerate(curves):
        line = " ".join(f"{x + at / seconds * width:.1f},{y + height - max(0.0, value) / top * height:.1f}" for at, value in curve.points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="1.3"/>')
    names = "  ".join(
        f'<tspan fill="{COLOURS[number % len(COLOURS)]}">{escape(curve.legend)}</tspan>' for number, curve in enumerate(curves[:3])
    )
    more = f"  and {len(curves) - 3} more" if len(curves) > 3 else ""
    return [*parts, f'<text x="{x - 30:.0f}" y="{y + height + 17:.0f}" font-size="10">{names or "no data"}{more}</text>']


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value / 1000:.3g}k" if abs(value) < 1e6 else f"{value / 1e6:.3g}M"


def main() -> int:
    """Record and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    began = time.monotonic()
    curves, _ = record(arguments.seconds)
    arguments.file.write_text(draw(curves, time.monotonic() - began), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

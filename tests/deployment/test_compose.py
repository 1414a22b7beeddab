"""The example for a container engine, as far as it can be judged without one: syntax, names, settings, files."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from deployment.commands import check_relay
from deployment.tooling import ROOT, Run

from relay.settings import load

FOLDER = ROOT / "examples" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def test_everything_is_there() -> None:
    """Kafka, the relay, the fake API, players, Prometheus and Grafana."""
    assert set(SERVICES) == {"kafka", "relay", "fake-api", "players", "prometheus", "grafana"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_names_what_there_is(name: str) -> None:
    """Dependencies are services, mounted files exist, images have versions, ports are for this machine only."""
    service = SERVICES[name]
    assert set(service.get("depends_on", [])) <= set(SERVICES)
    assert ":" in service["image"]
    for volume in service.get("volumes", []):
        assert (FOLDER / volume.split(":")[0]).is_file(), volume
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    if "build" in service:
        assert (FOLDER / service["build"]["context"] / "Dockerfile").resolve() == ROOT / "Dockerfile"
        check_relay(service["command"])


def test_the_relay_finds_the_others() -> None:
    """Its settings are good, and the hosts in them are services."""
    settings = load(None, SERVICES["relay"]["environment"])
    host, port = settings.kafka.bootstrap_servers.split(":")
    assert host in SERVICES
    assert f"{host}:{port}" in SERVICES[host]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert settings.api.url == f"http://fake-api:{SERVICES['fake-api']['command'][4]}"
    assert f"{settings.kafka.bootstrap_servers}" in SERVICES["players"]["command"]


def test_prometheus_and_grafana_find_theirs(run_tool: Run) -> None:
    """Prometheus scrapes the relay's admin port and reads the alerts; Grafana asks Prometheus."""
    run_tool("promtool", "check", "config", "--syntax-only", FOLDER / "prometheus.yaml")
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text("utf-8"))
    (target,) = config["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target == "relay:8080"
    mounted = {Path(volume.split(":")[1]) for volume in SERVICES["prometheus"]["volumes"]}
    assert {Path(file) for file in config["rule_files"]} <= mounted
    source = yaml.safe_load((FOLDER / "grafana" / "datasource.yaml").read_text("utf-8"))["datasources"][0]
    assert source["url"].removeprefix("http://").split(":")[0] in SERVICES

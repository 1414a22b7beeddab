"""The chart: whatever it renders is valid, restricted, and keeps secrets to itself."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployment.tooling import CHART, NAMESPACE, Render, Run, find_custom_shapes

CASES = sorted((CHART / "ci").glob("*-values.yaml"))
KUBERNETES = "1.36"
CUSTOM = {"PodMonitor", "ServiceMonitor", "PrometheusRule", "ScaledObject", "TriggerAuthentication"}
MINIMAL = CHART / "ci" / "minimal-values.yaml"


def judge(objects: list[dict[str, Any]]) -> None:
    """Hold objects to the schemas of Kubernetes."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="./dev lint installs it")
    for one in objects:
        if one["kind"] not in CUSTOM:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)


def pods(objects: list[dict[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The specification of every pod that objects would make."""
    for one in objects:
        if one["kind"] == "Pod":
            yield one["spec"]
        elif "template" in one.get("spec", {}):
            yield one["spec"]["template"]["spec"]


def test_there_are_eight_cases_at_least() -> None:
    """Cases cover both workloads, both protocols, both dialects, all optional objects."""
    assert len(CASES) >= 8


def test_the_chart_has_no_faults(run_tool: Run) -> None:
    """Nothing is found by the judge of helm itself."""
    run_tool("helm", "lint", "--strict", CHART, "--values", MINIMAL)


def test_each_template_behaves(run_tool: Run) -> None:
    """The suites of helm-unittest pass, one at least for each template."""
    templates = {one.stem for one in (CHART / "templates").glob("[!_]*.yaml")} | {"notes"}
    suites = {one.name.removesuffix("_test.yaml") for one in (CHART / "tests").glob("*_test.yaml")}
    assert templates <= suites
    run_tool("untt", CHART)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_case_is_valid_and_restricted(case: Path, render: Render) -> None:
    """Every object is valid for Kubernetes, and every pod passes the level "restricted", that of `helm test` too."""
    objects = render(case)
    judge(objects)
    assert all(one["metadata"].get("namespace", NAMESPACE) == NAMESPACE for one in objects)
    found = list(pods(objects))
    assert len(found) == 2
    for pod in found:
        assert not pod.get("hostNetwork")
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] >= 10000
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert all(set(volume) & {"configMap", "emptyDir", "projected", "secret"} for volume in pod["volumes"])
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_what_is_invalid_would_be_noticed(render: Render) -> None:
    """The judge of the test above refuses an object with a field that there is not."""
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="./dev lint installs it")
    (service,) = (one for one in render(MINIMAL) if one["kind"] == "Service")
    service["spec"]["clusterIp"] = "None"
    with pytest.raises(kubernetes_validate.ValidationError):
        judge([service])


@pytest.mark.parametrize("case", [case for case in CASES if re.match("keda|monitoring", case.stem)], ids=lambda case: case.stem)
def test_custom_resources_have_their_shape(case: Path, render: Render, run_tool: Run) -> None:
    """What is for KEDA and the Prometheus Operator is as their definitions want it; a field that is wrong would be noticed."""
    script = find_custom_shapes()
    custom = [one for one in render(case) if one["kind"] in CUSTOM]
    assert custom
    run_tool("node", script, stdin="\n".join(json.dumps(one) for one in custom))
    custom[0]["spec"] = {"nothing": "right"}
    assert run_tool("node", script, stdin=json.dumps(custom[0]), check=False).returncode != 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_secrets_stay_in_secrets(case: Path, render: Render) -> None:
    """No Secret is made but from what somebody gave inline, and no pod takes a secret as environment or argument."""
    objects = render(case)
    inline = yaml.safe_load(case.read_text("utf-8")).get("secrets", {}).get("inline", {})
    made = [one for one in objects if one["kind"] == "Secret" and not one["metadata"]["name"].endswith("-keda")]
    assert [set(one["data"]) for one in made] == ([set(inline)] if inline else [])
    for pod in pods(objects):
        for container in pod["containers"]:
            assert "secretKeyRef" not in json.dumps(container.get("env", []))
            assert not any("secret" in argument for argument in container.get("args", []))
    for one in objects:
        if one["kind"] == "ConfigMap":
            assert not [value for value in inline.values() if value in json.dumps(one)]


def test_rules_of_the_release_are_those_of_the_file(render: Render) -> None:
    """Without changes the PrometheusRule is the file, but for the release's own namespace and pods."""
    values = {"monitoring": {"prometheusRule": {"enabled": True}}}
    (made,) = (one for one in render(MINIMAL, values=values) if one["kind"] == "PrometheusRule")
    file = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text("utf-8"))
    own = f'namespace="{NAMESPACE}",pod=~"r-relay-.+"'
    for rule, original in zip(made["spec"]["groups"][0]["rules"], file["groups"][0]["rules"], strict=True):
        assert rule["expr"].strip() == original["expr"].strip().replace('namespace=~".*"', own)
        assert {**rule, "expr": ""} == {**original, "expr": ""}


def test_every_figure_of_an_alert_can_be_changed(render: Render) -> None:
    """A threshold from the values takes the place of that of the file, in every rule."""
    names = re.findall(r"alert: (\w+)", (CHART / "files" / "alerts.yaml").read_text("utf-8"))
    changed = {name: {"threshold": 123.5} for name in names if name != "RelayDown"}
    values = {"monitoring": {"prometheusRule": {"enabled": True, "alerts": changed}}}
    (made,) = (one for one in render(MINIMAL, values=values) if one["kind"] == "PrometheusRule")
    for rule in made["spec"]["groups"][0]["rules"]:
        assert ("123.5 # threshold" in rule["expr"]) == (rule["alert"] != "RelayDown"), rule["alert"]


def test_every_value_is_described() -> None:
    """The schema is closed, and says of each value what it is."""
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))

    def walk(node: Mapping[str, Any], path: str) -> None:
        for name, inner in node.get("properties", {}).items():
            assert inner.get("description"), f"{path}.{name}"
            if "properties" in inner and path != ".resources":
                assert inner["additionalProperties"] is False, f"{path}.{name}"
            walk(inner, f"{path}.{name}")

    assert schema["additionalProperties"] is False
    walk(schema, "")


def test_the_readme_is_what_helm_docs_makes(run_tool: Run) -> None:
    """When it drifts: ./dev docs."""
    made = run_tool("helm-docs", "--chart-search-root", "helm", "--dry-run", "--log-level", "error").stdout
    assert made.strip() == (CHART / "README.md").read_text("utf-8").strip()

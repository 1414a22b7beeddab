"""What the tests of chart, image and alerts share: tools that may be missing, and the chart as it is rendered."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from deployment.tooling import CHART, NAMESPACE, ROOT, Render, Run, find


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder belong to `./dev deployment`, which fetches what they need."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.deployment)


@pytest.fixture
def run_tool() -> Run:
    """Runs a tool in the repository; its output comes back as text."""

    def run(name: str, *arguments: str | Path, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [find(name), *map(str, arguments)]
        done = subprocess.run(  # noqa: S603  # tools that we fetched ourselves
            command, cwd=ROOT, input=stdin, capture_output=True, text=True, check=False, timeout=100
        )
        assert not check or done.returncode == 0, f"{name} says:\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def render(run_tool: Run, tmp_path: Path) -> Render:
    """Renders the chart with values from files or from a mapping, and returns its objects."""

    def render(*files: Path, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        given = list(files)
        if values is not None:
            given.append(tmp_path / "values.yaml")
            given[-1].write_text(yaml.safe_dump(dict(values)), "utf-8")
        arguments = [part for file in given for part in ("--values", str(file))]
        done = run_tool("helm", "template", "r", CHART, "--namespace", NAMESPACE, *arguments)
        return [one for one in yaml.safe_load_all(done.stdout) if one]

    return render

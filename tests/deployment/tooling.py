"""Where the tools are that judge chart, image and alerts, and what happens when one is missing.

In: the name of a tool. Out: its path. A tool that is missing skips its tests on a laptop. In CI it fails them, unless it could not be had
there: Go builds most, Debian has one.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "helm" / "relay"
NAMESPACE: Final = "somewhere"
Run: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]
Render: TypeAlias = Callable[..., list[dict[str, Any]]]

_CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
_TOOLS: Final = Path(os.environ.get("TESTS_TOOLS") or _CACHE / "relay-tools") / "bin"
_BY_GO: Final = {"helm", "untt", "helm-docs", "actionlint"}
_BY_APT: Final = {"promtool", "prometheus"}
_BY_NPM: Final = {"node"}


CUSTOM: Final = ROOT / "tests" / "deployment" / "custom"


def find_custom_shapes() -> Path:
    """The script that holds custom resources to their definitions, once its packages are there."""
    if not (CUSTOM / "node_modules").is_dir():
        reason = "the shapes of custom resources are missing: tests/deployment/tools.sh checkers fetches them"
        if os.environ.get("CI") and shutil.which("npm"):
            pytest.fail(reason)
        pytest.skip(reason)
    return CUSTOM / "validate.mjs"


def find(name: str) -> str:
    """The path of a tool: fetched by tools.sh, or in the environment of the tests."""
    places = [str(_TOOLS), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    if found := shutil.which(name, path=os.pathsep.join(places)):
        return found
    maker = "go" if name in _BY_GO else "apt-get" if name in _BY_APT else "npm" if name in _BY_NPM else ""
    could_be_had = not maker or shutil.which(maker) or (maker == "go" and Path("/usr/local/go/bin/go").exists())
    reason = f"{name} is missing: tests/deployment/tools.sh checkers fetches it" if maker else f"{name} is missing: ./dev lint installs it"
    if os.environ.get("CI") and could_be_had:
        pytest.fail(reason)
    pytest.skip(reason)

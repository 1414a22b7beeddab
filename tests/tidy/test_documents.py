"""The documents keep up with the code."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from relay.cli.reference import console_reference, life_reference, mapping_reference, mapping_schema, metrics_reference, settings_reference
from relay.input import presets
from relay.observe.catalogue import CATALOGUE
from relay.settings import environment_name, known_settings

ROOT = Path(__file__).parents[2]
LOCKS = sorted(ROOT.glob("requirements*.txt"))


@pytest.mark.parametrize(
    ("subject", "printed"),
    [
        ("settings", settings_reference()),
        ("metrics", metrics_reference()),
        ("life", life_reference()),
        ("console-api", console_reference()),
        ("mapping", mapping_reference()),
    ],
)
def test_a_reference_is_what_the_code_prints(subject: str, printed: str) -> None:
    """When it drifts: ./dev docs."""
    assert (ROOT / "docs" / "reference" / f"{subject}.md").read_text("utf-8") == printed


def test_the_schema_of_mappings_is_what_the_code_prints() -> None:
    """Editors use the file; when it drifts: ./dev docs. What the relay takes fits it, and what it refuses for its shape does not."""
    text = (ROOT / "docs" / "reference" / "mapping.schema.json").read_text("utf-8")
    assert text == mapping_schema()
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    for name in presets.names():
        mapping = presets.text_of(name)
        if mapping is not None:
            jsonschema.validate(yaml.safe_load(mapping), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"version": 1, "event": "t", "time": {"from": "t"}, "playhead": "p", "events": {"x": {"send": "plya"}}}, schema)


@pytest.mark.parametrize("script", ["helm/schema.py", "helm/dashboard.py"])
def test_what_the_chart_takes_from_the_program_is_up_to_date(script: str) -> None:
    """The chart's schema follows the settings, the dashboard the metrics. When they drift: ./dev docs, or the script alone."""
    done = subprocess.run([sys.executable, ROOT / script, "--check"], check=False)  # noqa: S603  # our own
    assert done.returncode == 0, f"python {script} writes it anew"


def test_every_setting_is_documented() -> None:
    """Each setting has a description that is a sentence, and stands in the reference."""
    reference = settings_reference()
    for path, field in known_settings().items():
        assert field.description, path
        assert field.description.endswith("."), path
        assert f"| `{environment_name(path)}` |" in reference


def test_every_metric_is_documented() -> None:
    """Each metric says what it is and what to do when it moves, and is declared once."""
    for metric in CATALOGUE:
        assert metric.help.endswith("."), metric.name
        assert metric.advice.endswith("."), metric.name
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE)


def test_advice_names_only_what_there_is() -> None:
    """A setting or metric that a text points to exists."""
    settings = {environment_name(path) for path in known_settings()} | {"RELAY_SECRETS_DIR"}
    texts = [metric.advice for metric in CATALOGUE] + [field.description or "" for field in known_settings().values()]
    texts += [path.read_text("utf-8") for path in (ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md")]
    for text in texts:
        assert set(re.findall(r"RELAY_[A-Z_]+", text)) <= settings, text
    names = {metric.name.removeprefix("relay_") for metric in CATALOGUE}
    pointed = {word for metric in CATALOGUE for word in re.findall(r"(?:see|and|in) ([a-z]+(?:_[a-z]+)+)", metric.advice)}
    assert pointed <= names


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_versions_and_hashes_and_no_place(lock: Path) -> None:
    """Every line of a lock is a pinned version or a hash: no index, no address, no path."""
    lines = [line.strip().removesuffix("\\").rstrip() for line in lock.read_text("utf-8").splitlines()]
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; [\w\s.'<>=!]+)?|--hash=sha256:[0-9a-f]{64}", line), line


def test_the_locks_agree() -> None:
    """What runs is the same version where it is tested and where it is judged."""
    versions = [set(re.findall(r"^([a-z0-9-]+==[\w.]+)", lock.read_text("utf-8"), re.MULTILINE)) for lock in LOCKS]
    assert len(LOCKS) == 3
    smallest, middle, largest = sorted(versions, key=len)
    assert smallest < middle < largest


def test_make_offers_the_verbs_of_dev() -> None:
    """The Makefile delegates each verb that ./dev lists."""
    listed = subprocess.run(["./dev"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # our own
    verbs = set(re.findall(r"^  (\w+)  ", listed, re.MULTILINE))
    (targets,) = re.findall(r"^([\w ]+):\n\t@\./dev", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert verbs | {"help"} == set(targets.split())

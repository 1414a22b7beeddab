"""What GUARANTEES.md and the tests' own README name is there: tests, folders, metrics, settings."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.observe.catalogue import CATALOGUE
from relay.settings import environment_name, known_settings

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
DOCUMENTS = [ROOT / "GUARANTEES.md", TESTS / "README.md"]
IN_CODE = re.compile(r"`([^`\n]+)`")
NAMED = re.compile(r"(?:tests/)?([\w/]+\.py)?::(test_\w+)")


def named_tests(document: Path) -> Iterator[tuple[str, str]]:
    """Each file and test that a document names; a name that begins with two colons is of the file named before it."""
    file = ""
    for code in IN_CODE.findall(document.read_text("utf-8")):
        if (found := NAMED.fullmatch(code)) is not None:
            file = found[1] or file
            yield file, found[2]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_test_that_is_named_is_there(document: Path) -> None:
    """Whoever renames a test that holds a promise renames it there as well."""
    named = list(named_tests(document))
    assert len(named) > 20
    for file, test in named:
        assert re.search(rf"def {test}\(", (TESTS / file).read_text("utf-8")), f"{file}::{test}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_file_that_is_named_is_there(document: Path) -> None:
    """From the root, or from the folder of the tests."""
    for code in IN_CODE.findall(document.read_text("utf-8")):
        for path in re.findall(r"(?:^|\s)([\w./-]+\.(?:py|md|toml))\b", code):
            assert (ROOT / path).is_file() or (TESTS / path).is_file(), path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_setting_and_metric_that_is_named_is_there(document: Path) -> None:
    """A promise rests on nothing that nobody reads."""
    text = document.read_text("utf-8")
    assert set(re.findall(r"RELAY_[A-Z0-9_]+", text)) <= {environment_name(path) for path in known_settings()}
    assert set(re.findall(r"`(relay_\w+)", text)) <= {metric.name for metric in CATALOGUE}


def test_each_folder_of_tests_says_what_it_proves() -> None:
    """In the table of the suites."""
    readme = (TESTS / "README.md").read_text("utf-8")
    for folder in {path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")}:
        assert f"`{folder}" in readme, folder

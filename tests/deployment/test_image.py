"""The image's file, as far as it can be judged without building it; `tests/deployment/image.sh` builds and tries it."""

import re
from pathlib import Path

import pytest
from deployment.tooling import ROOT, Run

TEXT = (ROOT / "Dockerfile").read_text("utf-8")
SCRIPTS = sorted([*(ROOT / "tests" / "deployment").glob("*.sh"), ROOT / "dev", ROOT / ".ci" / "run"])


def test_the_file_has_no_faults(run_tool: Run) -> None:
    """Nothing is found by hadolint."""
    run_tool("hadolint", "Dockerfile")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_has_no_faults(script: Path, run_tool: Run) -> None:
    """Nothing is found by shellcheck."""
    run_tool("shellcheck", script)


def test_both_stages_stand_on_one_base_that_is_named_by_its_digest() -> None:
    """A tag may be moved; an argument lets it come from elsewhere."""
    assert re.search(r"^ARG BASE_IMAGE=\S+@sha256:[0-9a-f]{64}$", TEXT, re.MULTILINE)
    assert re.findall(r"^FROM (\S+)", TEXT, re.MULTILINE) == ["${BASE_IMAGE}"] * 2


def test_what_is_installed_is_what_the_lock_names() -> None:
    """Hashes are required wherever something is fetched, and nothing is compiled."""
    for line in re.findall(r"pip[^\n]* install[^\n]*", TEXT):
        assert "--require-hashes" in line or "--no-index" in line, line
    assert TEXT.count("--only-binary :all:") == 2


def test_the_end_is_numeric_and_says_who_it_is() -> None:
    """A numeric user, an exec-form entry point, a health check, and all labels."""
    end = TEXT[TEXT.rindex("FROM ") :]
    assert "USER 10001:10001" in end
    assert 'ENTRYPOINT ["relay"]' in end
    assert 'CMD ["relay", "health"]' in end
    for label in ("title", "description", "source", "revision", "version", "created", "licenses"):
        assert f"org.opencontainers.image.{label}=" in end


def test_only_what_is_copied_gets_into_the_context() -> None:
    """.dockerignore lets in what the file copies, and nothing else."""
    lines = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")}
    copied = {name for names in re.findall(r"^COPY (?!--from)(.+) \S+$", TEXT, re.MULTILINE) for name in names.split()}
    assert let_in == copied
    assert all((ROOT / name).exists() for name in let_in)

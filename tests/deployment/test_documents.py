"""What documents tell people to do can be done: commands exist, values are good, links lead somewhere."""

import re
from pathlib import Path

import pytest
import yaml
from deployment.commands import NEEDS, blocks, check_block
from deployment.test_chart_and_program import settings_of
from deployment.tooling import CHART, ROOT, Render, Run

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "runbooks").glob("*.md"),
        CHART / "README.md",
        ROOT / "tests" / "README.md",
    ]
)
GUIDE = ROOT / "docs" / "production.md"
MUST_HAVE = ("quick-start", "concepts", "production", "tuning", "security", "deployment", "sessions-and-restarts")


def name_of(page: Path) -> str:
    """How a test calls a page."""
    return str(page.relative_to(ROOT))


def test_the_documents_are_there() -> None:
    """Quick start, concepts, guide, tuning, security, and the checklist."""
    assert all((ROOT / "docs" / f"{name}.md").is_file() for name in MUST_HAVE)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page: Path) -> None:
    """Each command of a page exists, with its arguments, unless its block says that it needs a cluster, an engine or helm."""
    for block in blocks(page.read_text("utf-8")):
        if not NEEDS.search(block):
            check_block(block)


@pytest.mark.parametrize("command", ["relay nothing", "relay run --nothing", "./dev nothing", "python bench/nothing.py"])
def test_a_command_that_there_is_not_would_be_noticed(command: str) -> None:
    """The test above refuses a command, an argument, a verb or a script that there is not."""
    with pytest.raises(AssertionError):
        check_block(f"pip install .\n{command} &\n")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of the repository finds it, and its heading."""
    for target in re.findall(r"\]\(([^)#:\s]+)?(#[\w-]+)?\)", re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)):
        file, anchor = target
        linked = (page.parent / file).resolve() if file else page
        assert linked.exists(), target
        if anchor and linked.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", linked.read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor[1:] in anchors, target


def guide_values(folder: Path) -> Path:
    """The values of the guide, as a file."""
    (text,) = re.findall(r"```yaml\n(# values.yaml\n.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    file = folder / "values.yaml"
    file.write_text(text, "utf-8")
    return file


def test_the_guides_values_are_good(render: Render, tmp_path: Path) -> None:
    """Whoever follows the guide gets a chart that renders, and settings with SASL, TLS and secrets from files."""
    settings = settings_of(render(guide_values(tmp_path)), tmp_path)
    assert settings.kafka.client["security.protocol"] == "SASL_SSL"
    assert settings.kafka.client["sasl.password"] == "of-password"
    assert str(settings.kafka.client["ssl.ca.location"]).endswith("ca.crt")


def test_the_guides_secrets_are_those_that_its_values_name(tmp_path: Path) -> None:
    """The Secrets that the guide has made are those that its values mount, with the keys that they take."""
    text = GUIDE.read_text("utf-8")
    made = {
        name: set(re.findall(r"--from-(?:literal|file)=([\w.]+)=", rest))
        for name, rest in re.findall(r"create secret generic (\S+)(.*)", text)
    }
    values = yaml.safe_load(guide_values(tmp_path).read_text("utf-8"))
    assert made == {
        values["secrets"]["sasl"]["existingSecret"]: {"username", "password"},
        values["secrets"]["kafkaTls"]["existingSecret"]: {"ca.crt"},
    }


def test_workflows_have_no_faults(run_tool: Run) -> None:
    """Nothing is found by actionlint and zizmor; every action is named by its commit."""
    files = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
    run_tool("actionlint", *files)
    run_tool("zizmor", "--offline", "--no-progress", *files)
    for file in files:
        for action in re.findall(r"uses: (\S+)", file.read_text("utf-8")):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action

"""The guide from raw events to sessions works word by word: its files, its commands, and what they show."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

from relay.settings import load

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "from-your-events-to-sessions.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)(?: (\w+)=([\w.-]+))?\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_guide_works_as_it_stands(tmp_path: Path) -> None:
    """From top to bottom: each file is written, each command run, and shows what the guide says; `…` stands for more of the same."""
    command = tmp_path / "bin" / "relay"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m relay "$@"\n', "utf-8")
    command.chmod(0o755)
    environ = {"PATH": f"{command.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    ran = 0
    for _, how, name, text in BLOCKS:
        if how == "file":
            (tmp_path / name).write_text(text, "utf-8")
        elif how == "append":
            with (tmp_path / name).open("a", encoding="utf-8") as file:
                file.write(text)
        elif text.startswith("$ "):
            for told in text.removeprefix("$ ").split("\n$ "):
                line, _, expected = told.partition("\n")
                done = subprocess.run(line, cwd=tmp_path, env=environ, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
                check(done.stdout + done.stderr, expected)
                ran += 1
    assert ran == 5


def check(shown: str, expected: str) -> None:
    """What a command shows is what the guide says."""
    beginning, is_cut, _ = expected.partition("…\n")
    if is_cut:
        assert shown.startswith(beginning)
        assert len(shown) > len(beginning)
    else:
        assert shown.strip() == expected.strip()


def test_the_settings_of_the_guide_are_settings(tmp_path: Path) -> None:
    """What is exported in the last step is taken as it stands."""
    (exports,) = [text for language, _, _, text in BLOCKS if language == "sh"]
    environ = {name: value.strip("'") for name, value in re.findall(r"^export (\w+)=(.*)$", exports, re.MULTILINE)}
    with contextlib.chdir(tmp_path):
        settings = load(None, environ=environ)
    assert settings.input.mapping == "mapping.yaml"
    assert len(settings.session.start_params) == 3

"""Commands as documents write them: whether they exist, with the arguments that are given.

In: lines of a block. Out: nothing, or an assertion that says what is wrong with which command.
"""

import argparse
import importlib
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from functools import cache
from io import StringIO
from typing import Final

from deployment.tooling import ROOT

from relay.cli import COMMANDS

NEEDS: Final = re.compile(r"^# needs (a cluster|a container engine|helm|an editor)", re.MULTILINE)
_PLAIN: Final = {
    "export",
    "pip",
    "curl",
    "cd",
    "git",
    "kill",
    "wait",
    "echo",
    "cat",
    "sleep",
    "make",
    "pre-commit",
    "openssl",
    "apt-get",
    "jq",
}


def blocks(text: str) -> Iterator[str]:
    """The blocks of a document that hold commands: fenced, without a language or with that of a shell."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if language in {"", "sh", "bash", "shell", "console"}:
            yield block


def check_block(block: str) -> int:
    """Hold each command of a block to what there is; says how many were."""
    joined = re.sub(r"\\\n\s*", " ", block)
    return sum(_check_line(line) for line in joined.splitlines())


def check_relay(words: Sequence[str]) -> None:
    """A command of the relay takes these arguments."""
    name, *rest = words
    if name in {"--help", "--version", "COMMAND"}:
        return
    assert name in COMMANDS, f"there is no command relay {name}"
    module = importlib.import_module(f"relay.cli.{name.replace('-', '_')}")
    parser = argparse.ArgumentParser(prog=f"relay {name}", allow_abbrev=False)
    module.add_arguments(parser)
    said, code = StringIO(), None
    with redirect_stderr(said):
        try:
            parser.parse_args(rest)
        except SystemExit as stop:
            code = stop.code
    assert not code, f"relay {shlex.join(words)}: {said.getvalue()}"


def _check_line(line: str) -> bool:
    found = False
    for part in re.split(r"\s&&\s|\s\|\s|\s&(?=\s|$)|;\s", f" {line} "):
        try:
            words = shlex.split(part, comments=True)
        except ValueError:
            return found  # a quotation that goes on: words for people
        words = _without_surroundings(words)
        if words:
            found |= _check(words)
    return found


def _without_surroundings(words: list[str]) -> list[str]:
    while words and (re.fullmatch(r"[A-Z][A-Z0-9_]*=.*", words[0], re.DOTALL) or words[0] in {"$", "nohup", "time"}):
        words = words[1:]
    for index, word in enumerate(words):
        if re.fullmatch(r"\d?[<>]{1,2}.*", word):
            return words[:index]
    return words


def _check(words: list[str]) -> bool:
    match words[0]:
        case "relay":
            check_relay(words[1:])
        case "./dev":
            assert len(words) == 1 or words[1] in _verbs(), f"there is no verb {words[1]}"
        case "python" | "python3":
            script = next((word for word in words[1:] if not word.startswith("-")), "")
            if words[1:2] == ["-m"]:
                assert words[2] in {"relay", "venv", "pip", "pytest"}, words
            else:
                assert (ROOT / script).is_file(), f"there is no {script}"
        case "tests/deployment/accept.sh" | "tests/deployment/image.sh" | "tests/deployment/tools.sh" | ".ci/run":
            assert (ROOT / words[0]).is_file()
        case first:
            return first in _PLAIN
    return True


@cache
def _verbs() -> set[str]:
    said = subprocess.run(["./dev"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^  (\w+)  ", said, re.MULTILINE))

"""Mappings that come with the relay, each with samples of its raw events and the cases that it must pass.

In: a name. Out: the text of a file. `NAME.yaml` is the mapping, `NAME.samples.jsonl` are raw events, `NAME.cases.yaml` says what becomes of
some of them.
"""

from importlib.resources import files
from typing import Final

NATIVE: Final = "native"
_HERE: Final = files(__name__)


def names() -> list[str]:
    """All presets, `native` among them: it needs no mapping."""
    return sorted({NATIVE, *(file.name.removesuffix(".yaml") for file in _HERE.iterdir() if _is_mapping(file.name))})


def text_of(name: str, suffix: str = ".yaml") -> str | None:
    """The text of one of a preset's files, if there is such a preset."""
    file = _HERE.joinpath(f"{name}{suffix}")
    return file.read_text("utf-8") if name in names() and file.is_file() else None


def _is_mapping(name: str) -> bool:
    return name.endswith(".yaml") and not name.endswith(".cases.yaml")

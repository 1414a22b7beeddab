"""A mapping file → the model, and for each mistake in it the line, the path and what to change.

In: the text of a YAML file. Out: a `Document`, or `BadMapping` with all that is wrong.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# What JSON and YAML hold has no type, and a look at it gives it half of one.

import difflib
from collections.abc import Mapping as Object
from typing import Any, Final, NamedTuple, TypeAlias, cast

import yaml
from pydantic import ValidationError

from relay.errors import SettingsError
from relay.input.mapping import model

Path: TypeAlias = tuple[str | int, ...]

_MEMBERS: Final = frozenset(
    field.alias or name
    for part in (
        model.Mapping,
        model.Start,
        model.States,
        model.Rule,
        model.Send,
        model.Said,
        model.Copy,
        model.Time,
        model.From,
    )
    for name, field in part.model_fields.items()
)


class Problem(NamedTuple):
    """One mistake."""

    line: int  # 0 where nobody knows
    path: str
    message: str


class BadMapping(SettingsError):  # noqa: N818  # what it is
    """The mapping cannot be used: all that is wrong with it."""

    def __init__(self, name: str, problems: list[Problem]) -> None:
        """Say it, one line for each."""
        self.problems = problems
        lines = [f"{name}, line {line}: {path}: {message}" if line else f"{name}: {message}" for line, path, message in problems]
        super().__init__("\n".join(lines))


class Document(NamedTuple):
    """A mapping that has the right shape, and where each of its members stands."""

    name: str
    mapping: model.Mapping
    lines: Object[Path, int]

    def problem(self, path: Path, message: str) -> Problem:
        """A mistake at a place."""
        return Problem(line_of(self.lines, path), write_path(path), message)


def read(text: str, name: str = "mapping") -> Document:
    """Read a file's text. Raises `BadMapping`."""
    lines: dict[Path, int] = {}
    problems: list[Problem] = []
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _walk(root, (), lines, problems)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise BadMapping(name, [Problem(line, "$", f"this is not YAML: {error.problem or error.context}")]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadMapping(name, [Problem(0, "$", f"this is not YAML: {error}")]) from None
    if problems:
        raise BadMapping(name, problems)
    try:
        return Document(name, model.Mapping.model_validate(content), lines)
    except ValidationError as error:
        raise BadMapping(name, [_problem(detail, content, lines) for detail in error.errors(include_url=False)]) from None


def line_of(lines: Object[Path, int], path: Path) -> int:
    """Where a member stands; where it is missing, where its nearest parent does."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def write_path(path: Path) -> str:
    """The path as people write it: `events.playing[0].send`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f"{'.' if text else ''}{step if _is_plain(step) else repr(step)}"
    return text or "$"


def _is_plain(name: str) -> bool:
    return name.replace(".", "").replace("_", "").replace("-", "").replace("*", "").isalnum() or name == "*"


def _walk(node: yaml.Node, path: Path, lines: dict[Path, int], problems: list[Problem]) -> None:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for index, one in enumerate(node.value):
            _walk(one, (*path, index), lines, problems)
    elif isinstance(node, yaml.MappingNode):
        for key, one in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                problems.append(Problem(line, write_path(path), "merge keys and nested keys are not taken; write the members out"))
                continue
            if key.tag != "tag:yaml.org,2002:str":
                problems.append(Problem(line, write_path((*path, key.value)), f"YAML takes {key.value} for no text; put it in quotes"))
            if (*path, key.value) in lines:
                problems.append(Problem(line, write_path((*path, key.value)), "this is said twice; leave one of them out"))
            _walk(one, (*path, key.value), lines, problems)
            lines[*path, key.value] = line


def _problem(detail: Any, content: object, lines: Object[Path, int]) -> Problem:
    path = _real_path(detail["loc"], content)
    kind, given = detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        message = f"there is no member {path[-1]!r} here{_did_you_mean(str(path[-1]), _MEMBERS)}"
    elif kind == "missing":
        path = (*path, str(detail["loc"][-1]))
        message = "this is missing; add it"
    elif kind == "literal_error":
        expected = str(detail["ctx"]["expected"])
        message = f"{given!r} is not known here{_did_you_mean(str(given), expected.replace(' or ', ', ').replace(chr(39), '').split(', '))}"
        message += f"; expected {expected}" if "did you" not in message else ""
    elif kind == "string_pattern_mismatch":
        message = f"{given!r} does not fit; expected small letters, digits and underscores, beginning with a letter"
    elif kind == "string_type" and isinstance(given, bool | int | float):
        message = "YAML takes this for no text; put it in quotes"
    else:
        message = f"{detail['msg'][:1].lower()}{detail['msg'][1:]}".replace(
            "valid dictionary or instance of Mapping", "mapping: members with names"
        )
    return Problem(line_of(lines, path), write_path(path), message)


def _real_path(location: tuple[str | int, ...], content: object) -> Path:
    """Where it stands in the file: pydantic's path also names steps that are only in the model."""
    path: list[str | int] = []
    for step in location:
        if isinstance(content, dict) and step in content:
            content = cast("dict[str | int, object]", content)[step]
        elif isinstance(content, list) and isinstance(step, int) and step < len(cast("list[object]", content)):
            content = cast("list[object]", content)[step]
        else:
            continue
        path.append(step)
    return tuple(path)


def _did_you_mean(given: str, known: Any) -> str:
    nearest = difflib.get_close_matches(given, known, n=1)
    return f"; did you mean {nearest[0]}?" if nearest else ""

"""Where settings come from: the environment, one file, a directory of secrets. Names only; what a value must be, `groups.py` says.

In: what the operator gave, and the names that are known. Out: path → value as it was written, and one line for each name that is not known.
"""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias, cast

import yaml

from relay.errors import SettingsError

PREFIX: Final = "RELAY_"
SECRETS_DIRECTORY: Final = "RELAY_SECRETS_DIR"
SECRET_BYTES_MAX: Final = 65_536

SettingPath: TypeAlias = tuple[str, ...]
"""Where a setting stands: ("kafka", "topics")."""

Given: TypeAlias = tuple[dict[SettingPath, object], list[str]]
"""What a source says, and what is wrong with it."""

# A Service that is called relay… makes Kubernetes put names like these into every pod of its namespace. They are nobody's mistake.
_SERVICE_LINK: Final = re.compile(
    r"RELAY_(?:[A-Z0-9]+_)*(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_[A-Z]+)?)?)"
)
_SERVICE_ADDRESS: Final = re.compile(r"(?:tcp|udp|sctp)://")


def environment_name(path: SettingPath) -> str:
    """The name by which the environment knows a setting."""
    return PREFIX + "__".join(path).upper()


def from_environment(environ: Mapping[str, str], known: Collection[SettingPath]) -> Given:
    """What the environment says. An empty value counts as none: charts and compose files write one for what is left out."""
    names = {environment_name(path): path for path in known}
    values: dict[SettingPath, object] = {}
    problems: list[str] = []
    for given, value in environ.items():
        name = given.upper()
        if not name.startswith(PREFIX) or name == SECRETS_DIRECTORY or not value or _is_service_link(name, value):
            continue
        if (path := names.get(name)) is not None:
            values[path] = value
        else:
            problems.append(f"{given}: no such setting{_nearest(name, names)}")
    return values, problems


def from_secrets(directory: Path, known: Collection[SettingPath], objects: Collection[SettingPath]) -> Given:
    """What the files of a directory say, each called like the setting, with or without the prefix, in any case; not entries of objects."""
    if not directory.is_dir():
        return {}, [f"{SECRETS_DIRECTORY}: {directory} is no directory; mount the secrets there or unset it"]
    names = {environment_name(path): path for path in known}
    values: dict[SettingPath, object] = {}
    problems: list[str] = []
    for file in sorted(directory.iterdir()):
        name = file.name.upper()
        has_prefix = name.startswith(PREFIX)
        path = names.get(name if has_prefix else PREFIX + name)
        if file.name.startswith(".") or not file.is_file() or _entry(file.name, objects) is not None:
            continue  # a mounted secret keeps its own versions beside the files
        if path is None:
            if has_prefix or "__" in name:  # any other file may be a certificate that a setting points to
                problems.append(f"{SECRETS_DIRECTORY}: the file {file.name} is no setting{_nearest(name, names)}")
            continue
        if text := _secret_for(path, file, problems):
            values[path] = text
    return values, problems


def entries_from_secrets(directory: Path, objects: Collection[SettingPath]) -> Given:
    """Single entries of objects, a file each: `kafka__client__sasl.password` holds the property sasl.password as it is, without JSON."""
    values: dict[SettingPath, object] = {}
    problems: list[str] = []
    for file in sorted(directory.iterdir()) if directory.is_dir() else []:
        found = _entry(file.name, objects)
        if found is None or not file.is_file():
            continue
        path, entry = found
        if text := _secret_for(path, file, problems):
            cast("dict[str, object]", values.setdefault(path, {}))[entry] = text
    return values, problems


def _secret_for(path: SettingPath, file: Path, problems: list[str]) -> str:
    """What a secret file says; empty, and one problem more, when it cannot be read."""
    try:
        return _read_secret(file)
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{environment_name(path)}: the secret file {file.name} cannot be read ({type(error).__name__}); check its rights")
        return ""


def _entry(file_name: str, objects: Collection[SettingPath]) -> tuple[SettingPath, str] | None:
    """The setting and the entry that a file's name means, if it means one. The setting in any case, the entry as it is."""
    full = file_name if file_name.upper().startswith(PREFIX) else PREFIX + file_name
    for path in objects:
        beginning = f"{environment_name(path)}__"
        entry = full[len(beginning) :]
        if entry and full[: len(beginning)].upper() == beginning:
            return path, entry
    return None


def from_file(file: Path, known: Collection[SettingPath]) -> Given:
    """What a YAML or TOML file says."""
    values: dict[SettingPath, object] = {}
    problems: list[str] = []
    names = {".".join(path): path for path in known}
    for path, value in _walk(_read_file(file), known, ()):
        if path in names.values():
            if value is not None:  # a name without a value counts as left out, as in the environment
                values[path] = value
        else:
            name = ".".join(path)
            problems.append(f"{file}: {name}: no such setting{_nearest(name, names)}")
    return values, problems


def _walk(tree: Mapping[object, object], known: Collection[SettingPath], above: SettingPath) -> Iterator[tuple[SettingPath, object]]:
    for name, value in tree.items():
        path = (*above, str(name))
        is_group = any(one[: len(path)] == path and one != path for one in known)
        if is_group and value is None:
            continue
        if is_group and isinstance(value, dict):
            yield from _walk(cast("dict[object, object]", value), known, path)
        else:
            yield path, value


def _read_file(file: Path) -> Mapping[object, object]:
    try:
        text = file.read_text("utf-8")
        match file.suffix.lower():
            case ".toml":
                tree: object = tomllib.loads(text)
            case ".yaml" | ".yml" | ".json":
                tree = yaml.safe_load(text)
            case _:
                raise SettingsError(f"--config {file}: unknown kind of file; call it .yaml or .toml")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--config {file}: cannot be read ({type(error).__name__}); check the path and its rights") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"--config {file}: no valid TOML ({_place(error)}); correct it there") from None
    except yaml.YAMLError as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        raise SettingsError(f"--config {file}: no valid YAML (line {mark.line + 1 if mark else '?'}); correct it there") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise SettingsError(f"--config {file}: holds no names; write groups like `kafka:` with their settings below")
    return cast("dict[object, object]", tree)


def _place(error: tomllib.TOMLDecodeError) -> str:
    """Where it is wrong, without the text that stands there."""
    found = re.search(r"at line \d+", str(error))
    return found.group()[3:] if found else "at its end"


def _read_secret(file: Path) -> str:
    with file.open("rb") as opened:
        return opened.read(SECRET_BYTES_MAX).decode().rstrip("\r\n")


def _is_service_link(name: str, value: str) -> bool:
    if "__" in name or not _SERVICE_LINK.fullmatch(name):
        return False
    return not name.endswith("_PORT") or "SERVICE" in name or bool(_SERVICE_ADDRESS.match(value))


def _nearest(name: str, names: Collection[str]) -> str:
    found = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else "; `relay settings` lists them all"

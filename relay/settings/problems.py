"""pydantic's account of what is wrong → one line for each thing: the name, what is wrong, what to change. Secrets are never shown."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, get_origin

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from relay.settings.sources import SettingPath, environment_name

_ORIGINS: Final = {"file": "the --config file", "secrets": "the secrets directory"}
_SUBJECTS: Final = ("Input ", "String ", "List ", "Value error, ")  # how the library begins; the setting's name stands there instead


def explain(error: ValidationError, known: Mapping[SettingPath, FieldInfo], sources: Mapping[SettingPath, Sequence[str]]) -> Iterator[str]:
    """Say everything that is wrong."""
    for detail in error.errors(include_url=False):
        location = tuple(str(part) for part in detail["loc"])
        path = next((location[:length] for length in (3, 2, 1) if location[:length] in known), None)
        if path is None:  # about two settings of one group, which the message names
            yield _what(detail)
            continue
        name, field, given_by = environment_name(path), known[path], origin(*sources.get(path, ()))
        if detail["type"] == "missing":
            yield f"{name}: is not set; {field.description}"
        elif get_origin(field.annotation) is dict and len(location) > len(path):
            is_union = len(location) > len(path) + 1  # the library names each type that it tried
            yield f"{name}: the value of {location[len(path)]} should be text{', a number, true or false' if is_union else ''}{given_by}"
        else:
            yield f"{name}: {_what(detail)}{_instead_of(detail, field)}{given_by}"


def origin(*sources: str) -> str:
    """Where a value came from, when it is not the place where everybody looks first."""
    named = [_ORIGINS[source] for source in sources if source in _ORIGINS]
    return f" (from {' and '.join(named)})" if named else ""


def _what(detail: ErrorDetails) -> str:
    message = detail["msg"]
    for subject in _SUBJECTS:
        message = message.removeprefix(subject)
    return message[:1].lower() + message[1:] if message.startswith("Path ") else message


def _instead_of(detail: ErrorDetails, field: FieldInfo) -> str:
    """What was given, where it cannot be a secret: numbers, words from a list and names of topics are none, an address may hold one."""
    value: object = detail["input"]
    may_hold_secret = get_origin(field.annotation) is dict or detail["type"] == "value_error" or "SecretStr" in str(field.annotation)
    return f", not {value!r:.80}" if isinstance(value, str | int | float) and not may_hold_secret else ""

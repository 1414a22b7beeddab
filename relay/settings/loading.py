"""All sources → `Settings`, or everything that is wrong with them.

In: the environment (`RELAY_…`, nested by two underscores), a file, a directory of secrets, in this order of precedence; objects like
`RELAY_KAFKA__CLIENT` are merged name by name. Out: frozen settings which know where each value came from.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, Literal, NamedTuple, Self, TypeAlias, cast, get_origin

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from relay.errors import SettingsError
from relay.settings.groups import (
    AdminSettings,
    ApiSettings,
    Group,
    InputSettings,
    KafkaSettings,
    LimitSettings,
    LogSettings,
    OAuthSettings,
    RetrySettings,
    SessionSettings,
    TracingSettings,
)
from relay.settings.problems import explain, origin
from relay.settings.sources import (
    SECRETS_DIRECTORY,
    Given,
    SettingPath,
    entries_from_secrets,
    environment_name,
    from_environment,
    from_file,
    from_secrets,
)

Source: TypeAlias = Literal["environment", "file", "secrets"]
Layer: TypeAlias = tuple[Source, Mapping[SettingPath, object]]

DEFAULT: Final = "default"
MASK: Final = "********"
_SECRET_WORDS: Final = re.compile(r"password|secret|key|sasl\.jaas|oauth|token", re.IGNORECASE)


class Origins(NamedTuple):
    """What settings were read from."""

    first: tuple[tuple[Source, Given], ...] = ()  # the environment and the file, as they were at the start
    secrets: Path | None = None


class Settings(BaseSettings):
    """Everything that can be set. Made by `load`."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    kafka: KafkaSettings
    api: ApiSettings
    oauth: OAuthSettings = OAuthSettings()
    retry: RetrySettings = RetrySettings()
    session: SessionSettings = SessionSettings()
    limits: LimitSettings = LimitSettings()
    input: InputSettings = InputSettings()
    admin: AdminSettings = AdminSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    drain_seconds_max: float = Field(
        default=20, ge=0, le=600, description="How long a stop waits for calls under way before it gives them up."
    )

    _sources: dict[SettingPath, str] = PrivateAttr(default_factory=dict)
    _origins: Origins = PrivateAttr(default_factory=Origins)

    @model_validator(mode="after")
    def _check_authorization(self) -> Self:
        if self.oauth.token_url and any(name.lower() == "authorization" for name in self.api.headers):
            raise ValueError("RELAY_API__HEADERS has an Authorization, which RELAY_OAUTH__TOKEN_URL would set; leave one of them out")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # the library names the arguments
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nothing unasked: `load` names the sources."""
        return (init_settings,)

    @classmethod
    def from_layers(cls, layers: Sequence[Layer], origins: Origins) -> Self:
        """Let the library put the layers one over the other, name by name, and judge what comes out."""
        blank: dict[str, object] = {"kafka": {}, "api": {}}  # so that what is missing is missed by its own name
        trees = [*(_nested(values) for _, values in layers), blank]
        make = cast("Callable[..., Self]", cls)  # type checkers know the fields as arguments, but not the library's own
        settings = make(_build_sources=(tuple(InitSettingsSource(cls, tree) for tree in trees), {}))
        settings._sources.update({path: " + ".join(sources) for path, sources in _sources(layers).items()})  # noqa: SLF001  # its own
        settings._origins = origins  # noqa: SLF001  # likewise
        return settings

    @property
    def origins(self) -> Origins:
        """What they were read from."""
        return self._origins

    def value_of(self, path: SettingPath) -> object:
        """The value at a path."""
        value: object = self
        for name in path:
            value = getattr(value, name)
        return value

    def source_of(self, path: SettingPath) -> str:
        """Where it came from: `environment`, `file`, `secrets` or `default`; several, joined by a plus sign, for a merged object."""
        return self._sources.get(path, DEFAULT)


class Shown(NamedTuple):
    """One setting as it may be shown to anybody."""

    name: str
    value: object  # fit for JSON; secrets are masked
    source: str


@cache
def known_settings() -> Mapping[SettingPath, FieldInfo]:
    """Every setting, by its path."""
    return dict(_fields(Settings, ()))


def _fields(group: type[BaseSettings] | type[Group], above: SettingPath) -> Iterator[tuple[SettingPath, FieldInfo]]:
    for name, field in group.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Group):
            yield from _fields(inner, (*above, name))
        else:
            yield (*above, name), field


def load(config_file: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read all sources. Raises `SettingsError` with everything that is wrong, a line each: the name, what is wrong, what to change."""
    known = known_settings()
    given: list[tuple[Source, Given]] = [("environment", from_environment(environ, known))]
    if config_file is not None:
        given.append(("file", from_file(config_file, known)))
    directory = environ.get(SECRETS_DIRECTORY)
    return _settle(Origins(tuple(given), Path(directory) if directory else None))


def reread(settings: Settings) -> Settings:
    """With what the secret files say now; environment and file as they were. Raises `SettingsError`, as `load` does."""
    return _settle(settings.origins)


def _settle(origins: Origins) -> Settings:
    known = known_settings()
    given = list(origins.first)
    if origins.secrets is not None:
        objects = [path for path, field in known.items() if is_object(field)]
        given.append(("secrets", entries_from_secrets(origins.secrets, objects)))
        given.append(("secrets", from_secrets(origins.secrets, known, objects)))
    problems = [problem for _, (_, unknown) in given for problem in unknown]
    layers: list[Layer] = [(source, _with_objects(source, values, problems)) for source, (values, _) in given]
    try:
        settings = Settings.from_layers(layers, origins)
    except ValidationError as error:
        problems += explain(error, known, _sources(layers))
    else:
        if not problems:
            return settings
    raise SettingsError("\n".join(dict.fromkeys(problems)))


def masked(settings: Settings) -> list[Shown]:
    """Every effective setting with its source, fit to be shown: secrets are masked."""
    return [Shown(environment_name(path), _showable(settings.value_of(path)), settings.source_of(path)) for path in known_settings()]


def _showable(value: object) -> object:
    if isinstance(value, SecretStr):
        return MASK
    if isinstance(value, dict):
        items = cast("dict[str, object]", value).items()
        return {name: MASK if _SECRET_WORDS.search(name) else _showable(inner) for name, inner in items}
    return str(value) if isinstance(value, Path) else value


def is_object(field: FieldInfo) -> bool:
    """Whether a setting is a JSON object."""
    return get_origin(field.annotation) is dict


def _with_objects(source: Source, values: Mapping[SettingPath, object], problems: list[str]) -> dict[SettingPath, object]:
    """The same values, with objects that were written as JSON read, since they are merged over the sources."""
    read: dict[SettingPath, object] = {}
    for path, value in values.items():
        if not is_object(known_settings()[path]):
            read[path] = value
            continue
        parsed = _parse(value) if isinstance(value, str) else value
        if isinstance(parsed, dict):
            read[path] = cast("dict[str, object]", parsed)
        else:
            problems.append(f'{environment_name(path)}: is no JSON object; write one like {{"name": "value"}}{origin(source)}')
    return read


def _parse(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _nested(values: Mapping[SettingPath, object]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for path, value in values.items():
        group = tree
        for name in path[:-1]:
            group = cast("dict[str, object]", group.setdefault(name, {}))
        group[path[-1]] = value
    return tree


def _sources(layers: Sequence[Layer]) -> dict[SettingPath, list[str]]:
    """The source that decided each value; for an object that is merged, all of them."""
    sources: dict[SettingPath, list[str]] = {}
    for source, values in layers:
        for path in values:
            named = sources.setdefault(path, [])
            if not named or (is_object(known_settings()[path]) and source not in named):
                named.append(source)
    return sources

"""The decoder that the operator has chosen: for plain JSON nothing more, for the rest a client of the schema registry and its formats.

In: the settings of the input. Out: a decoder, and the schemas that it rests on. It reads settings:
those of one group.
"""

import asyncio
import math
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from relay.errors import SettingsError
from relay.input.decoding import RECORD_BYTES_MAX, Decodes, PlainJson
from relay.input.keys import JsonKeys
from relay.settings.groups import InputSettings

if TYPE_CHECKING:
    from relay.input.registry import Registry


class KnowsSchemas(Protocol):
    """The schemas' face."""

    @property
    def failure(self) -> str:
        """Why the registry is of no use now, where only an operator can help."""
        ...

    def close(self) -> None:
        """Ask no more."""
        ...


def choose_decoder(
    chosen: InputSettings, loop: asyncio.AbstractEventLoop, *, record_bytes_max: int = RECORD_BYTES_MAX
) -> tuple[Decodes, KnowsSchemas | None]:
    """The decoder for what the operator says that records are written in. Raises `SettingsError` when what it takes is not installed."""
    if chosen.needs_registry:
        return _for_registry(chosen, loop, record_bytes_max)
    if chosen.key_format == "json":
        return JsonKeys(field=chosen.key_field, record_bytes_max=record_bytes_max), None
    return PlainJson(record_bytes_max), None


def _for_registry(chosen: InputSettings, loop: asyncio.AbstractEventLoop, record_bytes_max: int) -> tuple[Decodes, KnowsSchemas]:
    registry = registry_of(chosen)
    from relay.input.registered import Registered, prepare  # noqa: PLC0415  # only who needs it has it
    from relay.input.schemas import Schemas  # noqa: PLC0415

    asked = chosen.schema_registry
    schemas = Schemas(registry, prepare, loop=loop)
    decoder = Registered(
        schemas,
        form=chosen.format,
        key_format=chosen.key_format,
        key_field=chosen.key_field,
        checks_json=asked.check_json,
        record_bytes_max=record_bytes_max,
    )
    return decoder, schemas


def registry_of(chosen: InputSettings, *, seconds_max: float = math.inf) -> "Registry":
    """A client of the registry. Raises `SettingsError` when what it takes is not installed."""
    try:
        import_module("relay.input.registered")  # only who needs it has what it takes
        from relay.input.registry import Registry  # noqa: PLC0415
    except ImportError as error:
        cause = f"RELAY_INPUT__FORMAT={chosen.format}" if chosen.format != "json" else "RELAY_INPUT__KEY_FORMAT=registry"
        raise SettingsError(
            f"{cause} needs {error.name}, which is not installed; install the relay with its extra: pip install 'relay[registry]'"
        ) from error
    asked = chosen.schema_registry
    assert asked.url is not None  # the settings see to it
    return Registry(
        url=asked.url,
        username=asked.username,
        password=asked.password.get_secret_value(),
        token=None if asked.token is None else asked.token.get_secret_value(),
        logical_cluster=asked.logical_cluster,
        identity_pool=asked.identity_pool,
        ca_file=asked.ca_file,
        client_cert_file=asked.client_cert_file,
        client_key_file=asked.client_key_file,
        timeout_seconds=min(asked.timeout_seconds, seconds_max),
    )

"""A Schema Registry, asked through Confluent's own client. It blocks: to be used on threads of its own.

In: a schema's id. Out: the schema with all that it refers to, or why it cannot be had: there is none, or not now.

The client's own patience is switched off: whoever asks here asks again later, and nothing waits in between.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from confluent_kafka.schema_registry import SchemaReference, SchemaRegistryClient, SchemaRegistryError

from relay.errors import SettingsError
from relay.input.framing import SchemaId

REFERENCES_MAX: Final = 100
TEXT_CHARACTERS_MAX: Final = 2**20

_NOT_FOUND: Final = 404
_NO_SUCH_THING: Final = frozenset({40401, 40402, 40403})  # subject, version, schema: with another code the address is wrong
_REFUSED: Final = frozenset({401, 403})


class Schema(NamedTuple):
    """A schema as the registry keeps it."""

    kind: str  # AVRO, PROTOBUF or JSON
    text: str
    references: Mapping[str, str]  # name → text, of all that it refers to, directly or not


class NoSuchSchema(LookupError):  # noqa: N818  # a fact about an id
    """The registry says that it has none of this id, or not all that it refers to."""


class NotNow(Exception):  # noqa: N818  # a fact about a moment
    """The registry could not be asked, or gave no sensible answer."""

    def __init__(self, cause: str, advice: str = "") -> None:
        """Say what happened; advice is there when only an operator can help."""
        super().__init__(cause)
        self.cause = cause
        self.advice = advice


class FetchesSchemas(Protocol):
    """The registry's face."""

    def fetch(self, schema_id: SchemaId) -> Schema:
        """The schema. Raises `NoSuchSchema` or `NotNow`."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Registry:
    """Asks one registry. Safe to be used by several threads at once."""

    def __init__(  # noqa: PLR0913  # settings, each by its name
        self,
        *,
        url: str,
        username: str | None = None,
        password: str = "",
        token: str | None = None,
        logical_cluster: str = "",
        identity_pool: str | None = None,
        ca_file: str | None = None,
        client_cert_file: str | None = None,
        client_key_file: str | None = None,
        timeout_seconds: float = 10.0,
    ) -> None:
        """Take the settings; nothing is asked yet. Raises `SettingsError` when the client refuses them."""
        properties: dict[str, object] = {"url": url, "timeout": timeout_seconds, "max.retries": 0}
        if username is not None:
            properties["basic.auth.user.info"] = f"{username}:{password}"
        if token is not None:
            properties["bearer.auth.credentials.source"] = "STATIC_TOKEN"
            properties["bearer.auth.token"] = token
            properties["bearer.auth.logical.cluster"] = logical_cluster
            if identity_pool is not None:
                properties["bearer.auth.identity.pool.id"] = identity_pool
        files = {"ssl.ca.location": ca_file, "ssl.certificate.location": client_cert_file, "ssl.key.location": client_key_file}
        properties |= {name: file for name, file in files.items() if file is not None}
        try:
            self._client: Any = SchemaRegistryClient(properties)
        except (ValueError, TypeError, OSError) as error:
            raise SettingsError(f"RELAY_INPUT__SCHEMA_REGISTRY__…: the client refuses its settings: {error}") from None

    def fetch(self, schema_id: SchemaId) -> Schema:
        """The schema, and all that it refers to."""
        try:
            # A registry that has no serialized form of Protobuf gives its text, and others do not look at the word.
            found: Any = (
                self._client.get_schema(schema_id, fmt="serialized")
                if isinstance(schema_id, int)
                else self._client.get_schema_by_guid(schema_id, fmt="serialized")
            )
            references: dict[str, str] = {}
            self._follow(found.references or [], references)
            return Schema(found.schema_type or "AVRO", _text(found), references)
        except (NoSuchSchema, NotNow):
            raise
        except SchemaRegistryError as error:
            raise _judge(error) from None
        except Exception as error:  # whatever the client's HTTP library says when nobody answers, or answers nonsense
            raise NotNow(type(error).__name__) from error

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def _follow(self, wanted: list[SchemaReference], found: dict[str, str]) -> None:
        """Those that are referred to stand before those that refer to them."""
        waiting: list[SchemaReference] = list(wanted)
        while waiting:
            reference = waiting.pop()
            name, subject, version = str(reference.name), str(reference.subject), reference.version
            if name in found:
                found[name] = found.pop(name)
                continue
            if len(found) >= REFERENCES_MAX:
                raise NoSuchSchema(f"it refers to more than {REFERENCES_MAX} others")
            registered: Any = self._client.get_version(subject, version, True, "serialized")  # noqa: FBT003  # the library's
            found[name] = _text(registered.schema)
            waiting += registered.schema.references or []
        for name in reversed(list(found)):
            found[name] = found.pop(name)


def _text(schema: Any) -> str:
    text = schema.schema_str
    if not isinstance(text, str) or len(text) > TEXT_CHARACTERS_MAX:
        raise NotNow("no_schema_in_answer")
    return text


def _judge(error: SchemaRegistryError) -> NoSuchSchema | NotNow:
    status: object = error.http_status_code
    if status == _NOT_FOUND and error.error_code in _NO_SUCH_THING:
        return NoSuchSchema("the registry has none")
    if status in _REFUSED:
        return NotNow(f"status_{status}", "the schema registry refuses us: check its user name, password or token")
    if status == _NOT_FOUND:
        return NotNow("status_404", "the schema registry knows no such address: check RELAY_INPUT__SCHEMA_REGISTRY__URL and its path")
    return NotNow(f"status_{status}")

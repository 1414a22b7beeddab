"""All that an operator can set, in groups: bounds and a description on every field, frozen once made.

In: values of any source. Out: a group, or pydantic's account of what is wrong with it.
"""

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from relay.core.policies import skipped_when_unknown, too_old_by_kind

Scalar: TypeAlias = str | int | float | bool

_TOPIC: Final = r"^[A-Za-z0-9._-]{1,249}$"  # what Kafka takes as a name


def _split(text: object) -> object:
    return [part.strip() for part in text.split(",") if part.strip()] if isinstance(text, str) else text


def _plain_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("expected http:// or https:// and a host")
    if parts.username or parts.password:
        raise ValueError("expected no name and password in it; put credentials into RELAY_API__HEADERS")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("expected the base alone, without path or query; the relay knows the paths of the API")
    return f"{parts.scheme}://{parts.netloc}"


def _token_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("expected http:// or https:// and a host")
    if parts.username or parts.password or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("expected an address alone; put credentials into RELAY_OAUTH__CLIENT_ID and RELAY_OAUTH__CLIENT_SECRET")
    return url


def _registry_urls(text: str) -> str:
    urls = [part.strip() for part in text.split(",") if part.strip()]
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("expected http:// or https:// and a host, or several of them separated by commas")
        if parts.username or parts.password:
            raise ValueError("expected no name and password in it; use RELAY_INPUT__SCHEMA_REGISTRY__USERNAME and …__PASSWORD")
        if parts.query or parts.fragment:
            raise ValueError("expected no query in it")
    if not urls:
        raise ValueError("expected http:// or https:// and a host")
    return ",".join(urls)


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
        raise ValueError("expected http:// or https:// and a host, without name and password")
    return url


def _existing_file(path: str) -> str:
    if not Path(path).is_file():
        raise ValueError("there is no such file; mount it there or correct the path")
    return path


ExistingFile = Annotated[str, AfterValidator(_existing_file), WithJsonSchema({"type": "string", "format": "file-path"})]
Topic = Annotated[str, StringConstraints(pattern=_TOPIC)]
SourceTopic = Annotated[str, StringConstraints(pattern=r"^(\^.*|[A-Za-z0-9._-]{1,249})$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Group(BaseModel):
    """What all groups have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


class KafkaSettings(Group):
    """Where player events come from, and where the relay keeps its own records."""

    bootstrap_servers: str = Field(min_length=1, description="Brokers as `host:port`, separated by commas.")
    topics: Annotated[list[SourceTopic], BeforeValidator(_split)] = Field(
        default=["player-events"],
        min_length=1,
        max_length=100,
        description="Topics to read, separated by commas; a leading `^` makes a pattern.",
    )
    group_id: Topic = Field(default="relay", description="The consumer group. A new group starts at the earliest record.")
    group_protocol: Literal["classic", "consumer"] = Field(
        default="classic", description="The rebalance protocol: `consumer` is KIP-848 and needs brokers 4.0 or later."
    )
    group_instance_id: str | None = Field(
        default=None, min_length=1, max_length=249, description="Static membership: a name that this instance keeps over restarts."
    )
    receipt_seconds: float = Field(
        default=0.2,
        ge=0.01,
        le=5,
        description="How often what was delivered is made durable and offsets are committed."
        " A crash repeats at most what fell into one interval.",
    )
    revoke_seconds_max: float = Field(
        default=10, ge=0, le=120, description="How long a rebalance waits for calls under way on a partition that is about to leave."
    )
    state_topic: Topic | None = Field(
        default=None,
        description="The compacted topic that holds open sessions, `<group>.sessions` when unset."
        " One per source topic when there are several.",
    )
    dead_letter_topic: Topic | None = Field(
        default=None, description="Where events that are set aside go, `<group>.dead-letters` when unset."
    )
    create_topics: bool = Field(
        default=True, description="Create these two topics when they are missing; else say what to create and exit with 3."
    )
    client: dict[str, Scalar] = Field(
        default={},
        repr=False,
        description="A JSON object of librdkafka properties for every client: security, SASL, rack."
        " What several sources give is merged, name by name; secrets may come from `RELAY_SECRETS_DIR`.",
    )

    @field_validator("client")
    @classmethod
    def _refuse_what_has_a_setting(cls, client: dict[str, Scalar]) -> dict[str, Scalar]:
        for name in client:
            if name in _DECIDED_ELSEWHERE:
                raise ValueError(f"{name} cannot be given here: {_DECIDED_ELSEWHERE[name]}")
        return client

    @property
    def state_topic_name(self) -> str:
        """The topic of open sessions, or the beginning of its name when there are several source topics."""
        return self.state_topic or f"{self.group_id}.sessions"

    @property
    def dead_letter_topic_name(self) -> str:
        """The topic of what is set aside."""
        return self.dead_letter_topic or f"{self.group_id}.dead-letters"


_GUARANTEE: Final = "delivery at least once rests on it"
_DECIDED_ELSEWHERE: Final = {
    "bootstrap.servers": "use RELAY_KAFKA__BOOTSTRAP_SERVERS",
    "group.id": "use RELAY_KAFKA__GROUP_ID",
    "group.protocol": "use RELAY_KAFKA__GROUP_PROTOCOL",
    "group.instance.id": "use RELAY_KAFKA__GROUP_INSTANCE_ID",
    "enable.auto.commit": _GUARANTEE,
    "enable.auto.offset.store": _GUARANTEE,
    "enable.idempotence": _GUARANTEE,
}


class ApiSettings(Group):
    """Where player events go."""

    dialect: Literal["media-collection", "media-edge"] = Field(
        default="media-collection", description="The API that is spoken: the classic Media Collection API, or the Media Edge API."
    )
    url: Annotated[str, AfterValidator(_plain_url)] = Field(
        description="Base URL without the API path, such as `https://example.hb-api.omtrdc.net` or `https://edge.adobedc.net`."
        " `SSL_CERT_FILE` is honoured."
    )
    datastream_id: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")] | None = Field(
        default=None, description="The datastream that events are for; required by `media-edge`, of no use otherwise."
    )
    location_hints: Literal["follow", "ignore"] = Field(
        default="follow",
        description="Whether the events of a session go where the answer to its opening points: `/ee/{hint}/va/v1`. Only for `media-edge`;"
        " `ignore` it where what stands before the API knows one path only.",
    )
    edge_status_500: Literal["retry", "set_aside"] = Field(
        default="retry",
        description="What to do with an event that `media-edge` answers with 500: try again within `RELAY_RETRY__ATTEMPTS_MAX`, or set it"
        " aside at once, since Adobe advises against another try. An opening is always tried again.",
    )
    edge_dropped_params: Annotated[list[str], BeforeValidator(_split), Field(max_length=100)] | None = Field(
        default=None,
        description="Params that `media-edge` leaves out, separated by commas, besides `analytics.*` and `visitor.marketingCloudOrgId`,"
        " which the datastream knows. Any other without a place on the Edge, such as `visitor.aamLocationHint` or `appInstallationId`, sets"
        " its event aside.",
    )
    timeout_seconds: float = Field(default=10, ge=0.1, le=300, description="How long one request may take.")
    concurrency: Literal["adaptive", "fixed"] = Field(
        default="adaptive",
        description="How many requests may be under way at once: `adaptive` learns from latency and failures how many the API bears,"
        " between the two bounds; `fixed` is always the upper one.",
    )
    concurrency_max: int = Field(
        default=512,
        ge=1,
        le=10_000,
        description="Requests that may be under way at once. An eighth is kept for openings, another for events, so that neither starves.",
    )
    concurrency_min: int = Field(
        default=4,
        ge=1,
        le=10_000,
        description="`adaptive` allows this many openings and as many events at least, however slow the API is.",
    )
    requests_per_second_max: float | None = Field(
        default=None, ge=0.1, le=1_000_000, description="No more requests leave in any second. Unset: no limit but what the API asks for."
    )
    ca_file: ExistingFile | None = Field(default=None, description="Certificates (PEM) to trust instead of the system's.")
    client_cert_file: ExistingFile | None = Field(default=None, description="A client certificate (PEM) for mutual TLS.")
    client_key_file: ExistingFile | None = Field(default=None, description="Its key (PEM), where the certificate's file does not hold it.")
    headers: dict[str, SecretStr] = Field(
        default={},
        repr=False,
        description="A JSON object of headers for every request. Values are never shown. Merged, name by name, over the sources.",
    )
    transport: Literal["fast", "httpx"] = Field(
        default="fast",
        description="What carries the requests: `httpx` is the library's own and needs far more CPU; choose it behind a proxy.",
    )
    connection_age_seconds_max: Seconds = Field(
        default=300, description="A connection is closed when it is older: a new address of the API is noticed within this time."
    )
    connection_idle_seconds_max: float = Field(
        default=30,
        gt=0,
        le=3_600,
        description="An unused connection is closed after this. Keep it below the idle limit of what stands before the API.",
    )

    @field_validator("headers")
    @classmethod
    def _check_headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, value in headers.items():
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
                raise ValueError("a name holds characters that no header may have")
            if not re.fullmatch(r"[\x20-\x7e\t]*", value.get_secret_value()):
                raise ValueError(f"the value of {name} holds characters that no header may have, perhaps a line end")
            if name.lower() in {"host", "content-length", "transfer-encoding", "connection"}:
                raise ValueError(f"{name} is set by the relay itself; leave it out")
        return headers

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        if "concurrency_min" in self.model_fields_set and self.concurrency_min > self.concurrency_max:
            raise ValueError("RELAY_API__CONCURRENCY_MIN is above RELAY_API__CONCURRENCY_MAX; lower it or raise the other")
        return self

    @model_validator(mode="after")
    def _check_pair(self) -> Self:
        if self.client_key_file and not self.client_cert_file:
            raise ValueError("RELAY_API__CLIENT_KEY_FILE is set without RELAY_API__CLIENT_CERT_FILE; set both or neither")
        return self

    @model_validator(mode="after")
    def _check_datastream(self) -> Self:
        if self.dialect == "media-edge" and not self.datastream_id:
            raise ValueError(
                "RELAY_API__DATASTREAM_ID is not set, and RELAY_API__DIALECT=media-edge requires it; set it to the datastream's id"
            )
        return self


class OAuthSettings(Group):
    """How the relay gets a token for a gateway in front of the API. Off without a token URL."""

    token_url: Annotated[str, AfterValidator(_token_url)] | None = Field(
        default=None,
        description="The token endpoint, such as `https://ims-na1.adobelogin.com/ims/token/v3`. Set, each request to the API carries a"
        " bearer token from there (the client credentials grant of OAuth2).",
    )
    client_id: Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,500}$")] | None = Field(
        default=None, description="Who asks for a token; required with a token URL."
    )
    client_secret: SecretStr | None = Field(
        default=None,
        description="The secret that goes with it; required with a token URL. In a file of `RELAY_SECRETS_DIR` it may change while the"
        " relay runs: it is read anew for each token.",
    )
    client_authentication: Literal["form", "header"] = Field(
        default="form", description="Where id and secret stand: in the form, as Adobe IMS wants it, or in a `Basic` header."
    )
    scope: Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{0,2000}$")] = Field(
        default="", description="The scopes, as the endpoint wants them: separated by spaces, or by commas for Adobe IMS."
    )
    form: dict[str, SecretStr] = Field(
        default={},
        repr=False,
        description="A JSON object of further form fields for the endpoint, such as an audience. Values are never shown.",
    )
    refresh_seconds_ahead: float = Field(
        default=300, ge=1, le=3_600, description="A token is renewed so long before it expires, but not before half of its life."
    )
    timeout_seconds: float = Field(default=10, ge=0.1, le=60, description="How long a request for a token may take.")
    ca_file: ExistingFile | None = Field(
        default=None, description="Certificates (PEM) to trust at the token endpoint instead of the system's."
    )

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if self.token_url and not (self.client_id and self.client_secret and self.client_secret.get_secret_value()):
            raise ValueError(
                "RELAY_OAUTH__TOKEN_URL is set, so RELAY_OAUTH__CLIENT_ID and RELAY_OAUTH__CLIENT_SECRET are required; set both"
            )
        if not self.token_url and (self.client_id or self.client_secret):
            raise ValueError(
                "RELAY_OAUTH__CLIENT_ID or RELAY_OAUTH__CLIENT_SECRET is set without RELAY_OAUTH__TOKEN_URL; set all three or none"
            )
        return self


class RetrySettings(Group):
    """How often and how long a failed call is tried again."""

    backoff_seconds_initial: float = Field(
        default=0.5, ge=0.01, le=60, description="The longest wait before the second try; it doubles, with full jitter."
    )
    backoff_seconds_max: float = Field(default=30, ge=0.01, le=3_600, description="No wait between two tries is longer.")
    retry_after_seconds_max: float = Field(
        default=300, ge=0, le=86_400, description="A longer `Retry-After` counts as this. With 429 and 503 it holds for all sessions."
    )
    attempts_max: int = Field(
        default=8,
        ge=1,
        le=1_000,
        description="Requests in all for one event that is answered 500 while the API serves others; then it is set aside."
        " Not counted in an outage.",
    )
    age_seconds_max: float = Field(
        default=82_800,
        ge=1,
        le=2_592_000,
        description="A failing event is set aside when it is older than this. `RELAY_RETRY__TOO_OLD` says what becomes of one that does"
        " not fail.",
    )
    too_old: dict[str, str] = Field(
        default={},
        description="A JSON object: what becomes of an event that is older than `RELAY_RETRY__AGE_SECONDS_MAX` when its turn comes, by"
        ' kind, such as `{"ping":"drop","*":"send"}`: `send` (the default), `set_aside` or `drop`; `*` stands for all others. Nothing that'
        " frames a session can be dropped.",
    )
    unknown_outcome: dict[str, str] = Field(
        default={},
        description="A JSON object: what becomes of an event whose answer was lost, by kind, such as"
        ' `{"ping":"skip","*":"repeat"}`: `repeat` (the default) or `skip`; `*` stands for all others. An opening is always repeated.',
    )

    @field_validator("too_old")
    @classmethod
    def _check_too_old(cls, given: dict[str, str]) -> dict[str, str]:
        too_old_by_kind(given)
        return given

    @field_validator("unknown_outcome")
    @classmethod
    def _check_unknown_outcome(cls, given: dict[str, str]) -> dict[str, str]:
        skipped_when_unknown(given)
        return given

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.backoff_seconds_initial > self.backoff_seconds_max:
            raise ValueError("RELAY_RETRY__BACKOFF_SECONDS_INITIAL is above RELAY_RETRY__BACKOFF_SECONDS_MAX; lower it or raise the other")
        return self


class SessionSettings(Group):
    """How player sessions are opened, remembered and forgotten."""

    without_start: Literal["open", "set_aside"] = Field(
        default="open",
        description="What to do with an unknown session whose first event is no `sessionStart`: open it when enough is known"
        " (the event's `start`, then `RELAY_SESSION__START_PARAMS`), or set its events aside.",
    )
    start_params: dict[str, Scalar] = Field(
        default={}, description="A JSON object of default params for a session that is opened without its `sessionStart`."
    )
    idle_seconds_max: float = Field(
        default=1_800,
        ge=1,
        le=604_800,
        description="A session without events is forgotten after this, when all that stands in the log has been read.",
    )
    keep_alive_seconds: float | None = Field(
        default=None,
        ge=10,
        le=540,
        description="While a player is silent, its open session is sent a `ping` this often, so that the API does not let it expire after"
        " ten minutes; 240 is a good choice. After 29 minutes of silence, or after a day, the relay ends it, and the player's next event"
        " opens another that resumes it. Unset: never.",
    )
    state: Literal["kafka", "memory"] = Field(
        default="kafka",
        description="Where open sessions are remembered: in the state topic, or in memory, where nothing survives a restart.",
    )
    park_after_seconds: float = Field(
        default=30,
        ge=1,
        le=604_800,
        description="A session that fails for so long while the API serves others is parked once it holds up everything (it has"
        " `RELAY_LIMITS__SESSION_EVENTS_MAX` events waiting, or its partition's receipt is full): its events are set aside in order, to be"
        " replayed.",
    )
    openings_max: int = Field(default=3, ge=1, le=100, description="API sessions that are opened for one event before it is set aside.")
    reopenings_per_second_max: float = Field(
        default=50,
        ge=0.1,
        le=10_000,
        description="How many lost sessions are opened again per second: when the API forgets all, it must not be overrun.",
    )

    @model_validator(mode="after")
    def _check_keep_alive(self) -> Self:
        if self.keep_alive_seconds is not None and self.keep_alive_seconds >= self.idle_seconds_max:
            raise ValueError(
                "RELAY_SESSION__KEEP_ALIVE_SECONDS is not below RELAY_SESSION__IDLE_SECONDS_MAX, so a silent session would be ended before"
                " its first ping; lower it or raise the other"
            )
        return self


class LimitSettings(Group):
    """What the relay holds at most. At a limit it stops reading; nothing is dropped, unless pings are to be shed."""

    buffer_bytes_max: int = Field(default=128 * 2**20, ge=2**20, le=64 * 2**30, description="Bytes of events that wait in memory.")
    buffer_events_max: int = Field(default=100_000, ge=100, le=10_000_000, description="Events that wait in memory.")
    session_events_max: int = Field(default=1_000, ge=1, le=1_000_000, description="Events that wait in one player session.")
    lanes_max: int = Field(default=500_000, ge=100, le=50_000_000, description="Player sessions that are held at once.")
    record_bytes_max: int = Field(default=262_144, ge=1_024, le=10 * 2**20, description="A record with more bytes is set aside unread.")
    shed_pings_after_seconds: float | None = Field(
        default=None,
        ge=1,
        le=3_600,
        description="When events have filled the buffer for this long while the API serves, every other ping is dropped that has another"
        " one of its session behind it, and again after the same time. Nothing else is dropped, and by default nothing at all.",
    )


class SchemaRegistrySettings(Group):
    """Where schemas come from."""

    url: Annotated[str, AfterValidator(_registry_urls)] | None = Field(
        default=None,
        description="The schema registry, with its path where it has one, such as `http://registry:8081` or"
        " `http://apicurio:8080/apis/ccompat/v7`; several of one cluster are separated by commas.",
    )
    username: str | None = Field(default=None, min_length=1, description="The user name or API key for the registry.")
    password: SecretStr = Field(default=SecretStr(""), description="Its password or API secret.")
    token: SecretStr | None = Field(default=None, min_length=1, description="A bearer token for the registry, instead of a user name.")
    logical_cluster: str = Field(default="", description="With a token: the registry's logical cluster, for Confluent Cloud.")
    identity_pool: str | None = Field(default=None, min_length=1, description="With a token: the identity pool, for Confluent Cloud.")
    ca_file: ExistingFile | None = Field(
        default=None, description="Certificates (PEM) to trust the registry by. Unset: `SSL_CERT_FILE`, or those that come with the client."
    )
    client_cert_file: ExistingFile | None = Field(default=None, description="A client certificate (PEM) for mutual TLS with the registry.")
    client_key_file: ExistingFile | None = Field(default=None, description="Its key (PEM), where the certificate's file does not hold it.")
    timeout_seconds: float = Field(
        default=10, ge=0.1, le=120, description="How long one question to the registry may take; then it is asked again."
    )
    check_json: bool = Field(
        default=True,
        description="With `json-schema`: look whether each value is what its schema says. Without, the registry is not asked at all,"
        " and an event costs far less.",
    )

    @model_validator(mode="after")
    def _check_credentials(self) -> Self:
        if self.username is not None and self.token is not None:
            raise ValueError("RELAY_INPUT__SCHEMA_REGISTRY__USERNAME and RELAY_INPUT__SCHEMA_REGISTRY__TOKEN are both set; set one of them")
        return self


class InputSettings(Group):
    """How records become player events."""

    format: Literal["json", "avro", "protobuf", "json-schema"] = Field(
        default="json",
        description="How the value of a record is written. All but `json` come with the id of a schema as Confluent's clients write it,"
        " need `RELAY_INPUT__SCHEMA_REGISTRY__URL`, and the extra `registry` of this package.",
    )
    key_format: Literal["raw", "json", "registry"] = Field(
        default="raw", description="How the key of a record is written: UTF-8 text, JSON, or in a schema of the registry."
    )
    key_field: Annotated[str, StringConstraints(pattern=r"^[^.]+(\.[^.]+)*$", max_length=200)] | None = Field(
        default=None, description="Where keys are objects: the member that names the session, such as `id` or `session.id`."
    )
    schema_registry: SchemaRegistrySettings = SchemaRegistrySettings()
    mapping: str = Field(
        default="native",
        min_length=1,
        description="How a record becomes player events: `native` takes it as it is; the name of another preset, or a mapping file."
        " `cloudevents+` before either takes a CloudEvents envelope off first.",
    )
    unknown_fields: Literal["refuse", "ignore"] = Field(
        default="refuse", description="What to do with an event that has a field nobody knows."
    )

    order: Literal["ignore", "send", "drop_repeats", "reorder"] = Field(
        default="send",
        description="What to do with events that come in late, or twice, within their session: `send` them as they come and count them,"
        " `drop_repeats`, or `reorder` within a window, which drops repeats as well. With `ignore` nobody looks.",
    )
    sequence_header: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,200}$")] | None = Field(
        default=None,
        description="The record header that holds an event's number within its session, as decimal digits. Unset: its `ts` says its place.",
    )
    reorder_seconds_max: float = Field(
        default=2,
        gt=0,
        le=60,
        description="With `reorder`: how long an event waits for others to go before it. Without sequence numbers each one waits so long.",
    )
    reorder_events_max: int = Field(default=32, ge=1, le=1_000, description="With `reorder`: how many events of one session wait so.")

    @property
    def needs_registry(self) -> bool:
        """Whether records are written in schemas of a registry."""
        return self.format != "json" or self.key_format == "registry"

    @property
    def asks_registry(self) -> bool:
        """Whether schemas are fetched from it: JSON that is not checked is read without."""
        reads_without = self.format == "json-schema" and not self.schema_registry.check_json and self.key_format != "registry"
        return self.needs_registry and not reads_without

    @model_validator(mode="after")
    def _check_registry(self) -> Self:
        if self.needs_registry and self.schema_registry.url is None:
            cause = f"RELAY_INPUT__FORMAT={self.format}" if self.format != "json" else "RELAY_INPUT__KEY_FORMAT=registry"
            raise ValueError(f"RELAY_INPUT__SCHEMA_REGISTRY__URL is not set, and {cause} requires it; set it to the registry's address")
        if self.key_field is not None and self.key_format == "raw":
            raise ValueError("RELAY_INPUT__KEY_FIELD is set, and RELAY_INPUT__KEY_FORMAT=raw has no fields; choose json or registry")
        return self


class AdminSettings(Group):
    """The small server for metrics, health and the console."""

    host: str = Field(default="0.0.0.0", min_length=1, description="The address to listen on.")  # noqa: S104  # scraped from outside the pod
    port: int = Field(default=8080, ge=0, le=65_535, description="The port; 0 takes any that is free.")
    console: bool = Field(default=True, description="Serve the console and the same as JSON under `/api`.")
    unmasked: bool = Field(
        default=False,
        description="Show the keys of player sessions, ids of API sessions and details of dead letters in the console and under `/api`."
        " Whoever reaches the port sees them then.",
    )
    time_lines_max: int = Field(
        default=250,
        ge=0,
        le=20_000,
        description="Of how many player sessions a time line is kept, up to 200 rows each (about 40 kB); 0 keeps none.",
    )


class TracingSettings(Group):
    """Spans for a collector of OpenTelemetry. Off without an endpoint; needs the extra `relay[tracing]`."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = Field(
        default=None,
        description="Where spans go: the whole URL of OTLP over HTTP, such as `http://collector:4318/v1/traces`. Headers for it come from"
        " `OTEL_EXPORTER_OTLP_HEADERS`, further attributes of the process from `OTEL_RESOURCE_ATTRIBUTES`.",
    )
    sample_ratio: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="The share of records that are traced; with the relation `parent` of those without a context.",
    )
    relation: Literal["link", "parent"] = Field(
        default="link",
        description="What a record's span is to the context in its headers: linked to it, in a trace of its own, or below it.",
    )


class LogSettings(Group):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least that is written.")
    format: Literal["json", "console"] | None = Field(
        default=None, description="`json`, or `console` for people. Unset: `console` on a terminal, else `json`."
    )

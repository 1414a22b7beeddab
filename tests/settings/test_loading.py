"""Settings: which source wins, and what is refused with which words."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from relay.errors import SettingsError
from relay.settings import Settings, load, masked, reread

REQUIRED: Mapping[str, str] = {"RELAY_KAFKA__BOOTSTRAP_SERVERS": "broker:9092", "RELAY_API__URL": "https://api.example"}


def problems(environ: Mapping[str, str], config: Path | None = None) -> list[str]:
    """Load what must not load, and return the lines that say why."""
    with pytest.raises(SettingsError) as refused:
        load(config, environ)
    return str(refused.value).splitlines()


def with_required(**more: str) -> dict[str, str]:
    """The required settings and some more."""
    return {**REQUIRED, **more}


def test_two_settings_suffice() -> None:
    """With the brokers and the API's address everything else has its default."""
    settings = load(None, REQUIRED)
    assert settings.kafka.topics == ["player-events"]
    assert settings.kafka.state_topic_name == "relay.sessions"
    assert settings.kafka.dead_letter_topic_name == "relay.dead-letters"
    assert settings.api.concurrency_max == 512
    assert settings.limits.buffer_bytes_max == 128 * 2**20
    assert settings.drain_seconds_max == 20
    assert settings.log.format is None


def test_what_is_missing_is_named() -> None:
    """Each required setting that is missing has a line that begins with its name."""
    lines = problems({})
    assert [line.partition(":")[0] for line in lines] == ["RELAY_KAFKA__BOOTSTRAP_SERVERS", "RELAY_API__URL"]


def test_the_environment_goes_before_the_file_and_the_file_before_the_secrets(tmp_path: Path) -> None:
    """Of several sources the nearest to the operator wins, and each value knows where it came from."""
    config = tmp_path / "relay.yaml"
    config.write_text("kafka:\n  group_id: from-file\n  topics: [a, b]\ndrain_seconds_max: 7\n")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "kafka__group_id").write_text("from-secrets\n")
    (secrets / "RELAY_KAFKA__TOPICS").write_text("c")
    (secrets / "relay_retry__attempts_max").write_text("5\n")
    settings = load(config, with_required(RELAY_SECRETS_DIR=str(secrets), RELAY_KAFKA__GROUP_ID="from-environment"))
    assert settings.kafka.group_id == "from-environment"
    assert settings.kafka.topics == ["a", "b"]
    assert settings.retry.attempts_max == 5
    sources = {name: source for name, _, source in masked(settings)}
    assert sources["RELAY_KAFKA__GROUP_ID"] == "environment"
    assert sources["RELAY_KAFKA__TOPICS"] == "file"
    assert sources["RELAY_DRAIN_SECONDS_MAX"] == "file"
    assert sources["RELAY_RETRY__ATTEMPTS_MAX"] == "secrets"
    assert sources["RELAY_ADMIN__PORT"] == "default"


def test_objects_are_merged_over_the_sources(tmp_path: Path) -> None:
    """The security of the clients can come from the environment, and the password alone from a secret file."""
    (tmp_path / "kafka__client").write_text('{"sasl.password": "from-secrets", "client.rack": "b"}')
    given = '{"security.protocol": "SASL_SSL", "client.rack": "a"}'
    settings = load(None, with_required(RELAY_SECRETS_DIR=str(tmp_path), RELAY_KAFKA__CLIENT=given))
    assert settings.kafka.client == {"security.protocol": "SASL_SSL", "sasl.password": "from-secrets", "client.rack": "a"}
    assert settings.source_of(("kafka", "client")) == "environment + secrets"


@pytest.mark.parametrize("name", ["relay.toml", "relay.yml"])
def test_a_file_may_be_toml_or_yaml(tmp_path: Path, name: str) -> None:
    """Both kinds of file say the same."""
    texts = {
        "relay.toml": '[kafka]\nbootstrap_servers = "b:1"\nclient = {"client.rack" = "a"}\n[api]\nurl = "http://h"\n',
        "relay.yml": 'kafka:\n  bootstrap_servers: "b:1"\n  client: {client.rack: a}\napi: {url: "http://h"}\n'
        "log:\nretry: {attempts_max: }\n",
    }
    config = tmp_path / name
    config.write_text(texts[name])
    settings = load(config, {})
    assert settings.kafka.bootstrap_servers == "b:1"
    assert settings.kafka.client == {"client.rack": "a"}
    assert settings.retry.attempts_max == 8


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("relay.yaml", "kafka: [unclosed", "no valid YAML (line"),
        ("relay.toml", "url = \nsecret", "no valid TOML (line 1)"),
        ("relay.yaml", "- a\n- b\n", "holds no names"),
        ("relay.ini", "", "unknown kind of file"),
        ("relay.yaml", None, "cannot be read"),
        ("relay.yaml", "kafka:\n  bootstrap_server: b\n", "kafka.bootstrap_server: no such setting; did you mean kafka.bootstrap_servers?"),
        ("relay.yaml", "kafka:\n  bootstrap: {servers: b}\n", "kafka.bootstrap: no such setting"),
        ("relay.yaml", "kafkaa: {topics: b}\n", "kafkaa: no such setting"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, name: str, text: str | None, expected: str) -> None:
    """A file that cannot be used stops the start with its path and what is wrong."""
    config = tmp_path / name
    if text is not None:
        config.write_text(text)
    line = problems(REQUIRED, config)[0]
    assert str(config) in line
    assert expected in line


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("RELAY_KAFKA__TOPIC", "RELAY_KAFKA__TOPICS"),
        ("RELAY_API_URL", "RELAY_API__URL"),
        ("RELAY_DRAIN_SECONDS", "RELAY_DRAIN_SECONDS_MAX"),
        ("RELAY_KAFKA__CLIENT__SASL", "RELAY_KAFKA__CLIENT"),
        ("RELAY_KAFKA", "RELAY_KAFKA__"),
        ("RELAY_ADMIN_PORT", "RELAY_ADMIN__PORT"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known(name: str, nearest: str) -> None:
    """A mistyped setting stops the start: a limit that nobody reads is worse than none."""
    (line,) = problems(with_required(**{name: "8081"}))
    assert line.startswith(f"{name}: no such setting")
    assert nearest in line or "RELAY_" in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RELAY_SERVICE_HOST", "10.0.0.1"),
        ("RELAY_SERVICE_PORT_METRICS", "8080"),
        ("RELAY_PORT", "tcp://10.0.0.1:8080"),
        ("RELAY_METRICS_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("RELAY_KAFKA__GROUP_INSTANCE_ID", ""),
    ],
)
def test_what_kubernetes_says_about_services_is_no_setting(name: str, value: str) -> None:
    """A Service called relay puts its address into the environment; that, and an empty value, is nobody's mistake."""
    assert load(None, with_required(**{name: value})) == load(None, REQUIRED)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("RELAY_API__DIALECT", "media-edges", "'media-collection' or 'media-edge'"),
        ("RELAY_API__DATASTREAM_ID", "two words", "pattern"),
        ("RELAY_API__LOCATION_HINTS", "obey", "'follow' or 'ignore'"),
        ("RELAY_API__EDGE_STATUS_500", "again", "'retry' or 'set_aside'"),
        ("RELAY_API__URL", "ftp://h", "expected http:// or https://"),
        ("RELAY_API__URL", "https://h/va/v1", "without path"),
        ("RELAY_API__CA_FILE", "/nowhere/ca.pem", "no such file"),
        ("RELAY_API__HEADERS", '{"X Y": "1"}', "no header may have"),
        ("RELAY_API__HEADERS", '{"x": "a\\nb"}', "no header may have"),
        ("RELAY_API__HEADERS", '{"Host": "h"}', "set by the relay itself"),
        ("RELAY_API__HEADERS", '["a"]', "no JSON object"),
        ("RELAY_API__TIMEOUT_SECONDS", "nan", "finite"),
        ("RELAY_API__CONCURRENCY_MAX", "many", "valid integer"),
        ("RELAY_API__CONCURRENCY_MIN", "513", "above RELAY_API__CONCURRENCY_MAX"),
        ("RELAY_API__CONCURRENCY", "automatic", "'adaptive' or 'fixed'"),
        ("RELAY_API__REQUESTS_PER_SECOND_MAX", "0", "greater than or equal to 0.1"),
        ("RELAY_KAFKA__CLIENT", "{", "no JSON object"),
        ("RELAY_KAFKA__CLIENT", '{"group.id": "x"}', "use RELAY_KAFKA__GROUP_ID"),
        ("RELAY_KAFKA__CLIENT", '{"enable.auto.commit": true}', "at least once"),
        ("RELAY_KAFKA__CLIENT", '{"a": [1]}', "the value of a should be text, a number, true or false"),
        ("RELAY_KAFKA__TOPICS", "a b", "pattern"),
        ("RELAY_KAFKA__TOPICS", ",", "at least 1"),
        ("RELAY_ADMIN__PORT", "65536", "less than or equal to 65535"),
        ("RELAY_LOG__LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("RELAY_OAUTH__TOKEN_URL", "https://h/token", "RELAY_OAUTH__CLIENT_SECRET are required"),
        ("RELAY_OAUTH__TOKEN_URL", "https://u:p@h/token", "an address alone"),
        ("RELAY_OAUTH__TOKEN_URL", "h/token", "expected http:// or https://"),
        ("RELAY_OAUTH__CLIENT_ID", "relay", "without RELAY_OAUTH__TOKEN_URL"),
        ("RELAY_OAUTH__CLIENT_AUTHENTICATION", "query", "'form' or 'header'"),
        ("RELAY_OAUTH__FORM", "[]", "no JSON object"),
        ("RELAY_RETRY__BACKOFF_SECONDS_INITIAL", "60", "above RELAY_RETRY__BACKOFF_SECONDS_MAX"),
        ("RELAY_SECRETS_DIR", "/nowhere", "is no directory"),
    ],
)
def test_a_value_out_of_bounds_is_refused_in_one_line(name: str, value: str, expected: str) -> None:
    """One line names the setting and says what is wrong."""
    (line,) = problems(with_required(**{name: value}))
    assert line.startswith(name)
    assert expected in line


def test_the_default_minimum_gives_way_to_a_lower_maximum() -> None:
    """Who allows two requests at once need not set the minimum as well."""
    assert load(None, environ=with_required(RELAY_API__CONCURRENCY_MAX="2")).api.concurrency_max == 2


def test_a_key_without_its_certificate_is_refused(tmp_path: Path) -> None:
    """A client key alone proves nothing."""
    key = tmp_path / "key.pem"
    key.touch()
    (line,) = problems(with_required(RELAY_API__CLIENT_KEY_FILE=str(key)))
    assert "RELAY_API__CLIENT_CERT_FILE" in line


def test_the_edge_asks_for_a_datastream() -> None:
    """Media Edge requests name a datastream; the classic dialect has no use for one."""
    (line,) = problems(with_required(RELAY_API__DIALECT="media-edge"))
    assert line.startswith("RELAY_API__DATASTREAM_ID is not set")
    assert "RELAY_API__DIALECT" in line
    settings = load(None, with_required(RELAY_API__DIALECT="media-edge", RELAY_API__DATASTREAM_ID="0a1b2c:dev"))
    assert (settings.api.location_hints, settings.api.edge_status_500, settings.api.edge_dropped_params) == ("follow", "retry", None)
    settings = load(None, with_required(RELAY_API__EDGE_DROPPED_PARAMS="appInstallationId, visitor.aamLocationHint"))
    assert settings.api.edge_dropped_params == ["appInstallationId", "visitor.aamLocationHint"]


def test_files_in_the_secrets_directory_that_are_no_settings(tmp_path: Path) -> None:
    """Certificates and the versions of a mounted secret may lie there; a name that looks like a setting and is none is refused."""
    (tmp_path / "ca.crt").write_text("x")
    (tmp_path / "..data").mkdir()
    environ = with_required(RELAY_SECRETS_DIR=str(tmp_path))
    load(None, environ)
    (tmp_path / "kafka__clint").write_text("{}")
    (line,) = problems(environ)
    assert "kafka__clint" in line
    assert "RELAY_KAFKA__CLIENT" in line


def test_no_secret_is_ever_shown(tmp_path: Path) -> None:
    """Neither the shown settings, nor their representation, nor an error message holds a secret."""
    (tmp_path / "api__headers").write_text(json.dumps({"Authorization": "Bearer geheim"}))
    client = {"sasl.password": "geheim", "ssl.key.password": "geheim", "sasl.jaas.config": "geheim", "sasl.oauthbearer.client.id": "geheim"}
    environ = with_required(RELAY_SECRETS_DIR=str(tmp_path), RELAY_KAFKA__CLIENT=json.dumps({**client, "security.protocol": "SSL"}))
    settings = load(None, environ)
    shown = {name: value for name, value, _ in masked(settings)}
    assert shown["RELAY_KAFKA__CLIENT"] == {**dict.fromkeys(client, "********"), "security.protocol": "SSL"}
    assert "geheim" not in repr(shown)
    assert "geheim" not in repr(settings)
    assert settings.api.headers["Authorization"] == SecretStr("Bearer geheim")
    (tmp_path / "api__headers").write_text("Bearer geheim")
    (tmp_path / "kafka__client").write_text('{"sasl.password": ["geheim"]}')
    lines = problems(environ | {"RELAY_API__URL": "https://user:geheim@h", "RELAY_KAFKA__CLIENT": '{"a": ["geheim"]}'})
    assert lines
    assert "geheim" not in "\n".join(lines)


OAUTH = {"RELAY_OAUTH__TOKEN_URL": "https://h/token?x=1", "RELAY_OAUTH__CLIENT_ID": "relay"}
OAUTH_SECRET = "RELAY_OAUTH__CLIENT_SECRET"  # noqa: S105  # the name of it


def test_secrets_of_a_token_are_never_shown(tmp_path: Path) -> None:
    """Neither the secret nor what a form holds besides, whatever is wrong with them."""
    environ = with_required(**OAUTH, **{OAUTH_SECRET: "geheim"}, RELAY_OAUTH__FORM='{"assertion": "geheim"}')
    settings = load(None, environ)
    shown = {name: value for name, value, _ in masked(settings)}
    assert shown[OAUTH_SECRET] == "********"
    assert shown["RELAY_OAUTH__FORM"] == {"assertion": "********"}
    assert "geheim" not in f"{shown!r} {settings!r}"
    config = tmp_path / "relay.yaml"
    config.write_text("oauth:\n  client_secret: 4711\n  form: {a: [4711]}\n")
    lines = problems(with_required(**OAUTH), config)
    assert len(lines) == 2
    assert "4711" not in "".join(lines)


def test_a_token_and_a_header_of_ones_own_exclude_each_other() -> None:
    """One of them would be lost without a word."""
    environ = with_required(**OAUTH, **{OAUTH_SECRET: "s"}, RELAY_API__HEADERS='{"authorization": "Basic eA=="}')
    (line,) = problems(environ)
    assert "RELAY_API__HEADERS" in line
    assert "RELAY_OAUTH__TOKEN_URL" in line


def test_secret_files_can_be_read_anew(tmp_path: Path) -> None:
    """They count as they are now; the environment and the file, and whatever goes before them, as at the start."""
    config = tmp_path / "relay.yaml"
    config.write_text("api:\n  timeout_seconds: 3\n")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    secret = secrets / "oauth__client_secret"
    secret.write_text("old")
    environ = with_required(**OAUTH, RELAY_SECRETS_DIR=str(secrets))
    settings = load(config, environ)
    assert settings.oauth.client_secret == SecretStr("old")
    assert reread(settings) == settings
    secret.write_text("new\n")
    config.write_text("api:\n  timeout_seconds: 4\n")
    environ["RELAY_OAUTH__CLIENT_ID"] = "other"
    settings = reread(reread(settings))
    assert settings.oauth.client_secret == SecretStr("new")
    assert (settings.api.timeout_seconds, settings.oauth.client_id) == (3, "relay")
    secret.unlink()
    with pytest.raises(SettingsError) as refused:
        reread(settings)
    assert "RELAY_OAUTH__CLIENT_SECRET" in str(refused.value)


def test_what_is_decided_by_kind_is_merged_over_the_sources_and_checked(tmp_path: Path) -> None:
    """Kinds that nobody knows, words that mean nothing, and what makes no sense for a kind stop the start, each with what to change."""
    config = tmp_path / "relay.yaml"
    config.write_text('retry:\n  too_old: {ping: drop, play: set_aside}\n  unknown_outcome: {"*": skip, sessionStart: repeat}\n')
    settings = load(config, with_required(RELAY_RETRY__TOO_OLD='{"play":"send"}'))
    assert settings.retry.too_old == {"ping": "drop", "play": "send"}
    assert settings.retry.unknown_outcome == {"*": "skip", "sessionStart": "repeat"}
    lines = problems(with_required(RELAY_RETRY__TOO_OLD='{"sessionComplete":"drop"}', RELAY_RETRY__UNKNOWN_OUTCOME='{"pings":"skip"}'))
    assert lines == [
        'RELAY_RETRY__TOO_OLD: what frames a session cannot be dropped: add "sessionComplete":"send", or "set_aside" instead of "send"',
        "RELAY_RETRY__UNKNOWN_OUTCOME: pings is no kind of event: use the names of the API, such as ping or adStart, or * for all others",
    ]


def test_a_session_is_not_kept_alive_less_often_than_it_is_forgotten() -> None:
    """It would be ended before its first ping."""
    (line,) = problems(with_required(RELAY_SESSION__KEEP_ALIVE_SECONDS="240", RELAY_SESSION__IDLE_SECONDS_MAX="240"))
    assert line.startswith("RELAY_SESSION__KEEP_ALIVE_SECONDS is not below RELAY_SESSION__IDLE_SECONDS_MAX")
    assert load(None, with_required(RELAY_SESSION__KEEP_ALIVE_SECONDS="240")).session.keep_alive_seconds == 240


def test_settings_are_frozen() -> None:
    """What the start was given holds until the end."""
    settings = load(None, REQUIRED)
    with pytest.raises(ValidationError):
        settings.kafka.group_id = "other"  # type: ignore[misc]


def test_nothing_is_read_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the sources that `load` was given count, not the environment of the process."""
    monkeypatch.setenv("RELAY_KAFKA__GROUP_ID", "stray")
    assert load(None, REQUIRED).kafka.group_id == "relay"


def test_every_number_has_bounds() -> None:
    """No setting takes any number whatever."""
    schema = Settings.model_json_schema()
    for group in [schema, *schema["$defs"].values()]:
        for name, field in group["properties"].items():
            for option in field.get("anyOf", [field]):
                if option.get("type") in {"integer", "number"}:
                    assert "maximum" in option, name
                    assert "minimum" in option or "exclusiveMinimum" in option, name


def test_an_entry_of_an_object_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    """A mounted secret holds the bare password: it becomes one property, beside those of other files and sources, and is masked."""
    (tmp_path / "kafka__client__sasl.password").write_text("geheim\n")
    (tmp_path / "RELAY_API__HEADERS__x-api-Key").write_text("k1")
    (tmp_path / "kafka__client").write_text('{"sasl.username": "u", "sasl.password": "old"}')
    environ = with_required(RELAY_SECRETS_DIR=str(tmp_path), RELAY_KAFKA__CLIENT='{"client.rack": "a"}')
    settings = load(None, environ)
    assert settings.kafka.client == {"client.rack": "a", "sasl.password": "geheim", "sasl.username": "u"}
    assert settings.api.headers["x-api-Key"].get_secret_value() == "k1"
    shown = {name: (value, source) for name, value, source in masked(settings)}
    assert shown["RELAY_KAFKA__CLIENT"] == (
        {"client.rack": "a", "sasl.password": "********", "sasl.username": "u"},
        "environment + secrets",
    )


def test_a_file_for_an_entry_of_what_is_no_object_is_refused(tmp_path: Path) -> None:
    """Only objects have entries: anything else with two underscores is a slip of the pen."""
    (tmp_path / "kafka__group_id__x").write_text("y")
    (line,) = problems(with_required(RELAY_SECRETS_DIR=str(tmp_path)))
    assert line.startswith("RELAY_SECRETS_DIR: the file kafka__group_id__x is no setting")

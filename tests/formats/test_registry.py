"""The client of the registry, and the decoder on top, against a small registry and against a real one."""

import json
import ssl
from typing import Any

import pytest
import trustme
from confluent_kafka.schema_registry import Schema as Registered
from confluent_kafka.schema_registry import SchemaReference, SchemaRegistryClient

from relay.core.events import Record
from relay.core.reasons import Reason
from relay.errors import SettingsError
from relay.input.decoding import Awaited, Unreadable
from relay.input.framing import frame
from relay.input.registered import Prepared, prepare
from relay.input.registered import Registered as Decoder
from relay.input.registry import NoSuchSchema, NotNow, Registry, Schema
from relay.input.schemas import Schemas
from relay.sandbox import encoding
from relay.sandbox.encoding import Encoding
from relay.sandbox.fake_registry import FakeRegistry
from relay.sandbox.saying import Said

EVENT = {"eventType": "ping", "playerTime": {"playhead": 12.5, "ts": 17}, "params": {"a": "b", "c": 1}, "customMetadata": {"d": "e"}}
SAID = Said("player", 0.0, json.dumps(EVENT).encode(), "ping", 17, b"player")
TIME = '{"type": "record", "name": "Time", "namespace": "t", "fields": [{"name": "ts", "type": "long"}]}'
EVENT_WITH_TIME = '{"type": "record", "name": "E", "namespace": "t", "fields": [{"name": "time", "type": "Time"}]}'


def fetched(url: str, schema_id: int | str, **settings: Any) -> Schema:
    """What the registry says."""
    registry = Registry(url=url, **settings)
    try:
        return registry.fetch(schema_id)
    finally:
        registry.close()


def decoder(url: str, loop: Any, **choices: Any) -> tuple[Decoder, Schemas[Prepared]]:
    """A decoder on a registry."""
    schemas = Schemas(Registry(url=url, timeout_seconds=10), prepare, loop=loop, clock=loop.clock)
    return Decoder(schemas, **choices), schemas


@pytest.mark.parametrize("form", ["avro", "protobuf", "json-schema"])
def test_what_players_say_is_read_as_if_it_were_json(registry_url: str, form: Any, patient_loop: Any) -> None:
    """In each format: the schema is registered, the event framed, fetched for, and comes out as the same JSON."""
    value = Encoding(form, registry_url, "events")(SAID)
    made, schemas = decoder(registry_url, patient_loop, form=form)
    record = Record(0, key=b"player", value=value)
    with pytest.raises(Awaited):
        made.json(record)
    patient_loop.hear()
    assert json.loads(made.json(record)) == EVENT
    assert made.key(record) == "player"
    schemas.close()


def test_a_producer_of_confluents_own_is_understood(registry_url: str, patient_loop: Any) -> None:
    """Its serializer writes, we read; ids before the payload, and in headers where the registry knows GUIDs."""
    from confluent_kafka.schema_registry.avro import AvroSerializer  # noqa: PLC0415
    from confluent_kafka.serialization import MessageField, SerializationContext  # noqa: PLC0415

    with SchemaRegistryClient({"url": registry_url}) as client:
        serializer = AvroSerializer(client, json.dumps(encoding.AVRO))
        value = serializer(EVENT, SerializationContext("by-confluent", MessageField.VALUE))
    made, schemas = decoder(registry_url, patient_loop, form="avro")
    with pytest.raises(Awaited):
        made.json(Record(0, value=value))
    patient_loop.hear()
    assert json.loads(made.json(Record(0, value=value))) == EVENT
    schemas.close()


def test_references_come_along(registry_url: str) -> None:
    """A schema and all that it refers to, those first that others refer to."""
    with SchemaRegistryClient({"url": registry_url}) as client:
        client.register_schema("time", Registered(TIME, "AVRO"))
        number = client.register_schema("event", Registered(EVENT_WITH_TIME, "AVRO", [SchemaReference("t.Time", "time", 1)]))
    schema = fetched(registry_url, number)
    assert (schema.kind, list(schema.references)) == ("AVRO", ["t.Time"])
    assert json.loads(schema.references["t.Time"])["name"] == "Time"
    assert prepare(schema).format == "avro"


def test_a_schema_that_is_not_there(registry_url: str) -> None:
    """The registry says so itself, and that is another thing than a wrong address."""
    with pytest.raises(NoSuchSchema):
        fetched(registry_url, 987_654)
    with pytest.raises(NotNow, match="status_404") as wrong:
        fetched(f"{registry_url}/nowhere", 1)
    assert "RELAY_INPUT__SCHEMA_REGISTRY__URL" in wrong.value.advice


@pytest.mark.parametrize(
    ("status", "has_advice"), [(401, True), (403, True), (404, True), (429, False), (500, False), (503, False), (302, False)]
)
def test_whose_fault_an_answer_is(fake_registry: FakeRegistry, fake_registry_url: str, status: int, *, has_advice: bool) -> None:
    """None of these is the record's; for some only an operator can help."""
    fake_registry.status = status
    with pytest.raises(NotNow, match=f"status_{status}") as failed:
        fetched(fake_registry_url, 1)
    assert bool(failed.value.advice) is has_advice
    assert len(fake_registry.requests) == 1  # the client's own patience is switched off


def test_nobody_there_and_nobody_in_time(fake_registry: FakeRegistry, fake_registry_url: str) -> None:
    """Both pass."""
    with pytest.raises(NotNow, match="ConnectError"):
        fetched("http://127.0.0.1:1", 1)
    fake_registry.delay_seconds = 1.0
    with pytest.raises(NotNow, match="Timeout"):
        fetched(fake_registry_url, 1, timeout_seconds=0.1)


def test_credentials_go_along(fake_registry: FakeRegistry, fake_registry_url: str) -> None:
    """A name and a password, or a token; never in what is said of a failure."""
    number = fake_registry.register("s", {"schema": '"string"'})
    fetched(fake_registry_url, number, username="relay", password="secret")  # noqa: S106  # of nobody
    fetched(fake_registry_url, number, token="t0ken")  # noqa: S106
    assert fake_registry.headers == ["Basic cmVsYXk6c2VjcmV0", "Bearer t0ken"]


def test_settings_that_the_client_refuses(tmp_path: Any) -> None:
    """A certificate that is none is the operator's to mend, in one line."""
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    with pytest.raises(SettingsError, match="RELAY_INPUT__SCHEMA_REGISTRY"):
        Registry(url="https://registry.example", ca_file=str(file))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(file))
    Registry(url="https://registry.example", ca_file=str(file)).close()
    assert ssl.create_default_context(cafile=str(file)).cert_store_stats()["x509_ca"] == 1


# --- the decoder ----------------------------------------------------------------------------------------------------------------------


def learn(made: Decoder, loop: Any, record: Record, part: str = "json") -> Any:
    """Read it, once its schema has come."""
    with pytest.raises(Awaited):
        getattr(made, part)(record)
    loop.hear()
    return getattr(made, part)(record)


def test_keys_of_a_registry(fake_registry: FakeRegistry, fake_registry_url: str, patient_loop: Any) -> None:
    """A text, a number, or a member of a record; of any kind of schema, whatever the values are."""
    text = fake_registry.register("k", {"schema": '"string"'})
    number = fake_registry.register("n", {"schema": '"long"'})
    proto = fake_registry.register("p", {"schema": 'syntax = "proto3"; message K { string id = 1; }', "schemaType": "PROTOBUF"})
    made, schemas = decoder(fake_registry_url, patient_loop, form="json", key_format="registry")
    assert learn(made, patient_loop, Record(0, key=frame(text, b"\x0cplayer")), "key") == "player"
    assert learn(made, patient_loop, Record(0, key=frame(number, b"\x0e")), "key") == "7"
    assert made.json(Record(0, value=b"{}")) == b"{}"
    schemas.close()
    made, schemas = decoder(fake_registry_url, patient_loop, form="json", key_format="registry", key_field="id")
    assert learn(made, patient_loop, Record(0, key=frame(proto, b"\x0a\x01a", steps=(0,))), "key") == "a"
    assert made.key(Record(0)) is None
    schemas.close()


def test_a_schema_of_another_kind_sets_aside(fake_registry: FakeRegistry, fake_registry_url: str, patient_loop: Any) -> None:
    """With a word on what is set and what was found."""
    number = fake_registry.register("j", {"schema": "{}", "schemaType": "JSON"})
    strange = fake_registry.register("x", {"schema": "{}", "schemaType": "XML"})
    made, schemas = decoder(fake_registry_url, patient_loop, form="avro")
    for schema_number, words in ((number, "json-schema, and RELAY_INPUT__FORMAT is avro"), (strange, "XML")):
        with pytest.raises(Unreadable, match=words) as refused:
            learn(made, patient_loop, Record(0, value=frame(schema_number, b"{}")))
        assert refused.value.reason is Reason.UNUSABLE_SCHEMA
    schemas.close()


def test_json_is_taken_without_its_schema_where_nobody_wants_it_checked(
    fake_registry: FakeRegistry, fake_registry_url: str, patient_loop: Any
) -> None:
    """The registry is not even asked."""
    made, schemas = decoder(fake_registry_url, patient_loop, form="json-schema", checks_json=False)
    assert made.json(Record(0, value=frame(99, b'{"any": 1}'))) == b'{"any": 1}'
    schemas.close()
    assert fake_registry.requests == []


def test_sizes_are_bounded_before_and_after(fake_registry: FakeRegistry, fake_registry_url: str, patient_loop: Any) -> None:
    """Names of members come from the schema, so a small record may be long as JSON."""
    field = "x" * 200
    number = fake_registry.register(
        "w", {"schema": json.dumps({"type": "array", "items": {"type": "record", "name": "R", "fields": [{"name": field, "type": "int"}]}})}
    )
    made, schemas = decoder(fake_registry_url, patient_loop, form="avro", record_bytes_max=1_000)
    payload = b"\xf0\x0e" + b"\x02" * 952  # 952 items of one byte each
    with pytest.raises(Unreadable) as refused:
        made.json(Record(0, value=b"\0" * 1_001))
    assert refused.value.reason is Reason.RECORD_TOO_LARGE
    with pytest.raises(Unreadable) as refused:
        learn(made, patient_loop, Record(0, value=frame(number, payload + b"\0")))
    assert refused.value.reason is Reason.RECORD_TOO_LARGE
    schemas.close()


def test_an_empty_value_is_refused_in_every_format(fake_registry_url: str, patient_loop: Any) -> None:
    """As in plain JSON."""
    made, schemas = decoder(fake_registry_url, patient_loop, form="protobuf")
    for value in (None, b""):
        with pytest.raises(Unreadable) as refused:
            made.json(Record(0, value=value))
        assert refused.value.reason is Reason.EMPTY_VALUE
    schemas.close()

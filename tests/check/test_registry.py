"""What `relay check` says of the schema registry."""

import asyncio
import json
from http import HTTPStatus

import pytest

from relay.check.findings import FINE, SETTINGS, UNREACHABLE, Outcome, Report
from relay.check.registry import check_registry
from relay.cli import main
from relay.input.framing import SchemaId
from relay.input.registry import NotNow, Registry, Schema
from relay.sandbox.fake_registry import FakeRegistry, serving


class Refusing:
    """A registry that knows us not."""

    is_closed = False

    def fetch(self, schema_id: SchemaId) -> Schema:  # noqa: ARG002  # the registry's face
        """Nobody is served."""
        raise NotNow(f"status_{HTTPStatus.UNAUTHORIZED}", "check its user name")

    def close(self) -> None:
        """Let go of connections."""
        self.is_closed = True


def test_a_registry_that_answers_is_well() -> None:
    """Whether it has the schema or not."""
    fake = FakeRegistry()
    with serving(fake) as url:
        empty, filled = Report(), Report()
        asyncio.run(check_registry(Registry(url=url), url, empty))
        fake.register("events-value", {"schema": '"string"'})
        asyncio.run(check_registry(Registry(url=url), url, filled))
    (before,), (after,) = empty.findings, filled.findings
    assert (before.outcome, before.subject, before.found) == (Outcome.OK, url, "it answers; it has no schema 1")
    assert (after.outcome, after.found) == (Outcome.OK, "it answers; it has a schema 1")
    assert empty.exit_code == FINE


def test_a_registry_that_refuses_us_is_for_the_operator() -> None:
    """Its advice is told, and connections are let go."""
    registry, report = Refusing(), Report()
    asyncio.run(check_registry(registry, "http://registry", report))
    (finding,) = report.findings
    assert (finding.check, finding.outcome, finding.advice) == ("registry.schemas", Outcome.FAIL, "check its user name")
    assert (report.exit_code, registry.is_closed) == (SETTINGS, True)


@pytest.mark.parametrize(
    ("told", "is_asked"),
    [
        ({"RELAY_INPUT__FORMAT": "avro"}, True),
        ({"RELAY_INPUT__FORMAT": "json-schema"}, True),
        ({"RELAY_INPUT__FORMAT": "json-schema", "RELAY_INPUT__SCHEMA_REGISTRY__CHECK_JSON": "false"}, False),
        ({"RELAY_INPUT__KEY_FORMAT": "registry"}, True),
        ({}, False),
    ],
)
def test_the_command_asks_the_registry_that_is_used(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, told: dict[str, str], *, is_asked: bool
) -> None:
    """Nobody is there: it is one more thing that does not answer."""
    addresses = {"RELAY_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1", "RELAY_API__URL": "http://127.0.0.1:1"}
    for name, value in {**addresses, "RELAY_INPUT__SCHEMA_REGISTRY__URL": "http://127.0.0.1:1", **told}.items():
        monkeypatch.setenv(name, value)
    assert main(["check", "--timeout", "20", "--json"]) == UNREACHABLE
    found = [one for one in json.loads(capsys.readouterr().out)["checks"] if one["check"] == "registry.schemas"]
    assert [one["outcome"] for one in found] == ["fail"] * is_asked
    assert all("RELAY_INPUT__SCHEMA_REGISTRY__URL" in one["advice"] for one in found)

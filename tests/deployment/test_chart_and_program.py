"""Chart and program have one model of settings: what the chart renders, the program loads; every setting of the program can be reached."""

import base64
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from deployment.tooling import CHART, Render, Run

from relay.settings import Settings, known_settings, load
from relay.settings.sources import from_file

CASES = sorted((CHART / "ci").glob("*-values.yaml"))
MINIMAL = CHART / "ci" / "minimal-values.yaml"
SECRET = [tuple(name.split(".")) for name in yaml.safe_load((CHART / "files" / "secret-settings.yaml").read_text("utf-8"))]


def settings_of(objects: list[dict[str, Any]], folder: Path) -> Settings:
    """Lay out what a pod would see in a folder, and load it as the program does."""
    (pod,) = (one["spec"]["template"]["spec"] for one in objects if one["kind"] in {"StatefulSet", "Deployment"})
    container = pod["containers"][0]
    volumes = {one["name"]: one for one in pod["volumes"]}
    for mount in container["volumeMounts"]:
        place = folder / mount["mountPath"].lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        for name, text in _files(volumes.get(mount["name"], {}), objects).items():
            (place / name).write_text(text.replace("/etc/relay/", f"{folder}/etc/relay/"), "utf-8")
    environ = {one["name"]: str(one.get("value", "pod-0")) for one in container["env"]}
    if directory := environ.get("RELAY_SECRETS_DIR"):
        environ["RELAY_SECRETS_DIR"] = str(folder / directory.lstrip("/"))
    command, option, file = container["args"]
    assert (command, option) == ("run", "--config")
    return load(folder / file.lstrip("/"), environ)


def _files(volume: dict[str, Any], objects: list[dict[str, Any]]) -> dict[str, str]:
    """What a volume shows. Secrets of others hold their own key as value."""
    if "configMap" in volume:
        (found,) = (one for one in objects if one["kind"] == "ConfigMap" and one["metadata"]["name"] == volume["configMap"]["name"])
        return dict(found["data"])
    files: dict[str, str] = {}
    sources = [source["secret"] for source in volume.get("projected", {}).get("sources", [])] + [volume.get("secret", {})]
    for secret in sources:
        for item in secret.get("items", []):
            files[item["path"]] = f"of-{item['key']}"
        if secret and "items" not in secret:
            (found,) = (one for one in objects if one["kind"] == "Secret" and one["metadata"]["name"] == secret["name"])
            files |= {name: base64.b64decode(value).decode() for name, value in found["data"].items()}
    return files


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_what_the_chart_renders_the_program_loads(case: Path, render: Render, tmp_path: Path) -> None:
    """Settings of a case arrive in the program, with the value that was given."""
    settings = settings_of(render(case), tmp_path)
    for group, given in yaml.safe_load(case.read_text("utf-8"))["settings"].items():
        for name, value in given.items() if isinstance(given, dict) else []:
            found = settings.value_of((group, name))
            expected = value.split(",") if isinstance(found, list) and isinstance(value, str) else value
            if isinstance(expected, dict):
                assert isinstance(found, dict)
                assert expected.items() <= found.items()
            else:
                assert found == expected, f"{group}.{name}"


def test_secrets_arrive_under_their_names(render: Render, tmp_path: Path) -> None:
    """Name and password, certificates and a header reach the settings that they are for."""
    sasl = settings_of(render(CHART / "ci" / "sasl-values.yaml"), tmp_path / "sasl")
    assert sasl.kafka.client["sasl.username"] == "of-username"
    assert sasl.kafka.client["sasl.password"] == "of-password"
    assert str(sasl.kafka.client["ssl.ca.location"]).endswith("/etc/relay/kafka-tls/ca.crt")
    mtls = settings_of(render(CHART / "ci" / "mtls-values.yaml"), tmp_path / "mtls")
    assert mtls.kafka.client["ssl.key.password"] == "of-password"
    assert Path(str(mtls.kafka.client["ssl.key.location"])).read_text() == "of-tls.key"
    assert Path(mtls.api.client_cert_file or "").read_text() == "of-tls.crt"
    edge = settings_of(render(CHART / "ci" / "edge-values.yaml"), tmp_path / "edge")
    assert edge.api.headers["x-gateway-key"].get_secret_value() == "of-key"
    oauth = settings_of(render(CHART / "ci" / "oauth-values.yaml"), tmp_path / "oauth")
    assert oauth.oauth.client_secret is not None
    assert (oauth.oauth.client_id, oauth.oauth.client_secret.get_secret_value()) == (
        "of-client-id",
        "of-client-secret",
    )
    inline = settings_of(render(CHART / "ci" / "extras-values.yaml"), tmp_path / "inline")
    assert inline.api.headers["x-key"].get_secret_value() == "for-trying-out"


def test_static_members_have_a_name_and_a_patience(render: Render, tmp_path: Path) -> None:
    """In a StatefulSet the pod's name is the member's, and the classic protocol waits for it for longer than a restart takes."""
    settings = settings_of(render(MINIMAL), tmp_path)
    assert settings.kafka.group_instance_id == "pod-0"
    assert settings.kafka.client == {"session.timeout.ms": 90_000}
    dynamic = settings_of(render(CHART / "ci" / "deployment-values.yaml"), tmp_path / "dynamic")
    assert dynamic.kafka.group_instance_id is None
    assert dynamic.kafka.client == {}


def test_defaults_of_the_chart_are_those_of_the_program(render: Render, tmp_path: Path) -> None:
    """What the chart writes down as default of a setting is what the program has as well."""
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    assert values["settings"] == {"drain_seconds_max": Settings.model_fields["drain_seconds_max"].default}
    settings = settings_of(render(MINIMAL), tmp_path)
    assert settings.admin.port == 8080


@pytest.mark.parametrize("path", SECRET, ids="__".join)
def test_a_secret_is_refused_among_settings_and_taken_from_a_secret(path: tuple[str, ...], run_tool: Run, tmp_path: Path) -> None:
    """Whatever setting of the program is a secret: given as a setting it would stand in a ConfigMap; from a Secret it comes as a file."""
    given: Any = {"name": "word"} if path[-1] in {"headers", "form"} else "word"
    for part in reversed(path):
        given = {part: given}
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump({"settings": given}), "utf-8")
    refused = run_tool("helm", "template", "r", CHART, "--values", MINIMAL, "--values", file, check=False)
    assert refused.returncode != 0
    assert "would stand in a ConfigMap" in refused.stderr
    setting = {"setting": "__".join(path), "existingSecret": "s", "key": "k"}
    file.write_text(yaml.safe_dump({"secrets": {"fromSecrets": [setting]}}), "utf-8")
    rendered = run_tool("helm", "template", "r", CHART, "--values", MINIMAL, "--values", file).stdout
    assert f'path: "{"__".join(path)}"' in rendered


def test_a_further_file_is_where_a_setting_may_point_to(render: Render, tmp_path: Path) -> None:
    """A mapping that stands in the values is a file for the program."""
    values = {"files": {"mapping.yaml": "# words\n"}, "settings": {"input": {"mapping": "/etc/relay/config/mapping.yaml"}}}
    settings = settings_of(render(MINIMAL, values=values), tmp_path)
    assert Path(settings.input.mapping).read_text("utf-8") == "# words\n"


def test_every_setting_can_be_reached(render: Render, tmp_path: Path) -> None:
    """A value for each setting of the program passes the schema of the chart, and stands in the program's file under its name."""
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))["properties"]["settings"]
    kept_apart = {("kafka", "group_instance_id"), *SECRET}  # a name for each pod
    given: dict[str, Any] = {}
    for path in known_settings().keys() - kept_apart:
        tree, inner = given, schema
        for part in path[:-1]:
            tree, inner = tree.setdefault(part, {}), inner["properties"][part]
        tree[path[-1]] = _some_value(inner["properties"][path[-1]])
    given["drain_seconds_max"] = 20  # the grace of the pod must exceed it
    (config,) = (one for one in render(MINIMAL, values={"settings": given}) if one["kind"] == "ConfigMap")
    file = tmp_path / "relay.yaml"
    file.write_text(config["data"]["relay.yaml"], "utf-8")
    values, problems = from_file(file, known_settings())
    assert problems == []
    assert values.keys() == known_settings().keys() - kept_apart


def _some_value(schema: dict[str, Any]) -> Any:
    """Anything that the schema of a setting allows."""
    choices = [choice for option in schema.get("anyOf", [schema]) for choice in option.get("enum", [])]
    candidates = [
        schema.get("default"),
        *choices,
        "x",
        "https://x.example",
        True,
        1,
        10,
        1000,
        100_000,
        10_000_000,
        ["x"],
        {"client.id": "x"},
    ]
    for one in candidates:
        if one is not None and one != {} and jsonschema.Draft7Validator(schema).is_valid(one):
            return one
    raise AssertionError(f"no value at hand for {schema}")

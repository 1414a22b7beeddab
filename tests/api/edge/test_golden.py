"""The golden table holds for both dialects, is complete, and is what the documentation shows."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relay.api.dialect import ApiCall, Untranslatable
from relay.api.edge_words import CUSTOMER_IDS, ECID, ERROR, FORMS, LIBRARY_VERSION, QUALITY
from relay.core.events import EventType

HERE = Path(__file__).parent
ROWS: list[dict[str, Any]] = json.loads((HERE / "golden.json").read_text("utf-8"))


def sentence(row: dict[str, Any]) -> str:
    """How a row is called."""
    return str(row["says"])


def as_row(call: ApiCall) -> dict[str, Any]:
    """A request as the table has it."""
    return {"path": call.target.decode("ascii"), "body": json.loads(call.body)}


def exactly(value: object) -> str:
    """For comparison: the order of members counts, and 1 is not 1.0."""
    return json.dumps(value, ensure_ascii=False)


@pytest.mark.parametrize("row", ROWS, ids=sentence)
def test_a_row_holds_in_both_dialects(row: dict[str, Any], say: Callable[..., Any]) -> None:
    """The native event becomes exactly these two requests, or is set aside with exactly these words."""
    said = say(row["native"], route=row.get("route", ""), joins=row.get("joins", False))
    assert exactly(as_row(said.classic())) == exactly(row["classic"])
    if "set_aside" in row["edge"]:
        with pytest.raises(Untranslatable) as untranslatable:
            said.edge()
        assert str(untranslatable.value) == row["edge"]["set_aside"]
    else:
        assert exactly(as_row(said.edge())) == exactly(row["edge"])


def test_every_event_type_is_in_the_table() -> None:
    """Each of the nineteen has a row that goes out on the Edge, to the endpoint that its event type names."""
    sent = [row for row in ROWS if "body" in row["edge"]]
    assert {row["native"]["eventType"] for row in sent} == set(EventType)
    for row in sent:
        endpoint = row["edge"]["path"].partition("?")[0].rpartition("/")[2]
        (event,) = row["edge"]["body"]["events"]
        assert event["xdm"]["eventType"] == f"media.{endpoint}"


def test_every_key_is_in_the_table() -> None:
    """Each key that has a place on the Edge has a row in which it takes it."""
    known = {(kind, key) for kind, form in FORMS.items() for key in form.words.names}
    known |= {(EventType.SESSION_START, key) for key in (ECID, CUSTOMER_IDS, LIBRARY_VERSION)}
    rows = [row["native"] for row in ROWS if "body" in row["edge"] and "refused_because" not in row]
    assert known <= {(native["eventType"], key) for native in rows for key in native.get("params", {})}
    assert {*QUALITY.names, *ERROR.names} <= {key for native in rows for key in native.get("qoeData", {})}


def test_no_two_keys_share_a_place() -> None:
    """Of two keys in one object neither overwrites the other."""
    for words in (*(form.words for form in FORMS.values()), QUALITY, ERROR):
        assert len(set(words.names.values())) == len(words.names)
        assert words.integers <= words.names.keys()


def test_the_page_is_what_the_script_prints() -> None:
    """When it drifts: python tests/api/edge/golden_page.py > docs/golden-translations.md."""
    script = [sys.executable, str(HERE / "golden_page.py")]
    printed = subprocess.run(script, capture_output=True, check=True, env={"PYTHONUTF8": "1"}).stdout  # noqa: S603  # our own
    assert (HERE.parents[2] / "docs" / "golden-translations.md").read_text("utf-8") == printed.decode()

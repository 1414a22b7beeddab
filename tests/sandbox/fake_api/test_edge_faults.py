"""Faults on the Media Edge API: every rule works there too, in its own wording."""

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from relay.sandbox.fake_api import Reply
from relay.sandbox.fake_api.edge_answers import HINTS

Client = Any  # made in conftest.py, which cannot be imported
MakeBody = Callable[..., dict[str, Any]]
TYPES = "https://ns.adobe.com/aep/errors/"


def ask(client: Client, event: str, body: object) -> Reply:
    """The whole reply."""
    return client.api.exchange("POST", f"/ee/va/v1/{event}?configId=ds", (), msgspec.json.encode(body)).reply


@pytest.mark.parametrize(
    ("rule", "kind", "retry_after"),
    [
        ("all:500:1", "EXEG-0001-500", None),
        ("all:502:1", "EXEG-0203-502", None),
        ("all:503+5:1", "EXEG-0000-503", "5"),
        ("all:504:1", "EXEG-0200-504", None),
        ("all:429+7:1", "va-edge-0429-429", "7"),
        ("all:408:1", "EXEG-0109-408", None),
        ("all:401:1", "EXEG-0501-401", None),
        ("all:403:1", "EXEG-0400-403", None),
        ("all:413:1", "EXEG-0112-413", None),
        ("all:415:1", "EXEG-0111-415", None),
        ("all:422:1", "EXEG-0104-422", None),
        ("sessions:400:1", "EXEG-0101-400", None),
        ("events:400:1", "va-edge-0400-400", None),
        ("sessions:404:1", "va-edge-0404-404", None),
        ("all:599:1", "va-edge-0599-599", None),
    ],
)
def test_a_status_fault_is_a_problem_of_its_kind(edge: Client, edge_body: MakeBody, rule: str, kind: str, retry_after: str | None) -> None:
    """For openings and for events; a start is never 400 for its media."""
    session, status = edge.open(1), int(kind[-3:])
    edge.api.set_faults([rule])
    targets = {"sessions": ["sessionStart"], "events": ["play"]}.get(rule.partition(":")[0], ["sessionStart", "play"])
    for event in targets:
        reply = ask(edge, event, edge_body(event, 2, session))
        answer = msgspec.json.decode(reply.body)
        assert (reply.status, answer["status"], answer["type"]) == (status, status, f"{TYPES}{kind}")
        assert "requestId" in answer["report"]
        assert dict(reply.headers).get("Retry-After") == retry_after


@pytest.mark.parametrize("status", [404, 410])
def test_a_fault_loses_sessions_with_the_status_that_it_names(edge: Client, status: int) -> None:
    """The first answer is the fault's own; the session is really gone afterwards, 410 or not."""
    for number in range(8):
        session = edge.open(1, player=f"p{number}")
        edge.api.set_faults([f"events:{status}:1"])
        assert edge.send(session, "ping", 2) == status
        edge.api.set_faults([])
        assert edge.send(session, "ping", 2) in ({404} if status == 404 else {404, 410})


@pytest.mark.parametrize(
    ("what", "status", "session_id"),
    [("noid", 200, None), ("badid", 200, "../evil"), ("otherhost", 200, "valid"), ("upstream", 207, "valid")],
)
def test_a_fault_words_an_opening(edge: Client, edge_body: MakeBody, what: str, status: int, session_id: str | None) -> None:
    """Without the session's handle, with an id that is none, with a hint that leads elsewhere, beside another's failure."""
    edge.api.set_faults([f"sessions:{what}:1"])
    body = edge_body("sessionStart", customMetadata=[{"name": "playerSession", "value": "p"}])
    reply = ask(edge, "sessionStart", body)
    answer = msgspec.json.decode(reply.body)
    assert reply.status == status
    payloads = {handle["type"]: handle["payload"] for handle in answer["handle"]}
    if session_id is None:
        assert set(payloads) == {"state:store", "locationHint:result"}
    else:
        told = payloads["media-analytics:new-session"][0]["sessionId"]
        assert told == session_id or (session_id == "valid" and re.fullmatch("[0-9a-f]{64}", told))
    assert (len(edge.api.account().sessions) == 1) is (session_id == "valid")
    hints = [hint["hint"] for hint in payloads["locationHint:result"] if hint["scope"] == "EdgeNetwork"]
    assert (hints[0] not in HINTS) is (what == "otherhost")
    assert ("errors" in answer) is (what == "upstream")


def test_another_upstream_fails_in_its_own_name(edge: Client, edge_body: MakeBody) -> None:
    """The error is none of the Media Edge API's, and the session takes events."""
    edge.api.set_faults(["sessions:upstream:1"])
    kinds = set()
    for _ in range(20):
        [error] = msgspec.json.decode(ask(edge, "sessionStart", edge_body("sessionStart")).body)["errors"]
        assert error["type"].endswith(str(error["status"]))
        kinds.add(error["type"].removeprefix(TYPES))
    assert kinds == {"EXEG-0200-504", "EXEG-0201-503"}
    status, session = edge.start(edge_body("sessionStart"))
    assert (status, edge.send(session, "play", 2)) == (207, 204)


def test_the_classic_api_knows_no_upstreams(client: Client) -> None:
    """There an opening goes as usual."""
    client.api.set_faults(["sessions:upstream:1"])
    client.send_all(client.open(1), ("play", 2))


@pytest.mark.parametrize(("what", "received"), [("reset", 1), ("hang", 1), ("lost", 2), ("truncated", 2)])
def test_a_fault_takes_an_answer_away(edge: Client, what: str, received: int) -> None:
    """With or without an event that was applied; a repeat of that one is excused."""
    session = edge.open(1)
    edge.api.set_faults([f"events:{what}:1"])
    edge.send(session, "play", 2)
    assert edge.api.account().total.received == received
    edge.api.set_faults([])
    edge.send_all(session, ("play", 2))
    assert edge.api.account().is_clean

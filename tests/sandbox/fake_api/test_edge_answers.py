"""Answers of the Media Edge API: openings, paths, datastreams, events, the life of sessions. Whole bodies where they are short."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from relay.sandbox.fake_api import FakeApi, Reply
from relay.sandbox.fake_api.edge_answers import HINTS
from relay.sandbox.fake_api.edge_fields import EVENTS

Client = Any  # made in conftest.py, which cannot be imported
ClientOf = Callable[[FakeApi], Client]
MakeBody = Callable[..., dict[str, Any]]
START = "/ee/va/v1/sessionStart?configId=ds"
TYPES = "https://ns.adobe.com/aep/errors/"
REQUEST_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def ask(client: Client, target: str, body: object, method: str = "POST") -> Reply:
    """The whole reply."""
    return client.api.exchange(method, target, (), msgspec.json.encode(body)).reply


def answer_of(reply: Reply) -> dict[str, Any]:
    """The JSON of a reply, whose request id is a UUID and the same in the headers."""
    answer = msgspec.json.decode(reply.body)
    holder = answer if "handle" in answer else answer["report"]
    request_id = holder.pop("requestId")
    assert REQUEST_ID.fullmatch(request_id)
    assert dict(reply.headers)["x-request-id"] == request_id
    return answer


def content_type(reply: Reply) -> str:
    """What the reply says that it is."""
    return dict(reply.headers)["Content-Type"]


# --- openings -------------------------------------------------------------------------------------------------------------------


def test_an_opening_is_200_with_three_handles(edge: Client, edge_body: MakeBody) -> None:
    """The session's, told by type; hints of three scopes, of which one is a part of paths; and what a browser would store."""
    reply = ask(edge, START, edge_body("sessionStart"))
    answer = answer_of(reply)
    assert (reply.status, content_type(reply)) == (200, "application/json;charset=utf-8")
    assert set(answer) == {"handle"}
    handles = {handle.pop("type"): handle for handle in answer["handle"]}
    assert set(handles) == {"state:store", "locationHint:result", "media-analytics:new-session"}
    session = handles["media-analytics:new-session"]
    assert session["eventIndex"] == 0
    assert re.fullmatch(r"[0-9a-f]{64}", session["payload"][0]["sessionId"])
    hints = {hint["scope"]: hint for hint in handles["locationHint:result"]["payload"]}
    assert set(hints) == {"Target", "AAM", "EdgeNetwork"}
    assert hints["EdgeNetwork"]["hint"] in HINTS
    assert {hint["ttlSeconds"] for hint in hints.values()} == {1_800}
    assert [stored["key"].rpartition("_")[2] for stored in handles["state:store"]["payload"]] == ["cluster", "identity"]


def test_the_order_of_handles_varies_by_the_seed(edge_of: ClientOf, edge_body: MakeBody) -> None:
    """The same seed gives the same answers, byte for byte."""

    def orders(seed: int) -> list[bytes]:
        client = edge_of(FakeApi(seed=seed))
        return [ask(client, START, edge_body("sessionStart")).body for _ in range(30)]

    assert orders(1) == orders(1) != orders(2)
    answers = [msgspec.json.decode(body)["handle"] for body in orders(1)]
    assert len({tuple(handle["type"] for handle in handles) for handles in answers}) == 6
    hints = [handle["payload"] for handles in answers for handle in handles if handle["type"] == "locationHint:result"]
    assert len({tuple(hint["scope"] for hint in payload) for payload in hints}) == 6


def test_a_bad_start_is_207_without_a_session(edge: Client, edge_body: MakeBody) -> None:
    """The gateway is content and hands out the rest; the body's faults stand in an error, under paths from inside the event."""
    body = edge_body("sessionStart", sessionDetails={"playerName": "p", "length": 1.5, "channel": "c", "contentType": "vod"})
    reply = ask(edge, START, body)
    answer = answer_of(reply)
    assert (reply.status, content_type(reply)) == (207, "application/json;charset=utf-8")
    assert {handle["type"] for handle in answer.pop("handle")} == {"state:store", "locationHint:result"}
    assert answer == {
        "errors": [
            {
                "type": f"{TYPES}va-edge-0400-400",
                "status": 400,
                "title": "Invalid request",
                "report": {
                    "eventIndex": 0,
                    "details": [
                        {"name": "$.xdm.mediaCollection.sessionDetails.name", "reason": "Missing required field"},
                        {"name": "$.xdm.mediaCollection.sessionDetails.length", "reason": "Expected an integer"},
                    ],
                },
            }
        ]
    }
    assert edge.api.account().sessions == {}


def test_a_start_of_another_type_is_207_with_a_sentence(edge: Client, edge_body: MakeBody) -> None:
    """There too."""
    reply = ask(edge, START, edge_body("play"))
    assert reply.status == 207
    details = answer_of(reply)["errors"][0]["report"]["details"]
    assert "media.play" in details
    assert "media.sessionStart" in details


@pytest.mark.parametrize("hint", HINTS)
def test_a_hint_is_a_part_of_the_path(edge: Client, edge_body: MakeBody, hint: str) -> None:
    """Of openings and of events; with or without it, it is the same session."""
    session = edge.open(1)
    assert ask(edge, f"/ee/{hint}/va/v1/play?configId=ds", edge_body("play", 2, session)).status == 204
    assert edge.send(session, "ping", 3) == 204
    assert ask(edge, f"/ee/{hint}/va/v1/sessionStart?requestId=1&configId=ds", edge_body("sessionStart")).status == 200


# --- paths and datastreams ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("POST", "/ee/va/v1/stateStart?configId=ds", 404),
        ("POST", "/ee/va/v1/?configId=ds", 404),
        ("POST", "/ee/va/v1/play/?configId=ds", 404),
        ("POST", "/ee/va/v2/play?configId=ds", 404),
        ("POST", "/ee/xyz9/va/v1/play?configId=ds", 404),
        ("POST", "/ee/va6/or2/va/v1/play?configId=ds", 404),
        ("POST", "/ee/va/v1/sessions?configId=ds", 404),
        ("GET", "/ee/va/v1/play?configId=ds", 405),
        ("PUT", "/ee/va/v1/sessionStart?configId=ds", 405),
        ("POST", "/ee/va/v1/downloaded?configId=ds", 501),
    ],
)
def test_there_is_nothing_elsewhere(edge: Client, method: str, target: str, status: int) -> None:
    """And this fake takes no downloaded content. None of these answers speaks of a session."""
    reply = ask(edge, target, {}, method)
    answer = answer_of(reply)
    assert (reply.status, answer["status"], answer["type"]) == (status, status, "about:blank")
    assert content_type(reply) == "application/problem+json"


@pytest.mark.parametrize("event", [*EVENTS, "downloaded"])
def test_each_endpoint_needs_a_datastream(edge_of: ClientOf, edge_body: MakeBody, event: str) -> None:
    """The gateway asks for it before it looks at the body."""
    client = edge_of(FakeApi(datastream_ids=["one", "two"]))
    for query in ("", "?", "?configId=", "?datastreamId=one"):
        reply = ask(client, f"/ee/va/v1/{event}{query}", "no body")
        assert (reply.status, answer_of(reply)["type"]) == (400, f"{TYPES}EXEG-0002-400")
    reply = ask(client, f"/ee/va/v1/{event}?configId=three", "no body")
    assert (reply.status, answer_of(reply)["type"], content_type(reply)) == (400, f"{TYPES}EXEG-0003-400", "application/problem+json")
    assert ask(client, "/ee/va/v1/sessionStart?configId=two", edge_body("sessionStart")).status == 200


def test_by_default_every_datastream_is_known(edge: Client, edge_body: MakeBody) -> None:
    """As long as it has a name."""
    assert ask(edge, "/ee/va/v1/sessionStart?configId=whatever", edge_body("sessionStart")).status == 200


@pytest.mark.parametrize("target", ["/ee/va/v1/play?configId=ds", START])
def test_the_gateway_refuses_a_body_that_is_no_json(edge: Client, target: str) -> None:
    """With 400, for a start too."""
    reply = edge.api.exchange("POST", target, (), b"{").reply
    assert (reply.status, answer_of(reply)) == (
        400,
        {"type": f"{TYPES}EXEG-0101-400", "status": 400, "title": "Bad Request", "detail": "the body is not JSON", "report": {}},
    )


# --- events ---------------------------------------------------------------------------------------------------------------------


def test_an_event_is_204_without_a_body(edge: Client, edge_body: MakeBody) -> None:
    """All endpoints alike."""
    for event in EVENTS:
        if event != "sessionStart":
            reply = ask(edge, f"/ee/va/v1/{event}?configId=ds", edge_body(event, 2, edge.open(1)))
            assert (reply.status, reply.body) == (204, b"")


def test_a_bad_event_is_400_with_every_fault(edge: Client, edge_body: MakeBody) -> None:
    """Whatever the session; the session itself is untouched."""
    session = edge.open(1)
    body = edge_body("adStart", 2, session[:-1], advertisingDetails={"name": "a", "length": 1, "playerName": "p"})
    reply = ask(edge, "/ee/va/v1/adStart?configId=ds", body)
    assert (reply.status, content_type(reply)) == (400, "application/json;charset=utf-8")
    answer = answer_of(reply)
    assert isinstance(answer.pop("detail"), str)
    assert answer == {
        "type": f"{TYPES}va-edge-0400-400",
        "status": 400,
        "title": "Bad Request",
        "report": {
            "details": [
                {"name": "$.events[0].xdm.mediaCollection.advertisingDetails.podPosition", "reason": "Missing required field"},
                {"name": "$.events[0].xdm.mediaCollection.sessionID", "reason": "Unexpected error. Hint: InvalidApiSidLength=63"},
            ]
        },
    }
    assert edge.send(session, "ping", 3) == 204


def test_an_event_of_another_type_is_400_with_a_sentence(edge: Client, edge_body: MakeBody) -> None:
    """Which names both."""
    reply = ask(edge, "/ee/va/v1/ping?configId=ds", edge_body("play", 2, edge.open(1)))
    assert reply.status == 400
    details = answer_of(reply)["report"]["details"]
    assert "media.play" in details
    assert "media.ping" in details


def test_an_unknown_session_is_404(edge: Client, edge_body: MakeBody) -> None:
    """With advice instead of paths."""
    reply = ask(edge, "/ee/va/v1/ping?configId=ds", edge_body("ping"))
    answer = answer_of(reply)
    assert (reply.status, content_type(reply)) == (404, "application/json;charset=utf-8")
    assert (answer["type"], answer["status"], answer["title"]) == (f"{TYPES}va-edge-0404-404", 404, "Not Found")
    assert "24 hours" in answer["report"]["details"]


@pytest.mark.parametrize("seed", range(3))
def test_a_session_that_is_over_is_404_or_410(edge_of: ClientOf, edge_body: MakeBody, seed: int) -> None:
    """Both occur, and for one session it is always the same; a sessionComplete ends nothing."""
    client = edge_of(FakeApi(seed=seed))
    seen = set()
    for number in range(20):
        session = client.open(1, player=f"p{number}")
        client.send_all(session, ("sessionComplete", 2), ("ping", 3), ("sessionEnd", 4))
        replies = [ask(client, f"/ee/va/v1/{event}?configId=ds", edge_body(event, 5, session)) for event in ("ping", "sessionEnd")]
        [status] = {reply.status for reply in replies}
        assert answer_of(replies[0])["type"] == f"{TYPES}va-edge-0{int(status)}-{int(status)}"
        seen.add(int(status))
    assert seen == {404, 410}


def test_sessions_expire_as_the_classic_ones(edge_of: ClientOf) -> None:
    """Ten minutes of silence, half an hour without movement, a day."""
    now = [0.0]
    client = edge_of(FakeApi(clock=lambda: now[0]))

    def lives(*, seconds: int, step: int, moves: bool) -> bool:
        session = client.open(1)
        began = now[0]
        while now[0] < began + seconds:
            now[0] += step
            if client.send(session, "ping", 2, playhead=int(now[0]) if moves else 1) != 204:
                return False
        return True

    assert lives(seconds=599, step=599, moves=True)
    assert not lives(seconds=600, step=600, moves=True)
    assert lives(seconds=1_500, step=300, moves=False)
    assert not lives(seconds=1_800, step=300, moves=False)
    assert lives(seconds=86_100, step=300, moves=True)
    assert not lives(seconds=86_400, step=300, moves=True)


def test_order_is_never_refused(edge: Client) -> None:
    """Ads without a break, closings of nothing, an eleventh state, overlapping chapters, a playhead that goes back."""
    session = edge.open(1)
    edge.send_all(session, ("adStart", 2), ("adBreakComplete", 3), ("chapterStart", 4), ("chapterStart", 5), ("play", 1))
    for number in range(11):
        assert edge.send(session, "stateStart", 10 + number, playhead=100 - number, statesStart=[{"name": f"s{number}"}]) == 204
    assert edge.api.account().total.received == 17


def test_both_dialects_are_spoken_at_once(edge: Client, client_of: ClientOf) -> None:
    """By one fake, told apart by the path."""
    classic = client_of(edge.api)
    classic.send_all(classic.open(1, player="c"), ("ping", 2))
    edge.send_all(edge.open(1, player="e"), ("ping", 2))
    account = edge.api.account()
    assert account.requests == {"201": 1, "204": 2, "200": 1}
    assert set(account.sessions) == {"c", "e"}


def test_it_speaks_on_a_socket(on_socket: Callable[..., None], edge_body: MakeBody) -> None:
    """With the headers of HTTP around it."""

    async def scene(_api: FakeApi, http: httpx.AsyncClient) -> None:
        opened = await http.post(START, json=edge_body("sessionStart"))
        assert (opened.status_code, opened.headers["content-type"]) == (200, "application/json;charset=utf-8")
        session = next(one for one in opened.json()["handle"] if one["type"].startswith("media"))["payload"][0]["sessionId"]
        taken = await http.post("/ee/irl1/va/v1/play?configId=ds", json=edge_body("play", 2, session))
        assert (taken.status_code, taken.content) == (204, b"")
        assert (await http.post("/ee/va/v1/play?configId=ds", json=edge_body("play", 2))).json()["title"] == "Not Found"

    on_socket(scene)

"""What the answers of the Edge mean, however they are written."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.api.edge import UPSTREAM_ERROR, MediaEdge
from relay.core.events import ApiSessionId, as_session_id
from relay.core.inputs import Accepted, Lost, Misconfigured, Opened, Refused, TryAgain
from relay.core.reasons import Reason
from relay.core.verdict import Answer, Unreachable

ID = "0123456789abcdef" * 4
TYPES = "https://ns.adobe.com/aep/errors/"
DIALECT = MediaEdge("d")

SESSION = {"type": "media-analytics:new-session", "eventIndex": 0, "payload": [{"sessionId": ID}]}
HINTS = {
    "type": "locationHint:result",
    "payload": [
        {"scope": "Target", "hint": "35", "ttlSeconds": 1800},
        {"scope": "AAM", "hint": "6", "ttlSeconds": 1800},
        {"scope": "EdgeNetwork", "hint": "irl1", "ttlSeconds": 1800},
    ],
}
STATE = {"type": "state:store", "payload": [{"key": "kndctr_org_AdobeOrg_cluster", "value": "irl1", "maxAge": 1800}]}
BAD_START = {
    "type": f"{TYPES}va-edge-0400-400",
    "status": 400,
    "title": "Invalid request",
    "report": {
        "eventIndex": 0,
        "details": [
            {"name": "$.xdm.mediaCollection.sessionDetails.name", "reason": "Missing required field"},
            {"name": "$.xdm.timestamp", "reason": "Not ISO 8601"},
        ],
    },
}
BAD_START_WORDS = "$.xdm.mediaCollection.sessionDetails.name: Missing required field; $.xdm.timestamp: Not ISO 8601"
UPSTREAM = {"type": f"{TYPES}EXEG-0201-503", "status": 503, "title": "The upstream is unavailable", "report": {"eventIndex": 0}}
UNKNOWN_DATASTREAM = {
    "type": f"{TYPES}EXEG-0003-400",
    "status": 400,
    "title": "Invalid datastream",
    "detail": "d",
    "report": {"requestId": "x"},
}


def answer(status: int, body: object = None, retry_after_seconds: float = 0.0) -> Answer:
    """Answer with a JSON body."""
    return Answer(status, retry_after_seconds, body=b"" if body is None else json.dumps(body).encode())


def envelope(*handles: object, errors: object = None) -> dict[str, Any]:
    """The body of an answer to an opening."""
    return {"requestId": "b8ce7ec1", "handle": list(handles)} | ({} if errors is None else {"errors": errors})


# --- openings that opened -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handles", [(SESSION,), (SESSION, HINTS, STATE), (STATE, HINTS, SESSION), (7, None, {}, {"type": 1}, SESSION)])
@pytest.mark.parametrize("status", [200, 201, 207])
def test_a_session_is_found_by_the_type_of_its_handle(status: int, handles: tuple[object, ...]) -> None:
    """Anywhere in the list, whatever stands beside it."""
    verdict = DIALECT.judge_opening(answer(status, envelope(*handles)))
    assert verdict == Opened(ApiSessionId(ID), "irl1" if HINTS in handles else "")


@pytest.mark.parametrize(
    "errors",
    [
        [UPSTREAM],
        [BAD_START],
        [UNKNOWN_DATASTREAM],
        [{}, UPSTREAM],
        "odd",
        {"title": "odd"},
        [5],
        [["x"]],
        [{"type": f"{TYPES}EXEG-0204-200"}],
    ],
)
def test_a_session_counts_whatever_else_the_answer_says(errors: object) -> None:
    """Errors of other products, or of whomever: opened, and whoever counts warnings hears of it."""
    warnings: list[str] = []
    dialect = MediaEdge("d", warned=warnings.append)
    assert dialect.judge_opening(answer(207, envelope(SESSION, errors=errors))) == Opened(ApiSessionId(ID))
    assert warnings == [UPSTREAM_ERROR]


@pytest.mark.parametrize("errors", [None, [], [{}], [{"type": None}]])
def test_a_session_without_errors_warns_of_nothing(errors: object) -> None:
    """An empty list is no error."""
    warnings: list[str] = []
    MediaEdge("d", warned=warnings.append).judge_opening(answer(200, envelope(SESSION, errors=errors)))
    assert warnings == []


def test_the_first_valid_id_counts() -> None:
    """Of several payloads or handles, one that holds an id."""
    odd = {"type": SESSION["type"], "payload": [{"sessionId": ""}, {"sessionId": 5}, {"sessionID": "x"}, None, {"sessionId": "a/b"}]}
    assert DIALECT.judge_opening(answer(200, envelope(odd, SESSION))) == Opened(ApiSessionId(ID))


@pytest.mark.parametrize(
    ("scope", "hint"),
    [
        ("AAM", "6"),
        ("Target", "35"),
        (None, "va6"),
        *(("EdgeNetwork", hint) for hint in ("../x", "VA6", "", 5, None, "va 6", "va6\n", "a" * 17)),
    ],
)
def test_only_the_hint_of_the_edge_network_is_one(scope: object, hint: object) -> None:
    """The others are meant for other products; and only letters and digits may become part of a path."""
    hints = {"type": "locationHint:result", "payload": [{"scope": scope, "hint": hint}]}
    assert DIALECT.judge_opening(answer(200, envelope(hints, SESSION))) == Opened(ApiSessionId(ID))


def test_hints_may_be_ignored() -> None:
    """By a setting."""
    dialect = MediaEdge("d", follows_location_hints=False)
    assert dialect.judge_opening(answer(200, envelope(HINTS, SESSION))) == Opened(ApiSessionId(ID))


# --- openings that did not ------------------------------------------------------------------------------------------------------------


def test_a_start_that_the_api_refuses_is_refused_with_all_reasons() -> None:
    """207 without a session, and an error of the Media API itself: paths and reasons are kept."""
    assert DIALECT.judge_opening(answer(207, envelope(STATE, errors=[UPSTREAM, BAD_START]))) == Refused(
        207, f"The upstream is unavailable; {BAD_START_WORDS}"
    )


@pytest.mark.parametrize("body", [envelope(), envelope(HINTS, STATE), {}, {"handle": None}, envelope(errors=[])])
def test_no_session_and_no_error_is_our_configuration(body: object) -> None:
    """Media Analytics is not switched on in the datastream: nothing may be set aside for it."""
    verdict = DIALECT.judge_opening(answer(200, body))
    assert isinstance(verdict, Misconfigured)
    assert "Media Analytics" in verdict.advice
    assert "RELAY_API__DATASTREAM_ID" in verdict.advice


def test_an_empty_id_is_our_configuration_too() -> None:
    """Adobe's own clients read it so."""
    assert isinstance(DIALECT.judge_opening(answer(200, envelope(SESSION | {"payload": [{"sessionId": ""}]}))), Misconfigured)


@pytest.mark.parametrize("text", ["../../x", "a b", "é", "x" * 129, "a\nb"])
def test_an_id_that_is_none_is_tried_again(text: str) -> None:
    """It never becomes part of a request, and the start is not to blame."""
    body = envelope(SESSION | {"payload": [{"sessionId": text}]})
    assert DIALECT.judge_opening(answer(200, body)) == TryAgain("no_session_id", 200)


@pytest.mark.parametrize("code", ["EXEG-0002-400", "EXEG-0003-400", "EXEG-0004-422", "EXEG-0501-401", "EXEG-0506-401", "EXEG-0400-403"])
@pytest.mark.parametrize("inside", ["problem", "errors", "207"])
def test_a_datastream_that_cannot_be_used_is_our_configuration(code: str, inside: str) -> None:
    """However the gateway wraps it, for openings and, outside of a success, for events: nothing may be set aside for it."""
    problem = UNKNOWN_DATASTREAM | {"type": f"{TYPES}{code}"}
    status = 207 if inside == "207" else int(code[-3:])
    body = problem if inside == "problem" else envelope(errors=[problem])
    for judge in (DIALECT.judge_opening, DIALECT.judge_sending) if inside != "207" else (DIALECT.judge_opening,):
        verdict = judge(answer(status, body))
        assert isinstance(verdict, Misconfigured)
        assert verdict.status == status
        assert verdict.advice.startswith(f"{code}: ")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (207, envelope(errors=[UPSTREAM])),
        (207, envelope()),
        (200, envelope(errors=[UPSTREAM])),
        (200, envelope(errors=["odd"])),
        (200, []),
        (200, "no"),
        (200, None),
        (204, None),
        (201, envelope()),
    ],
)
def test_any_other_opening_is_tried_again(status: int, body: object) -> None:
    """No session, and nobody to blame but the moment; `Retry-After` is obeyed."""
    assert DIALECT.judge_opening(answer(status, body, 7)) == TryAgain("no_session_id", status, 7)


# --- both -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "opening", "sending"),
    [
        (204, TryAgain("no_session_id", 204), Accepted()),
        (400, Refused(400, BAD_START_WORDS), Refused(400, BAD_START_WORDS)),
        (413, Refused(413, BAD_START_WORDS), Refused(413, BAD_START_WORDS)),
        (415, Refused(415, BAD_START_WORDS), Refused(415, BAD_START_WORDS)),
        (422, Refused(422, BAD_START_WORDS), Refused(422, BAD_START_WORDS)),
        (404, Misconfigured, Lost(404)),
        (410, Misconfigured, Lost(410)),
        (401, Misconfigured, Misconfigured),
        (403, Misconfigured, Misconfigured),
        (302, Misconfigured, Misconfigured),
        (408, TryAgain("status_408", 408, 3.0), TryAgain("status_408", 408, 3.0)),
        (429, TryAgain("status_429", 429, 3.0), TryAgain("status_429", 429, 3.0)),
        (500, TryAgain("status_500", 500, 3.0), TryAgain("status_500", 500, 3.0)),
        (502, TryAgain("status_502", 502, 3.0), TryAgain("status_502", 502, 3.0)),
        (503, TryAgain("status_503", 503, 3.0), TryAgain("status_503", 503, 3.0)),
        (504, TryAgain("status_504", 504, 3.0), TryAgain("status_504", 504, 3.0)),
    ],
)
def test_an_answer_means_by_whose_fault_it_is(status: int, opening: object, sending: object) -> None:
    """One table for both operations."""
    said = answer(status, None if status == 204 else BAD_START, 3.0 if isinstance(sending, TryAgain) else 0.0)
    for verdict, expected in ((DIALECT.judge_opening(said), opening), (DIALECT.judge_sending(said), sending)):
        if isinstance(expected, type):
            assert isinstance(verdict, expected)
        else:
            assert verdict == expected


@pytest.mark.parametrize("status", [200, 201, 204, 207])
def test_any_success_accepts_an_event(status: int) -> None:
    """Documents disagree on which one it is."""
    assert DIALECT.judge_sending(answer(status, envelope(errors=[UPSTREAM]))) == Accepted()


def test_an_event_may_be_set_aside_at_the_first_500() -> None:
    """By a setting, as Adobe advises; an opening is tried again all the same, and so is any other 5xx."""
    dialect = MediaEdge("d", retries_500=False)
    problem = {"type": f"{TYPES}EXEG-0001-500", "title": "Internal error"}
    assert dialect.judge_sending(answer(500, problem)) == Refused(500, "Internal error", Reason.ATTEMPTS_EXHAUSTED)
    assert dialect.judge_opening(answer(500, problem)) == TryAgain("status_500", 500)
    assert dialect.judge_sending(answer(503, problem)) == TryAgain("status_503", 503)


def test_no_answer_is_tried_again() -> None:
    """For both operations."""
    assert DIALECT.judge_opening(Unreachable("reset", was_sent=True)) == TryAgain("reset", is_outcome_unknown=True)
    assert DIALECT.judge_sending(Unreachable("connect", was_sent=False)) == TryAgain("connect")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (BAD_START, BAD_START_WORDS),
        ({"report": {"details": "media.play does not match media.ping"}}, "media.play does not match media.ping"),
        ({"report": {"details": [{"reason": "alone"}, "text", {"name": "$.x"}, 5, None]}}, 'alone; text; {"name": "$.x"}; 5'),
        ({"report": {"details": {"a": 1}}}, '{"a": 1}'),
        ({"title": "Bad Request", "detail": "what is wrong"}, "what is wrong"),
        ({"title": "Bad Request", "detail": None, "report": {"details": []}}, "Bad Request"),
        ({"title": {"a": 1}}, '{"a": 1}'),
        ({"type": f"{TYPES}EXEG-0103-400"}, "EXEG-0103-400"),
        ({"errors": [{"title": "one"}, {"detail": "two"}, "three"], "title": "one"}, "one; two; three"),
        ({}, "the API gave no reason"),
        ([], "[]"),
        ("no", '"no"'),
        (None, "the API gave no reason"),
    ],
)
@pytest.mark.parametrize("operation", ["opening", "sending"])
def test_all_reasons_are_kept(body: object, words: str, operation: str) -> None:
    """Paths and reasons, sentences instead of lists, and whatever else stands there."""
    judge = DIALECT.judge_opening if operation == "opening" else DIALECT.judge_sending
    assert judge(answer(400, body)) == Refused(400, words)


def test_what_is_no_json_is_quoted() -> None:
    """The page of a gateway in between says more than that it is no JSON; its beginning is kept, in one line."""
    body = b"<html>\r\n  <title>Request blocked</title>" + b" x" * 5_000
    verdict = DIALECT.judge_sending(Answer(400, body=body))
    assert isinstance(verdict, Refused)
    assert verdict.detail.startswith("<html> <title>Request blocked</title> x x")
    assert len(verdict.detail) == 500


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b'{"handle":"cut o',
        b'{"handle":[{"type":"media-analytics:new-session","payload":[{"sessionId":"\\ud800"}]}]}',
        b'{"handle":[{"type":"\xff","payload":[]}]}',
        b'{"\xff":1,"title":"x"}',
        b'{"title":"\xff"}',
        b'{"report":{"details":[{"name":"\xff","reason":"\\ud800"}]}}',
        b'{"errors":' + b"[" * 16_000,
        b'{"handle":' + b'[{"type":' * 1_000,
        b'{"report":{"details":' + b"[" * 500 + b"]" * 500 + b"}}",
        b'{"title":' + b"9" * 16_000 + b"}",
        b"\xff\xfe",
        b"\x00" * 100,
        b'{"title":"' + b"x" * 16_000 + b'"}',
    ],
)
@pytest.mark.parametrize("status", [200, 207, 400, 500])
def test_no_body_is_too_odd(status: int, body: bytes) -> None:
    """Whatever an answer holds, it becomes a verdict, and its words can be written into a header."""
    for verdict in (DIALECT.judge_opening(Answer(status, body=body)), DIALECT.judge_sending(Answer(status, body=body))):
        if isinstance(verdict, Refused):
            verdict.detail.encode()


NAMES = ["handle", "errors", "type", "payload", "sessionId", "report", "details", "name", "reason", "title", "hint", "scope"]
WORDS = [ID, str(SESSION["type"]), f"{TYPES}va-edge-0400-400", f"{TYPES}EXEG-0003-400", "EdgeNetwork"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(
    body=JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60), status=st.sampled_from([200, 207, 400, 404, 422, 500])
)
def test_any_answer_becomes_a_verdict(body: bytes, status: int) -> None:
    """Opened only with an id of the allowed form, and never an exception."""
    opened = DIALECT.judge_opening(Answer(status, body=body))
    if isinstance(opened, Opened):
        assert as_session_id(opened.session_id) == opened.session_id
        assert status < 300
    assert not isinstance(DIALECT.judge_sending(Answer(status, body=body)), Opened)

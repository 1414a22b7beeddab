"""Whatever answers, an API, a token endpoint or somebody in their place: it is a verdict, and no part of it becomes a part of a request.

The dialects' and the endpoint's own tests say what each answer means; here it only matters that nothing else ever comes of one.
"""

import asyncio
import json
import re
from typing import Any, Final

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.api.collection import MediaCollection
from relay.api.edge import MediaEdge
from relay.api.token_endpoint import Application, NoToken, Token, TokenEndpoint
from relay.core.inputs import Opened, Refused
from relay.core.verdict import Answer

MANY: Final = settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
DIALECTS: Final = (MediaCollection(), MediaEdge("stream"))
CLIENT: Final = Application("id", "secret", "scope", ())
SESSION_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
ROUTE: Final = re.compile(r"([a-z0-9]{1,16})?")
STATUSES: Final = (100, 199, 200, 201, 204, 207, 299, 302, 400, 401, 404, 407, 410, 418, 429, 451, 499, 500, 503, 599, 999)
BOMBS: Final = (
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"message":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    b'{"handle":' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"access_token":' + b"[" * 5_000,
    b'{"access_token":"%s"}' % (b"x" * 200_000),
    b'{"access_token":"a\\r\\nX-Evil: 1"}',
    b'{"access_token":"a","expires_in":%s}' % (b"9" * 5_000),
    b'{"access_token":"a","expires_in":1e308}',
    b'{"access_token":"a","expires_in":"-1e400"}',
    b'{"access_token":"a","token_type":"Bearer","expires_in":1e-300,"x":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    b'{"error":"%s"}' % (b"\xff" * 50),
    b"\x00\xff\xfe",
    b'"\\ud800"',
    b"9" * 5_000,
    b"1e999",
)
LOCATIONS: Final = (
    "",
    "//x/..",
    "/a/../b",
    "/a/b\r\nX-Evil: 1",
    "http://[",
    "/" + "a" * 129,
    "/\u0661",
    "/a%2fb",
    "javascript:x",
    "/a;b",
    "\x00/ok?/../x",
)
odd_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "message",
                    "handle",
                    "errors",
                    "payload",
                    "type",
                    "sessionId",
                    "scope",
                    "hint",
                    "status",
                    "report",
                    "access_token",
                    "error",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
bodies = st.one_of(st.binary(max_size=40), st.sampled_from(BOMBS), odd_json.map(lambda value: json.dumps(value).encode()))


@MANY
@given(
    body=bodies,
    status=st.sampled_from(STATUSES),
    location=st.sampled_from(LOCATIONS) | st.text(max_size=30),
    seconds=st.sampled_from([0.0, 1e-9, 1e12]),
)
def test_any_answer_is_a_verdict(body: bytes, status: int, location: str, seconds: float) -> None:
    """In both dialects, to an opening and to an event; an id and a route are of the characters that a path may have, or there is none."""
    answer = Answer(status, seconds, location, body)
    for dialect in DIALECTS:
        opened: Any = dialect.judge_opening(answer)
        if isinstance(opened, Opened):
            assert SESSION_ID.fullmatch(opened.session_id)
            assert ROUTE.fullmatch(opened.route)
        sent: Any = dialect.judge_sending(answer)
        assert not isinstance(sent, Opened)
        for verdict in (opened, sent):
            assert not isinstance(verdict, Refused) or isinstance(verdict.detail, str)


@MANY
@given(body=bodies, status=st.sampled_from([status for status in STATUSES if status >= 200]))
def test_any_answer_of_a_token_endpoint_is_a_token_or_none(body: bytes, status: int) -> None:
    """A token that can be a header, with a lifetime that is one; or a cause from a closed list, without a word of what was answered."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body))
    answered = asyncio.run(TokenEndpoint(transport, "https://ims.example/token").fetch(CLIENT))
    if isinstance(answered, Token):
        assert answered.value.isascii()
        assert answered.value.isprintable()
        assert " " not in answered.value
        assert 0 < answered.seconds <= 86_400
    else:
        assert isinstance(answered, NoToken)
        assert re.fullmatch(r"[a-z_]+(\d{3})?", answered.cause)


@pytest.mark.parametrize("body", BOMBS, ids=lambda body: str(body[:20]))
@pytest.mark.parametrize("status", [200, 201, 400, 410])
def test_no_body_is_a_bomb(status: int, body: bytes) -> None:
    """Depth and size are facts about an answer."""
    for dialect in DIALECTS:
        dialect.judge_opening(Answer(status, body=body))
        dialect.judge_sending(Answer(status, body=body))

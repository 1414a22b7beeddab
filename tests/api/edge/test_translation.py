"""What the golden table cannot show: values that stay as they came, times, addresses, hostile hints, and bodies that nobody should send."""

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.api.dialect import Untranslatable
from relay.api.edge import MediaEdge
from relay.api.edge_translation import timestamp
from relay.core.assignment import Assignment
from relay.core.commands import Cause, OpenSession, SendEvent
from relay.core.events import ApiSessionId, Details, EventType, PlayerEvent, SessionKey
from relay.core.lane import Lane

LANE = Lane(SessionKey("a"), Assignment("events", 0))
E = EventType
Say = Callable[..., Any]


def sent(event: PlayerEvent, *, route: str = "", **options: Any) -> Any:
    """Send an event to a session."""
    return MediaEdge("d", **options).sending(SendEvent(LANE, ApiSessionId("the-id"), event, route))


# --- values -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_as", "goes_out_as"),
    [
        (b"15", b"15"),
        (b"15.99", b"15"),
        (b"15.0", b"15"),
        (b"-15.99", b"-15"),
        (b"-15", b"-15"),
        (b"-0.5", b"0"),
        (b"1.5e3", b"1500"),
        (b"1E2", b"100"),
        (b"123456789012345678901234567890", b"123456789012345678901234567890"),
        (b'"15.5"', b'"15.5"'),
        (b"true", b"true"),
        (b'{"a":1.5}', b'{"a":1.5}'),
    ],
)
def test_an_integer_is_a_number_without_its_fraction(given_as: bytes, goes_out_as: bytes) -> None:
    """Towards zero, like the playhead; what is no number stays what it is, for the API to refuse."""
    call = sent(PlayerEvent(E.AD_START, 0, 0, params=b'{"media.ad.length":' + given_as + b"}"))
    assert b'"advertisingDetails":{"length":' + goes_out_as + b"}" in call.body


@pytest.mark.parametrize("value", [b"12.50", b"1e2", b'"\\u00e9\\/"', '"é"'.encode(), b'""', b'"' + b"x" * 10_000 + b'"'])
def test_any_other_value_goes_out_byte_for_byte(value: bytes) -> None:
    """As in the classic dialect: what the relay need not touch, it does not touch."""
    start = Details(params=b'{"media.name":' + value + b"}", custom_metadata=b'{"plan":' + value + b"}")
    body = MediaEdge("d").opening(OpenSession(LANE, start, 0, 0, Cause.FIRST)).body
    assert b'"friendlyName":' + value + b"}" in body
    assert b'{"name":"plan","value":' + value + b"}" in body


def test_metadata_keep_their_order() -> None:
    """The Edge takes them as a list; it is as long, and in the order, as what the player said."""
    metadata = json.dumps({name: name for name in "zyxabc"}).encode()
    body = json.loads(sent(PlayerEvent(E.CHAPTER_START, 0, 0, custom_metadata=metadata)).body)
    pairs = body["events"][0]["xdm"]["mediaCollection"]["customMetadata"]
    assert [(pair["name"], pair["value"]) for pair in pairs] == [(name, name) for name in "zyxabc"]


def test_an_identity_may_share_the_namespace_of_the_ecid(say: Say) -> None:
    """Neither pushes the other out."""
    params = {"visitor.marketingCloudUserId": "1", "visitor.customerIDs": {"ECID": {"id": "2", "authState": 0}}}
    body = json.loads(say({"eventType": "sessionStart", "playerTime": {"playhead": 0, "ts": 0}, "params": params}).edge().body)
    assert body["events"][0]["xdm"]["identityMap"] == {"ECID": [{"id": "1"}, {"id": "2", "authenticatedState": "ambiguous"}]}


def test_the_operator_may_drop_what_has_no_place(say: Say) -> None:
    """A param that is named is left out; what is not named still sets its event aside."""
    params = {"media.id": "x", "appInstallationId": "i", "visitor.aamLocationHint": 7}
    native = {"eventType": "sessionStart", "playerTime": {"playhead": 0, "ts": 0}, "params": params}
    body = json.loads(say(native, drops=("appInstallationId", "visitor.aamLocationHint")).edge().body)
    assert body["events"][0]["xdm"]["mediaCollection"]["sessionDetails"] == {"name": "x"}
    with pytest.raises(Untranslatable, match=r"^\$\.params\['appInstallationId'\]: "):
        say(native, drops=("visitor.aamLocationHint",)).edge()


# --- time ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ts", "written"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_709_210_096_007, "2024-02-29T12:34:56.007Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_is_written_in_utc_to_the_millisecond(ts: int, written: str) -> None:
    """From the event's own ts, whatever the time zone of the machine."""
    assert timestamp(ts) == written


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(ts=st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_a_time_is_the_same_moment(ts: int) -> None:
    """Any moment of the calendar reads back as itself."""
    assert datetime.fromisoformat(timestamp(ts)) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ts)


@pytest.mark.parametrize("ts", [253_402_300_800_000, -62_135_596_800_001, 10**30, -(10**30)])
def test_a_time_outside_of_the_calendar_is_refused(ts: int) -> None:
    """It names the path."""
    with pytest.raises(Untranslatable, match=r"^\$\.playerTime\.ts: "):
        timestamp(ts)


@pytest.mark.parametrize(
    ("playhead", "written"), [(0, b"0"), (0.999, b"0"), (12.0, b"12"), (-0.5, b"0"), (-3.5, b"-3"), (1e15, b"1000000000000000")]
)
def test_a_playhead_is_whole_seconds(playhead: float, written: bytes) -> None:
    """Cut off, never rounded: 0.999 has not reached the first second."""
    assert b'"playhead":' + written + b"," in sent(PlayerEvent(E.PING, playhead, 1)).body


@pytest.mark.parametrize("playhead", [float("inf"), float("nan")])
def test_a_playhead_that_is_none_is_refused(playhead: float) -> None:
    """No JSON says so, but nothing that comes here may stop the relay."""
    with pytest.raises(Untranslatable, match=r"^\$\.playerTime\.playhead: "):
        sent(PlayerEvent(E.PING, playhead, 1))


# --- addresses ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("datastream_id", "query"),
    [("0a1b:dev", b"0a1b%3Adev"), ("a/b?c&d=e#f", b"a%2Fb%3Fc%26d%3De%23f"), ("~a-b_c.d", b"~a-b_c.d"), ("%", b"%25")],
)
def test_the_datastream_is_percent_encoded(datastream_id: str, query: bytes) -> None:
    """Whatever its id holds, it is one value of the query."""
    dialect = MediaEdge(datastream_id)
    assert dialect.opening(OpenSession(LANE, Details(), 0, 0, Cause.FIRST)).target == b"/ee/va/v1/sessionStart?configId=" + query
    assert dialect.sending(SendEvent(LANE, ApiSessionId("x"), PlayerEvent(E.PLAY, 0, 0))).target == b"/ee/va/v1/play?configId=" + query


@pytest.mark.parametrize("base", ["/gateway", "/gateway/", "/a%20b"])
def test_the_api_may_stand_below_a_path(base: str) -> None:
    """A base path goes before both, also before a location hint."""
    dialect = MediaEdge("d", base)
    prefix = base.rstrip("/").encode()
    assert dialect.opening(OpenSession(LANE, Details(), 0, 0, Cause.FIRST)).target == prefix + b"/ee/va/v1/sessionStart?configId=d"
    target = dialect.sending(SendEvent(LANE, ApiSessionId("x"), PlayerEvent(E.PING, 0, 0), "va6")).target
    assert target == prefix + b"/ee/va6/va/v1/ping?configId=d"


@pytest.mark.parametrize("route", ["..", "a/b", "VA6", "va6?x=1", "a" * 17, "va 6", "va6\r\nx: y", "é", "va6\n"])
def test_a_hint_that_is_none_never_becomes_part_of_a_path(route: str) -> None:
    """It may come out of the state topic, where another version or somebody else wrote it."""
    assert sent(PlayerEvent(E.PING, 0, 0), route=route).target == b"/ee/va/v1/ping?configId=d"


def test_a_hint_from_before_is_ignored_when_hints_are() -> None:
    """A session that was opened before the setting changed goes the plain way too."""
    assert sent(PlayerEvent(E.PING, 0, 0), route="va6", follows_location_hints=False).target == b"/ee/va/v1/ping?configId=d"


def test_the_required_params_are_those_of_the_api(say: Say) -> None:
    """With them alone a sessionStart is whole."""
    assert MediaEdge.required_start_params == {"media.id", "media.length", "media.contentType", "media.playerName", "media.channel"}
    params = dict.fromkeys(MediaEdge.required_start_params, "x")
    body = json.loads(say({"eventType": "sessionStart", "playerTime": {"playhead": 0, "ts": 0}, "params": params}).edge().body)
    assert body["events"][0]["xdm"]["mediaCollection"]["sessionDetails"].keys() == {
        "name",
        "length",
        "contentType",
        "playerName",
        "channel",
    }


# --- what nobody should send -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "json_", [b"[]", b"1", b"{", b'{"a":}', b"\xff", b'{"\\ud800":1}', b'{"\xff":1}', b"[" * 10_000, b'{"a":' * 10_000]
)
@pytest.mark.parametrize("member", ["params", "qoe_data", "custom_metadata"])
def test_what_is_no_object_is_untranslatable(member: str, json_: bytes) -> None:
    """The input lets nothing of the kind through; what the state topic remembers has not come by there."""
    with pytest.raises(Untranslatable, match=r"^\$\.(params|qoeData|customMetadata): expected a JSON object$"):
        sent(PlayerEvent(E.CHAPTER_START, 0, 0, **{member: json_}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "customers",
    [b"[]", b'"x"', b'{"CRM":1}', b'{"CRM":{}}', b'{"CRM":{"authState":1}}', b'{"CRM":{"id":"x","authState":1.0}}', b'{"CRM":[]}'],
)
def test_customer_ids_that_are_none_are_untranslatable(customers: bytes) -> None:
    """Each is named by its path."""
    start = Details(params=b'{"visitor.customerIDs":' + customers + b"}")
    with pytest.raises(Untranslatable, match=r"^\$\.params\['visitor\.customerIDs'\]"):
        MediaEdge("d").opening(OpenSession(LANE, start, 0, 0, Cause.FIRST))


def test_a_detail_has_bounds() -> None:
    """A thousand unknown keys, or one of a hundred thousand letters, make no dead letter that Kafka would not take."""
    params = json.dumps({f"{number}{'x' * 1000}": 1 for number in range(1000)}).encode()
    with pytest.raises(Untranslatable) as untranslatable:
        sent(PlayerEvent(E.PLAY, 0, 0, params=params))
    assert len(str(untranslatable.value)) < 4_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
KEYS = st.sampled_from(["media.id", "media.length", "media.ad.length", "visitor.customerIDs", "media.state.name", "analytics.x"])


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(kind=st.sampled_from(E), params=st.dictionaries(KEYS | st.text(max_size=5), JSON, max_size=4))
def test_any_object_becomes_a_request_or_is_untranslatable(kind: EventType, params: dict[str, Any]) -> None:
    """There is no third way: no other exception leaves the dialect, not even for what the input would not let through."""
    said = json.dumps(params, ensure_ascii=False).encode("utf-8", "surrogatepass")
    with contextlib.suppress(Untranslatable):
        if kind is E.SESSION_START:
            call = MediaEdge("d").opening(OpenSession(LANE, Details(params=said), 1.5, 1, Cause.FIRST))
        else:
            call = sent(PlayerEvent(kind, 1.5, 1, params=said, qoe_data=b'{"media.qoe.errorID":"x"}' if kind is E.ERROR else b""))
        json.loads(call.body)

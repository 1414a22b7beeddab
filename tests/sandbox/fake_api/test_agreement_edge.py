"""The relay's Media Edge dialect against the fake's: both were written from the documents, neither from the other."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from relay.api.edge import MediaEdge
from relay.core.assignment import Assignment
from relay.core.commands import Cause, OpenSession, SendEvent
from relay.core.events import ApiSessionId, Details, EventType, PlayerEvent, Record, SessionKey
from relay.core.inputs import Accepted, Lost, Misconfigured, Opened, Refused, TryAgain, Verdict
from relay.core.lane import Lane
from relay.core.playback import Playback
from relay.core.starts import resumed
from relay.core.verdict import Answer
from relay.input.native import NativeInput
from relay.sandbox.crowd import crowd
from relay.sandbox.fake_api import FakeApi, Reply
from relay.sandbox.fake_api.dialect import Asked, Heard
from relay.sandbox.fake_api.edge import Edge
from relay.sandbox.fake_api.edge_fields import DETAILS, IDENTITY, LISTS, PLACED
from relay.sandbox.shapes import Shape

GOLDEN = Path(__file__).parents[2] / "api" / "edge" / "golden.json"
DROPPED = frozenset({"visitor.aamLocationHint", "appInstallationId"})  # players say them, the Edge has no place for them
LANE = Lane(SessionKey("player"), Assignment("events", 0))
UNKNOWN_SESSION = ApiSessionId("f" * 64)
STATES = {EventType.STATE_START, EventType.STATE_END}


def dialect(**parts: Any) -> MediaEdge:
    """The relay's side."""
    return MediaEdge("ds", dropped_params=DROPPED, **parts)


def read(value: bytes) -> PlayerEvent:
    """A native event as the relay reads it."""
    return NativeInput().read(Record(0, key=b"player", value=value))[1]


def opening_of(event: PlayerEvent, *, at: PlayerEvent | None = None) -> OpenSession:
    """The command that opens a session for a start, or opens it again for an event that found it gone."""
    start = Details(event.params, event.custom_metadata)
    if at is None:
        return OpenSession(LANE, start, event.playhead, event.ts, Cause.FIRST, event.qoe_data)
    return OpenSession(LANE, resumed(start), at.playhead, at.ts, Cause.LOST)


@pytest.fixture(scope="module")
def sessions() -> dict[str, list[bytes]]:
    """What a crowd with every habit said, by session."""
    said: dict[str, list[bytes]] = {}
    shape = Shape().having(ad_ping_seconds=2, ad_pause_share=0.1, errors_per_hour=30, ping_quality_share=0.5)
    for one in crowd(16, 7, shape, began_ms=1_700_000_000_000):
        said.setdefault(one.key, []).append(one.value or b"")
    return said


# --- what the relay says ------------------------------------------------------------------------------------------------------------


class Understood(NamedTuple):
    """A native event, and what the fake made of the relay's request."""

    native: dict[str, Any]
    asked: Asked
    body: dict[str, Any]


@pytest.fixture(scope="module")
def understood(sessions: dict[str, list[bytes]]) -> list[Understood]:
    """Every event of the crowd, said by the relay and read by the fake, which refuses none."""
    relay, fake = dialect(), Edge(Random(1))  # noqa: S311  # it words answers
    all_understood = []
    for value in (value for said in sessions.values() for value in said):
        event = read(value)
        is_start = event.event_type is EventType.SESSION_START
        call = relay.opening(opening_of(event)) if is_start else relay.sending(SendEvent(LANE, UNKNOWN_SESSION, event))
        asked = fake.understand("POST", call.target.decode(), call.body)
        assert isinstance(asked, Asked), (value, asked)
        all_understood.append(Understood(json.loads(value), asked, json.loads(call.body)))
    return all_understood


def test_the_fake_takes_whatever_players_cause(understood: list[Understood]) -> None:
    """Under the type, the ts and the playhead of the native event; so the account knows what to expect."""
    assert {one.native["eventType"] for one in understood} >= set(EventType) - {EventType.SESSION_COMPLETE}
    for native, asked, _ in understood:
        heard = asked.heard
        assert asked.also == ()
        assert (heard.event_type, heard.ts) == (native["eventType"], native["playerTime"]["ts"])
        assert heard.playhead == int(native["playerTime"]["playhead"])
        assert heard.state_name == native.get("params", {}).get("media.state.name", "")
        if heard.event_type == EventType.SESSION_START:
            assert heard.player_session == native["customMetadata"]["playerSession"]
            assert heard.is_resumed is native["params"].get("media.resume", False)
        else:
            assert asked.session_id == UNKNOWN_SESSION


def test_a_ts_is_understood_as_it_was_meant() -> None:
    """To the millisecond, whenever it is between the years 1 and 9999."""
    random = Random(1)  # noqa: S311  # it draws times
    moments = [-62_135_596_800_000, 253_402_300_799_999, -1, 0, 999, 59_999, 60_000]
    moments += [random.randrange(moments[0], moments[1]) for _ in range(500)]
    relay, fake = dialect(), Edge(random)
    for ts in moments:
        call = relay.sending(SendEvent(LANE, UNKNOWN_SESSION, PlayerEvent(EventType.PING, 0, ts)))
        asked = fake.understand("POST", call.target.decode(), call.body)
        assert isinstance(asked, Asked), asked
        assert asked.heard.ts == ts


def test_the_relay_sends_no_member_that_nobody_has_described(understood: list[Understood]) -> None:
    """The fake lets such members be, as the API does, which would lose them without a word."""
    for *_, body in understood:
        assert set(undescribed(body)) == set()


def test_what_is_told_again_can_be_compared(understood: list[Understood]) -> None:
    """Two starts, ads or chapters have the same content only if players said the same; states are told by their names."""
    content: dict[bytes, Any] = {}
    for native, asked, _ in understood:
        if asked.heard.content:
            truncated = {key: int(value) if isinstance(value, float) else value for key, value in native["params"].items()}
            said = [native["eventType"] if native["eventType"] not in STATES else "", truncated, native.get("customMetadata")]
            told = json.dumps([part for part in said if part], sort_keys=True)
            assert content.setdefault(asked.heard.content, told) == told


def undescribed(body: dict[str, Any]) -> Iterator[str]:
    """The members of a body that the documents do not know."""
    [event] = body["events"]
    xdm = event["xdm"]
    media = xdm["mediaCollection"]
    yield from body.keys() - {"events"}
    yield from event.keys() - {"xdm"}
    yield from xdm.keys() - {"eventType", "timestamp", "mediaCollection", "identityMap", "implementationDetails"}
    yield from media.keys() - PLACED - {"playhead"}
    yield from xdm.get("implementationDetails", {}).keys() - {"version", "name", "environment"}
    for name, members in DETAILS.items():
        yield from media.get(name, {}).keys() - members.required.keys() - members.optional.keys()
    for name, members in LISTS.items():
        yield from (member for element in media.get(name, ()) for member in element.keys() - members.required.keys())
    for identities in xdm.get("identityMap", {}).values():
        yield from (member for one in identities for member in one.keys() - IDENTITY.required.keys() - IDENTITY.optional.keys())


def test_golden_requests_are_judged_as_the_table_says() -> None:
    """Each optional field and each trap: the fake takes the request, unless the table says that it is there to be refused."""
    fake = Edge(Random(1))  # noqa: S311  # it words answers
    rows = [row for row in json.loads(GOLDEN.read_text("utf-8")) if "body" in row["edge"]]
    assert len(rows) > 19
    for row in rows:
        asked = fake.understand("POST", row["edge"]["path"], json.dumps(row["edge"]["body"]).encode())
        assert isinstance(asked, Reply if "refused_because" in row else Asked), (row["says"], asked)
        if isinstance(asked, Asked) and not row.get("joins"):
            assert same(asked.heard, row["native"]), row["says"]


def same(heard: Heard, native: dict[str, Any]) -> bool:
    """Whether the fake heard what the player said."""
    time = native["playerTime"]
    return (heard.event_type, heard.ts, heard.playhead) == (native["eventType"], time["ts"], int(time["playhead"]))


# --- what the fake answers ----------------------------------------------------------------------------------------------------------


class Talk:
    """The relay's dialect and a fake, joined without a client between them."""

    def __init__(self, api: FakeApi, **parts: Any) -> None:
        """Take the fake, and settings of the dialect."""
        self.api = api
        self.relay = dialect(**parts)

    def open(self, command: OpenSession) -> Verdict:
        """Open a session."""
        return self.relay.judge_opening(self._post(self.relay.opening(command)))

    def send(self, session_id: ApiSessionId, event: PlayerEvent, route: str = "") -> Verdict:
        """Send an event."""
        return self.relay.judge_sending(self._post(self.relay.sending(SendEvent(LANE, session_id, event, route))))

    def _post(self, call: Any) -> Answer:
        reply = self.api.exchange("POST", call.target.decode(), (), call.body).reply
        retry_after = dict(reply.headers).get("Retry-After", "0")
        return Answer(int(reply.status), float(retry_after), body=reply.body)


START = read(
    b'{"eventType": "sessionStart", "playerTime": {"playhead": 0, "ts": 1}, "params": {"media.id": "title", "media.length": 60.5,'
    b' "media.contentType": "vod", "media.playerName": "p", "media.channel": "c"}, "customMetadata": {"playerSession": "p"}}'
)
PING = read(b'{"eventType": "ping", "playerTime": {"playhead": 2.9, "ts": 2}}')
NAMELESS = read(
    b'{"eventType": "sessionStart", "playerTime": {"playhead": 0, "ts": 1}, "params": {"media.id": "", "media.length": "long",'
    b' "media.contentType": "vod", "media.playerName": "p", "media.channel": "c"}}'
)
SPOILT = read(b'{"eventType": "chapterStart", "playerTime": {"playhead": -1, "ts": 2}, "params": {"media.chapter.index": 1}}')


def verdicts(*rules: str, api: FakeApi | None = None, **parts: Any) -> tuple[Verdict, Verdict]:
    """What an opening and a ping mean to the relay under these faults; the ping is sent to a session that was open before."""
    talk = Talk(api or FakeApi(seed=1), **parts)
    opened = talk.open(opening_of(START))
    session_id = opened.session_id if isinstance(opened, Opened) else UNKNOWN_SESSION
    talk.api.set_faults(rules)
    return talk.open(opening_of(START)), talk.send(session_id, PING)


def test_an_opening_is_understood_with_its_hint() -> None:
    """Whatever the order of the handles; events go where the Edge Network's own hint points, and are taken there."""
    talk = Talk(FakeApi(seed=1))
    hints = set()
    for _ in range(30):
        opened = talk.open(opening_of(START))
        assert isinstance(opened, Opened)
        assert talk.send(opened.session_id, PING, opened.route) == Accepted() == talk.send(opened.session_id, PING)
        hints.add(opened.route)
    assert {"or2", "va6", "irl1", "ind1", "jpn3", "sgp3", "aus3"} >= hints > {"or2"}


@pytest.mark.parametrize(
    ("what", "opening", "sending"),
    [
        ("500", TryAgain, TryAgain),
        ("502", TryAgain, TryAgain),
        ("503+5", TryAgain, TryAgain),
        ("504", TryAgain, TryAgain),
        ("408", TryAgain, TryAgain),
        ("429+5", TryAgain, TryAgain),
        ("400", Refused, Refused),
        ("413", Refused, Refused),
        ("415", Refused, Refused),
        ("422", Refused, Refused),
        ("401", Misconfigured, Misconfigured),
        ("403", Misconfigured, Misconfigured),
        ("404", Misconfigured, Lost),
        ("410", Misconfigured, Lost),
        ("noid", Misconfigured, Accepted),
        ("badid", TryAgain, Accepted),
        ("otherhost", Opened, Accepted),
        ("upstream", Opened, Accepted),
    ],
)
def test_each_fault_means_what_the_documents_advise(what: str, opening: type[Verdict], sending: type[Verdict]) -> None:
    """And no fault of an opening leads the relay to another host."""
    opened, sent = verdicts(f"all:{what}:1")
    assert (type(opened), type(sent)) == (opening, sending)
    for verdict in (opened, sent):
        if isinstance(verdict, TryAgain):
            assert verdict.retry_after_seconds == (5 if "+" in what else 0)
        if isinstance(verdict, Opened):
            assert re.fullmatch("[0-9a-f]{64}", verdict.session_id)
            assert (verdict.route == "") is (what == "otherhost")


def test_a_failure_of_another_upstream_is_noticed() -> None:
    """The session is open all the same."""
    warned: list[str] = []
    verdicts("sessions:upstream:1", warned=warned.append)
    assert warned == ["upstream_error"]


def test_a_datastream_that_nobody_knows_is_our_own_fault() -> None:
    """For openings and for events."""
    opened, sent = verdicts(api=FakeApi(datastream_ids=["another"]))
    for verdict in (opened, sent):
        assert isinstance(verdict, Misconfigured)
        assert "EXEG-0003-400" in verdict.advice


def test_every_fault_of_a_start_reaches_the_dead_letter() -> None:
    """A 207 without a session is a refusal."""
    refused = Talk(FakeApi()).open(opening_of(NAMELESS))
    assert isinstance(refused, Refused)
    assert refused.status == 207
    assert refused.detail == (
        "$.xdm.mediaCollection.sessionDetails.name: Expected a string of at least one character; "
        "$.xdm.mediaCollection.sessionDetails.length: Expected an integer"
    )


def test_every_fault_of_an_event_reaches_the_dead_letter() -> None:
    """With its path."""
    refused = Talk(FakeApi()).send(UNKNOWN_SESSION, SPOILT)
    assert isinstance(refused, Refused)
    assert refused.status == 400
    assert refused.detail == (
        "$.events[0].xdm.mediaCollection.playhead: Expected an integer that is not negative; "
        "$.events[0].xdm.mediaCollection.chapterDetails.length: Missing required field; "
        "$.events[0].xdm.mediaCollection.chapterDetails.offset: Missing required field"
    )


@pytest.mark.parametrize("lose", [FakeApi.purge, lambda api: api.set_faults(["events:410:0.02"])], ids=["purge", "410"])
def test_the_account_of_a_crowd_whose_sessions_are_lost_is_clean(sessions: dict[str, list[bytes]], lose: Callable[[FakeApi], None]) -> None:
    """Opened again, told again, and sent on: each native event is received once, in order, and what was open is told as it was."""
    api = FakeApi(seed=1)
    talk = Talk(api)
    for key, values in sessions.items():
        events = [read(value) for value in values]
        api.expect(key, [(event.ts, event.event_type.value) for event in events])
        deliver(talk, events, lose=lambda: lose(api), lose_at=len(events) // 2)
    account = api.account()
    assert account.is_clean, [tally.findings for tally in account.sessions.values() if not tally.is_clean]
    assert account.total.openings_resumed > 5
    assert account.total.told_again > 10
    assert account.total.received + account.total.ends_without_session == sum(map(len, sessions.values()))


def deliver(talk: Talk, events: Sequence[PlayerEvent], *, lose: Callable[[], None], lose_at: int) -> None:
    """Send the events of one session as the relay does, opening again where the session is gone."""
    playback = Playback()
    session_id = UNKNOWN_SESSION
    for number, event in enumerate(events):
        if number == lose_at:
            lose()
        if event.event_type is EventType.SESSION_START:
            session_id = opened_id(talk.open(opening_of(event)))
            continue
        while isinstance(talk.send(session_id, event), Lost):
            if event.event_type is EventType.SESSION_END:
                break
            session_id = tell_again(talk, opening_of(events[0], at=event), playback.told_before(event))
        playback.apply(event)


def tell_again(talk: Talk, opening: OpenSession, told: Sequence[PlayerEvent]) -> ApiSessionId:
    """Open in place of a lost session and tell what was open; from the start when that one is lost too."""
    while True:
        session_id = opened_id(talk.open(opening))
        if all(isinstance(talk.send(session_id, one), Accepted) for one in told):
            return session_id


def opened_id(verdict: Verdict) -> ApiSessionId:
    """The id of a session that was opened."""
    assert isinstance(verdict, Opened)
    return verdict.session_id

"""Every page and every answer: they are there, of the documented shape, and show nothing personal."""

import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from relay.core.commands import Announce, Cause, Change
from relay.core.events import EventType as E
from relay.core.lane import IN_FLIGHT_FROM, State
from relay.core.reasons import Reason
from relay.observe.console import waits, words
from relay.observe.console.pages import session
from relay.observe.console.routes import API
from relay.observe.history import SAMPLES_MAX
from relay.observe.logs import hashed
from relay.observe.timelines import What

PAGES = ("/", "/sessions", "/partitions", "/dead-letters", "/openings", "/calls", "/settings")
KEY = 'mail@example.org"><script>alert(1)</script>'
WORDS = "the API's <words>"


@pytest.fixture
def busy(scene: Callable[..., Any], verdicts: Mapping[str, Any]) -> Callable[..., Any]:
    """A scene in which all kinds of things have happened, to a session with a hostile key."""

    def make(**more: Any) -> Any:
        one = scene(**more)
        one.lag = {("player-events", 0): 3}
        one.crowd(120)
        one.play(KEY, E.PLAY)
        one.say(KEY, E.PING)
        one.answer(verdicts["lost"])
        one.serve()
        one.say(KEY, E.PING)
        one.answer(verdicts["refused"])
        one.say(KEY, E.PING)
        one.answer(verdicts["later"])
        one.router.sending.misconfigured(one.now + 60, "check <this>")
        one.reporter.watch(one.router)
        for _ in range(5):
            one.now += 2
            one.history.sample()
        return one

    return make


def address_of(key: str) -> str:
    """A session's page."""
    return f"/sessions/player-events/0/{hashed(key)}"


@pytest.mark.parametrize("path", [*PAGES, address_of(KEY)])
def test_a_page_is_sound(busy: Callable[..., Any], path: str) -> None:
    """Every element is closed, every id is there once, nothing is written into it that a strict policy would refuse."""
    answer = busy(is_masked=False).ask(path)
    assert answer.status == 200
    assert answer.content_type == "text/html; charset=utf-8"
    checked = Checked()
    checked.feed(answer.body.decode())
    checked.close()
    assert not checked.open
    assert len(checked.ids) == len(set(checked.ids))
    assert checked.scripts == ["/assets/console.js"] * (path != "/settings")
    assert not checked.refused


class Checked(HTMLParser):
    """Keeps account of elements."""

    def __init__(self) -> None:
        """Begin with none."""
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.scripts: list[str | None] = []
        self.refused: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Enter."""
        if tag not in {"meta", "link", "input", "br"}:
            self.open.append(tag)
        given = dict(attrs)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.refused += [name for name in given if name == "style" or name.startswith("on")]
        if tag == "script":
            self.scripts.append(given.get("src"))
        assert tag != "style"

    def handle_endtag(self, tag: str) -> None:
        """Leave."""
        assert self.open.pop() == tag


@pytest.mark.parametrize("address", sorted(API))
def test_json_has_its_documented_shape(busy: Callable[..., Any], address: str) -> None:
    """Decoded strictly: no field is missing, of another type, or undocumented."""
    one = busy()
    shape = API[address]
    body = one.ask(address.format(topic="player-events", partition=0, name=hashed(KEY)), key=KEY).body
    assert msgspec.json.decode(body, type=shape)
    fields = set(msgspec.json.decode(body))
    assert fields == set(shape.__struct_fields__)


def test_nothing_personal_is_shown(busy: Callable[..., Any]) -> None:
    """While masked: no key, no id of an API session, no word of the API, on any page or below `/api`."""
    one = busy()
    for path in [*PAGES, *API, address_of(KEY)]:
        body = one.html(path.format(topic="player-events", partition=0, name=hashed(KEY)), key=KEY)
        for secret in ("mail@example.org", "f" * 64, "words"):
            assert secret not in body.replace("words, ", ""), (path, secret)


def test_where_it_is_allowed_it_is_shown_and_escaped(busy: Callable[..., Any]) -> None:
    """Keys, ids and details; a hostile one is text."""
    one = busy(is_masked=False)
    for path, secret in ((address_of(KEY), "mail@example.org"), (address_of(KEY), "f" * 64), ("/dead-letters", "&lt;words&gt;")):
        page = one.html(path)
        assert secret in page
        assert "<script>alert" not in page
        assert "<words>" not in page


def test_answers_may_not_be_framed_kept_or_scripted(busy: Callable[..., Any]) -> None:
    """A strict policy on every answer: no inline script or style, no other origin, no referrer with a key in it."""
    one = busy()
    for path in (*PAGES, "/api/overview", "/assets/console.css", "/nothing"):
        headers = one.ask(path if path != "/nothing" else "/sessions/x/0/y").headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["Referrer-Policy"] == "no-referrer"


def test_what_is_not_there(scene: Callable[..., Any]) -> None:
    """A page for people, an object for programs, and the status for both."""
    one = scene()
    page, answer = one.ask(address_of("nobody")), one.ask(f"/api{address_of('nobody')}")
    assert (page.status, answer.status) == (404, 404)
    assert b"Not found" in page.body
    assert answer.body.startswith(b'{"error":')


def test_a_bug_ends_the_page_and_not_the_relay(
    scene: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Status 500 and a line in the log."""
    one = scene()
    monkeypatch.setattr(one.witness.audit, "latest_openings", lambda *_: 1 / 0)
    assert one.ask("/openings").status == 500
    assert "a page could not be drawn" in caplog.text


def test_what_is_usual_is_no_problem(scene: Callable[..., Any]) -> None:
    """Beginning, ending, pinging for a silent player: none of it stands among the calls that did not end well."""
    one = scene()
    one.play("k")
    lane = one.assignments[0].lanes["k"]
    usual = {Change.OPENED, Change.ENDED, Change.SUSPENDED, Change.FORGOTTEN, Change.TOLD, Change.PINGED}
    for change in Change:
        one.witness.announce(Announce(lane, change, "first" if change is Change.OPENED else ""))
    assert {problem["change"] for problem in one.json("/api/calls")["problems"]} == {change.value for change in Change} - usual
    assert one.html("/calls")


def test_openings_by_cause(busy: Callable[..., Any]) -> None:
    """Why, when, for which event and after which answer; the newest first, in pages."""
    one = busy()
    lost = one.json("/api/openings", cause="lost")["openings"]
    assert [(opening["name"], opening["event"], opening["after_status"]) for opening in lost] == [(hashed(KEY), "ping", 410)]
    first = one.json("/api/openings")
    assert (len(first["openings"]), first["kept"], first["next"]) == (100, 122, "100")
    assert len(one.json("/api/openings", **{"from": "100"})["openings"]) == 22
    assert one.ask("/openings", cause="nonsense").status == 400


def test_dead_letters_by_reason(busy: Callable[..., Any]) -> None:
    """With the latest of each."""
    letters = busy().json("/api/dead-letters")
    (group,) = letters["groups"]
    assert (group["reason"], group["count"], letters["count"]) == ("rejected", 1, 1)
    sample = group["samples"][0]
    assert (sample["name"], sample["status"], sample["tries"], sample["detail"]) == (hashed(KEY), 400, 1, None)


def test_who_holds_a_partition_back_is_named(busy: Callable[..., Any]) -> None:
    """Once it has stood still for some seconds with others finished beyond it."""
    one = busy()
    one.store()
    one.play("somebody else")
    for _ in range(2):
        one.standstills.look(one.assignments, one.now)
        one.now += 10
    held, free = one.json("/api/partitions")["partitions"]
    assert held["standing_seconds"] == 20
    assert held["held_by"] == {
        "name": hashed(KEY),
        "key": None,
        "offset": 64,
        "waits_for": "backoff",
        "cause": "status_503",
        "status": 503,
        "tries": 1,
    }
    assert free["held_by"] is None
    assert "backoff, status 503, 1 try" in one.html("/partitions")


def test_every_word_has_a_meaning() -> None:
    """Of reasons and states; so a new one cannot be forgotten."""
    assert set(words.REASONS) == set(Reason)
    assert set(words.STATES) == set(State)
    assert set(words.CAUSES) == set(Cause)
    assert set(What) <= {*session._SENTENCES, "event"}
    assert {state for state in State if state < IN_FLIGHT_FROM} == set(waits._FOR_THE_PLAYER)
    assert {state for state in State if state >= IN_FLIGHT_FROM} == set(waits._FOR_AN_ANSWER)


def test_latencies_are_those_of_the_last_minute(scene: Callable[..., Any]) -> None:
    """What was slow before no longer counts; what is slow now shows at once."""
    one = scene()
    for seconds, times in ((3.0, 40), (0.02, 30)):
        for _ in range(times):
            one.tallies.delivered(seconds)
            one.tallies.request("send", 204, seconds)
            one.now += 2
            one.history.sample()
    looked = one.json("/api/overview")
    assert 0.01 < looked["latency"]["p50_seconds"] < looked["latency"]["p99_seconds"] < 0.03
    assert looked["call_p99_seconds"] < 0.03
    one.tallies.delivered(8.0)
    one.now += 2
    one.history.sample()
    assert one.json("/api/overview")["latency"]["p99_seconds"] > 5


def test_the_hour_is_bounded(scene: Callable[..., Any]) -> None:
    """The ring holds an hour, and a plot a fixed number of points, however long it ran."""
    one = scene()
    for number in range(SAMPLES_MAX + 100):
        one.tallies.delivered(0.02)
        one.now += 2
        one.lag = {("player-events", 0): number}
        one.history.sample()
    series = one.json("/api/history")
    assert len(one.history.samples) == SAMPLES_MAX
    assert {len(column) for column in series.values()} == {180}
    assert series["delivered_per_second"][-1] == 0.5
    assert series["lag"][-1] == SAMPLES_MAX + 99
    assert 0 < series["latency_p99_seconds"][-1] < 0.05
    assert len(one.html("/")) < 40_000


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0 ms"), (0.0004, "<1 ms"), (0.0123, "12 ms"), (1.5, "1.5 s"), (75, "1 min 15 s"), (3_700, "1 h 1 min"), (90_000, "1 d 1 h")],
)
def test_durations_are_read_easily(value: float, said: str) -> None:
    """The two largest units."""
    assert words.seconds(value) == said


def test_figures_are_read_easily() -> None:
    """Thousands are set apart, sizes have units."""
    assert (words.count(12_345), words.rate(0.25), words.rate(250.4), words.size(1_536), words.size(2**31)) == (
        "12,345",
        "0.2",
        "250",
        "1.5 KiB",
        "2.0 GiB",
    )
    assert (words.plural(1, "event"), words.plural(2, "event"), words.plural(0, "match", "matches")) == ("1 event", "2 events", "0 matches")


def test_every_time_is_utc_and_says_so(busy: Callable[..., Any]) -> None:
    """A moment is a time element with the whole of it."""
    assert re.search(r'<time datetime="2023-11-14T\d\d:\d\d:\d\d\.\d{3}Z"', busy().html(address_of(KEY)))

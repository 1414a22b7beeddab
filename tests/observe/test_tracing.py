"""Traces: a span for each record and for each of its requests, linked to where the record came from; nothing of the player in them."""

import re
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from relay.core.assignment import Assignment
from relay.core.commands import (
    Cause,
    Command,
    DropEvent,
    Finish,
    FinishUnknown,
    OpenSession,
    SendEvent,
    SetAside,
    SetAsideAlready,
)
from relay.core.events import ApiSessionId, Details, EventType, Part, PlayerEvent, Record, SessionKey
from relay.core.inputs import Accepted, Lost, Misconfigured, Opened, Refused, TryAgain
from relay.core.lane import Lane
from relay.core.reasons import Dropped, Reason
from relay.observe import tracing
from relay.observe.metrics import Metrics, Tallies
from relay.observe.tracing import Tracing

UPSTREAM = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
KEY = SessionKey("geheim-key")


class Scene:
    """Tracing, and what it has exported."""

    def __init__(self, **options: Any) -> None:
        """Keep every span in memory."""
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=options.pop("sampler", None), shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tallies = Tallies()
        self.traces = Tracing(self.provider, self.tallies, **options)
        self.performed: list[Command] = []
        kinds: tuple[type[Command], ...] = (Finish, FinishUnknown, DropEvent, SetAside, SetAsideAlready)
        self._perform = self.traces.watching(dict.fromkeys(kinds, self.performed.append))

    def perform(self, command: Command) -> None:
        """Carry out a command as the pump does."""
        self._perform[type(command)](command)

    @property
    def spans(self) -> list[ReadableSpan]:
        """All that have ended, in this order."""
        return list(self.exporter.get_finished_spans())


def lane_of(event: PlayerEvent) -> Lane:
    """A lane with an event at its head."""
    lane = Lane(KEY, Assignment("events", 3))
    lane.waiting.append(event)
    return lane


def event_of(
    kind: EventType = EventType.PING, *, traceparent: str | None = UPSTREAM, offset: int = 7, part: Part | None = None
) -> PlayerEvent:
    """An event whose record carries a context."""
    headers = (("note", b"geheim"), *((("traceparent", traceparent.encode()),) if traceparent else ()))
    record = Record(offset, b"geheim-key", b"geheim-value", headers)
    return PlayerEvent(kind, 1.5, 2, params=b'{"media.id":"geheim"}', record=record, part=part)


def send(event: PlayerEvent) -> SendEvent:
    """The command that sends it."""
    return SendEvent(lane_of(event), ApiSessionId("geheim-id"), event)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """What a span says."""
    return dict(span.attributes or {})


def test_a_record_and_its_requests_make_one_trace() -> None:
    """A failed try and the one that succeeds stand below the span of the record, which is linked to the context in its headers."""
    scene = Scene()
    event = event_of()
    command = send(event)
    first = scene.traces.attempt(command)
    first.ended(TryAgain("status_503", 503), 503)
    second = scene.traces.attempt(command)
    second.ended(Accepted(), 204)
    scene.perform(Finish(command.lane, event))
    failed, taken, whole = scene.spans
    assert (failed.name, taken.name, whole.name) == ("send ping", "send ping", "process events")
    assert failed.parent == taken.parent == whole.context
    (link,) = whole.links
    assert f"{link.context.trace_id:032x}-{link.context.span_id:016x}" in UPSTREAM
    assert whole.parent is None
    assert whole.context is not None
    assert whole.context.trace_id != link.context.trace_id
    assert attributes(failed) == {"http.request.method": "POST", "http.response.status_code": 503, "error.type": "status_503"}
    assert attributes(taken)["http.response.status_code"] == 204
    shown = attributes(whole)
    assert shown.pop("relay.waited_seconds") >= 0
    assert shown == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": "events",
        "messaging.destination.partition.id": "3",
        "messaging.kafka.offset": 7,
        "relay.event": "ping",
        "relay.outcome": "delivered",
    }
    assert scene.performed == [Finish(command.lane, event)]
    assert not scene.traces._spans


def test_a_request_carries_the_context_of_its_own_span() -> None:
    """So that whoever serves it stands below it."""
    scene = Scene()
    attempt = scene.traces.attempt(send(event_of()))
    attempt.ended(Accepted(), 204)
    (span,) = scene.spans
    assert span.context is not None
    context = span.context
    assert attempt.header == (b"traceparent", f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}".encode())
    assert context.trace_flags.sampled


def test_a_record_may_stand_below_its_context() -> None:
    """Where the operators want one trace from the player to the API."""
    scene = Scene(relation="parent")
    event = event_of()
    scene.traces.attempt(send(event)).ended(Accepted(), 204)
    scene.perform(Finish(lane_of(event), event))
    whole = scene.spans[-1]
    assert whole.parent is not None
    assert f"{whole.parent.trace_id:032x}-{whole.parent.span_id:016x}" in UPSTREAM
    assert not whole.links


@pytest.mark.parametrize("traceparent", [None, "nonsense", "00-0-0-01", UPSTREAM[:-3], "\xff"])
@pytest.mark.parametrize("relation", ["link", "parent"])
def test_a_record_without_a_context_begins_a_trace(traceparent: str | None, relation: str) -> None:
    """Whatever stands in the header."""
    scene = Scene(relation=relation)
    event = event_of(traceparent=traceparent)
    scene.traces.attempt(send(event)).ended(Accepted(), 204)
    scene.perform(Finish(lane_of(event), event))
    whole = scene.spans[-1]
    assert (whole.parent, list(whole.links)) == (None, [])


@pytest.mark.parametrize(
    ("verdict", "status", "cause"),
    [
        (Lost(410), 410, "lost_410"),
        (Misconfigured(401, "advice"), 401, "misconfigured"),
        (Refused(400, "geheim"), 400, "refused"),
        (TryAgain("timeout"), 0, "timeout"),
    ],
)
def test_a_request_that_failed_says_by_whose_fault(verdict: Any, status: int, cause: str) -> None:
    """In words of a closed list."""
    scene = Scene()
    scene.traces.attempt(send(event_of())).ended(verdict, status)
    (span,) = scene.spans
    assert attributes(span)["error.type"] == cause
    assert not span.status.is_ok


def test_an_opening_says_why() -> None:
    """It stands below the record that asked for it."""
    scene = Scene()
    event = event_of(EventType.SESSION_START)
    command = OpenSession(lane_of(event), Details(b'{"a":"geheim"}'), 0, 1, Cause.REJOINED)
    scene.traces.attempt(command).ended(Opened(ApiSessionId("geheim-id")), 201)
    (span,) = scene.spans
    assert (span.name, attributes(span)["relay.cause"]) == ("open session", "rejoined")
    assert "geheim" not in span.to_json()


def test_what_is_told_again_belongs_to_the_event_that_needs_it() -> None:
    """It has no record of its own."""
    scene = Scene()
    head = event_of()
    told = PlayerEvent(EventType.CHAPTER_START, 1, 2)
    scene.traces.attempt(SendEvent(lane_of(head), ApiSessionId("id"), told)).ended(Accepted(), 204)
    scene.traces.attempt(send(head)).ended(Accepted(), 204)
    scene.perform(Finish(lane_of(head), head))
    told_span, sent, whole = scene.spans
    assert (told_span.name, told_span.parent, sent.parent) == ("send chapterStart", whole.context, whole.context)


@pytest.mark.parametrize(
    ("make", "outcome"),
    [
        (lambda event: FinishUnknown(lane_of(event), event), "unknown"),
        (lambda event: DropEvent(lane_of(event), event, next(iter(Dropped))), "dropped"),
        (lambda event: SetAsideAlready(lane_of(event), event), "dead_lettered"),
        (lambda event: SetAside(Assignment("events", 3), event.record, Reason.REJECTED, "geheim", key=KEY), "dead_lettered"),
    ],
)
def test_however_a_record_is_finished_its_span_ends(make: Any, outcome: str) -> None:
    """And says how; a detail is never told."""
    scene = Scene()
    event = event_of()
    scene.traces.attempt(send(event)).ended(Accepted(), 204)
    scene.perform(make(event))
    whole = scene.spans[-1]
    assert attributes(whole)["relay.outcome"] == outcome
    assert "geheim" not in "".join(span.to_json() for span in scene.spans)
    assert not scene.traces._spans


def test_a_dead_letter_carries_the_context_of_its_record() -> None:
    """Also of one that never led to a request."""
    scene = Scene()
    event = event_of()
    assert event.record is not None
    context = scene.traces.context_of("events", 3, event.record)
    scene.perform(SetAside(Assignment("events", 3), event.record, Reason.NO_SESSION_START))
    (whole,) = scene.spans
    assert whole.context is not None
    assert context.startswith(f"00-{whole.context.trace_id:032x}-{whole.context.span_id:016x}-")
    assert attributes(whole)["relay.reason"] == "no_session_start"


def test_a_record_of_several_parts_has_one_span() -> None:
    """It ends with the last of them."""
    scene = Scene()
    parts = [event_of(part=Part(number, 2)) for number in (1, 2)]
    for event in parts:
        scene.traces.attempt(send(event)).ended(Accepted(), 204)
        scene.perform(Finish(lane_of(event), event))
    assert [span.name for span in scene.spans] == ["send ping", "send ping", "process events"]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is let go of; what is left ends when the relay stops."""
    monkeypatch.setattr(tracing, "OPEN_MAX", 3)
    scene = Scene()
    for offset in range(5):
        scene.traces.attempt(send(event_of(offset=offset)))
    assert [attributes(span)["messaging.kafka.offset"] for span in scene.spans] == [0, 1]
    scene.traces.stop()
    assert [attributes(span)["relay.outcome"] for span in scene.spans] == ["lost sight of", "lost sight of", "left", "left", "left"]


def test_histograms_name_traces() -> None:
    """In OpenMetrics, and only there; of records that are not sampled there is nothing to name."""
    scene = Scene()
    metrics = Metrics(scene.tallies, version="1")
    event = event_of()
    scene.tallies.request("send", 204, 0.001)
    scene.tallies.delivered(0.001)
    scene.traces.attempt(send(event)).ended(Accepted(), 204)
    scene.perform(Finish(lane_of(event), event))
    trace_id = f"{scene.spans[-1].context.trace_id:032x}"  # type: ignore[union-attr]
    page = metrics.expose("application/openmetrics-text; version=1.0.0")[0].decode()
    named = [line for line in page.splitlines() if f'# {{trace_id="{trace_id}"}}' in line]
    assert [line.partition("{")[0] for line in named] == [
        "relay_end_to_end_latency_seconds_bucket",
        "relay_api_request_duration_seconds_bucket",
    ]
    assert "trace_id" not in metrics.expose("")[0].decode()


def test_where_the_library_is_turned_off_nothing_is_kept() -> None:
    """By its own variable, for instance; contexts are handed on with the flag that says so."""
    scene = Scene(sampler=ALWAYS_OFF)
    event = event_of()
    attempt = scene.traces.attempt(send(event))
    attempt.ended(TryAgain("timeout"), 0)
    scene.perform(Finish(lane_of(event), event))
    assert int(attempt.header[1][-2:], 16) & 1 == 0
    assert not scene.spans
    assert not scene.tallies.end_to_end.examples
    assert not scene.traces._spans


def test_a_part_of_the_records_is_kept() -> None:
    """Each request of a record is told the same, so a trace is whole or not there; what is not kept takes no room."""
    scene = Scene(sample_ratio=0.25)
    kept = 0
    for offset in range(2_000):
        event = event_of(traceparent=None, offset=offset)
        flags = set()
        for verdict in (TryAgain("timeout"), Accepted()):
            attempt = scene.traces.attempt(send(event))
            attempt.ended(verdict, 0)
            flags.add(int(attempt.header[1][-2:], 16) & 1)
        assert flags == {len(scene.traces._spans)}
        kept += len(scene.traces._spans)
        scene.perform(Finish(lane_of(event), event))
    assert 400 < kept < 600
    assert len(scene.spans) == 3 * kept


@pytest.mark.parametrize("relation", ["link", "parent"])
def test_what_is_not_kept_hands_on_a_context_of_its_own(relation: str) -> None:
    """A new one for each request, and one for its dead letter, all of which say that nobody keeps them."""
    scene = Scene(sample_ratio=0.0, relation=relation)
    event = event_of(traceparent=None)
    record = event.record
    assert record is not None
    told = [*(scene.traces.attempt(send(event)).header[1].decode() for _ in range(3)), scene.traces.context_of("events", 3, record)]
    assert all(re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", context) for context in told)
    assert len({context.split("-")[2] for context in told}) == 4
    scene.perform(SetAside(Assignment("events", 3), record, Reason.REJECTED))
    assert not scene.spans
    assert not scene.tallies.end_to_end.examples


@pytest.mark.parametrize(("flags", "ratio", "is_kept"), [("01", 0.0, True), ("00", 1.0, False), ("03", 0.0, True), ("02", 1.0, False)])
def test_a_producer_that_stands_above_decides_what_is_kept(flags: str, ratio: float, is_kept: bool) -> None:  # noqa: FBT001  # a case
    """Whatever part of the records is kept else; the trace stays the producer's."""
    scene = Scene(sample_ratio=ratio, relation="parent")
    event = event_of(traceparent=f"{UPSTREAM[:-2]}{flags}")
    record = event.record
    assert record is not None
    attempt = scene.traces.attempt(send(event))
    assert attempt.header[1].startswith(UPSTREAM[:35].encode())
    assert scene.traces.context_of("events", 3, record).startswith(UPSTREAM[:35])
    attempt.ended(Accepted(), 204)
    scene.perform(Finish(lane_of(event), event))
    assert bool(scene.spans) is is_kept


@pytest.mark.parametrize("traceparent", [f"00-{'0' * 32}-00f067aa0ba902b7-00", f"00-{UPSTREAM[3:35]}-{'0' * 16}-00", "nonsense"])
def test_a_context_that_is_none_decides_nothing(traceparent: str) -> None:
    """A trace or a span of noughts names nothing."""
    scene = Scene(relation="parent")
    event = event_of(traceparent=traceparent)
    scene.traces.attempt(send(event)).ended(Accepted(), 204)
    assert scene.spans


def test_a_link_decides_nothing() -> None:
    """What the producer keeps is its own affair, where traces are the relay's."""
    scene = Scene(relation="link")
    event = event_of(traceparent=f"{UPSTREAM[:-2]}00")
    scene.traces.attempt(send(event)).ended(Accepted(), 204)
    assert scene.spans


def test_without_traces_the_library_is_not_even_imported() -> None:
    """It is an extra."""
    probe = "import sys, relay.app; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0  # noqa: S603  # our own

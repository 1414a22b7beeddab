"""Traces: a span for each record that leads to requests, from the first of them until it is finished, and below it one for each request.

In: requests and their ends, and the commands by which records are finished. Out: spans for OpenTelemetry, contexts for requests and dead
letters, exemplars for histograms. Imported only where traces are kept: the library is an extra.

The span of a record is linked to the context in the record's headers, or has it as its parent. It names topic, partition, offset, type and
reason; no key, no value, no id of an API session.

Which records are kept is decided before the library is asked: for it, what is not kept costs a third of what is, on the way of each event.
"""

import random
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from relay.core.commands import Command, DropEvent, Finish, FinishUnknown, OpenSession, SendEvent, SetAside, SetAsideAlready
from relay.core.events import PlayerEvent, Record
from relay.core.inputs import Accepted, Lost, Misconfigured, Opened, TryAgain, Verdict
from relay.observe.metrics import Tallies

Relation: TypeAlias = Literal["link", "parent"]
Place: TypeAlias = tuple[str, int, int]
Perform: TypeAlias = Callable[..., None]

OPEN_MAX: Final = 10_000  # records whose spans have begun; a span is held no longer than its record waits for an answer or its next try
_CONTEXT_NAMES: Final = frozenset({"traceparent", "tracestate"})
_NOT_SAMPLED: Final = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f][02468ace]")
_HASHES: Final = 2**64
_propagator: Final = TraceContextTextMapPropagator()


class Attempt:
    """The span of one request."""

    __slots__ = ("_began", "_operation", "_span", "_tallies", "header")

    def __init__(self, span: Span, operation: str, tallies: Tallies) -> None:
        """It begins now."""
        self.header = (b"traceparent", traceparent(span).encode("ascii"))
        self._span = span
        self._operation = operation
        self._tallies = tallies
        self._began = time.monotonic()

    def ended(self, verdict: Verdict, status: int) -> None:
        """Say how, and give the histogram of requests an example."""
        span = self._span
        if not span.is_recording():
            return
        if status:
            span.set_attribute("http.response.status_code", status)
        if not isinstance(verdict, Accepted | Opened):
            cause = _cause(verdict)
            span.set_attribute("error.type", cause)
            span.set_status(StatusCode.ERROR, cause)
        span.end()
        self._tallies.request_example(self._operation, time.monotonic() - self._began, trace_id(span))


class Unkept:
    """A request of a record whose spans nobody keeps: what it carries says so to whoever serves it."""

    __slots__ = ("header",)

    def __init__(self, header: bytes) -> None:
        """Carry it."""
        self.header = (b"traceparent", header)

    def ended(self, verdict: Verdict, status: int) -> None:
        """Nobody asks."""


class Tracing:
    """Knows the spans of records that are under way."""

    def __init__(self, provider: TracerProvider, tallies: Tallies, *, sample_ratio: float = 1.0, relation: Relation = "link") -> None:
        """Make spans with this provider, whose owner is somebody else, for that part of the records."""
        self._tracer = provider.get_tracer("relay")
        self._tallies = tallies
        self._kept_below = int(sample_ratio * _HASHES)
        self._is_below = relation == "parent"
        self._spans: OrderedDict[Place, Span] = OrderedDict()

    def attempt(self, command: OpenSession | SendEvent) -> Attempt | Unkept:
        """A request is about to leave: for the event at the head of its lane, whatever it says itself."""
        lane = command.lane
        head = lane.waiting[0]
        assert head.record is not None
        place = (lane.assignment.topic, lane.assignment.partition, head.record.offset)
        above = self._span_of(place, head.record, str(head.event_type))
        if above is None:
            return Unkept(_unkept(head.record, is_below=self._is_below))
        operation, name = ("open", "open session") if isinstance(command, OpenSession) else ("send", f"send {command.event.event_type}")
        attributes = {"http.request.method": "POST"}
        if isinstance(command, OpenSession):
            attributes["relay.cause"] = str(command.cause)
        span = self._tracer.start_span(name, context=set_span_in_context(above), kind=SpanKind.CLIENT, attributes=attributes)
        return Attempt(span, operation, self._tallies)

    def context_of(self, topic: str, partition: int, record: Record) -> str:
        """The `traceparent` for the dead letter of a record; one that never led to a request gets its span now."""
        span = self._span_of((topic, partition, record.offset), record, "")
        return _unkept(record, is_below=self._is_below).decode("ascii") if span is None else traceparent(span)

    def watching(self, performers: Mapping[type[Command], Perform]) -> dict[type[Command], Perform]:
        """The performers of the commands by which records are finished; they end spans as well."""
        ends: dict[type[Command], Callable[[Any], None]] = {
            Finish: self._finished,
            FinishUnknown: self._finished_unknown,
            DropEvent: self._dropped,
            SetAside: self._set_aside,
            SetAsideAlready: self._set_aside_already,
        }

        def both(perform: Perform, end: Callable[[Any], None]) -> Perform:
            def perform_and_end(command: Command) -> None:
                perform(command)
                end(command)

            return perform_and_end

        return {kind: both(performers[kind], end) for kind, end in ends.items()}

    def stop(self) -> None:
        """End what is left: it goes on in another process."""
        for span in self._spans.values():
            _end(span, "left")
        self._spans.clear()

    # --- the spans of records -----------------------------------------------------------------------------------------------------------

    def _span_of(self, place: Place, record: Record, event_type: str) -> Span | None:
        """None for a record that is not kept."""
        span = self._spans.get(place)
        if span is None and self._keeps(place, record):
            while len(self._spans) >= OPEN_MAX:
                _end(self._spans.popitem(last=False)[1], "lost sight of")
            span = self._spans[place] = self._begin(place, record, event_type)
        return span

    def _keeps(self, place: Place, record: Record) -> bool:
        """A producer that stands above decides; else the place does, so that each request of a record is told the same."""
        if self._is_below and record.headers:
            if _not_sampled(record):
                return False
            _, origin = _origin(record)
            if origin.is_valid:
                return origin.trace_flags.sampled
        return hash(place) % _HASHES < self._kept_below

    def _begin(self, place: Place, record: Record, event_type: str) -> Span:
        topic, partition, offset = place
        context, origin = _origin(record)
        span = self._tracer.start_span(
            f"process {topic}",
            context=context if self._is_below else Context(),
            kind=SpanKind.CONSUMER,
            links=[Link(origin)] if origin.is_valid and not self._is_below else (),
            attributes={
                "messaging.system": "kafka",
                "messaging.operation.type": "process",
                "messaging.destination.name": topic,
                "messaging.destination.partition.id": str(partition),
                "messaging.kafka.offset": offset,
            },
        )
        if span.is_recording():
            span.set_attribute("relay.waited_seconds", max(0.0, time.monotonic() - record.appended_at))
            if event_type:
                span.set_attribute("relay.event", event_type)
        return span

    def _finished(self, finish: Finish) -> None:
        record = finish.event.record
        assert record is not None
        span = self._ends(finish.lane.assignment.topic, finish.lane.assignment.partition, finish.event)
        if span is not None and span.is_recording():
            self._tallies.delivery_example(max(0.0, time.monotonic() - record.appended_at), trace_id(span))
            _end(span, "delivered")

    def _finished_unknown(self, finish: FinishUnknown) -> None:
        self._finish(finish.lane.assignment.topic, finish.lane.assignment.partition, finish.event, "unknown")

    def _dropped(self, drop: DropEvent) -> None:
        self._finish(drop.lane.assignment.topic, drop.lane.assignment.partition, drop.event, "dropped")

    def _set_aside_already(self, already: SetAsideAlready) -> None:
        self._finish(already.lane.assignment.topic, already.lane.assignment.partition, already.event, "dead_lettered")

    def _set_aside(self, aside: SetAside) -> None:
        span = self._spans.pop((aside.assignment.topic, aside.assignment.partition, aside.record.offset), None)
        if span is not None and span.is_recording():
            span.set_attribute("relay.reason", str(aside.reason))
            span.set_status(StatusCode.ERROR, str(aside.reason))
            _end(span, "dead_lettered")

    def _finish(self, topic: str, partition: int, event: PlayerEvent, outcome: str) -> None:
        span = self._ends(topic, partition, event)
        if span is not None:
            _end(span, outcome)

    def _ends(self, topic: str, partition: int, event: PlayerEvent) -> Span | None:
        """The span of an event's record, if the record says nothing after it."""
        if event.record is None or (event.part is not None and not event.part.is_last):
            return None
        return self._spans.pop((topic, partition, event.record.offset), None)


def _origin(record: Record) -> tuple[Context, SpanContext]:
    """Where a record comes from, as its headers say."""
    carrier = {name.lower(): value.decode("latin-1") for name, value in record.headers if value and name.lower() in _CONTEXT_NAMES}
    context = _propagator.extract(carrier, context=Context())
    return context, get_current_span(context).get_span_context()


def _not_sampled(record: Record) -> bytes | None:
    """The trace of a record whose producer says that nobody keeps it. Without the library, which would take ten times as long."""
    for name, value in record.headers:
        if value and name.lower() == "traceparent" and (found := _NOT_SAMPLED.fullmatch(value)):
            return found[1]
    return None


def _unkept(record: Record, *, is_below: bool) -> bytes:
    """A context that nobody keeps: of the producer's trace if that is to stand above, else of one of its own."""
    trace = _not_sampled(record) if is_below else None
    return b"00-%s-%016x-00" % (trace or b"%032x" % _drawn(128), _drawn(64))


def _drawn(bits: int) -> int:
    """A name that nobody else has; never nought, which names nothing."""
    return random.getrandbits(bits) or 1


def traceparent(span: Span) -> str:
    """The span's context in the words of the W3C."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def trace_id(span: Span) -> str:
    """The name of the trace, as people search for it."""
    return f"{span.get_span_context().trace_id:032x}"


def _end(span: Span, outcome: str) -> None:
    if span.is_recording():
        span.set_attribute("relay.outcome", outcome)
        span.end()


def _cause(verdict: Verdict) -> str:
    match verdict:
        case TryAgain(cause):
            return cause
        case Lost(status):
            return f"lost_{status}"
        case Misconfigured():
            return "misconfigured"
        case _:
            return "refused"

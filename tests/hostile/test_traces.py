"""A whole relay whose traces go to a collector: every record and request is there, linked, and nothing of a player or a secret."""

import asyncio
import gzip
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

MARK: Final = re.compile(rb"mk[0-9](?:token|password|key|param|metadata|quality|name|broken|header|memoir)[0-9a-f]*")
API_SESSION: Final = re.compile(rb"[0-9a-f]{64}")
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Sink:
    """A collector that keeps what it gets."""

    def __init__(self) -> None:
        """Listen on any port."""
        self.bodies: list[bytes] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                sink.bodies.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1/traces"

    def spans(self) -> list[Any]:
        """Every span that came."""
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [span for one in requests for resource in one.resource_spans for scope in resource.scope_spans for span in scope.spans]

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A collector for one test."""
    one = Sink()
    yield one
    one.close()


def letters(bootstrap: str, count: int) -> list[dict[str, bytes]]:
    """The headers of so many dead letters."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "looks"})
    try:
        consumer.assign([TopicPartition("relay.dead-letters", number, OFFSET_BEGINNING) for number in range(4)])
        found: list[dict[str, bytes]] = []
        for _ in range(200):
            found += [dict(message.headers() or []) for message in consumer.consume(count, 0.1) if message.error() is None]
            if len(found) >= count:
                break
        return found
    finally:
        consumer.close()


@pytest.mark.parametrize("settings", [{}, {"RELAY_API__TRANSPORT": "httpx"}], ids=["fast", "httpx"])
def test_every_record_is_traced(sink: Sink, rig: Callable[..., Any], crowd_of: Callable[..., Any], settings: dict[str, str]) -> None:
    """From the record's own context to the API and to the dead letters."""
    asyncio.run(story(sink, rig, crowd_of(10, "traced", with_poison=True), settings))
    spans = sink.spans()
    processed = [span for span in spans if span.name == "process player-events"]
    requests = [span for span in spans if span.name.startswith(("send ", "open session"))]
    outcomes = [attribute.value.string_value for span in processed for attribute in span.attributes if attribute.key == "relay.outcome"]
    assert outcomes.count("delivered") == 120
    assert outcomes.count("dead_lettered") == len(outcomes) - 120 > 10
    assert {(link.trace_id.hex(), link.span_id.hex()) for span in processed for link in span.links} == {(TRACE, SPAN)}
    assert {span.parent_span_id for span in requests} <= {span.span_id for span in processed}
    assert len(requests) >= 120
    whole = b"".join(sink.bodies)
    assert not MARK.findall(whole)
    assert not API_SESSION.findall(whole)


async def story(sink: Sink, rig: Callable[..., Any], records: Any, settings: dict[str, str]) -> None:
    """A crowd and some poison, all of them traced."""
    chosen = {"RELAY_TRACING__ENDPOINT": sink.url, "RELAY_TRACING__SAMPLE_RATIO": "1", **settings}
    async with rig(faults=["events:503:0.05", "events:404:0.05"], **chosen) as one:
        one.produce(records, traceparent=f"00-{TRACE}-{SPAN}-01".encode())
        async with one.relay() as app:
            await one.settle(app)
            bootstrap = one.settings.kafka.bootstrap_servers
            found = await asyncio.to_thread(letters, bootstrap, len(records) - 120)
        contexts = {value for name, value in one.api.headers if name == "traceparent"}
    spans = {(span.trace_id.hex(), span.span_id.hex()) for span in sink.spans()}
    assert {tuple(context.split("-")[1:3]) for context in contexts} <= spans
    assert {tuple(headers["relay.traceparent"].decode().split("-")[1:3]) for headers in found} <= spans
    assert {headers["traceparent"].decode() for headers in found} == {f"00-{TRACE}-{SPAN}-01"}


def test_a_collector_that_is_not_there_holds_nothing_up(rig: Callable[..., Any], crowd_of: Callable[..., Any]) -> None:
    """Events are delivered, and the relay leaves in time."""

    async def run() -> None:
        async with rig(RELAY_TRACING__ENDPOINT="http://127.0.0.1:1/v1/traces", RELAY_TRACING__SAMPLE_RATIO="1") as one:
            one.produce(crowd_of(5, "untraced", with_poison=False))
            async with one.relay() as app:
                await one.settle(app)
            assert app.tallies.delivered_count == 15
            left = {thread.name for thread in threading.enumerate()}
            assert not {name for name in left if name.startswith(("relay-traces", "Otel"))}, "nothing goes on trying"

    asyncio.run(run())

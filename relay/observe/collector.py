"""The way of spans to a collector: OTLP over HTTP, in batches, on the library's own thread.

In: where it is. Out: a provider of spans. What the collector does not take in time is dropped: nothing waits for it.
"""

import asyncio
import threading
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

EXPORT_SECONDS_MAX: Final = 5.0
CLOSE_SECONDS_MAX: Final = 2.0  # after a drain; what has not left by then is lost
GIVE_UP_SECONDS_MAX: Final = 1.0


class Collector:
    """Owns the provider, which is nobody else's: the library's global one stays as it is."""

    def __init__(self, endpoint: str, *, version: str) -> None:
        """Send to this URL; nothing leaves before there are spans. Each that is begun is kept: which are, others have decided."""
        resource = Resource.create({"service.name": "relay", "service.version": version})
        self.provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        self._exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS_MAX)
        self.provider.add_span_processor(BatchSpanProcessor(self._exporter))

    async def close(self) -> None:
        """Send what is left, and wait no longer than a moment."""
        thread = threading.Thread(target=self.provider.shutdown, name="relay-traces", daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, CLOSE_SECONDS_MAX)
        if thread.is_alive():
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # it waits between two tries: not any longer
            await asyncio.to_thread(thread.join, GIVE_UP_SECONDS_MAX)

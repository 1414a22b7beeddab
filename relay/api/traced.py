"""Requests that carry the context of a trace, and tell how they ended.

In: commands. Out: the same calls, each with a `traceparent`. Joined in only where traces are kept: without, nothing of this is on the way.
"""

from functools import partial
from typing import Protocol

from relay.api.calls import Broke, Hear
from relay.api.client import ApiClient
from relay.core.commands import OpenSession, SendEvent
from relay.core.inputs import Verdict


class Attempt(Protocol):
    """One request, as the traces know it."""

    @property
    def header(self) -> tuple[bytes, bytes]:
        """What the request carries."""
        ...

    def ended(self, verdict: Verdict, status: int) -> None:
        """It was answered, or not."""
        ...


class Traces(Protocol):
    """Who knows of requests."""

    def attempt(self, command: OpenSession | SendEvent) -> Attempt:
        """A request is about to leave. One that does not is never told to have ended, and forgotten."""
        ...


class Traced:
    """A client whose requests are told to the traces."""

    def __init__(self, client: ApiClient, traces: Traces) -> None:
        """Stand before the client itself: what holds calls back stands before this."""
        self._client = client
        self._traces = traces

    def begin(self, command: OpenSession | SendEvent, hear: Hear, broke: Broke) -> bool:
        """Carry out a command at once, if that can be."""
        attempt = self._traces.attempt(command)
        return self._client.begin(command, partial(_end_and_hear, attempt, hear), broke, attempt.header)

    async def perform(self, command: OpenSession | SendEvent) -> tuple[Verdict, int]:
        """Carry out a command."""
        attempt = self._traces.attempt(command)
        verdict, status = await self._client.perform(command, attempt.header)
        attempt.ended(verdict, status)
        return verdict, status


def _end_and_hear(attempt: Attempt, hear: Hear, verdict: Verdict, status: int) -> None:
    attempt.ended(verdict, status)
    hear(verdict, status)

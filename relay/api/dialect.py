"""The port behind which a dialect of the media API stands: the core and the client know neither.

A dialect turns the two commands that leave the relay into calls, and the answers into verdicts. A third dialect is one more module
with this face, and a line in `wiring.py`.
"""

from typing import Protocol

import msgspec

from relay.core.commands import OpenSession, SendEvent
from relay.core.inputs import Verdict
from relay.core.verdict import Answer, Unreachable


class ApiCall(msgspec.Struct, frozen=True, gc=False):
    """One POST: the target below the configured host, and the JSON body."""

    target: bytes
    body: bytes


class Untranslatable(Exception):  # noqa: N818  # a fact about an event
    """The dialect has no words for something in the event. The message names the path."""


class Dialect(Protocol):
    """What a dialect knows."""

    required_start_params: frozenset[str]
    """The params without which the API opens no session, in the vocabulary of the relay."""

    def opening(self, command: OpenSession) -> ApiCall:
        """The call that opens a session. Raises `Untranslatable`."""
        ...

    def sending(self, command: SendEvent) -> ApiCall:
        """The call that sends an event. Raises `Untranslatable`."""
        ...

    def impossible_opening(self) -> ApiCall | None:
        """An opening that the API must refuse, for `relay check`; None where even that would reach others behind the API."""
        ...

    def judge_opening(self, answer: Answer | Unreachable) -> Verdict:
        """What an answer to an opening means."""
        ...

    def judge_sending(self, answer: Answer | Unreachable) -> Verdict:
        """What an answer to an event means."""
        ...

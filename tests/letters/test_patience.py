"""A schema that has to be fetched is waited for, within a bound."""

import asyncio
from collections.abc import Iterator

import pytest

from relay.core.events import EventType, PlayerEvent, Record, Said, SessionKey
from relay.errors import Unreachable
from relay.input.decoding import Awaited
from relay.letters.patience import patient

RECORD = Record(1, key=b"anna", value=b"{}")
PING = PlayerEvent(EventType.PING, 1, 2)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that does not run by itself."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_what_is_awaited_is_read_when_it_has_come(loop: asyncio.AbstractEventLoop) -> None:
    """The answer comes on the loop, which runs while somebody waits for it."""
    answers: list[str] = []

    def read(_: Record) -> tuple[SessionKey, Said]:
        if not answers:
            loop.call_later(0.03, lambda: answers.append("a schema"))
            raise Awaited
        return SessionKey("anna"), PING

    assert patient(read, loop)(RECORD) == ("anna", PING)


def test_who_never_answers_is_not_waited_for(loop: asyncio.AbstractEventLoop) -> None:
    """The command ends and says what to check."""

    def read(_: Record) -> tuple[SessionKey, Said]:
        raise Awaited

    with pytest.raises(Unreachable, match="SCHEMA_REGISTRY"):
        patient(read, loop, seconds_max=0.0)(RECORD)

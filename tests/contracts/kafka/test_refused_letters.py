"""Dead letters that Kafka refuses, with a producer that says so on request: what no embedded broker does, and no real one at will."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError

from relay.core.events import Record
from relay.core.reasons import Reason
from relay.kafka import dead_letters
from relay.kafka.dead_letters import DeadLetter, DeadLetters

REFUSALS = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError._UNKNOWN_TOPIC, KafkaError.MSG_SIZE_TOO_LARGE, KafkaError._MSG_TIMED_OUT)


class RefusingProducer:
    """Stands where the library's producer would; the first letters are refused."""

    code = KafkaError.TOPIC_AUTHORIZATION_FAILED
    refusals_left = 0
    taken: list[bytes]

    def __init__(self, _properties: dict[str, Any]) -> None:
        """Begin with nothing."""
        self._reports: list[Callable[[], None]] = []

    def produce(self, _topic: str, *, value: bytes, key: bytes, headers: object, on_delivery: Callable[..., None]) -> None:  # noqa: ARG002
        """Take a letter, and report it at the next poll."""
        error = None
        if RefusingProducer.refusals_left:
            RefusingProducer.refusals_left -= 1
            error = KafkaError(self.code)
        else:
            RefusingProducer.taken.append(value)
        self._reports.append(lambda: on_delivery(error, None))

    def poll(self, _seconds: float) -> None:
        """Report."""
        reports, self._reports = self._reports, []
        for report in reports:
            report()

    def purge(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("code", REFUSALS)
def test_a_letter_that_is_refused_is_not_stored(code: int, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not authorised, no topic, too large, too late: nobody hears that it is stored before it is, and it is tried until then."""
    monkeypatch.setattr(dead_letters, "Producer", RefusingProducer)
    monkeypatch.setattr(dead_letters, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(RefusingProducer, "code", code)
    monkeypatch.setattr(RefusingProducer, "refusals_left", 5)
    monkeypatch.setattr(RefusingProducer, "taken", [], raising=False)
    stored: list[bytes] = []

    async def scenario() -> None:
        letters = DeadLetters(bootstrap_servers="nowhere:1", topic="t", version="1", loop=asyncio.get_running_loop())

        def store(value: bytes) -> None:
            assert value in RefusingProducer.taken, "said to be stored, and is not"
            stored.append(value)

        for number in range(3):
            value = b"%d" % number
            record = Record(number, key=b"session", value=value)
            letters.put(DeadLetter("player-events", 0, record, Reason.NOT_JSON), lambda value=value: store(value))
        assert await letters.flush(10)
        assert not letters.is_failing
        letters.close()

    run(scenario())
    assert stored == [b"0", b"1", b"2"]
    assert RefusingProducer.refusals_left == 0

"""Topics before anything is read: on either Kafka what both do, on a real one what needs an administrator."""

import asyncio
import logging
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from relay.errors import SettingsError, TopicError, Unreachable
from relay.kafka.source import Source
from relay.kafka.topics import OwnTopic, Topics, dead_letter_topic, ensure_topics


def test_sources_are_found(kafka: Any, run: Any) -> None:
    """The topics to read are found by name and by pattern, with their numbers of partitions."""
    topic = kafka.new_topic()

    async def scenario() -> None:
        found = await ensure_topics(bootstrap_servers=kafka.bootstrap, topics=[topic], own=[], may_create=False)
        assert found == {topic: 4}
        found = await ensure_topics(bootstrap_servers=kafka.bootstrap, topics=[f"^{topic[:-1]}.$"], own=[], may_create=False)
        assert found[topic] == 4

    run(scenario())


def test_the_embedded_broker_is_not_asked_for_more(kafka: Any, run: Any) -> None:
    """Where nobody may administer, topics of our own are not looked at."""
    topic = kafka.new_topic()

    async def scenario() -> None:
        found = await ensure_topics(
            bootstrap_servers=kafka.bootstrap, topics=[topic], own=[dead_letter_topic(kafka.name())], may_create=True, can_administer=False
        )
        assert found == {topic: 4}

    run(scenario())


@pytest.mark.timeout(20)
def test_a_creation_can_be_given_up(run: Any) -> None:
    """Whoever is stopped while a topic is created leaves at once: no thread goes on waiting for an answer that may never come."""

    class SilentAdmin:
        """Takes the request and never answers."""

        def list_topics(self, timeout: float) -> Any:
            """Nothing is there."""
            assert timeout
            return SimpleNamespace(topics={})

        def create_topics(self, topics: list[Any], **_limits: float) -> dict[str, Future[None]]:
            """As the library does it: the future is running already."""
            future: Future[None] = Future()
            future.set_running_or_notify_cancel()
            return {topics[0].topic: future}

    async def scenario() -> None:
        topics: Any = Topics(bootstrap_servers="127.0.0.1:1")
        topics._admin = SilentAdmin()
        creating = asyncio.ensure_future(topics.ensure(dead_letter_topic("letters"), partitions_wanted=1, may_create=True))
        await asyncio.wait({creating}, timeout=0.2)
        creating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await creating

    run(scenario())


@pytest.mark.kafka
def test_a_missing_source_is_waited_for(broker: Any, run: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A source topic that is missing is waited for, and the log says what to do."""
    topic = broker.name()

    async def scenario() -> None:
        looking = asyncio.ensure_future(ensure_topics(bootstrap_servers=broker.bootstrap, topics=[topic], own=[], may_create=True))
        while not any(record.message.startswith("source topic missing") for record in caplog.records):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        broker.create(topic, 3)
        assert await looking == {topic: 3}

    run(scenario())


@pytest.mark.kafka
def test_our_own_topic_is_created(broker: Any, run: Any) -> None:
    """The topic of dead letters gets as many partitions as the source and takes large letters; the second time it is found."""
    topic, own = broker.new_topic(6), dead_letter_topic(broker.name())

    async def scenario() -> None:
        for _ in range(2):
            await ensure_topics(bootstrap_servers=broker.bootstrap, topics=[topic], own=[own], may_create=True)

    run(scenario())
    assert len(broker.admin.list_topics(own.name, timeout=10).topics[own.name].partitions) == 6
    broker.produce(own.name, b"x" * (11 * 2**20))
    broker.flush()
    assert len(broker.read(own.name, 1)[0].value()) == 11 * 2**20


@pytest.mark.kafka
def test_a_missing_topic_that_we_may_not_create_stops_the_start(broker: Any, run: Any) -> None:
    """Without the right to create, the message holds the command that creates it."""
    topic, own = broker.new_topic(2), dead_letter_topic(broker.name())

    async def scenario() -> None:
        await ensure_topics(bootstrap_servers=broker.bootstrap, topics=[topic], own=[own], may_create=False)

    with pytest.raises(TopicError) as caught:
        run(scenario())
    assert f"--create --topic {own.name} --partitions 2 --config max.message.bytes=12582912" in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.kafka
def test_a_topic_that_takes_only_small_letters_is_warned_of(broker: Any, run: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A topic of dead letters with a lower limit is used, and the log says how to raise it."""
    topic, own = broker.new_topic(2), dead_letter_topic(broker.new_topic(1, max_message_bytes="1000000"))

    async def scenario() -> None:
        await ensure_topics(bootstrap_servers=broker.bootstrap, topics=[topic], own=[own], may_create=True)

    with caplog.at_level(logging.WARNING):
        run(scenario())
    [warning] = [record for record in caplog.records if record.message == "the topic is not as it should be"]
    assert "--add-config max.message.bytes=12582912" in warning.advice


@pytest.mark.kafka
def test_a_topic_of_no_use_stops_the_start(broker: Any, run: Any) -> None:
    """A topic that must be compacted and is not, or has another number of partitions, is refused with what to do."""
    topic, name = broker.new_topic(2), broker.new_topic(2)

    async def look(partitions: int) -> None:
        own = OwnTopic(name, config={"cleanup.policy": "compact"}, must=("cleanup.policy",), partitions=partitions)
        await ensure_topics(bootstrap_servers=broker.bootstrap, topics=[topic], own=[own], may_create=True)

    with pytest.raises(TopicError, match=r"has cleanup\.policy=delete and needs compact; alter it: kafka-configs\.sh"):
        run(look(2))
    with pytest.raises(TopicError, match=r"has 2 partitions and needs 3"):
        run(look(3))


def test_a_broker_that_does_not_answer_stops_the_start(run: Any) -> None:
    """After a bounded wait the start ends, and the message names the address and what to check."""

    async def scenario() -> None:
        await ensure_topics(bootstrap_servers="127.0.0.1:1", topics=["t"], own=[], may_create=True, unreachable_after_seconds=0.5)

    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1 does not answer.*RELAY_KAFKA__BOOTSTRAP_SERVERS") as caught:
        run(scenario())
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("client", "protocol", "said"),
    [
        ({"enable.auto.commit": True}, "classic", "leave out enable.auto.commit"),
        ({"auto.offset.reset": "latest"}, "classic", "leave out auto.offset.reset"),
        ({"partition.assignment.strategy": "range"}, "classic", "leave out partition.assignment.strategy"),
        ({"session.timeout.ms": 9000}, "consumer", "leave out session.timeout.ms: with RELAY_KAFKA__GROUP_PROTOCOL=consumer"),
        ({"no.such.property": 1}, "classic", "no.such.property"),
    ],
)
def test_a_property_that_breaks_a_promise_is_refused(client: dict[str, Any], protocol: Any, said: str, run: Any) -> None:
    """What delivery rests on cannot be set by the operator, and what the client does not know is named."""

    async def scenario() -> None:
        source = Source(
            bootstrap_servers="127.0.0.1:1", topics=["t"], group_id="g", deliver=lambda _: None, group_protocol=protocol, client=client
        )
        source.start()

    with pytest.raises(SettingsError, match="RELAY_KAFKA__CLIENT") as caught:
        run(scenario())
    assert said in str(caught.value)

"""What Kafka does not let the source do is known while it lasts, and no longer, although the client says so only once."""

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from relay.kafka.hindrances import ASK_SECONDS, STRAGGLERS_SECONDS, Hindrances

PLACE = ("events", 0)
NOT_ALLOWED = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)


class Brokers:
    """Answers where logs end, or refuses to."""

    def __init__(self, end: int = 10) -> None:
        """Let the log end there."""
        self.end = end
        self.error: KafkaError | None = None
        self.topics: dict[str, Any] = {}
        self.asked = 0

    def offsets_for_times(self, places: list[TopicPartition], timeout: float) -> list[Any]:
        """Where the logs end."""
        assert timeout
        self.asked += 1
        if self.error is not None:
            raise KafkaException(self.error)
        return [SimpleNamespace(topic=one.topic, partition=one.partition, offset=self.end, error=None) for one in places]

    def list_topics(self, topic: str, timeout: float) -> Any:
        """What is known of a topic."""
        assert topic
        assert timeout
        return SimpleNamespace(topics=self.topics)


def refused(error: KafkaError = NOT_ALLOWED, topic: str | None = "events") -> Hindrances:
    """Hindrances after a refusal at 0."""
    hindrances = Hindrances()
    hindrances.refused(error, topic, 0.0)
    return hindrances


def test_a_refusal_is_told_with_what_to_do() -> None:
    """As soon as the client has heard of it."""
    assert not Hindrances().words
    words = refused().words
    assert "Topic authorization failed" in words
    assert "grant" in words


def test_a_topic_is_hindered_until_its_records_come() -> None:
    """Those that come within a moment had been fetched before, and say nothing."""
    hindrances = refused()
    hindrances.came({"events"}, STRAGGLERS_SECONDS / 2)
    assert hindrances.words
    hindrances.came({"others"}, 2 * STRAGGLERS_SECONDS)
    assert hindrances.words
    hindrances.came({"events"}, 2 * STRAGGLERS_SECONDS)
    assert not hindrances.words


def test_a_topic_with_nothing_to_read_hinders_nobody() -> None:
    """Rights that were given back are not told; but as soon as there is something that does not come, it is told again."""
    hindrances, brokers = refused(), Brokers(end=10)
    hindrances.look(brokers, {PLACE: 10}, [PLACE], 0.0)  # type: ignore[arg-type]
    assert not hindrances.words
    brokers.end = 11
    hindrances.look(brokers, {PLACE: 10}, [PLACE], ASK_SECONDS / 2)  # type: ignore[arg-type]
    assert brokers.asked == 1, "brokers are asked seldom"
    hindrances.look(brokers, {PLACE: 10}, [PLACE], ASK_SECONDS)  # type: ignore[arg-type]
    assert hindrances.words


def test_a_topic_of_which_nothing_is_told_is_hindered() -> None:
    """Without the right to describe it, or without brokers, nobody knows whether there is something to read."""
    hindrances, brokers = refused(), Brokers()
    brokers.error = NOT_ALLOWED
    hindrances.look(brokers, {PLACE: 10}, [PLACE], 0.0)  # type: ignore[arg-type]
    assert hindrances.words


@pytest.mark.parametrize(
    ("topics", "is_hindered"),
    [({}, True), ({"events": SimpleNamespace(error=NOT_ALLOWED)}, True), ({"events": SimpleNamespace(error=None)}, False)],
)
def test_a_topic_that_is_not_ours_hinders_while_it_is_not_there(topics: dict[str, Any], *, is_hindered: bool) -> None:
    """A topic that was deleted is missed; one that was created again may be all another relay's."""
    hindrances, brokers = refused(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)), Brokers()
    brokers.topics = topics
    hindrances.look(brokers, {}, [], 0.0)  # type: ignore[arg-type]
    assert bool(hindrances.words) == is_hindered


def test_the_group_hinders_until_it_serves() -> None:
    """A refused commit or join, and then partitions or a commit that was taken."""
    hindrances = refused(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED), None)
    assert "Group authorization failed" in hindrances.words
    hindrances.came({"events"}, 10.0)
    assert hindrances.words
    hindrances.served()
    assert not hindrances.words


def test_what_passes_by_itself_is_no_hindrance() -> None:
    """A coordinator that moves is nothing for operators."""
    assert not refused(KafkaError(KafkaError.NOT_COORDINATOR), None).words
    assert not refused(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)).words

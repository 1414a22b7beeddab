"""What the source commits, and what it must not, on either Kafka."""

from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from relay.kafka import member
from relay.kafka.source import CommitFailed, CommitPoint, Committed, PartitionsLeaving


def test_a_commit_is_where_the_group_goes_on(kafka: Any, listening: Any, run: Any) -> None:
    """Offset and text are stored, come back with the next assignment, and the reading starts there."""
    topic, group = kafka.new_topic(), kafka.name()
    kafka.fill(topic, 20)
    point = CommitPoint(topic, 1, 7, "r" + "A" * 4000)

    async def first() -> None:
        async with listening(kafka, topic, group) as listener:
            await listener.until(lambda: listener.count >= 80, "all records are read")
            assert all(position.offset is None and position.metadata == "" for position in listener.assigned.values())
            listener.source.commit([point])
            await listener.until(lambda: bool(listener.all(Committed)), "the commit is confirmed")
            assert listener.all(Committed) == [Committed([point])]

    async def second() -> None:
        async with listening(kafka, topic, group) as listener:
            await listener.until(lambda: listener.count >= 73, "the rest is read")
            assert listener.assigned[topic, 1].offset == 7
            assert listener.assigned[topic, 1].metadata == point.metadata
            assert listener.assigned[topic, 0].offset is None
            assert listener.offsets((topic, 1)) == list(range(7, 20))
            assert listener.offsets((topic, 0)) == list(range(20))

    run(first())
    run(second())


@pytest.mark.parametrize("question", ["committed", "offsets_for_times"])
def test_without_an_answer_the_client_finds_the_place_itself(kafka: Any, listening: Any, run: Any, monkeypatch: Any, question: str) -> None:
    """What was committed is not read again because Kafka did not say where that was, and what was not is not left out."""
    topic, group = kafka.new_topic(), kafka.name()
    kafka.fill(topic, 20)

    def is_not_answered(*_: Any, **__: Any) -> None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    async def scenario() -> None:
        async with listening(kafka, topic, group) as listener:
            await listener.until(lambda: listener.count >= 80, "everything is read")
            listener.source.commit([CommitPoint(topic, 1, 7)])
            await listener.until(lambda: bool(listener.all(Committed)), "it is committed")
        monkeypatch.setattr(member, "Consumer", type("Unanswered", (Consumer,), {question: is_not_answered}))
        async with listening(kafka, topic, group) as listener:
            await listener.until(lambda: listener.count >= 73, "what was not committed is read")
            assert listener.assigned[topic, 1].offset == (None if question == "committed" else 7)
            assert listener.offsets((topic, 1)) == list(range(7, 20))
            assert all(listener.offsets((topic, partition)) == list(range(20)) for partition in (0, 2, 3))

    run(scenario())


def test_what_is_not_ours_is_not_committed(kafka: Any, listening: Any, run: Any) -> None:
    """A commit for a partition that is not assigned is answered and leaves Kafka as it was."""
    topic, other, group = kafka.new_topic(), kafka.new_topic(), kafka.name()

    async def scenario() -> None:
        async with listening(kafka, topic, group) as listener:
            await listener.until(lambda: len(listener.assigned) == 4, "partitions are assigned")
            listener.source.commit([CommitPoint(other, 0, 5)])
            await listener.until(lambda: listener.all(Committed) == [Committed([])], "the commit is answered")
            listener.source.commit([CommitPoint(other, 0, 5), CommitPoint(topic, 0, 3)])
            await listener.until(lambda: len(listener.all(Committed)) == 2, "the second is answered")
            assert listener.all(Committed)[-1] == Committed([CommitPoint(topic, 0, 3)])
            assert listener.all(CommitFailed) == []

    run(scenario())
    assert kafka.committed(group, other)[0] < 0
    assert kafka.committed(group, topic)[0] == 3


def test_leaving_commits_what_the_pump_says(kafka: Any, listening: Any, run: Any) -> None:
    """A source that closes asks what to commit, commits it, and only then leaves."""
    topic, group = kafka.new_topic(), kafka.name()
    kafka.fill(topic, 10)

    async def scenario() -> None:
        async with listening(kafka, topic, group) as listener:
            listener.points = lambda places: [CommitPoint(topic, partition, 4, f"p{partition}") for _, partition in places]
            await listener.until(lambda: listener.count >= 40, "all records are read")
        assert [sorted(one.partitions) for one in listener.all(PartitionsLeaving)] == [[(topic, partition) for partition in range(4)]]

    run(scenario())
    assert [kafka.committed(group, topic, partition) for partition in range(4)] == [(4, f"p{partition}") for partition in range(4)]


def test_leaving_does_not_wait_for_ever(kafka: Any, listening: Any, run: Any) -> None:
    """A pump that never replies is not waited for beyond the bound, and nothing is committed in its name."""
    topic, group = kafka.new_topic(), kafka.name()

    async def scenario() -> None:
        def say_nothing(listener: Any) -> None:
            listener.must_reply = False

        async with listening(kafka, topic, group, prepare=say_nothing, revoke_seconds_max=0.1) as listener:
            await listener.until(lambda: len(listener.assigned) == 4, "partitions are assigned")
        assert len(listener.all(PartitionsLeaving)) == 1

    run(scenario())
    assert kafka.committed(group, topic)[0] < 0


def test_the_lag_is_what_is_not_committed(kafka: Any, listening: Any, run: Any) -> None:
    """The lag of a partition is the number of offsets between the committed one and the end, which is known, too."""
    topic, group = kafka.new_topic(), kafka.name()
    kafka.fill(topic, 30)

    async def scenario() -> None:
        async with listening(kafka, topic, group) as listener:
            await listener.until(lambda: listener.source.lag() == {(topic, partition): 30 for partition in range(4)}, "all are left")
            assert listener.source.ends() == {(topic, partition): 30 for partition in range(4)}
            listener.source.commit([CommitPoint(topic, 2, 30)])
            await listener.until(lambda: listener.source.lag().get((topic, 2)) == 0, "none are left")
            assert listener.source.lag()[topic, 0] == 30

    run(scenario())

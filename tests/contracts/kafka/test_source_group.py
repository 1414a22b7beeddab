"""Several members of one group, and a log with gaps: on a real broker only, the embedded one does not do these."""

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition

from relay.errors import FatalConsumerError
from relay.kafka import member
from relay.kafka.source import CommitPoint, Committed, PartitionsLeaving, PartitionsLost, SourceFailed

pytestmark = pytest.mark.kafka

protocols = pytest.mark.parametrize("protocol", ["classic", "consumer"])


@protocols
def test_a_second_member_joins_and_leaves(broker: Any, listening: Any, run: Any, protocol: Any) -> None:
    """Partitions that move are committed by the one and begun there by the other; those that stay go on without a break."""
    topic, group = broker.new_topic(), broker.name()
    broker.fill(topic, 100)

    async def scenario() -> None:
        async with listening(broker, topic, group, group_protocol=protocol) as one:
            one.points = lambda places: [CommitPoint(topic, partition, 40, "moved") for _, partition in places]
            await one.until(lambda: one.count >= 400, "the first reads everything")
            async with listening(broker, topic, group, group_protocol=protocol) as two:
                await two.until(lambda: len(two.assigned) == 2, "the second has its half")
                moved = set(two.assigned)
                assert set(one.assigned) | moved == {(topic, partition) for partition in range(4)}
                assert all((position.offset, position.metadata) == (40, "moved") for position in two.assigned.values())
                await two.until(lambda: two.count >= 120, "the second reads what was not committed")
                assert all(two.offsets(place) == list(range(40, 100)) for place in moved)
                broker.fill(topic, 10, start=100)
                await one.until(lambda: one.count >= 420, "the first goes on")
                await two.until(lambda: two.count >= 140, "so does the second")
                two.points = lambda places: [CommitPoint(topic, partition, 110, "back") for _, partition in places]
            await one.until(lambda: len(one.assigned) == 4, "everything is with the first again")
            assert all(one.assigned[place].metadata == "back" for place in moved)
            broker.fill(topic, 1, start=110)
            await one.until(lambda: all(one.offsets((topic, partition))[-1] == 110 for partition in range(4)), "the last ones are read")
            assert all(one.offsets(place) == [*range(100), 110] for place in moved)
        assert one.all(PartitionsLost) == []

    run(scenario())


@pytest.mark.timeout(180)
def test_fifty_rebalances_without_traffic(broker: Any, listening: Any, run: Any) -> None:
    """A member comes and goes 25 times, and nothing is said: what was committed stays to the letter, and where nothing was, nothing is."""
    topic, group = broker.new_topic(), broker.name()
    broker.fill(topic, 10, partitions=3)
    last = [CommitPoint(topic, partition, 10, f"receipt {partition}") for partition in range(3)]

    async def scenario() -> None:
        async with listening(broker, topic, group) as one:
            await one.until(lambda: one.count >= 30, "everything is read")
            one.source.commit(last)
            await one.until(lambda: bool(one.all(Committed)), "it is committed")
            for number in range(25):
                async with listening(broker, topic, group) as two:
                    await two.until(lambda: len(two.assigned) == 2, f"member {number} has its half")
                    for (_, partition), position in two.assigned.items():
                        expected = (None, "") if partition == 3 else (10, f"receipt {partition}")
                        assert (position.offset, position.metadata) == expected
                    assert two.count == 0
                await one.until(lambda: len(one.assigned) == 4, f"member {number} has left")
            assert one.count == 30
            assert len(one.all(PartitionsLeaving)) >= 25
            assert one.all(PartitionsLost) == []

    run(scenario())
    for point in last:
        assert broker.committed(group, topic, point.partition) == (point.offset, point.metadata)
    assert broker.committed(group, topic, 3)[0] < 0


@protocols
def test_a_revoke_waits_for_the_reply(broker: Any, listening: Any, run: Any, protocol: Any) -> None:
    """The other member gets nothing before the reply is given and committed; commits asked for meanwhile do not undo it."""
    topic, group = broker.new_topic(), broker.name()
    broker.fill(topic, 10)

    async def scenario() -> None:
        def say_nothing(listener: Any) -> None:
            listener.must_reply = False

        async with listening(broker, topic, group, group_protocol=protocol, prepare=say_nothing) as one:
            await one.until(lambda: one.count >= 40, "the first reads everything")
            async with listening(broker, topic, group, group_protocol=protocol) as two:
                await one.until(lambda: bool(one.all(PartitionsLeaving)), "partitions are about to leave")
                leaving = one.all(PartitionsLeaving)[0]
                one.source.commit([CommitPoint(*place, 3) for place in leaving.partitions])  # overtaken by the reply
                await asyncio.sleep(0.5)
                assert two.assigned == {}
                leaving.reply([CommitPoint(*place, 9) for place in leaving.partitions])
                one.must_reply = True
                await two.until(lambda: len(two.assigned) == 2, "the second has its half")
                assert all(position.offset == 9 for position in two.assigned.values())
                await one.until(lambda: one.all(Committed) == [Committed([])], "the late commit is answered")
        for _, partition in leaving.partitions:
            assert broker.committed(group, topic, partition)[0] == 9

    run(scenario())


@protocols
def test_a_paused_partition_flows_when_it_comes_back(broker: Any, listening: Any, run: Any, protocol: Any, monkeypatch: Any) -> None:
    """A pause does not outlive the assignment, nor does a partition that comes while everything stands still slip through."""
    monkeypatch.setattr(member, "PATIENCE_SECONDS", 1.0)  # of the client's pause this is, not of the records before it
    topic, group = broker.new_topic(), broker.name()
    broker.fill(topic, 10)

    async def scenario() -> None:
        async with listening(broker, topic, group, group_protocol=protocol) as one:
            await one.until(lambda: one.count >= 40, "the first reads everything")
            one.source.pause()
            started = one.source.last_poll_at
            await one.until(lambda: one.source.last_poll_at > started + 1.2, "it is paused at the client")
            async with listening(broker, topic, group, group_protocol=protocol) as two:
                two.points = lambda places: [CommitPoint(*place, 10) for place in places]
                await two.until(lambda: two.count >= 20, "the second reads its half")
                broker.fill(topic, 1, start=10)
                await two.until(lambda: two.count >= 22, "and what is new in it")
            await one.until(lambda: len(one.assigned) == 4, "everything is with the first again")
            assert one.count == 40
            one.source.resume()
            await one.until(lambda: one.count >= 44, "what is new is read")
            assert all(one.offsets((topic, partition)) == [*range(10), 10] for partition in range(4))

    run(scenario())


def test_a_fenced_member_says_so(broker: Any, listening: Any, run: Any) -> None:
    """When another member takes its name, the source loses everything, commits nothing, and says what to check."""
    topic, group = broker.new_topic(), broker.name()

    async def scenario() -> None:
        async with listening(broker, topic, group, group_instance_id="one") as old:
            old.points = lambda places: [CommitPoint(*place, 1) for place in places]
            await old.until(lambda: len(old.assigned) == 4, "the first has everything")
            async with listening(broker, topic, group, group_instance_id="one") as new:
                await new.until(lambda: len(new.assigned) == 4, "the second has everything")
                await old.until(lambda: bool(old.all(SourceFailed)), "the first is told")
                error = old.all(SourceFailed)[0].error
                assert isinstance(error, FatalConsumerError)
                assert error.exit_code == 5
                assert "RELAY_KAFKA__GROUP_INSTANCE_ID" in str(error)
                assert len(old.all(PartitionsLost)[0].partitions) == 4
                assert old.all(PartitionsLeaving) == []
        assert broker.committed(group, topic)[0] < 0

    run(scenario())


HOLD_A_NAME = """
import sys
from confluent_kafka import Consumer
bootstrap, topic, group = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "group.protocol": "consumer", "group.instance.id": "one"})
consumer.subscribe([topic])
while not consumer.assignment():
    consumer.poll(0.1)
print("joined", flush=True)
sys.stdin.read()
"""


def test_a_member_waits_for_its_name(broker: Any, listening: Any, run: Any) -> None:
    """With KIP-848 the name of a static member that was killed is held until its session times out: its successor waits, and goes on."""
    topic, group = broker.new_topic(), broker.name()
    broker.fill(topic, 3)
    command = [sys.executable, "-c", HOLD_A_NAME, broker.bootstrap, topic, group]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:  # noqa: S603  # our own words
        assert holder.stdout is not None
        assert holder.stdout.readline() == "joined\n"
        holder.kill()

    async def scenario() -> None:
        async with listening(broker, topic, group, group_protocol="consumer", group_instance_id="one") as heir:
            await heir.until(lambda: heir.count == 12, "everything is read")
            assert heir.all(SourceFailed) == []

    run(scenario())


def test_transactions_leave_gaps(broker: Any, listening: Any, run: Any) -> None:
    """Markers take offsets and aborted records are not shown; what was committed is read in order across both."""
    topic = broker.new_topic(1)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": broker.name(), "retry.backoff.ms": 10})
    producer.init_transactions(20)
    for number in range(6):
        producer.begin_transaction()
        producer.produce(topic, b"%d" % number, partition=0)
        producer.flush(20)
        (producer.abort_transaction if number % 3 == 1 else producer.commit_transaction)(20)

    async def scenario() -> None:
        async with listening(broker, topic, broker.name()) as listener:
            await listener.until(lambda: listener.count >= 4, "what was committed is read")
            assert [(record.offset, record.value) for record in listener.records[topic, 0]] == [(0, b"0"), (4, b"2"), (6, b"3"), (10, b"5")]

    run(scenario())


def test_compaction_leaves_gaps(broker: Any, listening: Any, run: Any) -> None:
    """Records that compaction took away are skipped, the others come in order."""
    topic = broker.new_topic(1, cleanup_policy="compact", segment_ms="100", min_cleanable_dirty_ratio="0.01")
    for number in range(10):
        broker.produce(topic, b"%d" % number, key=b"same" if number < 8 else b"other")
    broker.flush()

    async def scenario() -> None:
        for attempt in range(20):  # the cleaner wakes every second, and never touches the segment that is written
            broker.produce(topic, b"roll", key=b"roll")
            broker.flush()
            async with listening(broker, topic, broker.name()) as listener:
                await listener.until(
                    lambda attempt=attempt, found=listener: found.count and found.offsets((topic, 0))[-1] >= 10 + attempt, "the end"
                )
                offsets = listener.offsets((topic, 0))
            assert offsets == sorted(set(offsets))
            if not {0, 1, 2} & set(offsets):
                assert {7, 9} <= set(offsets)
                return
            await asyncio.sleep(0.5)
        pytest.fail("nothing was compacted")

    run(scenario())


def test_records_deleted_under_us(broker: Any, listening: Any, run: Any) -> None:
    """A group whose committed offset is gone goes on at the earliest record that is left."""
    topic, group = broker.new_topic(1), broker.name()
    broker.fill(topic, 50, 1)

    async def commit() -> None:
        async with listening(broker, topic, group) as listener:
            listener.points = lambda places: [CommitPoint(*place, 10) for place in places]
            await listener.until(lambda: listener.count >= 50, "all records are read")

    async def go_on() -> None:
        async with listening(broker, topic, group) as listener:
            await listener.until(lambda: listener.count >= 20, "what is left is read")
            assert listener.assigned[topic, 0].offset == 10
            assert listener.offsets((topic, 0)) == list(range(30, 50))

    run(commit())
    next(iter(broker.admin.delete_records([TopicPartition(topic, 0, 30)]).values())).result(20)
    run(go_on())


def test_a_topic_that_comes_later(broker: Any, listening: Any, run: Any, caplog: Any) -> None:
    """A source topic that is missing is logged once, with what to do, and read as soon as it is there."""
    topic = broker.name()

    async def scenario() -> None:
        async with listening(broker, topic, broker.name()) as listener:
            await listener.until(lambda: any(record.message == "cannot read for now" for record in caplog.records), "it is logged")
            broker.create(topic)
            broker.fill(topic, 5)
            await listener.until(lambda: listener.count >= 20, "it is read", seconds=40)

    run(scenario())
    said = [record for record in caplog.records if record.message == "cannot read for now"]
    assert len(said) == 1
    assert "create the topic" in said[0].advice


@protocols
def test_a_topic_that_is_created_again(broker: Any, listening: Any, run: Any, protocol: Any) -> None:
    """When a topic is deleted and created again its partitions are assigned anew, so that equal offsets are not taken for repeats."""
    topic, group = broker.new_topic(2), broker.name()
    broker.fill(topic, 20, 2)

    async def scenario() -> None:
        async with listening(broker, topic, group, group_protocol=protocol) as listener:
            await listener.until(lambda: listener.count >= 40, "all records are read")
            listener.source.commit([CommitPoint(topic, partition, 20) for partition in range(2)])
            await listener.until(lambda: bool(listener.all(Committed)), "they are committed")
            broker.admin.delete_topics([topic])[topic].result(20)
            broker.create(topic, 2)
            broker.fill(topic, 3, 2)
            for partition in range(2):
                await listener.until(
                    lambda one=partition: listener.offsets((topic, one))[20:][-3:] == [0, 1, 2], "the new records", seconds=40
                )
            ended = [one for one in listener.messages if isinstance(one, PartitionsLost | PartitionsLeaving)]
            assert {place for one in ended for place in one.partitions} == {(topic, 0), (topic, 1)}
            listener.source.commit([CommitPoint(topic, partition, 3) for partition in range(2)])
            await listener.until(lambda: sum(len(one.points) for one in listener.all(Committed)) >= 4, "the new ones are committed")
            broker.fill(topic, 2, 2, start=3)
            for partition in range(2):
                await listener.until(lambda one=partition: listener.offsets((topic, one))[-5:] == [0, 1, 2, 3, 4], "and it goes on")
        assert [broker.committed(group, topic, partition)[0] for partition in range(2)] == [3, 3]

    run(scenario())

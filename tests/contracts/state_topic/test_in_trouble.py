"""What a real broker puts the state topic through: compaction, restarts, a topic that is gone, gaps in the log."""

import asyncio
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition

pytestmark = pytest.mark.kafka

SCRIPT = Path(__file__).parents[2] / "kafka" / "kafka.sh"


def broker_command(*words: str) -> None:
    """Do something to the broker of the whole run."""
    environment = {**os.environ, "KAFKA_INSTANCE": f"tests-{os.getpid()}"}
    subprocess.run([SCRIPT, *words], env=environment, check=True, capture_output=True)  # noqa: S603  # our own


def test_compaction_bounds_the_topic(real: Any, opened: Any, memoir: Any, run: Any) -> None:
    """Old memoirs and sessions that are over disappear from the log; what is left is restored as before."""
    topic = real.new_topic(segment_ms="100", min_cleanable_dirty_ratio="0.01", delete_retention_ms="0")

    async def scenario() -> None:
        async with opened(real, topic) as keeper:
            for number in range(1000):
                keeper.write(f"player-{number % 10}", memoir(number))
            keeper.write("player-0", None)
            await keeper.written()
            deadline = time.monotonic() + 40
            while len(await asyncio.to_thread(real.records, topic)) > 50:
                assert time.monotonic() < deadline, "the log is not compacted"
                keeper.write("player-1", memoir(2000))  # a segment is closed only when something is written
                await keeper.written()
                await asyncio.sleep(0.2)
            found = await keeper.restored()
            assert set(found) == {f"player-{number}" for number in range(1, 10)}
            assert found["player-9"].at == 999

    run(scenario())


def test_eight_partitions_at_once(real: Any, opened: Any, memoir: Any, run: Any) -> None:
    """All partitions are read together, each is done once, and every session is found in its own."""
    topic = real.new_topic(8)

    async def scenario() -> None:
        async with opened(real, topic) as former:
            for number in range(8000):
                former.write(f"player-{number}", memoir(number), partition=number % 8)
            for partition in range(8):
                await former.written(partition=partition)
        async with opened(real, topic) as later:
            assert len(await later.restored(*range(8))) == 8000

    run(scenario())


def test_gaps_in_the_log_are_no_obstacle(real: Any, opened: Any, memoir: Any, run: Any) -> None:
    """Records deleted at the beginning and markers of transactions at the end: the rest is restored."""
    topic = real.new_topic(cleanup_policy="compact,delete")

    async def scenario() -> None:
        async with opened(real, topic) as keeper:
            for number in range(10):
                keeper.write(f"player-{number}", memoir(number))
            await keeper.written()
            deleted = real.admin.delete_records([TopicPartition(topic, 0, 7)])
            await asyncio.to_thread(next(iter(deleted.values())).result, 20)
            producer = Producer({"bootstrap.servers": real.bootstrap, "transactional.id": topic})
            producer.init_transactions(20)
            producer.begin_transaction()
            producer.produce(topic, key=b"in-a-transaction", value=memoir(20), partition=0)
            producer.commit_transaction(20)
            producer.close()
            assert set(await keeper.restored()) == {"player-7", "player-8", "player-9", "in-a-transaction"}

    run(scenario())


def test_a_topic_that_is_gone_is_waited_for(real: Any, opened: Any, memoir: Any, run: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The log says that memoirs cannot be written, and what to do; once the topic is there again the latest ones are written."""
    topic = real.new_topic()

    async def scenario() -> None:
        async with opened(real, topic) as keeper:
            keeper.write("player", memoir(1))
            await keeper.written()
            await asyncio.to_thread(real.delete, topic)
            keeper.write("player", memoir(2))
            await keeper.until(lambda: "create the state topic" in keeper.state.failure, "the failure is noticed")
            assert keeper.state.is_failing
            keeper.write("player", memoir(3))
            keeper.write("other", memoir(4))
            waiting = asyncio.create_task(keeper.written())
            restoring = asyncio.create_task(keeper.restored(1))
            await asyncio.to_thread(real.create, topic)
            await waiting
            assert await restoring == {}
            assert not keeper.state.is_failing
            assert {key: one.at for key, one in (await keeper.restored()).items()} == {"player": 3, "other": 4}

    run(scenario())
    assert "memoirs are written again" in caplog.text


def test_a_memoir_that_is_too_large_holds_up_no_other(real: Any, opened: Any, memoir: Any, run: Any) -> None:
    """It is refused and said to be; others of its partition are written meanwhile."""
    topic = real.new_topic(max_message_bytes="100000")

    async def scenario() -> None:
        async with opened(real, topic) as keeper:
            keeper.write("large", memoir(1) + b" " * 200_000)
            await keeper.until(lambda: keeper.state.is_failing, "the failure is noticed")
            assert "max.message.bytes" in keeper.state.failure
            for number in range(300):
                keeper.write(f"player-{number}", memoir(number))
            await keeper.until(lambda: set(keeper.state._outboxes["source", 0].backlog) <= {"large"}, "the others are written")
            keeper.write("large", memoir(2))  # the session went on, and its memoir is smaller
            await keeper.written()
            assert not keeper.state.is_failing
            async with opened(real, topic) as reader:
                assert len(await reader.restored()) == 301

    run(scenario())


def test_a_broker_that_restarts_loses_nothing(real: Any, opened: Any, memoir: Any, run: Any) -> None:
    """Writes and readings that were under way when the broker was killed go on when it is back."""
    topic = real.new_topic()

    async def scenario() -> None:
        async with opened(real, topic) as keeper:
            for number in range(2000):
                keeper.write(f"player-{number}", memoir(number))
            await keeper.written()
            await asyncio.to_thread(broker_command, "kill", "1")
            for number in range(2000):
                keeper.write(f"player-{number}", memoir(5000 + number))
            async with opened(real, topic) as reader:
                restoring = asyncio.create_task(reader.restored(1, seconds=60))
                booting = asyncio.create_task(asyncio.to_thread(broker_command, "boot", "1"))
                await keeper.written(seconds=60)
                await booting
                assert await restoring == {}
                found = await reader.restored(seconds=60)
                assert {one.at for one in found.values()} == {5000 + number for number in range(2000)}
            await keeper.until(lambda: not keeper.state.is_failing, "nothing fails any more")

    run(scenario())

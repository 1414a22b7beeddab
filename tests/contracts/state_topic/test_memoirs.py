"""What is written is found again, on either Kafka."""

import asyncio
from typing import Any

import pytest

from relay.kafka.state_topic import MemoryState, state_topic_of


def test_sessions_are_found_again(kafka: Any, opened: Any, memoir: Any, run: Any) -> None:
    """A restart finds the latest memoir of each session, in the partition that the session's events have."""
    topic = kafka.new_topic()

    async def scenario() -> None:
        async with opened(kafka, topic) as former:
            for number in range(3000):
                former.write(f"player-{number % 1000}", memoir(number, f"id-{number}"), partition=number % 4)
            for partition in range(4):
                await former.written(partition=partition)
        async with opened(kafka, topic) as later:
            found = await later.restored(0, 1, 2, 3)
            assert {key: one.id for key, one in found.items()} == {
                f"player-{number % 1000}": f"id-{number}" for number in range(2000, 3000)
            }
            third = await later.restored(2)
            assert set(third) == {f"player-{number}" for number in range(2, 1000, 4)}

    run(scenario())


def test_an_empty_partition_is_restored_at_once(kafka: Any, opened: Any, run: Any) -> None:
    """Where nothing was written, nothing is found, and it is done."""
    topic = kafka.new_topic()

    async def scenario() -> None:
        async with opened(kafka, topic) as keeper:
            assert await keeper.restored(0, 1, 2, 3) == {}

    run(scenario())


def test_records_say_who_wrote_them(kafka: Any, opened: Any, memoir: Any, run: Any) -> None:
    """The key is the session's in UTF-8, the value the memoir, a header the group; a tombstone has no value."""
    topic = kafka.new_topic()

    async def scenario() -> None:
        async with opened(kafka, topic) as keeper:
            keeper.write("spiel-ä-1", memoir(1), partition=3)
            keeper.write("spiel-ä-1", None, partition=3)
            await keeper.written(partition=3)
        records = await asyncio.to_thread(kafka.records, topic, 3)
        assert [(one.key(), one.value(), one.headers()) for one in records] == [
            ("spiel-ä-1".encode(), memoir(1), [("relay.group", b"relay")]),
            ("spiel-ä-1".encode(), None, [("relay.group", b"relay")]),
        ]

    run(scenario())


def test_a_tombstone_ends_what_came_before_it(kafka: Any, opened: Any, memoir: Any, run: Any) -> None:
    """A session that is over is not found, one that began again under the same key is."""
    topic = kafka.new_topic()

    async def scenario() -> None:
        async with opened(kafka, topic) as keeper:
            keeper.write("over", memoir(900))
            keeper.write("again", memoir(901))
            keeper.write("over", None)
            keeper.write("again", None)
            keeper.write("again", memoir(12, "second"))
            await keeper.written()
            found = await keeper.restored()
            assert {key: one.id for key, one in found.items()} == {"again": "second"}

    run(scenario())


def test_the_highest_place_in_the_log_wins(kafka: Any, opened: Any, memoir: Any, run: Any) -> None:
    """A former owner that still writes after the new one does no harm."""
    topic = kafka.new_topic()

    async def scenario() -> None:
        async with opened(kafka, topic) as owner, opened(kafka, topic) as zombie:
            owner.write("player", memoir(70, "of-the-owner"))
            await owner.written()
            zombie.write("player", memoir(50, "of-the-zombie"))
            await zombie.written()
            assert (await owner.restored())["player"].id == "of-the-owner"

    run(scenario())


def test_what_is_not_understood_is_skipped(kafka: Any, opened: Any, memoir: Any, run: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Rubbish, a later version, another group's records: counted, logged once per cause, and the rest is restored."""
    topic = kafka.new_topic()
    kafka.put(topic, b"good", memoir(1))
    kafka.put(topic, b"rubbish", b"\x00\xff{")
    kafka.put(topic, b"rubbish-2", b'{"v":1}')
    kafka.put(topic, b"later", memoir(2, version=99))
    kafka.put(topic, b"inconsistent", memoir(2, "not/an/id"))
    kafka.put(topic, b"\xff\xfe", memoir(3))
    takes_keyless = kafka.embedded is not None  # a real broker refuses a record without a key in a compacted topic
    if takes_keyless:
        kafka.put(topic, None, memoir(3))
    kafka.put(topic, b"stranger", memoir(4), group="another")
    kafka.put(topic, b"good", None, group="another")
    kafka.put(topic, b"by-hand", memoir(5), group=None)

    async def scenario() -> None:
        async with opened(kafka, topic) as keeper:
            assert set(await keeper.restored()) == {"good", "by-hand"}
            assert keeper.skipped == {
                "not understood": 2,
                "another version": 1,
                "not consistent": 1,
                "key not understood": 1,
                **({"no key": 1} if takes_keyless else {}),
                "another group": 2,
            }

    run(scenario())
    lines = [record for record in caplog.records if record.message == "memoirs skipped: their sessions are not known"]
    assert len(lines) == 5 + takes_keyless
    assert "stranger" not in caplog.text


def test_who_waits_hears_after_all_that_was_written_before(kafka: Any, opened: Any, memoir: Any, run: Any) -> None:
    """Once `after_written` calls back, another reader finds everything that was written before; later writes are not waited for."""
    topic = kafka.new_topic()

    async def scenario() -> None:
        async with opened(kafka, topic) as keeper, opened(kafka, topic) as reader:
            called: list[int] = []
            for number in range(50):
                keeper.write(f"player-{number}", memoir(number))
                keeper.state.after_written("source", 0, lambda number=number: called.append(number))
            assert called == [], "never called from within"
            await keeper.until(lambda: len(called) == 50, "all have heard")
            assert called == list(range(50))
            assert len(await reader.restored()) == 50

    run(scenario())


def test_who_waits_for_nothing_hears_in_the_next_round(kafka: Any, opened: Any, memoir: Any, run: Any) -> None:
    """A partition of which nothing is under way holds nobody up, even while another one is written."""
    topic = kafka.new_topic()

    async def scenario() -> None:
        async with opened(kafka, topic) as keeper:
            keeper.write("player", memoir(1), partition=1)
            called: list[int] = []
            keeper.state.after_written("source", 0, lambda: called.append(0))
            assert called == []
            await asyncio.sleep(0)
            assert called == [0]
            await keeper.written(partition=1)

    run(scenario())


def test_a_key_that_is_no_valid_text_comes_back_as_it_was(kafka: Any, opened: Any, memoir: Any, run: Any) -> None:
    """Half a surrogate pair in a key, which JSON can carry, is a key like any other."""
    topic = kafka.new_topic()

    async def scenario() -> None:
        async with opened(kafka, topic) as keeper:
            keeper.write("half-\ud83d", memoir(1))
            await keeper.written()
            assert set(await keeper.restored()) == {"half-\ud83d"}

    run(scenario())


def test_restoring_twice_at_once_finds_it_once(kafka: Any, opened: Any, memoir: Any, run: Any) -> None:
    """A partition that is taken and given back while it is read is read anew, and only the later reading is heard of."""
    topic = kafka.new_topic()

    async def scenario() -> None:
        async with opened(kafka, topic) as keeper:
            for number in range(100):
                keeper.write(f"player-{number}", memoir(number))
            await keeper.written()
            heard: list[str] = []
            keeper.state.restore("source", 0, lambda _: heard.append("found"), lambda: heard.append("done"))
            assert len(await keeper.restored()) == 100
            assert heard == []

    run(scenario())


def test_restoring_finds_what_was_under_way(kafka: Any, opened: Any, memoir: Any, run: Any) -> None:
    """A partition that comes back to the same process is read only after what the process still had on its way to it."""
    topic = kafka.new_topic()

    async def scenario() -> None:
        async with opened(kafka, topic) as keeper:
            for number in range(500):
                keeper.write(f"player-{number}", memoir(number))
            assert len(await keeper.restored()) == 500

    run(scenario())


def test_a_partition_let_go_of_is_not_heard_of(kafka: Any, opened: Any, memoir: Any, run: Any) -> None:
    """After `let_go` nothing is found, nothing is done, and others are restored all the same."""
    topic = kafka.new_topic()

    async def scenario() -> None:
        async with opened(kafka, topic) as keeper:
            keeper.write("player", memoir(1), partition=1)
            await keeper.written(partition=1)
            heard: list[str] = []
            keeper.state.restore("source", 0, lambda _: heard.append("found"), lambda: heard.append("done"))
            keeper.state.let_go("source", 0)
            assert len(await keeper.restored(1)) == 1
            assert heard == []
            assert keeper.state.restoring == {}

    run(scenario())


def test_a_queue_that_is_full_keeps_the_latest_of_each(kafka: Any, opened: Any, memoir: Any, run: Any) -> None:
    """When the client has no room, memoirs wait with us, the latest of each session, and none is lost."""
    topic = kafka.new_topic()

    async def scenario() -> None:
        async with opened(kafka, topic, client={"queue.buffering.max.messages": 10}) as keeper:
            for number in range(2000):
                keeper.write(f"player-{number % 100}", memoir(number, f"id-{number}"))
            assert len(keeper.state._outboxes["source", 0].backlog) <= 100
            assert not keeper.state.is_failing
            await keeper.written()
            found = await keeper.restored()
            assert {one.id for one in found.values()} == {f"id-{number}" for number in range(1900, 2000)}

    run(scenario())


def test_a_producer_that_will_never_write_again_is_replaced(
    embedded: Any, opened: Any, memoir: Any, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """After a fatal error a new producer writes what the former one still held, and who waits is called then."""
    topic = embedded.new_topic()
    cluster_authorization_failed, init_producer_id = 31, 22

    async def scenario() -> None:
        embedded.refuse_next(init_producer_id, cluster_authorization_failed)
        async with opened(embedded, topic) as keeper:
            keeper.write("player", memoir(1))
            await keeper.written()
            assert not keeper.state.is_failing
            assert (await keeper.restored())["player"].at == 1

    run(scenario())
    assert "a new producer for memoirs" in caplog.text


def test_each_source_topic_has_its_own_when_there_are_several() -> None:
    """One source topic: the name as it is. Several: one state topic each."""
    assert state_topic_of("relay.sessions", 1)("events") == "relay.sessions"
    assert state_topic_of("relay.sessions", 2)("events") == "relay.sessions.events"


def test_memory_remembers_nothing(run: Any, memoir: Any) -> None:
    """Without a state topic everybody is called at once, and nothing is found."""

    async def scenario() -> None:
        heard: list[str] = []
        state = MemoryState(loop=asyncio.get_running_loop())
        state.write("source", 0, "player", memoir(1))
        state.after_written("source", 0, lambda: heard.append("written"))
        state.restore("source", 0, lambda _: heard.append("found"), lambda: heard.append("restored"))
        assert heard == []
        await asyncio.sleep(0)
        assert heard == ["written", "restored"]
        assert (state.is_failing, state.failure) == (False, "")

    run(scenario())

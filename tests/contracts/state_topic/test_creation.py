"""The state topic is created as it must be, or refused with what to do; and it is carried over when the source topic grows."""

from typing import Any

import pytest
from confluent_kafka import murmur2
from confluent_kafka.admin import ConfigResource, ResourceType

from relay.errors import TopicError
from relay.kafka.state_carry_over import carry_over
from relay.kafka.state_topic_check import ensure_state_topic

pytestmark = pytest.mark.kafka


@pytest.fixture
def ensure(real: Any, run: Any) -> Any:
    """Look at a state topic, as a start does."""

    def look(name: str, **given: Any) -> None:
        asked = {"group_id": "relay", "source_topic": "events", "partitions": 4, "may_create": True, **given}
        run(ensure_state_topic(bootstrap_servers=real.bootstrap, name=name, **asked))

    return look


def test_a_missing_topic_is_created_compacted(real: Any, ensure: Any) -> None:
    """As many partitions as the source topic, compacted, with segments small enough for compaction to happen; looking again is fine."""
    name = f"{real.new_topic()}-created"
    ensure(name, partitions=6)
    resource = ConfigResource(ResourceType.TOPIC, name)
    config = {key: entry.value for key, entry in real.admin.describe_configs([resource])[resource].result(20).items()}
    assert config["cleanup.policy"] == "compact"
    assert int(config["segment.bytes"]) <= 64 * 2**20
    assert int(config["segment.ms"]) <= 3_600_000
    assert int(config["delete.retention.ms"]) >= 86_400_000
    assert int(config["max.message.bytes"]) > 2**20
    assert len(real.admin.list_topics(name, timeout=10).topics[name].partitions) == 6
    ensure(name, partitions=6)


def test_without_the_right_to_create_the_command_is_shown(ensure: Any) -> None:
    """The message holds everything that is needed to create the topic."""
    with pytest.raises(TopicError, match=r"--create --topic missing\.sessions --partitions 4 .*cleanup\.policy=compact"):
        ensure("missing.sessions", may_create=False)


def test_another_number_of_partitions_is_refused(real: Any, ensure: Any) -> None:
    """With what it means, and both ways out."""
    name = real.new_topic(4)
    with pytest.raises(
        TopicError, match=r"has 4 partitions and the source topic events has 6 \(were .*RELAY_KAFKA__STATE_TOPIC.*carry-over"
    ):
        ensure(name, partitions=6)
    with pytest.raises(TopicError, match="has 4 partitions and the source topic events has 2:"):
        ensure(name, partitions=2)


@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
def test_a_topic_that_loses_sessions_is_refused(real: Any, ensure: Any, policy: str) -> None:
    """Without compaction it would grow for ever, with deletion open sessions would vanish: the command to alter it is shown."""
    name = real.new_topic(cleanup_policy=policy)
    with pytest.raises(TopicError, match=r"--alter --topic .*cleanup\.policy=compact"):
        ensure(name)


def test_a_topic_of_another_group_is_refused(real: Any, ensure: Any, memoir: Any) -> None:
    """Whoever wrote its last records says so in a header; one's own topic, and one without headers, are fine."""
    name = real.new_topic()
    real.put(name, b"player", memoir(1), partition=2, group=None)
    ensure(name)
    real.put(name, b"player", memoir(2), partition=2, group="relay")
    ensure(name)
    real.put(name, b"player", memoir(3), partition=3, group="another")
    with pytest.raises(TopicError, match="holds sessions of the group another, and this is relay"):
        ensure(name)


def test_carrying_over_puts_each_session_where_its_events_will_be(real: Any, opened: Any, memoir: Any, run: Any) -> None:
    """A session's memoir lies where the producers put its next events; its former place in the log means nothing there."""
    former, new = real.new_topic(2), real.new_topic(6)
    keys = [f"player-{number}" for number in range(200)]

    async def scenario() -> None:
        async with opened(real, former) as keeper:
            for key in keys:
                keeper.write(key, memoir(7, f"id-{key}"), partition=murmur2(key.encode(), 2))
            for partition in range(2):
                await keeper.written(partition=partition)
        carried = await carry_over(
            bootstrap_servers=real.bootstrap,
            group_id="relay",
            former=former,
            former_partitions=2,
            new=new,
            new_partitions=6,
            partitioner="murmur2",
        )
        assert carried == 200
        async with opened(real, new) as keeper:
            for partition in range(6):
                expected = {key for key in keys if murmur2(key.encode(), 6) == partition}
                found = await keeper.restored(partition)
                assert set(found) == expected
                for key, one in found.items():
                    stays = murmur2(key.encode(), 2) == partition
                    assert (one.id, one.at, one.done) == (f"id-{key}", *((7, 7) if stays else (-1, -1)))

    run(scenario())

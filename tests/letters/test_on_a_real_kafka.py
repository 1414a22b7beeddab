"""What only a real Kafka does: transactions that are cut off, and records that are deleted."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Producer

from relay.letters import replaying

Capture = pytest.CaptureFixture[str]
NOW = ("--quiet-seconds", "0", "--rate", "1000")


@pytest.mark.kafka
def test_a_replay_that_dies_in_a_transaction_repeats_nothing_and_its_letters_can_be_purged(
    stage: Callable[..., Any], real_kafka: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """What was written and not committed is read by nobody; the next replay sends it. Then all is safe elsewhere, and may be deleted."""

    class Dies:
        """A producer that does not come to its second commit."""

        commits = 0

        def __init__(self, producer: Producer) -> None:
            self._producer = producer

        def __getattr__(self, name: str) -> Any:
            return getattr(self._producer, name)

        def commit_transaction(self, *arguments: Any) -> None:
            Dies.commits += 1
            if Dies.commits == 2:
                self._producer.flush(20)
                raise KeyboardInterrupt
            self._producer.commit_transaction(*arguments)

    async def story() -> None:
        async with stage(real=real_kafka, faults=["sessions:400:1"]) as it:
            for number in range(4):
                it.say(f"player-{number}", "sessionStart", "play", "sessionEnd")
            await it.handle_everything(12)
            it.api.set_faults([])
            monkeypatch.setattr(replaying, "BATCH_RECORDS_MAX", 5)
            monkeypatch.setattr(replaying, "Producer", lambda given: Dies(Producer(given)))
            assert await it.command("replay", *NOW, "--yes") == 130
            monkeypatch.undo()
            for name, value in it.environment.items():
                monkeypatch.setenv(name, value)
            capsys.readouterr()
            assert await it.command("list", "--all", "--json") == 0
            assert sum(json.loads(line)["replayed"] for line in capsys.readouterr().out.splitlines()) == 5
            await it.handle_everything(5)
            assert await it.command("replay", *NOW, "--yes") == 0
            await it.handle_everything(7)
            total = it.account().total
            assert (total.received, total.missing, total.out_of_order, total.extra, total.repeats, total.openings) == (12, 0, 0, 0, 0, 4)
            capsys.readouterr()
            assert await it.command("purge", "--yes", "--json") == 0
            partitions = json.loads(capsys.readouterr().out)["partitions"]
            assert all(one["begins_now"] == one["end"] for one in partitions if one["end"] > one["begin"])
            assert await it.command("list", "--all") == 0
            assert capsys.readouterr().out == ""

    asyncio.run(story())

"""How long a restart waits for its sessions, and what writing a memoir costs.

    python bench/restore.py BOOTSTRAP [--sessions 100000] [--partitions 12] [--versions 1] [--bytes 700]

Creates a state topic as the relay does, writes so many versions of each session's memoir, then reads all partitions back, as after a
restart. The topic is deleted at the end. CPU is that of this process, all of its threads.
"""

import argparse
import asyncio
import json
import time

from confluent_kafka.admin import AdminClient

from relay.core.events import SessionKey
from relay.core.memoir import Memoir
from relay.kafka.state_topic import StateTopic
from relay.kafka.state_topic_check import ensure_state_topic

GROUP = "bench-restore"
AT_ONCE = 20_000  # writes between two waits for their confirmation


def memoir_of(number: int, at: int, byte_count: int) -> bytes:
    """A session in the middle of an ad; its start takes the room that is left."""
    body = {
        "v": 1,
        "at": at,
        "done": at,
        "standing": "open",
        "id": f"{number:032x}",
        "start": {"p": {"media.contentType": "VOD", "media.id": f"title-{number % 500}", "media.name": ""}, "m": {"plan": "gold"}},
        "chapter": {"p": {"media.chapter.index": 1, "media.chapter.offset": 12.5, "media.chapter.length": 300}},
        "ad": {"p": {"media.ad.id": "ad-7", "media.ad.podPosition": 1, "media.ad.length": 30}},
        "playing": "play",
        "playhead": 12.5,
        "ts": 1_700_000_012_500 + at,
    }
    text = json.dumps(body, separators=(",", ":"))
    return text.replace('"media.name":""', f'"media.name":"{"x" * max(0, byte_count - len(text))}"').encode()


class LoopWatch:
    """The longest time for which the event loop did nothing else."""

    def __init__(self) -> None:
        """Watch until cancelled."""
        self.longest_seconds = 0.0
        self.task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            self.longest_seconds = max(self.longest_seconds, time.perf_counter() - began - 0.001)


async def fill(state: StateTopic, *, sessions: int, partitions: int, versions: int, byte_count: int) -> None:
    """Write every version of every memoir, and wait until Kafka has them."""
    began, cpu = time.perf_counter(), time.process_time()
    making = 0.0
    for first in range(0, sessions * versions, AT_ONCE):
        numbers = range(first, min(first + AT_ONCE, sessions * versions))
        making_began = time.process_time()
        memoirs = [memoir_of(number % sessions, number, byte_count) for number in numbers]
        making += time.process_time() - making_began
        for number, memoir in zip(numbers, memoirs, strict=True):
            session = number % sessions
            state.write("source", session % partitions, SessionKey(f"player-session-{session:08}"), memoir)
        for partition in range(partitions):
            written = asyncio.Event()
            state.after_written("source", partition, written.set)
            await written.wait()
    count, seconds = sessions * versions, time.perf_counter() - began
    cpu_us = (time.process_time() - cpu - making) / count * 1e6
    print(f"wrote {count:,} memoirs in {seconds:.1f} s: {cpu_us:.1f} us of CPU each, from write() to the call of after_written()")


async def restore(state: StateTopic, partitions: int) -> None:
    """Read all partitions at once, as after a restart."""
    began, cpu = time.perf_counter(), time.process_time()
    watch = LoopWatch()
    memoirs: list[Memoir | None] = []
    finished: list[float] = []
    is_done = asyncio.Event()

    def done() -> None:
        finished.append(time.perf_counter() - began)
        if len(finished) == partitions:
            is_done.set()

    for partition in range(partitions):
        state.restore("source", partition, lambda found: memoirs.extend(memoir for _, memoir in found), done)
    await is_done.wait()
    watch.task.cancel()
    cpu_seconds = time.process_time() - cpu
    print(
        f"restored {len(memoirs):,} sessions from {partitions} partitions in {finished[-1]:.2f} s (first partition {finished[0]:.2f} s),"
        f" {cpu_seconds:.2f} s of CPU; the loop stood still for {watch.longest_seconds * 1000:.0f} ms at most"
    )


async def main() -> None:
    """Create, fill, restore three times, delete."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bootstrap")
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--versions", type=int, default=1)
    parser.add_argument("--bytes", type=int, default=700)
    asked = parser.parse_args()
    name = f"bench-restore-{time.time_ns()}"
    await ensure_state_topic(
        bootstrap_servers=asked.bootstrap, name=name, group_id=GROUP, source_topic="source", partitions=asked.partitions, may_create=True
    )

    def opened() -> StateTopic:
        loop = asyncio.get_running_loop()
        return StateTopic(bootstrap_servers=asked.bootstrap, name_of=lambda _: name, group_id=GROUP, loop=loop)

    try:
        state = opened()
        await fill(state, sessions=asked.sessions, partitions=asked.partitions, versions=asked.versions, byte_count=asked.bytes)
        state.close()
        for _ in range(3):
            state = opened()
            await restore(state, asked.partitions)
            state.close()
    finally:
        admin = AdminClient({"bootstrap.servers": asked.bootstrap})
        admin.delete_topics([name])[name].result(10)


asyncio.run(main())

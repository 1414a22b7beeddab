"""CPU per event of the whole relay, as a process of its own on a real Kafka, in pairs of variants that take turns.

    PYTHONPATH=. python bench/whole.py BOOTSTRAP [--events 60000] [--sessions 2000] [--pairs 5] [--compare state]

A realistic crowd is produced once. Then the relay reads it from the beginning, again and again, as another group each time; a small server
answers at once. Counted is the CPU time of the relay's process, librdkafka's threads included, from the first delivered event to the last.
What is compared: `state` (sessions kept in Kafka against in memory), `transport` (ours against httpx's), `connections` (2,000 against 64
under way at once), `timelines` (kept for 1,000 sessions against none), `console` (somebody looks at a page of it every second), or nothing
(`none`).
"""

import argparse
import itertools
import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from processes import cpu_seconds

from relay.sandbox.crowd import crowd
from relay.sandbox.shapes import Shape

PARTITIONS = 12
DEADLINE_SECONDS = 180.0
VARIANTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "state": ({"RELAY_SESSION__STATE": "kafka"}, {"RELAY_SESSION__STATE": "memory"}),
    "transport": ({"RELAY_API__TRANSPORT": "fast"}, {"RELAY_API__TRANSPORT": "httpx"}),
    "connections": ({"RELAY_API__CONCURRENCY_MAX": "2000"}, {"RELAY_API__CONCURRENCY_MAX": "64"}),
    "timelines": ({"RELAY_ADMIN__TIME_LINES_MAX": "1000"}, {"RELAY_ADMIN__TIME_LINES_MAX": "0"}),
    "console": ({"BENCH_LOOKS": "1"}, {}),
}
LOOKS = ("/", "/sessions", "/sessions?state=lost", "/openings", "/calls")


def produce(bootstrap: str, topic: str, *, events: int, sessions: int) -> int:
    """Fill the topic, unless it is full; say how many events it holds."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    if topic in admin.list_topics(timeout=10).topics:
        admin.delete_topics([topic])[topic].result()
        time.sleep(2)
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result()
    time.sleep(1)
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
    shape = Shape(content_seconds_min=300, content_seconds_max=300, ramp_up_seconds=300)
    count = 0
    for said in crowd(sessions, 1, shape, began_ms=1_700_000_000_000):
        producer.produce(topic, said.value, key=said.record_key)
        producer.poll(0)
        count += 1
        if count == events:
            break
    producer.flush()
    return count


def delivered(port: int) -> float:
    """How many events the relay says it has delivered."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as page:
            lines = page.read().decode().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.split()[-1]) for line in lines if line.startswith('relay_events_total{outcome="delivered"'))


def turn(bootstrap: str, topic: str, url: str, count: int, extra: dict[str, str]) -> tuple[float, float]:
    """One relay over the whole topic: microseconds of CPU per event, events per second."""
    port = 18_990
    group = f"bench-{time.time_ns()}"
    environment = os.environ | {
        "RELAY_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "RELAY_KAFKA__TOPICS": topic,
        "RELAY_KAFKA__GROUP_ID": group,
        "RELAY_API__URL": url,
        "RELAY_API__CONCURRENCY_MAX": "256",
        "RELAY_ADMIN__PORT": str(port),
        "RELAY_ADMIN__HOST": "127.0.0.1",
        **extra,
    }
    relay = subprocess.Popen([sys.executable, "-m", "relay", "run"], env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (begun := delivered(port)) < count / 20:
            time.sleep(0.05)
        first = (time.monotonic(), cpu_seconds(relay.pid))
        looked_at, looks = time.monotonic(), itertools.cycle(LOOKS)
        while (now := delivered(port)) < count * 0.98 and time.monotonic() < deadline:
            time.sleep(0.1)
            if "BENCH_LOOKS" in extra and time.monotonic() - looked_at >= 1:
                looked_at = time.monotonic()
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{next(looks)}", timeout=5) as page:
                    page.read()
        last = (time.monotonic(), cpu_seconds(relay.pid))
        return (last[1] - first[1]) / (now - begun) * 1e6, (now - begun) / (last[0] - first[0])
    finally:
        relay.send_signal(signal.SIGTERM)
        relay.wait(30)


def main() -> None:
    """Compare, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap")
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--sessions", type=int, default=2_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--compare", choices=[*VARIANTS, "none"], default="state")
    arguments = parser.parse_args()
    topic = f"bench-relay-{arguments.sessions}"
    count = produce(arguments.bootstrap, topic, events=arguments.events, sessions=arguments.sessions)
    variants = VARIANTS.get(arguments.compare, ({},))
    command = [sys.executable, str(Path(__file__).with_name("answering.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        found: list[list[tuple[float, float]]] = [[] for _ in variants]
        for _ in range(arguments.pairs):
            for place, extra in enumerate(variants):
                found[place].append(turn(arguments.bootstrap, topic, url, count, extra))
        server.stdin.close()
    print(f"{count} events of a realistic crowd, {arguments.sessions} sessions, {PARTITIONS} partitions, {arguments.pairs} pairs")
    for extra, runs in zip(variants, found, strict=True):
        name = ", ".join(f"{key.removeprefix('RELAY_')}={value}" for key, value in extra.items()) or "as it is"
        costs = [cost for cost, _ in runs]
        rate = statistics.median(rate for _, rate in runs)
        print(f"{name:32} {statistics.median(costs):6.1f} us CPU/event ({min(costs):.1f} to {max(costs):.1f})  {rate:8.0f}/s")
    if len(variants) > 1:
        ratios = [first[0] / second[0] for first, second in zip(*found, strict=True)]
        print(f"ratio of the first to the second, median of pairs: {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()

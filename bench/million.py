"""A group of pods with a million open sessions, as far as one machine can show it: all of the pods' cores in one process.

    python bench/million.py [--sessions 1000000] [--pods 50] [--partitions 200]

In: nothing. Out: what a session takes in memory and as a memoir; what it costs a pod to take up its share after a restart, to hand over the
memoirs of a partition, and to take a partition over. It is the relay's own core and its own memoirs: only Kafka is left out, and what
reading the state topic takes there is measured by `restore.py`. The pods take their turns on one core, so each has a time of its own.
"""

import argparse
import gc
import os
import platform
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import core

from relay.core import memoir
from relay.core.assignment import Assignment
from relay.core.events import SessionKey
from relay.core.inputs import Assigned, Leaving, Revoked
from relay.core.patience import Rules
from relay.core.pressure import Limits
from relay.core.router import Router
from relay.core.starts import Starts

Memoirs = list[tuple[SessionKey, bytes]]


def main() -> None:
    """Open, write down, take up, hand over; print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1_000_000)
    parser.add_argument("--pods", type=int, default=50)
    parser.add_argument("--partitions", type=int, default=200)
    asked = parser.parse_args()
    per_partition, per_pod = asked.sessions // asked.partitions, asked.partitions // asked.pods

    topic, writing = [], []
    for _ in range(asked.partitions):
        written, seconds = write_down(per_partition)
        topic.append(written)
        writing.append(seconds)
    byte_count = sum(len(one) for partition in topic for _, one in partition) / asked.sessions

    gc.collect()
    before = core.resident_bytes()
    pods, takings = [], []
    for number in range(asked.pods):
        pod, began = Router(limits=Limits(), rules=Rules(), starts=Starts(required=frozenset())), time.process_time()
        for partition in range(number * per_pod, (number + 1) * per_pod):
            take_up(pod, partition, topic[partition])
        takings.append(time.process_time() - began)
        pods.append(pod)
    gc.collect()
    resident = (core.resident_bytes() - before) / asked.sessions
    assert sum(pod.sessions_open for pod in pods) == asked.sessions

    leaving, overs = pods.pop(), []
    began = time.process_time()
    for assignment in list(leaving.assignments.values()):
        leaving.handle(Leaving(assignment), 2.0)
        leaving.handle(Revoked(assignment), 2.0)
    gone = time.process_time() - began
    for pod, partition in zip(pods, range(asked.partitions - per_pod, asked.partitions), strict=False):
        began = time.process_time()
        take_up(pod, partition, topic[partition])
        overs.append(time.process_time() - began)
    assert sum(pod.sessions_open for pod in pods) == asked.sessions

    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; one process on one core.")
    print(f"{asked.sessions:,} open sessions, {asked.pods} pods, {asked.partitions} partitions: {per_partition * per_pod:,} for a pod.\n")
    rows = {
        "what": "figure",
        "---": "---",
        "memory of an open idle session": f"{resident:,.0f} bytes",
        "sessions of a pod in memory": f"{resident * per_partition * per_pod / 2**20:.0f} MiB",
        "memoir of a session": f"{byte_count:,.0f} bytes",
        "state topic, each memoir once": f"{byte_count * asked.sessions / 2**30:.2f} GiB",
        "a pod takes up its sessions after a restart": f"{in_seconds(takings)} of CPU",
        "of it for a session": f"{statistics.median(takings) / per_partition / per_pod * 1e6:.1f} µs",
        "a farewell: the memoirs of a partition are written anew": f"{in_seconds(writing)} of CPU",
        "a pod lets go of all its sessions": f"{gone:.3f} s of CPU",
        "another pod takes a partition over": f"{in_seconds(overs)} of CPU",
    }
    for what, figure in rows.items():
        print(f"| {what} | {figure} |")


def in_seconds(found: list[float]) -> str:
    """Half took no longer, and none longer than the other."""
    return f"{statistics.median(found):.3f} s (at most {max(found):.3f} s)"


def write_down(sessions: int) -> tuple[Memoirs, float]:
    """Sessions are opened, and told to the state topic; the CPU seconds of the telling."""
    router = core.open_sessions(sessions)
    began = time.process_time()
    told = [(lane.key, memoir.write(lane) or b"") for lane in router.lanes()]
    return told, time.process_time() - began


def take_up(pod: Router, partition: int, memoirs: Memoirs) -> None:
    """A pod is given a partition, and reads who is in it."""
    assignment = Assignment("player-events", partition)
    pod.handle(Assigned(assignment), 1.0)
    for key, value in memoirs:
        pod.restore(assignment, key, memoir.read(value), 1.0)


if __name__ == "__main__":
    main()

"""The sizing formula of docs/sizing.md: what it says, and how far that is from what a relay here does.

    python bench/sizing.py say --sessions 1000000 --events 40000 --latency-ms 60      how many pods, and how large
    python bench/sizing.py check [--seconds 8]                                        prediction beside measurement, at four loads

`check` takes the costs of an event and of a process from one load (2,000 sessions, 2,000 events a second, an API that answers at once),
predicts others with the formula, and measures them: an open loop produces at the given rate, a relay of its own delivers to an API server
of its own. Where a load is above what the connections allow, what gets through is compared.
"""

import argparse
import math
import statistics
import tempfile
import threading
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import compare
import latency
import running
from confluent_kafka import Producer

ADMIN_PORT: Final = 18_993


@dataclass(frozen=True)
class Costs:
    """What one relay was measured to take; the defaults are those of docs/sizing.md."""

    microseconds_per_event: float = 60.0
    process_mib: float = 100.0  # with nothing in it but a full way from Kafka to the API
    session_bytes: float = 2_500.0
    memoir_bytes: float = 1_000.0
    restore_microseconds: float = 25.0  # for a session, Kafka included


@dataclass(frozen=True)
class Load:
    """What an operator knows."""

    sessions: int
    events_per_second: float
    latency_seconds: float
    connections_max: int = 512  # RELAY_API__CONCURRENCY_MAX


@dataclass(frozen=True)
class Size:
    """What it takes."""

    pods: int
    cores: float
    under_way: float
    events_per_second_max: float  # of one pod, by its connections
    pod_mib: float
    restore_seconds: float
    state_gib: float


def size(load: Load, costs: Costs, *, busy_share: float = 0.6, spare: int = 1) -> Size:
    """The formula. A pod is planned to be busy for this share of one core, and so many may be away."""
    cores = load.events_per_second * costs.microseconds_per_event / 1e6
    under_way = load.events_per_second * load.latency_seconds  # Little's law
    usable = load.connections_max * 7 / 8  # an eighth is kept for openings
    most = usable / load.latency_seconds if load.latency_seconds else math.inf
    working = max(1, math.ceil(cores / busy_share), math.ceil(under_way / usable))
    sessions = load.sessions / working
    return Size(
        pods=working + spare,
        cores=cores,
        under_way=under_way,
        events_per_second_max=most,
        pod_mib=costs.process_mib + sessions * costs.session_bytes / 2**20,
        restore_seconds=sessions * costs.restore_microseconds / 1e6,
        state_gib=load.sessions * costs.memoir_bytes * 2 / 2**30,  # compaction lets as much again stand
    )


@dataclass(frozen=True)
class Measured:
    """What a relay did under a load."""

    events_per_second: float
    cores: float
    under_way: float
    rss_mib: float


class UnderWay:
    """Asks the relay twice a second how many requests are under way."""

    def __init__(self) -> None:
        """Begin at once."""
        self.seen: list[float] = []
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def mean(self) -> float:
        """Stop; how many there were."""
        self._has_ended.set()
        self._thread.join()
        return statistics.mean(self.seen) if self.seen else 0.0

    def _look(self) -> None:
        while not self._has_ended.wait(0.5):
            with urllib.request.urlopen(f"http://127.0.0.1:{ADMIN_PORT}/metrics", timeout=5) as page:
                lines = page.read().decode().splitlines()
            self.seen.append(sum(float(line.split()[-1]) for line in lines if line.startswith("relay_concurrency_in_flight{")))


def measure(load: Load, bootstrap: str, folder: Path, seconds: float) -> Measured:
    """One relay under one load."""
    shape = compare.Shape("sizing", latency_ms=round(load.latency_seconds * 1000), concurrency=load.connections_max, is_tls=True)
    api, topic = compare.Api(shape, folder), latency.create(bootstrap)
    try:
        told = compare.environment("relay", shape, bootstrap, topic, api) | {"RELAY_ADMIN__PORT": str(ADMIN_PORT)}
        with running.relay(told, folder / "sizing.log") as process:
            producer = Producer({"bootstrap.servers": bootstrap, **latency.QUEUE})
            for key, value in latency.starts(load.sessions):
                producer.produce(topic, value, key=key)
            producer.flush()
            running.wait(api, [process], load.sessions)
            rate, total = int(load.events_per_second), int(load.events_per_second * seconds)
            speaking = threading.Thread(
                target=latency.speak,
                args=(producer, topic),
                kwargs={"crowd": "uniform", "rate": rate, "seconds": seconds - latency.WARM_UP_SECONDS, "sessions": load.sessions},
            )
            speaking.start()
            running.wait(api, [process], load.sessions + total // 4)  # what Python and the pool warm up for is behind
            looking = UnderWay()
            used = running.between(api, [process], load.sessions + total // 4, load.sessions + total * 9 // 10)
            under_way = looking.mean()
            speaking.join()
        return Measured(used.events_per_second, used.cores, under_way, used.rss_mib)
    finally:
        api.close()


CALIBRATION: Final = Load(2_000, 2_000, 0.0)
LOADS: Final = (
    Load(2_000, 2_000, 0.02),
    Load(2_000, 4_000, 0.08),
    Load(50_000, 2_000, 0.08),
    Load(2_000, 3_000, 0.08, connections_max=128),  # more than 128 connections carry
)


def check(seconds: float) -> None:
    """Predict and measure."""
    compare.build_go()
    folder, rows = Path(tempfile.mkdtemp(prefix="sizing-")), []
    with compare.broker() as bootstrap:
        known = measure(CALIBRATION, bootstrap, folder, seconds)
        cost, session_mib = known.cores / known.events_per_second * 1e6, Costs.session_bytes / 2**20
        costs = Costs(microseconds_per_event=cost, process_mib=known.rss_mib - CALIBRATION.sessions * session_mib)
        for load in LOADS:
            found, said = measure(load, bootstrap, folder, seconds), size(load, costs, spare=0)
            rate = min(load.events_per_second, said.events_per_second_max)
            pairs = [
                (rate, found.events_per_second, ",.0f"),
                (rate * load.latency_seconds, found.under_way, ",.0f"),
                (rate * costs.microseconds_per_event / 1e6, found.cores, ".2f"),
                (costs.process_mib + load.sessions * session_mib, found.rss_mib, ",.0f"),
            ]
            name = f"{load.sessions:,} sessions, {load.events_per_second:,.0f}/s, {load.latency_seconds * 1000:.0f} ms"
            rows.append([f"{name}, {load.connections_max} at most", *(f"{said:{form}} / {real:{form}}" for said, real, form in pairs)])
    print(running.machine())
    print(f"\nFrom the first load: {cost:.0f} µs of CPU per event, {costs.process_mib:.0f} MiB for the process. Predicted / measured:\n")
    print(running.table(["load", "events/s", "requests under way", "cores", "RSS MiB"], rows))


def say(load: Load) -> None:
    """The formula, with the costs of the page."""
    found = size(load, Costs())
    print(f"pods                    {found.pods} (one of them may be away)")
    print(f"cores, all pods         {found.cores:.1f}")
    print(f"requests under way      {found.under_way:,.0f}, all pods")
    print(f"memory of a pod         {found.pod_mib:,.0f} MiB, and what waits in lanes and is fetched ahead")
    print(f"sessions after a start  {found.restore_seconds:.1f} s")
    print(f"state topic             {found.state_gib:.1f} GiB on each replica")


def main() -> None:
    """Say or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("say", "check"))
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--events", type=float, default=5_000)
    parser.add_argument("--latency-ms", type=float, default=50)
    parser.add_argument("--connections-max", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=8.0)
    asked = parser.parse_args()
    if asked.verb == "check":
        check(asked.seconds)
    else:
        say(Load(asked.sessions, asked.events, asked.latency_ms / 1000, asked.connections_max))


if __name__ == "__main__":
    main()

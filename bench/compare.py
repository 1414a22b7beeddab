"""The relay and its peers on the same topic, the same API and the same shapes, by turns: CPU per event, and how fast.

    python bench/compare.py [--shapes quick|all|NAME…] [--peers relay,go,…] [--turns 5] [--report docs/performance-report]

With a report, each shape's figures are kept as soon as they are there; those of other shapes stay.

Builds the peers and the API server (Go, Java and Maven are wanted), starts a broker of its own, produces each shape's topic once, and lets
every peer read it from the beginning, again and again, in turns. Counted is the CPU time of the peer's whole process from the moment that
as many are taken as there are sessions (a tenth of the events, if that is later) to nine tenths of the events, as the API server counts
them; the shape `openings` counts from the beginning on. What `long` adds is time: a JVM compiles while it runs. With `sessions-100000` each
turn has a topic of its own, whose pings are produced once all sessions are open: else most of them would be opened while pings are counted.
The CPU time of the server is told as well: it must not be the limit.

In most shapes a topic lies ready and everybody goes as fast as he can, so he who is faster has more to do at once, which makes each event
cheaper. In the shapes `paced` events come at a rate that all can bear, whatever is behind: as on most days. Of `paced-30` and `paced-1000`
the second has thirty times as many requests under way, and connections, at the same rate; counted is the second half, when everybody has
found his pace. `latency-80` reads further ahead, for it shall have 2,000 requests under way.
"""

import argparse
import json
import os
import random
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from processes import cpu_seconds, rss_mib, started, until
from report import Result, Turn, keep, table

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
KAFKA = HERE.parent / "tests" / "kafka" / "kafka.sh"
BUILT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "relay-bench"
READ_AHEAD = 10_000  # of a default of 100,000: else most of a topic would be read before anything is counted, and reading cost nothing
PACE_SECONDS = 0.002  # how long a producer that keeps a pace sleeps when it is ahead
SLOW_PEERS = {"naive", "httpx"}
SLOW_EVENTS = 6_000  # what they are given to do: at their pace a whole topic would take an hour, and 100,000 sessions as long to open


@dataclass(frozen=True)
class Shape:
    """What is relayed, and to what kind of API."""

    name: str
    events: int = 120_000
    sessions: int = 2_000
    partitions: int = 12
    value_bytes: int = 300
    is_zipf: bool = False
    is_tls: bool = False
    latency_ms: int = 0
    concurrency: int = 256
    fail_every: int = 0
    forget_every: int = 0
    counts_openings: bool = False
    opens_first: bool = False
    per_second: int = 0  # as fast as everybody can, unless it says something
    read_ahead: int = READ_AHEAD

    def counted(self, events: int) -> tuple[int, int]:
        """From which event to which a turn over so many of them is measured."""
        first = 0 if self.counts_openings else self.sessions
        if self.opens_first:
            first += (events - self.sessions) // (2 if self.per_second else 10)
        return max(events // 10, first), events * 9 // 10


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("plain"),
        Shape("tls", is_tls=True),
        Shape("long", events=400_000, is_tls=True),
        Shape("connections-64", concurrency=64, is_tls=True),
        Shape("latency-20", latency_ms=20, is_tls=True),
        Shape("latency-80", events=300_000, latency_ms=80, is_tls=True, concurrency=2_000, read_ahead=50_000),
        Shape("sessions-100", sessions=100, is_tls=True),
        Shape("sessions-100000", events=300_000, sessions=100_000, is_tls=True, opens_first=True),
        Shape("openings", sessions=60_000, is_tls=True, counts_openings=True),
        Shape("zipf", is_zipf=True, is_tls=True),
        Shape("partitions-1", partitions=1, is_tls=True),
        Shape("partitions-50", partitions=50, is_tls=True),
        Shape("bytes-1000", value_bytes=1_000, is_tls=True),
        Shape("bytes-4000", value_bytes=4_000, is_tls=True),
        Shape("faults", fail_every=100, forget_every=1_000, is_tls=True),
        Shape("paced", events=50_000, is_tls=True, opens_first=True, per_second=2_000),
        Shape("paced-80", events=82_000, latency_ms=80, is_tls=True, concurrency=2_000, opens_first=True, per_second=4_000),
        Shape("paced-30", events=54_000, sessions=6_000, latency_ms=30, is_tls=True, concurrency=4_000, opens_first=True, per_second=2_000),
        Shape(
            "paced-1000",
            events=86_000,
            sessions=6_000,
            latency_ms=1_000,
            is_tls=True,
            concurrency=4_000,
            opens_first=True,
            per_second=2_000,
        ),
    )
}
QUICK = ("plain", "tls")


class Counts(Protocol):
    """The face of an API server."""

    pid: int
    url: str
    authority: Path | None

    def taken(self) -> int:
        """How many openings and events it has taken."""
        ...

    def close(self) -> None:
        """Stop it."""
        ...


class Api:
    """The API server, as a process."""

    def __init__(self, shape: Shape, folder: Path, *flags: str) -> None:
        """Start it, with more of its flags if wanted."""
        self.authority = folder / f"{shape.name}.pem" if shape.is_tls else None
        arguments = [str(BUILT / "server"), f"-latency={shape.latency_ms}ms", *flags]
        arguments += [f"-fail-every={shape.fail_every}", f"-forget-every={shape.forget_every}"]
        arguments += [f"-tls={self.authority}"] if self.authority else []
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self.url = f"{'https' if shape.is_tls else 'http'}://127.0.0.1:{self._process.stdout.readline().strip()}"
        self._context = None
        if self.authority:
            self._context = ssl.create_default_context(cafile=str(self.authority))

    def taken(self) -> int:
        """How many openings and events it has taken."""
        account = self.account()
        return int(account["openings"]) + int(account["events"])

    def account(self) -> dict[str, Any]:
        """All that it tells."""
        with urllib.request.urlopen(f"{self.url}/account", timeout=10, context=self._context) as answer:
            told: dict[str, Any] = json.loads(answer.read())
        return told

    def close(self) -> None:
        """Stop it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()


def build_go() -> None:
    """Build the API server and the relay in Go."""
    BUILT.mkdir(parents=True, exist_ok=True)
    for folder, name in (("server", "server"), ("go_relay", "go-relay")):
        subprocess.run(["go", "build", "-o", str(BUILT / name), "."], cwd=PEERS / folder, check=True)


def build_java() -> None:
    """Build the peer in Java."""
    subprocess.run(
        ["mvn", "-q", "-B", "-ntp", "-f", str(PEERS / "parallel_consumer" / "pom.xml"), f"-Dbench.target={BUILT / 'java'}", "package"],
        check=True,
    )


def command(peer: str) -> list[str]:
    """How to start a peer."""
    java = BUILT / "java"
    return {
        "relay": [sys.executable, "-m", "relay", "run"],
        "httpx": [sys.executable, "-m", "relay", "run"],
        "go": [str(BUILT / "go-relay")],
        "parallel-consumer": ["java", "-Xmx2g", "-cp", f"{java}/classes:{java}/lib/*", "peer.Peer"],
        "naive": [sys.executable, str(PEERS / "naive.py")],
        "reference": [sys.executable, str(HERE / "reference.py")],
    }[peer]


def environment(peer: str, shape: Shape, bootstrap: str, topic: str, api: Counts) -> dict[str, str]:
    """What a peer is told."""
    group = f"bench-{time.time_ns()}"
    if peer not in {"relay", "httpx"}:
        told = {"BOOTSTRAP": bootstrap, "TOPIC": topic, "GROUP": group, "URL": api.url, "CONCURRENCY": str(shape.concurrency)}
        return os.environ | told | ({"CA_FILE": str(api.authority)} if api.authority else {})
    told = {
        "RELAY_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "RELAY_KAFKA__TOPICS": topic,
        "RELAY_KAFKA__GROUP_ID": group,
        "RELAY_API__URL": api.url,
        "RELAY_API__CONCURRENCY_MAX": str(shape.concurrency),
        "RELAY_LIMITS__BUFFER_EVENTS_MAX": str(shape.read_ahead),
        "RELAY_API__TRANSPORT": "httpx" if peer == "httpx" else "fast",
        "RELAY_ADMIN__HOST": "127.0.0.1",
        "RELAY_ADMIN__PORT": "0",
    }
    return os.environ | told | ({"RELAY_API__CA_FILE": str(api.authority)} if api.authority else {})


def turn(peer: str, shape: Shape, bootstrap: str, topic: str, folder: Path, *, api: Counts | None = None) -> Turn:  # noqa: PLR0913
    """One peer over one topic; over one of its own, where sessions are opened first."""
    api = api or Api(shape, folder)
    records = said(shape)
    events = min(shape.events, SLOW_EVENTS) if peer in SLOW_PEERS else shape.events
    log = folder / f"{shape.name}-{peer}.log"
    try:
        if shape.opens_first:
            topic = create(bootstrap, f"bench-{time.time_ns()}", shape.partitions)
            fill(bootstrap, topic, islice(records, shape.sessions))
        with started(command(peer), environment(peer, shape, bootstrap, topic, api), log) as process:
            if shape.opens_first:
                until(api.taken, [process], lambda taken: taken >= shape.sessions)
                feeding = threading.Thread(target=fill, args=(bootstrap, topic, records, shape.per_second), daemon=True)
                feeding.start()
                if not shape.per_second:
                    feeding.join()
            beginning, end = shape.counted(events)
            begun = until(api.taken, [process], lambda taken: taken >= beginning)
            first = (time.monotonic(), cpu_seconds(process.pid), cpu_seconds(api.pid))
            ended = until(api.taken, [process], lambda taken: taken >= end)
            last = (time.monotonic(), cpu_seconds(process.pid), cpu_seconds(api.pid))
            done = ended - begun
            cost, of_server = ((last[one] - first[one]) / done * 1e6 for one in (1, 2))
            return Turn(cost, done / (last[0] - first[0]), of_server, rss_mib(process.pid))
    finally:
        api.close()


def produce(bootstrap: str, shape: Shape) -> str:
    """A topic with what the shape says, unless it is there: every session a start and pings, all of them under way at once."""
    topic = f"bench-{shape.events}-{shape.sessions}-{shape.partitions}-{shape.value_bytes}-{'zipf' if shape.is_zipf else 'even'}"
    if topic in AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics:
        return topic
    create(bootstrap, topic, shape.partitions)
    fill(bootstrap, topic, said(shape))
    return topic


def create(bootstrap: str, topic: str, partitions: int, **config: str) -> str:
    """A topic without anything in it, with underscores for the dots of its configuration; its name."""
    admin = AdminClient({"bootstrap.servers": bootstrap})  # by a name: it must outlive its answer
    configuration = {name.replace("_", "."): value for name, value in config.items()}
    admin.create_topics([NewTopic(topic, partitions, 1, config=configuration)])[topic].result()
    time.sleep(1)
    return topic


def fill(bootstrap: str, topic: str, records: Iterable[tuple[str, str]], per_second: int = 0) -> None:
    """Produce them all, at a rate or as fast as can be."""
    producer = Producer(
        {"bootstrap.servers": bootstrap, "linger.ms": 20, "compression.type": "lz4", "queue.buffering.max.messages": 1_000_000}
    )
    began = time.monotonic()
    for number, (key, value) in enumerate(records):
        while per_second and number > (time.monotonic() - began) * per_second:
            time.sleep(PACE_SECONDS)
        producer.produce(topic, value, key=key)
        producer.poll(0)
    producer.flush()


def said(shape: Shape) -> Iterator[tuple[str, str]]:
    """Keys and values, in the order of the log."""
    dice = random.Random(1)  # noqa: S311  # who speaks next, no secret
    weights = [1 / (place + 1) for place in range(shape.sessions)] if shape.is_zipf else None
    for session in range(shape.sessions):
        yield _key(session), _start()
    left = shape.events - shape.sessions
    turns = dice.choices(range(shape.sessions), weights=weights, k=left) if weights else (number % shape.sessions for number in range(left))
    for number, session in enumerate(turns):
        yield _key(session), _ping(number, shape)


def _key(session: int) -> str:
    return f"session-{session:08d}-abcdefgh"


def _start() -> str:
    params = {
        "analytics.trackingServer": "metrics.example.com",
        "analytics.reportSuite": "suite",
        "visitor.marketingCloudOrgId": "0123456789ABCDEF01234567@AdobeOrg",
        "media.id": "title-1",
        "media.length": 3600,
        "media.contentType": "vod",
        "media.playerName": "player",
        "media.channel": "channel",
    }
    return json.dumps({"eventType": "sessionStart", "playerTime": {"playhead": 0, "ts": 1_700_000_000_000}, "params": params})


def _ping(number: int, shape: Shape) -> str:
    event: dict[str, object] = {
        "eventType": "ping",
        "playerTime": {"playhead": number % 3600 + 0.5, "ts": 1_700_000_000_000 + number},
        "qoeData": {"media.qoe.bitrate": 20000, "media.qoe.droppedFrames": number % 50, "media.qoe.framesPerSecond": 25},
    }
    text = json.dumps(event)
    event["customMetadata"] = {"note": "x" * max(1, shape.value_bytes - len(text) - 33)}
    return json.dumps(event)


@contextmanager
def broker() -> Iterator[str]:
    """A Kafka of our own."""
    told = os.environ | {"KAFKA_INSTANCE": f"bench-{os.getpid()}"}
    started = subprocess.run([str(KAFKA), "start", "1"], env=told, stdout=subprocess.PIPE, text=True, check=True)
    try:
        yield started.stdout.strip().splitlines()[-1]
    finally:
        subprocess.run([str(KAFKA), "destroy"], env=told, check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", default=["quick"], help=f"quick, all, or of {', '.join(SHAPES)}")
    parser.add_argument("--peers", default="relay,go,parallel-consumer,httpx,naive")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--report", type=Path, help="keep the figures there, as .md and .json")
    arguments = parser.parse_args()
    names = {"quick": QUICK, "all": tuple(SHAPES)}.get(arguments.shapes[0], tuple(arguments.shapes))
    peers = arguments.peers.split(",")
    if missing := [tool for tool in ("go", "java", "mvn") if shutil.which(tool) is None]:
        raise SystemExit(f"wanted on the PATH: {', '.join(missing)}")
    build_go()
    if "parallel-consumer" in peers:
        build_java()
    folder = Path(tempfile.mkdtemp(prefix="compare-"))
    print(f"logs are in {folder}", file=sys.stderr)
    with broker() as bootstrap:
        for name in names:
            shape = SHAPES[name]
            topic = "" if shape.opens_first else produce(bootstrap, shape)
            found = [Result(name, peer) for peer in peers if peer not in SLOW_PEERS or 2 * shape.sessions < SLOW_EVENTS]
            for number in range(arguments.turns):
                for result in found:
                    result.turns.append(turn(result.peer, shape, bootstrap, topic, folder))
                    print(f"{name} {number + 1}/{arguments.turns} {result.peer}: {result.turns[-1]}", file=sys.stderr, flush=True)
            keep(arguments.report or folder / "report", asdict(shape), found)
            print("\n".join(table({name: {"results": [asdict(result) for result in found]}})), flush=True)


if __name__ == "__main__":
    main()

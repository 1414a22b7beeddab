"""How long an event is on its way, from the moment when it is due to the moment when its request is at the API. Open loop.

    python bench/latency.py [--rates 500,2000] [--crowds uniform,zipf] [--kinds plain,tls] [--seconds 10]

A producer keeps its schedule whatever happens behind it, and each event says when it was due: so what waits because something else stood
still is counted with all of its waiting. The API server notes how old each is when its request has been read (`peers/server/latencies.go`);
both live on this machine, and so by one clock. It includes producer, broker and client, not only the relay; the rows `bare consumer` show
what these take alone: the same events, due at the same times, until a plain consumer in this process has them.

Of the Zipf crowd, `hot` are the hundredth of the sessions that speak most, `cold` all others. Sessions are opened, and events sent for
some seconds, before the first that counts.
"""

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import compare
import running
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from processes import cpu_seconds, until

SESSIONS: Final = 2_000
PARTITIONS: Final = 12
HOT_SHARE: Final = 0.01
WARM_UP_SECONDS: Final = 3.0
NAP_SECONDS: Final = 0.0005
QUEUE: Final = {"linger.ms": 0, "queue.buffering.max.messages": 1_000_000}


@dataclass(frozen=True)
class Row:
    """One crowd at one rate."""

    kind: str
    rate: int
    crowd: str
    count: int
    p50: float
    p99: float
    p999: float
    most: float
    cores: float


def weights(crowd: str, sessions: int) -> list[float] | None:
    """How much each session speaks."""
    return None if crowd == "uniform" else [1 / (place + 1) for place in range(sessions)]


def starts(sessions: int = SESSIONS) -> Iterator[tuple[str, str]]:
    """Every session begins."""
    yield from compare.said(compare.Shape("starts", events=sessions, sessions=sessions))


def ping(number: int, due: str) -> str:
    """About 300 bytes, as in `compare.py`."""
    return (
        f'{{"eventType":"ping","playerTime":{{"playhead":{number % 3600}.5,"ts":{1_700_000_000_000 + number}}},'
        f'"qoeData":{{"media.qoe.bitrate":20000,"media.qoe.droppedFrames":{number % 50},"media.qoe.framesPerSecond":25}},'
        f'"customMetadata":{{{due}"note":"{"x" * 90}"}}}}'
    )


def speak(producer: Producer, topic: str, *, crowd: str, rate: int, seconds: float, sessions: int = SESSIONS) -> int:  # noqa: PLR0913
    """Keep the schedule; how many events said when they were due."""
    keys = [f"session-{number:08d}-abcdefgh" for number in range(sessions)]
    count = int(rate * (seconds + WARM_UP_SECONDS))
    drawn = random.Random(1).choices(range(sessions), weights=weights(crowd, sessions), k=count)  # noqa: S311  # who speaks, no secret
    is_hot = [crowd != "uniform" and number < sessions * HOT_SHARE for number in range(sessions)]
    names = ["uniform" if crowd == "uniform" else "hot" if hot else "cold" for hot in is_hot]
    step, warm = 1_000_000_000 / rate, int(rate * WARM_UP_SECONDS)
    began = time.time_ns() + 10_000_000
    for number, session in enumerate(drawn):
        due = began + int(number * step)
        while time.time_ns() < due:
            producer.poll(0)
            time.sleep(NAP_SECONDS)
        said = f'"due":"{due}/{names[session]}",' if number >= warm else ""
        producer.produce(topic, ping(number, said), key=keys[session])
        if number % 64 == 0:
            producer.poll(0)
    producer.flush()
    return count - warm


def create(bootstrap: str) -> str:
    """A topic for one run."""
    return compare.create(bootstrap, f"latency-{time.time_ns()}", PARTITIONS)


def measure(bootstrap: str, folder: Path, *, kind: str, crowd: str, rate: int, seconds: float) -> list[Row]:  # noqa: PLR0913  # each by its name
    """One relay, one crowd, one rate."""
    shape = compare.Shape("latency", is_tls=kind == "tls", partitions=PARTITIONS)
    api, topic = compare.Api(shape, folder, "-latencies"), create(bootstrap)
    try:
        told = compare.environment("relay", shape, bootstrap, topic, api)
        with running.relay(told, folder / f"{kind}-{crowd}-{rate}.log") as process:
            producer = Producer({"bootstrap.servers": bootstrap, **QUEUE})
            for key, value in starts():
                producer.produce(topic, value, key=key)
            producer.flush()
            running.wait(api, [process], SESSIONS)
            began, before = time.monotonic(), cpu_seconds(process.pid)
            count = speak(producer, topic, crowd=crowd, rate=rate, seconds=seconds)
            cores = (cpu_seconds(process.pid) - before) / (time.monotonic() - began)
            running.wait(api, [process], SESSIONS + count + int(rate * WARM_UP_SECONDS))
        found = api.account()["latencies"]
        return [row(kind, rate, name, found[name], cores) for name in sorted(found)]
    finally:
        api.close()


def row(kind: str, rate: int, crowd: str, found: dict[str, Any], cores: float) -> Row:
    """As the server tells it."""
    return Row(kind, rate, crowd, int(found["count"]), found["p50"], found["p99"], found["p99.9"], found["max"], cores)


def bare(bootstrap: str, *, rate: int, seconds: float) -> Row:
    """What producer, broker and client take without any relay."""
    topic, late, has_ended = create(bootstrap), list[int](), threading.Event()
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic})
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(PARTITIONS)])

    def read() -> None:
        while not has_ended.is_set():
            message = consumer.poll(0.05)
            value: Any = None if message is None or message.error() else message.value()
            if value is None:
                continue
            now, (_, mark, rest) = time.time_ns(), value.partition(b'"due":"')
            if mark:
                late.append(now - int(rest[: rest.index(b"/")]))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    producer = Producer({"bootstrap.servers": bootstrap, **QUEUE})
    count = speak(producer, topic, crowd="uniform", rate=rate, seconds=seconds)
    until(lambda: len(late), [], lambda found: bool(found >= count))
    has_ended.set()
    thread.join()
    consumer.close()
    late.sort()
    p50, p99, p999 = (late[min(count - 1, int(count * share))] / 1e6 for share in (0.5, 0.99, 0.999))
    return Row("-", rate, "bare consumer", count, p50, p99, p999, late[-1] / 1e6, 0.0)


def page(rows: list[Row]) -> str:
    """The rows, and what the targets ask of them."""
    titles = ["API", "events/s", "sessions", "events", "p50 ms", "p99 ms", "p99.9 ms", "most ms", "cores of the relay"]
    lines = [
        [
            *(one.kind, f"{one.rate:,}", one.crowd, f"{one.count:,}"),
            *(f"{ms:.2f}" for ms in (one.p50, one.p99, one.p999, one.most)),
            f"{one.cores:.2f}" if one.cores else "-",
        ]
        for one in rows
    ]
    told = [f"{running.machine()} {SESSIONS:,} sessions, {PARTITIONS} partitions, 300 bytes, the API answers at once.", ""]
    told.append(running.table(titles, lines))
    p99 = {(one.kind, one.rate, one.crowd): one.p99 for one in rows}
    for kind, rate, crowd in p99:
        if crowd == "cold" and (kind, rate, "uniform") in p99:
            ratio = p99[kind, rate, "cold"] / p99[kind, rate, "uniform"]
            told.append(f"- {kind}, {rate:,}/s: the p99 of cold sessions is {ratio:.2f} times that of uniform ones (at most 2 is wanted)")
    return "\n".join(told) + "\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", default="500,2000")
    parser.add_argument("--crowds", default="uniform,zipf")
    parser.add_argument("--kinds", default="plain,tls")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--report", type=Path, help="keep the figures there, as .md and .json")
    arguments = parser.parse_args()
    compare.build_go()
    folder = Path(tempfile.mkdtemp(prefix="latency-"))
    rows: list[Row] = []
    with compare.broker() as bootstrap:
        for rate in (int(text) for text in arguments.rates.split(",")):
            rows.append(bare(bootstrap, rate=rate, seconds=arguments.seconds))
            for kind in arguments.kinds.split(","):
                for crowd in arguments.crowds.split(","):
                    rows += measure(bootstrap, folder, kind=kind, crowd=crowd, rate=rate, seconds=arguments.seconds)
    running.keep(arguments.report, page(rows), [asdict(one) for one in rows])


if __name__ == "__main__":
    main()

"""How long an event is on its way, from the moment when it is due to the moment when its request is at the API. Open loop.

    python bench/latency.py [--rates 500,2000] [--crowds uniform,zipf] [--kinds plain,tls] [--seconds 10]

A producer keeps its schedule whatever happens behind it, and each event says when it was due: so what waits because something else stood
still is counted with all of its waiting. The API server notes when the request of each has been read (`peers/server/arrivals.go`); both
live on this machine, and so by one clock. That includes producing, which waits for the broker as well, and not only the relay. So it is
also told how long each took from the moment when Kafka had it, by the time that Kafka notes, which is up to a millisecond early. The rows
`bare consumer` show what all this takes without a relay: the same events until a plain consumer in this process has them.

Of the Zipf crowd, `hot` are the hundredth of the sessions that speak most, `cold` all others. Sessions are opened, and events sent for
some seconds, before the first that counts; and the first run of all is left out, in which the broker, just started, compiles itself on the
cores that all share.
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
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition
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
    kept_p50: float  # from when Kafka had it
    kept_p99: float
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
    """A topic for one run, in which Kafka notes when it had each record."""
    return compare.create(bootstrap, f"latency-{time.time_ns()}", PARTITIONS, message_timestamp_type="LogAppendTime")


def measure(bootstrap: str, folder: Path, *, kind: str, crowd: str, rate: int, seconds: float) -> list[Row]:  # noqa: PLR0913  # each by its name
    """One relay, one crowd, one rate."""
    shape = compare.Shape("latency", is_tls=kind == "tls", partitions=PARTITIONS)
    arrivals = folder / "arrivals"
    api, topic = compare.Api(shape, folder, f"-arrivals={arrivals}"), create(bootstrap)
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
    finally:
        api.close()
    arrived = [(int(due), int(at), name) for due, at, name in map(str.split, arrivals.read_text("utf-8").splitlines())]
    had = dict(kept(bootstrap, topic, count))
    names = sorted({name for _, _, name in arrived})
    return [row(kind, rate, name, [(due, had[due], at) for due, at, whose in arrived if whose == name], cores) for name in names]


def kept(bootstrap: str, topic: str, count: int) -> Iterator[tuple[int, int]]:
    """When each event was due, and when Kafka had it."""
    consumer = reader(bootstrap, topic)
    while count:
        message = consumer.poll(10)
        assert message is not None, "Kafka keeps less than it was given"
        if due := due_in(message):
            yield due, message.timestamp()[1] * 1_000_000
            count -= 1
    consumer.close()


def reader(bootstrap: str, topic: str) -> Consumer:
    """A plain consumer of the whole topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(PARTITIONS)])
    return consumer


def due_in(message: Message) -> int:
    """When this event was due; 0 where it does not say."""
    value: Any = None if message.error() else message.value()
    _, mark, rest = value.partition(b'"due":"') if value else (b"", b"", b"")
    return int(rest[: rest.index(b"/")]) if mark else 0


def row(kind: str, rate: int, crowd: str, times: list[tuple[int, int, int]], cores: float) -> Row:
    """Of when each was due, when Kafka had it, and when it was there."""
    late, since = sorted(at - due for due, _, at in times), sorted(at - had for _, had, at in times)

    def share(ordered: list[int], below: float) -> float:
        return ordered[min(len(ordered) - 1, int(len(ordered) * below))] / 1e6

    quantiles = (*(share(late, below) for below in (0.5, 0.99, 0.999, 1)), share(since, 0.5), share(since, 0.99))
    return Row(kind, rate, crowd, len(times), *quantiles, cores)


def bare(bootstrap: str, *, rate: int, seconds: float) -> Row:
    """What producer, broker and client take without any relay."""
    topic, times, has_ended = create(bootstrap), list[tuple[int, int, int]](), threading.Event()
    consumer = reader(bootstrap, topic)

    def read() -> None:
        while not has_ended.is_set():
            message = consumer.poll(0.05)
            now = time.time_ns()
            if message is not None and (due := due_in(message)):
                times.append((due, message.timestamp()[1] * 1_000_000, now))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    producer = Producer({"bootstrap.servers": bootstrap, **QUEUE})
    count = speak(producer, topic, crowd="uniform", rate=rate, seconds=seconds)
    until(lambda: len(times), [], lambda found: bool(found >= count))
    has_ended.set()
    thread.join()
    consumer.close()
    return row("-", rate, "bare consumer", times, 0.0)


def page(rows: list[Row]) -> str:
    """The rows, and what the targets ask of them."""
    titles = [
        "API",
        "events/s",
        "sessions",
        "events",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "most ms",
        "p50 from Kafka on",
        "p99 from Kafka on",
        "cores of the relay",
    ]
    lines = [
        [
            *(one.kind, f"{one.rate:,}", one.crowd, f"{one.count:,}"),
            *(f"{ms:.2f}" for ms in (one.p50, one.p99, one.p999, one.most, one.kept_p50, one.kept_p99)),
            f"{one.cores:.2f}" if one.cores else "-",
        ]
        for one in rows
    ]
    told = [f"{running.machine()} {SESSIONS:,} sessions, {PARTITIONS} partitions, 300 bytes, the API answers at once.", ""]
    told.append(running.table(titles, lines))
    p99 = {(one.kind, one.rate, one.crowd): one.kept_p99 for one in rows}
    for kind, rate, crowd in p99:
        if crowd == "cold" and (kind, rate, "uniform") in p99:
            ratio = p99[kind, rate, "cold"] / p99[kind, rate, "uniform"]
            told.append(
                f"- {kind}, {rate:,}/s: from Kafka on cold sessions have {ratio:.2f} times the p99 of uniform ones (at most 2 is wanted)"
            )
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
    rates, kinds, crowds = [int(text) for text in arguments.rates.split(",")], arguments.kinds.split(","), arguments.crowds.split(",")
    with compare.broker() as bootstrap:
        measure(bootstrap, folder, kind=kinds[0], crowd=crowds[0], rate=rates[0], seconds=arguments.seconds)
        for rate in rates:
            rows.append(bare(bootstrap, rate=rate, seconds=arguments.seconds))
            for kind in kinds:
                for crowd in crowds:
                    rows += measure(bootstrap, folder, kind=kind, crowd=crowd, rate=rate, seconds=arguments.seconds)
    running.keep(arguments.report, page(rows), [asdict(one) for one in rows])


if __name__ == "__main__":
    main()

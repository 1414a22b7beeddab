"""What trouble costs: sessions that fail for ever, and a source that must pause.

    python bench/trouble.py [failing] [refetch] [--pairs 5] [--events 120000]

`failing`: every hundredth session is answered 500 for ever, against a run where none is, by turns. Told are CPU per event and events per
second of the others, from a tenth to nine tenths of them; the tries and the dead letters of those that fail are paid within.

`refetch`: the API is slower than Kafka, so that the buffer fills and the source pauses and goes on, again and again. Told is what the Kafka
client has fetched for the source, against what there was to handle: more than that was thrown away at a pause and fetched again.
"""

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import compare
import running
from processes import until

FAIL_EVERY: Final = 100
FIGURES: Final = ("microseconds_per_event", "events_per_second")
SLOW: Final = compare.Shape("slow", latency_ms=20, concurrency=160, events=300_000)
BUFFERS: Final = (100_000, 10_000)  # as by default, and a tenth of it


def failing(bootstrap: str, folder: Path, *, events: int, pairs: int) -> tuple[str, Any]:
    """Pairs of runs: none fails, one in a hundred does."""
    shape = compare.Shape("failing", events=events, is_tls=True)
    topic = compare.produce(bootstrap, shape)
    found: dict[str, list[running.Used]] = {"none": [], "one in a hundred": []}
    for number in range(pairs):
        for name, used in found.items():
            flags = [] if name == "none" else [f"-fail-sessions={FAIL_EVERY}"]
            used.append(one_failing(bootstrap, topic, shape, folder, flags))
            print(f"failing {number + 1}/{pairs} {name}: {used[-1]}", file=sys.stderr, flush=True)
    sound, ill = found.values()
    medians = {name: [statistics.median(getattr(one, figure) for one in used) for figure in FIGURES] for name, used in found.items()}
    rows = [[name, f"{cost:.1f}", f"{rate:,.0f}"] for name, (cost, rate) in medians.items()]
    cpu = statistics.median(b.microseconds_per_event / a.microseconds_per_event for a, b in zip(sound, ill, strict=True))
    rate = statistics.median(b.events_per_second / a.events_per_second for a, b in zip(sound, ill, strict=True))
    told = f"{events:,} events, 2,000 sessions, 12 partitions, 300 bytes, TLS, 256 under way; {pairs} pairs, medians.\n\n"
    told += running.table(["sessions that fail for ever", "µs CPU per event of the others", "events/s of the others"], rows)
    told += f"\nMedian of the pairs' ratios: CPU {cpu:.3f}, events/s {rate:.3f} (at least 0.95 is wanted).\n"
    return told, {name: [asdict(one) for one in used] for name, used in found.items()}


def one_failing(bootstrap: str, topic: str, shape: compare.Shape, folder: Path, flags: list[str]) -> running.Used:
    """A relay over the topic."""
    api = compare.Api(shape, folder, *flags)
    try:
        told = compare.environment("relay", shape, bootstrap, topic, api)
        with running.relay(told, folder / "failing.log") as process:
            return running.between(api, [process], *shape.counted(shape.events))
    finally:
        api.close()


def refetch(bootstrap: str, folder: Path, *, events: int) -> tuple[str, Any]:
    """A slow API with each buffer."""
    shape = replace(SLOW, events=events)
    topic = compare.produce(bootstrap, shape)
    rows = [one_slow(bootstrap, topic, shape, folder, buffer) for buffer in BUFFERS]
    handled = sum(len(key.encode()) + len(value.encode()) for key, value in compare.said(shape))
    told = f"{events:,} events ({handled / 2**20:.0f} MiB of keys and values, lz4), 12 partitions;"
    told += f" the API answers after {shape.latency_ms} ms, {shape.concurrency} under way.\n\n"
    titles = ["`RELAY_LIMITS__BUFFER_EVENTS_MAX`", "pauses", "records fetched ÷ handled", "bytes fetched ÷ handled", "MiB on the wire"]
    lines = [
        [f"{one['buffer']:,.0f}", f"{one['pauses']:.0f}", *(f"{share:.3f}" for share in (one["records"] / events, one["bytes"] / handled))]
        for one in rows
    ]
    for line, one in zip(lines, rows, strict=True):
        line.append(f"{one['wire_bytes'] / 2**20:.1f}")
    return told + running.table(titles, lines) + "\nAt most 1.1 is wanted.\n", {"handled_bytes": handled, "rows": rows}


def one_slow(bootstrap: str, topic: str, shape: compare.Shape, folder: Path, buffer: int) -> dict[str, float]:
    """A relay over the topic; what its client has fetched by the time all is handled."""
    api, notes = compare.Api(shape, folder), folder / f"notes-{buffer}.json"

    def noted() -> dict[str, float]:
        return json.loads(notes.read_text("utf-8")) if notes.exists() else {"records": 0.0}

    try:
        told = compare.environment("relay", shape, bootstrap, topic, api)
        told |= {"BENCH_NOTES": str(notes), "RELAY_LIMITS__BUFFER_EVENTS_MAX": str(buffer)}
        with running.relay(told, folder / f"slow-{buffer}.log", change="statistics") as process:
            running.wait(api, [process], shape.events)
            return until(noted, [process], lambda found: found["records"] >= shape.events) | {"buffer": float(buffer)}
    finally:
        api.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["failing", "refetch"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--events", type=int, default=120_000, help="for `failing`; `refetch` takes twice as many")
    parser.add_argument("--report", type=Path, help="keep the figures there, as .md and .json")
    arguments = parser.parse_args()
    compare.build_go()
    folder = Path(tempfile.mkdtemp(prefix="trouble-"))
    pages: list[str] = [running.machine()]
    figures: dict[str, Any] = {}
    with compare.broker() as bootstrap:
        if "failing" in arguments.parts:
            told, figures["failing"] = failing(bootstrap, folder, events=arguments.events, pairs=arguments.pairs)
            pages.append(told)
        if "refetch" in arguments.parts:
            told, figures["refetch"] = refetch(bootstrap, folder, events=arguments.events * 2)
            pages.append(told)
    running.keep(arguments.report, "\n\n".join(pages), figures)


if __name__ == "__main__":
    main()

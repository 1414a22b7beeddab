"""What reading an event costs in each format: CPU from the bytes of a record to the event, schemas known.

In: nothing. Out: a table. Nothing is fetched, routed or sent.

    python bench/formats.py
"""

import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from relay.core.events import Record
from relay.input.decoding import PlainJson
from relay.input.native import NativeInput
from relay.input.registered import Registered, prepare
from relay.input.registry import Schema
from relay.input.schemas import Schemas
from relay.sandbox import encoding
from relay.sandbox.crowd import crowd
from relay.sandbox.fake_registry import FakeRegistry, serving
from relay.sandbox.saying import Said
from relay.sandbox.shapes import Shape

ROUNDS = 5


class Known(Schemas[Any]):
    """Schemas of which all are known."""

    def __init__(self, schema: Schema) -> None:
        """One is enough."""
        self._one = prepare(schema)

    def find(self, schema_id: int | str, appended_at: float) -> Any:  # noqa: ARG002  # as the real one
        """The one."""
        return self._one


def cost(reader: NativeInput, records: list[Record]) -> float:
    """Microseconds of CPU for one event: the median of some rounds."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for record in records:
            reader.read(record)
        rounds.append((time.process_time() - began) / len(records) * 1e6)
    return statistics.median(rounds)


def main() -> int:
    """Measure and print."""
    said: list[Said] = [one for one in crowd(200, 1, Shape(), began_ms=1_700_000_000_000) if not one.is_poison]
    pings = [one for one in said if one.event_type == "ping"]
    Random(1).shuffle(said)  # noqa: S311  # an order, no secret
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    print(f"µs of CPU per event, median of {ROUNDS} rounds\n")
    print(f"{'format':24}{'all events':>12}{'pings':>12}{'bytes of a ping':>18}")
    schemas = {
        "avro": Schema("AVRO", json.dumps(encoding.AVRO), {}),
        "protobuf": Schema("PROTOBUF", encoding.PROTO, {}),
        "json-schema": Schema("JSON", json.dumps(encoding.JSON_SCHEMA), {}),
    }
    with serving(FakeRegistry()) as url:
        for form in ("json", "avro", "protobuf", "json-schema", "json-schema, unchecked"):
            name: Any = form.partition(",")[0]
            encode = (lambda one: one.value) if name == "json" else encoding.Encoding(name, url, "t")
            decoder = PlainJson() if name == "json" else Registered(Known(schemas[name]), form=name, checks_json=form == name)
            reader = NativeInput(decoder=decoder)
            rows = [[Record(place, key=one.record_key, value=encode(one)) for place, one in enumerate(some)] for some in (said, pings)]
            costs = [cost(reader, records) for records in rows]
            print(f"{form:24}{costs[0]:>12.1f}{costs[1]:>12.1f}{len(rows[1][0].value or b''):>18}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""What every test may ask for: a real Kafka, started once for the whole run and destroyed at its end."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # modules of the folders here serve tests, also those of others


SCRIPT = Path(__file__).parent / "kafka" / "kafka.sh"
PROPERTIES = {
    "auto.create.topics.enable": "false",  # what the relay needs it must create itself
    "group.consumer.heartbeat.interval.ms": "500",  # with KIP-848 the broker sets these, and a test should not wait for its defaults
    "group.consumer.session.timeout.ms": "6000",
    "group.initial.rebalance.delay.ms": "0",
}


@pytest.fixture(scope="session")
def real_kafka() -> Iterator[str]:
    """The bootstrap address of a real broker. Without Java, skip on a laptop and fail in the pipeline."""
    missing = [name for name in ("java", "mvn") if shutil.which(name) is None]
    if missing:
        sentence = f"a real Kafka needs {' and '.join(missing)}"
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    properties = ";".join(f"{name}={value}" for name, value in PROPERTIES.items())
    environment = {**os.environ, "KAFKA_INSTANCE": f"tests-{os.getpid()}", "KAFKA_PROPS": properties}
    started = subprocess.run([SCRIPT, "start"], env=environment, capture_output=True, text=True, check=False)  # noqa: S603  # our own
    try:
        if started.returncode != 0:
            pytest.fail(f"the broker does not start: {started.stderr}")
        yield started.stdout.split()[-1]
    finally:
        subprocess.run([SCRIPT, "destroy"], env=environment, check=True)  # noqa: S603  # our own

"""Processes of their own: started, watched and signalled by their own pid, and gone when the test is.

In: a command line, an environment, a folder for their logs. Out: `RelayProcess`, `ApiProcess`, `PlayersProcess`.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families
from system.waiting import wait_for

ROOT: Final = Path(__file__).parents[2]
START_SECONDS: Final = 30.0
TAIL_LINES: Final = 15
REQUEST_SECONDS: Final = 60.0
SCRAPE_SECONDS: Final = 20.0  # a machine with too much to do is slow to answer
COMPARE_SECONDS: Final = 600.0  # a million events


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(url: str, *, method: str = "GET", body: bytes | None = None, seconds: float = REQUEST_SECONDS) -> tuple[int, bytes]:
    """Ask a server on this machine: its status and its words."""
    request = urllib.request.Request(url, data=body, method=method)  # noqa: S310  # the callers write http://
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310  # likewise
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()


class Process:
    """One process. Its log is a file beside the others of the test."""

    def __init__(self, name: str, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        """Start it."""
        self.name = name
        self.log_file = folder / f"{name}.log"
        self.output_file = folder / f"{name}.out"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("RELAY_")}
        with self.log_file.open("wb") as log, self.output_file.open("wb") as output:
            self._popen = subprocess.Popen(  # noqa: S603  # our own code
                [sys.executable, *arguments],
                cwd=ROOT,
                env={**inherited, "PYTHONPATH": str(ROOT), **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=log,
            )
        self.pid = self._popen.pid
        self._is_frozen = False

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    @property
    def log(self) -> str:
        """What it said so far."""
        return self.log_file.read_text("utf-8", "replace")

    def log_tail(self) -> str:
        """The last of what it said, for a failure."""
        return "\n".join(self.log.splitlines()[-TAIL_LINES:])

    def log_lines(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of one event, where it logs JSON."""
        lines = (json.loads(line) for line in self.log.splitlines() if line.startswith("{") and line.endswith("}"))
        return [line for line in lines if line.get("event") == event]

    def moments_logged(self, event: str) -> list[float]:
        """When it said so, on the monotonic clock."""
        offset = time.time() - time.monotonic()
        return [datetime.fromisoformat(line["time"]).timestamp() - offset for line in self.log_lines(event)]

    def terminate(self) -> None:
        """SIGTERM."""
        self._popen.send_signal(signal.SIGTERM)

    def kill(self) -> float:
        """SIGKILL, and wait until it is gone. Returns the moment, on the clock that all processes share."""
        moment = time.monotonic()
        self._popen.kill()
        self._popen.wait(START_SECONDS)
        return moment

    def freeze(self) -> None:
        """SIGSTOP."""
        self._is_frozen = True
        self._popen.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._is_frozen = False
        self._popen.send_signal(signal.SIGCONT)

    def exit_code(self, seconds: float) -> int:
        """Wait until it has ended."""
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end within {seconds} s; it said\n{self.log_tail()}") from None

    def close(self) -> None:
        """See to it that it is gone."""
        if self.is_running:
            self._popen.kill()
        self._popen.wait(START_SECONDS)

    def rss_bytes(self) -> int:
        """The memory that it holds."""
        return int(self._status("VmRSS")) * 1024

    def thread_count(self) -> int:
        """Its threads."""
        return int(self._status("Threads"))

    def handle_count(self) -> int:
        """Its open files, sockets among them."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208  # names are enough; they are gone before anybody could look at them

    def _status(self, name: str) -> str:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return line.split()[1]
        raise AssertionError("no such process")


class Scrape:
    """The metrics of a relay at one moment."""

    def __init__(self, text: str) -> None:
        """Read the page."""
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """The sum of all samples of a name that have these labels."""
        return sum(sample.value for sample in self._samples if sample.name == name and labels.items() <= sample.labels.items())

    def partitions(self) -> set[int]:
        """The partitions that are its own."""
        return {int(sample.labels["partition"]) for sample in self._samples if sample.name == "relay_consumer_lag_seconds"}

    def events(self, outcome: str) -> int:
        """How many events were finished in this way."""
        return int(self.total("relay_events_total", outcome=outcome))


class RelayProcess(Process):
    """`relay run`."""

    def __init__(self, name: str, *, folder: Path, settings: Mapping[str, str]) -> None:
        """Start it with these settings, which are those of the environment."""
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.started_at = time.monotonic()
        environment = {"RELAY_ADMIN__HOST": "127.0.0.1", "RELAY_ADMIN__PORT": str(port), "RELAY_LOG__FORMAT": "json", **settings}
        super().__init__(name, ["-m", "relay", "run"], folder=folder, environment=environment)

    def health(self, path: str) -> tuple[int, dict[str, Any]]:
        """What `/livez` or `/readyz` answers; status 0 when nobody listens."""
        try:
            status, body = ask(self.url + path, seconds=5)
        except OSError:
            return 0, {}
        return status, json.loads(body)

    def is_ready(self) -> bool:
        """Whether `/readyz` says so. A relay that has ended never will."""
        assert self.is_running, f"{self.name} has ended with {self.exit_code(1)}; it said\n{self.log_tail()}"
        return self.health("/readyz")[0] == 200

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait until it is in the group."""
        wait_for(self.is_ready, f"{self.name} is ready", seconds)

    def scrape(self) -> Scrape:
        """Its metrics now."""
        return Scrape(ask(f"{self.url}/metrics", seconds=SCRAPE_SECONDS)[1].decode())

    def wait_until(self, fact: Callable[[Scrape], bool], name: str, seconds: float = START_SECONDS) -> None:
        """Wait for a fact that its metrics show."""
        wait_for(lambda: fact(self.scrape()), name, seconds)

    def wait_until_logged(self, event: str, seconds: float = START_SECONDS) -> None:
        """Wait until it has logged this."""
        wait_for(lambda: self.log_lines(event), f"{self.name} says: {event}", seconds)


class ApiProcess(Process):
    """A fake API that listens: `relay fake-api`, or the one of `watched_api.py`."""

    def __init__(self, name: str, *, folder: Path, faults: Sequence[str] = (), is_watched: bool = True) -> None:
        """Start it, and wait for its address."""
        arguments = [str(Path(__file__).with_name("watched_api.py"))] if is_watched else ["-m", "relay", "fake-api"]
        given = [argument for fault in faults for argument in ("--fault", fault)]
        super().__init__(name, [*arguments, "--port", "0", "--json", *given], folder=folder)
        self.url: str = json.loads(wait_for(self._first_line, "the fake API says where it listens", START_SECONDS))["url"]

    def _first_line(self) -> str:
        assert self.is_running, f"the fake API has ended; it said\n{self.log_tail()}"
        line, end, _ = self.output_file.read_text().partition("\n")
        return line if end else ""

    def tell(self, method: str, path: str, body: bytes | None = None) -> Any:
        """Ask one of its own endpoints."""
        status, answer = ask(self.url + path, method=method, body=body)
        assert status < 300, f"{method} {path}: {status} {answer[:500]!r}"
        return json.loads(answer) if answer else None

    def set_faults(self, *rules: str) -> None:
        """Put these faults in place of the former ones."""
        self.tell("PUT", "/_fake/faults", json.dumps(rules).encode())

    def compare(self, produced: bytes) -> dict[str, Any]:
        """The account, against what was produced."""
        status, answer = ask(f"{self.url}/_fake/compare", method="POST", body=produced, seconds=COMPARE_SECONDS)
        assert status == 200, f"{status} {answer[:500]!r}"
        account: dict[str, Any] = json.loads(answer)
        return account


class PlayersProcess(Process):
    """`relay simulate`: players at a steady pace, and a manifest of what Kafka confirmed."""

    def __init__(  # noqa: PLR0913  # settings, each by its name
        self, name: str, *, folder: Path, bootstrap: str, topic: str, sessions: int, rate: float, seed: int, shape: Mapping[str, float]
    ) -> None:
        """Let them play."""
        self._manifest = folder / f"{name}.manifest"
        shape_file = folder / f"{name}.shape"
        shape_file.write_text(json.dumps(dict(shape)))
        arguments = ["-m", "relay", "simulate", "--bootstrap-servers", bootstrap, "--topic", topic, "--json"]
        arguments += ["--sessions", str(sessions), "--rate", str(rate), "--seed", str(seed)]
        super().__init__(name, [*arguments, "--shape", str(shape_file), "--manifest", str(self._manifest)], folder=folder)

    def stop(self) -> None:
        """Let them end where they are."""
        if self.is_running:
            self.terminate()

    def finish(self, seconds: float) -> list[dict[str, Any]]:
        """Wait for their end: what Kafka confirmed, in the order of the topic's partitions."""
        code = self.exit_code(seconds)
        assert code == 0, f"the players ended with {code}: {self.log_tail()}"
        return [json.loads(line) for line in self._manifest.read_bytes().splitlines()]

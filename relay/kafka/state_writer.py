"""The writing half of the state topic: one producer, and one thread that hears what became of its writes.

In: memoirs, on the loop's thread. Out: nothing waits for Kafka here; whoever wants to know is called back on the loop's thread.

- The thread only listens. It leaves what it heard in a queue and wakes the loop once per round, however many writes that was.
- The client tries again by itself for as long as there is hope, in order and without doubling (idempotence). What it gives up on (the topic
  is gone, we may not write) is kept, the latest memoir of each session, and tried again at a slow pace.
- A producer that will never write again is replaced; one that only seems so is replaced once nothing of it is under way, since what it
  still held could arrive after what its successor writes.
"""

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Producer

from relay.core.events import SessionKey
from relay.kafka.client import ClientErrors, Properties, Seldom, error_in, not_configured
from relay.kafka.state_outbox import Outbox, Reports

log = logging.getLogger("relay.kafka.state_topic")

LISTEN_SECONDS: Final = 0.1  # how long the thread waits for news before it looks whether it is to end
LOOK_SECONDS: Final = 1.0  # between two looks at what has failed or takes too long
SLOW_SECONDS: Final = 5.0  # a write that is not confirmed after this counts as failing
HOPELESS_LOOKS: Final = 10  # in a row, all failing, before the producer itself is suspected
RENEW_SECONDS: Final = 5.0  # between two new producers

_MISSING: Final = "create the state topic, with as many partitions as the source topic; `relay check` shows the command"
_ADVICE: Final = {
    KafkaError.UNKNOWN_TOPIC_OR_PART: _MISSING,
    KafkaError._UNKNOWN_TOPIC: _MISSING,  # noqa: SLF001  # the library's public names
    KafkaError._UNKNOWN_PARTITION: _MISSING,  # noqa: SLF001
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "grant the relay's user READ and WRITE on the state topic",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "grant the relay's user IDEMPOTENT_WRITE on the cluster",
    KafkaError.MSG_SIZE_TOO_LARGE: "raise max.message.bytes of the state topic",
}


def advice(error: KafkaError) -> str:
    """What an operator may do about the state topic."""
    return _ADVICE.get(error.code(), "")


class StateWriter:
    """Writes memoirs, and tells once they are confirmed. To be used on the loop's thread."""

    def __init__(
        self, *, properties: Properties, errors: ClientErrors, headers: list[tuple[str, bytes]], loop: asyncio.AbstractEventLoop
    ) -> None:
        """Take the settings; the first write starts the thread. Raises `SettingsError` when the client refuses a property."""
        self.failures: dict[Outbox, str] = {}
        self._properties = properties
        self._errors = errors
        self._headers: list[tuple[str, str | bytes | None]] = list(headers)
        self._loop = loop
        self._reports: Reports = deque()
        self._outboxes: set[Outbox] = set()  # those with something in them
        self._crowded: set[Outbox] = set()  # those for which the client had no room
        self._line = _Line(self._properties, self._heard)
        self._look: asyncio.TimerHandle | None = None
        self._hopeless_looks = 0
        self._renewed_at = -RENEW_SECONDS
        self._is_closed = False
        self._seldom = Seldom()

    def write(self, outbox: Outbox, key: SessionKey, memoir: bytes | None) -> None:
        """Hand a memoir to the client, or keep it until there is room."""
        if outbox.backlog:
            outbox.backlog[key] = memoir
        else:
            self._hand_over(outbox, key, memoir)
        self._outboxes.add(outbox)
        if self._look is None and not self._is_closed:
            self._look = self._loop.call_later(LOOK_SECONDS, self._look_after)

    def forget(self, outbox: Outbox) -> None:
        """The partition is no longer ours: nobody needs to know of its failures."""
        self._recovered(outbox)
        if outbox.is_empty:
            self._outboxes.discard(outbox)

    def close(self, seconds_max: float) -> bool:
        """Wait, within the bound, for what is under way; then let go of the producer. Whether everything was written."""
        if self._is_closed:
            return True
        self._is_closed = True
        if self._look is not None:
            self._look.cancel()
        self._line.end(seconds_max)
        self._take_reports()
        left = sum(not outbox.is_empty for outbox in self._outboxes)
        if left:
            log.warning("memoirs left behind: their sessions go on from older ones", extra={"partitions": left})
        return not left

    def _hand_over(self, outbox: Outbox, key: SessionKey, memoir: bytes | None) -> bool:
        write = outbox.begin(key, memoir, self._loop.time(), self._reports)
        try:
            self._line.producer.produce(
                outbox.name,
                value=memoir,
                key=key.encode("utf-8", "surrogatepass"),  # a key that came within a value may hold half a pair
                partition=outbox.partition,
                headers=self._headers,
                on_delivery=write,
            )
        except BufferError:
            outbox.undo(write)
            self._crowded.add(outbox)
            return False
        except KafkaException as exception:
            outbox.undo(write)
            outbox.failure = self._failed(outbox, error_in(exception))
            return False
        return True

    def _take_up(self, outbox: Outbox) -> None:
        """Issue again what waits in the backlog, as far as there is room."""
        if not outbox.backlog or self._is_closed:
            return
        for key, memoir in list(islice(outbox.backlog.items(), outbox.stride)):
            del outbox.backlog[key]
            if not self._hand_over(outbox, key, memoir):
                return
        if not outbox.backlog:
            outbox.taken_up()

    # --- what became of the writes ----------------------------------------------------------------------------------------------------

    def _heard(self) -> None:
        """On the producer's thread: a round is over."""
        if self._reports:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
                self._loop.call_soon_threadsafe(self._take_reports)

    def _take_reports(self) -> None:
        touched: dict[Outbox, bool] = {}
        while self._reports:
            write, error = self._reports.popleft()
            outbox = write.outbox
            if error is None:
                outbox.report(write, "")
                touched[outbox] = True
            else:
                outbox.report(write, self._failed(outbox, error))
                touched.setdefault(outbox, False)
        crowded, self._crowded = self._crowded, set()
        for outbox in crowded:
            self._take_up(outbox)
        for outbox, has_success in touched.items():
            if has_success:
                self._hopeless_looks = 0
                outbox.lengthen_stride()
                self._take_up(outbox)
            if not outbox.failure:
                self._recovered(outbox)
            for then in outbox.due():
                then()
            if outbox.is_empty:
                self._outboxes.discard(outbox)

    def _failed(self, outbox: Outbox, error: KafkaError) -> str:
        hint = advice(error)
        cause = f"{error.str()}; {hint}" if hint else error.str()
        if not outbox.is_let_go:
            self._complain(outbox, cause)
        return cause

    def _complain(self, outbox: Outbox, cause: str) -> None:
        self.failures[outbox] = cause
        kept_back = self._seldom.count("failing")
        if kept_back is not None:
            fields = {"topic": outbox.name, "partition": outbox.partition, "cause": cause, "kept_back": kept_back}
            log.error("memoirs cannot be written", extra=fields)

    def _recovered(self, outbox: Outbox) -> None:
        if self.failures.pop(outbox, None) is not None and not self.failures:
            log.warning("memoirs are written again", extra={"topic": outbox.name})

    # --- a look now and then, while something is under way ----------------------------------------------------------------------------

    def _look_after(self) -> None:
        self._look = None
        late = self._loop.time() - SLOW_SECONDS
        if any(outbox.failure for outbox in self._outboxes):
            self._hopeless_looks += 1
        self._renew_if_needed()
        for outbox in list(self._outboxes):
            began_at = outbox.began_at
            self._take_up(outbox)
            if began_at is not None and began_at < late and not outbox.failure and not outbox.is_let_go:
                self._complain(outbox, f"Kafka has not confirmed a memoir for {SLOW_SECONDS:g} s: {self._errors.last or 'no answer'}")
            elif not outbox.failure:
                self._recovered(outbox)
        if self._outboxes:
            self._look = self._loop.call_later(LOOK_SECONDS, self._look_after)

    def _renew_if_needed(self) -> None:
        is_quiet = all(outbox.began_at is None for outbox in self._outboxes)
        fatal = self._line.fatal
        is_hopeless = self._hopeless_looks >= HOPELESS_LOOKS and is_quiet
        if not (fatal or is_hopeless) or self._loop.time() - self._renewed_at < RENEW_SECONDS:
            return
        self._renewed_at = self._loop.time()
        log.warning("a new producer for memoirs", extra={"cause": fatal or "nothing was written for long"})
        self._hopeless_looks = 0
        former, self._line = self._line, _Line(self._properties, self._heard)
        former.give_up()


class _Line:
    """A producer, and the thread that listens to it."""

    def __init__(self, properties: Properties, heard: Callable[[], None]) -> None:
        try:
            self.producer = Producer(properties)
        except KafkaException as exception:
            raise not_configured(exception) from exception
        self.fatal = ""  # why this producer will write nothing more
        self._heard = heard
        self._is_over = False
        self._thread = threading.Thread(target=self._listen, name="relay-memoirs", daemon=True)
        self._thread.start()

    def end(self, seconds_max: float) -> None:
        """Wait for what is under way, then stop."""
        with contextlib.suppress(KafkaException):  # a fatal error: nothing more will be written
            self.producer.flush(seconds_max)
        self.give_up()
        self._thread.join()

    def give_up(self) -> None:
        """What is still held is reported as failed; then the thread ends."""
        self._is_over = True
        self.producer.purge()  # else closing would wait for what it still holds

    def _listen(self) -> None:
        while not self._is_over or len(self.producer):
            try:
                self.producer.poll(LISTEN_SECONDS)
            except KafkaException as exception:
                # So the client says, once, that an error is fatal. From then on it keeps what it holds, and is silent about it.
                self.fatal = error_in(exception).str()
            self._heard()
        self.producer.close()
        self._heard()

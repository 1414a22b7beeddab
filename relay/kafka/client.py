"""What every Kafka client of the relay has in common: properties, what it logs, and what it says when something is wrong.

In: plain values from the settings. Out: librdkafka properties, with a log that speaks seldom and an error callback.

Left alone, each client writes about twenty lines a second to stderr while no broker can be reached.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from confluent_kafka import KafkaError, KafkaException

from relay.errors import SettingsError

log = logging.getLogger("relay.kafka.client")

Scalar: TypeAlias = str | int | float | bool
Properties: TypeAlias = dict[str, Any]  # values, a logger and callbacks, as the library takes them

SELDOM_SECONDS: Final = 30.0

_OWN_SETTING: Final = "it has a setting of its own under RELAY_KAFKA__"
_AT_LEAST_ONCE: Final = "delivery at least once rests on it"
_PROTECTED: Final[Mapping[str, str]] = {
    "bootstrap.servers": _OWN_SETTING,
    "metadata.broker.list": _OWN_SETTING,
    "group.id": _OWN_SETTING,
    "group.instance.id": _OWN_SETTING,
    "group.protocol": _OWN_SETTING,
    "enable.auto.commit": _AT_LEAST_ONCE,
    "auto.commit.enable": _AT_LEAST_ONCE,
    "enable.auto.offset.store": _AT_LEAST_ONCE,
    "auto.offset.reset": "a new group starts at the earliest record; to start elsewhere, set the offsets of the group before",
    "partition.assignment.strategy": "the relay needs cooperative-sticky, and KIP-848 has its own",
    "enable.idempotence": _AT_LEAST_ONCE,
    "transactional.id": "the relay uses no transactions",
    "message.timeout.ms": "a dead letter is tried until it is stored",
    "delivery.timeout.ms": "a dead letter is tried until it is stored",
    "message.max.bytes": "a dead letter keeps a value of 10 MB whole",
}
_ADVICE: Final[Mapping[int, str]] = {
    KafkaError._AUTHENTICATION: "check the sasl.* properties in RELAY_KAFKA__CLIENT",  # noqa: SLF001  # the library's public names
    KafkaError._SSL: "check the ssl.* properties in RELAY_KAFKA__CLIENT and the brokers' certificates",  # noqa: SLF001
    KafkaError._RESOLVE: "check RELAY_KAFKA__BOOTSTRAP_SERVERS and the names that the brokers advertise",  # noqa: SLF001
    KafkaError._ALL_BROKERS_DOWN: "check RELAY_KAFKA__BOOTSTRAP_SERVERS and the network",  # noqa: SLF001
    KafkaError.UNKNOWN_TOPIC_OR_PART: "create the topic, or correct RELAY_KAFKA__TOPICS; it is looked for until it is there",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "grant the relay's user READ on the topics, WRITE on the dead-letter topic",
    KafkaError.MSG_SIZE_TOO_LARGE: "raise max.message.bytes of the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "grant the relay's user READ on the group RELAY_KAFKA__GROUP_ID",
}


def advice(error: KafkaError) -> str:
    """What an operator may check, or nothing."""
    return _ADVICE.get(error.code(), "")


class Seldom:
    """Lets the first of a kind pass, and then one in so many seconds."""

    def __init__(self, seconds: float = SELDOM_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with everything allowed."""
        self._seconds = seconds
        self._clock = clock
        self._last: dict[str, float] = {}
        self._kept_back: dict[str, int] = {}

    def count(self, kind: str) -> int | None:
        """How many were kept back since the last that passed; None when this one is kept back too."""
        now = self._clock()
        last = self._last.get(kind)
        if last is not None and now - last < self._seconds:
            self._kept_back[kind] = self._kept_back.get(kind, 0) + 1
            return None
        self._last[kind] = now
        return self._kept_back.pop(kind, 0)


class ClientLog:
    """Stands where librdkafka expects a logger, and passes its lines on: constant name, text as a field, one of a kind in a while."""

    def __init__(self, client: str) -> None:
        """Name the client as the log shall show it."""
        self._client = client
        self._seldom = Seldom()

    def log(self, level: int, _pattern: str, facility: str, _instance: str, text: str) -> None:
        """Called by the library."""
        if facility == "CONFWARN":
            return  # one set of properties serves consumers and producers, so some of them always lie idle
        kept_back = self._seldom.count(facility)
        if kept_back is not None:
            log.log(level, "kafka client", extra={"client": self._client, "facility": facility, "text": text, "kept_back": kept_back})


class ClientErrors:
    """Hears of what goes wrong between calls; the library itself tries again."""

    def __init__(self, client: str) -> None:
        """Name the client as the log shall show it."""
        self.last = ""  # the latest error in words, for those who must explain a failure
        self._client = client
        self._seldom = Seldom()

    def __call__(self, error: KafkaError) -> None:
        """Called by the library."""
        self.last = error.str()
        kept_back = self._seldom.count(error.name())
        if kept_back is not None:
            fields = {"client": self._client, "code": error.name(), "text": self.last, "advice": advice(error), "kept_back": kept_back}
            log.warning("kafka error", extra=fields)


def properties(
    client: str, *, bootstrap_servers: str, extra: Mapping[str, Scalar], ours: Mapping[str, Scalar], errors: ClientErrors | None = None
) -> Properties:
    """Properties of one client: ours, the operator's above them, and what is not to be changed on top."""
    refuse_protected(extra, _PROTECTED)
    merged: Properties = {"client.id": "relay", **ours, **extra, "bootstrap.servers": bootstrap_servers}
    for name, value in merged.items():
        if isinstance(value, bool):
            merged[name] = "true" if value else "false"
    return merged | {"logger": ClientLog(client), "error_cb": errors or ClientErrors(client)}


def refuse_protected(extra: Mapping[str, Scalar], protected: Mapping[str, str]) -> None:
    """An operator's property that would break what the relay promises stops the start."""
    for name in extra:
        if name in protected:
            raise SettingsError(f"RELAY_KAFKA__CLIENT: leave out {name}: {protected[name]}")


def error_in(exception: KafkaException) -> KafkaError:
    """The error that an exception of the library carries."""
    error = exception.args[0] if exception.args else None
    return error if isinstance(error, KafkaError) else KafkaError(KafkaError._FAIL, str(exception))  # noqa: SLF001


def not_configured(exception: KafkaException) -> SettingsError:
    """The library refuses a property: say which."""
    return SettingsError(f"RELAY_KAFKA__CLIENT: {error_in(exception).str()}")

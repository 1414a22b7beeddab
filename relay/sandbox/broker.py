"""A Kafka broker inside this process: librdkafka's own stand-in, reached on loopback by any Kafka client.

In: the topics to begin with. Out: a bootstrap address, good until `stop`.

What it does: produce and consume, consumer groups of both protocols, commits with metadata, topics that appear when somebody asks for them
(with four partitions). What it does not:

- keep more than 5 MiB of a partition, or 100,000 batches: what is older vanishes, so a consumer has to keep up with what is produced;
- rebalance a classic group quickly: after the first join, each join or leave holds the group for its `session.timeout.ms` less one second
  (45 s by default), so a test that restarts a consumer lowers it, or uses `group.protocol=consumer`, which has no such wait;
- create topics through an admin client (the request is never answered), so name those that need a number of partitions at the start;
- compact, store anything beyond `stop`, ask for credentials, or treat transactions as a real broker would.

It is called through ctypes, because the Python client offers the stand-in only with its defaults: four partitions, and three seconds of
waiting before a new consumer group receives anything. Functions are looked up through the client's own extension module, which is linked
against librdkafka, so that no file name of a wheel has to be known.
"""

import contextlib
import ctypes
from collections.abc import Generator, Mapping, Sequence
from typing import Final

from confluent_kafka import cimpl

from relay.errors import RelayError

PARTITIONS_MAX: Final = 1_000

_PRODUCER: Final = 0  # RD_KAFKA_PRODUCER; the stand-in needs some client to belong to
_ERROR_BYTES: Final = 512
_HANDLE: Final = ctypes.c_void_p

# name → what it returns, what it takes; from librdkafka's rdkafka.h and rdkafka_mock.h
_FUNCTIONS: Final[Mapping[str, tuple[type | None, Sequence[type]]]] = {
    "rd_kafka_conf_new": (_HANDLE, ()),
    "rd_kafka_conf_destroy": (None, (_HANDLE,)),
    "rd_kafka_conf_set_log_cb": (None, (_HANDLE, _HANDLE)),
    "rd_kafka_new": (_HANDLE, (ctypes.c_int, _HANDLE, ctypes.c_char_p, ctypes.c_size_t)),
    "rd_kafka_destroy": (None, (_HANDLE,)),
    "rd_kafka_mock_cluster_new": (_HANDLE, (_HANDLE, ctypes.c_int)),
    "rd_kafka_mock_cluster_destroy": (None, (_HANDLE,)),
    "rd_kafka_mock_cluster_bootstraps": (ctypes.c_char_p, (_HANDLE,)),
    "rd_kafka_mock_topic_create": (ctypes.c_int, (_HANDLE, ctypes.c_char_p, ctypes.c_int, ctypes.c_int)),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, (_HANDLE, ctypes.c_int32)),
}


class NoEmbeddedBroker(RelayError):  # noqa: N818  # it names what was found
    """The embedded broker cannot run here."""


class EmbeddedBroker:
    """One broker of one cluster. Start it once; stop it after its clients are closed, for they lose it without a word."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._librdkafka: ctypes.CDLL | None = None
        self._client: int | None = None
        self._cluster: int | None = None

    def start(self, topics: Sequence[str] = (), *, partitions: int = 4) -> str:
        """Listen on a free port of loopback, create the topics, and return the address for `bootstrap.servers`."""
        if self._cluster is not None:
            raise NoEmbeddedBroker("the embedded broker runs already")
        if not 1 <= partitions <= PARTITIONS_MAX:
            raise NoEmbeddedBroker(f"a topic has 1 to {PARTITIONS_MAX} partitions, not {partitions}")
        self._librdkafka = library = _load()
        self._client = _new_client(library)
        self._cluster = library.rd_kafka_mock_cluster_new(self._client, 1)
        if self._cluster is None:
            self.stop()
            raise NoEmbeddedBroker("librdkafka could not open a port on loopback for its embedded broker")
        # A new group is answered at once instead of after three seconds in which it hopes for more members.
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        for topic in topics:
            if library.rd_kafka_mock_topic_create(self._cluster, topic.encode(), partitions, 1) != 0:
                self.stop()
                raise NoEmbeddedBroker(f"the embedded broker refuses the topic {topic!r}: is it named twice?")
        address: bytes = library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return address.decode()

    def stop(self) -> None:
        """Close the port and forget everything. Stopping twice is stopping once."""
        library = self._librdkafka
        if library is None:
            return
        if self._cluster is not None:
            library.rd_kafka_mock_cluster_destroy(self._cluster)
        if self._client is not None:
            library.rd_kafka_destroy(self._client)
        self._librdkafka = self._client = self._cluster = None


@contextlib.contextmanager
def embedded_broker(topics: Sequence[str] = (), *, partitions: int = 4) -> Generator[str]:
    """Run a broker for the length of a `with` block, which receives its address."""
    broker = EmbeddedBroker()
    try:
        yield broker.start(topics, partitions=partitions)
    finally:
        broker.stop()


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(cimpl.__file__)
    for name, (result, arguments) in _FUNCTIONS.items():
        try:
            function = getattr(library, name)
        except AttributeError as error:
            raise NoEmbeddedBroker(f"this build of the Kafka client does not offer {name}: use a real broker") from error
        function.restype, function.argtypes = result, arguments
    return library


def _new_client(library: ctypes.CDLL) -> int:
    settings = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set_log_cb(settings, None)  # else it writes its own lines to stderr
    error = ctypes.create_string_buffer(_ERROR_BYTES)
    client: int | None = library.rd_kafka_new(_PRODUCER, settings, error, _ERROR_BYTES)
    if client is None:
        library.rd_kafka_conf_destroy(settings)  # it belongs to the client only once there is one
        raise NoEmbeddedBroker(f"librdkafka does not start: {error.value.decode(errors='replace')}")
    return client

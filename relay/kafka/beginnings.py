"""Whether the client reads what was released to it. A partition that it never began to read is assigned to it once more.

In: partitions that are released, and what comes of them. Out: questions and orders to the client.

What the client is told about a partition is numbered before it is queued. Of two orders from two threads the one with the lower number
may come to stand behind the other, and is dropped as outdated (librdkafka's issues 2190 and 5591). When that is the client's own order to
begin, which comes late where a commit or the leaving of other partitions is waited for, the partition is never read, and nobody says so:
not even its lag is known.

So a partition of which nothing comes is sought to where it begins anyway: once, for most are just quiet. The client refuses that if it
never began.
"""

from collections.abc import Iterable
from contextlib import suppress
from logging import getLogger
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from relay.kafka.client import error_in
from relay.kafka.reports import Place

log = getLogger("relay.kafka.source")

SILENT_SECONDS: Final = 3.0  # after a release; the client may wait for an answer of Kafka meanwhile, so each time it gets twice as long
SILENT_SECONDS_MAX: Final = 60.0
_NEVER_BEGAN: Final = KafkaError._STATE  # noqa: SLF001  # the library's public name


class Beginnings:
    """The partitions that were released and of which nothing has come yet. Used by the source's thread."""

    def __init__(self) -> None:
        """Nothing is released."""
        self._begins: dict[Place, TopicPartition] = {}
        self._waiting: dict[Place, tuple[float, float]] = {}  # when to look, and how long it is until the next look

    def assigned(self, begin: TopicPartition) -> None:
        """Here the client begins."""
        self._begins[begin.topic, begin.partition] = begin

    def released(self, places: Iterable[Place], now: float) -> None:
        """These are to be read from now on."""
        self._waiting.update({place: (now + SILENT_SECONDS, SILENT_SECONDS) for place in places if place in self._begins})

    def came(self, place: Place) -> None:
        """Records of it came."""
        if self._begins.pop(place, None) is not None:
            self._waiting.pop(place, None)

    def forget(self, places: Iterable[Place]) -> None:
        """These are no longer ours."""
        for place in places:
            self.came(place)

    def begin_again(self, consumer: Consumer, place: Place, first: int) -> None:
        """Records of it came too early, the first of them at this offset: have them come once more."""
        error = _seek(consumer, self._begins.get(place) or TopicPartition(*place, first))
        if error is not None and error.code() != _NEVER_BEGAN:
            raise KafkaException(error)

    def look(self, consumer: Consumer, now: float, *, has_more: bool) -> None:
        """Ask after those of which nothing comes. To seek throws away what was fetched: that may be theirs, while the client has more."""
        patience = SILENT_SECONDS_MAX if has_more else 0.0
        for place in [place for place, (look_at, _) in self._waiting.items() if now >= look_at + patience]:
            begin = self._begins[place]
            error = _seek(consumer, begin)
            if error is None:
                self.came(place)
                continue
            seconds = min(2 * self._waiting[place][1], SILENT_SECONDS_MAX)
            self._waiting[place] = now + seconds, seconds
            if error.code() == _NEVER_BEGAN:
                fields = {"topic": begin.topic, "partition": begin.partition}
                log.warning("the client has not begun to read a partition: it is told again", extra=fields)
                for order in (consumer.incremental_unassign, consumer.incremental_assign):
                    with suppress(KafkaException):  # it may not know of the partition, or be between two generations: the next look tells
                        order([begin])


def _seek(consumer: Consumer, to: TopicPartition) -> KafkaError | None:
    """Why the client refuses to; `_NEVER_BEGAN` where it has not begun to read."""
    try:
        consumer.seek(to)
    except KafkaException as exception:
        return error_in(exception)
    return None

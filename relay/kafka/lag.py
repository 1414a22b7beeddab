"""How many offsets of our partitions are not committed yet.

In: what was committed, and what the brokers said about the ends of the partitions. Out: a count for each partition.

The ends come with the records that are fetched, at no cost. While everything stands still none are fetched, which is just when operators
want to see the lag grow: so the brokers are asked, in one question for all and with a short wait.
"""

from collections.abc import Iterable
from typing import Final

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from relay.kafka.reports import Place

MEASURE_SECONDS: Final = 1.0
ASK_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 0.5


class Lag:
    """The count of what is left. Used by the source's thread, but for `messages`, `offsets` and `ends`."""

    def __init__(self) -> None:
        """Nothing is ours, nothing is left."""
        self.messages: dict[Place, int] = {}  # replaced as a whole, never altered
        self.offsets: dict[Place, int] = {}  # likewise
        self.ends: dict[Place, int] = {}  # likewise
        self._committed: dict[Place, int] = {}
        self._ends: dict[Place, int] = {}
        self._measured_at = self._asked_at = float("-inf")

    def committed(self, place: Place, offset: int) -> None:
        """Everything below the offset is finished."""
        self._committed[place] = offset

    def forget(self, places: Iterable[Place]) -> None:
        """These are no longer ours."""
        for place in places:
            self._committed.pop(place, None)
            self._ends.pop(place, None)

    def measure(self, consumer: Consumer, places: list[Place], now: float, *, is_standing: bool) -> None:
        """Count anew, if it is time to."""
        if now - self._measured_at < MEASURE_SECONDS:
            return
        self._measured_at = now
        if not is_standing:
            self._ends.clear()
        elif places and now - self._asked_at >= ASK_SECONDS:
            self._asked_at = now
            self.ask(consumer, places)
        messages: dict[Place, int] = {}
        ends: dict[Place, int] = {}
        for place in places:
            low, high = consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            end = max(high, self._ends.get(place, high))
            if end >= 0:
                ends[place] = end
                messages[place] = max(0, end - self._committed.get(place, max(low, 0)))
        self.messages, self.ends = messages, ends
        self.offsets = dict(self._committed)

    def ask(self, consumer: Consumer, places: Iterable[Place]) -> None:
        """Ask the brokers where these end."""
        try:
            found = consumer.offsets_for_times([TopicPartition(*place, OFFSET_END) for place in places], timeout=ANSWER_SECONDS)
        except KafkaException:
            return  # what was known still stands, and the next question may be answered
        self._ends.update({(one.topic, one.partition): one.offset for one in found if one.error is None})

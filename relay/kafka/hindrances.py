"""What Kafka does not let us do at present: be a member of the group, commit, or read a topic. For `/readyz`: only operators can mend it.

In: what the consumer is told, and a look at the topics now and then. Out: a sentence, empty while nothing stands in the way.

The client tells once that a topic may not be read, and never that it may be again. So a topic counts as hindered until records of it come,
but only while something stands in it that we have not read, or Kafka does not tell where it ends.
"""

from collections.abc import Collection, Mapping
from typing import Final

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

from relay.kafka.client import advice
from relay.kafka.reports import Place

ASK_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 0.5
STRAGGLERS_SECONDS: Final = 1.0  # after a refusal, records still come that were fetched before it

_OF_GROUP: Final = frozenset({KafkaError.GROUP_AUTHORIZATION_FAILED})
_OF_TOPIC: Final = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.UNKNOWN_TOPIC_ID})


class Hindrances:
    """What stands in the way. Used by the source's thread, but for `words`."""

    def __init__(self) -> None:
        """Nothing stands in the way."""
        self.words = ""
        self._group = ""
        self._topics: dict[str, tuple[str, float]] = {}  # what was said, and when
        self._unread: frozenset[str] = frozenset()  # of those the ones of which something is to be read
        self._asked_at = float("-inf")

    def refused(self, error: KafkaError, topic: str | None, now: float) -> None:
        """Kafka has refused something."""
        hint = advice(error)
        words = f"{error.str()}; {hint}" if hint else error.str()
        if error.code() in _OF_GROUP:
            self._group = words
        elif topic is not None and error.code() in _OF_TOPIC:
            self._topics[topic] = (words, now)
            self._unread |= {topic}
        self._sum_up()

    def served(self) -> None:
        """The group has us: it gave us partitions, or took a commit."""
        if self._group:
            self._group = ""
            self._sum_up()

    def came(self, topics: Collection[str], now: float) -> None:
        """Records of these topics came."""
        if not self._topics:
            return
        for topic in topics:
            if topic in self._topics and now - self._topics[topic][1] > STRAGGLERS_SECONDS:
                del self._topics[topic]
        self._sum_up()

    def look(self, consumer: Consumer, following: Mapping[Place, int], places: Collection[Place], now: float) -> None:
        """Ask whether there is anything to read in the topics that were refused; `following` are the offsets after what was read."""
        if not self._topics or now - self._asked_at < ASK_SECONDS:
            return
        self._asked_at = now
        self._unread = frozenset(
            topic
            for topic in self._topics
            if _has_more(consumer, {place: following.get(place, 0) for place in places if place[0] == topic}, topic)
        )
        self._sum_up()

    def _sum_up(self) -> None:
        self.words = self._group or next((words for topic, (words, _) in self._topics.items() if topic in self._unread), "")


def _has_more(consumer: Consumer, following: Mapping[Place, int], topic: str) -> bool:
    """Whether the topic holds more than was read, as far as we may know."""
    try:
        if not following:  # none of it is ours: perhaps it is all somebody else's, perhaps it is not there
            found = consumer.list_topics(topic, timeout=ANSWER_SECONDS).topics.get(topic)
            return found is None or found.error is not None
        ends = consumer.offsets_for_times([TopicPartition(*place, OFFSET_END) for place in following], timeout=ANSWER_SECONDS)
    except KafkaException:
        return True
    return any(one.error is not None or one.offset > following[one.topic, one.partition] for one in ends)

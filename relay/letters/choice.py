"""Which letters are meant: by reason, session, place and time.

In: what was asked for. Out: whether a letter is meant. Nothing asked for means all.
"""

import msgspec

from relay.letters.stored import StoredLetter


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; each that is given must hold."""

    reasons: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    topic: str | None = None  # the source topic
    partition: int | None = None  # of the source topic, like the offsets
    offset_from: int = 0
    offset_to: int | None = None  # included
    since_ms: int = 0  # set aside at or after this, and before the next
    until_ms: int | None = None

    def means(self, letter: StoredLetter) -> bool:
        """Whether this letter is meant."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.sessions or letter.session in self.sessions)
            and self.topic in (None, letter.topic)
            and self.partition in (None, letter.partition)
            and letter.record.offset >= self.offset_from
            and (self.offset_to is None or letter.record.offset <= self.offset_to)
            and letter.set_aside_at >= self.since_ms
            and (self.until_ms is None or letter.set_aside_at < self.until_ms)
        )

"""One partition of the state topic while it is read: records in, the memoir that counts of each session out.

In: messages, in the order of the log. Out: one memoir for each session that is not over, and what was skipped, by cause.

Of several memoirs of a session the highest place in the log wins, and a tombstone ends what came before it. What is not understood, or not
ours, is skipped: a session that is not known is opened again, while a reader that stumbles would stop everything.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from confluent_kafka import Message

from relay.core import memoir as memoirs
from relay.core.events import SessionKey
from relay.core.memoir import Memoir, NoMemoir

Found: TypeAlias = Callable[[list[tuple[SessionKey, Memoir | None]]], None]

GROUP_HEADER: Final = "relay.group"


class Reading:
    """One partition that is being read."""

    def __init__(self, name: str, partition: int, found: Found, done: Callable[[], None]) -> None:
        """Name the state topic and the partition."""
        self.name = name
        self.partition = partition
        self.found = found
        self.done = done
        self.sessions: dict[SessionKey, Memoir] = {}
        self.skipped: dict[str, int] = {}
        self.record_count = 0
        self.is_let_go = False
        self.is_assigned = False
        self.again_at = 0.0

    def take(self, message: Message, group: bytes) -> None:
        """One record of the partition, in the order of the log."""
        self.record_count += 1
        owner = group_of(message)
        key = message.key()
        if owner is not None and owner != group:
            self._skip("another group")
            return
        if key is None:
            self._skip("no key")
            return
        try:
            session = SessionKey(key.decode("utf-8", "surrogatepass"))
        except UnicodeDecodeError:
            self._skip("key not understood")
            return
        value = message.value()
        if value is None:
            self.sessions.pop(session, None)
            return
        try:
            memoir = memoirs.read(value)
        except NoMemoir as error:
            self._skip(str(error))
            return
        former = self.sessions.get(session)
        if former is None or memoir.at >= former.at:
            self.sessions[session] = memoir

    def _skip(self, cause: str) -> None:
        self.skipped[cause] = self.skipped.get(cause, 0) + 1


def group_of(message: Message) -> bytes | None:
    """The group that wrote a record, as far as it says so."""
    try:
        headers = message.headers()
    except (SystemError, UnicodeDecodeError):  # so the client says that the name of a header is not UTF-8: none of ours
        return None
    if not headers:
        return None
    for name, value in headers.items() if isinstance(headers, dict) else headers:
        if name == GROUP_HEADER:
            return value.encode() if isinstance(value, str) else value
    return None

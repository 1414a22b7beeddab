"""The parts of a running relay that others look at, together."""

from typing import NamedTuple

from relay.api.credentials import Tokens
from relay.core.router import Router
from relay.kafka.dead_letters import DeadLetters
from relay.kafka.source import Source
from relay.kafka.state_topic import MemoryState, StateTopic
from relay.pump import Pump


class Parts(NamedTuple):
    """All that has something to tell of itself."""

    router: Router
    pump: Pump
    source: Source
    letters: DeadLetters
    memoirs: StateTopic | MemoryState
    tokens: Tokens | None = None  # where a gateway asks for them

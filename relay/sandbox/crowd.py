"""Many simulated players at once, in the order of time.

In: how many, a seed, a shape, the moment at which the first of them may begin. Out: what they say, the same bytes for the same arguments.

Nothing is kept of what was said: a crowd costs memory for those who are watching, whatever its size.
"""

import heapq
from collections.abc import Iterator
from random import Random

from relay.sandbox.players import play
from relay.sandbox.saying import Said
from relay.sandbox.shapes import Shape


def crowd(sessions: int, seed: int, shape: Shape, *, began_ms: int) -> Iterator[Said]:
    """Everything that so many players say, in the order of time. The same arguments give the same bytes."""
    waiting: list[tuple[int, int, Said, Iterator[Said]]] = []  # the next event of each who is watching, earliest first
    for index, session_began_ms in enumerate(_begins(sessions, seed, shape, began_ms)):
        while waiting and waiting[0][0] < session_began_ms:
            yield _advance(waiting)
        key = f"player-{seed}-{index:06d}"
        player = play(key, Random(key), shape, session_began_ms)  # noqa: S311  # it draws habits, not secrets
        first = next(player)
        heapq.heappush(waiting, (first.ts, index, first, player))
    while waiting:
        yield _advance(waiting)


def _begins(sessions: int, seed: int, shape: Shape, began_ms: int) -> Iterator[int]:
    """When each session begins: one in each slot of the ramp, at a random place of it, so they come in order without sorting."""
    random = Random(seed)  # noqa: S311  # likewise
    slot_ms = shape.ramp_up_seconds * 1000 / max(1, sessions)
    for index in range(sessions):
        yield began_ms + int((index + random.random()) * slot_ms)


def _advance(waiting: list[tuple[int, int, Said, Iterator[Said]]]) -> Said:
    _, index, said, player = waiting[0]
    following = next(player, None)
    if following is None:
        heapq.heappop(waiting)
    else:
        heapq.heapreplace(waiting, (following.ts, index, following, player))
    return said

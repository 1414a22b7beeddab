"""Which partitions are ours now, since when, and which of them are paused at the client.

In: what is assigned, released and taken. Out: what to pause and what to resume, each exactly once.

The client forgets nothing: a partition that was paused stays so when it is taken and comes back, and to resume one that was not paused
makes it read the log again. So the account is kept here, and the client is only told of differences.
"""

from collections.abc import Iterable, Mapping

from relay.kafka.reports import Place


class Holdings:
    """The account of the partitions that are ours."""

    __slots__ = ("_held", "_paused", "_serials", "last_serial")

    def __init__(self) -> None:
        """Nothing is ours."""
        self.last_serial = 0
        self._serials: dict[Place, int] = {}
        self._held: set[Place] = set()
        self._paused: set[Place] = set()

    def __contains__(self, place: object) -> bool:
        """Whether a partition is ours."""
        return place in self._serials

    @property
    def places(self) -> list[Place]:
        """All that is ours."""
        return list(self._serials)

    def add(self, places: Iterable[Place]) -> Mapping[Place, int]:
        """These are ours from now on, and held; they are paused at the client already. Returns the serial number of each assignment."""
        added: dict[Place, int] = {}
        for place in places:
            self.last_serial += 1
            added[place] = self.last_serial
            self._held.add(place)
            self._paused.add(place)
        self._serials.update(added)
        return added

    def remove(self, places: Iterable[Place]) -> None:
        """These are no longer ours."""
        for place in places:
            self._serials.pop(place, None)
            self._held.discard(place)
            self._paused.discard(place)

    def release(self, place: Place, serial: int) -> None:
        """A held partition may be read, if it is still the same assignment."""
        if self.is_current(place, serial):
            self._held.discard(place)

    def is_held(self, place: Place) -> bool:
        """Whether it is not to be read yet."""
        return place in self._held

    def is_current(self, place: Place, serial: int) -> bool:
        """Whether this assignment of the partition is the present one."""
        return self._serials.get(place) == serial

    def is_older_than(self, place: Place, serial: int) -> bool:
        """Whether the partition is ours and was so already when that serial number was the last."""
        own = self._serials.get(place)
        return own is not None and own <= serial

    def settle(self, *, is_stopped: bool) -> tuple[list[Place], list[Place]]:
        """What to pause and what to resume at the client, so that everything stands still, or only what is held."""
        wanted = set(self._serials) if is_stopped else self._held
        pause, resume = list(wanted - self._paused), list(self._paused - wanted)
        self._paused = set(wanted)
        return pause, resume

"""The bookkeeping of one partition's writes: nothing old overwrites something newer, and nobody is called too early."""

from collections import deque
from typing import Any

import pytest

from relay.core.events import SessionKey
from relay.kafka.state_outbox import Outbox, Write

PLAYER = SessionKey("player")
OTHER = SessionKey("other")


class Sender:
    """Stands where the writer would."""

    def __init__(self) -> None:
        """Begin with one partition."""
        self.outbox = Outbox("sessions", 0)
        self.called: list[str] = []

    def begin(self, key: SessionKey, memoir: bytes | None) -> Write:
        """Hand a memoir to the client."""
        return self.outbox.begin(key, memoir, 0.0, deque())

    def report(self, write: Write, cause: str = "") -> None:
        """The client reports, and whoever is due is called."""
        self.outbox.report(write, cause)
        self.call()

    def again(self) -> list[Write]:
        """Issue the backlog again."""
        backlog = dict(self.outbox.backlog)
        self.outbox.backlog.clear()
        writes = [self.begin(key, memoir) for key, memoir in backlog.items()]
        self.outbox.taken_up()
        return writes

    def wait(self, name: str) -> None:
        """Somebody waits for what was written so far."""
        self.outbox.wait(lambda: self.called.append(name))

    def call(self) -> None:
        """Call whoever is due."""
        for then in self.outbox.due():
            then()


@pytest.fixture
def sender() -> Any:
    """A partition with nothing under way."""
    return Sender()


def test_who_waits_is_called_after_what_came_before(sender: Any) -> None:
    """Each is called once all earlier writes are confirmed, in order."""
    first = sender.begin(PLAYER, b"1")
    sender.wait("after the first")
    second = sender.begin(PLAYER, b"2")
    sender.wait("after the second")
    sender.report(first)
    assert sender.called == ["after the first"]
    sender.report(second)
    assert sender.called == ["after the first", "after the second"]
    assert sender.outbox.is_empty


def test_reports_may_come_in_any_order(sender: Any) -> None:
    """Nobody is called while an earlier write is not reported, though a later one is."""
    first, second = sender.begin(PLAYER, b"1"), sender.begin(OTHER, b"2")
    sender.wait("both")
    sender.report(second)
    assert sender.called == []
    sender.report(first)
    assert sender.called == ["both"]


def test_what_failed_is_written_again(sender: Any) -> None:
    """Who waits, waits for the second attempt; then the failure is over."""
    first = sender.begin(PLAYER, b"1")
    sender.wait("written")
    sender.report(first, "the topic is gone")
    assert sender.called == []
    assert sender.outbox.failure == "the topic is gone"
    assert sender.outbox.backlog == {PLAYER: b"1"}
    (second,) = sender.again()
    assert sender.called == []
    sender.report(second)
    assert sender.called == ["written"]
    assert sender.outbox.failure == ""


def test_an_old_memoir_never_overwrites_a_newer_one(sender: Any) -> None:
    """An old memoir that fails after a newer one left is let go of, whether or not the newer one has arrived."""
    first, second = sender.begin(PLAYER, b"1"), sender.begin(PLAYER, b"2")
    sender.report(first, "timed out")
    assert sender.outbox.backlog == {}
    sender.report(second)
    assert sender.outbox.is_empty


def test_a_newer_memoir_takes_the_place_of_one_that_waits(sender: Any) -> None:
    """While one waits to be written again, only the newest of each session is kept."""
    first = sender.begin(PLAYER, b"1")
    sender.outbox.backlog[PLAYER] = b"2"
    sender.report(first, "timed out")
    assert sender.outbox.backlog == {PLAYER: b"2"}


def test_both_fail_and_the_newer_one_stays(sender: Any) -> None:
    """Two memoirs of a session fail: the newer one is written again."""
    first, second = sender.begin(PLAYER, b"1"), sender.begin(PLAYER, None)
    sender.report(second, "refused")
    sender.report(first, "refused")
    assert sender.outbox.backlog == {PLAYER: None}


def test_what_the_client_has_no_room_for_waits(sender: Any) -> None:
    """It is as if it had not been handed over; an earlier memoir of the session that fails then does not come back."""
    first = sender.begin(PLAYER, b"1")
    second = sender.begin(PLAYER, b"2")
    sender.outbox.undo(second)
    assert sender.outbox.backlog == {PLAYER: b"2"}
    sender.report(first, "refused")
    assert sender.outbox.backlog == {PLAYER: b"2"}


def test_one_that_fails_on_and_on_keeps_the_failure(sender: Any) -> None:
    """Others that are written meanwhile do not hide a memoir that is refused again and again."""
    first = sender.begin(PLAYER, b"1")
    sender.report(first, "too large")
    (again,) = sender.again()
    other = sender.begin(OTHER, b"2")
    sender.report(other)
    assert sender.outbox.failure == "too large"
    sender.report(again)
    assert sender.outbox.failure == ""


def test_a_partition_let_go_of_writes_nothing_again(sender: Any) -> None:
    """Neither what waits nor what fails later is kept, and those who waited are forgotten."""
    first = sender.begin(PLAYER, b"1")
    sender.wait("written")
    sender.outbox.backlog[OTHER] = b"2"
    sender.outbox.let_go()
    sender.report(first, "refused")
    assert sender.outbox.is_empty
    assert sender.called == []

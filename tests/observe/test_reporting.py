"""What the log says of sessions: who holds a partition back, by a hash of its key, and seldom."""

import logging

import pytest

from relay.core.assignment import Assignment
from relay.core.events import ApiSessionId, EventType, PlayerEvent, Record, SessionKey
from relay.core.head_of_line import Standstills
from relay.core.inputs import Accepted, Answered, Arrived, Assigned, Opened
from relay.core.patience import Rules
from relay.core.pressure import Limits
from relay.core.router import Router
from relay.core.starts import Starts
from relay.observe.metrics import Tallies
from relay.observe.reporting import Reporter


def router_with_a_stuck_session() -> Router:
    """The opening of `anna` is not answered; `ben` has come and gone on."""
    router = Router(limits=Limits(), rules=Rules(), starts=Starts(required=frozenset()))
    assignment = Assignment("events", 3)
    router.handle(Assigned(assignment), 1.0)
    for offset, key in enumerate(("anna", "ben", "ben")):
        kind = EventType.PLAY if offset == 2 else EventType.SESSION_START
        event = PlayerEvent(kind, 0, 1, record=Record(offset, key=key.encode(), value=b"{}", appended_at=1.0))
        router.handle(Arrived(assignment, SessionKey(key), event), 1.0)
    router.turns(1.0)
    lane = assignment.lanes[SessionKey("ben")]
    for verdict in (Opened(ApiSessionId("id")), Accepted()):
        router.handle(Answered(lane, verdict), 2.0)
        router.turns(2.0)
    return router


def test_who_holds_its_partition_back_is_named_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    """After half a minute, once a minute, with what it waits for and what is finished beyond; never by its key."""
    router, standstills, reporter = router_with_a_stuck_session(), Standstills(), Reporter(Tallies())
    with caplog.at_level(logging.WARNING, "relay"):
        for second in range(2, 122):
            standstills.look(router.assignments.values(), float(second))
            reporter.name_who_holds_back(router, standstills, float(second))
    said = [record.__dict__ for record in caplog.records if record.message == "a session holds its partition back"]
    assert [(one["seconds"], one["waits_for"], one["offset"], one["finished_beyond"]) for one in said] == [
        (31.0, "opening", 0, 2),
        (91.0, "opening", 0, 2),
    ]
    assert said[0]["session"]
    assert "anna" not in caplog.text

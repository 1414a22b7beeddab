"""What operators read in the log when the API changes its mind."""

import logging

import pytest

from relay.core.patience import Rules
from relay.core.pressure import CircuitState, Limits
from relay.core.router import Router
from relay.core.starts import Starts
from relay.observe.metrics import Tallies
from relay.observe.reporting import Reporter


@pytest.fixture
def router() -> Router:
    """One that has nothing to do."""
    return Router(limits=Limits(), rules=Rules(), starts=Starts(required=frozenset()))


def said_while(reporter: Reporter, router: Router, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What is said at a look."""
    caplog.clear()
    with caplog.at_level(logging.INFO, "relay"):
        reporter.watch(router)
    return [record.getMessage() for record in caplog.records]


def test_it_is_said_once_that_the_api_asks_for_less(router: Router, caplog: pytest.LogCaptureFixture) -> None:
    """When it begins, and when it is over; not at each answer."""
    reporter = Reporter(Tallies())
    assert said_while(reporter, router, caplog) == []
    turns = router._turns  # to refuse without a whole session
    turns.pace.refuse(100.0, 0, asked_seconds=5.0)
    turns.pace.refuse(100.1, 0, asked_seconds=5.0)
    assert said_while(reporter, router, caplog) == ["the API asks for less: the pace follows"]
    assert said_while(reporter, router, caplog) == []
    for moment in (106.0, 140.0):
        turns.pace.pass_by(moment, 100)
    assert said_while(reporter, router, caplog) == ["the API has asked for less no more: the pace is free again"]


def test_it_is_said_when_a_circuit_opens_and_closes(router: Router, caplog: pytest.LogCaptureFixture) -> None:
    """With the kind of calls that it is about."""
    reporter = Reporter(Tallies())
    router.sending.fail(100.0)
    assert router.sending.looks_out(105.0)
    assert said_while(reporter, router, caplog) == ["the API fails: everything waits, one call is tried now and then"]
    assert router.sending.state is CircuitState.PROBING
    router.sending.succeed(106.0)
    assert said_while(reporter, router, caplog) == ["the API serves again"]

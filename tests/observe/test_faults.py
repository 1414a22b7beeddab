"""What is told of a refused event without telling what the player said."""

import logging
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.api.edge_words import VOCABULARY
from relay.core.assignment import Assignment
from relay.core.commands import SetAside
from relay.core.events import Record, SessionKey
from relay.core.reasons import Reason
from relay.observe.faults import FAULTS_MAX, KEPT_MAX, Counted, Fault, Faults, Problem
from relay.observe.metrics import Tallies
from relay.observe.reporting import Reporter

KNOWN = Faults(VOCABULARY)


@pytest.mark.parametrize(
    ("detail", "path", "problem"),
    [
        ("$.xdm.mediaCollection.playhead: Missing required field", "$.xdm.mediaCollection.playhead", Problem.MISSING_FIELD),
        (
            "$.xdm.mediaCollection.sessionID: Unexpected error. Hint: InvalidApiSidLength=63",
            "$.xdm.mediaCollection.sessionID",
            Problem.WRONG_SESSION_ID,
        ),
        ("$.events[0].xdm.timestamp: has to be ISO 8601 with an offset", "$.events[].xdm.timestamp", Problem.WRONG_TIME),
        (
            "$.xdm.mediaCollection: Unexpected error. Hint: Empty statesUpdate event.",
            "$.xdm.mediaCollection",
            Problem.EMPTY,
        ),
        ("$.params['media.ad.length']: must be an integer", "$.params[media.ad.length]", Problem.WRONG_TYPE),
        ("$.params['geheim']: expected `str`, got `array`", "$.params[*]", Problem.WRONG_TYPE),
        ("$.customMetadata['geheim']: must be a string", "$.customMetadata[*]", Problem.WRONG_TYPE),
        ("$.params: unknown key 'geheim'", "$.params", Problem.UNKNOWN_FIELD),
        ("$.params['appInstallationId']: no place on the Media Edge for that", "$.params[appInstallationId]", Problem.NO_PLACE),
        ("$.playerTime.playhead: out of range", "$.playerTime.playhead", Problem.OUT_OF_RANGE),
        ("media.ad.length is missing, says geheim.example", "media.ad.length", Problem.MISSING_FIELD),
        ("the body is not JSON", "", Problem.NOT_JSON),
        ("the record has no value; expected an event", "", Problem.EMPTY),
        ("geheim", "", Problem.OTHER),
        ("$100 for geheim", "", Problem.OTHER),
        ("$" + ".xdm" * 20 + ": geheim", "$" + ".xdm" * 8 + "…", Problem.OTHER),
    ],
)
def test_a_detail_is_told_by_path_and_kind(detail: str, path: str, problem: Problem) -> None:
    """Names of the vocabularies stay, whatever else stood there does not."""
    assert KNOWN.note("rejected", detail) == [Fault(path, problem)]


def test_each_path_of_a_report_is_told() -> None:
    """Once, and not more than a few; paths that share their words share the kind."""
    detail = "$.xdm.timestamp: Missing required field; $.params['a'], $.params['media.ad.id']: no place for that; $.params['b']: no place"
    assert KNOWN.note("rejected", detail) == [
        Fault("$.xdm.timestamp", Problem.MISSING_FIELD),
        Fault("$.params[*]", Problem.NO_PLACE),
        Fault("$.params[media.ad.id]", Problem.NO_PLACE),
    ]
    many = "; ".join(f"$.{name}: missing" for name in ("xdm", "name", "value", "params", "start", "events", "version"))
    assert len(KNOWN.note("rejected", many)) == FAULTS_MAX


@settings(max_examples=500, deadline=None, derandomize=True, database=None)
@given(
    detail=st.text(max_size=300)
    | st.lists(st.sampled_from(["$", ".", "[", "]", "'", "0", "xdm", "geheim", ": ", "media.id", "missing"])).map("".join)
)
def test_nothing_but_known_words_gets_out(detail: str) -> None:
    """Whatever the detail is."""
    for path, problem in KNOWN.note("rejected", detail):
        assert isinstance(problem, Problem)
        assert len(path) <= 2_000
        words = re.findall(r"[\w.]+", path.removeprefix("$").removesuffix("…"))
        known = {*KNOWN._words, "xdm"}
        for word in words:
            assert word in known or all(part in known for part in word.split(".") if part), path
        assert re.fullmatch(r"[\w.$\[\]*…]*", path, re.ASCII)


def test_what_comes_up_most_is_told_first() -> None:
    """With the reason that the events were set aside for."""
    faults = Faults(VOCABULARY)
    for _ in range(3):
        faults.note("rejected", "$.xdm.timestamp: Missing required field")
    faults.note("invalid_event", "$.playerTime.ts: expected `int`, got `str`")
    faults.note("no_session_start", "")
    assert faults.top(2) == [
        Counted("rejected", "$.xdm.timestamp", "missing_field", 3),
        Counted("invalid_event", "$.playerTime.ts", "wrong_type", 1),
    ]
    assert faults.top()[2] == Counted("no_session_start", "", "other", 1)


def test_memory_is_bounded() -> None:
    """What comes when as many are known as are kept is only counted; what is known goes on being counted apart."""
    faults = Faults({f"name{number}" for number in range(KEPT_MAX + 50)})
    for number in range(KEPT_MAX + 50):
        faults.note("rejected", f"$.name{number}: missing")
    faults.note("rejected", "$.name0: missing")
    assert len(faults.top(10_000)) == KEPT_MAX
    assert (faults.top(1)[0].path, faults.top(1)[0].times, faults.left_out) == ("$.name0", 2, 50)


def test_the_log_tells_where_and_what(caplog: pytest.LogCaptureFixture) -> None:
    """The line of an event that is set aside carries path and kind, and nothing of the values."""
    caplog.set_level(logging.DEBUG)
    tallies = Tallies()
    tallies.faults.learn(VOCABULARY)
    detail = "$.params['media.ad.id']: 'geheim' must be a string; $.params['geheim']: unknown"
    Reporter(tallies).set_aside(SetAside(Assignment("events", 0), Record(7), Reason.REJECTED, detail, key=SessionKey("geheim"), status=400))
    (line,) = caplog.records
    assert (line.message, line.path, line.problem, line.more_problems) == (  # type: ignore[attr-defined]
        "event set aside",
        "$.params[media.ad.id]",
        "wrong_type",
        1,
    )
    assert "geheim" not in str(line.__dict__)
    assert tallies.faults.top(1)[0].reason == "rejected"

"""Fault rules: how they read, what is wrong with them, when they strike."""

from random import Random

import pytest

from relay.sandbox.fake_api.dialect import Operation
from relay.sandbox.fake_api.faults import Faults, Kind, parse_fault


def faults_of(*rules: str, seed: int = 1) -> Faults:
    """Put rules in force."""
    return Faults(Random(seed), rules)  # noqa: S311  # it draws mishaps, not secrets


@pytest.mark.parametrize(
    ("rule", "kind", "field", "value"),
    [
        ("events:500:0.01", Kind.STATUS, "status", 500),
        ("sessions:503+5:1", Kind.STATUS, "retry_after_seconds", 5),
        ("all:429+date5:0.5", Kind.STATUS, "is_retry_after_date", True),
        ("events:slow+0.2:0.1", Kind.SLOW, "delay_seconds", 0.2),
        ("all:reset:0", Kind.RESET, "probability", 0.0),
        ("events:lost:0.1", Kind.LOST, "operation", Operation.EVENTS),
        ("all:noid:0.1", Kind.NO_ID, "operation", None),
        ("all:limit+10:1", Kind.STATUS, "per_second", 10),
        ("all:limit+10+5:1", Kind.STATUS, "retry_after_seconds", 5),
        ("sessions:hang:1e-3", Kind.HANG, "probability", 0.001),
    ],
)
def test_a_rule_reads_as_it_is_written(rule: str, kind: Kind, field: str, value: object) -> None:
    """Operation, what, probability."""
    fault = parse_fault(rule)
    assert (fault.kind, getattr(fault, field)) == (kind, value)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("500", "is not of the form"),
        ("events:500", "is not of the form"),
        ("events:500:0.1:0.2", "is not of the form"),
        ("opens:500:0.1", "names the operation 'opens'"),
        ("events:500:2", "has the probability '2'"),
        ("events:500:-0.1", "has the probability"),
        ("events:500:often", "has the probability 'often'"),
        ("events:500:nan", "has the probability 'nan'"),
        ("events:204:0.1", "asks for '204'"),
        ("events:600:0.1", "asks for '600'"),
        ("events:503+x:0.1", "asks for '503+x'"),
        ("events:slow:0.1", "asks for 'slow'"),
        ("events:explode:0.1", "asks for 'explode'"),
        ("events:noid:0.1", "can never strike"),
    ],
)
def test_a_wrong_rule_is_refused_in_one_line(rule: str, reason: str) -> None:
    """The message repeats the rule and says what is wrong."""
    with pytest.raises(ValueError, match=r"^the fault rule ") as refused:
        parse_fault(rule)
    assert repr(rule) in str(refused.value)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_same_seed_draws_the_same_faults() -> None:
    """And another seed draws others."""

    def draw(seed: int) -> list[str | None]:
        faults = faults_of("events:500:0.2", "events:lost:0.2", seed=seed)
        return [fault.name if (fault := faults.draw(Operation.EVENTS)) else None for _ in range(200)]

    assert draw(1) == draw(1) != draw(2)
    assert {"500", "lost", None} == set(draw(1))


def test_a_rule_strikes_its_operation_only() -> None:
    """A rule for all strikes both, unless it makes sense for openings only."""
    faults = faults_of("events:500:1")
    assert faults.draw(Operation.SESSIONS) is None
    faults.set(["all:noid:1", "all:502:1"])
    assert faults.draw(Operation.SESSIONS).name == "noid"
    assert faults.draw(Operation.EVENTS).name == "502"


def test_one_wrong_rule_leaves_all_former_ones_in_force() -> None:
    """Rules change together or not at all."""
    faults = faults_of("events:500:1")
    with pytest.raises(ValueError, match="opens"):
        faults.set(["events:503:1", "opens:503:1"])
    assert faults.rules == ("events:500:1",)
    assert faults.draw(Operation.EVENTS).name == "500"


def test_a_limit_lets_so_many_pass_in_any_second() -> None:
    """What comes beyond is answered 429 and does not count; a second after the first there is room for one more."""
    now = 100.0
    faults = Faults(Random(1), ["all:limit+3+5:1"], clock=lambda: now)  # noqa: S311  # it draws mishaps, not secrets
    assert [faults.draw(Operation.EVENTS) for _ in range(3)] == [None] * 3
    struck = faults.draw(Operation.SESSIONS)
    assert struck is not None
    assert (struck.status, struck.retry_after_seconds) == (429, 5)
    now = 100.9
    assert faults.draw(Operation.EVENTS) is not None
    now = 101.0
    assert [faults.draw(Operation.EVENTS) is None for _ in range(5)] == [True, True, True, False, False]

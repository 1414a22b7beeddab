"""The first sentence: the worst comes first, and each says what to do."""

from collections.abc import Callable
from typing import Any

import pytest

from relay.core.events import EventType as E
from relay.core.pressure import CircuitState
from relay.observe.console.waits import waits_for


def standing(one: Any) -> tuple[str, str, str]:
    """Level, sentence and advice of a scene."""
    said = one.json("/api/overview")["standing"]
    return said["level"], said["sentence"], " ".join(said["advice"])


def test_all_is_well(scene: Callable[..., Any]) -> None:
    """With the rate, when there is one."""
    one = scene()
    assert standing(one)[:2] == ("well", "All is well, and quiet: nothing came in during the last minute.")
    one.play("k")
    one.now += 2
    one.history.sample()
    assert standing(one)[0] == "well"
    assert "0.5 events a second" in standing(one)[1]
    assert "holds no partition" in standing(scene(partitions=0))[1]


def test_the_api_refuses_us(scene: Callable[..., Any]) -> None:
    """What to check is the first thing to read; since when, as well."""
    one = scene()
    one.router.sending.misconfigured(one.now, "check RELAY_API__HEADERS")
    one.reporter.watch(one.router)
    level, sentence, advice = standing(one)
    assert level == "trouble"
    assert "refuses this relay since 22:30:00 UTC" in sentence
    assert advice.startswith("Check RELAY_API__HEADERS.")


@pytest.mark.parametrize(
    ("operations", "words"), [(("opening",), "to open sessions"), (("sending",), "to take events"), (("opening", "sending"), "altogether")]
)
def test_an_outage(scene: Callable[..., Any], operations: tuple[str, ...], words: str) -> None:
    """Says what fails, and that nothing is lost."""
    one = scene()
    for operation in operations:
        getattr(one.router, operation).state = CircuitState.PROBING
    level, sentence, advice = standing(one)
    assert level == "trouble"
    assert words in sentence
    assert "nothing is lost" in sentence
    assert "API calls" in advice


@pytest.mark.parametrize(
    ("ready", "reasons", "level", "words"),
    [
        (False, {"phase": "starting"}, "watch", "Starting"),
        (False, {"failing": {"dead_letters": "no rights to write"}}, "trouble", "Dead letters cannot be written"),
        (
            False,
            {"failing": {"dead_letters": "", "state": "gone"}},
            "trouble",
            "cannot be written: offsets do not advance. Memoirs of sessions cannot",
        ),
        (False, {"is_stopping": True}, "watch", "Stopping"),
        (False, {"has_joined": False}, "watch", "Waiting for Kafka"),
    ],
)
def test_reasons_of_readiness(scene: Callable[..., Any], ready: bool, reasons: dict[str, object], level: str, words: str) -> None:  # noqa: FBT001
    """What `/readyz` says is said in words."""
    said = standing(scene(is_ready=ready, reasons=reasons))
    assert said[0] == level
    assert words in said[1]


def test_something_is_late(scene: Callable[..., Any]) -> None:
    """An event that waits for more than a minute, and a lag that grows, are worth a look."""
    one = scene()
    one.play("k")
    for lag in (0, 5_000):
        one.lag = {("player-events", 0): lag}
        one.now += 2
        one.history.sample()
    assert standing(one)[0] == "watch"
    assert "The lag grows: 5,000 records, 5,000 more" in standing(one)[1]
    one.say("k", E.PING)
    one.now += 100
    assert "1 min 40 s old" in standing(one)[1]


def test_the_api_asks_for_a_pause(scene: Callable[..., Any]) -> None:
    """How long nothing leaves, on the first page and on that of its calls; and how many calls may be under way."""
    one = scene()
    one.router._turns.pace.throttled_until = one.now + 42
    level, sentence, _ = standing(one)
    assert (level, sentence) == ("watch", "The API has asked for a pause: nothing leaves for another 42.0 s.")
    assert one.json("/api/calls")["throttled_seconds"] == 42
    assert "nothing leaves for another 42.0 s" in one.html("/calls")
    assert [circuit["limit"] for circuit in one.json("/api/overview")["circuits"]] == [
        one.router.opening.concurrency.limit,
        one.router.sending.concurrency.limit,
    ]


def test_what_a_session_waits_for(scene: Callable[..., Any], verdicts: Any) -> None:
    """From its start to its end, in the words of its page."""
    one = scene()

    def said() -> str:
        return waits_for(one.assignments[0].lanes["k"], one.router)

    one.say("k", E.SESSION_START, E.PLAY, E.PING)
    assert said() == "the API's answer to the opening"
    one.answer(verdicts["later"])
    assert said() == "a pause after 1 failed call (status 503)"
    one.router.opening.state = CircuitState.HELD
    one.router._turns.stop_waiting(one.router.opening)
    assert said() == "the operators: the API refuses this relay"
    one.router.opening.state = CircuitState.PROBING
    assert said() == "the API: it fails, and one call is tried now and then"
    one.router.opening.state = CircuitState.CLOSED
    assert said() == "its turn"
    one.say("other", E.SESSION_START)  # any turn lets it go
    one.serve()
    assert said() == "the player's next event"
    one.say("k", E.PING)
    one.answer(verdicts["later"])
    one.router._turns.wake(one.assignments[0].lanes["k"], one.assignments[0].lanes["k"].ticket)
    one.say("other", E.PING)
    assert said() == "the API's answer to ping, try 2"
    one.serve()
    one.play("k", E.SESSION_END)
    assert said().startswith("nothing: it is over")

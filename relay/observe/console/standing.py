"""How a relay stands, in one sentence, and what to do about it: the first thing that somebody on call reads at night.

In: the figures of the overview, and the reasons of `/readyz`. Out: `well`, `watch` or `trouble`, a sentence, advice. The worst comes first.
"""

from collections.abc import Mapping, Sequence
from typing import Final, cast

from relay.observe.console import shapes
from relay.observe.console.words import count, plural, rate, seconds, time_of_day

LATE_SECONDS: Final = 60.0  # an event that is older than this is worth a look
THROTTLED_SECONDS: Final = 5.0
LAG_GROWTH_MIN: Final = 1_000  # records in a minute

_FAILING: Final = {
    "dead_letters": "Dead letters cannot be written: offsets do not advance.",
    "state": "Memoirs of sessions cannot be written: offsets do not advance.",
    "credentials": "No token can be had for the API.",
}

WELL: Final = "well"
WATCH: Final = "watch"
TROUBLE: Final = "trouble"


def judge(
    looked: shapes.Overview, reasons: Mapping[str, object], *, lag_trend: Sequence[int], changed: Mapping[str, float]
) -> shapes.Standing:
    """Say how it stands."""
    for standing in (_starting(reasons), _held(looked, changed), _failing_parts(reasons), _outage(looked, changed)):
        if standing is not None:
            return standing
    if reasons.get("is_stopping"):
        return _say(WATCH, "Stopping: calls under way may end, nothing new leaves.")
    if not looked.relay.is_ready:
        return _say(WATCH, "Waiting for Kafka: it has not joined its group yet.", "Check RELAY_KAFKA__BOOTSTRAP_SERVERS and the log.")
    return _slow(looked, lag_trend) or _well(looked)


def _say(level: str, sentence: str, *advice: str) -> shapes.Standing:
    return shapes.Standing(level=level, sentence=sentence, advice=[line for line in advice if line])


def _starting(reasons: Mapping[str, object]) -> shapes.Standing | None:
    if reasons.get("phase") == "starting":
        return _say(WATCH, "Starting: looking for its topics.", "If this lasts, the log names the topic or the broker that it waits for.")
    return None


def _since(looked: shapes.Overview, state: str, changed: Mapping[str, float]) -> str:
    moments = [changed[circuit.operation] for circuit in looked.circuits if circuit.state == state and circuit.operation in changed]
    return f" since {time_of_day(min(moments))} UTC" if moments else ""


def _held(looked: shapes.Overview, changed: Mapping[str, float]) -> shapes.Standing | None:
    held = [circuit for circuit in looked.circuits if circuit.state == "held"]
    if not held:
        return None
    advice = list(dict.fromkeys(circuit.advice[:1].upper() + circuit.advice[1:] + "." for circuit in held if circuit.advice))
    return _say(
        TROUBLE,
        f"The API refuses this relay{_since(looked, 'held', changed)}. Everything waits; nothing is lost.",
        *advice,
        "One call is tried every five seconds; it goes on by itself once that is mended.",
    )


def _failing_parts(reasons: Mapping[str, object]) -> shapes.Standing | None:
    failing = cast("Mapping[str, object]", reasons.get("failing") or {})
    if not failing:
        return None
    sentences = [_FAILING.get(name, f"{name} fails.") for name in failing]
    return _say(TROUBLE, " ".join(sentences), *(str(cause) for cause in failing.values() if cause))


def _outage(looked: shapes.Overview, changed: Mapping[str, float]) -> shapes.Standing | None:
    failing = [circuit.operation for circuit in looked.circuits if circuit.state == "probing"]
    if not failing:
        return None
    what = "altogether" if len(failing) > 1 else {"open": "to open sessions", "send": "to take events"}[failing[0]]
    return _say(
        TROUBLE,
        f"The API fails {what}{_since(looked, 'probing', changed)}. Everything waits; nothing is lost or set aside.",
        "One call is tried now and then, and all goes on within seconds of its recovery.",
        f"{plural(looked.buffer.events, 'event')} in memory, {plural(looked.lag, 'record')} not finished.",
        "Which answers it gave stands on the page API calls.",
    )


def _slow(looked: shapes.Overview, lag_trend: Sequence[int]) -> shapes.Standing | None:
    if looked.throttled_seconds > THROTTLED_SECONDS:
        return _say(
            WATCH,
            f"The API has asked for a pause: nothing leaves for another {seconds(looked.throttled_seconds)}.",
            "If this comes often, ask its operators for more, or set RELAY_API__REQUESTS_PER_SECOND_MAX to what they allow.",
        )
    if looked.buffer.is_paused:
        return _say(
            WATCH,
            "Reading is paused: as much waits in memory as may.",
            "The API is slower than the topic, or one session holds as many events as it may: see Sessions, those that wait.",
        )
    if looked.oldest_undelivered_seconds > LATE_SECONDS:
        return _say(
            WATCH,
            f"The oldest event that is not delivered is {seconds(looked.oldest_undelivered_seconds)} old.",
            "A partition whose oldest grows alone has one stuck session: see Partitions, and Sessions that fail.",
        )
    if lag_trend and lag_trend[-1] - lag_trend[0] > LAG_GROWTH_MIN:
        return _say(
            WATCH,
            f"The lag grows: {count(lag_trend[-1])} records, {count(lag_trend[-1] - lag_trend[0])} more than a minute ago.",
            "More instances help while there are partitions to share; more calls at once, if the API bears it.",
        )
    return None


def _well(looked: shapes.Overview) -> shapes.Standing:
    if not looked.partitions:
        return _say(WELL, "All is well. This relay holds no partition: others do the work.")
    if looked.delivered_per_second:
        oldest = looked.oldest_undelivered_seconds
        age = f"nothing waits longer than {seconds(max(oldest, 0.1))}" if oldest else "nothing waits"
        return _say(WELL, f"All is well: {rate(looked.delivered_per_second)} events a second are delivered, {age}.")
    return _say(WELL, "All is well, and quiet: nothing came in during the last minute.")

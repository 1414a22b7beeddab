"""What a session waits for now, in words.

In: a lane, and the circuits. Out: a sentence that begins in lower case. A lane at rest with nothing to say waits for its player; one with
something to say waits for its turn, for a timer, or for the API.
"""

from typing import Final

from relay.core.assignment import Stage
from relay.core.lane import IN_FLIGHT_FROM, Lane, State
from relay.core.pressure import Circuit, CircuitState
from relay.core.router import Router

_FOR_AN_ANSWER: Final = {
    State.OPENING: "the API's answer to the opening",
    State.JOINING: "the API's answer to the opening, midway",
    State.REOPENING: "the API's answer to the opening in place of the lost session",
    State.SENDING: "the API's answer to {event}",
    State.COMPLETING: "the API's answer to {event}",
    State.CLOSING: "the API's answer to {event}",
    State.CLOSING_COMPLETED: "the API's answer to {event}",
    State.TELLING: "the API's answer to what is told again",
    State.REPLACING: "the API's answer to the end of the old session",
    State.PINGING: "the API's answer to a ping for the silent player",
    State.SUSPENDING: "the API's answer to the end of a session that is silent for too long",
}
_FOR_THE_PLAYER: Final = {
    State.ABSENT: "a sessionStart, or an event that says what is played",
    State.READY: "the player's next event",
    State.LOST: "the player's next event; then another session is opened",
    State.COMPLETED: "the player's sessionEnd",
    State.ENDED: "nothing: it is over, until a sessionStart begins again",
    State.REFUSED: "a new sessionStart: the API refused the last one",
    State.PARKED: "a replay of its dead letters, or a new sessionStart: it failed for long and held up others",
}


def waits_for(lane: Lane, router: Router) -> str:
    """What has to happen next."""
    if lane.state >= IN_FLIGHT_FROM:
        said = _FOR_AN_ANSWER[lane.state].format(event=lane.waiting[0].event_type if lane.waiting else "its event")
        return f"{said}, try {lane.attempts}" if lane.attempts > 1 else said
    if not lane.waiting:
        return _FOR_THE_PLAYER[lane.state]
    if lane.assignment.stage is not Stage.OWNED:
        return "the next owner of its partition"
    if lane.is_waiting:
        cause = f" ({lane.failed_cause.replace('_', ' ')})" if lane.failed_cause else ""
        asked = "the pause that the API asked for" if router.was_asked_to_wait(lane) else "a pause"
        return f"{asked} after {lane.failures} failed {'call' if lane.failures == 1 else 'calls'}{cause}"
    return _for_its_turn(lane, _circuit(lane, router).state)


def _for_its_turn(lane: Lane, circuit: CircuitState) -> str:
    if circuit is CircuitState.HELD:
        return "the operators: the API refuses this relay"
    if circuit is CircuitState.PROBING:
        return "the API: it fails, and one call is tried now and then"
    if not lane.is_queued:
        return "a call that was under way for it before a rebalance"
    return "its turn to be opened again; those come at a limited rate" if lane.state is State.LOST else "its turn"


def _circuit(lane: Lane, router: Router) -> Circuit:
    return router.sending if lane.state in {State.READY, State.COMPLETED} else router.opening

"""What a call must say, worked out from what the player said: bodies byte for byte as values, and what is told again in a new session.

In: calls, and the records of their player session with what became of them. Out: `Violation`. What is open in a session is derived from
the log, in another way than the relay does it.
"""

from typing import Final

from simulation.api import Flight
from simulation.facts import Violation
from simulation.stories import Object, Said

from relay.core.commands import Cause, OpenSession

Told = tuple[str, str, str]
"""Kind, params, custom metadata."""

OPENS_FOR_START: Final = (Cause.FIRST, Cause.RESTARTED)
RESUMES: Final = (Cause.LOST, Cause.RESUMED)
OWN: Final = ("ping", "rest")  # what the relay says itself, for a silent player
_PLAYING: Final = ("play", "pauseStart", "bufferStart")
_SAYS_ITSELF: Final = (*_PLAYING, "sessionComplete", "sessionEnd")
_OPENS: Final = {"chapterStart": "chapter", "adBreakStart": "break", "adStart": "ad"}
_CLOSES: Final = {
    "chapterComplete": ("chapter",),
    "chapterSkip": ("chapter",),
    "adBreakStart": ("ad",),
    "adBreakComplete": ("break", "ad"),
    "adComplete": ("ad",),
    "adSkip": ("ad",),
}


def check_body(flight: Flight, player: list[Said]) -> None:
    """Values go out exactly as they came in."""
    body, head = flight.body, flight.head
    expected: Object = {"eventType": head.kind, "playerTime": {"playhead": head.playhead, "ts": head.ts}}
    members = {"params": head.params, "qoeData": head.qoe, "customMetadata": head.metadata}
    if flight.kind == "end":
        if body["eventType"] != "sessionEnd" or not any(said.ts <= body["playerTime"]["ts"] for said in player[: head.place]):
            raise Violation(f"an end of our own before {head} says {body}")
        return
    if flight.kind == "told":
        if body["playerTime"] != expected["playerTime"]:
            raise Violation(f"told again before {head} at another moment: {body}")
        return
    if isinstance(flight.command, OpenSession):
        expected["eventType"] = "sessionStart"
        cause = flight.command.cause
        if cause not in OPENS_FOR_START:
            members = _start_of(head, player, resumes=cause in RESUMES)
    expected |= {name: member for name, member in members.items() if member}
    if body != expected:
        raise Violation(f"{flight.kind} of {head} says {body}, and not {expected}")


def check_own(flight: Flight, player: list[Said]) -> None:
    """What the relay says for a silent player says no more than where it is, and is never before what it has heard to be taken."""
    body = flight.body
    kind = {"ping": "ping", "rest": "sessionEnd"}[flight.kind]
    if body.keys() != {"eventType", "playerTime"} or body["eventType"] != kind:
        raise Violation(f"the relay says after {flight.head}: {body}")
    said_before = [
        said for said in player[: flight.head.place + 1] if any(one.was_heard and one.tenure is flight.tenure for one in said.acceptances)
    ]
    if said_before and body["playerTime"]["ts"] < said_before[-1].ts:
        raise Violation(f"the relay says {body}, before {said_before[-1]}")


def what_is_open(player: list[Said], head: Said) -> list[Told]:
    """What a new session must be told before an event."""
    things: dict[str, Told] = {}
    states: dict[str, Told] = {}
    playing: list[Told] = []
    for said in player[_opening_before(head, player).place : head.place]:
        if said.put_by or not (said.acceptances or said.was_skipped):
            continue
        what = (said.kind, repr(said.params), repr(said.metadata))
        for thing in _CLOSES.get(said.kind, ()):
            things.pop(thing, None)
        if said.kind in _OPENS:
            things[_OPENS[said.kind]] = what
        elif said.kind == "stateStart":
            states.setdefault(said.params["media.state.name"], what)
        elif said.kind == "stateEnd":
            states.pop(said.params["media.state.name"], None)
        elif said.kind in _PLAYING:
            playing = [(said.kind, "{}", "{}")]
    if head.kind in _SAYS_ITSELF:
        playing = []
    return [*(things[thing] for thing in ("chapter", "break", "ad") if thing in things), *states.values(), *playing]


def told_by(flight: Flight) -> Told:
    """What a call tells again."""
    body = flight.body
    return body["eventType"], repr(body.get("params", {})), repr(body.get("customMetadata", {}))


def _start_of(head: Said, player: list[Said], *, resumes: bool) -> dict[str, Object]:
    """What the session's start said, of the player's own or brought along by an event."""
    first = _opening_before(head, player) if resumes else head
    brought = first.start or {"params": {}, "customMetadata": {}}
    params, metadata = (first.params, first.metadata) if first.kind == "sessionStart" else (brought["params"], brought["customMetadata"])
    return {"params": params | {"media.resume": True} if resumes else params, "customMetadata": metadata}


def _opening_before(head: Said, player: list[Said]) -> Said:
    """The record that the present session of a player began with."""
    for said in reversed(player[: head.place + 1]):
        if said.was_joined_at or (said is not head and said.kind == "sessionStart" and said.acceptances):
            return said
    return head

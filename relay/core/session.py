"""The state machine of one player session: its whole life is one table.

In: what happened to a lane (an answer, or its turn). Out: the lane's next state, and commands.

The theory:

1. A lane at rest that has something to say waits for its *turn*; the turn tells it what stands at its head (`NextStart`, `NextEvent`, …).
   A lane in flight waits for an answer. So each lane has one call in flight at most, and waits without holding anything.
2. A call that may succeed later puts the lane back where it was before the call: it tries again when its turn comes.
3. A session that is gone (404, 410) leaves the lane LOST with the refused event still at its head. Its next turn opens another session,
   then what was open is told again one by one, then the head is sent as if nothing had happened.
4. An event leaves the head in one of two ways: finished, or set aside. Neither is undone. Where an operator has said so it is finished
   without a call (`DropEvent`) or without knowing (`FinishUnknown`).
5. A session that is PARKED keeps what it would take to go on (its start, what was open), and sets aside whatever comes: so all that was not
   delivered stands in the dead letters, in order.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from relay.core.commands import Command
from relay.core.inputs import (
    Accepted,
    Foregone,
    GivenUp,
    Happened,
    Lost,
    LostTooOften,
    NextAgain,
    NextComplete,
    NextEnd,
    NextEvent,
    NextJoin,
    NextOver,
    NextPing,
    NextStart,
    NextStartTooOld,
    NextSuspension,
    NextTold,
    NextTooOld,
    NextUnknown,
    Opened,
    OutcomeUnknown,
    Parked,
    Refused,
    TryAgain,
)
from relay.core.lane import Lane, State
from relay.core.responses import (
    after_end,
    end_old,
    ended_old,
    finish,
    finish_complete,
    finish_end,
    finish_over,
    give_up,
    give_up_start,
    keep,
    lose,
    lose_and_set_aside,
    no_start,
    not_pinged,
    open_again,
    open_first,
    open_joining,
    open_replayed,
    opened_again,
    opened_first,
    opened_joining,
    park,
    park_unopened,
    parked,
    pinged,
    refuse_session,
    refuse_start,
    reject,
    send_head,
    session_refused,
    skip,
    skip_complete,
    skip_end,
    skip_end_of_old,
    skip_telling,
    speak_for_player,
    start_too_old,
    suspended,
    tell_again,
    telling_refused,
    told,
    too_old,
)

Respond: TypeAlias = Callable[[Lane, Happened], list[Command]]

S = State

# (state, what happened)      → (next state, how to respond)
TRANSITIONS: Final[Mapping[tuple[State, type[Happened]], tuple[State, Respond]]] = {
    (S.ABSENT, NextStart): (S.OPENING, open_first),
    (S.ABSENT, NextJoin): (S.JOINING, open_joining),
    (S.ABSENT, NextEvent): (S.ABSENT, no_start),
    (S.ABSENT, NextComplete): (S.ABSENT, no_start),
    (S.ABSENT, NextEnd): (S.ABSENT, no_start),
    (S.ABSENT, Parked): (S.PARKED, park_unopened),
    (S.ABSENT, NextAgain): (S.REOPENING, open_replayed),
    (S.ABSENT, NextOver): (S.ABSENT, finish_over),
    (S.ABSENT, NextTooOld): (S.ABSENT, too_old),
    (S.ABSENT, NextStartTooOld): (S.REFUSED, start_too_old),
    (S.OPENING, Opened): (S.READY, opened_first),
    (S.OPENING, TryAgain): (S.ABSENT, keep),
    (S.OPENING, Refused): (S.REFUSED, refuse_start),
    (S.OPENING, GivenUp): (S.REFUSED, give_up_start),
    (S.JOINING, Opened): (S.READY, opened_joining),
    (S.JOINING, TryAgain): (S.ABSENT, keep),
    (S.JOINING, Refused): (S.REFUSED, refuse_session),
    (S.JOINING, GivenUp): (S.ABSENT, give_up),
    (S.READY, NextStart): (S.REPLACING, end_old),
    (S.READY, NextTold): (S.TELLING, tell_again),
    (S.READY, NextEvent): (S.SENDING, send_head),
    (S.READY, NextComplete): (S.COMPLETING, send_head),
    (S.READY, NextEnd): (S.CLOSING, send_head),
    (S.READY, Parked): (S.PARKED, park),
    (S.READY, NextTooOld): (S.READY, too_old),
    (S.READY, NextPing): (S.PINGING, speak_for_player),
    (S.READY, NextSuspension): (S.SUSPENDING, speak_for_player),
    (S.SENDING, Accepted): (S.READY, finish),
    (S.SENDING, Lost): (S.LOST, lose),
    (S.SENDING, LostTooOften): (S.LOST, lose_and_set_aside),
    (S.SENDING, TryAgain): (S.READY, keep),
    (S.SENDING, Refused): (S.READY, reject),
    (S.SENDING, GivenUp): (S.READY, give_up),
    (S.SENDING, OutcomeUnknown): (S.READY, skip),
    (S.COMPLETING, Accepted): (S.COMPLETED, finish_complete),
    (S.COMPLETING, Lost): (S.LOST, lose),
    (S.COMPLETING, LostTooOften): (S.LOST, lose_and_set_aside),
    (S.COMPLETING, TryAgain): (S.READY, keep),
    (S.COMPLETING, Refused): (S.READY, reject),
    (S.COMPLETING, GivenUp): (S.READY, give_up),
    (S.COMPLETING, OutcomeUnknown): (S.COMPLETED, skip_complete),
    (S.CLOSING, Accepted): (S.ENDED, finish_end),
    (S.CLOSING, Lost): (S.ENDED, finish_end),
    (S.CLOSING, LostTooOften): (S.ENDED, finish_end),
    (S.CLOSING, TryAgain): (S.READY, keep),
    (S.CLOSING, Refused): (S.READY, reject),
    (S.CLOSING, GivenUp): (S.READY, give_up),
    (S.CLOSING, OutcomeUnknown): (S.ENDED, skip_end),
    (S.CLOSING_COMPLETED, Accepted): (S.ENDED, finish_end),
    (S.CLOSING_COMPLETED, Lost): (S.ENDED, finish_end),
    (S.CLOSING_COMPLETED, LostTooOften): (S.ENDED, finish_end),
    (S.CLOSING_COMPLETED, TryAgain): (S.COMPLETED, keep),
    (S.CLOSING_COMPLETED, Refused): (S.COMPLETED, reject),
    (S.CLOSING_COMPLETED, GivenUp): (S.COMPLETED, give_up),
    (S.CLOSING_COMPLETED, OutcomeUnknown): (S.ENDED, skip_end),
    (S.LOST, NextStart): (S.OPENING, open_first),
    (S.LOST, NextEvent): (S.REOPENING, open_again),
    (S.LOST, NextComplete): (S.REOPENING, open_again),
    (S.LOST, NextEnd): (S.ENDED, finish_end),
    (S.LOST, Parked): (S.PARKED, park),
    (S.LOST, NextTooOld): (S.LOST, too_old),
    (S.LOST, NextStartTooOld): (S.REFUSED, start_too_old),
    (S.REOPENING, Opened): (S.READY, opened_again),
    (S.REOPENING, TryAgain): (S.LOST, keep),
    (S.REOPENING, Refused): (S.REFUSED, refuse_session),
    (S.REOPENING, GivenUp): (S.LOST, give_up),
    (S.TELLING, Accepted): (S.READY, told),
    (S.TELLING, Lost): (S.LOST, lose),
    (S.TELLING, LostTooOften): (S.LOST, lose_and_set_aside),
    (S.TELLING, TryAgain): (S.READY, keep),
    (S.TELLING, Refused): (S.READY, telling_refused),
    (S.TELLING, GivenUp): (S.READY, telling_refused),
    (S.TELLING, OutcomeUnknown): (S.READY, skip_telling),
    (S.REPLACING, Accepted): (S.ENDED, ended_old),
    (S.REPLACING, Lost): (S.ENDED, ended_old),
    (S.REPLACING, LostTooOften): (S.ENDED, ended_old),
    (S.REPLACING, TryAgain): (S.READY, keep),
    (S.REPLACING, Refused): (S.ENDED, ended_old),
    (S.REPLACING, GivenUp): (S.ENDED, ended_old),
    (S.REPLACING, OutcomeUnknown): (S.ENDED, skip_end_of_old),
    (S.PINGING, Accepted): (S.READY, pinged),
    (S.PINGING, Lost): (S.LOST, lose),
    (S.PINGING, Refused): (S.READY, not_pinged),
    (S.PINGING, Foregone): (S.READY, not_pinged),
    (S.SUSPENDING, Accepted): (S.LOST, suspended),
    (S.SUSPENDING, Lost): (S.LOST, suspended),
    (S.SUSPENDING, Refused): (S.LOST, suspended),
    (S.SUSPENDING, Foregone): (S.READY, not_pinged),
    (S.COMPLETED, NextStart): (S.OPENING, open_first),
    (S.COMPLETED, NextEvent): (S.COMPLETED, after_end),
    (S.COMPLETED, NextComplete): (S.COMPLETED, after_end),
    (S.COMPLETED, NextEnd): (S.CLOSING_COMPLETED, send_head),
    (S.COMPLETED, Parked): (S.PARKED, park),
    (S.COMPLETED, NextJoin): (S.JOINING, open_joining),
    (S.COMPLETED, NextAgain): (S.REOPENING, open_replayed),
    (S.COMPLETED, NextUnknown): (S.COMPLETED, no_start),
    (S.COMPLETED, NextTooOld): (S.COMPLETED, too_old),
    (S.COMPLETED, NextStartTooOld): (S.REFUSED, start_too_old),
    (S.ENDED, NextStart): (S.OPENING, open_first),
    (S.ENDED, NextEvent): (S.ENDED, after_end),
    (S.ENDED, NextComplete): (S.ENDED, after_end),
    (S.ENDED, NextEnd): (S.ENDED, after_end),
    (S.ENDED, NextJoin): (S.JOINING, open_joining),
    (S.ENDED, NextAgain): (S.REOPENING, open_replayed),
    (S.ENDED, NextUnknown): (S.ENDED, no_start),
    (S.ENDED, NextOver): (S.ENDED, finish_over),
    (S.ENDED, NextStartTooOld): (S.REFUSED, start_too_old),
    (S.REFUSED, NextStart): (S.OPENING, open_first),
    (S.REFUSED, NextEvent): (S.REFUSED, session_refused),
    (S.REFUSED, NextComplete): (S.REFUSED, session_refused),
    (S.REFUSED, NextEnd): (S.REFUSED, session_refused),
    (S.REFUSED, NextJoin): (S.JOINING, open_joining),
    (S.REFUSED, NextAgain): (S.REOPENING, open_replayed),
    (S.REFUSED, NextUnknown): (S.REFUSED, no_start),
    (S.REFUSED, NextOver): (S.REFUSED, finish_over),
    (S.PARKED, NextStart): (S.OPENING, open_first),
    (S.PARKED, NextEvent): (S.PARKED, parked),
    (S.PARKED, NextComplete): (S.PARKED, parked),
    (S.PARKED, NextEnd): (S.PARKED, parked),
    (S.PARKED, NextJoin): (S.JOINING, open_joining),
    (S.PARKED, NextAgain): (S.REOPENING, open_replayed),
    (S.PARKED, NextUnknown): (S.PARKED, no_start),
    (S.PARKED, NextOver): (S.PARKED, finish_over),
    (S.REFUSED, NextStartTooOld): (S.REFUSED, start_too_old),
    (S.PARKED, NextStartTooOld): (S.REFUSED, start_too_old),
}  # a pair that is missing here is a bug of the relay: advance() raises ImpossibleTransition

_TABLE: Final[dict[State, dict[type, tuple[State, Respond]]]] = {
    state: {what: reaction for (when, what), reaction in TRANSITIONS.items() if when is state} for state in State
}


class ImpossibleTransition(AssertionError):  # noqa: N818  # it names what was found
    """Something happened that cannot happen in this state: a bug of the relay. The process stops, the offset stays uncommitted."""


def advance(lane: Lane, happened: Happened) -> list[Command]:
    """Move a lane on, and say what is to be done."""
    try:
        state, respond = _TABLE[lane.state][type(happened)]
    except KeyError:
        message = f"{type(happened).__name__} while {lane.state.name}"
        raise ImpossibleTransition(message) from None
    commands = respond(lane, happened)
    lane.state = state
    return commands

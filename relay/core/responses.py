"""What a lane does and says when something happens to it: the responses that the table in `session.py` names.

In: a lane, and what happened. Out: commands; the lane is as it is to be, but for its state, which the table knows. The first line of each
response stands in the printed table.
"""

from relay.core.commands import (
    Announce,
    Cause,
    Change,
    Command,
    DropEvent,
    Finish,
    FinishUnknown,
    OpenSession,
    SendEvent,
    SetAside,
    SetAsideAlready,
)
from relay.core.events import Details, EventType, PlayerEvent
from relay.core.inputs import (
    GivenUp,
    Happened,
    Lost,
    LostTooOften,
    NextPing,
    NextSuspension,
    NextTooOld,
    Opened,
    Parked,
    Refused,
)
from relay.core.lane import Lane
from relay.core.reasons import Dropped, Reason
from relay.core.split import Letter
from relay.core.starts import resumed

# --- opening -----------------------------------------------------------------------------------------------------------


def open_first(lane: Lane, _: Happened) -> list[Command]:
    """Open the session that the head asks for."""
    head = lane.waiting[0]
    lane.start = Details(params=head.params, custom_metadata=head.custom_metadata)
    cause = Cause.RESTARTED if lane.had_session else Cause.FIRST
    return [OpenSession(lane, lane.start, head.playhead, head.ts, cause, head.qoe_data)]


def open_joining(lane: Lane, _: Happened) -> list[Command]:
    """Open a session that is already under way; its start was put into the lane beforehand."""
    head = lane.waiting[0]
    assert lane.start is not None
    return [OpenSession(lane, lane.start, head.playhead, head.ts, Cause.REJOINED)]


def open_again(lane: Lane, _: Happened) -> list[Command]:
    """Open a session in place of the lost one, at the moment of the event that found it gone."""
    head = lane.waiting[0]
    assert lane.start is not None
    return [OpenSession(lane, resumed(lane.start), head.playhead, head.ts, _cause_of_another(lane))]


def open_replayed(lane: Lane, happened: Happened) -> list[Command]:
    """Open another session for what comes again."""
    lane.is_replayed = True
    lane.session_id = None
    return open_again(lane, happened)


def _cause_of_another(lane: Lane) -> Cause:
    if lane.is_replayed:
        return Cause.REPLAYED
    return Cause.RESUMED if lane.is_suspended else Cause.LOST


def opened_first(lane: Lane, happened: Happened) -> list[Command]:
    """The sessionStart at the head is delivered."""
    cause = Cause.RESTARTED if lane.had_session else Cause.FIRST
    head = lane.take_head()
    adopted = _adopt(lane, happened, cause)
    lane.remember(head)
    return [*adopted, Finish(lane, head)]


def opened_joining(lane: Lane, happened: Happened) -> list[Command]:
    """The head may go now."""
    lane.openings += 1
    lane.seen_at(lane.waiting[0])
    return _adopt(lane, happened, Cause.REJOINED)


def opened_again(lane: Lane, happened: Happened) -> list[Command]:
    """What was open is told first, then the head goes again."""
    lane.openings += 1
    lane.seen_at(lane.waiting[0])
    playback = lane.playback
    adopted = _adopt(lane, happened, _cause_of_another(lane))
    if playback is not None:
        lane.playback = playback
        lane.to_tell = playback.told_before(lane.waiting[0])
    return adopted


def _adopt(lane: Lane, happened: Happened, cause: Cause) -> list[Command]:
    assert isinstance(happened, Opened)
    lane.session_id = happened.session_id
    lane.route = happened.route
    lane.playback = None
    lane.to_tell = []
    lane.is_untold = False
    lane.told_count = 0
    lane.is_replayed = False
    lane.is_suspended = False
    lane.silence = None
    lane.is_changed = True
    lane.had_session = True
    lane.failures = 0
    return [Announce(lane, Change.OPENED, cause)]


def refuse_start(lane: Lane, happened: Happened) -> list[Command]:
    """The sessionStart itself is set aside, and what follows it will be."""
    assert isinstance(happened, Refused)
    return _refuse(lane, happened, happened.reason)


def refuse_session(lane: Lane, happened: Happened) -> list[Command]:
    """The head is not to blame, but has no session to go to."""
    return _refuse(lane, happened, Reason.SESSION_REFUSED)


def _refuse(lane: Lane, happened: Happened, reason: Reason) -> list[Command]:
    assert isinstance(happened, Refused)
    aside = _set_aside(lane, reason, happened.status, happened.detail)
    lane.forget_session()
    lane.had_session = True
    return [aside, Announce(lane, Change.REFUSED, status=happened.status)]


def give_up_start(lane: Lane, happened: Happened) -> list[Command]:
    """The sessionStart is given up, and with it the session."""
    commands = give_up(lane, happened)
    lane.forget_session()
    lane.had_session = True
    return commands


# --- sending -----------------------------------------------------------------------------------------------------------


def send_head(lane: Lane, _: Happened) -> list[Command]:
    """Send the event at the head."""
    assert lane.session_id is not None
    return [SendEvent(lane, lane.session_id, lane.waiting[0], lane.route)]


def tell_again(lane: Lane, _: Happened) -> list[Command]:
    """Send the next thing that was open in the lost session."""
    assert lane.session_id is not None
    return [SendEvent(lane, lane.session_id, lane.to_tell[0], lane.route)]


def end_old(lane: Lane, _: Happened) -> list[Command]:
    """End the open session where it was last seen, before another sessionStart."""
    assert lane.session_id is not None
    end = PlayerEvent(event_type=EventType.SESSION_END, playhead=lane.last_playhead, ts=lane.last_ts)
    return [SendEvent(lane, lane.session_id, end, lane.route)]


def finish(lane: Lane, _: Happened) -> list[Command]:
    """The head is delivered."""
    head = lane.take_head()
    lane.remember(head)
    return [Finish(lane, head)]


def finish_complete(lane: Lane, happened: Happened) -> list[Command]:
    """The head is delivered, and only a sessionEnd may follow it."""
    lane.is_changed = True
    return finish(lane, happened)


def finish_end(lane: Lane, _: Happened) -> list[Command]:
    """The session is over: it was ended, or there was nothing left to end."""
    head = lane.take_head()
    lane.forget_session()
    return [Finish(lane, head), Announce(lane, Change.ENDED)]


def finish_over(lane: Lane, _: Happened) -> list[Command]:
    """Nothing is left to end."""
    return [Finish(lane, lane.take_head())]


def skip(lane: Lane, _: Happened) -> list[Command]:
    """The head may have been taken, and does not go again.

    What it opened or closed counts: it is what the player did. If the API heard it, a new session must be told the same; if it did not, it
    is told the truth.
    """
    head = lane.take_head()
    lane.remember(head)
    return [FinishUnknown(lane, head), Announce(lane, Change.SKIPPED_UNKNOWN)]


def skip_complete(lane: Lane, happened: Happened) -> list[Command]:
    """The head may have been taken, and only a sessionEnd may follow it."""
    lane.is_changed = True
    return skip(lane, happened)


def skip_end(lane: Lane, _: Happened) -> list[Command]:
    """The session is over as far as the player goes; if the API did not hear of it, it lets the session expire."""
    head = lane.take_head()
    lane.forget_session()
    return [FinishUnknown(lane, head), Announce(lane, Change.SKIPPED_UNKNOWN), Announce(lane, Change.ENDED)]


def skip_telling(lane: Lane, _: Happened) -> list[Command]:
    """One thing less to tell, whether it was heard or not."""
    lane.failures = 0
    _tell_on(lane)
    return [Announce(lane, Change.SKIPPED_UNKNOWN)]


def skip_end_of_old(lane: Lane, happened: Happened) -> list[Command]:
    """The old session is over, or expires; the sessionStart at the head is next."""
    return [Announce(lane, Change.SKIPPED_UNKNOWN), *ended_old(lane, happened)]


def told(lane: Lane, _: Happened) -> list[Command]:
    """One thing less to tell."""
    lane.failures = 0
    _tell_on(lane)
    return [Announce(lane, Change.TOLD)]


def telling_refused(lane: Lane, happened: Happened) -> list[Command]:
    """The API took it once and refuses it now; the session goes on without it."""
    assert isinstance(happened, Refused | GivenUp)
    _tell_on(lane)
    return [Announce(lane, Change.TELLING_REFUSED, status=happened.status)]


def _tell_on(lane: Lane) -> None:
    lane.to_tell.pop(0)
    lane.told_count += 1
    lane.strikes = 0  # the event at the head has its own tries
    lane.is_changed = True


def ended_old(lane: Lane, _: Happened) -> list[Command]:
    """The old session is over, by our word or because it was gone; the sessionStart at the head is next."""
    lane.forget_session()
    lane.failures = 0
    return [Announce(lane, Change.ENDED)]


def lose(lane: Lane, happened: Happened) -> list[Command]:
    """The API session is gone; the head stays."""
    assert isinstance(happened, Lost | LostTooOften)
    lane.session_id = None
    lane.to_tell = []
    lane.is_untold = False
    lane.is_replayed = False
    lane.silence = None
    lane.is_changed = True
    return [Announce(lane, Change.LOST, status=happened.status)]


def lose_and_set_aside(lane: Lane, happened: Happened) -> list[Command]:
    """The API session is gone once more; the head is set aside, the next event may have more luck."""
    assert isinstance(happened, LostTooOften)
    aside = _set_aside(lane, Reason.LOST_TOO_OFTEN, happened.status)
    return [aside, *lose(lane, happened)]


# --- for a silent player ---------------------------------------------------------------------------------------------------


def speak_for_player(lane: Lane, happened: Happened) -> list[Command]:
    """Keep the session alive in the player's place, or end it."""
    assert isinstance(happened, NextPing | NextSuspension)
    assert lane.session_id is not None
    return [SendEvent(lane, lane.session_id, happened.event, lane.route)]


def pinged(lane: Lane, _: Happened) -> list[Command]:
    """The session lives on, and has come as far as that. Since when it is silent is worth remembering, once."""
    silence = lane.silence
    if silence is not None and silence.said is not None:  # else the player has spoken meanwhile
        lane.last_playhead, lane.last_ts = silence.said.playhead, silence.said.ts
        silence.said = None
        lane.is_changed |= not silence.is_known
        silence.is_known = True
    return [Announce(lane, Change.PINGED)]


def not_pinged(lane: Lane, _: Happened) -> list[Command]:
    """It was not heard: another one follows soon."""
    if lane.silence is not None:
        lane.silence.speak_at = lane.silence.speak_again_at
    return []


def suspended(lane: Lane, _: Happened) -> list[Command]:
    """The API session is over, by our word or because it was gone; what was open is kept for the one that resumes it."""
    lane.session_id = None
    lane.told_count = 0
    lane.is_suspended = True
    lane.silence = None
    lane.is_changed = True
    return [Announce(lane, Change.SUSPENDED)]


# --- both --------------------------------------------------------------------------------------------------------------


def keep(_lane: Lane, _happened: Happened) -> list[Command]:
    """Nothing is decided: the same call goes again in its turn. The router says when."""
    return []


def reject(lane: Lane, happened: Happened) -> list[Command]:
    """The event is set aside, the session goes on."""
    assert isinstance(happened, Refused)
    return [_set_aside(lane, happened.reason, happened.status, happened.detail)]


def give_up(lane: Lane, happened: Happened) -> list[Command]:
    """Tried often or long enough: the event is set aside."""
    assert isinstance(happened, GivenUp)
    return [_set_aside(lane, happened.reason, happened.status, happened.detail), Announce(lane, Change.GIVEN_UP, happened.reason)]


def no_start(lane: Lane, _: Happened) -> list[Command]:
    """Nobody has said what this session plays."""
    return [_set_aside(lane, Reason.NO_SESSION_START)]


def session_refused(lane: Lane, _: Happened) -> list[Command]:
    """The session was refused."""
    return [_set_aside(lane, Reason.SESSION_REFUSED)]


def after_end(lane: Lane, _: Happened) -> list[Command]:
    """The session is over."""
    return [_set_aside(lane, Reason.AFTER_END)]


def park(lane: Lane, happened: Happened) -> list[Command]:
    """The session held up others for too long: the head is set aside, and whatever follows it will be."""
    assert isinstance(happened, Parked)
    aside = _set_aside(lane, Reason.PARKED, happened.status, happened.detail)
    lane.session_id = None
    lane.to_tell = []
    lane.is_untold = False
    lane.told_count = 0
    lane.had_session = True
    return [aside, Announce(lane, Change.PARKED, happened.detail, happened.status)]


def park_unopened(lane: Lane, happened: Happened) -> list[Command]:
    """The same for a session that the API has never opened: there is nothing to go on with."""
    lane.forget_session()
    return park(lane, happened)


def parked(lane: Lane, _: Happened) -> list[Command]:
    """The session is parked: what comes stays behind what was set aside before."""
    return [_set_aside(lane, Reason.PARKED)]


def too_old(lane: Lane, happened: Happened) -> list[Command]:
    """The head is older than its kind may be: it is dropped or set aside, and the session goes on."""
    assert isinstance(happened, NextTooOld)
    lane.seen_at(lane.waiting[0])  # the player has come so far, and what the relay says for it goes on from there
    if happened.is_dropped:
        return [DropEvent(lane, lane.take_head(), Dropped.TOO_OLD)]
    return [_set_aside(lane, Reason.TOO_OLD)]


def start_too_old(lane: Lane, _: Happened) -> list[Command]:
    """The sessionStart is too old to be sent, and so is what it would have begun."""
    aside = _set_aside(lane, Reason.TOO_OLD)
    lane.forget_session()
    lane.had_session = True
    return [aside, Announce(lane, Change.GIVEN_UP, Reason.TOO_OLD)]


def _set_aside(lane: Lane, reason: Reason, status: int = 0, detail: str = "") -> SetAside | SetAsideAlready:
    attempts = lane.attempts
    head = lane.take_head()
    assert head.record is not None
    if head.part is not None:
        assert lane.split is not None
        if lane.split.letter:
            return SetAsideAlready(lane, head)
        lane.split.letter = Letter.PENDING
        if head.part.count > 1:
            detail = f"part {head.part.number} of {head.part.count}, {head.event_type}{': ' if detail else ''}{detail}"
    lane.set_aside(head.record.offset, reason)
    lane.is_changed = True
    return SetAside(
        lane.assignment,
        head.record,
        reason,
        detail,
        key=lane.key,
        attempts=attempts,
        status=status,
        first_tried_at=lane.first_tried_at if attempts else 0.0,
        part=head.part,
    )

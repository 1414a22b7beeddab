"""What is open in a session: what a new API session must be told again.

In: events that the API took. Out: the same things as events again, in the order in which Adobe's own clients tell them
(chapter, ad break, ad, states, then the playback state), all at the playhead and time of the event that found the session gone.
"""

from typing import ClassVar

from relay.core.events import Details, EventType, PlayerEvent

_CLOSES_CHAPTER = frozenset({EventType.CHAPTER_COMPLETE, EventType.CHAPTER_SKIP})
_CLOSES_AD = frozenset({EventType.AD_COMPLETE, EventType.AD_SKIP})
PLAYBACK_STATES = frozenset({EventType.PLAY, EventType.PAUSE_START, EventType.BUFFER_START})
_SAYS_PLAYBACK_ITSELF = PLAYBACK_STATES | {EventType.SESSION_COMPLETE, EventType.SESSION_END}


class Playback:
    """The playback memory of one session."""

    __slots__ = ("ad", "ad_break", "chapter", "playing", "states")

    CHANGED_BY: ClassVar[frozenset[EventType]] = (
        _CLOSES_CHAPTER
        | _CLOSES_AD
        | PLAYBACK_STATES
        | {
            EventType.AD_BREAK_START,
            EventType.AD_BREAK_COMPLETE,
            EventType.AD_START,
            EventType.CHAPTER_START,
            EventType.STATE_START,
            EventType.STATE_END,
        }
    )

    def __init__(self) -> None:
        """Begin with nothing open."""
        self.chapter: Details | None = None
        self.ad_break: Details | None = None
        self.ad: Details | None = None
        self.states: dict[str, Details] = {}  # by name, in the order in which they began
        self.playing: EventType | None = None

    def apply(self, event: PlayerEvent) -> None:
        """The API took this event."""
        kind = event.event_type
        if kind in PLAYBACK_STATES:
            self.playing = kind
        elif kind is EventType.CHAPTER_START:
            self.chapter = _details(event)
        elif kind in _CLOSES_CHAPTER:
            self.chapter = None
        elif kind is EventType.AD_BREAK_START:
            self.ad_break, self.ad = _details(event), None
        elif kind is EventType.AD_BREAK_COMPLETE:
            self.ad_break = self.ad = None
        elif kind is EventType.AD_START:
            self.ad = _details(event)
        elif kind in _CLOSES_AD:
            self.ad = None
        elif kind is EventType.STATE_START:
            self.states.setdefault(event.state_name, _details(event))
        elif kind is EventType.STATE_END:
            self.states.pop(event.state_name, None)

    def told_before(self, refused: PlayerEvent) -> list[PlayerEvent]:
        """What a new session must hear before the event that the old one refused."""
        told = [
            (kind, details)
            for kind, details in (
                (EventType.CHAPTER_START, self.chapter),
                (EventType.AD_BREAK_START, self.ad_break),
                (EventType.AD_START, self.ad),
            )
            if details is not None
        ]
        told += [(EventType.STATE_START, details) for details in self.states.values()]
        if self.playing is not None and refused.event_type not in _SAYS_PLAYBACK_ITSELF:
            told.append((self.playing, Details()))
        return [
            PlayerEvent(
                event_type=kind,
                playhead=refused.playhead,
                ts=refused.ts,
                params=details.params,
                custom_metadata=details.custom_metadata,
            )
            for kind, details in told
        ]


def _details(event: PlayerEvent) -> Details:
    return Details(params=event.params, custom_metadata=event.custom_metadata)

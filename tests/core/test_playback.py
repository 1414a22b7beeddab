"""What is open in a session, and in which order a new one hears of it."""

import pytest

from relay.core.events import EventType, PlayerEvent, Record
from relay.core.playback import Playback

E = EventType
PING = PlayerEvent(E.PING, playhead=99.5, ts=1_700_000_099_500, record=Record(42))


def event(kind: EventType, name: str = "", metadata: bytes = b"") -> PlayerEvent:
    """An event with params of its own."""
    params = b'{"n":"%s"}' % (name or kind).encode()
    return PlayerEvent(kind, playhead=1.0, ts=1, params=params, custom_metadata=metadata, state_name=name, qoe_data=b'{"q":1}')


def open_after(*events: PlayerEvent) -> list[str]:
    """What is told again after these, in words."""
    playback = Playback()
    for one in events:
        playback.apply(one)
    return [f"{told.event_type}:{told.state_name or told.params.decode()}" for told in playback.told_before(PING)]


def words(*kinds: EventType) -> list[EventType]:
    """What is told again after such events, kinds only."""
    playback = Playback()
    for kind in kinds:
        playback.apply(event(kind))
    return [told.event_type for told in playback.told_before(PING)]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ((), ()),
        ((E.PING, E.BITRATE_CHANGE, E.ERROR), ()),
        ((E.CHAPTER_START,), (E.CHAPTER_START,)),
        ((E.CHAPTER_START, E.CHAPTER_COMPLETE), ()),
        ((E.CHAPTER_START, E.CHAPTER_SKIP), ()),
        ((E.CHAPTER_START, E.CHAPTER_START), (E.CHAPTER_START,)),
        ((E.AD_BREAK_START,), (E.AD_BREAK_START,)),
        ((E.AD_BREAK_START, E.AD_START), (E.AD_BREAK_START, E.AD_START)),
        ((E.AD_BREAK_START, E.AD_START, E.AD_COMPLETE), (E.AD_BREAK_START,)),
        ((E.AD_BREAK_START, E.AD_START, E.AD_SKIP), (E.AD_BREAK_START,)),
        ((E.AD_BREAK_START, E.AD_START, E.AD_BREAK_COMPLETE), ()),
        ((E.AD_BREAK_START, E.AD_START, E.AD_BREAK_START), (E.AD_BREAK_START,)),
        ((E.AD_START,), (E.AD_START,)),
        ((E.STATE_START,), (E.STATE_START,)),
        ((E.STATE_START, E.STATE_END), ()),
        ((E.STATE_END,), ()),
        ((E.PLAY,), (E.PLAY,)),
        ((E.PLAY, E.PAUSE_START), (E.PAUSE_START,)),
        ((E.PAUSE_START, E.BUFFER_START), (E.BUFFER_START,)),
        ((E.BUFFER_START, E.PLAY), (E.PLAY,)),
        (
            (E.PLAY, E.STATE_START, E.AD_BREAK_START, E.AD_START, E.CHAPTER_START),
            (E.CHAPTER_START, E.AD_BREAK_START, E.AD_START, E.STATE_START, E.PLAY),
        ),
    ],
)
def test_what_is_open_is_told_in_the_order_of_adobes_clients(said: tuple[EventType, ...], told: tuple[EventType, ...]) -> None:
    """Chapter, ad break, ad, states, then the playback state; each only while it is open."""
    assert words(*said) == list(told)


def test_states_keep_the_order_in_which_they_began() -> None:
    """Each state is told by its own name; one that ended and began again comes last; beginning twice changes nothing."""
    said = [event(E.STATE_START, name) for name in ("mute", "fullscreen", "inFocus")]
    said += [event(E.STATE_END, "mute"), event(E.STATE_START, "mute"), event(E.STATE_START, "fullscreen")]
    assert open_after(*said) == ['stateStart:{"n":"fullscreen"}', 'stateStart:{"n":"inFocus"}', 'stateStart:{"n":"mute"}']


@pytest.mark.parametrize("kind", [E.PLAY, E.PAUSE_START, E.BUFFER_START, E.SESSION_COMPLETE, E.SESSION_END])
def test_the_playback_state_is_not_told_before_an_event_that_says_it_itself(kind: EventType) -> None:
    """A refused play, pause, buffer or end is told nothing about playing."""
    playback = Playback()
    playback.apply(event(E.PLAY))
    playback.apply(event(E.CHAPTER_START))
    assert [told.event_type for told in playback.told_before(event(kind))] == [E.CHAPTER_START]


@pytest.mark.parametrize("kind", sorted(set(E) - {E.PLAY, E.PAUSE_START, E.BUFFER_START, E.SESSION_COMPLETE, E.SESSION_END}))
def test_the_playback_state_is_told_before_any_other_event(kind: EventType) -> None:
    """Whatever else was refused, the new session hears first whether it plays."""
    playback = Playback()
    playback.apply(event(E.PAUSE_START))
    assert [told.event_type for told in playback.told_before(event(kind))] == [E.PAUSE_START]


def test_what_is_told_carries_the_refused_events_time_and_its_own_words() -> None:
    """Playhead and ts are the refused event's, params and metadata the original ones; quality data and record are not told."""
    playback = Playback()
    playback.apply(event(E.AD_BREAK_START))
    playback.apply(event(E.AD_START, metadata=b'{"plan":"gold"}'))
    playback.apply(event(E.PLAY))
    assert playback.told_before(PING) == [
        PlayerEvent(E.AD_BREAK_START, 99.5, 1_700_000_099_500, params=b'{"n":"adBreakStart"}'),
        PlayerEvent(E.AD_START, 99.5, 1_700_000_099_500, params=b'{"n":"adStart"}', custom_metadata=b'{"plan":"gold"}'),
        PlayerEvent(E.PLAY, 99.5, 1_700_000_099_500),
    ]


def test_only_what_changes_the_memory_is_named_as_changing_it() -> None:
    """`CHANGED_BY` holds just the events that may open or close something."""
    for kind in E:
        playback = Playback()
        for opening in (E.CHAPTER_START, E.AD_BREAK_START, E.AD_START, E.STATE_START):
            playback.apply(event(opening, "x"))
        before = [(told.event_type, told.params) for told in playback.told_before(PING)]
        playback.apply(event(kind, "other" if kind is E.STATE_START else "x"))
        playback_changed = [(told.event_type, told.params) for told in playback.told_before(PING)] != before
        if playback_changed:
            assert kind in Playback.CHANGED_BY

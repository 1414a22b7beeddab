"""Each kind of mistake in a mapping gets a message that says where it is and what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_START = "media.id: a, media.length: 1, media.contentType: a, media.playerName: a, media.channel: a"

MISTAKES = {
    "not YAML": (
        "version: 1\nevents: {",
        "2: $: this is not YAML",
    ),
    "no mapping": (
        "# version:\n- 1",
        "2: $: input should be a mapping",
    ),
    "said twice": (
        "event: a\nevents: {x: {send: play}}",
        "6: event: this is said twice; leave one of them out",
    ),
    "YAML takes it for a boolean": (
        "events: {on: {send: play}}",
        "6: events.on: YAML takes on for no text; put it in quotes",
    ),
    "another version": (
        "version: 2\nevent: t\ntime: {from: t}\nplayhead: t\nevents: {x: {send: play}}",
        "1: version: 2 is not known here; expected 1",
    ),
    "a member that is missing": (
        "version: 1\nevent: t\nplayhead: t\nevents: {x: {send: play}}",
        "1: time: this is missing; add it",
    ),
    "a misspelt member": (
        "evnts: {}\nevents: {x: {send: play}}",
        "6: evnts: there is no member 'evnts' here; did you mean events?",
    ),
    "a misspelt event type": (
        "events: {x: {send: adstart}}",
        "6: events.x.send: 'adstart' is not known here; did you mean adStart?",
    ),
    "a misspelt event type, farther in": (
        "events:\n  x:\n    - send:\n      - {type: Play}",
        "9: events.x[0].send[0].type: 'Play' is not known here; did you mean play?",
    ),
    "a misspelt time format": (
        "version: 1\nevent: t\ntime: {from: t, format: iso}\nplayhead: t\nevents: {x: {send: play}}",
        "3: time.format: 'iso' is not known here; did you mean iso8601?",
    ),
    "a misspelt unit": (
        "qoe: {media.qoe.timeToStart: {from: x, unit: millis}}\nevents: {x: {send: play}}",
        "6: qoe.media.qoe.timeToStart.unit: 'millis'",
    ),
    "no expression": (
        "events: {x: {when: 'a ==', send: play}}",
        "6: events.x.when: this is no JMESPath expression",
    ),
    "an unknown function": (
        "events: {x: {when: lower(a), send: play}}",
        "there is no function lower()",
    ),
    "text without quotes of its own": (
        "events: {x: {send: {type: stateStart, params: {media.state.name: full screen}}}}",
        "text that stands for itself is written as {constant: text}",
    ),
    "an unknown param": (
        "events: {x: {send: {type: stateStart, params: {media.state.nam: a, media.state.name: b}}}}",
        (
            "6: events.x.send.params.media.state.nam: 'media.state.nam' is not among the params of stateStart; did you"
            " mean media.state.name?"
        ),
    ),
    "a param that is missing": (
        "events: {x: {send: adBreakStart}}",
        "adBreakStart lacks media.ad.podIndex, media.ad.podSecond, which the API requires",
    ),
    "a start that says too little": (
        "start: {params: {media.id: a}}\nevents: {x: {send: play}}",
        "add it to params, or to RELAY_SESSION__START_PARAMS",
    ),
    "params of an event without any": (
        "events: {x: {send: {type: ping, params: {media.id: a}}}}",
        "ping takes no params; leave them out",
    ),
    "unknown quality data": (
        "qoe: {bitrate: a}\nevents: {x: {send: play}}",
        "6: qoe.bitrate: 'bitrate' is not among the quality data",
    ),
    "metadata on the wrong event": (
        "events: {x: {send: {type: play, metadata: {a: b}}}}",
        "play takes no custom metadata; only adStart, chapterStart",
    ),
    "a name that the API does not take": (
        _START.join(("events: {x: {send: {type: sessionStart, params: {", "}, metadata: {a-b: c}}}}")),
        "letters, digits, underscores and dots",
    ),
    "no regular expression": (
        _START.join(("start: {params: {", "}, copy_metadata: [{from: a, matching: '['}]}\nevents: {x: {send: play}}")),
        "6: start.copy_metadata[0].matching: this is no regular expression",
    ),
    "a rule that nobody reaches": (
        "events: {x: [{send: play}, {drop: never}]}",
        "6: events.x[1]: nothing comes this far",
    ),
    "two outcomes": (
        "events: {x: {send: play, drop: a}}",
        "6: events.x: expected one of send, drop and refuse, got send and drop",
    ),
    "no outcome": (
        "events: {x: {when: a}}",
        "expected one of send, drop and refuse, got none of them",
    ),
    "a reason that is no label": (
        "events: {x: {drop: Too old!}}",
        "'Too old!' does not fit; expected small letters",
    ),
    "a value from two places": (
        "qoe: {media.qoe.bitrate: {from: a, constant: 1}}\nevents: {x: {send: play}}",
        "expected one of from, template and constant, got from and",
    ),
    "a unit on text": (
        "events: {x: {send: {type: stateStart, params: {media.state.name: {from: a, unit: seconds}}}}}",
        "a unit is for numbers",
    ),
    "a constant of another type": (
        "qoe: {media.qoe.bitrate: {constant: fast}}\nevents: {x: {send: play}}",
        "the constant does not fit: expected a number",
    ),
    "an open brace": (
        'events: {x: {send: {type: stateStart, params: {media.state.name: {template: "{a"}}}}}',
        "a brace is open",
    ),
    "a state of the player without `states`": (
        "events: {x: {send: seekStart}}",
        "seekStart is a state of the player, not an event of the API",
    ),
    "no rules": (
        "events: {}",
        "6: events: dictionary should have at least 1 item",
    ),
    "a merge key": (
        "events: {x: &a {send: play}, y: {<<: *a}}",
        "merge keys",
    ),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_place(mistakes: Callable[[str], list[str]], text: str, message: str) -> None:
    """Line, path, and what to change."""
    found = mistakes(text)
    assert any(message in one for one in found), found


def test_all_mistakes_are_told_at_once(mistakes: Callable[[str], list[str]]) -> None:
    """Nobody has to start it again for each."""
    text = "qoe: {bitrate: a}\nevents: {x: {when: 'a ==', send: adBreakStart}, y: {send: {type: play, metadata: {a: b}}}}"
    assert len(mistakes(text)) == 4

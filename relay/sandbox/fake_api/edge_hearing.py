"""A body of the Media Edge API that keeps every rule → what was heard, in the classic vocabulary.

In: the endpoint's name and the body's objects. Out: `Heard`, with content in one spelling, so that what is told again can be compared.
"""

from typing import Final

from relay.sandbox.fake_api.collection_fields import is_object
from relay.sandbox.fake_api.dialect import PLAYER_SESSION_KEY, SESSION_START, Heard, canonical
from relay.sandbox.fake_api.edge_fields import STATES_UPDATE, is_list

_RESUME: Final = "hasResume"
_CONTENT: Final = {"adBreakStart": "advertisingPodDetails", "adStart": "advertisingDetails", "chapterStart": "chapterDetails"}

Object = dict[str, object]


def hear(event: str, ts: int, xdm: Object, media: Object) -> tuple[Heard, ...]:
    """Say in the classic vocabulary what a body says that keeps every rule: several things only where it changes several states."""
    playhead = media["playhead"]
    assert isinstance(playhead, int)
    if event == STATES_UPDATE:
        started = [Heard("stateStart", ts, playhead, canonical({"name": name}), name) for name in _state_names(media, "statesStart")]
        ended = [Heard("stateEnd", ts, playhead, canonical({"name": name}), name) for name in _state_names(media, "statesEnd")]
        return (*started, *ended)
    if event == SESSION_START:
        return (_opening(ts, playhead, xdm, media),)
    if event in _CONTENT:
        return (Heard(event, ts, playhead, canonical(media[_CONTENT[event]], _metadata(media))),)
    return (Heard(event, ts, playhead),)


def _opening(ts: int, playhead: int, xdm: Object, media: Object) -> Heard:
    details = media["sessionDetails"]
    assert is_object(details)
    metadata = _metadata(media)
    return Heard(
        SESSION_START,
        ts,
        playhead,
        canonical(
            {name: value for name, value in details.items() if name != _RESUME},
            metadata,
            xdm.get("identityMap", {}),
            xdm.get("implementationDetails", {}),
        ),
        player_session=dict(metadata).get(PLAYER_SESSION_KEY, ""),
        is_resumed=details.get(_RESUME) is True,
    )


def _metadata(media: Object) -> list[tuple[str, str]]:
    """Custom metadata in one order: it is a list on the wire, but its order says nothing."""
    return sorted((str(pair["name"]), str(pair["value"])) for pair in _objects(media, "customMetadata"))


def _state_names(media: Object, name: str) -> list[str]:
    return [str(state["name"]) for state in _objects(media, name)]


def _objects(media: Object, name: str) -> list[Object]:
    listed = media.get(name, [])
    assert is_list(listed)
    return [element for element in listed if is_object(element)]

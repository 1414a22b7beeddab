"""What a `sessionStart` says when the relay says it."""

import msgspec
import pytest

from relay.core.events import Details
from relay.core.starts import Starts, resumed

REQUIRED = frozenset({"media.id", "media.channel"})
BROUGHT = Details(params=b'{"media.id":"film","media.channel":"one"}', custom_metadata=b'{"plan":"gold"}')


def told(details: Details | None) -> dict[str, object]:
    """The params in it."""
    assert details is not None
    return msgspec.json.decode(details.params, type=dict[str, object])


def test_what_the_event_brought_along_suffices() -> None:
    """An event's own `start` opens its session when it has all that the API requires."""
    details = Starts(required=REQUIRED).for_joining(BROUGHT)
    assert told(details) == {"media.id": "film", "media.channel": "one"}
    assert details is not None
    assert details.custom_metadata == BROUGHT.custom_metadata


def test_defaults_fill_the_gaps() -> None:
    """The operator's defaults complete what the event brought along, and never override it."""
    starts = Starts(required=REQUIRED, defaults={"media.channel": "two", "media.id": "any"})
    assert told(starts.for_joining(Details(params=b'{"media.id":"film"}'))) == {"media.channel": "two", "media.id": "film"}


def test_defaults_alone_may_suffice() -> None:
    """With defaults for all that is required, an event without `start` opens its session."""
    starts = Starts(required=REQUIRED, defaults={"media.channel": "two", "media.id": "any", "media.length": 1.5})
    details = starts.for_joining(None)
    assert told(details) == {"media.channel": "two", "media.id": "any", "media.length": 1.5}
    assert details == Details(params=details.params if details else b"")


@pytest.mark.parametrize("brought", [None, Details(), Details(params=b'{"media.id":"film"}'), Details(custom_metadata=b'{"a":"b"}')])
def test_too_little_is_known(brought: Details | None) -> None:
    """When one required param is missing everywhere, nothing is opened."""
    assert Starts(required=REQUIRED, defaults={"media.length": 1}).for_joining(brought) is None


def test_nobody_may_join() -> None:
    """With joining switched off, not even a complete `start` opens a session."""
    assert Starts(required=REQUIRED, defaults={"media.id": 1, "media.channel": 2}, may_join=False).for_joining(BROUGHT) is None


def test_a_joined_session_is_not_resumed() -> None:
    """An opening from an event's own `start` does not say that it goes on with another."""
    assert "media.resume" not in told(Starts(required=REQUIRED).for_joining(BROUGHT))


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (b"", {"media.resume": True}),
        (b'{"media.id":"film"}', {"media.id": "film", "media.resume": True}),
        (b'{"media.resume":false}', {"media.resume": True}),
        (b'{"media.length":90.0,"n":12345678901234567890123}', {"media.length": 90.0, "n": 12345678901234567890123, "media.resume": True}),
        (b'{"visitor.customerIDs":{"x":{"id":"\\u00e9"}}}', {"visitor.customerIDs": {"x": {"id": "é"}}, "media.resume": True}),
    ],
)
def test_a_session_that_goes_on_says_so(params: bytes, expected: dict[str, object]) -> None:
    """Resuming changes one param; the others keep value and type, the metadata stays as it came."""
    again = resumed(Details(params=params, custom_metadata=b'{"plan" : "gold"}'))
    assert told(again) == expected
    assert [type(value) for value in told(again).values()] == [type(value) for value in expected.values()]
    assert again.custom_metadata == b'{"plan" : "gold"}'

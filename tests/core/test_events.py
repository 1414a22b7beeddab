"""What an id may look like, and words that stay as they are: those of the API, and those in which a memoir keeps what players reported."""

import msgspec
import pytest

from relay.core.events import Derived, EventType, Part, Record, StateRules, as_session_id


@pytest.mark.parametrize("text", ["a", "0", "_-", "A-Za-z0-9_", "f" * 64, "x" * 128])
def test_an_id_is_taken_as_it_is(text: str) -> None:
    """1 to 128 letters, digits, dashes and underscores make an id."""
    assert as_session_id(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 129,
        "../events",
        "a/b",
        "a\\b",
        "a.b",
        "a b",
        "a\r\nX-Evil: 1",
        "a\n",
        "\na",
        "a\x00",
        "a%2e",
        "a?b",
        "a#b",
        "séance",
        "\N{FULLWIDTH LATIN SMALL LETTER A}",
        "\N{ARABIC-INDIC DIGIT THREE}",
    ],
)
def test_anything_else_is_no_id(text: str) -> None:
    """Too long, empty, or with any other character: None."""
    assert as_session_id(text) is None


def test_the_vocabulary_has_nineteen_words() -> None:
    """The event types are those of the classic API, each as it is written on the wire."""
    assert list(map(str, EventType)) == [
        "sessionStart",
        "sessionComplete",
        "sessionEnd",
        "play",
        "ping",
        "pauseStart",
        "bufferStart",
        "bitrateChange",
        "error",
        "adBreakStart",
        "adBreakComplete",
        "adStart",
        "adComplete",
        "adSkip",
        "chapterStart",
        "chapterComplete",
        "chapterSkip",
        "stateStart",
        "stateEnd",
    ]


# --- what is kept of a player's states --------------------------------------------------------------------------------------------------

WRITTEN = b'{"p":1,"b":"play","w":true,"k":true,"r":2,"a":3,"c":4,"s":["mute"],"d":"pauseStart","t":5,"n":6,"e":7.5,"m":"film"}'
MEANT = Derived(
    phase=1,
    base="play",
    buffering=True,
    seeking=True,
    ad_break=2,
    ad=3,
    chapter=4,
    states=("mute",),
    said="pauseStart",
    said_at=5,
    seen_at=6,
    seen=7.5,
    media="film",
)


def test_a_memoir_is_understood_after_an_update() -> None:
    """Its names are those of the first version, for they lie in Kafka."""
    assert msgspec.json.encode(MEANT) == WRITTEN
    assert msgspec.json.decode(WRITTEN, type=Derived) == MEANT


def test_what_a_memoir_leaves_out_was_not_so() -> None:
    """Only what is so is written: no session, nothing open, nothing said or seen."""
    known = msgspec.structs.asdict(msgspec.json.decode(b"{}", type=Derived))
    assert {name for name, value in known.items() if value} == set()
    assert msgspec.json.encode(Derived()) == b"{}"


def test_states_say_no_more_than_a_file_asks_for() -> None:
    """Pings as often as Adobe's clients say them, no end for a silent player, and none where the media changes."""
    rules = StateRules()
    assert (rules.ping_milliseconds, rules.silence_milliseconds, rules.ends_on_new_media) == (10_000, 0, False)


# --- records ----------------------------------------------------------------------------------------------------------------------------


def test_a_record_from_nowhere_has_no_moment() -> None:
    """A sample that never lay in Kafka was appended at no time."""
    record = Record(0)
    assert (record.timestamp_ms, record.appended_at) == (0, 0)


def test_the_parts_of_a_record_are_sent_and_the_last_one_ends_it() -> None:
    """Unless one is said to be silent."""
    parts = [Part(number, 3) for number in (1, 2, 3)]
    assert [part.is_last for part in parts] == [False, False, True]
    assert not any(part.is_silent for part in parts)

"""Only what is harmless in URLs and log lines passes as the id of an API session."""

import pytest

from relay.core.events import EventType, as_session_id


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
    """The event types are those of the classic API, and each one reads as it is written on the wire."""
    assert len(EventType) == 19
    assert f"{EventType.AD_BREAK_START}" == EventType("adBreakStart") == "adBreakStart"

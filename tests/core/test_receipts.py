"""Which offsets beyond the committed one are finished, as a text and back."""

from __future__ import annotations

import zlib
from base64 import b64encode
from random import Random

import pytest

from relay.core.ledger import Ledger, Taken
from relay.core.receipts import TEXT_LENGTH_MAX, NoReceipt, read, write


def ledger_with(taken: range | list[int], unfinished: set[int]) -> Ledger:
    """All of these were taken, all but those are finished."""
    ledger = Ledger()
    for offset in taken:
        ledger.take(offset)
    for offset in taken:
        if offset not in unfinished:
            ledger.finish(offset)
    return ledger


def redone(ledger: Ledger, upto: int) -> set[int]:
    """What a restart would do again."""
    safe = ledger.safe
    assert safe is not None
    again = Ledger(read(write(ledger), safe))
    return {offset for offset in range(safe, upto) if again.take(offset) is Taken.NEW}


@pytest.mark.parametrize(
    ("upto", "unfinished"),
    [
        (10, {0}),
        (10, {9}),
        (10, {3}),
        (10, {3, 4}),
        (10, {0, 2, 4, 6, 8}),
        (10, set(range(10))),
        (10, {0, 9}),
        (100_000, {0}),
        (100_000, {0, 99_999, 50_000}),
        (3_000, set(range(0, 3_000, 3))),
    ],
)
def test_a_restart_repeats_just_what_was_unfinished(upto: int, unfinished: set[int]) -> None:
    """What the receipt says is finished is skipped, everything else comes again."""
    assert redone(ledger_with(range(upto), unfinished), upto) == unfinished


def test_without_gaps_there_is_nothing_to_write() -> None:
    """When all is finished, or nothing beyond the safe offset is, the committed offset says it all."""
    assert write(Ledger()) == ""
    assert write(ledger_with(range(5), set())) == ""
    assert write(ledger_with(range(5), {3, 4})) == ""
    assert read("", 7) == ()


def test_holes_in_the_log_may_count_as_finished() -> None:
    """Compaction left holes; nothing in them is ever read, so either is right; what was unfinished is repeated."""
    taken = [5, 9, 10, 50, 51, 90]
    assert redone(ledger_with(taken, {9, 50}), 91) & set(taken) == {9, 50}


def test_one_stuck_session_costs_a_short_text() -> None:
    """However far the others ran ahead, the text stays short."""
    assert len(write(ledger_with(range(200_000), {0}))) < 20


def test_neighbours_that_are_stuck_cost_no_more_than_one() -> None:
    """They are one run."""
    assert len(write(ledger_with(range(50), set(range(30))))) == len(write(ledger_with(range(50), {0})))


def test_a_receipt_never_grows_beyond_what_kafka_keeps() -> None:
    """What does not fit is left out from the end: repeated after a crash, never lost."""
    unfinished = {offset for offset in range(200_000) if (offset * 2_654_435_761 >> 7) % 3 == 0}
    ledger = ledger_with(range(200_000), unfinished)
    assert len(write(ledger)) <= TEXT_LENGTH_MAX
    again = redone(ledger, 200_000)
    assert again >= {offset for offset in unfinished if ledger.safe is not None and offset >= ledger.safe}
    assert len(again) < 200_000 - 1_000


def test_a_receipt_holds_what_there_is_room_for() -> None:
    """No more is left out than need be."""
    chance = Random(7)  # noqa: S311  # no secret
    ledger = ledger_with(range(20_000), {offset for offset in range(20_000) if chance.random() < 0.3})
    assert TEXT_LENGTH_MAX / 2 < len(write(ledger)) <= TEXT_LENGTH_MAX


PLAIN = "rAQEBfwGAAQGBAQH/fwGAgAEBrALlsBpu"
DEFLATED = "zeAFjZGFkZBzmOJWzfB4AvSoDEw=="  # 57 times the same


def test_a_receipt_keeps_its_form() -> None:
    """What an earlier version has committed is read after an update: lengths of runs in turn, each of as few bytes as it needs."""
    finished = (1, 127, 128, 129, 16_383, 16_384, 300)
    stuck = {sum(finished[:number]) + number for number in range(len(finished))}
    assert write(ledger_with(range(sum(finished) + len(finished)), stuck)) == PLAIN
    assert read(PLAIN, 1_000) == (
        (1_001, 1_002),
        (1_003, 1_130),
        (1_131, 1_259),
        (1_260, 1_389),
        (1_390, 17_773),
        (17_774, 34_158),
        (34_159, 34_459),
    )
    ranges = read(DEFLATED, 1)
    assert len(ranges) == 114
    assert ranges[:4] == ((2, 6), (7, 8), (9, 13), (14, 15))


GOOD = write(ledger_with(range(300), {0, 7, 8, 100, 299}))


def test_a_receipt_is_plain_ascii_text() -> None:
    """It travels as commit metadata."""
    assert GOOD.isascii()
    assert GOOD.isprintable()


@pytest.mark.parametrize("place", range(len(GOOD)))
def test_a_damaged_receipt_is_no_receipt(place: int) -> None:
    """Whichever character is another: nothing is taken for finished."""
    for other in ("A", "z", "9", "\0", "é"):
        if other != GOOD[place]:
            damaged = GOOD[:place] + other + GOOD[place + 1 :]
            with pytest.raises(NoReceipt):
                read(damaged, 1_000)


def test_a_receipt_with_something_in_between_is_no_receipt() -> None:
    """Nor is one that was wrapped on its way."""
    with pytest.raises(NoReceipt):
        read(f"{GOOD[:9]}\n{GOOD[9:]}", 1_000)


def checked(body: bytes) -> bytes:
    """A body with its checksum."""
    return body + zlib.crc32(body).to_bytes(4, "big")


@pytest.mark.parametrize(
    "text",
    [
        "r",
        "z",
        "x",
        "rAAAA",
        "r====",
        "Kafka Streams' own metadata",
        '{"offset": 5}',
        "AQAAAYx2example",
        "\x00\x01",
        "émile",
        "r" + b64encode(b"123").decode(),
        "z" + b64encode(b"not deflated").decode(),
        "z" + b64encode(zlib.compress(b"\0" * 10_000_000)).decode(),
        "z" + b64encode(zlib.compress(checked(b"\x01\x01"))[:-1]).decode(),  # all is there but the end of the end
        "q" + b64encode(checked(b"\x01\x01")).decode(),
        "r" + b64encode(checked(b"\xff" * 11 + b"\x01\x01")).decode(),  # a run longer than any log
    ],
)
def test_a_foreign_text_is_no_receipt(text: str) -> None:
    """Another client's metadata, or a bomb, never makes offsets look finished, and crashes nothing."""
    with pytest.raises(NoReceipt):
        read(text, 0)


def test_a_receipt_survives_a_restart_that_finishes_nothing() -> None:
    """A commit right after a restart, before the log was read again, says no less than the one before it."""
    before = ledger_with(range(100), {0, 50})
    again = Ledger(read(write(before), 0))
    again.take(0)
    assert again.safe == 0
    assert redone(again, 100) == {0, 50}

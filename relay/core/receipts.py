"""Receipts: which offsets beyond the committed one are finished, as text that travels with the commit.

In: a ledger. Out: text for the commit's metadata, and back: ranges that a restart may skip.

One stuck session holds back the offset of its whole partition, and everything behind it would be delivered again after a restart. Kafka
keeps a text with each committed offset; it holds the lengths of runs, outstanding and finished in turn, as varints in base64, deflated when
that is shorter. Since a ledger knows what is outstanding, the text grows with what is under way and not with how far the others ran ahead.

A text that is not ours, or damaged, must not make two billion offsets look finished: it carries a version and a checksum, and what does not
fit them is no receipt.
"""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from itertools import chain, pairwise, takewhile
from typing import Final

from relay.core.ledger import Ledger

TEXT_LENGTH_MAX: Final = 4_000  # the broker takes 4,096 bytes, of which the client uses one
_PLAIN: Final = "r"
_DEFLATED: Final = "z"
_CHECKSUM_BYTES: Final = 4
_DEFLATE_FROM_BYTES: Final = 64  # below this it only grows
_BITS: Final = 7
_MORE: Final = 0x80
_SHIFT_MAX: Final = 63

Ranges = tuple[tuple[int, int], ...]
"""Finished offsets as [first, end), ascending and apart."""


class NoReceipt(ValueError):  # noqa: N818  # a fact about a text
    """The text is not a receipt of ours."""


def write(ledger: Ledger) -> str:
    """The receipt of a ledger.

    What does not fit is left out from the end: it would be repeated after a crash, never lost.
    """
    safe = ledger.safe
    runs = [] if safe is None else list(_runs(ledger, safe))
    if not runs:
        return ""
    text = _encode(runs)
    while len(text) > TEXT_LENGTH_MAX:
        runs = runs[: len(runs) * 3 // 4 & ~1]  # pairs: outstanding, finished; one of them always fits
        text = _encode(runs)
    return text


def read(text: str, offset: int) -> Ranges:
    """The finished ranges beyond a committed offset. Raises `NoReceipt` for anything that was not written by `write`."""
    if not text:
        return ()
    try:
        packed = b64decode(text[1:], validate=True)
        if text[0] == _DEFLATED:
            packed = _inflate(packed)
        elif text[0] != _PLAIN:
            raise NoReceipt("another version")
    except (ValueError, zlib.error) as error:
        raise NoReceipt(str(error)) from error
    body, checksum = packed[:-_CHECKSUM_BYTES], packed[-_CHECKSUM_BYTES:]
    if _checksum(body) != checksum:
        raise NoReceipt("the checksum does not fit")
    ranges: list[tuple[int, int]] = []
    place = offset
    for index, length in enumerate(_varints(body)):
        if index % 2:
            ranges.append((place, place + length))
        place += length
    return tuple(ranges)


def _runs(ledger: Ledger, safe: int) -> Iterator[int]:
    """Lengths of runs from the safe offset on: outstanding, finished, outstanding, … and a finished one last."""
    place = safe
    for first, end in _joined(chain(_finished(ledger), ledger.finished_ahead())):
        yield first - place
        yield end - first
        place = end


def _finished(ledger: Ledger) -> Iterator[tuple[int, int]]:
    """The ranges between outstanding offsets, up to the highest finished one."""
    end = ledger.finished_below
    outstanding = takewhile(end.__gt__, ledger.outstanding())
    return ((before + 1, after) for before, after in pairwise((*outstanding, end)) if after - before != 1)


def _joined(ranges: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The same ranges, and where one begins at the end of another, one for both."""
    first = end = 0
    for range_first, range_end in ranges:
        if range_first != end:
            if end:
                yield first, end
            first = range_first
        end = range_end
    if end:
        yield first, end


def _encode(runs: list[int]) -> str:
    body = bytearray()
    for length in runs:
        rest = length
        while rest > _MORE - 1:
            body.append(rest & (_MORE - 1) | _MORE)
            rest >>= _BITS
        body.append(rest)
    packed = bytes(body) + _checksum(body)
    if len(packed) >= _DEFLATE_FROM_BYTES:
        deflated = zlib.compress(packed, 1)
        if len(deflated) < len(packed):
            return _DEFLATED + b64encode(deflated).decode()
    return _PLAIN + b64encode(packed).decode()


def _varints(body: bytes) -> Iterator[int]:
    number, shift = 0, 0
    for byte in body:
        number |= (byte & (_MORE - 1)) << shift
        if byte & _MORE:
            shift += _BITS
            if shift > _SHIFT_MAX:
                raise NoReceipt("a run of that length is none")
        else:
            yield number
            number, shift = 0, 0


def _checksum(body: bytes | bytearray) -> bytes:
    return zlib.crc32(body).to_bytes(_CHECKSUM_BYTES, "big")


def _inflate(packed: bytes) -> bytes:
    """No more than a receipt can hold, whatever the text claims."""
    inflater = zlib.decompressobj()
    plain = inflater.decompress(packed, TEXT_LENGTH_MAX * 64)
    if not inflater.eof:
        raise NoReceipt("it is cut short, or it holds more than any receipt")
    return plain

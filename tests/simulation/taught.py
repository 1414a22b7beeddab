"""Worlds that have taught something: each fails when what is said beside its seed is undone, and is run each time.

In: nothing. Out: seeds, each with a line on what it found, or catches: `catches` names a bug of `tests/planted/bugs.toml`, which was
planted to find a world that notices it. Whoever changes how worlds are drawn looks for such seeds again: plant the bug, run `explore.py`.
"""

from typing import Final

TAUGHT: Final[dict[int, str]] = {
    101644: "found: that a session was over was forgotten while the next was not open; states were derived from what was before",
    100827: "found: the checks took a session that was forgotten, and read again, for one that was set aside and tried once more",
    112642: "found: the checks took a memoir of an owner that was, at the same place in the log, for that of the present one",
    103297: "found: the checks did not count records that come to nothing, and wait in their lane all the same",
    300030: "found: the checks took what is forgotten, where more sessions live than may be held, for a repeat in a clean world",
    300290: "found: the checks held what is told again after as many refusals as may be for one too many",
    20214: "catches: a partition that comes back has two calls of one session under way",
    20083: "catches: an answer that outlives its partition counts",
    20011: "catches: a partition leaves without waiting for calls under way",
    20012: "catches: an event is finished before its dead letter is confirmed",
    20009: "catches: the ad break is forgotten",
    20003: "catches: an event that is answered 404 is dropped",
    30033: "catches: a restart ignores receipts",
    30014: "catches: a memoir forgets what waits for its dead letter",
    30038: "catches: a restart repeats the parts that have left",
    30002: "catches: the memoir leaves out what was derived",
}

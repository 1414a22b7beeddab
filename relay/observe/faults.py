"""What was wrong with events that were set aside, in words that may be shown to anybody: where, and of which kind.

In: the detail of a dead letter, be it the relay's own or the API's, which may quote what a player said. Out: a JSON path that consists of
names from the two vocabularies alone, and one of a closed list of kinds. A name that nobody knows becomes `*`, an index `[]`; nothing else
of the detail gets out. And how often each came up, in bounded memory.
"""

import re
from collections.abc import Collection, Iterator
from enum import StrEnum
from typing import Final, NamedTuple

READ_CHARACTERS_MAX: Final = 2_000
FAULTS_MAX: Final = 5  # of one event
STEPS_MAX: Final = 8
KEPT_MAX: Final = 200

_OF_THE_EVENT: Final = (
    "eventType playerTime playhead ts params qoeData customMetadata start sessionKey"
    " xdm events mediaCollection identityMap implementationDetails timestamp sessionID name value version environment"
    " sessionDetails advertisingPodDetails advertisingDetails chapterDetails errorDetails qoeDataDetails statesStart statesEnd"
)
_NAME, _INDEX, _KEY = r"\.([A-Za-z_]\w{0,63})", r"\[(\d{1,9}|\.\.\.)\]", r"\[['\"]([^'\"\r\n]{1,200})['\"]\]"
_STEP: Final = f"{_NAME}|{_INDEX}|{_KEY}"
_PATH: Final = re.compile(rf"\$(?=[.\[:])(?:{_STEP})*")
_STEPS: Final = re.compile(_STEP)
_WORD: Final = re.compile(r"[A-Za-z]\w*(?:\.\w+)+")


class Problem(StrEnum):
    """The kind of what is wrong."""

    MISSING_FIELD = "missing_field"
    UNKNOWN_FIELD = "unknown_field"
    NO_PLACE = "no_place"  # the dialect has nowhere to put it
    OUT_OF_RANGE = "out_of_range"
    WRONG_TIME = "wrong_time"
    WRONG_SESSION_ID = "wrong_session_id"
    EMPTY = "empty"
    NOT_JSON = "not_json"
    WRONG_TYPE = "wrong_type"
    OTHER = "other"


# Words that tell a kind, the first that is found counts. They are searched in the words behind the path.
_SIGNS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), problem)
    for pattern, problem in (
        (r"apisid|session ?id\b", Problem.WRONG_SESSION_ID),
        (r"iso.?8601|timestamp|date-time", Problem.WRONG_TIME),
        (r"missing|required", Problem.MISSING_FIELD),
        (r"no place|has a place for|takes it with|takes no", Problem.NO_PLACE),
        (r"unknown|unexpected (?:field|key|property)|additional propert|not allowed|expected no", Problem.UNKNOWN_FIELD),
        (r"not json|malformed|invalid utf|not the json|truncated", Problem.NOT_JSON),
        (r"\bempty\b|has no value", Problem.EMPTY),
        (r"out of range|at most|at least|minimum|maximum|too (?:long|large|short|many)", Problem.OUT_OF_RANGE),
        (r"expected|must be|\btype\b|should be|invalid", Problem.WRONG_TYPE),
    )
)


class Fault(NamedTuple):
    """One thing that was wrong with an event."""

    path: str  # empty where the detail names none
    problem: Problem


class Counted(NamedTuple):
    """How often something was wrong with events that were set aside for a reason."""

    reason: str
    path: str
    problem: str
    times: int


class Faults:
    """Reads details, and counts what they say."""

    def __init__(self, words: Collection[str] = ()) -> None:
        """Know these names besides those that each event has."""
        self._words = {*_OF_THE_EVENT.split(), *words}
        self._counts: dict[tuple[str, str, str], int] = {}
        self.left_out = 0  # came when as many as are kept were known already

    def learn(self, words: Collection[str]) -> None:
        """Know these names as well: they may be shown."""
        self._words.update(words)

    def note(self, reason: str, detail: str) -> list[Fault]:
        """Read the detail of an event that is set aside, and count what it says."""
        faults = list(self._read(detail)) if detail else []
        for path, problem in faults or [Fault("", Problem.OTHER)]:
            key = (reason, path, str(problem))
            if key in self._counts or len(self._counts) < KEPT_MAX:
                self._counts[key] = self._counts.get(key, 0) + 1
            else:
                self.left_out += 1
        return faults

    def top(self, count: int = 20) -> list[Counted]:
        """Those that came up most."""
        ranked = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return [Counted(*key, times) for key, times in ranked[:count]]

    def _read(self, detail: str) -> Iterator[Fault]:
        """A fault for each path; without any, one for the whole."""
        text = detail[:READ_CHARACTERS_MAX]
        places = list(_PATH.finditer(text))[:FAULTS_MAX]
        seen: set[Fault] = set()
        for number, place in enumerate(places):
            end = places[number + 1].start() if number + 1 < len(places) else len(text)
            behind = text[place.end() : end]
            fault = Fault(self._path(place[0]), _problem(behind if behind.strip(" ,;:") else text[place.end() :]))
            if fault not in seen:
                seen.add(fault)
                yield fault
        if not places:
            yield Fault(next((word for word in _WORD.findall(text) if word in self._words), ""), _problem(text))

    def _path(self, text: str) -> str:
        """The path, with what is not known left out."""
        steps = list(_STEPS.finditer(text))
        shown = "".join(self._step(step) for step in steps[:STEPS_MAX])
        return f"${shown}{'…' if len(steps) > STEPS_MAX else ''}"

    def _step(self, step: re.Match[str]) -> str:
        name, index, key = step.groups()
        if index is not None:
            return "[]"
        if (name or key) not in self._words:
            return "[*]"
        return f".{name}" if name else f"[{key}]"


def _problem(text: str) -> Problem:
    return next((problem for sign, problem in _SIGNS if sign.search(text)), Problem.OTHER)

"""A mapping before it meets the world: samples through the real input and core, and each request before the strict rules of the fake API.

In: how records are read, samples, and cases that say what is expected of some. Out: what is wrong, with the line of the sample or the
name of the case.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# What YAML holds has no type.

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple, cast

import msgspec
import yaml

from relay.api.collection import MediaCollection
from relay.api.dialect import Dialect
from relay.api.edge import MediaEdge
from relay.core.events import Record
from relay.core.starts import Starts
from relay.errors import SettingsError
from relay.input import presets
from relay.input.decoding import PlainJson
from relay.input.reading import Reader, prepare_reader
from relay.sandbox.fake_api.collection import Collection
from relay.sandbox.fake_api.dialect import Asked
from relay.sandbox.fake_api.edge import Edge
from relay.translation import Translated, Translator, as_native

SAMPLE_KEY: Final = b"sample"  # a sample has no record around it, and with it no key
DATASTREAM: Final = "datastream"
ACCOUNT: Final = {
    "analytics.trackingServer": "company.sc.omtrdc.net",
    "analytics.reportSuite": "company",
    "visitor.marketingCloudOrgId": "0123456789ABCDEF01234567@AdobeOrg",
}  # what is the same in all sessions of an account, and stands in no raw event


class Problem(NamedTuple):
    """What is wrong with one line, or one case."""

    line: int
    reason: str
    detail: str


class Heard(NamedTuple):
    """What one dialect makes of a record."""

    dialect: str
    translated: Translated
    refusals: list[str]  # by the strict rules, in their words


class Rehearsal:
    """One relay for each dialect, on a good day, before a strict API."""

    def __init__(self, mapping: str, start_params: Mapping[str, Any] | None = None, dialects: Iterable[str] = ()) -> None:
        """Compile the mapping. Raises `SettingsError` when it cannot be used."""
        defaults = ACCOUNT | dict(start_params or {})
        self.reader: Reader = prepare_reader(mapping, start_defaults=defaults)(PlainJson())
        ours: dict[str, Dialect] = {"media-collection": MediaCollection(), "media-edge": MediaEdge(DATASTREAM)}
        self._judges: dict[str, Collection | Edge] = {"media-collection": Collection(), "media-edge": Edge(Random(1))}  # noqa: S311  # ids of a fake
        self._translators = {
            name: Translator(self.reader, dialect, Starts(required=dialect.required_start_params, defaults=defaults))
            for name, dialect in ours.items()
            if name in (tuple(dialects) or ours)
        }
        self._offset = 0

    def hear(self, value: bytes, *, key: bytes | None = SAMPLE_KEY, headers: tuple[tuple[str, bytes | None], ...] = ()) -> list[Heard]:
        """One more record."""
        record = Record(self._offset, key=key, value=value, headers=headers, timestamp_ms=0)
        self._offset += 1
        heard: list[Heard] = []
        for name, translator in self._translators.items():
            translated = translator.translate(record)
            replies = [self._judges[name].understand("POST", request.path, request.body) for request in translated.requests]
            refusals = [reply.body.decode() for reply in replies if not isinstance(reply, Asked)]
            heard.append(Heard(name, translated, refusals))
        return heard


def check_samples(rehearsal: Rehearsal, lines: Iterable[bytes]) -> tuple[int, list[Problem], Counter[str]]:
    """How many samples there are, what is wrong with which, and how many were dropped, by reason. Empty lines are skipped."""
    count, problems, dropped = 0, list[Problem](), Counter[str]()
    for number, line in enumerate(lines, start=1):
        value = line.strip()
        if not value:
            continue
        count += 1
        heard = rehearsal.hear(value)
        problems += [Problem(number, *problem) for problem in _problems(heard)]
        if heard and heard[0].translated.dropped:
            dropped[heard[0].translated.dropped] += 1
    return count, problems, dropped


def _problems(heard: list[Heard]) -> list[tuple[str, str]]:
    """What is wrong with a sample, each thing once although both dialects may say it."""
    found: dict[tuple[str, str], None] = {}
    for dialect, translated, refusals in heard:
        if translated.reason:
            found[translated.reason, translated.detail] = None
        for refusal in refusals:
            found["rejected", f"{dialect}: {refusal}"] = None
    return list(found)


# --- cases ------------------------------------------------------------------------------------------------------------------------------


def cases_beside(mapping: str) -> tuple[str, str] | None:
    """The cases that are kept beside a preset or a mapping file: where, and their text."""
    text = presets.text_of(mapping, ".cases.yaml")
    if text is not None:
        return f"preset {mapping}", text
    path = Path(mapping)
    beside = path.with_name(f"{path.stem}.cases.yaml")
    return (str(beside), beside.read_text("utf-8")) if beside.is_file() else None


def check_cases(mapping: str, start_params: Mapping[str, Any] | None, text: str, name: str) -> tuple[int, list[Problem]]:
    """How many cases there are, and which of them fail. Raises `SettingsError` when they cannot be read."""
    cases = _read_cases(text, name)
    problems: list[Problem] = []
    for number, case in enumerate(cases, start=1):
        rehearsal = Rehearsal(mapping, start_params, dialects=("media-collection",))
        title = str(case.get("name", f"case {number}"))
        raw = case.get("raw")
        events = raw if isinstance(raw, list) else [raw]
        outcomes = [rehearsal.hear(msgspec.json.encode(event))[0].translated for event in events]
        problems += [Problem(number, title, detail) for detail in _compare(case, outcomes)]
    return len(cases), problems


def _read_cases(text: str, name: str) -> list[dict[str, Any]]:
    try:
        cases = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise SettingsError(f"{name}: this is not YAML: {error}") from None
    if not isinstance(cases, list) or not all(isinstance(case, dict) and "raw" in case for case in cases):
        raise SettingsError(f"{name}: expected a list of cases, each with `raw` and with `says`, `drops` or `refuses`")
    for number, case in enumerate(cast("list[dict[str, Any]]", cases), start=1):
        unknown = case.keys() - {"name", "raw", "says", "drops", "refuses"}
        if unknown or not case.keys() & {"says", "drops", "refuses"}:
            what = f"unknown: {', '.join(sorted(unknown))}" if unknown else "says neither `says` nor `drops` nor `refuses`"
            raise SettingsError(f"{name}, case {number}: {what}")
    return cast("list[dict[str, Any]]", cases)


def _compare(case: Mapping[str, Any], outcomes: list[Translated]) -> list[str]:
    last = outcomes[-1]
    if "drops" in case:
        return [] if last.dropped == case["drops"] else [f"expected it to be dropped as {case['drops']}, got {_say(last)}"]
    if "refuses" in case:
        told = f"{last.reason}: {last.detail}"
        return (
            []
            if last.reason and str(case["refuses"]) in told
            else [f"expected it to be refused with {case['refuses']!r}, got {_say(last)}"]
        )
    said = [msgspec.json.decode(request.body) for outcome in outcomes for request in outcome.requests]
    expected: list[Any] = case["says"]
    found = [one["eventType"] for one in said]
    kinds = [one if isinstance(one, str) else one.get("eventType") for one in expected]
    if found != kinds:
        return [f"expected {', '.join(map(str, kinds)) or 'nothing'}, got {', '.join(found) or _say(last)}"]
    pairs = enumerate(zip(expected, said, strict=True), start=1)
    return [
        f"{one['eventType']} ({place}): {what}"
        for place, (want, one) in pairs
        if isinstance(want, dict)
        for what in _differences(want, one, "$")
    ]


def _differences(expected: Any, found: Any, path: str) -> list[str]:
    """What is expected and not found; what is found besides does not matter."""
    if isinstance(expected, dict) and isinstance(found, dict):
        members = cast("dict[str, Any]", expected)
        there = cast("dict[str, Any]", found)
        return [
            difference
            for name, value in members.items()
            for difference in (_differences(value, there[name], f"{path}.{name}") if name in there else [f"{path}.{name} is missing"])
        ]
    is_same = expected == found and isinstance(expected, bool) == isinstance(found, bool)
    return [] if is_same else [f"{path}: expected {expected!r}, got {found!r}"]


def _say(translated: Translated) -> str:
    if translated.reason:
        return f"{translated.reason}: {translated.detail}"
    if translated.dropped:
        return f"nothing (dropped as {translated.dropped})"
    return ", ".join(str(as_native(event)["eventType"]) for event in translated.events) or "nothing"

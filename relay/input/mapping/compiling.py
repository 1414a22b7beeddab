"""A mapping file → the functions that apply it, or all that is wrong with it.

In: a document. Out: a `Compiled`. It is done once, at the start: expressions are parsed, names are looked up in the vocabulary, and what
the API would refuse for its shape is found here.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from relay.core.events import EventType, Nothing, StateRules
from relay.input.mapping import model
from relay.input.mapping.document import BadMapping, Document, Path, Problem
from relay.input.mapping.expressions import BadExpression, Evaluate, compile_expression, fields_of
from relay.input.mapping.rules import Copies, Fields, Metadata, RuleOf, SendOf, StartOf
from relay.input.mapping.times import READ
from relay.input.mapping.values import Misfit, compile_value, members_of, problem_of
from relay.input.mapping.vocabulary import PARAMS, QOE, QOE_OF_START, REQUIRED, TAKES_METADATA, Kind

STATES_ONLY: Final = {
    "seekStart": EventType.PAUSE_START,
    "seekComplete": EventType.PLAY,
    "bufferComplete": EventType.PLAY,
    "tick": EventType.PING,
}
_METADATA_NAME: Final = re.compile(r"[a-zA-Z0-9_.]+")
_UNITS_OUT: Final = {"media.qoe.timeToStart": 1e-3}


_Placed = dict[str, tuple[model.From, Path]]
"""Values by name, each with its place in the file."""


class Compiled(NamedTuple):
    """A mapping, ready to be applied."""

    name: str
    session: Evaluate | None
    each: Evaluate | None
    event: Evaluate
    time: list[Evaluate]
    read_time: Any  # what turns it into milliseconds
    time_from_record: bool
    playhead: Evaluate
    rules: dict[str, list[RuleOf]]
    other: list[RuleOf]
    states: StateRules | None


def compile_mapping(
    document: Document,
    *,
    start_defaults: Mapping[str, Any] | None = None,
    start_required: frozenset[str] = REQUIRED[EventType.SESSION_START],
) -> Compiled:
    """Compile a mapping. Raises `BadMapping` with all that is wrong."""
    compiler = _Compiler(document, dict(start_defaults or {}), start_required)
    compiled = compiler.compile()
    if compiler.problems:
        raise BadMapping(document.name, sorted(set(compiler.problems)))
    return compiled


class _Compiler:
    """One compilation, which goes on after a mistake so that all of them are found."""

    def __init__(self, document: Document, start_defaults: dict[str, Any], start_required: frozenset[str]) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._mapping = document.mapping
        self._start_defaults = start_defaults
        self._start_required = start_required
        self._start = self._compile_start()

    def compile(self) -> Compiled:
        mapping = self._mapping
        rules = {name: self._rules(name, rules) for name, rules in mapping.events.items()}
        return Compiled(
            name=self._document.name,
            session=None if mapping.session is None else self._value(mapping.session, Kind.TEXT, ("session",)),
            each=self._expression(mapping.each, ("each",)),
            event=self._value(mapping.event, Kind.TEXT, ("event",)),
            time=[one for one in (self._expression(text, ("time", "from")) for text in mapping.time.from_) if one is not None],
            read_time=READ[mapping.time.format],
            time_from_record=mapping.time.default == "record",
            playhead=self._value(mapping.playhead, Kind.NUMBER, ("playhead",)),
            rules={name: one for name, one in rules.items() if name != "*"},
            other=rules.get("*", []),
            states=None if mapping.states is None else _state_rules(mapping.states),
        )

    # --- rules and sends --------------------------------------------------------------------------------------------------------------

    def _rules(self, name: str, rules: list[model.Rule]) -> list[RuleOf]:
        compiled: list[RuleOf] = []
        is_alone = ("events", name, 0) not in self._document.lines
        for index, rule in enumerate(rules):
            path: Path = ("events", name) if is_alone else ("events", name, index)
            outcomes = [one for one in ("send", "drop", "refuse") if getattr(rule, one) is not None]
            if len(outcomes) != 1:
                self._complain(path, f"expected one of send, drop and refuse, got {' and '.join(outcomes) or 'none of them'}")
            if compiled and compiled[-1].when is None:
                self._complain(path, "nothing comes this far: the rule before it has no `when`; give it one, or change their order")
            sends = [self._send(send, self._send_path(path, place)) for place, send in enumerate(rule.send or [])]
            where = self._where(path)
            drop = None if rule.drop is None else Nothing(rule.drop)
            compiled.append(RuleOf(where, self._expression(rule.when, (*path, "when")), sends, drop, rule.refuse or ""))
        return compiled

    def _send_path(self, path: Path, place: int) -> Path:
        return (*path, "send", place) if (*path, "send", place) in self._document.lines else (*path, "send")

    def _send(self, send: model.Send, path: Path) -> SendOf:
        kind = EventType(send.type) if send.type not in STATES_ONLY else STATES_ONLY[send.type]
        if send.type in STATES_ONLY and self._mapping.states is None:
            self._complain(path, f"{send.type} is a state of the player, not an event of the API; add `states: {{}}`, or send another type")
        carried = self._mapping.carries.get(send.type)
        is_start = kind is EventType.SESSION_START
        gathered = _Gathered()
        gathered.qoe |= {name: (value, ("qoe", name)) for name, value in self._mapping.qoe.items() if not is_start or name in QOE_OF_START}
        if is_start and self._mapping.start is not None:
            gathered.add(self._mapping.start, ("start",))
        if carried is not None:
            gathered.add(carried, ("carries", send.type))
        gathered.add(send, path)
        compiled_params = self._params(kind, gathered.params, path)
        compiled_metadata = self._metadata(kind, gathered.metadata, gathered.copies, path)
        return SendOf(
            kind=send.type,
            event_type=kind,
            when=self._expression(send.when, (*path, "when")),
            each=self._expression(send.each, (*path, "each")),
            playhead=None if send.playhead is None else self._value(send.playhead, Kind.NUMBER, (*path, "playhead")),
            params=compiled_params,
            qoe=self._fields(gathered.qoe, QOE_OF_START if is_start else QOE, "quality data"),
            metadata=compiled_metadata,
            start=StartOf(compiled_params, compiled_metadata, self._start_defaults, None) if is_start else self._start,
        )

    def _compile_start(self) -> StartOf | None:
        start = self._mapping.start
        if start is None:
            return None
        gathered = _Gathered()
        gathered.add(start, ("start",))
        params = self._params(EventType.SESSION_START, gathered.params, ("start",))
        metadata = self._metadata(EventType.SESSION_START, gathered.metadata, gathered.copies, ("start",))
        return StartOf(params, metadata, self._start_defaults, gathered.members())

    # --- what they carry --------------------------------------------------------------------------------------------------------------

    def _params(self, kind: EventType, params: _Placed, path: Path) -> Fields:
        known = PARAMS.get(kind, {})
        if params and not known:
            self._complain(next(iter(params.values()))[1], f"{kind} takes no params; leave them out")
            return []
        missing = REQUIRED.get(kind, frozenset()) - params.keys()
        if kind is EventType.SESSION_START:
            missing = (self._start_required | missing) - params.keys() - self._start_defaults.keys()
        if missing:
            hint = ", or to RELAY_SESSION__START_PARAMS when it is the same for all" if kind is EventType.SESSION_START else ""
            self._complain(path, f"{kind} lacks {', '.join(sorted(missing))}, which the API requires; add it to params{hint}")
        return self._fields(params, known, f"params of {kind}")

    def _fields(self, values: _Placed, known: Mapping[str, Kind], what: str) -> Fields:
        fields: Fields = []
        for name, (value, path) in values.items():
            if name not in known:
                self._complain(path, f"{name!r} is not among the {what}{_nearest(name, known)}")
                continue
            fields.append((name, self._value(value, known[name], path, unit_out=_UNITS_OUT.get(name, 1.0))))
        return fields

    def _metadata(self, kind: EventType, values: _Placed, copies: list[tuple[model.Copy, Path]], path: Path) -> Metadata:
        if (values or copies) and kind not in TAKES_METADATA:
            self._complain(path, f"{kind} takes no custom metadata; only {', '.join(sorted(TAKES_METADATA))} do")
            return Metadata([], [])
        for name, (_, place) in values.items():
            if not _METADATA_NAME.fullmatch(name):
                self._complain(place, "the API takes letters, digits, underscores and dots in a name of metadata; rename it")
        fields: Fields = [(name, self._value(value, Kind.TEXT, place)) for name, (value, place) in values.items()]
        return Metadata(fields, [one for one in (self._copy(copy, place) for copy, place in copies) if one is not None])

    def _copy(self, copy: model.Copy, path: Path) -> Copies | None:
        evaluate = self._expression(copy.from_, (*path, "from"))
        try:
            matching = re.compile(copy.matching)
        except re.error as error:
            self._complain((*path, "matching"), f"this is no regular expression: {error}")
            return None
        return None if evaluate is None else Copies(evaluate, matching, copy.prefix)

    # --- values -----------------------------------------------------------------------------------------------------------------------

    def _value(self, value: model.From, kind: Kind, path: Path, *, unit_out: float = 1.0) -> Evaluate:
        problem = problem_of(value)
        if not problem and (value.unit or value.times is not None) and kind not in {Kind.NUMBER, Kind.INTEGER}:
            problem = f"a unit is for numbers, and this is {kind}; leave it out"
        if problem:
            self._complain(path, problem)
            return _nothing
        try:
            return compile_value(value, kind, self._where(path), unit_out=unit_out)
        except BadExpression as bad:
            self._complain(path, f"this is no JMESPath expression: {bad}; text that stands for itself is written as {{constant: text}}")
        except Misfit as misfit:
            self._complain(path, f"the constant does not fit: {misfit}")
        return _nothing

    def _expression(self, text: str | None, path: Path) -> Evaluate | None:
        if text is None:
            return None
        try:
            return compile_expression(text)
        except BadExpression as bad:
            self._complain(path, f"this is no JMESPath expression: {bad}")
            return None

    def _where(self, path: Path) -> str:
        line, written, _ = self._document.problem(path, "")
        return f"{written} (line {line})"

    def _complain(self, path: Path, message: str) -> None:
        self.problems.append(self._document.problem(path, message))


def _nothing(_event: Any) -> None:
    return None


def _state_rules(states: model.States) -> StateRules:
    return StateRules(
        ping_milliseconds=round(1_000 * (states.ping_seconds or 0)),
        silence_milliseconds=round(1_000 * (states.silence_seconds or 0)),
        ends_on_new_media=states.end_on_new_media,
    )


class _Gathered:
    """What an event carries, from all the places of the file that say so: what is said later goes before what was said earlier."""

    def __init__(self) -> None:
        self.params: _Placed = {}
        self.metadata: _Placed = {}
        self.qoe: _Placed = {}
        self.copies: list[tuple[model.Copy, Path]] = []

    def add(self, said: model.Said | model.Start, path: Path) -> None:
        """One of these places."""
        self.params |= {name: (value, (*path, "params", name)) for name, value in said.params.items()}
        self.metadata |= {name: (value, (*path, "metadata", name)) for name, value in said.metadata.items()}
        if isinstance(said, model.Said):
            self.qoe |= {name: (value, (*path, "qoe", name)) for name, value in said.qoe.items()}
        self.copies += [(one, (*path, "copy_metadata", index)) for index, one in enumerate(said.copy_metadata)]

    def members(self) -> list[str] | None:
        """The members of the raw event that all of this looks at; None when it looks at the whole."""
        found = set[str]()
        try:
            looks = [members_of(value) for value, _ in (*self.params.values(), *self.metadata.values())]
            looks += [fields_of(copy.from_) for copy, _ in self.copies]
        except BadExpression:
            return None  # it has been complained about
        for members in looks:
            if members is None:
                return None
            found |= members
        return sorted(found)


def _nearest(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {nearest[0]}?" if nearest else "; correct the name or leave it out"

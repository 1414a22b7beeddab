"""Records of any vocabulary → what they say, by a mapping.

In: a record, by way of the decoder of its format. Out: its session key and what it says: an event, several, facts, or nothing; or
`Unreadable` with the path and the line of the mapping that made no sense of it.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# What JSON and YAML hold has no type, and a look at it gives it half of one.

from typing import Any, Final

import msgspec

from relay.core.events import Fact, Facts, Nothing, Part, PlayerEvent, Record, Said, SessionKey
from relay.core.reasons import Reason
from relay.input.decoding import KEY_BYTES_MAX, Decodes, Unreadable
from relay.input.mapping.compiling import Compiled
from relay.input.mapping.expressions import Failed
from relay.input.mapping.rules import RuleOf, choose
from relay.input.mapping.values import Misfit

EMPTY: Final = Nothing("empty")
UNKNOWN_KEY: Final = SessionKey("")
NAME_CHARACTERS_MAX: Final = 80

_parse: Final = msgspec.json.Decoder(dict[str, Any]).decode


class MappedInput:
    """Reads records by a mapping."""

    def __init__(self, mapping: Compiled, decoder: Decodes) -> None:
        """Take a compiled mapping and the decoder of the format."""
        self._mapping = mapping
        self._decoder = decoder
        self._json = decoder.json
        self._key = decoder.key
        self._is_simple = mapping.each is None

    def read(self, record: Record) -> tuple[SessionKey, Said]:
        """What a record says, and the player session that it belongs to. Raises `Unreadable` or `Awaited`."""
        key = self._key(record)
        try:
            value = self._value(record)
            elements = [value] if self._is_simple else self._elements(value)
            said: list[PlayerEvent] = []
            facts: list[Fact] = []
            dropped = EMPTY
            for element in elements:
                rule = self.rule_for(element)
                if rule.drop is not None:
                    dropped = rule.drop
                    continue
                if key is None or self._mapping.session is not None:
                    key = self._session(element, key)
                if self._mapping.states is None:
                    said += [event for _, event in self._events(rule, element, record)]
                else:
                    facts += [Fact(kind, event) for kind, event in self._events(rule, element, record)]
            if facts and self._mapping.states is not None:
                return key or UNKNOWN_KEY, Facts(tuple(facts), self._mapping.states)
            if not said:
                return key or UNKNOWN_KEY, dropped
            return key or UNKNOWN_KEY, said[0] if len(said) == 1 else _in_parts(said)
        except Unreadable as unreadable:
            unreadable.key = key
            raise

    def rule_for(self, event: Any) -> RuleOf:
        """The rule that decides what becomes of a raw event. Raises `Unreadable`."""
        mapping = self._mapping
        name = self._evaluate(mapping.event, event, "event")
        rules = mapping.rules.get(name) if name is not None else None
        rule = choose(rules, event) if rules is not None else None
        if rule is None and mapping.other:
            rule = choose(mapping.other, event)
        if rule is None:
            raise Unreadable(Reason.UNKNOWN_EVENT_TYPE, self._unknown(name, is_listed=rules is not None))
        if rule.refuse:
            raise Unreadable(Reason.INVALID_EVENT, f"{rule.where}: {rule.refuse}")
        return rule

    def elements(self, record: Record) -> list[Any]:
        """The raw events in a record, for those who explain. Raises `Unreadable` or `Awaited`."""
        value = self._value(record)
        return [value] if self._is_simple else self._elements(value)

    def _value(self, record: Record) -> dict[str, Any]:
        try:
            return _parse(self._json(record))
        except msgspec.ValidationError as error:
            problem = "a number has too many digits" if "out of range" in str(error) else "expected a JSON object"
            raise Unreadable(Reason.INVALID_EVENT, f"$: {problem}") from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise Unreadable(Reason.NOT_JSON, str(error)) from None

    def _elements(self, value: dict[str, Any]) -> list[Any]:
        assert self._mapping.each is not None
        found = self._evaluate(self._mapping.each, value, "each")
        if type(found) is not list or not all(type(one) is dict for one in found):
            raise Unreadable(Reason.INVALID_EVENT, "each: expected a list of raw events, each of them an object")
        return found

    def _events(self, rule: RuleOf, event: Any, record: Record) -> list[tuple[str, PlayerEvent]]:
        mapping = self._mapping
        ts = self._ts(event, record)
        playhead = self._evaluate(mapping.playhead, event, "playhead")
        if playhead is None:
            raise Unreadable(Reason.INVALID_EVENT, "playhead: there is no value; give it a default if that may be")
        try:
            return [(send.kind, one) for send in rule.sends for one in send.events(event, playhead, ts, record)]
        except (Failed, Misfit, RecursionError) as failed:
            raise Unreadable(Reason.INVALID_EVENT, f"{rule.where}: {failed}") from None

    def _ts(self, event: Any, record: Record) -> int:
        mapping = self._mapping
        for evaluate in mapping.time:
            found = self._evaluate(evaluate, event, "time")
            if found is not None:
                try:
                    return int(mapping.read_time(found))
                except Misfit as misfit:
                    raise Unreadable(Reason.INVALID_EVENT, f"time: {misfit}") from None
        if mapping.time_from_record:
            return record.timestamp_ms
        raise Unreadable(Reason.INVALID_EVENT, "time: there is no value; `default: record` would take the record's")

    def _session(self, event: Any, key: SessionKey | None) -> SessionKey:
        if self._mapping.session is None:
            raise Unreadable(Reason.INVALID_KEY, "the record has no key, and the mapping names no `session`")
        text = self._evaluate(self._mapping.session, event, "session")
        if not text:
            if key is not None:
                return key
            raise Unreadable(Reason.INVALID_KEY, "session: there is no value")
        if len(text.encode("utf-8", "surrogatepass")) > KEY_BYTES_MAX:
            raise Unreadable(Reason.INVALID_KEY, f"session: at most {KEY_BYTES_MAX} bytes are taken")
        return SessionKey(text)

    def _evaluate(self, evaluate: Any, event: Any, where: str) -> Any:
        try:
            return evaluate(event)
        except (Failed, RecursionError) as failed:
            raise Unreadable(Reason.INVALID_EVENT, f"{where}: {failed}") from None

    def _unknown(self, name: Any, *, is_listed: bool) -> str:
        if name is None:
            return "event: there is no value, so nobody knows which rule is meant; `*` would catch it"
        what = str(name)[:NAME_CHARACTERS_MAX]
        if is_listed:
            return f"events: no rule for {what!r} fits; a last one without `when` would catch the rest"
        return f"events: there is no rule for {what!r}; add one, or `*` for all others"


def _in_parts(said: list[PlayerEvent]) -> tuple[PlayerEvent, ...]:
    count = len(said)
    return tuple([msgspec.structs.replace(one, part=Part(number, count)) for number, one in enumerate(said, start=1)])

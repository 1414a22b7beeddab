"""A value of a mapping → a function from a raw event to what goes out.

In: the model of a value, and the type that it must have in the end. Out: closures, of which each does no more than its value asks for. One
that gives None says: there is no such value, leave the member out.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# What JSON and YAML hold has no type, and a look at it gives it half of one.

import math
import re
from collections.abc import Callable
from typing import Any, Final

from relay.core.reasons import Reason
from relay.input.decoding import Unreadable
from relay.input.mapping.expressions import BadExpression, Evaluate, Failed, compile_expression, fields_of
from relay.input.mapping.model import From
from relay.input.mapping.vocabulary import Kind

_SECONDS: Final = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9, "minutes": 60.0}
_HOLES: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_INTEGER_MAX: Final = 1 << 63
_TOO_LARGE: Final = "the number is too large"


class Misfit(Exception):  # noqa: N818  # a fact about a value
    """The value is not of the type that it must have."""


def compile_value(value: From, kind: Kind, where: str, *, unit_out: float = 1.0) -> Evaluate:
    """The value as a function, which raises `Unreadable` with `where` when what it finds does not fit. Raises `BadExpression`."""
    evaluate = _source(value)
    if value.values is not None:
        evaluate = _enumerated(evaluate, value.values, where)
    factor = (_SECONDS[value.unit] / unit_out if value.unit else 1.0) * (1.0 if value.times is None else value.times)
    convert = _CONVERT[kind]
    if factor != 1.0:
        convert = _scaled(factor, kind)
    if value.constant is not None and not (value.values or factor != 1.0):
        constant = convert(value.constant)
        return lambda _: constant
    return _checked(evaluate, convert, value, where)


def members_of(value: From) -> frozenset[str] | None:
    """The members of a raw event that a value looks at; None when it looks at the event as a whole. Raises `BadExpression`."""
    texts = list(value.from_ or [])
    if value.template is not None:
        texts += [hole[1] for hole in _HOLES.finditer(value.template) if hole[1] is not None]
    found = frozenset[str]()
    for text in texts:
        members = fields_of(text)
        if members is None:
            return None
        found |= members
    return found


def problem_of(value: From) -> str:
    """What is wrong with a value by itself; empty when nothing is."""
    given = [name for name, one in (("from", value.from_), ("template", value.template), ("constant", value.constant)) if one is not None]
    if len(given) != 1:
        return f"expected one of from, template and constant, got {' and '.join(given) or 'none of them'}"
    return ""


def _source(value: From) -> Evaluate:
    if value.template is not None:
        return _template(value.template)
    if value.from_ is None:
        constant = value.constant
        return lambda _: constant
    choices = [compile_expression(text) for text in value.from_]
    return choices[0] if len(choices) == 1 else _first(choices)


def _first(choices: list[Evaluate]) -> Evaluate:
    def first(event: Any) -> Any:
        for choice in choices:
            found = choice(event)
            if found is not None:
                return found
        return None

    return first


def _template(text: str) -> Evaluate:
    pieces: list[str | Evaluate] = []
    place = 0
    for hole in _HOLES.finditer(text):
        pieces.append(text[place : hole.start()])
        place = hole.end()
        pieces.append(hole[0][0] if hole[1] is None else compile_expression(hole[1]))
    pieces.append(text[place:])
    if any(isinstance(piece, str) and ("{" in piece or "}" in piece) and len(piece) > 1 for piece in pieces):
        raise BadExpression(f"a brace is open in {text!r}; close it, or write it twice")

    def template(event: Any) -> Any:
        parts: list[str] = []
        for piece in pieces:
            if isinstance(piece, str):
                parts.append(piece)
            else:
                found = piece(event)
                if found is None:
                    return None
                parts.append(as_text(found))
        return "".join(parts)

    return template


def _enumerated(evaluate: Evaluate, values: dict[str, Any], where: str) -> Evaluate:
    has_other, other = "*" in values, values.get("*")

    def enumerated(event: Any) -> Any:
        found = evaluate(event)
        if found is None:
            return None
        text = as_text(found)
        if text in values:
            return values[text]
        if has_other:
            return other
        raise Unreadable(Reason.INVALID_EVENT, f"{where}: {text[:80]!r} is none of the values that are listed")

    return enumerated


def _checked(evaluate: Evaluate, convert: Callable[[Any], Any], value: From, where: str) -> Evaluate:
    default = None if value.default is None else convert(value.default)
    is_required = value.required

    fits = _FITS.get(convert)

    def checked(event: Any) -> Any:
        try:
            found = evaluate(event)
            if found is not None:
                return found if type(found) is fits else convert(found)
        except (Misfit, Failed) as misfit:
            raise Unreadable(Reason.INVALID_EVENT, f"{where}: {misfit}") from None
        if default is None and is_required:
            raise Unreadable(Reason.INVALID_EVENT, f"{where}: there is no value, and it is required")
        return default

    return checked


# --- types ----------------------------------------------------------------------------------------------------------------------------


def as_text(value: Any) -> str:
    """As text: true and false as JSON writes them, a whole number without a fraction."""
    if type(value) is str:
        return value
    if value is True or value is False:
        return "true" if value else "false"
    if type(value) is float and value.is_integer() and abs(value) < _INTEGER_MAX:
        return str(int(value))
    if isinstance(value, int | float):
        try:
            return str(value)
        except ValueError:  # of more digits than Python writes
            raise Misfit(_TOO_LARGE) from None
    if type(value) is list:
        return ",".join(map(as_text, value))
    raise Misfit("expected text, got an object" if type(value) is dict else "expected text")


def as_number(value: Any) -> int | float:
    """As a number; text that holds one is taken for it."""
    kind = type(value)
    if kind is int:
        return int(value)
    if kind is str:
        try:
            value = int(value)
        except ValueError:
            value = _float(value)
        return value  # type: ignore[no-any-return]
    if kind is float and math.isfinite(value):
        return float(value)
    raise Misfit(f"expected a number, got {_name(value)}")


def _float(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise Misfit("expected a number, got text that holds none") from None
    if not math.isfinite(number):
        raise Misfit("expected a number, got text that holds none")
    return number


def as_integer(value: Any) -> int:
    """As an integer; a fraction is rounded."""
    if type(value) is int and -_INTEGER_MAX <= value < _INTEGER_MAX:
        return value
    number = round(as_number(value))
    if not -_INTEGER_MAX <= number < _INTEGER_MAX:
        raise Misfit(_TOO_LARGE)
    return number


def _as_boolean(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    text = as_text(value).lower()
    if text in {"true", "1", "yes"}:
        return True
    if text in {"false", "0", "no"}:
        return False
    raise Misfit("expected true or false")


def _as_object(value: Any) -> dict[str, Any]:
    if type(value) is dict:
        return value
    raise Misfit(f"expected an object, got {_name(value)}")


def _scaled(factor: float, kind: Kind) -> Callable[[Any], Any]:
    whole = round(1 / factor) if factor < 1 else 0
    is_division = whole > 1 and math.isclose(1 / whole, factor)  # exact, where a product is not

    def scaled(value: Any) -> float:
        number = as_number(value)
        try:
            number = number / whole if is_division else number * factor
        except OverflowError:
            raise Misfit(_TOO_LARGE) from None
        if not math.isfinite(number):
            raise Misfit(_TOO_LARGE)
        return number

    return (lambda value: as_integer(scaled(value))) if kind is Kind.INTEGER else scaled


def _name(value: Any) -> str:
    return {bool: "a boolean", str: "text", list: "a list", dict: "an object"}.get(type(value), "something else")


_CONVERT: Final[dict[Kind, Callable[[Any], Any]]] = {
    Kind.TEXT: as_text,
    Kind.NUMBER: as_number,
    Kind.INTEGER: as_integer,
    Kind.BOOLEAN: _as_boolean,
    Kind.OBJECT: _as_object,
}

_FITS: Final[dict[Callable[[Any], Any], type]] = {as_text: str, as_number: int, _as_boolean: bool, _as_object: dict}
"""What needs no conversion, the commonest of all."""

"""JMESPath, compiled: the text of an expression → a function from a value to a value.

In: expressions, parsed by the `jmespath` package. Out: closures that say what its own interpreter would, several times as fast, since they
do not look at the tree any more. Functions are the package's own; where a function takes an expression (`map`, `sort_by`, `max_by`), that
part of the tree is left to the package's interpreter. Nothing here runs code of an operator: JMESPath can read a value, and nothing else.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# What JSON and YAML hold has no type, and a look at it gives it half of one.

import operator
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.parser import Parser
from jmespath.visitor import TreeInterpreter

Value: TypeAlias = Any  # what JSON can hold
Evaluate: TypeAlias = Callable[[Value], Value]
Node: TypeAlias = dict[str, Any]

_FUNCTIONS: Final = Functions()
_INTERPRETER: Final = TreeInterpreter()
_ORDERINGS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "lt": operator.lt,
    "gt": operator.gt,
    "lte": operator.le,
    "gte": operator.ge,
}


def _parse(text: str) -> Node:
    return cast("Node", Parser().parse(text).parsed)


class BadExpression(ValueError):  # noqa: N818  # what it is
    """The text is no JMESPath expression."""


class Failed(Exception):  # noqa: N818  # a fact about a value
    """The expression makes no sense of this value: a function was given a type that it does not take."""


def compile_expression(text: str) -> Evaluate:
    """The expression as a function. It raises `Failed` where the interpreter would raise. Raises `BadExpression`."""
    try:
        tree = _parse(text)
    except JMESPathError as error:
        raise BadExpression(_one_line(error)) from None
    evaluate = _compile(tree)
    return _guarded(evaluate) if _has_functions(tree) else evaluate


def is_true(value: Value) -> bool:
    """What JMESPath takes for true: all but null, false, and what is empty. Zero is true."""
    return value is True or not (value is None or value is False or value in ("", [], {}))


def fields_of(text: str) -> frozenset[str] | None:
    """The members of the event that the expression looks at; None when it looks at the event as a whole. Raises `BadExpression`."""
    try:
        return _roots(_parse(text))
    except JMESPathError as error:
        raise BadExpression(_one_line(error)) from None


_LOOKS_ON: Final = frozenset(
    {"subexpression", "index_expression", "pipe", "projection", "filter_projection", "value_projection", "flatten", "not_expression"}
)  # only the first child is read against the event, the others against what that has found


def _roots(node: Node) -> frozenset[str] | None:
    kind = node["type"]
    if kind == "field":
        return frozenset({node["value"]})
    if kind in {"literal", "expref"}:
        return frozenset()
    if kind in {"identity", "current"}:
        return None
    children: list[Node] = node["children"][:1] if kind in _LOOKS_ON else node["children"]
    found = frozenset[str]()
    for child in children:
        roots = _roots(child)
        if roots is None:
            return None
        found |= roots
    return found


def _one_line(error: JMESPathError) -> str:
    return " ".join(str(error).split("\n", maxsplit=1)[0].split())


def _guarded(evaluate: Evaluate) -> Evaluate:
    def guarded(value: Value) -> Value:
        try:
            return evaluate(value)
        except JMESPathError as error:
            raise Failed(_one_line(error)) from None
        except (OverflowError, ValueError):  # an average beyond any float, the text of a sum that is longer than Python writes
            raise Failed("a number is too large") from None

    return guarded


def _has_functions(node: Node) -> bool:
    return node["type"] == "function_expression" or any(_has_functions(child) for child in node["children"] if isinstance(child, dict))


# --- the tree, node by node -------------------------------------------------------------------------------------------------------------


def _compile(node: Node) -> Evaluate:
    return _COMPILERS[node["type"]](node)


def _field(node: Node) -> Evaluate:
    name = node["value"]

    def field(value: Value) -> Value:
        return value.get(name) if type(value) is dict else None

    return field


def _subexpression(node: Node) -> Evaluate:
    children: list[Node] = node["children"]
    if all(child["type"] == "field" for child in children):
        return _path([child["value"] for child in children])
    return _chain(node)


def _path(names: list[str]) -> Evaluate:
    """The commonest of all: one member of another."""
    if len(names) == 2:  # noqa: PLR2004  # a.b
        first, second = names

        def pair(value: Value) -> Value:
            if type(value) is not dict:
                return None
            value = value.get(first)
            return value.get(second) if type(value) is dict else None

        return pair

    def path(value: Value) -> Value:
        for name in names:
            if type(value) is not dict:
                return None
            value = value.get(name)
        return value

    return path


def _chain(node: Node) -> Evaluate:
    steps = [_compile(child) for child in node["children"]]

    def chain(value: Value) -> Value:
        for step in steps:
            value = step(value)
        return value

    return chain


def _index(node: Node) -> Evaluate:
    place = node["value"]

    def index(value: Value) -> Value:
        if type(value) is not list:
            return None
        try:
            return value[place]
        except IndexError:
            return None

    return index


def _slice(node: Node) -> Evaluate:
    cut = slice(*node["children"])

    def cut_out(value: Value) -> Value:
        return value[cut] if type(value) is list else None

    return cut_out


def _literal(node: Node) -> Evaluate:
    constant = node["value"]
    return lambda _: constant


def _identity(_node: Node) -> Evaluate:
    return lambda value: value


def _comparator(node: Node) -> Evaluate:
    left, right = node["children"]
    if node["value"] in _ORDERINGS:
        return _ordering(_ORDERINGS[node["value"]], _compile(left), _compile(right))
    is_equality = node["value"] == "eq"
    if right["type"] == "literal" and type(right["value"]) is str:  # no other type is equal to text
        return _equal_to_text(_compile(left), right["value"], is_equality=is_equality)
    one, other = _compile(left), _compile(right)
    return lambda value: _equals(one(value), other(value)) is is_equality


def _equal_to_text(evaluate: Evaluate, text: str, *, is_equality: bool) -> Evaluate:
    if is_equality:
        return lambda value: evaluate(value) == text
    return lambda value: evaluate(value) != text


def _ordering(compare: Callable[[Any, Any], bool], left: Evaluate, right: Evaluate) -> Evaluate:
    def ordering(value: Value) -> Value:
        one, other = left(value), right(value)
        if not (_is_comparable(one) and _is_comparable(other)) or (type(one) is str) is not (type(other) is str):
            return None
        return compare(one, other)

    return ordering


def _is_comparable(value: Value) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _equals(one: Value, other: Value) -> bool:
    """As the package has it: neither true nor false is a number."""
    if (one in (0, 1) and isinstance(other, bool)) or (other in (0, 1) and isinstance(one, bool)):
        return isinstance(one, bool) and isinstance(other, bool) and one == other
    return bool(one == other)


def _or(node: Node) -> Evaluate:
    left, right = map(_compile, node["children"])

    def either(value: Value) -> Value:
        found = left(value)
        return found if is_true(found) else right(value)

    return either


def _and(node: Node) -> Evaluate:
    left, right = map(_compile, node["children"])

    def both(value: Value) -> Value:
        found = left(value)
        return right(value) if is_true(found) else found

    return both


def _not(node: Node) -> Evaluate:
    (child,) = map(_compile, node["children"])
    return lambda value: not is_true(child(value))


def _projection(node: Node) -> Evaluate:
    base, each = map(_compile, node["children"])

    def projection(value: Value) -> Value:
        found = base(value)
        return _project(found, each) if type(found) is list else None

    return projection


def _value_projection(node: Node) -> Evaluate:
    base, each = map(_compile, node["children"])

    def projection(value: Value) -> Value:
        found = base(value)
        return _project(list(found.values()), each) if type(found) is dict else None

    return projection


def _filter_projection(node: Node) -> Evaluate:
    base, each, condition = map(_compile, node["children"])

    def projection(value: Value) -> Value:
        found = base(value)
        return _project([one for one in found if is_true(condition(one))], each) if type(found) is list else None

    return projection


def _project(elements: list[Value], each: Evaluate) -> list[Value]:
    return [one for one in map(each, elements) if one is not None]


def _flatten(node: Node) -> Evaluate:
    (base,) = map(_compile, node["children"])

    def flatten(value: Value) -> Value:
        found = base(value)
        if type(found) is not list:
            return None
        return [inner for one in found for inner in (one if type(one) is list else [one])]

    return flatten


def _multi_select_list(node: Node) -> Evaluate:
    each = [_compile(child) for child in node["children"]]
    return lambda value: None if value is None else [one(value) for one in each]


def _multi_select_dict(node: Node) -> Evaluate:
    each = [(child["value"], _compile(child["children"][0])) for child in node["children"]]
    return lambda value: None if value is None else {name: one(value) for name, one in each}


def _function(node: Node) -> Evaluate:
    name, children = node["value"], node["children"]
    if name not in Functions.FUNCTION_TABLE:
        raise BadExpression(f"there is no function {name}()")
    if any(child["type"] == "expref" for child in children):
        whole = cast("Any", node)
        return lambda value: _INTERPRETER.visit(whole, value)
    arguments = [_compile(child) for child in children]
    call = _FUNCTIONS.call_function
    return lambda value: call(name, [argument(value) for argument in arguments])


def _expref(_node: Node) -> Evaluate:
    raise BadExpression("&expression is an argument of a function, nothing by itself")


_COMPILERS: Final[dict[str, Callable[[Node], Evaluate]]] = {
    "field": _field,
    "subexpression": _subexpression,
    "index_expression": _chain,
    "pipe": _chain,
    "index": _index,
    "slice": _slice,
    "literal": _literal,
    "identity": _identity,
    "current": _identity,
    "comparator": _comparator,
    "or_expression": _or,
    "and_expression": _and,
    "not_expression": _not,
    "projection": _projection,
    "value_projection": _value_projection,
    "filter_projection": _filter_projection,
    "flatten": _flatten,
    "multi_select_list": _multi_select_list,
    "multi_select_dict": _multi_select_dict,
    "function_expression": _function,
    "expref": _expref,
}
